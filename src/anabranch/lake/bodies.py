"""Bytes on their way into the block store: hashed as they come, small ones kept in memory.

A body is received once and may be placed several times: a request that was refused and runs again
keeps its place, unless the place itself was lost.
"""

import hashlib
from collections.abc import Sequence

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource
from anabranch.kernel.digests import feed
from anabranch.kernel.entries import Metadata
from anabranch.kernel.errors import Kind, LimitExceeded, Unavailable
from anabranch.lake.values import Repository
from anabranch.storage.blocks.base import Block, BlockStore, BlockWriter, Extent, Placed


class Body:
    """The bytes of one object, for one thread at a time.

    Up to SMALL_OBJECT_BYTES_MAX bytes stay in memory and `write`, `finish` and `place` do not
    block; more go to a file of their own as they come, and `write` and `finish` may block. With
    `own_file` the first byte does.
    """

    def __init__(
        self,
        blocks: BlockStore,
        address: str,
        size_bytes_max: int = limits.PUT_BYTES_MAX,
        *,
        own_file: bool = False,
    ) -> None:
        self._blocks = blocks
        self._address = address
        self._size_bytes_max = size_bytes_max
        self._kept_bytes_max = 0 if own_file else limits.SMALL_OBJECT_BYTES_MAX
        self._size_bytes = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._kept: list[bytes] = []
        self._writer: BlockWriter | None = None
        self._is_finished = False
        self._is_broken = False
        self._written: tuple[Extent, ...] = ()
        self._placed: Placed | None = None
        self._placed_as: tuple[str, str, Metadata] = ("", "", ())

    @property
    def address(self) -> str:
        """Return the full URI the bytes will have."""
        return self._address

    @property
    def size_bytes(self) -> int:
        """Return how many bytes have come so far."""
        return self._size_bytes

    @property
    def is_small(self) -> bool:
        """Tell whether the bytes are in memory, so that nothing here blocks."""
        return self._writer is None and self._kept_bytes_max > 0

    @property
    def etag(self) -> str:
        """Return the MD5 of the bytes so far, in hex."""
        return self._md5.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; raise LimitExceeded(TOO_LARGE) past the largest size allowed."""
        assert not self._is_finished, "a finished body takes no more bytes"
        if self._is_broken:
            raise _broken()
        size_bytes = data.nbytes if isinstance(data, memoryview) else len(data)
        if self._size_bytes + size_bytes > self._size_bytes_max:
            self._is_broken = True
            raise LimitExceeded(
                Kind.TOO_LARGE, f"more than {self._size_bytes_max} bytes in one request"
            )
        # Until these bytes are in, the whole is good for nothing.
        self._is_broken = True
        self._size_bytes += size_bytes
        feed(self._md5, data)
        if self._writer is None and self._size_bytes > self._kept_bytes_max:
            self._writer = self._blocks.open_writer(self._address)
            kept, self._kept = self._kept, []
            for piece in kept:
                self._writer.write(piece)
        if self._writer is None:
            self._kept.append(bytes(data))
        else:
            self._writer.write(data)
        self._is_broken = False

    def finish(self) -> None:
        """End the bytes; large ones are durable when this returns. Safe to repeat.

        Raises Unavailable when they could not be written, and each time after that.
        """
        if self._is_broken:
            raise _broken()
        if self._is_finished:
            return
        if self._writer is not None:
            self._is_broken = True
            placed = self._keep(self._writer.finish(self.etag), (self.etag, "", ()))
            assert placed.block.size_bytes == self._size_bytes
            self._written = placed.extents
            self._is_broken = False
        elif len(self._kept) > 1:
            self._kept = [b"".join(self._kept)]
        self._is_finished = True

    def place(
        self, *, etag: str | None = None, content_type: str = "", metadata: Metadata = ()
    ) -> Placed:
        """Return a place for the bytes and the index writes that make them an object.

        The same place each time, until it was lost. `etag` is the MD5 unless given; content type
        and metadata are for objects of the raw store alone.
        """
        self.finish()
        wanted = (self.etag if etag is None else etag, content_type, metadata)
        placed = self._placed
        if placed is not None and not placed.is_lost and self._placed_as == wanted:
            return placed
        return self._keep(self._place_as(*wanted), wanted)

    def move_to(self, address: str) -> None:
        """Give the bytes another address: the repository was made again while they came."""
        self._address = address
        self._placed = None

    def abort(self) -> None:
        """Forget the bytes. Harmless a second time."""
        self._is_broken = True
        self._kept.clear()
        if self._writer is not None:
            self._writer.abort()

    def _place_as(self, etag: str, content_type: str, metadata: Metadata) -> Placed:
        if self._writer is not None:
            return self._blocks.join(
                self._address,
                self._written,
                etag=etag,
                content_type=content_type,
                metadata=metadata,
            )
        data = self._kept[0] if self._kept else b""
        return self._blocks.put(
            self._address, data, etag=etag, content_type=content_type, metadata=metadata
        )

    def _keep(self, placed: Placed, placed_as: tuple[str, str, Metadata]) -> Placed:
        self._placed, self._placed_as = placed, placed_as
        return placed


def _broken() -> Unavailable:
    return Unavailable(Kind.STORE_FAILED, "the bytes were not written, or were given up")


class Joined(Body):
    """An object made of parts that have places already: a completed multipart upload."""

    def __init__(
        self, blocks: BlockStore, address: str, extents: Sequence[Extent], etag: str
    ) -> None:
        super().__init__(blocks, address)
        self._written = tuple(extents)
        self._joined_etag = etag
        self._size_bytes = sum(extent.length for extent in extents)
        self._is_finished = True

    @property
    def is_small(self) -> bool:
        """Nothing is left to write."""
        return True

    @property
    def etag(self) -> str:
        """Return the ETag of the parts."""
        return self._joined_etag

    def _place_as(self, etag: str, content_type: str, metadata: Metadata) -> Placed:
        return self._blocks.join(
            self._address, self._written, etag=etag, content_type=content_type, metadata=metadata
        )


class Existing(Body):
    """An object that is in the block store already: what a link refers to."""

    def __init__(self, blocks: BlockStore, block: Block) -> None:
        super().__init__(blocks, block.address)
        self._block = block
        self._size_bytes = block.size_bytes
        self._is_finished = True

    @property
    def etag(self) -> str:
        """Return the object's own ETag."""
        return self._block.etag

    def place(
        self, *, etag: str | None = None, content_type: str = "", metadata: Metadata = ()
    ) -> Placed:
        """Return the object as it is: nothing to write."""
        return Placed(self._block, ())


class Bodies:
    """Opens bodies at fresh addresses, or at one the caller knows."""

    def __init__(self, blocks: BlockStore, ids: IdSource) -> None:
        self._blocks = blocks
        self._ids = ids

    def fresh_address(self, repository: Repository) -> str:
        """Return an address under the repository's namespace that nobody has."""
        return f"{repository.namespace}/{self._ids.hex32()}"

    def open(
        self,
        repository: Repository,
        *,
        size_bytes_max: int = limits.PUT_BYTES_MAX,
        own_file: bool = False,
    ) -> Body:
        """Start the bytes of one object of a repository.

        With `own_file` they get a file that engines can read by path, however few they are.
        """
        assert size_bytes_max <= limits.OBJECT_BYTES_MAX
        address = self.fresh_address(repository)
        return Body(self._blocks, address, size_bytes_max, own_file=own_file)

    def open_at(self, address: str, *, size_bytes_max: int = limits.PUT_BYTES_MAX) -> Body:
        """Start the bytes of one object at a full URI; its index row is the caller's to put."""
        assert size_bytes_max <= limits.OBJECT_BYTES_MAX
        return Body(self._blocks, address, size_bytes_max)
