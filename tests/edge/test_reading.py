"""Reading blocks: exact bytes, from the cache in the loop and otherwise in a thread."""

import asyncio
import threading

import pytest

from anabranch.edge.reading import body_of, stream_block
from anabranch.kernel import limits
from anabranch.storage.blocks.base import Block

DATA = bytes(range(256)) * 12_000
BLOCK = Block("s3://b/k", len(DATA), "e", 0, ())


class Blocks:
    """A store of one block, in the cache or not."""

    def __init__(self, *, is_cached: bool) -> None:
        self.is_cached = is_cached
        self.threads: set[int] = set()

    def read(self, block: Block, offset: int, length: int) -> bytes:
        assert block is BLOCK
        self.threads.add(threading.get_ident())
        return DATA[offset : offset + length]

    def read_now(self, block: Block, offset: int, length: int) -> bytes | None:
        return self.read(block, offset, length) if self.is_cached else None


async def collect(blocks: Blocks, offset: int, length: int) -> list[bytes]:
    return [piece async for piece in stream_block(blocks, BLOCK, offset, length)]


@pytest.mark.parametrize("is_cached", [True, False])
def test_pieces_are_bounded_and_exact(is_cached: bool) -> None:
    blocks = Blocks(is_cached=is_cached)
    found = asyncio.run(collect(blocks, 5, len(DATA) - 7))
    assert b"".join(found) == DATA[5:-2]
    assert max(map(len, found)) == limits.INLINE_READ_BYTES_MAX
    assert (threading.get_ident() in blocks.threads) is is_cached


@pytest.mark.parametrize("extra", [0, 1])
def test_small_bodies_are_read_before_the_answer_starts(extra: int) -> None:
    blocks = Blocks(is_cached=True)
    length = limits.INLINE_READ_BYTES_MAX + extra
    found = asyncio.run(body_of(blocks, BLOCK, 0, length))
    assert isinstance(found, bytes) is not bool(extra)


def test_an_empty_object_is_not_read() -> None:
    blocks = Blocks(is_cached=False)
    assert asyncio.run(body_of(blocks, BLOCK, 0, 0)) == b""
    assert not blocks.threads
