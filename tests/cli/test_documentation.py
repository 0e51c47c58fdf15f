"""docs/commands.md shows each command, each of its options where it is told, and each exit code.

Its examples run, section by section, each on a repository of its own.
"""

import gzip
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.cli.app import FAMILIES
from anabranch.cli.exits import CODES, INTERRUPTED, PROBLEMS
from tests.cli.commands import COMMAND, SCRIPT, Commands, flags
from tests.support.pages import DOCS, read_blocks

COMMANDS_PAGE = DOCS / "commands.md"
PAGE = COMMANDS_PAGE.read_text()
SHARED = {"--endpoint", "--data", "--access-key", "--secret-key", "--ca-cert", "--json"}
OFFLINE = ("serve", "setup", "doctor")


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and commands of a group and those in it."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part in command.list_commands(None):
        yield from walk(command.get_command(None, part), f"{name} {part}".strip())


COMMANDS = dict(walk(COMMAND))


def section(name: str) -> str:
    """Return the section of a command's family."""
    found = re.search(rf"^## {name.split()[0]}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, f"no section for {name}"
    return found.group(1)


def examples() -> dict[str, list[str]]:
    """Return the lines of all examples by their section."""
    found: dict[str, list[str]] = {}
    for block in read_blocks(COMMANDS_PAGE, "sh"):
        found.setdefault(block.section, []).extend(block.code.splitlines())
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_is_told_with_its_options(name: str) -> None:
    text = section(name)
    assert any(f"anabranch {name} " in line for line in EXAMPLES[name.split()[0]]), "no example"
    own = flags(COMMANDS[name].params) - {"--help", "--show-completion", "--install-completion"}
    own -= SHARED if name.split()[0] not in OFFLINE else {"--json", "--data"}
    missing = {
        flag
        for flag in own
        if not re.search(rf"(?<![\w-]){flag}(?![\w-])", text if flag != "--yes" else PAGE)
    }
    assert not missing


def test_each_family_is_there() -> None:
    assert list(dict.fromkeys(name.split()[0] for name in COMMANDS)) == list(FAMILIES)


def test_each_exit_code_is_in_the_table() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)}
    assert documented == {0, PROBLEMS, INTERRUPTED, *CODES.values()}


def test_each_command_speaks_json() -> None:
    for name, command in COMMANDS.items():
        assert "--json" in flags(command.params), name


def prepare(commands: Commands, name: str, *, has_dev: bool) -> None:
    """Make the repository that examples speak of: tag v1, branches main, dev, fix and feature/x."""
    commands("repo", "create", name)
    commands.put(f"{name}/main/sales/january.csv", "day,sum\n")
    commands.put(f"{name}/main/tmp/x")
    commands("commit", f"{name}/main", "-m", "Sales of January")
    commands("tag", "create", f"{name}/v1", "main")
    for branch in ("fix", "feature/x", *(["dev"] if has_dev else [])):
        commands("branch", "create", f"{name}/{branch}")
    for branch, path in (("main", "february.csv"), ("fix", "prices.csv"), ("feature%2Fx", "x")):
        commands.put(f"{name}/{branch}/{path}")
        commands("commit", f"{name}/{branch.replace('%2F', '/')}", "-m", f"Add {path}")
    if has_dev:
        commands.put(f"{name}/dev/sales/january.csv", "day,sum\n1,2\n")
        commands.put(f"{name}/dev/tmp/y")


@pytest.mark.slow
@pytest.mark.parametrize("title", sorted(EXAMPLES))
def test_examples_run(
    commands: Commands, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = re.sub("[^a-z]+", "-", title.lower())
    prepare(commands, f"doc-{slug}", has_dev=title != "Speaking to a server")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "anabranch-data").symlink_to(commands.server.data)
    (tmp_path / "january.csv").write_text("day,sum\n2,3\n")
    (tmp_path / "february.csv.gz").write_bytes(gzip.compress(b"day,sum\n3,4\n"))
    (tmp_path / "results" / "deep").mkdir(parents=True)
    for path in ("a.csv", "deep/b.csv"):
        (tmp_path / "results" / path).write_text(path)
    for line in EXAMPLES[title]:
        line = re.sub(r"\bexample3\b", f"doc-{slug}", line)
        line = line.replace("local:///srv/collected", f"local://{commands.importable}")
        if line.startswith(("export ", "anabranch serve ")):
            continue  # what the fixture did
        if "|" in line:
            kept = {key: value for key, value in commands.environment.items() if value is not None}
            path = f"{SCRIPT.parent}:{os.environ['PATH']}"
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", line], env={**kept, "PATH": path}, check=True
            )
        else:
            commands(*shlex.split(line)[1:])


def test_the_example_of_serve_is_understood() -> None:
    (line,) = EXAMPLES["serve"]
    context = COMMANDS["serve"].make_context("serve", shlex.split(line)[2:])
    assert context.params["quickstart"] is True


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    for name, family in FAMILIES.items():
        said = COMMAND.get_command(None, name).help  # type: ignore[attr-defined]  # it is a group
        assert " ".join(said.split("\n\n")[0].split()) == family.help, name
