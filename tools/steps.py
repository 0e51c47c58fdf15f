"""Running commands one after the other, each with its name and its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"


def venv_program(name: str) -> str:
    """Return the path of a program in the project's own environment."""
    return str(VENV / "bin" / name)


def run(name: str, command: list[str]) -> bool:
    """Run `command` at the root of the tree, print its name and time; return whether it passed."""
    print(f"== {name}", flush=True)
    started = time.monotonic()
    environ = {**os.environ, "PATH": os.pathsep.join([str(VENV / "bin"), os.environ["PATH"]])}
    status = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    verdict = "ok" if status == 0 else f"FAILED ({status})"
    print(f"== {name}: {verdict}, {time.monotonic() - started:.1f} s", flush=True)
    return status == 0


def must(name: str, command: list[str]) -> None:
    """Run `command` as `run` does, and end the program when it fails."""
    if not run(name, command):
        sys.exit(1)
