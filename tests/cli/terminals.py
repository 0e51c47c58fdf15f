"""Runs the console script as a process: on a terminal of its own, or with pipes on all sides."""

import os
import pty
import subprocess

from tests.cli.commands import SCRIPT, Commands


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


def piped(
    commands: Commands, *args: str, input: bytes = b"", **more: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command with pipes on all sides."""
    return subprocess.run(
        [SCRIPT, *args],
        input=input,
        capture_output=True,
        env=environment(commands, **more),
        timeout=60,
        check=False,
    )
