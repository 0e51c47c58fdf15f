"""Range files in a block store, and many threads at one committed tree."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ranges import FORMAT_RULE
from anabranch.lake.committed import Committed
from anabranch.lake.range_files import BlockRangeFiles
from anabranch.lake.range_store import RangeStore
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.base import Request
from anabranch.storage.kv.memory import MemoryKV
from tests.support import ranges, reference
from tests.support.fakes import FakeClock, FakeIds
from tests.support.ranges import NAMESPACE, batch_of, content, open_committed
from tests.support.reference import Row

_ROWS = {f"p/{number:04}": Row(bytes(20), size_bytes=number) for number in range(300)}


def test_files_exist_once_their_index_writes_are_accepted() -> None:
    clock, ids = FakeClock(), FakeIds()
    kv = MemoryKV(clock)
    blocks = MemoryBlocks(kv, clock, ids)
    committed = Committed(RangeStore(BlockRangeFiles(blocks)), rule=ranges.RULES[0])
    built = committed.build(NAMESPACE, iter([batch_of(_ROWS)]))
    fresh = Committed(RangeStore(BlockRangeFiles(blocks)), rule=ranges.RULES[0])
    with pytest.raises(Corrupted) as caught:
        content(fresh, built.metarange)
    assert caught.value.kind is Kind.RANGE_LOST
    [verdict] = kv.apply([Request((), built.index_writes)])
    assert verdict.is_accepted
    assert content(fresh, built.metarange) == _ROWS
    address = f"{NAMESPACE}/_lakefs/{built.metarange}"
    block = blocks.get(address)
    data = blocks.read(block, 0, block.size_bytes)
    assert block.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    fresh.close()
    committed.close()


def test_a_file_past_the_limit_is_not_read() -> None:
    clock = FakeClock()
    kv = MemoryKV(clock)
    blocks = MemoryBlocks(kv, clock, FakeIds())
    writes = BlockRangeFiles(blocks).write(NAMESPACE, "0" * 64, b"x" * 100)
    kv.apply([Request((), writes)])
    assert BlockRangeFiles(blocks, bytes_max=100).read(NAMESPACE, "0" * 64) == b"x" * 100
    with pytest.raises(Corrupted) as caught:
        BlockRangeFiles(blocks, bytes_max=99).read(NAMESPACE, "0" * 64)
    assert caught.value.kind is Kind.RANGE_CHECKSUM


@pytest.mark.parametrize("range_bytes_max", [0, 50_000, 10**9])
def test_many_threads_read_and_build_at_once(range_bytes_max: int) -> None:
    first, files = open_committed(ranges.RULES[0])
    base = first.build(NAMESPACE, iter([batch_of(_ROWS)])).metarange
    store = RangeStore(files, range_bytes_max=range_bytes_max)
    committed = Committed(store, rule=ranges.RULES[0])

    def work(number: int) -> bool:
        path = f"p/{number * 13:04}"
        changed = {**_ROWS, path: Row(bytes([number]) * 20)}
        built = committed.apply(NAMESPACE, base, batch_of({path: changed[path]}))
        found = committed.get(NAMESPACE, built.metarange, path)
        assert found is not None
        assert found.identity == changed[path].identity
        [difference] = committed.diff(NAMESPACE, base, built.metarange)
        assert difference.column("path").to_pylist() == [path]
        merged = committed.merge(NAMESPACE, base, built.metarange, base)
        assert merged.built is not None
        assert merged.built.metarange == built.metarange
        return built.metarange == reference.metarange_id(changed, ranges.RULES[0])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(1, 20)))
    committed.close()
    first.close()


def test_a_failed_write_fails_the_build() -> None:
    class FullDisk(ranges.MemoryRangeFiles):
        def write(self, namespace: str, name: str, data: bytes) -> tuple[()]:
            raise OSError("no space left")

    committed = Committed(RangeStore(FullDisk()), rule=FORMAT_RULE)
    with pytest.raises(OSError, match="no space"):
        committed.build(NAMESPACE, iter([batch_of(_ROWS)]))
    committed.close()
