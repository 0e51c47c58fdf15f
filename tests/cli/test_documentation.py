"""docs/commands.md shows each command, each of its options where it is told, and each exit code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from anabranch.cli.app import app
from anabranch.cli.exits import CODES, PROBLEMS
from tests.cli.commands import flags

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
SHARED = {"--endpoint", "--data", "--access-key", "--secret-key", "--ca-cert", "--json"}


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and commands of a group and those in it."""
    for part, found in getattr(command, "commands", {}).items():
        yield from walk(found, f"{name} {part}".strip())
    if not hasattr(command, "commands"):
        yield name, command


COMMANDS = dict(walk(get_command(app)))


def section(name: str) -> str:
    """Return the section of a command's family."""
    found = re.search(rf"^## {name.split()[0]}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, f"no section for {name}"
    return found.group(1)


def test_all_families_are_there() -> None:
    families = {name.split()[0] for name in COMMANDS}
    assert families == {
        *("serve", "setup", "doctor"),
        *("repo", "branch", "tag", "commit", "log", "diff", "merge", "fs"),
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_is_told_with_its_options(name: str) -> None:
    text = section(name)
    own = flags(COMMANDS[name].params) - {"--help", "--show-completion", "--install-completion"}
    if own >= SHARED:
        assert f"anabranch {name} " in text, "has no example"
        own -= SHARED
    missing = {
        flag
        for flag in own
        if not re.search(rf"(?<![\w-]){flag}(?![\w-])", text if flag != "--yes" else PAGE)
    }
    if name in ("serve", "setup", "doctor"):
        missing.discard("--json")
        missing.discard("--data")
    assert not missing


def test_each_exit_code_is_in_the_table() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.M)}
    assert documented == {0, PROBLEMS, *CODES.values()}


def test_each_command_speaks_json() -> None:
    for name, command in COMMANDS.items():
        assert "--json" in flags(command.params), name
