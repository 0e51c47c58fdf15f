"""The block store in a directory: the contract, and what only a directory can get wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.storage.blocks.base import Block, Extent
from anabranch.storage.blocks.copies import Copies
from anabranch.storage.blocks.files import OpenFiles
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.disk import Disk
from anabranch.storage.kv.base import KVStore, Request
from anabranch.storage.kv.memory import MemoryKV
from tests.contracts.blocks_contract import BlocksContract, Store, content
from tests.support.fakes import FakeClock, FakeIds


def open_local(directory: Path, kv: KVStore, ids: str = "ids", **options: object) -> LocalBlocks:
    """Open a store whose segments are made without a thread."""
    return LocalBlocks(
        directory,
        kv,
        FakeClock(),
        FakeIds(ids),
        prepares_segments=False,
        **options,  # type: ignore[arg-type]  # passed on
    )


class TestLocalBlocks(BlocksContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        kv = MemoryKV()
        blocks = open_local(tmp_path / "blocks", kv)
        yield Store(kv, blocks)
        blocks.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with short segments."""
    kv = MemoryKV()
    blocks = open_local(tmp_path / "blocks", kv, segment_bytes=100_000)
    yield Store(kv, blocks)
    blocks.close()


def files_of(directory: Path) -> list[str]:
    """Return all files of a store, relative."""
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    kv = MemoryKV()
    first = open_local(tmp_path / "blocks", kv, "first")
    Store(kv, first).put("s3://b/small", b"small")
    Store(kv, first).put("s3://b/large", content(100_000))
    first.close()
    again = open_local(tmp_path / "blocks", kv, "again")
    assert again.read(again.get("s3://b/small"), 0, 5) == b"small"
    assert again.read(again.get("s3://b/large"), 0, 100_000) == content(100_000)
    again.close()


def test_files_have_names_of_our_own_only(tmp_path: Path, store: Store) -> None:
    store.put("s3://b/../../../evil", b"small")
    large = store.put("s3://b/secret name", content(100_000))
    segments = [name for name in files_of(tmp_path) if name.startswith("blocks/segments/")]
    assert len(segments) == 1
    name = large.extents[0].file
    assert files_of(tmp_path) == sorted([*segments, f"blocks/files/{name[:2]}/{name}"])


def test_a_name_that_would_leave_the_directory_is_refused(store: Store) -> None:
    for file in ("../../kv.db", "s../../kv.db", "s", "", ".", ".."):
        block = Block("s3://b/a", 1, "e", 0, (Extent(file, 0, 1),))
        with pytest.raises(Corrupted):
            store.blocks.read(block, 0, 1)


def test_small_objects_share_a_segment_until_it_is_full(store: Store) -> None:
    blocks = [store.put(f"s3://b/{number}", content(30_000)) for number in range(7)]
    names = [block.extents[0].file for block in blocks]
    assert names == [names[0]] * 3 + [names[3]] * 3 + [names[6]]
    assert [block.extents[0].offset for block in blocks[:4]] == [0, 30_000, 60_000, 0]
    for block in blocks:
        assert store.blocks.read(block, 0, 30_000) == content(30_000)


def test_an_object_as_large_as_the_segment_fills_it(tmp_path: Path) -> None:
    kv = MemoryKV()
    blocks = open_local(tmp_path / "blocks", kv, segment_bytes=limits.SMALL_OBJECT_BYTES_MAX)
    made = [
        Store(kv, blocks).put(f"s3://b/{number}", content(limits.SMALL_OBJECT_BYTES_MAX))
        for number in range(3)
    ]
    assert len({block.extents[0].file for block in made}) == 3
    blocks.close()


def test_windows_of_a_full_segment_are_still_written(store: Store) -> None:
    waiting = [
        store.blocks.put(f"s3://b/{number}", content(40_000 + number), etag="e")
        for number in range(6)
    ]
    store.publish(*reversed(waiting))
    for number in range(6):
        block = store.blocks.get(f"s3://b/{number}")
        assert store.blocks.read(block, 0, 40_000 + number) == content(40_000 + number)


