"""Faults and crashes at every step of the stores, beneath the writer.

The script puts objects small and large; what it was told is done must be there afterwards, whole,
whichever step was the last.
"""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind, Unavailable
from anabranch.storage.blocks.base import Placed
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.base import KVStore, Prepared, put, scan_prefix
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.sqlite import SqliteKV
from anabranch.storage.kv.writer import GroupWriter
from tests.contracts.blocks_contract import content
from tests.contracts.kv_contract import get, write
from tests.support.fakes import FakeClock, FakeIds
from tests.support.faults import (
    KILLED,
    Crashed,
    Faults,
    FaultyDisk,
    FaultyKV,
    disk_broken,
    disk_full,
    faulty_vfs,
)

ROOT = Path(__file__).resolve().parents[2]
SIZES = [10, 70_000, 20, 0, 30, 200_000, 40_000, 50]


class Stores:
    """A local block store and a writer over a KV store, with faults beneath both."""

    def __init__(
        self, directory: Path, kv: KVStore, faults: Faults, *, loses_unsynced: bool = False
    ) -> None:
        self.kv = FaultyKV(kv, faults)
        self.ids = FakeIds(f"ids of {len(list(directory.rglob('*')))}")
        self.blocks = LocalBlocks(
            directory / "blocks",
            self.kv,
            FakeClock(),
            self.ids,
            disk=FaultyDisk(faults, loses_unsynced=loses_unsynced),
            segment_bytes=limits.SMALL_OBJECT_BYTES_MAX,
            prepares_segments=False,
        )
        self.writer = GroupWriter(self.kv, self.blocks.flush)

    def put(self, address: str, data: bytes) -> None:
        """Put an object durably, reserving anew when its place is lost."""
        placed: list[Placed] = []

        def make() -> Prepared[None]:
            if not placed or placed[-1].is_lost:
                placed.append(self.blocks.put(address, data, etag="e"))
            one = placed[-1]
            return Prepared((), one.writes, lambda _: None, one.windows)

        self.writer.submit(make)

    def close(self) -> None:
        """Release everything."""
        self.writer.close()
        self.blocks.close()


def run_script(directory: Path, kv: KVStore, faults: Faults, **options: bool) -> list[int]:
    """Put all objects until the end or the crash; return the sizes that were acknowledged."""
    done: list[int] = []
    stores: Stores | None = None
    try:
        stores = Stores(directory, kv, faults, **options)
        for number, size in enumerate(SIZES):
            stores.put(f"s3://b/{number}", content(size))
            done.append(size)
    except Crashed:
        pass
    except Unavailable:
        assert faults.has_crashed, "only a crash may fail this script"
    finally:
        if stores is not None:
            with contextlib.suppress(Crashed):
                stores.close()
    return done


def check(directory: Path, kv: KVStore, done: list[int]) -> None:
    """Open the store as a new process would, and read everything that exists."""
    blocks = LocalBlocks(
        directory / "blocks", kv, FakeClock(), FakeIds("later"), prepares_segments=False
    )
    page = blocks.list("b", prefix="", after="", amount=100)
    names = {block.address: block for block in page.items}
    for number in range(len(done)):
        assert f"s3://b/{number}" in names, "an acknowledged object is gone"
    for block in page.items:
        size = SIZES[int(block.address.removeprefix("s3://b/"))]
        assert blocks.read(block, 0, block.size_bytes) == content(size), "a half visible object"
    blocks.close()


@pytest.mark.parametrize("loses_unsynced", [False, True], ids=["killed", "power cut"])
def test_a_crash_at_any_step_loses_nothing_acknowledged(
    tmp_path: Path, loses_unsynced: bool
) -> None:
    whole = Faults()
    kv = MemoryKV()
    assert run_script(tmp_path, kv, whole, loses_unsynced=loses_unsynced) == SIZES
    check(tmp_path, kv, SIZES)
    assert {"create", "write", "sync", "sync directory", "rename", "apply", "applied"} <= set(
        whole.steps
    )
    for number in range(1, whole.count() + 1):
        directory = tmp_path / f"at-{number}"
        directory.mkdir()
        kv = MemoryKV()
        faults = Faults(crash_at=number)
        done = run_script(directory, kv, faults, loses_unsynced=loses_unsynced)
        assert faults.has_crashed
        check(directory, kv, done)


