"""Repositories of a million objects, imported from local folders, and changes to them.

Two sets of names: `plain` is lakeFS's own benchmark (1,000 folders `data/dNNN/` of 1,000 empty
files `fNNN.bin`), `spark` has the names of parts that Spark writes. The folders are made once,
under `.cache/bench-lake/`, and kept.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anabranch.client.transport import Transport
from bench.generating import Load, Outcome, Pool, Step, drive
from bench.samples import ROOT, WrongAnswer
from bench.servers import Server
from bench.signing import rest_head

SOURCES = ROOT / ".cache" / "bench-lake"
_FOLDER_FILES = 1_000
_POLL_S = 0.02
_MARK = ".complete"

Name = Callable[[int, int], str]


def plain_name(folder: int, file: int) -> str:
    """Return a path as in lakeFS's benchmark."""
    return f"data/d{folder:03}/f{file:03}.bin"


def spark_name(folder: int, file: int) -> str:
    """Return a path as Spark writes it: one id a job, and a part's number."""
    job = uuid.uuid5(uuid.NAMESPACE_OID, str(folder))
    day = f"2026-{folder // 28 % 12 + 1:02}-{folder % 28 + 1:02}"
    part = f"part-{file:05}-{job}.c000.snappy.parquet"
    return f"sales/day={day}/hour={folder // 336:02}/{part}"


NAMES: dict[str, Name] = {"plain": plain_name, "spark": spark_name}


def make_source(kind: str, folders: int) -> Path:
    """Return the local folder with the files of a set; make it at first use."""
    root = SOURCES / f"{kind}-{folders}"
    if (root / _MARK).exists():
        return root / "files"
    name = NAMES[kind]
    for folder in range(folders):
        parent = (root / "files" / name(folder, 0)).parent
        parent.mkdir(parents=True, exist_ok=True)
        for file in range(_FOLDER_FILES):
            os.close(os.open(root / "files" / name(folder, file), os.O_CREAT | os.O_WRONLY, 0o600))
    (root / _MARK).touch()
    return root / "files"


@dataclass(slots=True)
class Objects:
    """A repository of `folders` times 1,000 objects on `server`."""

    server: Server
    kind: str
    folders: int
    pool: Pool
    round: int = 0
    _names: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return how many objects the base has."""
        return self.folders * _FOLDER_FILES

    @property
    def repository(self) -> str:
        """Return the repository's name."""
        return f"lake-{self.kind}"

    def name(self, number: int) -> str:
        """Return the path of one object, by its number."""
        return NAMES[self.kind](*divmod(number, _FOLDER_FILES))

    def names_in_order(self) -> list[str]:
        """Return all paths as a list has them."""
        if not self._names:
            self._names = sorted(self.name(number) for number in range(self.count))
        return self._names

    def create(self, rest: Transport) -> None:
        """Make the repository."""
        body = {
            "name": self.repository,
            "storage_namespace": f"local://bench/{self.repository}",
            "default_branch": "main",
        }
        post(rest, ("repositories",), body)

    def load(self, rest: Transport, source: Path, branch: str = "main") -> float:
        """Import a local folder; return the seconds until its commit was there."""
        segments = ("repositories", self.repository, "branches", branch, "import")
        body = {
            "paths": [{"type": "common_prefix", "path": f"local://{source}/", "destination": ""}],
            "commit": {"message": "the base"},
        }
        started = time.perf_counter()
        asked = {"id": str(post(rest, segments, body)["id"])}
        while True:
            _, data = rest.call("GET", segments, asked)
            status = json.loads(data)
            if "error" in status:
                raise WrongAnswer(f"the import failed: {status['error']}")
            if status["completed"]:
                break
            time.sleep(_POLL_S)
        spent = time.perf_counter() - started
        if status["ingested_objects"] != self.count:
            raise WrongAnswer(f"the import took {status['ingested_objects']} of {self.count}")
        return spent

    def branch(self, rest: Transport, name: str, source: str = "main") -> str:
        """Make a branch; return its name."""
        segments = ("repositories", self.repository, "branches")
        rest.call("POST", segments, None, _json({"name": name, "source": source}))
        return name

    def change(self, branch: str, paths: Iterator[str] | list[str], clients: int = 16) -> Outcome:
        """Upload a few bytes by REST to each path, other ones than any time before."""
        self.round += 1
        steps = [
            Step(self._upload_head(branch, path), self.pool.span(self.round * 7 + at, 8))
            for at, path in enumerate(paths)
        ]
        return drive(self.server.address, steps, self.pool, Load(clients), "staging")

    def _upload_head(self, branch: str, path: str) -> bytes:
        target = f"/repositories/{self.repository}/branches/{branch}/objects"
        asked = quote(path, safe="")
        return rest_head(self.server.address, "POST", f"{target}?path={asked}", length=8)

    def commit(self, rest: Transport, branch: str) -> tuple[float, str]:
        """Commit; return the seconds and the commit's id."""
        segments = ("repositories", self.repository, "branches", branch, "commits")
        started = time.perf_counter()
        made = post(rest, segments, {"message": "a change"})
        return time.perf_counter() - started, str(made["id"])


def post(rest: Transport, segments: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
    """Send JSON, return JSON; a refusal raises."""
    _, data = rest.call("POST", segments, None, _json(body))
    found: dict[str, Any] = json.loads(data)
    return found


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def spread(objects: Objects, count: int, shift: int = 0) -> list[str]:
    """Return `count` paths at equal distances over everything, beginning at `shift`."""
    step = objects.count // count
    return [objects.name((at * step + shift) % objects.count) for at in range(count)]


def in_folder(objects: Objects, count: int, shift: int = 0) -> list[str]:
    """Return `count` fresh paths in one folder, which ones and where depends on `shift`."""
    folder = (objects.folders // 2 + shift) % objects.folders
    parent = objects.name(folder * _FOLDER_FILES).rpartition("/")[0]
    return [f"{parent}/n{shift:03}-{at:04}.bin" for at in range(count)]