def test_another_process_never_appends_to_a_segment_left_behind(tmp_path: Path) -> None:
    kv = MemoryKV()
    dead = open_local(tmp_path / "blocks", kv, "dead")
    Store(kv, dead).put("s3://b/a", b"first")
    (segment,) = (tmp_path / "blocks" / "segments").iterdir()
    before = segment.read_bytes()
    alive = open_local(tmp_path / "blocks", kv, "alive")
    block = Store(kv, alive).put("s3://b/b", b"second")
    assert segment.read_bytes() == before
    assert alive.read(alive.get("s3://b/a"), 0, 5) == b"first"
    assert block.extents[0].file != "s" + segment.name
    alive.close()
    assert segment.read_bytes() == before
    dead.close()


def test_a_filled_segment_is_made_ahead_and_cut_off_at_the_end(tmp_path: Path) -> None:
    kv = MemoryKV()
    blocks = LocalBlocks(tmp_path / "blocks", kv, FakeClock(), FakeIds(), segment_bytes=200_000)
    store = Store(kv, blocks)
    directory = tmp_path / "blocks" / "segments"
    names = set()
    for number in range(10_000):
        block = store.put(f"s3://b/{number}", b"some bytes")
        names.add(block.extents[0].file)
        if len(names) > 1:
            break
    assert len(names) == 2, "the filled segment was never ready"
    assert (directory / block.extents[0].file[1:]).stat().st_size == 200_000
    blocks.close()
    sizes = {path.name: path.stat().st_size for path in directory.iterdir()}
    assert sizes == {name[1:]: sizes[name[1:]] for name in names}
    assert sizes[block.extents[0].file[1:]] == len(b"some bytes")


def test_a_process_that_writes_nothing_makes_no_segment(tmp_path: Path) -> None:
    LocalBlocks(tmp_path / "blocks", MemoryKV(), FakeClock(), FakeIds()).close()
    assert files_of(tmp_path) == []


def test_reads_from_the_page_cache_are_answered_at_once(store: Store) -> None:
    small, large = store.put("s3://b/s", b"small"), store.put("s3://b/l", content(2 * limits.MIB))
    assert store.blocks.read(small, 1, 3) == b"mal"
    assert store.blocks.read_now(small, 1, 3) in (b"mal", None)
    for length in (1, 65_536, 65_537, limits.INLINE_READ_BYTES_MAX):
        assert store.blocks.read_now(large, 5, length) in (
            content(2 * limits.MIB)[5:][:length],
            None,
        )
    assert store.blocks.read_now(large, 0, limits.INLINE_READ_BYTES_MAX + 1) is None


def test_a_file_found_cold_is_left_alone_until_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    files = OpenFiles(tmp_path.joinpath)
    # Past the end is the one way to be short that does not depend on the machine's memory.
    assert files.read_now(path.name, 8, 5) is None
    assert files.read_now(path.name, 0, 5) is None
    assert files.read(path.name, 0, 5) == b"01234"
    assert files.read_now(path.name, 0, 5) in (b"01234", None)
    files.close()


def test_so_many_files_are_kept_open_and_not_one_more(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(limits.OPEN_FILES_MAX + 1)]
    for path in paths:
        path.write_bytes(path.name.encode())
    before = len(os.listdir("/proc/self/fd"))
    files = OpenFiles(tmp_path.joinpath)
    for path in paths:
        assert files.read(path.name, 0, len(path.name)) == path.name.encode()
        assert len(os.listdir("/proc/self/fd")) - before <= limits.OPEN_FILES_MAX
    assert len(os.listdir("/proc/self/fd")) - before == limits.OPEN_FILES_MAX
    files.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_removed_file_can_be_read_by_who_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    files = OpenFiles(tmp_path.joinpath)
    assert files.read(path.name, 0, 4) == b"data"
    path.unlink()
    assert files.read(path.name, 0, 4) == b"data"
    files.forget(path.name)
    with pytest.raises(Corrupted) as raised:
        files.read(path.name, 0, 4)
    assert raised.value.kind is Kind.BLOCK_DAMAGED
    files.close()


def test_a_cut_off_file_is_reported(tmp_path: Path, store: Store) -> None:
    block = store.put("s3://b/a", content(100_000))
    name = block.extents[0].file
    os.truncate(tmp_path / "blocks" / "files" / name[:2] / name, 99_999)
    with pytest.raises(Corrupted, match="99999"):
        store.blocks.read(block, 0, 100_000)
    assert store.blocks.read(block, 0, 99_999) == content(100_000)[:99_999]


