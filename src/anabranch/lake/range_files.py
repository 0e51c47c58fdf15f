"""Files of ranges and metaranges in the block store."""

import hashlib
from typing import Protocol

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import Namespace
from anabranch.storage.blocks.base import BlockStore
from anabranch.storage.kv.base import Write


class RangeFiles(Protocol):
    """Files named by 64 hex digits in a namespace. Both methods may block; any thread may call."""

    def read(self, namespace: Namespace, name: str) -> bytes:
        """Return a file; raise Corrupted(RANGE_LOST) when it is gone: only commits name files."""
        ...

    def write(self, namespace: Namespace, name: str, data: bytes) -> tuple[Write, ...]:
        """Make a file durable and return the index writes that make it exist.

        Writing over a file of the same name is harmless and gives it a fresh time.
        """
        ...


class BlockRangeFiles:
    """Range files at `<namespace>/_lakefs/<name>` of a block store."""

    def __init__(self, blocks: BlockStore, *, bytes_max: int = limits.RANGE_BYTES_MAX) -> None:
        self._blocks = blocks
        self._bytes_max = bytes_max

    def read(self, namespace: Namespace, name: str) -> bytes:
        """Return a file; raise Corrupted(RANGE_LOST) when it is gone: only commits name files."""
        block = self._blocks.find(_address(namespace, name))
        if block is None:
            raise Corrupted(Kind.RANGE_LOST, f"range or metarange {name} in {namespace} is gone")
        if block.size_bytes > self._bytes_max:
            raise Corrupted(Kind.RANGE_CHECKSUM, f"range {name} has {block.size_bytes} bytes")
        return self._blocks.read(block, 0, block.size_bytes)

    def write(self, namespace: Namespace, name: str, data: bytes) -> tuple[Write, ...]:
        """Make a file durable and return the index writes that make it exist."""
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        placed = self._blocks.put(_address(namespace, name), data, etag=etag, own_file=True)
        return placed.writes


def _address(namespace: Namespace, name: str) -> str:
    return f"{namespace}/_lakefs/{name}"
