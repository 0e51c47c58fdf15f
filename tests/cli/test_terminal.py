"""The console script as a process: terminals, pipes, exit codes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Commands

SCRIPT = Path(sys.executable).with_name("anabranch")


def environment(commands: Commands, **more: str) -> dict[str, str]:
    """Return the environment of a user whose server is known."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    told = {name: value for name, value in commands.environment.items() if value is not None}
    return kept | told | {"TERM": "xterm-256color"} | more


def on_terminal(commands: Commands, *args: str, typed: bytes = b"", **more: str) -> tuple[str, int]:
    """Run a command on a terminal of its own; return what it shows and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [SCRIPT, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(commands, **more),
    )
    os.close(theirs)
    os.write(ours, typed)
    shown = b""
    try:
        while data := os.read(ours, 65_536):
            shown += data
    except OSError:
        pass  # how a terminal says that nobody holds its other side any more
    finally:
        os.close(ours)
    return shown.decode().replace("\r\n", "\n"), process.wait(timeout=30)


def piped(commands: Commands, *args: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command with pipes on all sides."""
    return subprocess.run(
        [SCRIPT, *args],
        input=input,
        capture_output=True,
        env=environment(commands),
        timeout=60,
        check=False,
    )


def test_colours_are_for_terminals(commands: Commands) -> None:
    shown, code = on_terminal(commands, "log", "example3/main", "-n", "1")
    assert code == 0
    assert "\x1b[33m" in shown
    plain, _ = on_terminal(commands, "log", "example3/main", "-n", "1", NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert b"\x1b" not in piped(commands, "log", "example3/main", "-n", "1").stdout


def test_a_question_is_asked_on_a_terminal(commands: Commands) -> None:
    commands("branch", "create", "example3/asked")
    shown, code = on_terminal(commands, "branch", "delete", "example3/asked", typed=b"n\n")
    assert "Delete branch example3/asked" in shown
    assert code == 1
    shown, code = on_terminal(commands, "branch", "delete", "example3/asked", typed=b"y\n")
    assert shown.endswith("Deleted branch example3/asked\n")
    assert code == 0


def test_bytes_pass_through_pipes(commands: Commands) -> None:
    data = os.urandom(3_000_000)
    assert piped(commands, "fs", "cp", "-", "lake://example3/main/p", input=data).returncode == 0
    assert piped(commands, "fs", "cat", "example3/main/p").stdout == data


def test_a_reader_that_leaves_ends_the_command_quietly(commands: Commands) -> None:
    commands.put("example3/main/long", os.urandom(3_000_000))
    with subprocess.Popen(
        [SCRIPT, "fs", "cat", "example3/main/long"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(commands),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(timeout=30) == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("repo", "list", "--secret-key", "wrong"), 3),
        (("fs", "stat", "example3/main/none"), 4),
        (("repo", "list", "--endpoint", "http://127.0.0.1:1"), 6),
        (("repo", "list", "--no-such-option"), 2),
    ],
)
def test_exit_codes_of_the_process(commands: Commands, args: tuple[str, ...], code: int) -> None:
    ended = piped(commands, *args)
    assert ended.returncode == code
    assert bool(ended.stderr) == bool(code)
