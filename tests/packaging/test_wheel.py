"""`pip install .` gives one wheel that works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tidy.tree import Tree

ROOT = Path(__file__).resolve().parents[2]
BUILD_TIMEOUT_S = 900.0  # a native build from nothing, on a shared machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_TIMEOUT_S)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # pip looks for the build backend's program where it looks for any other.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps"]
    built = subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.iterdir()
    return wheel


def run_unpacked(wheel: Path, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the unpacked wheel: dependencies are ours, the package is the wheel's."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_wheel_fits_every_python_from_3_11(wheel: Path) -> None:
    assert wheel.name.startswith("anabranch-")
    assert "-cp311-abi3-" in wheel.name


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = {
        path.removeprefix("src/") for path in Tree(ROOT).paths if path.startswith("src/anabranch/")
    }
    assert held - ours == {"anabranch/_native.abi3.so"}
    assert ours - held == set()


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    program = "import anabranch, anabranch._native as n; print(anabranch.__file__, n.__file__)"
    shown = run_unpacked(wheel, tmp_path, "-c", program)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [Path(path).parent for path in shown.stdout.split()] == [tmp_path / "anabranch"] * 2


def test_the_wheel_runs_as_a_program(wheel: Path, tmp_path: Path) -> None:
    shown = run_unpacked(wheel, tmp_path, "-m", "anabranch", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "serve" in shown.stdout
