"""Durable small puts through the whole write path: segment, fsync, SQLite, group commit.

    python bench/storage.py [DIRECTORY] [--seconds N] [--profile]

Each put is 4 KiB under a fresh key, placed by the local block store and published with a second KV
row, as a staging row would be. Prints puts per second and latencies for 1, 16 and 64 callers, in
threads and in asyncio tasks; then the cost of single reads.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import secrets
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.disk import Disk
from anabranch.storage.kv.base import Prepared, is_version, put
from anabranch.storage.kv.sqlite import SqliteKV
from anabranch.storage.kv.writer import GroupWriter

DATA = bytes(4_096)
ETAG = "0" * 32
CALLERS = (1, 16, 64)
SEGMENT_BYTES = 16 << 20
Run = Callable[[int, float], list[float]]
"""Callers, seconds -> latencies in seconds."""


class SystemTime:
    """The machine's clock and random ids."""

    def now_ns(self) -> int:
        return time.time_ns()

    def hex32(self) -> str:
        return secrets.token_hex(16)


class Store:
    """A store in a directory, with one branch record that every put has as a condition."""

    def __init__(self, directory: Path) -> None:
        system = SystemTime()
        self.kv = SqliteKV(directory / "kv.db")
        self.blocks = LocalBlocks(directory / "blocks", self.kv, system, system)
        self.writer = GroupWriter(self.kv, self.blocks.flush)
        branch = Prepared((), (put(b"branch", b"record"),), lambda verdict: verdict.version)
        self.condition = is_version(b"branch", self.writer.submit(lambda: branch))

    def prepare(self, name: str) -> Prepared[None]:
        placed = self.blocks.put(f"s3://bucket/{name}", DATA, etag=ETAG)
        row = put(f"staging/{name}".encode(), bytes(120))
        return Prepared(
            (self.condition,), (*placed.writes, row), lambda verdict: None, placed.windows
        )

    def close(self) -> None:
        self.writer.close()
        self.blocks.close()
        self.kv.close()


def always(prepared: Prepared[None]) -> Callable[[], Prepared[None]]:
    """Return a `make` for a step that is never refused."""
    return lambda: prepared


def in_threads(store: Store, callers: int, seconds: float) -> list[float]:
    """Return the latencies of all puts of `callers` threads."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    def call(number: int) -> None:
        count = 0
        start = time.perf_counter()
        while start < end:
            count += 1
            prepared = store.prepare(f"{number}/{count}/{start}")
            store.writer.submit(always(prepared))
            now = time.perf_counter()
            latencies.append(now - start)
            start = now

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


def in_tasks(store: Store, callers: int, seconds: float) -> list[float]:
    """Return the latencies of all puts of `callers` tasks of one loop."""
    latencies: list[float] = []

    async def call(number: int, end: float) -> None:
        count = 0
        start = time.perf_counter()
        while start < end:
            count += 1
            prepared = store.prepare(f"{number}/{count}/{start}")
            await store.writer.submit_async(always(prepared))
            now = time.perf_counter()
            latencies.append(now - start)
            start = now

    async def run() -> None:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(call(number, end) for number in range(callers)))

    asyncio.run(run())
    return latencies


def report(name: str, callers: int, seconds: float, run: Run) -> None:
    """Measure and print one line of results."""
    cpu = time.process_time()
    ordered = sorted(run(callers, seconds))
    cpu = time.process_time() - cpu
    print(
        f"{name:8} {callers:3} {len(ordered) / seconds:8,.0f} /s"
        f"  p50 {1e3 * statistics.median(ordered):6.2f} ms"
        f"  p99 {1e3 * ordered[int(len(ordered) * 0.99)]:6.2f} ms"
        f"  {1e6 * cpu / len(ordered):5.0f} us of CPU each"
    )


def time_call(name: str, act: Callable[[], object], count: int = 20_000) -> None:
    """Print the time of one call."""
    start = time.thread_time()
    for _ in range(count):
        act()
    print(f"{name:32} {1e6 * (time.thread_time() - start) / count:7.2f} us of CPU")


def read_costs(store: Store) -> None:
    """Print what single reads cost when everything is cached."""
    name = "reads/one"
    prepared = store.prepare(name)
    store.writer.submit(lambda: prepared)
    block = store.blocks.get(f"s3://bucket/{name}")
    key = f"staging/{name}".encode()
    time_call("kv.read, one key", lambda: store.kv.read((key,)))
    time_call("kv.read, two keys", lambda: store.kv.read((key, b"branch")))
    time_call("blocks.get", lambda: store.blocks.get(f"s3://bucket/{name}"))
    time_call("blocks.read_now, 4 KiB", lambda: store.blocks.read_now(block, 0, 4_096))
    time_call("blocks.read, 4 KiB", lambda: store.blocks.read(block, 0, 4_096))
    large = bytes(1 << 20)
    placed = store.blocks.put("s3://bucket/large", large, etag=ETAG)
    time_call(
        "blocks.read_now, 1 MiB", lambda: store.blocks.read_now(placed.block, 0, 1 << 20), 500
    )
    time_call("blocks.read, 1 MiB", lambda: store.blocks.read(placed.block, 0, 1 << 20), 500)


class Bound:
    """The same work without the code: a batch written and synced, then one raw commit."""

    def __init__(self, directory: Path) -> None:
        self.disk = Disk()
        self.descriptor = self.disk.create(directory / "segment")
        self.disk.write(self.descriptor, (bytes(SEGMENT_BYTES),), 0)
        self.disk.sync(self.descriptor)
        self.connection = apsw.Connection(str(directory / "bound.db"))
        self.connection.execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE rows (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
        ).fetchall()
        self.offset = 0
        self.count = 0

    def run(self, callers: int, seconds: float) -> list[float]:
        latencies: list[float] = []
        end = time.perf_counter() + seconds
        start = time.perf_counter()
        while start < end:
            self.offset = (self.offset + callers * len(DATA)) % (SEGMENT_BYTES // 2)
            self.disk.write(self.descriptor, (DATA,) * callers, self.offset)
            self.disk.sync(self.descriptor)
            rows = []
            for _ in range(callers):
                self.count += 1
                name = f"{self.count * 7919 % 100_000_007}".encode()
                rows += [(b"blocks/" + name, bytes(90)), (b"staging/" + name, bytes(120))]
            self.connection.execute("BEGIN IMMEDIATE").fetchall()
            self.connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
            self.connection.execute("COMMIT").fetchall()
            now = time.perf_counter()
            latencies += [now - start] * callers
            start = now
        return latencies

    def close(self) -> None:
        os.close(self.descriptor)
        self.connection.close()


def main() -> None:
    """Run everything in a directory that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="on the disk to measure")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--profile", action="store_true", help="profile 64 tasks")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="anabranch-bench-", dir=options.directory))
    try:
        bound = Bound(directory)
        store = Store(directory)
        in_tasks(store, 16, options.seconds)  # the WAL grows, the first filled segment is made
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(in_tasks, store, 64, options.seconds)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        runs: dict[str, Run] = {
            "bound": bound.run,
            "threads": lambda callers, seconds: in_threads(store, callers, seconds),
            "tasks": lambda callers, seconds: in_tasks(store, callers, seconds),
        }
        for callers in CALLERS:
            for _ in range(2):  # interleaved, because other programs share the machine
                for name, run in runs.items():
                    report(name, callers, options.seconds, run)
        bound.close()
        read_costs(store)
        store.close()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