_KILLED = """
import sys
from pathlib import Path
from anabranch.storage.kv.sqlite import SqliteKV
from tests.storage.test_faults import SIZES, Stores, content
from tests.support.faults import Faults, faulty_vfs
directory = Path(sys.argv[1])
faults = Faults(crash_at=int(sys.argv[2]) or None, kills=True)
stores = Stores(directory, SqliteKV(directory / "kv.db", vfs=faulty_vfs(faults)), faults)
for number, size in enumerate(SIZES):
    stores.put(f"s3://b/{number}", content(size))
    print("done", flush=True)
stores.close()
stores.kv.close()
print("steps", faults.count(), flush=True)
"""


def run_killed(directory: Path, number: int) -> "subprocess.CompletedProcess[str]":
    """Run the script over SQLite in a process of its own, which dies at a step (0: never)."""
    directory.mkdir()
    return subprocess.run(
        [sys.executable, "-c", _KILLED, str(directory), str(number)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


@pytest.mark.slow
def test_a_process_killed_at_any_step_over_sqlite_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    whole = run_killed(tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout.split()[-1])
    for number in range(1, steps + 1, 7):
        directory = tmp_path / f"at-{number}"
        killed = run_killed(directory, number)
        assert killed.returncode == KILLED, killed.stderr
        kv = SqliteKV(directory / "kv.db")
        check(directory, kv, SIZES[: killed.stdout.count("done")])
        kv.close()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Stores, Faults]]:
    """A working pair of stores, and their faults."""
    faults = Faults()
    made = Stores(tmp_path, MemoryKV(), faults)
    yield made, faults
    made.close()


@pytest.mark.parametrize("step", ["write", "sync", "create", "sync directory"])
def test_a_failed_segment_is_abandoned_and_its_objects_reserved_anew(
    tmp_path: Path, stores: tuple[Stores, Faults], step: str
) -> None:
    made, faults = stores
    if step in ("write", "sync"):
        made.put("s3://b/before", b"before")
    faults.fail_next(step, disk_broken())
    made.put("s3://b/a", b"data")
    made.put("s3://b/after", b"after")
    for name, data in (("a", b"data"), ("after", b"after")):
        assert made.blocks.read(made.blocks.get(f"s3://b/{name}"), 0, len(data)) == data
    if step in ("write", "sync"):
        old = made.blocks.get("s3://b/before")
        assert made.blocks.read(old, 0, 6) == b"before"
        files = {made.blocks.get(f"s3://b/{name}").extents[0].file for name in ("a", "after")}
        assert old.extents[0].file not in files, "an abandoned segment was used again"
    assert faults.steps.count("sync") <= 4, "a failed fsync was repeated"


def test_everything_queued_on_a_failed_segment_gets_a_new_place(
    stores: tuple[Stores, Faults],
) -> None:
    made, faults = stores
    first = [made.blocks.put(f"s3://b/{number}", b"data", etag="e") for number in range(3)]
    faults.fail_next("sync", disk_broken())
    made.blocks.flush(first[0].windows)
    assert [one.is_lost for one in first] == [True, True, True]
    again = made.blocks.put("s3://b/0", b"data", etag="e")
    assert again.extents[0].file != first[0].extents[0].file
    made.blocks.flush([*first[1].windows, *again.windows])
    assert not again.is_lost
    assert first[1].is_lost


def test_a_disk_that_stays_broken_ends_in_unavailable(stores: tuple[Stores, Faults]) -> None:
    made, faults = stores
    faults.fail_next("sync", disk_broken(), times=limits.LOST_WINDOWS_MAX)
    with pytest.raises(Unavailable) as raised:
        made.put("s3://b/a", b"data")
    assert raised.value.kind is Kind.STORE_FAILED
    assert made.blocks.find("s3://b/a") is None
    made.put("s3://b/a", b"data")


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync directory"])
def test_a_large_object_that_fails_leaves_no_file_under_its_name(
    tmp_path: Path, stores: tuple[Stores, Faults], step: str
) -> None:
    made, faults = stores
    faults.fail_next(step, disk_full())
    with pytest.raises(Unavailable) as raised:
        made.put("s3://b/a", content(100_000))
    assert raised.value.kind is Kind.STORE_FAILED
    assert made.blocks.find("s3://b/a") is None
    assert not [path for path in tmp_path.rglob("*.part") if path.is_file()]
    made.put("s3://b/a", content(100_000))
    assert made.blocks.read(made.blocks.get("s3://b/a"), 0, 100_000) == content(100_000)


