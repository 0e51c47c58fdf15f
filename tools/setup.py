"""Makes `.venv`: locked dependencies, then the project itself; does again only what changed.

Each step leaves a stamp in `.venv` with the hash of what went into it. Needs Python's standard
library alone, because it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.steps import ROOT, VENV, must, venv_program

LOCKS = ("build", "dev")
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]


@dataclass(frozen=True, slots=True)
class Stamps:
    """Notes of what each step was last done for."""

    folder: Path

    def is_done(self, step: str, key: str) -> bool:
        """Tell whether `step` was last done for `key`."""
        stamp = self.folder / step
        return stamp.is_file() and stamp.read_text() == key

    def mark_done(self, step: str, key: str) -> None:
        """Note that `step` was done for `key`."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / step).write_text(key)


def native_sources(root: Path) -> list[Path]:
    """Return what the compiled module is made from, and the project's own metadata."""
    native = root / "native"
    found = [path for kind in ("*.rs", "*.toml", "*.lock") for path in native.rglob(kind)]
    ours = [path for path in found if "target" not in path.relative_to(native).parts]
    return [root / "pyproject.toml", *sorted(ours)]


def digest(root: Path, paths: Iterable[Path], *more: str) -> str:
    """Return a hash over names and contents of `paths`, which lie below `root`."""
    state = hashlib.sha256("\0".join(more).encode())
    for path in paths:
        state.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()


def has_module() -> bool:
    """Tell whether the compiled module is where an editable install puts it."""
    return any((ROOT / "src" / "anabranch").glob("_native*.so"))


def main() -> None:
    """Bring `.venv` up to date."""
    started = time.monotonic()
    python = venv_program("python")
    stamps = Stamps(VENV / ".stamps")
    # A moved tree or another Python makes every path inside the environment wrong.
    version = ".".join(map(str, sys.version_info[:2]))
    home = f"{version} {VENV}"
    if not stamps.is_done("venv", home):
        shutil.rmtree(VENV, ignore_errors=True)
        must(f"virtual environment (Python {version})", [sys.executable, "-m", "venv", str(VENV)])
        stamps.mark_done("venv", home)
    for lock in LOCKS:
        path = ROOT / "requirements" / f"{lock}.txt"
        key = digest(ROOT, [path])
        if not stamps.is_done(lock, key):
            options = ["--no-build-isolation", "--require-hashes", "-r", str(path)]
            must(f"dependencies ({lock})", [python, *PIP, *options])
            stamps.mark_done(lock, key)
    key = digest(ROOT, native_sources(ROOT), home)
    if not (stamps.is_done("project", key) and has_module()):
        options = ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]
        must("the project, with its native part", [python, *PIP, *options])
        stamps.mark_done("project", key)
    print(f"== set up in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
