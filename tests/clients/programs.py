"""Client programs against a gateway: one process a command, or one interpreter for many."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.environments import client_env
from tests.support.recording import Tape

TIMEOUT_S = 120.0  # a command that takes longer on a busy machine hangs
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended: its status and what it printed."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All that a user saw, in one line: programs differ in where they print and break."""
        return " ".join(f"{self.out} {self.err}".split())


def debian_program(name: str, package: str) -> Path:
    """Return a program of a Debian package; skip the test where it is not installed."""
    path = Path("/usr/bin") / name
    if not path.exists():
        pytest.skip(f"{path} is not on this machine: Debian has it in {package}")
    return path


def run(
    program: Path, *args: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Done:
    """Run a command to its end, with nothing of the caller's shell but where programs are."""
    result = subprocess.run(
        [str(program), *map(str, args)],
        env=client_env(program, env or {}),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Done(result.returncode, result.stdout, result.stderr)


def version_in(text: str) -> str:
    """Return the first version number of a text."""
    found = re.search(r"\d+\.\d+(\.\d+)*", text)
    assert found is not None, text
    return found.group()


@dataclass(frozen=True)
class Program:
    """A client program before one gateway, in a folder of its own; `options` go before the rest."""

    program: Path
    tape: Tape
    folder: Path
    options: list[str]

    def run(self, *args: str | Path) -> Done:
        """Run a command to its end."""
        return run(self.program, *self.options, *args, cwd=self.folder)

    def must(self, *args: str | Path) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(*args)
        assert done.code == 0, done
        return done.out

    def file(self, name: str, data: bytes) -> Path:
        """Return a file of the folder that holds these bytes now."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path


class Session:
    """A Python process that answers one line of JSON with one: `tests/clients/sessions/*.py`.

    Starting an interpreter and importing a large client takes longer than what is asked of it.
    """

    def __init__(
        self, python: Path, script: Path, *args: str, env: Mapping[str, str], cwd: Path
    ) -> None:
        self._errors = cwd / f"{script.stem}.errors"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [str(python), str(script), *args],
                env=client_env(python, env),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, *args: str | Path) -> Done:
        """Send the arguments of one command and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(arg) for arg in args]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._errors.read_text()
        return Done(**json.loads(line))

    def close(self) -> None:
        """End the process; it stops when nothing more is asked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def find_python() -> Path:
    """Return the system's Python, which Debian's programs are written for."""
    found = shutil.which("python3", path="/usr/bin")
    assert found is not None
    return Path(found)
