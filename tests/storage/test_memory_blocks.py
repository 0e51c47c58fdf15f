"""The block store in memory."""

from collections.abc import Iterator

import pytest

from anabranch.kernel.errors import Corrupted
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.memory import MemoryKV
from tests.contracts.blocks_contract import BlocksContract, Store
from tests.support.fakes import FakeClock, FakeIds


def made() -> tuple[MemoryBlocks, Store]:
    """Return a store in memory."""
    kv = MemoryKV()
    blocks = MemoryBlocks(kv, FakeClock(), FakeIds())
    return blocks, Store(kv, blocks)


class TestMemoryBlocks(BlocksContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        blocks, store = made()
        yield store
        blocks.close()


def test_a_transaction_that_forgot_its_windows_is_noticed() -> None:
    blocks, store = made()
    placed = blocks.put("s3://b/a", b"data", etag="e")
    store.write(placed.writes)
    with pytest.raises(Corrupted):
        blocks.read(blocks.get("s3://b/a"), 0, 4)


def test_lost_windows_are_those_reserved_and_not_yet_durable() -> None:
    blocks, store = made()
    kept = blocks.put("s3://b/kept", b"1", etag="e")
    store.publish(kept)
    lost = blocks.put("s3://b/lost", b"2", etag="e")
    blocks.lose_windows()
    assert (kept.is_lost, lost.is_lost) == (False, True)
    store.publish(blocks.put("s3://b/lost", b"2", etag="e"))
    assert blocks.read(blocks.get("s3://b/lost"), 0, 1) == b"2"
