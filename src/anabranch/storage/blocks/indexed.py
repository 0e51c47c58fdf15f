"""What block stores have in common whose index is in the KV store."""

import builtins
from collections.abc import Sequence

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import Kind, NotFound
from anabranch.kernel.pages import Page
from anabranch.storage.blocks import index
from anabranch.storage.blocks.base import Block, Extent, Placed
from anabranch.storage.kv.base import Condition, KVStore, Write


class IndexedBlocks:
    """The part of a `BlockStore` that asks the index alone, and reads no bytes."""

    def __init__(self, kv: KVStore, clock: Clock) -> None:
        self._kv = kv
        self._clock = clock

    def join(
        self,
        address: str,
        extents: Sequence[Extent],
        *,
        etag: str,
        content_type: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Placed:
        """Make one object of bytes that have places already: costs parts, not bytes."""
        size_bytes = sum(extent.length for extent in extents)
        now_us = self._now_us()
        block = Block(address, size_bytes, etag, now_us, tuple(extents), content_type, metadata)
        return Placed(block, index.object_writes(block))

    def find(self, address: str) -> Block | None:
        """Return the object at `address`, None when there is none."""
        return index.find_block(self._kv, address)

    def get(self, address: str) -> Block:
        """Return the object at `address`; raise NotFound(BLOCK_NOT_FOUND)."""
        block = self.find(address)
        if block is None:
            raise NotFound(Kind.BLOCK_NOT_FOUND, f"no object at {address!r}")
        return block

    def list(self, bucket: str, *, prefix: str, after: str, amount: int) -> Page[Block]:
        """Return one page of a bucket's objects by key, in byte order; `after` is exclusive."""
        return index.list_blocks(self._kv, bucket, prefix=prefix, after=after, amount=amount)

    def removal(self, block: Block) -> tuple[tuple[Condition, ...], tuple[Write, ...]]:
        """Return what a transaction needs to make the object not exist; its bytes go later."""
        return index.object_removal(block)

    def buckets(self) -> builtins.list[str]:
        """Return the names of all buckets, sorted."""
        return index.list_buckets(self._kv, limits.PAGE_MAX)

    def has_bucket(self, bucket: str) -> bool:
        """Tell whether a bucket was made."""
        return index.has_bucket(self._kv, bucket)

    def bucket_creation(self, bucket: str) -> tuple[tuple[Condition, ...], tuple[Write, ...]]:
        """Return what a transaction needs to make a bucket (or to find it there)."""
        return index.bucket_creation(self._kv, bucket, self._now_us())

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000
