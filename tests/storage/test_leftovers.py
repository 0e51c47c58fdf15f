"""Segments of killed processes: spare ones go, others lose the zeros that nobody wrote over."""

import contextlib
import fcntl
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.storage.blocks.base import Extent
from anabranch.storage.blocks.leftovers import Leftovers
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.base import KVStore, Request, put
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.sqlite import SqliteKV
from tests.contracts.blocks_contract import Store, content
from tests.support.fakes import FakeClock, FakeIds
from tests.support.faults import Crashed, Faults, FaultyDisk

SEGMENT_BYTES = 200_000


def no_parts(_after: bytes) -> tuple[Sequence[Extent], bytes | None]:
    """Look through the parts of a store without uploads."""
    return (), None


class Process:
    """A store as one process has it open."""

    def __init__(self, directory: Path, kv: KVStore, name: str, *, prepares: bool = False) -> None:
        self.blocks = LocalBlocks(
            directory,
            kv,
            FakeClock(),
            FakeIds(name),
            segment_bytes=SEGMENT_BYTES,
            prepares_segments=prepares,
        )
        self.store = Store(kv, self.blocks)
        self.leftovers = self.blocks.leftovers([no_parts])
        self.now_us = 0

    def sweep(self) -> int:
        """Look once more, until nothing is left to do; return how many portions that took."""
        self.now_us += limits.LEFTOVERS_LOOK_S * 1_000_000
        portions = 0
        while self.leftovers.portion(self.now_us):
            portions += 1
            assert portions < 100
        return portions


def sizes(directory: Path) -> dict[str, int]:
    """Return the size of each segment file."""
    return {path.name: path.stat().st_size for path in (directory / "segments").iterdir()}


def leave(directory: Path, kv: KVStore, *objects: bytes, name: str = "dead") -> str:
    """Write objects as a process does that is killed; return its segment as extents name it."""
    process = Process(directory, kv, name)
    names = set()
    for number, data in enumerate(objects):
        block = process.store.put(f"s3://b/{name}/{number}", data)
        names |= {extent.file for extent in block.extents}
    (segment,) = names
    # As if it had been filled beforehand. Without `close`, its end is what a kill leaves.
    with (directory / "segments" / segment[1:]).open("r+b") as file:
        file.truncate(SEGMENT_BYTES)
    del process
    gc.collect()  # gives its locks back
    return segment


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "blocks"


def test_what_a_dead_process_did_not_write_is_cut_off(directory: Path) -> None:
    kv = MemoryKV()
    segment = leave(directory, kv, b"first", b"second")
    alive = Process(directory, kv, "alive")
    alive.sweep()
    assert sizes(directory) == {segment[1:]: len(b"firstsecond")}
    assert alive.blocks.read(alive.blocks.get("s3://b/dead/1"), 0, 6) == b"second"
    assert alive.sweep() == 0, "what was looked at once is not looked at again"
    assert Process(directory, kv, "later").sweep() == 0, "not by another process either"


def test_zeros_that_belong_to_an_object_stay(directory: Path) -> None:
    kv = MemoryKV()
    segment = leave(directory, kv, b"first", bytes(1_000))
    alive = Process(directory, kv, "alive")
    alive.sweep()
    assert sizes(directory) == {segment[1:]: 1_005}
    assert alive.blocks.read(alive.blocks.get("s3://b/dead/1"), 0, 1_000) == bytes(1_000)


def test_zeros_that_belong_to_a_part_of_an_upload_stay(directory: Path) -> None:
    kv = MemoryKV()
    segment = leave(directory, kv, b"first")
    asked: list[bytes] = []

    def parts(after: bytes) -> tuple[Sequence[Extent], bytes | None]:
        asked.append(after)
        if not after:
            return [Extent(segment, 10, 90)], b"more"
        return [Extent(segment, 20, 10), Extent("s" + "0" * 32, 0, 10**6)], None

    alive = Process(directory, kv, "alive")
    alive.leftovers = alive.blocks.leftovers([parts])
    alive.sweep()
    assert asked == [b"", b"more"]
    assert sizes(directory) == {segment[1:]: 100}


def test_bytes_that_no_object_refers_to_stay(directory: Path) -> None:
    """Somebody may still read what was deleted a moment ago; only zeros are cut off."""
    kv = MemoryKV()
    segment = leave(directory, kv, b"first", b"second")
    alive = Process(directory, kv, "alive")
    block = alive.blocks.get("s3://b/dead/1")
    conditions, writes = alive.blocks.removal(block)
    assert kv.apply([Request(conditions, writes)])[0].is_accepted
    alive.sweep()
    assert sizes(directory) == {segment[1:]: len(b"firstsecond")}
    assert alive.blocks.read(block, 0, 6) == b"second"


