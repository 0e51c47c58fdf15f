"""A block store in memory, for tests: small objects take windows, as in a directory.

Bytes that got a window can be read only after `flush`, so that a test notices a transaction that
forgot its windows. `lose_windows` abandons what is reserved, as a failed fsync does.
"""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.storage.blocks import index
from anabranch.storage.blocks.base import Block, Extent, Placed
from anabranch.storage.blocks.indexed import IndexedBlocks
from anabranch.storage.kv.base import KVStore, Window


class MemoryWindow:
    """Bytes that become readable under their file's name when they are flushed."""

    __slots__ = ("data", "file", "is_lost")

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        self.data = data
        self.is_lost = False


class MemoryBlocks(IndexedBlocks):
    """Objects in a dictionary; the index is the KV store's, as everywhere."""

    def __init__(self, kv: KVStore, clock: Clock, ids: IdSource) -> None:
        super().__init__(kv, clock)
        self._ids = ids
        self._files: dict[str, bytes] = {}
        self._reserved: dict[str, MemoryWindow] = {}
        self._lock = threading.Lock()
        self._directory: TemporaryDirectory[str] | None = None

    @property
    def is_local(self) -> bool:
        """Reads never wait."""
        return True

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
        """Place bytes: in a window up to SMALL_OBJECT_BYTES_MAX, else at once."""
        kept = bytes(data)
        if not kept:
            return self.join(address, (), etag=etag, content_type=content_type, metadata=metadata)
        if own_file or len(kept) > limits.SMALL_OBJECT_BYTES_MAX:
            extents = (self._keep(kept),)
            return self.join(
                address, extents, etag=etag, content_type=content_type, metadata=metadata
            )
        window = MemoryWindow("s" + self._ids.hex32(), kept)
        with self._lock:
            self._reserved[window.file] = window
        extents = (Extent(window.file, 0, len(kept)),)
        placed = self.join(
            address, extents, etag=etag, content_type=content_type, metadata=metadata
        )
        return Placed(placed.block, placed.writes, (window,))

    def open_writer(self, address: str) -> "MemoryWriter":
        """Start an object of unknown size."""
        return MemoryWriter(self, address)

    def read(self, block: Block, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; raise Corrupted when they are not there."""
        data = b"".join(
            self._files.get(extent.file, b"")[extent.offset : extent.offset + extent.length]
            for extent in block.extents
        )
        found = data[offset : offset + length]
        if len(found) != length:
            raise Corrupted(Kind.BLOCK_DAMAGED, f"the bytes of {block.address!r} are not all there")
        return found

    def read_now(self, block: Block, offset: int, length: int) -> bytes | None:
        """Return the same: memory never waits."""
        return self.read(block, offset, length)

    def local_path(self, block: Block) -> FilePath:
        """Return a file with the object's bytes, in a temporary directory of this store."""
        with self._lock:
            if self._directory is None:
                self._directory = TemporaryDirectory(prefix="anabranch-blocks-")
        name = hashlib.blake2b(index.extents_key(block.extents), digest_size=16).hexdigest()
        path = FilePath(self._directory.name) / name
        path.write_bytes(self.read(block, 0, block.size_bytes))
        return path

    def flush(self, windows: Sequence[Window]) -> None:
        """Make the bytes of windows readable, those of lost ones excepted."""
        with self._lock:
            for window in windows:
                assert isinstance(window, MemoryWindow)
                if not window.is_lost:
                    self._files[window.file] = window.data
                    self._reserved.pop(window.file, None)

    def lose_windows(self) -> None:
        """Abandon every place that is reserved and not yet flushed."""
        with self._lock:
            for window in self._reserved.values():
                window.is_lost = True
            self._reserved.clear()

    def close(self) -> None:
        """Remove the temporary directory when there is one."""
        if self._directory is not None:
            self._directory.cleanup()

    def _keep(self, data: bytes) -> Extent:
        file = self._ids.hex32()
        with self._lock:
            self._files[file] = data
        return Extent(file, 0, len(data))


class MemoryWriter:
    """One object being written to memory."""

    def __init__(self, blocks: MemoryBlocks, address: str) -> None:
        self._blocks = blocks
        self._address = address
        self._data = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._data += data

    def finish(
        self, etag: str, *, content_type: str = "", metadata: tuple[tuple[str, str], ...] = ()
    ) -> Placed:
        """Keep the bytes and return their place."""
        return self._blocks.put(
            self._address,
            bytes(self._data),
            etag=etag,
            own_file=True,
            content_type=content_type,
            metadata=metadata,
        )

    def abort(self) -> None:
        """Forget the bytes."""
        self._data.clear()
