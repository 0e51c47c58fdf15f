"""What shells complete: commands, options, and names that the server knows."""

import os
import subprocess
from collections.abc import Sequence

import pytest

from tests.cli.commands import SCRIPT, Commands
from tests.cli.terminals import environment

REFS = ("dev", "feature/x", "main", "v1")


@pytest.fixture(scope="module")
def names(commands: Commands) -> Commands:
    """Two repositories whose names begin alike, with branches, a tag and objects."""
    for name in ("complete-a", "complete-b"):
        commands("repo", "create", name)
    commands("branch", "create", "complete-a/dev")
    commands("branch", "create", "complete-a/feature/x")
    commands("tag", "create", "complete-a/v1", "main")
    commands.put("complete-a/main/data/a.csv")
    commands.put("complete-a/main/data/deep/b.csv")
    return commands


def bash(commands: Commands, *words: str, **more: str) -> list[str]:
    """Return what bash is offered for the last word of a line."""
    asked = {
        "_ANABRANCH_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("anabranch", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return commands(environment={**asked, **more}).stdout.split()


def test_commands_and_options(commands: Commands) -> None:
    assert bash(commands, "cherry") == ["cherry-pick"]
    assert bash(commands, "fs", "up") == ["upload"]
    assert bash(commands, "log", "--gra") == ["--graph"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("repo", "show", "complete"), ["complete-a", "complete-b"]),
        (("log", "complete"), ["complete-a/", "complete-b/"]),
        (("log", "complete-b"), ["complete-b/main"]),
        (("log", "complete-a/"), [f"complete-a/{one}" for one in REFS]),
        (("branch", "show", "lake://complete-a/d"), ["lake://complete-a/dev"]),
        (("tag", "delete", "complete-a/"), ["complete-a/v1"]),
        (("merge", "complete-a/dev", "m"), ["main"]),
        (("fs", "cat", "complete-a/main/da"), ["complete-a/main/data/"]),
        (
            ("fs", "cat", "complete-a/main/data/"),
            ["complete-a/main/data/a.csv", "complete-a/main/data/deep/"],
        ),
    ],
)
def test_names_of_the_server(names: Commands, words: Sequence[str], offered: list[str]) -> None:
    assert bash(names, *words) == offered


def test_no_server_is_no_error(commands: Commands) -> None:
    assert bash(commands, "log", "ex", ANABRANCH_ENDPOINT="http://127.0.0.1:1") == []
    assert bash(commands, "log", "ex", ANABRANCH_SECRET_KEY="wrong") == []
    assert bash(commands, "log", "No_Repo/") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(names: Commands, shell: str) -> None:
    asked = {
        "_ANABRANCH_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "anabranch merge complete-a/dev ma",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "main" in names(environment=asked).stdout


@pytest.mark.slow
def test_bash_uses_the_script(names: Commands) -> None:
    """The script of --show-completion, in a bash of its own, as if Tab were pressed."""
    script = subprocess.run(
        ["bash", "-c", f"{SCRIPT} --show-completion; :"],
        capture_output=True,
        env=environment(names),
        check=True,
    ).stdout.decode()
    assert "complete -o default -F _anabranch_completion anabranch" in script
    pressed = (
        "COMP_WORDS=(anabranch branch show complete-a/d); COMP_CWORD=3\n"
        '_anabranch_completion anabranch; echo "${COMPREPLY[@]}"\n'
    )
    said = subprocess.run(
        ["bash", "--norc", "-c", script + pressed],
        capture_output=True,
        env=environment(names, PATH=f"{SCRIPT.parent}:{os.environ['PATH']}"),
        check=True,
    )
    assert said.stdout.decode().split() == ["complete-a/dev"]
