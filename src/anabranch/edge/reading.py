"""From the block store to the network: bounded pieces, from the page cache without a thread."""

from collections.abc import AsyncIterator
from typing import Protocol

from anabranch.edge.blocking import call_thread
from anabranch.kernel import limits
from anabranch.storage.blocks.base import Block


class BlockReader(Protocol):
    """The part of a block store that reading needs."""

    def read(self, block: Block, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; may block; raise Corrupted when short."""
        ...

    def read_now(self, block: Block, offset: int, length: int) -> bytes | None:
        """Return the same when it is in the page cache, None when it would have to wait."""
        ...


async def read_piece(blocks: BlockReader, block: Block, offset: int, length: int) -> bytes:
    """Return `length` bytes, at most INLINE_READ_BYTES_MAX: in the loop when they are cached."""
    data = blocks.read_now(block, offset, length)
    if data is None:
        data = await call_thread(blocks.read, block, offset, length)
    return data


async def stream_block(
    blocks: BlockReader, block: Block, offset: int, length: int
) -> AsyncIterator[bytes]:
    """Yield the bytes from `offset`, `length` of them in all, in pieces of at most 1 MiB."""
    end = offset + length
    while offset < end:
        size_bytes = min(limits.INLINE_READ_BYTES_MAX, end - offset)
        yield await read_piece(blocks, block, offset, size_bytes)
        offset += size_bytes


async def body_of(
    blocks: BlockReader, block: Block, offset: int, length: int
) -> bytes | AsyncIterator[bytes]:
    """Return what a Response takes: the bytes of a small read, an iterator for a long one.

    A small read is done before the answer starts, so that its errors still have a status.
    """
    if length <= limits.INLINE_READ_BYTES_MAX:
        return await read_piece(blocks, block, offset, length) if length else b""
    return stream_block(blocks, block, offset, length)