def test_an_aborted_or_failed_writer_leaves_no_file(tmp_path: Path, store: Store) -> None:
    writer = store.blocks.open_writer("s3://b/a")
    writer.write(b"data")
    assert len(files_of(tmp_path)) == 1
    writer.abort()
    assert files_of(tmp_path) == []


def test_an_object_in_a_file_of_its_own_is_not_copied(tmp_path: Path, store: Store) -> None:
    block = store.put("s3://b/a", content(100_000))
    name = block.extents[0].file
    assert store.blocks.local_path(block) == tmp_path / "blocks" / "files" / name[:2] / name


def test_old_copies_are_removed_when_all_together_are_too_large(tmp_path: Path) -> None:
    clock = FakeClock()
    copies = Copies(tmp_path, clock, FakeIds(), Disk(), bytes_max=250)
    made = []
    for name in "abc":
        made.append(copies.path(name, 100, lambda offset, length: bytes(length)))
        clock.advance(1)
    copies.sweep()
    assert files_of(tmp_path) == ["a", "b", "c"], "all are young"
    clock.advance(limits.COPY_KEEP_S)
    assert copies.path("a", 100, lambda offset, length: bytes(length)) == made[0]
    copies.sweep()
    assert files_of(tmp_path) == ["a", "c"]


def local(store: Store) -> LocalBlocks:
    """Return the store's blocks as what they are."""
    assert isinstance(store.blocks, LocalBlocks)
    return store.blocks


def test_a_segment_can_be_emptied_and_removed(tmp_path: Path, store: Store) -> None:
    blocks = local(store)
    old = [store.put(f"s3://b/{number}", content(30_000)) for number in range(4)]
    segment = old[0].extents[0].file
    for block in old[:3]:
        conditions, moved = blocks.relocation(block)
        blocks.flush(moved.windows)
        assert store.kv.apply((Request(conditions, moved.writes),))[0].is_accepted
    for number, before in enumerate(old):
        block = blocks.get(f"s3://b/{number}")
        assert block.extents[0].file != segment
        assert (block.etag, block.created_us) == (before.etag, before.created_us)
        assert blocks.read(block, 0, 30_000) == content(30_000)
    assert blocks.read(old[0], 0, 30_000) == content(30_000), "readers of the old row read on"
    assert blocks.remove_file(segment)
    assert segment not in {file.name for file in blocks.walk_files()}
    with pytest.raises(Corrupted):
        blocks.read(old[0], 0, 30_000)


def test_a_relocation_spares_an_object_put_meanwhile(store: Store) -> None:
    blocks = local(store)
    conditions, moved = blocks.relocation(store.put("s3://b/a", b"old"))
    store.put("s3://b/a", b"new")
    blocks.flush(moved.windows)
    assert not store.kv.apply((Request(conditions, moved.writes),))[0].is_accepted
    assert blocks.read(blocks.get("s3://b/a"), 0, 3) == b"new"


def test_a_segment_in_use_is_not_removed_and_one_left_behind_is(tmp_path: Path) -> None:
    kv = MemoryKV()
    one = open_local(tmp_path / "blocks", kv, "one")
    two = open_local(tmp_path / "blocks", kv, "two")
    segment = Store(kv, one).put("s3://b/a", b"data").extents[0].file
    assert not two.remove_file(segment)
    assert one.read(one.get("s3://b/a"), 0, 4) == b"data"
    one.close()
    del one
    assert two.remove_file(segment)
    assert two.remove_file(segment), "it is gone already"
    two.close()


def test_all_files_are_walked(store: Store) -> None:
    blocks = local(store)
    small, large = store.put("s3://b/s", b"data"), store.put("s3://b/l", content(100_000))
    writer = blocks.open_writer("s3://b/w")
    writer.write(b"half")
    found = {file.name: file.size_bytes for file in blocks.walk_files()}
    parts = [name for name in found if name.endswith(".part")]
    assert found == {small.extents[0].file: 4, large.extents[0].file: 100_000, parts[0]: 4}
    assert blocks.remove_file(large.extents[0].file)
    assert blocks.remove_file(parts[0])
    writer.abort()
    assert [file.name for file in blocks.walk_files()] == [small.extents[0].file]
