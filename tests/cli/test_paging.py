"""The pager: on a terminal alone, chosen as git chooses, and no trouble when its reader leaves."""

from pathlib import Path

import pytest

from anabranch.settings import ClientSettings, find_pager
from tests.cli.commands import Commands
from tests.cli.terminals import on_terminal, piped

LOG = ("log", "example3/main", "-n", "1")


SLOW = pytest.mark.slow


@pytest.fixture
def pager(tmp_path: Path) -> str:
    """A pager that says what it is and what it read."""
    script = tmp_path / "pager"
    script.write_text('#!/bin/sh\nprintf "paged with LESS=%s %s\\n" "$LESS" "$1"\ncat\n')
    script.chmod(0o755)
    return str(script)


def test_where_the_pager_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAGER", raising=False)
    monkeypatch.delenv("LESS", raising=False)
    command, environment = find_pager(ClientSettings())
    assert (command, environment["LESS"]) == ("less", "FRX")
    monkeypatch.setenv("PAGER", "more")
    monkeypatch.setenv("LESS", "M")
    command, environment = find_pager(ClientSettings())
    assert (command, environment["LESS"]) == ("more", "M")
    assert find_pager(ClientSettings(pager="most -x"))[0] == "most -x"


@SLOW
def test_lists_are_paged_in_colour(commands: Commands, pager: str) -> None:
    shown, code = on_terminal(commands, *LOG, ANABRANCH_PAGER=f"{pager} 'its option'")
    assert code == 0
    assert shown.startswith("paged with LESS=FRX its option\n")
    assert "\x1b[33m" in shown
    plain, _ = on_terminal(commands, *LOG, ANABRANCH_PAGER=pager, NO_COLOR="1")
    assert plain.startswith("paged with")
    assert "\x1b[3" not in plain


@SLOW
@pytest.mark.parametrize("choice", ["cat", "no-such-program-anywhere"])
def test_no_pager(commands: Commands, choice: str) -> None:
    shown, code = on_terminal(commands, *LOG, ANABRANCH_PAGER=choice)
    assert code == 0
    assert "Repository created" in shown or "\x1b[33m" in shown


@SLOW
def test_what_is_no_list_is_not_paged(commands: Commands, pager: str) -> None:
    for args in (("repo", "show", "example3"), (*LOG, "--json")):
        shown, code = on_terminal(commands, *args, ANABRANCH_PAGER=pager)
        assert code == 0
        assert "paged" not in shown
    said = piped(commands, *LOG, ANABRANCH_PAGER=pager)
    assert b"paged" not in said.stdout


@SLOW
def test_a_reader_who_leaves_early(commands: Commands) -> None:
    shown, code = on_terminal(commands, "fs", "ls", "-r", "example3/main/", ANABRANCH_PAGER="true")
    assert (shown, code) == ("", 0)


@SLOW
def test_errors_come_after_the_pager(commands: Commands, pager: str) -> None:
    shown, code = on_terminal(commands, "log", "example3/none", ANABRANCH_PAGER=pager)
    assert code == 4
    assert shown.index("paged with") < shown.index("error:")
