"""The environments of client programs hold what the tests of clients count on."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import environments
from tests.support.environments import BuildFailed, environment, jars

VERSIONS = "from importlib.metadata import version; import sys; print(*map(version, sys.argv[1:]))"

PINNED = {
    "lakefs": ["lakefs-client", "lakefs-spec"],
    "duckdb-httpfs": ["duckdb", "duckdb-extension-httpfs"],
    "spark33": ["pyspark"],
    "spark43": ["pyspark"],
}


def pinned(lock: str, package: str) -> str:
    text = (environments.REQUIREMENTS / f"{lock}.txt").read_text()
    found = re.search(rf"^{package}==(\S+)", text, re.MULTILINE)
    assert found is not None, package
    return found.group(1)


@pytest.mark.slow
@pytest.mark.timeout(environments.BUILD_TIMEOUT_S)
@pytest.mark.parametrize("name", environments.ENVIRONMENTS)
def test_an_environment_holds_what_its_lock_says(tmp_path: Path, name: str) -> None:
    script = tmp_path / "versions.py"
    script.write_text(VERSIONS)
    packages = PINNED.get(name, [])
    result = environment(name).run(script, *packages)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == [pinned(name, package) for package in packages]


@pytest.mark.slow
@pytest.mark.timeout(environments.BUILD_TIMEOUT_S)
@pytest.mark.parametrize("name", [name for name in environments.JARS if "spark" in name])
def test_the_jars_are_of_the_hadoop_inside_spark(name: str) -> None:
    home = environment(name).python.parents[1]
    (client,) = home.glob("lib/*/site-packages/pyspark/jars/hadoop-client-api-*.jar")
    version = client.stem.removeprefix("hadoop-client-api-")
    assert f"hadoop-aws-{version}.jar" in {jar.name for jar in jars(name)}


def test_variables_of_the_caller_do_not_reach_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1")
    script = tmp_path / "show.py"
    script.write_text(
        "import os\nprint(sorted(n for n in os.environ if n[:4] in ('AWS_', 'HTTP')))"
    )
    here = environments.Environment(name="here", python=Path(sys.executable))
    result = here.run(script, env={"AWS_REGION": "us-east-1"})
    assert "AWS_REGION" in result.stdout
    assert "AWS_PROFILE" not in result.stdout
    assert "HTTP_PROXY" not in result.stdout


def test_a_client_that_hangs_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "hang.py"
    script.write_text("import threading\nthreading.Event().wait()")
    here = environments.Environment(name="here", python=Path(sys.executable))
    with pytest.raises(subprocess.TimeoutExpired):
        here.run(script, timeout_s=1.0)


def test_many_builders_build_once(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(target: Path) -> None:
        target.mkdir()
        built.append(target)

    folder = tmp_path / "environments" / "a-0123"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: environments.find_or_build(folder, build), range(8)))
    assert (found, built) == ({folder}, [folder])


def test_what_was_left_half_built_is_built_afresh(tmp_path: Path) -> None:
    folder = tmp_path / "a-0123"

    def fail(target: Path) -> None:
        target.mkdir()
        (target / "half").touch()
        raise BuildFailed("no line to the registry")

    with pytest.raises(BuildFailed):
        environments.find_or_build(folder, fail)
    environments.find_or_build(folder, Path.mkdir)
    assert not (folder / "half").exists()
