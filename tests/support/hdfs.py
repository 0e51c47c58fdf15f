"""A real HDFS with WebHDFS, in one Java process on loopback, for as long as a test needs it."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.environments import POMS, jars

STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Hdfs:
    """A running cluster: the HTTP ports of its name node and of its data node."""

    port: int
    data_port: int


@contextlib.contextmanager
def start_hdfs(folder: Path, files: Mapping[Path, str]) -> Iterator[Hdfs]:
    """Start a cluster under `folder` with local files copied to paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [text for local, path in files.items() for text in (str(local), path)]
    path = ":".join(map(str, jars("hdfs")))
    log = folder / "log"
    with log.open("wb") as errors:
        cluster = subprocess.Popen(
            ["java", "-cp", path, str(POMS / "hdfs" / "Cluster.java"), str(folder / "dfs"), *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
        )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    try:
        said = cluster.stdout.readline().split()
        assert said[:1] == ["http"], log.read_text()
        yield Hdfs(int(said[1]), int(said[2]))
    finally:
        cluster.stdin.close()
        try:
            cluster.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            cluster.kill()
            cluster.wait()
        cluster.stdout.close()
