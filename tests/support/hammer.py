"""One process of the hammer: `python -m tests.support.hammer DIRECTORY ROLE SECONDS`.

Prints one JSON object at the end: what was acknowledged, and what went wrong.
"""

from __future__ import annotations

import json
import random
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TextIO

from anabranch.kernel.errors import Conflict, NotFound, Unavailable
from anabranch.kernel.ids import BranchId, Path, Ref, RepositoryId
from anabranch.lake import Lake
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.sqlite import SqliteKV
from anabranch.storage.kv.writer import GroupWriter

REPOSITORY = RepositoryId("animals")
MAIN = BranchId("main")
HOT = 20
WRITER_THREADS = 4


class Clock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        return time.time_ns()


class Ids:
    """The machine's randomness."""

    def hex32(self) -> str:
        """Return 32 random hex digits."""
        return secrets.token_hex(16)


@contextmanager
def open_lake(directory: FilePath) -> Iterator[Lake]:
    """Open the lake of a directory, as each process of a server does."""
    clock, ids = Clock(), Ids()
    kv = SqliteKV(directory / "kv.db")
    blocks = LocalBlocks(directory / "blocks", kv, clock, ids, segment_bytes=4 * 1024**2)
    writer = GroupWriter(kv, blocks.flush, ids=ids)
    lake = Lake(kv, blocks, writer, clock=clock, ids=ids)
    try:
        yield lake
    finally:
        lake.close()
        writer.close()
        blocks.close()
        kv.close()


@dataclass(slots=True)
class Report:
    """What a process did."""

    log: TextIO
    acknowledged: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def acknowledge(self, path: str) -> None:
        """Remember that a path was put, in the log too, which outlives the process."""
        self.acknowledged.append(path)
        self.log.write(f"{path}\n")
        self.log.flush()


def put(lake: Lake, branch: BranchId, path: str, data: bytes) -> None:
    """Put an object durably."""
    target = lake.objects.writable(REPOSITORY, branch)
    body = lake.bodies.open(target.repository)
    body.write(data)
    make = lake.objects.making_put(target, Path(path), body, content_type="text/plain")
    lake.writer.submit(make)


def paths(lake: Lake, ref: str, prefix: str = "") -> list[str]:
    """Return all paths under a prefix."""
    resolved = lake.resolve.resolve(REPOSITORY, Ref(ref))
    found: list[str] = []
    after = ""
    while True:
        page = lake.listing.page(resolved, prefix=prefix, after=after, amount=1_000)
        found += [item.path for item in page.items]
        if page.next_after is None:
            return found
        after = page.next_after


Role = Callable[[Lake, Report, Callable[[], bool]], None]


