"""What every block store offers: immutable bytes by address, streamed in both directions.

An address is `<scheme>://<bucket>/<key>`; the scheme (`s3` or `local`) does not take part in where
bytes are. An object exists from the moment its *index row* is in the KV store: writing bytes
returns the index writes, and the caller puts them into its own transaction, so that bytes and
the entry that points to them become visible together (docs/protocol.md 3.1).
"""

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import NamedTuple, Protocol

from anabranch.kernel.pages import Page
from anabranch.storage.kv.base import Condition, Window, Write


class Extent(NamedTuple):
    """A run of bytes in one file of the store: a segment, a file of its own, or a remote object."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Block:
    """An object of the store as its index row describes it; `etag` without quotes.

    `version` is that of the index row it was read from, 0 when it was not read from one.
    """

    address: str
    size_bytes: int
    etag: str
    created_us: int
    extents: tuple[Extent, ...]
    content_type: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """Bytes that have a place: make them an object by putting `writes` into a transaction.

    `windows` must go into the same Prepared. `extents` are for callers that keep the place in a
    record of their own (parts of a multipart upload) instead of `writes`.
    """

    block: Block
    writes: tuple[Write, ...]
    windows: tuple[Window, ...] = field(default=())

    @property
    def extents(self) -> tuple[Extent, ...]:
        """Return where the bytes are."""
        return self.block.extents

    @property
    def is_lost(self) -> bool:
        """Tell whether the bytes must be put again because their place was abandoned."""
        return any(window.is_lost for window in self.windows)


class BlockWriter(Protocol):
    """One object being written; holds one window of it in memory at most."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; may block."""
        ...

    def finish(
        self, etag: str, *, content_type: str = "", metadata: tuple[tuple[str, str], ...] = ()
    ) -> Placed:
        """Make the bytes durable and return their place; nothing is visible yet."""
        ...

    def abort(self) -> None:
        """Forget the bytes. Harmless after finish or a second time."""
        ...


class BlockStore(Protocol):
    """Immutable bytes by address."""

    @property
    def is_local(self) -> bool:
        """Tell whether reads may be answered from the page cache."""
        ...

    def put(
        self,
        address: str,
        data: bytes | memoryview,
        *,
        etag: str,
        own_file: bool = False,
        content_type: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Placed:
        """Place bytes that are in memory.

        Up to SMALL_OBJECT_BYTES_MAX (unless `own_file`) they get a window in a segment and this
        does not block; else they are written and synced before it returns.
        """
        ...

    def open_writer(self, address: str) -> BlockWriter:
        """Start an object of unknown size in a file of its own."""
        ...

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
        ...

    def find(self, address: str) -> Block | None:
        """Return the object at `address`, None when there is none."""
        ...

    def get(self, address: str) -> Block:
        """Return the object at `address`; raise NotFound(BLOCK_NOT_FOUND)."""
        ...

    def read(self, block: Block, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; may block; raise Corrupted when short."""
        ...

    def read_now(self, block: Block, offset: int, length: int) -> bytes | None:
        """Return the same when it is in the page cache, None when it would have to wait."""
        ...

    def list(self, bucket: str, *, prefix: str, after: str, amount: int) -> Page[Block]:
        """Return one page of a bucket's objects by key, in byte order; `after` is exclusive."""
        ...

    def removal(self, block: Block) -> tuple[tuple[Condition, ...], tuple[Write, ...]]:
        """Return what a transaction needs to make the object not exist; its bytes go later.

        The condition is that the object is still the one read, when `block` was read.
        """
        ...

    def local_path(self, block: Block) -> FilePath:
        """Return a file that holds exactly the object's bytes, for engines that read by path."""
        ...

    def buckets(self) -> builtins.list[str]:
        """Return the names of all buckets, sorted."""
        ...

    def has_bucket(self, bucket: str) -> bool:
        """Tell whether a bucket was made."""
        ...

    def bucket_creation(self, bucket: str) -> tuple[tuple[Condition, ...], tuple[Write, ...]]:
        """Return what a transaction needs to make a bucket (or to find it there)."""
        ...

    def flush(self, windows: Sequence[Window]) -> None:
        """Make the bytes of windows durable; the one writer of the process calls it.

        Never raises for a failed disk: a window whose place was abandoned `is_lost` afterwards.
        """
        ...

    def close(self) -> None:
        """Release files and threads. Nothing else may be called afterwards."""
        ...


def split_address(address: str) -> tuple[str, str]:
    """Return (bucket, key) of a full address."""
    rest = address.split("://", 1)[1]
    bucket, _, key = rest.partition("/")
    return bucket, key