def test_a_segment_that_holds_nothing_is_removed(directory: Path) -> None:
    kv = MemoryKV()
    alive = Process(directory, kv, "alive")
    (directory / "segments" / ("0" * 32)).write_bytes(bytes(SEGMENT_BYTES))
    (directory / "segments" / ("1" * 32)).write_bytes(b"")
    alive.sweep()
    assert sizes(directory) == {}


def test_segments_of_a_living_process_are_left_alone(directory: Path) -> None:
    kv = MemoryKV()
    owner = Process(directory, kv, "owner", prepares=True)
    waiting = owner.blocks.put("s3://b/first", b"first", etag="e")
    owner.blocks.flush(waiting.windows)
    until = time.monotonic() + 30
    # A spare of full size is locked; one that was only just made may be taken from its maker.
    while ("spare", SEGMENT_BYTES) not in [
        (name.rpartition(".")[2], size) for name, size in sizes(directory).items()
    ]:
        assert time.monotonic() < until
        os.sched_yield()
    owner.store.put("s3://b/second", b"second")
    before = sizes(directory)
    other = Process(directory, kv, "other")
    assert other.sweep() == 0
    assert sizes(directory).keys() >= before.keys()
    assert kv.apply([Request((), waiting.writes)])[0].is_accepted
    for name in ("first", "second"):
        block = other.blocks.get(f"s3://b/{name}")
        assert other.blocks.read(block, 0, block.size_bytes) == name.encode()
    owner.blocks.close()


def test_a_segment_taken_during_the_look_is_refused_to_its_maker(directory: Path) -> None:
    """Between the creation of a file and its lock a sweep may come: the maker must give way."""
    kv = MemoryKV()
    leave(directory, kv, b"first")
    alive = Process(directory, kv, "alive")
    assert alive.leftovers.portion(10**12), "holds the segment, and has looked at a portion"
    other = Process(directory, kv, "other")
    assert not other.blocks.remove_file("s" + next(iter(sizes(directory))))
    assert Process(directory, kv, "third").leftovers.portion(10**12) == 0, "held by the first"
    while alive.leftovers.portion(10**12):
        pass
    assert sum(sizes(directory).values()) == 5


def test_a_full_segment_is_not_looked_at_again(directory: Path) -> None:
    kv = MemoryKV()
    owner = Process(directory, kv, "owner")
    for number in range(10):
        owner.store.put(f"s3://b/{number}", content(60_000))
    assert len(sizes(directory)) == 4
    assert Process(directory, kv, "other").sweep() == 0
    owner.blocks.close()
    del owner
    assert Process(directory, kv, "later").sweep() == 0, "closed ones need no look"


def test_many_rows_are_looked_through_in_portions(directory: Path) -> None:
    kv = MemoryKV()
    segment = leave(directory, kv, *[b"%04d" % number for number in range(1_500)])
    alive = Process(directory, kv, "alive")
    assert alive.sweep() > 2
    assert sizes(directory) == {segment[1:]: 6_000}


@pytest.mark.parametrize("more", [0, 1])
def test_so_many_segments_are_held_at_a_time_and_not_one_more(directory: Path, more: int) -> None:
    alive = Process(directory, MemoryKV(), "alive")
    for number in range(limits.LEFTOVERS_MAX + more):
        (directory / "segments" / f"{number:032x}").write_bytes(bytes(10))
    before = len(os.listdir("/proc/self/fd"))
    assert alive.leftovers.portion(10**12) == limits.LEFTOVERS_MAX
    assert len(os.listdir("/proc/self/fd")) - before == limits.LEFTOVERS_MAX
    while alive.leftovers.portion(10**12):
        pass
    assert sizes(directory) == {}
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_directory_is_not_listed_all_the_time(directory: Path) -> None:
    alive = Process(directory, MemoryKV(), "alive")
    assert alive.leftovers.portion(0) == 0
    (directory / "segments" / ("0" * 32)).write_bytes(bytes(10))
    assert alive.leftovers.portion(limits.LEFTOVERS_LOOK_S * 1_000_000 - 1) == 0
    assert alive.leftovers.portion(limits.LEFTOVERS_LOOK_S * 1_000_000) == 1


def test_a_spare_segment_goes_when_its_maker_is_gone(directory: Path) -> None:
    kv = MemoryKV()
    alive = Process(directory, kv, "alive")
    spare = directory / "segments" / ("0" * 32 + ".spare")
    spare.write_bytes(bytes(10))
    with spare.open("rb") as maker:
        fcntl.flock(maker, fcntl.LOCK_EX)
        alive.sweep()
        Process(directory, kv, "second")
        assert spare.exists()
    assert [file.name for file in alive.blocks.walk_files()] == ["s" + spare.name]
    alive.sweep()
    assert not spare.exists()
    spare.write_bytes(bytes(10))
    Process(directory, kv, "third")
    assert not spare.exists()