def writer(lake: Lake, report: Report, goes_on: Callable[[], bool]) -> None:
    """Put new paths and, over and over, the hot ones, from several threads."""
    name = secrets.token_hex(4)

    def write(thread: int) -> None:
        number = 0
        while goes_on():
            path = f"w/{name}-{thread}-{number}"
            put(lake, MAIN, path, path.encode())
            report.acknowledge(path)
            put(lake, MAIN, f"hot/{number % HOT}", path.encode())
            number += 1
            report.counts["puts"] += 2

    threads = [threading.Thread(target=write, args=(one,)) for one in range(WRITER_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def committer(lake: Lake, report: Report, goes_on: Callable[[], bool]) -> None:
    """Commit what is there."""
    while goes_on():
        try:
            lake.commits.create(REPOSITORY, MAIN, message="hammer", committer="tests")
            report.counts["commits"] += 1
        except Conflict as error:
            report.counts[f"commit: {error.kind}"] += 1


def merger(lake: Lake, report: Report, goes_on: Callable[[], bool]) -> None:
    """Bring branches of its own into the main one."""
    name = secrets.token_hex(4)
    number = 0
    while goes_on():
        branch = BranchId(f"m-{name}-{number}")
        lake.branches.create(REPOSITORY, branch, Ref("main"))
        path = f"m/{name}-{number}"
        put(lake, branch, path, path.encode())
        lake.commits.create(REPOSITORY, branch, message="one", committer="tests")
        while goes_on():
            try:
                lake.merges.merge(REPOSITORY, Ref(branch), MAIN, committer="tests")
            except Conflict as error:
                report.counts[f"merge: {error.kind}"] += 1
                _try_commit(lake)
            else:
                report.acknowledge(path)
                report.counts["merges"] += 1
                break
        lake.branches.delete(REPOSITORY, branch)
        number += 1


def _try_commit(lake: Lake) -> None:
    try:
        lake.commits.create(REPOSITORY, MAIN, message="before a merge", committer="tests")
    except Conflict:
        return


def resetter(lake: Lake, report: Report, goes_on: Callable[[], bool]) -> None:
    """Forget what it puts under one prefix, while others put elsewhere."""
    number = 0
    while goes_on():
        put(lake, MAIN, f"reset/{number % 7}", b"x")
        try:
            lake.branches.reset_prefix(REPOSITORY, MAIN, "reset/")
            report.counts["resets"] += 1
        except Conflict as error:
            report.counts[f"reset: {error.kind}"] += 1
        number += 1


def reader(lake: Lake, report: Report, goes_on: Callable[[], bool]) -> None:
    """Read paths that were never absent since they were first there."""
    choose = random.Random(secrets.randbits(64))
    known: list[str] = []
    while goes_on():
        resolved = lake.resolve.resolve(REPOSITORY, Ref("main"))
        for _ in range(20):
            path = f"hot/{choose.randrange(HOT)}"
            if known and choose.random() < 0.5:
                path = choose.choice(known)
            found = lake.objects.find(resolved, Path(path))
            if found is None:
                report.wrong.append(f"404 of {path}")
                continue
            block = lake.objects.block(found)
            data = lake.blocks.read(block, 0, block.size_bytes)
            if path.startswith("w/") and data != path.encode():
                report.wrong.append(f"{path} holds {data!r}")
            report.counts["reads"] += 1
        hot = paths(lake, "main", "hot/")
        if len(hot) != HOT:
            report.wrong.append(f"a listing shows {len(hot)} of {HOT}")
        page = lake.listing.page(resolved, prefix="w/", amount=500)
        gone = set(known) - {item.path for item in page.items}
        if gone and page.next_after is None:
            report.wrong.append(f"a listing misses {sorted(gone)[:3]}")
        known = [item.path for item in page.items][:500]
        report.counts["listings"] += 2


def sweeper(lake: Lake, report: Report, goes_on: Callable[[], bool]) -> None:
    """Delete rows of dropped tokens at once, without their hour of grace."""
    while goes_on():
        now_us = lake.kv.now_us() + 2 * 3_600 * 1_000_000
        report.counts["swept"] += lake.staging.sweep_dropped(now_us=now_us)
        report.counts["sweeps"] += 1
        time.sleep(0.05)


ROLES: dict[str, Role] = {
    "writer": writer,
    "committer": committer,
    "merger": merger,
    "resetter": resetter,
    "reader": reader,
    "sweeper": sweeper,
}


def main(directory: str, role: str, seconds: str) -> None:
    """Play one role for so many seconds."""
    end = time.monotonic() + float(seconds)
    log = FilePath(directory) / f"acknowledged-{secrets.token_hex(8)}"
    with log.open("w") as file, open_lake(FilePath(directory)) as lake:
        report = Report(file)
        try:
            ROLES[role](lake, report, lambda: time.monotonic() < end)
        except (Conflict, NotFound, Unavailable) as error:
            report.wrong.append(f"{role}: {error.kind}: {error}")
    print(
        json.dumps(
            {
                "acknowledged": report.acknowledged,
                "wrong": report.wrong,
                "counts": dict(report.counts),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