def test_a_failed_early_sync_fails_the_object(stores: tuple[Stores, Faults]) -> None:
    made, faults = stores
    faults.fail_next("sync", disk_broken())
    writer = made.blocks.open_writer("s3://b/a")

    def write_all() -> None:
        for _ in range(2 * limits.EARLY_SYNC_BYTES // limits.WINDOW_BYTES):
            writer.write(bytes(limits.WINDOW_BYTES))
        writer.finish("e")

    with pytest.raises(Unavailable):
        write_all()
    writer.abort()


@pytest.mark.parametrize("step", ["sqlite write", "sqlite sync"])
def test_a_failed_commit_is_taken_back_and_does_not_come_to_life(tmp_path: Path, step: str) -> None:
    faults = Faults()
    kv = SqliteKV(tmp_path / "kv.db", vfs=faulty_vfs(faults))
    kept = write(kv, put(b"kept", b"1"))
    faults.fail_next(step, disk_broken())
    with pytest.raises(Unavailable) as raised:
        write(kv, put(b"lost", b"1"), put(b"kept", b"2"))
    assert raised.value.kind is Kind.STORE_FAILED
    assert kv.read((b"kept", b"lost")).values == ((b"1", kept), None)
    # What a crash would leave is what a second process that recovers the log would find.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("kv.db", "kv.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    recovered = SqliteKV(copy / "kv.db")
    assert recovered.read((b"kept", b"lost")).values == ((b"1", kept), None)
    recovered.close()
    assert write(kv, put(b"later", b"1")) > kept
    kv.close()


def test_a_crash_at_any_step_of_sqlite_leaves_whole_transactions(tmp_path: Path) -> None:
    def script(directory: Path, faults: Faults) -> int:
        done = 0
        kv: SqliteKV | None = None
        try:
            kv = SqliteKV(directory / "kv.db", vfs=faulty_vfs(faults))
            for number in range(3):
                write(kv, *(put(b"%d/%d" % (number, side), bytes(1_500)) for side in range(4)))
                done += 1
        except (Crashed, Unavailable, Corrupted):
            assert faults.has_crashed
        finally:
            if kv is not None:
                with contextlib.suppress(Crashed):
                    kv.close()
        return done

    whole = Faults()
    (tmp_path / "whole").mkdir()
    assert script(tmp_path / "whole", whole) == 3
    for number in range(1, whole.count() + 1):
        directory = tmp_path / f"at-{number}"
        directory.mkdir()
        done = script(directory, Faults(crash_at=number))
        kv = SqliteKV(directory / "kv.db")
        rows = kv.read((), (scan_prefix(b"", limit=100),)).scans[0]
        assert len(rows) % 4 == 0
        assert done * 4 <= len(rows) <= done * 4 + 4
        last = max((row.version for row in rows), default=0)
        assert write(kv, put(b"next", b"")) > last
        kv.close()


def test_steps_are_numbered_and_planned() -> None:
    faults = Faults()
    kv = FaultyKV(MemoryKV(), faults)

    def fails(act: Callable[[], object], error: type[BaseException]) -> None:
        with pytest.raises(error):
            act()

    write(kv, put(b"a", b""))
    assert faults.steps == ["apply", "applied"]
    assert get(kv, b"a") is not None
    faults = Faults(crash_at=3).nth(1, disk_full())
    kv = FaultyKV(MemoryKV(), faults)
    fails(lambda: write(kv, put(b"a", b"")), Unavailable)
    fails(lambda: write(kv, put(b"b", b"")), Crashed)
    assert get(kv, b"b") is not None, "applied, but nobody heard"
    fails(lambda: write(kv, put(b"c", b"")), Crashed)
    assert faults.count() == 3
    assert get(kv, b"c") is None


@pytest.mark.parametrize("step", ["rename", "sync directory"])
def test_a_spare_segment_that_cannot_be_taken_into_use_is_given_up(
    tmp_path: Path, step: str
) -> None:
    faults = Faults()
    blocks = LocalBlocks(
        tmp_path / "blocks",
        MemoryKV(),
        FakeClock(),
        FakeIds(),
        disk=FaultyDisk(faults),
        segment_bytes=limits.SMALL_OBJECT_BYTES_MAX,
    )
    blocks.flush(blocks.put("s3://b/first", b"data", etag="e").windows)
    lost: list[bool] = []
    lost_at: list[int] = []
    # The spare one is taken by the first object that comes after it is ready.
    while "rename" not in faults.steps:
        is_being_made = any(thread.name == "segments" for thread in threading.enumerate())
        if not is_being_made and not lost_at:
            faults.fail_next(step, disk_broken())
            lost_at.append(len(lost))
        placed = blocks.put("s3://b/next", b"data", etag="e")
        blocks.flush(placed.windows)
        lost.append(placed.is_lost)
    assert [number for number, is_lost in enumerate(lost) if is_lost] == lost_at
    again = blocks.put("s3://b/next", b"data", etag="e")
    blocks.flush(again.windows)
    assert not again.is_lost
    assert blocks.read(again.block, 0, 4) == b"data"
    blocks.close()
