"""How long builds, commits, diffs, merges and lookups of committed metadata take.

Run: `python -m bench.ranges [entries]`. Files go into a temporary directory and are synced as the
local block store syncs them. "cold" means that no range is decoded in this process; files are in
the page cache. One line for each row: wall time, processor time of all threads, what was written.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from anabranch.kernel.ids import MetarangeId, Namespace
from anabranch.kernel.ranges import CHANGE_SCHEMA, ENTRY_SCHEMA
from anabranch.lake.committed import Committed
from anabranch.lake.range_store import RangeStore
from anabranch.native.ranges import identities
from anabranch.storage.kv.base import Write

T = TypeVar("T")
_NAMESPACE = Namespace("local://bench")
_BATCH_ROWS = 100_000
_CACHE_BYTES = 4 * 1024**3  # "warm" means that every range is decoded, whatever the count


class DirectoryFiles:
    """Range files in one directory: temporary file, fsync, rename, fsync of the directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.written_bytes = 0
        self.written = 0

    def read(self, namespace: Namespace, name: str) -> bytes:
        """Return a file."""
        return (self._root / name).read_bytes()

    def write(self, namespace: Namespace, name: str, data: bytes) -> tuple[Write, ...]:
        """Write a file durably."""
        temporary = self._root / f"{name}.new"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._root / name)
        directory = os.open(self._root, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self.written += 1
        self.written_bytes += len(data)
        return ()


def rows(count: int, source: random.Random) -> pa.RecordBatch:
    """Return entries with the long, partly random names of Spark's files."""
    names = sorted(
        f"tables/t{number * 300 // count:05}/dt=2026-03-{source.randrange(28) + 1:02}/"
        f"part-{number:09}-{uuid.UUID(int=source.getrandbits(128))}.c000.snappy.parquet"
        for number in range(count)
    )
    return columns(names, source)


def columns(names: list[str], source: random.Random) -> pa.RecordBatch:
    """Return entries of the given paths with random values."""
    count = len(names)
    sizes = pa.array([source.randrange(10**8) for _ in names])
    checksums = pa.array([source.randbytes(16).hex() for _ in names])
    types = pa.array(["application/octet-stream"] * count)
    metadata = pa.array(['{"job":"nightly"}' if source.random() < 0.02 else "" for _ in names])
    times = pa.array([1_700_000_000_000_000 + source.randrange(10**12) for _ in names])
    return pa.RecordBatch.from_arrays(
        [
            pa.array(names),
            identities(sizes, checksums, types, metadata),
            pa.array([source.randbytes(16).hex() for _ in names]),
            checksums,
            sizes,
            times.cast(pa.timestamp("us", tz="UTC")),
            types,
            metadata,
            pa.array([""] * count),
        ],
        schema=ENTRY_SCHEMA,
    )


def overwrites(batch: pa.RecordBatch, picked: list[int], source: random.Random) -> pa.RecordBatch:
    """Return changes that overwrite the picked rows."""
    names = batch.column("path").take(pa.array(sorted(picked))).to_pylist()
    return as_changes(columns(names, source))


def as_changes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows as changes."""
    flags = pa.array([False] * len(batch))
    return pa.RecordBatch.from_arrays([*batch.columns, flags], schema=CHANGE_SCHEMA)


class Bench:
    """One repository of `count` entries."""

    def __init__(self, root: Path, count: int) -> None:
        self.source = random.Random(1)
        self.count = count
        self.files = DirectoryFiles(root)
        self.warm = self.open()
        self.batch = rows(count, self.source)

    def open(self) -> Committed:
        """Return committed metadata with empty caches."""
        return Committed(RangeStore(self.files, range_bytes_max=_CACHE_BYTES))

    def timed(self, name: str, call: Callable[[], T], *, repeat: int = 1) -> T:
        """Run, and print the best of some runs."""
        best, used = float("inf"), 0.0
        for _ in range(repeat):
            written, size = self.files.written, self.files.written_bytes
            start, busy = time.perf_counter(), time.process_time()
            found = call()
            took = time.perf_counter() - start
            if took < best:
                best, used = took, time.process_time() - busy
            wrote = f"{self.files.written - written} files, {self.files.written_bytes - size:,} B"
        print(f"{name:44} {best * 1e3:10.3f} ms   cpu {used * 1e3:9.3f} ms   {wrote}", flush=True)
        return found

    def both(self, name: str, call: Callable[[Committed], T]) -> T:
        """Run with empty caches and with full ones."""
        cold = self.open()
        self.timed(f"{name}, cold", lambda: call(cold))
        found = self.timed(f"{name}, warm", lambda: call(cold), repeat=3)
        cold.close()
        return found

    def run(self) -> None:
        """Print every row."""
        base = self.timed("build", self.build)
        print(f"  {len(self.warm.ranges(_NAMESPACE, base, amount=10**6))} ranges")
        picks = {
            1: [self.count // 2],
            1_000: self.source.sample(range(self.count), min(1_000, self.count)),
        }
        heads: dict[int, MetarangeId] = {}
        for size, picked in picks.items():
            changes = overwrites(self.batch, picked, self.source)
            heads[size] = self.commit(f"commit of {size} spread", base, changes)
            tail = sorted(f"~/{self.source.getrandbits(64):016x}" for _ in picked)
            self.commit(f"commit of {size} appended", base, as_changes(columns(tail, self.source)))
        for size, head in heads.items():
            self.both(f"diff of {size}", partial(self.diff, left=base, right=head))
        others = {
            1: [self.count // 2 + 1],
            1_000: self.source.sample(range(self.count), min(1_000, self.count)),
        }
        for size, picked in others.items():
            taken = set(picks[size])
            changes = overwrites(
                self.batch, [row for row in picked if row not in taken], self.source
            )
            dest = self.warm.apply(_NAMESPACE, base, changes).metarange
            merge = partial(self.merge, base=base, source=heads[size], dest=dest)
            self.both(f"merge of {size} and {size}", merge)
        self.reads(base)
        self.warm.close()

    def build(self) -> MetarangeId:
        """Build from sorted batches."""

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, self.count, _BATCH_ROWS):
                yield self.batch.slice(start, _BATCH_ROWS)

        return self.warm.build(_NAMESPACE, batches()).metarange

    def commit(self, name: str, base: MetarangeId, changes: pa.RecordBatch) -> MetarangeId:
        """Apply changes to the base."""
        return self.both(
            name, lambda committed: committed.apply(_NAMESPACE, base, changes).metarange
        )

    def merge(
        self, committed: Committed, base: MetarangeId, source: MetarangeId, dest: MetarangeId
    ) -> bool:
        """Merge, and tell whether nothing conflicted."""
        return committed.merge(_NAMESPACE, base, source, dest).built is not None

    def diff(self, committed: Committed, left: MetarangeId, right: MetarangeId) -> int:
        """Count all differences."""
        return sum(len(batch) for batch in committed.diff(_NAMESPACE, left, right))

    def reads(self, base: MetarangeId) -> None:
        """Look up, page and scan."""
        path = self.batch.column("path")[self.count // 3].as_py()
        cold = self.open()
        self.timed("lookup, cold", lambda: cold.get(_NAMESPACE, base, path))
        self.timed(
            "1,000 lookups of one path, warm",
            lambda: [cold.get(_NAMESPACE, base, path) for _ in range(1_000)],
            repeat=5,
        )
        self.timed(
            "1,000 times first_at_or_after, warm",
            lambda: [cold.first_at_or_after(_NAMESPACE, base, path) for _ in range(1_000)],
            repeat=5,
        )
        self.timed(
            "page of 1,000, warm",
            lambda: cold.page(_NAMESPACE, base, after=path, amount=1_000),
            repeat=5,
        )
        self.timed(
            "scan of everything",
            lambda: sum(len(batch) for batch in cold.scan(_NAMESPACE, base)),
        )
        cold.close()


def main() -> None:
    """Run on as many entries as the command line says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as root:
        Bench(Path(root), count).run()


if __name__ == "__main__":
    main()
