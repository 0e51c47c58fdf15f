"""Environments of their own for client programs, because clients exclude each other.

An environment is a virtual environment made from one lock of `requirements/`, or a folder of jars
made from one pom of `tests/clients/`. Each is built once under `.cache/`, in a folder whose
name holds the hash of what it was made from: a changed lock makes a new folder, an unchanged one
is found as it is. A file lock serialises builders; a folder without its mark is built afresh.

`python -m tests.support.environments` builds them all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
REQUIREMENTS = ROOT / "requirements"
POMS = ROOT / "tests" / "clients"

ENVIRONMENTS = ("lakefs", "spark33", "spark43", "clients", "mysql", "s3fs", "duckdb-httpfs")
ON_DEMAND = ("bench",)
"""Environments that nothing of `make check` needs: built when asked for by name."""
JARS = {
    "spark33": "spark/spark33",
    "spark43": "spark/spark43",
    "connectorj": "mysql/connectorj",
    "hdfs": "hdfs",
}

BUILD_TIMEOUT_S = 1_500.0  # half a gigabyte of Spark over a slow line, on a shared machine
RUN_TIMEOUT_S = 300.0  # a client program that takes longer hangs
OUTPUT_LINES_MAX = 40  # what a failure shows of an installer's output
HASH_LENGTH = 12  # of the hexadecimal digits in a folder's name


class BuildFailed(Exception):
    """An environment could not be built; the message ends with what the installer said."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment made from the lock `name`; `python` is its interpreter."""

    name: str
    python: Path

    def run(
        self,
        script: Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = RUN_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run `script` with this environment's interpreter; return its output, whatever its status.

        `env` is added to a small, known set of variables; settings of the caller's shell do not
        reach the client. After `timeout_s` the process is killed: `subprocess.TimeoutExpired`.
        """
        return subprocess.run(
            [str(self.python), str(script), *args],
            env=client_env(self.python, env or {}),
            cwd=cwd,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def client_env(python: Path, added: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a client process: where programs are, UTC, no proxy, no profile."""
    inherited = ("HOME", "TMPDIR", "JAVA_HOME")
    kept = {name: os.environ[name] for name in inherited if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)]),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **added,
    }


def environment(name: str) -> Environment:
    """Return the environment of `requirements/NAME.txt`, built if the present lock has none."""
    locks = [REQUIREMENTS / "build.txt", REQUIREMENTS / f"{name}.txt"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # The folder's own path counts too: a virtual environment cannot be moved.
    key = _hash(*(lock.read_bytes() for lock in locks), version.encode(), os.fsencode(CACHE))
    folder = find_or_build(
        CACHE / "environments" / f"{name}-{key}", lambda target: _install(target, locks)
    )
    return Environment(name=name, python=folder / "bin" / "python")


def jars(name: str) -> list[Path]:
    """Return the jars that a pom of `tests/clients` stands for, sorted by file name."""
    pom = POMS / JARS[name] / "pom.xml"
    folder = find_or_build(
        CACHE / "jars" / f"{name}-{_hash(pom.read_bytes())}",
        lambda target: _copy_dependencies(target, pom),
    )
    return sorted(folder.glob("*.jar"))


def _install(target: Path, locks: list[Path]) -> None:
    _call([sys.executable, "-m", "venv", str(target)])
    # Byte code is left to the first run: most of a big package is never imported.
    pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    pip += ["--disable-pip-version-check", "--no-input", "--no-build-isolation"]
    # The first lock holds what builds source distributions: they get known versions of it.
    for lock in locks:
        _call([*pip, "--require-hashes", "-r", str(lock)])


def _copy_dependencies(target: Path, pom: Path) -> None:
    options = ["--quiet", "--batch-mode", "--file", str(pom)]
    _call(["mvn", *options, "dependency:copy-dependencies", f"-DoutputDirectory={target}"])
    if not any(target.glob("*.jar")):
        raise BuildFailed(f"{pom.relative_to(ROOT)} gave no jars")


def find_or_build(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, made by `build` if it is not there whole; one builder at a time."""
    done = folder / ".done"
    if done.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            started = time.monotonic()
            build(folder)
            done.touch()
            print(f"{folder.name}: built in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back by the system when the holder dies
        yield


def _call(command: list[str]) -> None:
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-OUTPUT_LINES_MAX:])
        raise BuildFailed(f"{' '.join(command)} ended with {result.returncode}:\n{tail}")


def _hash(*parts: bytes) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()[:HASH_LENGTH]


def main(names: list[str]) -> None:
    """Build the environments and jars called `names`, or all that `make check` needs."""
    for name in names or dict.fromkeys([*ENVIRONMENTS, *JARS]):
        if name in (*ENVIRONMENTS, *ON_DEMAND):
            print(f"{name}: {environment(name).python.relative_to(ROOT)}")
        if name in JARS:
            print(f"{name}: {len(jars(name))} jars")


if __name__ == "__main__":
    main(sys.argv[1:])
