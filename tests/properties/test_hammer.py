"""Many processes over one directory at once: no acknowledged write is lost, none ever missing."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path as FilePath

import pytest

from anabranch.kernel.errors import Conflict
from anabranch.kernel.ids import Namespace, Path, Ref
from tests.support.hammer import HOT, MAIN, REPOSITORY, open_lake, paths, put

ROOT = FilePath(__file__).parents[2]


def create(directory: FilePath) -> None:
    """Make a lake whose hot paths are never absent from here on."""
    with open_lake(directory) as lake:
        lake.repositories.create(REPOSITORY, Namespace("local://hammer"), committer="tests")
        for number in range(HOT):
            put(lake, MAIN, f"hot/{number}", b"first")


def start(directory: FilePath, role: str, seconds: float) -> "subprocess.Popen[str]":
    """Start a process that plays a role."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.hammer", str(directory), role, str(seconds)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(directory: FilePath, roles: list[str], seconds: float) -> dict[str, list[str]]:
    """Let processes hammer a lake; return what all acknowledged and what went wrong."""
    create(directory)
    started = [start(directory, role, seconds) for role in roles]
    answers: dict[str, list[str]] = {"acknowledged": [], "wrong": []}
    try:
        for role, process in zip(roles, started, strict=True):
            out, err = process.communicate(timeout=seconds + 60)
            if process.returncode:
                answers["wrong"].append(f"{role} ended with {process.returncode}: {err[-2_000:]}")
                continue
            report = json.loads(out)
            print(role, report["counts"])
            answers["acknowledged"] += report["acknowledged"]
            answers["wrong"] += [f"{role}: {one}" for one in report["wrong"]]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return answers


def check(directory: FilePath, answers: dict[str, list[str]]) -> None:
    assert answers["wrong"] == []
    with open_lake(directory) as lake:
        lost = set(answers["acknowledged"]) - set(paths(lake, "main"))
        assert not lost, f"{len(lost)} acknowledged writes are lost"
        # The committer may have taken everything already.
        with contextlib.suppress(Conflict):
            lake.commits.create(REPOSITORY, MAIN, message="last", committer="tests")
        lost = set(answers["acknowledged"]) - set(paths(lake, "main@"))
        assert not lost, f"{len(lost)} acknowledged writes are in no commit"


@pytest.mark.slow
def test_processes_that_do_everything_at_once_lose_nothing(tmp_path: FilePath) -> None:
    roles = ["writer", "writer", "committer", "merger", "resetter", "reader", "sweeper"]
    answers = run(tmp_path, roles, 20)
    assert len(answers["acknowledged"]) > 100
    check(tmp_path, answers)


@pytest.mark.slow
def test_two_committers_and_a_writer_lose_nothing(tmp_path: FilePath) -> None:
    answers = run(tmp_path, ["writer", "committer", "committer", "reader"], 5)
    assert len(answers["acknowledged"]) > 20
    check(tmp_path, answers)


@pytest.mark.slow
def test_processes_killed_at_any_moment_lose_nothing_acknowledged(tmp_path: FilePath) -> None:
    create(tmp_path)
    for pause_s in (1.5, 2.0, 2.5):
        roles = ["writer", "committer", "resetter"]
        started = [start(tmp_path, role, 60) for role in roles]
        with contextlib.suppress(subprocess.TimeoutExpired):
            started[0].wait(timeout=pause_s)
        for process in started:
            process.kill()
            process.communicate()
        logs = [file.read_text() for file in tmp_path.glob("acknowledged-*")]
        # A line without its end was not yet acknowledged as a whole.
        acknowledged = [line for log in logs for line in log.split("\n")[:-1]]
        with open_lake(tmp_path) as lake:
            resolved = lake.resolve.resolve(REPOSITORY, Ref("main"))
            lost = set(acknowledged) - set(paths(lake, "main"))
            assert not lost, f"{len(lost)} acknowledged writes are lost"
            for path in paths(lake, "main", "w/"):
                stat = lake.objects.stat(resolved, Path(path))
                block = lake.objects.block(stat)
                assert lake.blocks.read(block, 0, block.size_bytes) == path.encode()
    assert len(acknowledged) > 20
