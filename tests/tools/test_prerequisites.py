"""What is missing is named before anything starts, all of it at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "prerequisites.sh"
SHELL_NEEDS = ("sh", "dirname", "grep")
PROGRAMS = ("git", "cargo", "rustc", "cc", "mvn", "java")
JAVA = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that has every prerequisite, and nothing else."""
    for name in SHELL_NEEDS:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name in PROGRAMS:
        (tmp_path / name).write_text(f"#!/bin/sh\n{JAVA if name == 'java' else ':'}\n")
    for name in ("python3", *PROGRAMS):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def missing(programs: Path, level: str, **env: str) -> tuple[int, list[str]]:
    result = subprocess.run(
        [str(programs / "sh"), str(SCRIPT), level],
        env={"PATH": str(programs), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == ""
    return result.returncode, result.stderr.splitlines()


@pytest.mark.parametrize("level", ["python", "build", "check"])
def test_nothing_is_said_when_all_is_there(programs: Path, level: str) -> None:
    assert missing(programs, level) == (0, [])


@pytest.mark.parametrize("name", ["git", "cargo", "rustc", "cc"])
def test_a_build_names_what_it_lacks(programs: Path, name: str) -> None:
    (programs / name).unlink()
    status, lines = missing(programs, "build")
    assert status == 1
    assert len(lines) == 1
    assert name in lines[0]


def test_all_that_is_missing_is_named_at_once(programs: Path) -> None:
    for name in ("python3", *PROGRAMS):
        (programs / name).unlink()
    status, lines = missing(programs, "check")
    assert status == 1
    words = " ".join(lines)
    assert [
        name
        for name in ("Python 3.11", "git", "cargo", "cc", "java 17", "mvn")
        if name not in words
    ] == []


def test_a_server_needs_no_java(programs: Path) -> None:
    for name in ("java", "mvn"):
        (programs / name).unlink()
    assert missing(programs, "build") == (0, [])


def test_another_java_is_not_java_17(programs: Path) -> None:
    (programs / "java").write_text(f"#!/bin/sh\n{JAVA.replace('17', '21')}\n")
    status, lines = missing(programs, "check")
    assert (status, len(lines)) == (1, 1)


def test_java_home_comes_before_the_path(programs: Path) -> None:
    status, lines = missing(programs, "check", JAVA_HOME=str(programs / "nowhere"))
    assert (status, len(lines)) == (1, 1)


def test_an_old_python_is_passed_over(programs: Path) -> None:
    (programs / "python3.11").write_text((programs / "python3").read_text())
    (programs / "python3.11").chmod(0o755)
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    assert missing(programs, "python") == (0, [])