def test_a_damaged_row_keeps_everything_as_it_is(directory: Path) -> None:
    kv = MemoryKV()
    segment = leave(directory, kv, b"first")
    kv.apply([Request((), [put(b"blocks/object/b/damaged", b"?")])])
    alive = Process(directory, kv, "alive")
    with pytest.raises(Corrupted) as raised:
        alive.sweep()
    assert raised.value.kind is Kind.RECORD_FORMAT
    assert sizes(directory) == {segment[1:]: SEGMENT_BYTES}
    assert alive.sweep() == 0, "once in a process is enough"
    assert alive.blocks.remove_file(segment), "its lock was given back"


def test_an_extent_past_the_end_does_not_make_a_file_longer(directory: Path) -> None:
    kv = MemoryKV()
    segment = leave(directory, kv, b"first")
    os.truncate(directory / "segments" / segment[1:], 3)
    Process(directory, kv, "alive").sweep()
    assert sizes(directory) == {segment[1:]: 3}


def sweep_and_die(directory: Path, kv: KVStore, faults: Faults) -> None:
    """Open a store and sweep it, until the end or the crash."""
    with contextlib.suppress(Crashed):
        blocks = LocalBlocks(
            directory,
            kv,
            FakeClock(),
            FakeIds(),
            disk=FaultyDisk(faults),
            prepares_segments=False,
        )
        leftovers = blocks.leftovers([no_parts])
        while leftovers.portion(10**12):
            pass


@pytest.mark.slow
def test_a_crash_at_any_step_of_the_sweep_is_harmless(directory: Path) -> None:
    kv = MemoryKV()
    for number in range(1, 50):
        segment = leave(directory, kv, b"first", bytes(10), name=f"dead {number}")
        (directory / "segments" / f"{number:032x}").write_bytes(bytes(10))
        (directory / "segments" / f"{number:032x}.spare").write_bytes(bytes(10))
        faults = Faults(crash_at=number)
        sweep_and_die(directory, kv, faults)
        gc.collect()  # the locks end with the process
        later = Process(directory, kv, "later")
        block = later.blocks.get(f"s3://b/dead {number}/1")
        assert later.blocks.read(block, 0, 10) == bytes(10)
        later.sweep()
        assert sizes(directory)[segment[1:]] == 15
        assert sizes(directory).keys() == {
            block.extents[0].file[1:]
            for block in later.blocks.list("b", prefix="", after="", amount=1_000).items
        }
        if not faults.has_crashed:
            break
    assert {"truncate", "protect", "unlink"} <= set(faults.steps)


_WRITER = """
import sys
from pathlib import Path
from anabranch.stores import SystemClock, SystemIds
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.sqlite import SqliteKV
from tests.contracts.blocks_contract import Store
directory = Path(sys.argv[1])
kv = SqliteKV(directory / "kv.db")
blocks = LocalBlocks(directory / "blocks", kv, SystemClock(), SystemIds())
store = Store(kv, blocks)
files, number = set(), 0
while len(files) < 2 or not list((directory / "blocks" / "segments").glob("*.spare")):
    files.add(store.put(f"s3://b/{number}", b"%d" % number).extents[0].file)
    number += 1
store.put("s3://b/last", bytes(7))
print(number, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that writes into a segment filled beforehand, while it fills the next."""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root / 'src'}:{root}"},
    ) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_a_killed_writer_leaves_little_behind(
    tmp_path: Path, writer: "subprocess.Popen[str]"
) -> None:
    assert writer.stdout is not None
    count = int(writer.stdout.readline())
    directory = tmp_path / "blocks"
    kv = SqliteKV(tmp_path / "kv.db")
    before = Process(directory, kv, "before")
    assert before.sweep() == 0, "its owner lives"
    assert max(sizes(directory).values()) == limits.SEGMENT_BYTES
    writer.kill()
    writer.wait()
    after = Process(directory, kv, "after")
    assert not [name for name in sizes(directory) if name.endswith(".spare")], "gone by opening"
    assert max(sizes(directory).values()) == limits.SEGMENT_BYTES
    after.sweep()
    assert sum(sizes(directory).values()) < limits.MIB
    for number in range(count):
        block = after.blocks.get(f"s3://b/{number}")
        assert after.blocks.read(block, 0, block.size_bytes) == b"%d" % number
    assert after.blocks.read(after.blocks.get("s3://b/last"), 0, 7) == bytes(7)
    assert isinstance(after.leftovers, Leftovers)
    kv.close()
