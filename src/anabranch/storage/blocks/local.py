"""A block store in one directory: files of their own, segments for small objects.

    files/<2 hex digits>/<32 hex digits>         one object, or one part of a multipart object
    files/<2 hex digits>/<32 hex digits>.part    being written; of no use after a crash
    segments/<32 hex digits>                     small objects of one process, one behind the other
    segments/<32 hex digits>.spare               the next one of a process, not in use yet
    copies/<32 hex digits>                       bytes copied out for readers by path; a cache

No name comes from a user: what a path means is the index's matter, in the KV store.
"""

import contextlib
import dataclasses
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import Corrupted, Kind, Unavailable
from anabranch.storage.blocks import index
from anabranch.storage.blocks.base import Block, Extent, Placed
from anabranch.storage.blocks.copies import Copies
from anabranch.storage.blocks.files import Descriptor, OpenFiles
from anabranch.storage.blocks.indexed import IndexedBlocks
from anabranch.storage.blocks.leftovers import Leftovers, Look
from anabranch.storage.blocks.segments import NAME_PREFIX, Segments, SegmentWindow
from anabranch.storage.disk import Disk
from anabranch.storage.kv.base import Condition, KVStore, Window

_EARLY_SYNC_THREADS = 2


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the store as extents name it; `.part` and `.spare` end what none can name yet."""

    name: str
    size_bytes: int
    modified_ns: int


class LocalBlocks(IndexedBlocks):
    """Immutable bytes in `directory`, which is made when absent; the index is in `kv`.

    Any number of processes may use one directory. `segment_bytes` and `prepares_segments` are for
    tests; `disk` is where tests put faults.
    """

    def __init__(
        self,
        directory: Path,
        kv: KVStore,
        clock: Clock,
        ids: IdSource,
        *,
        disk: Disk | None = None,
        segment_bytes: int = limits.SEGMENT_BYTES,
        prepares_segments: bool = True,
    ) -> None:
        super().__init__(kv, clock)
        self._ids = ids
        self._disk = Disk() if disk is None else disk
        self._files = directory / "files"
        self._made: set[str] = set()
        self._open_files = OpenFiles(self._path_of)
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        try:
            for path in (directory, self._files, directory / "segments", directory / "copies"):
                self._disk.make_directory(path)
            self._disk.sync_directory(directory)
            self._disk.sync_directory(directory.parent)
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{directory}: {error}") from error
        self._segments = Segments(
            directory / "segments",
            ids,
            self._disk,
            segment_bytes=segment_bytes,
            prepares=prepares_segments,
        )
        self._copies = Copies(directory / "copies", clock, ids, self._disk)
        # What is in the way of nothing must not keep a store from being opened.
        with contextlib.suppress(OSError):
            self._segments.remove_spares()

    @property
    def is_local(self) -> bool:
        """Reads may be answered from the page cache."""
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
        """Place bytes that are in memory: a window in a segment, or a synced file."""
        if not data:
            return self.join(address, (), etag=etag, content_type=content_type, metadata=metadata)
        if not own_file and len(data) <= limits.SMALL_OBJECT_BYTES_MAX:
            extent, window = self._segments.reserve(bytes(data))
            block = Block(
                address, extent.length, etag, self._now_us(), (extent,), content_type, metadata
            )
            return Placed(block, index.object_writes(block), (window,))
        writer = self.open_writer(address)
        try:
            writer.write(data)
            return writer.finish(etag, content_type=content_type, metadata=metadata)
        finally:
            writer.abort()

    def open_writer(self, address: str) -> "FileWriter":
        """Start an object of unknown size in a file of its own."""
        return FileWriter(self, address)

    def read(self, block: Block, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; may block; raise Corrupted when short."""
        extents = block.extents
        if len(extents) == 1 and offset >= 0 and 0 < length <= extents[0].length - offset:
            return self._open_files.read(extents[0].file, extents[0].offset + offset, length)
        pieces = _pieces(block, offset, length)
        return b"".join(
            [self._open_files.read(piece.file, piece.offset, piece.length) for piece in pieces]
        )

    def read_now(self, block: Block, offset: int, length: int) -> bytes | None:
        """Return the same when it is in the page cache, None when it would have to wait."""
        extents = block.extents
        if len(extents) == 1 and offset >= 0 and 0 < length <= extents[0].length - offset:
            return self._open_files.read_now(extents[0].file, extents[0].offset + offset, length)
        found: list[bytes] = []
        for piece in _pieces(block, offset, length):
            data = self._open_files.read_now(piece.file, piece.offset, piece.length)
            if data is None:
                return None
            found.append(data)
        return b"".join(found)

    def local_path(self, block: Block) -> Path:
        """Return a file that holds exactly the object's bytes.

        An object in a file of its own has one; others are copied to a cache of bounded size, where
        a copy stays at least COPY_KEEP_S after it was asked for last.
        """
        if len(block.extents) == 1:
            extent = block.extents[0]
            if extent.offset == 0 and not extent.file.startswith(NAME_PREFIX):
                return self._file(extent.file)
        name = hashlib.blake2b(index.extents_key(block.extents), digest_size=16).hexdigest()
        return self._copies.path(
            name, block.size_bytes, lambda offset, length: self.read(block, offset, length)
        )

    def flush(self, windows: Sequence[Window]) -> None:
        """Make windows durable; one whose segment failed `is_lost` afterwards."""
        own: list[SegmentWindow] = []
        for window in windows:
            assert isinstance(window, SegmentWindow)
            own.append(window)
        self._segments.flush(own)

    def close(self) -> None:
        """Give back the unused end of the segment; close files and threads."""
        self._segments.close()
        if self._executor is not None:
            self._executor.shutdown()
        self._open_files.close()

    # For retention, which knows what is referred to.

    def relocation(self, block: Block) -> tuple[tuple[Condition, ...], Placed]:
        """Return the move of an object's bytes out of the segments they lie in.

        The conditions are that the object is still the one read; identity and time stay. What lies
        in files of its own stays where it is. Readers of the old row read on until its file goes.
        """
        assert block.version
        extents: list[Extent] = []
        windows: list[SegmentWindow] = []
        offset = 0
        for extent in block.extents:
            if extent.file.startswith(NAME_PREFIX):
                data = self.read(block, offset, extent.length)
                moved, window = self._segments.reserve(data)
                extents.append(moved)
                windows.append(window)
            else:
                extents.append(extent)
            offset += extent.length
        moved_block = dataclasses.replace(block, extents=tuple(extents), version=0)
        conditions, _ = index.object_removal(block)
        return conditions, Placed(moved_block, index.object_writes(moved_block), tuple(windows))

    def leftovers(self, looks: Sequence[Look]) -> Leftovers:
        """Return the sweep of what killed processes left in segments.

        `looks` go through the extents that records outside of the index refer to. They come before
        the index: bytes move from such a record into the index, never back.
        """
        looks = [*looks, lambda after: index.extents_after(self._kv, after, limits.LEFTOVERS_ROWS)]
        return Leftovers(self._segments, self._disk, looks)

    def walk_files(self) -> Iterator[StoredFile]:
        """Yield every file of the store in no order, those of other processes included."""
        for path in self._segments.directory.iterdir():
            if (file := _stored(NAME_PREFIX + path.name, path)) is not None:
                yield file
        for directory in self._files.iterdir():
            for path in directory.iterdir():
                if (file := _stored(path.name, path)) is not None:
                    yield file

    def remove_file(self, name: str) -> bool:
        """Remove a file that nothing refers to; tell whether it is gone.

        A segment that a living process may still write to stays. The caller has seen to it that
        no row refers to the file, and waited a grace period.
        """
        _check_name(name.removeprefix(NAME_PREFIX))
        try:
            if name.startswith(NAME_PREFIX):
                is_gone = self._segments.remove(name[len(NAME_PREFIX) :])
            else:
                self._disk.unlink(self._files / name[:2] / name)
                is_gone = True
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{name}: {error}") from error
        self._open_files.forget(name)
        return is_gone

    # For FileWriter.

    def create_file(self) -> tuple[str, Path, Descriptor]:
        """Make a file to be written; return its future name, its path now, its descriptor."""
        name = self._ids.hex32()
        directory = self._fan_out(name)
        path = directory / f"{name}.part"
        return name, path, Descriptor(self._disk.create(path))

    def sync_early(self, descriptor: Descriptor) -> "Future[None]":
        """Start the write-back of a file in another thread."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(_EARLY_SYNC_THREADS, "early-sync")
        return self._executor.submit(_sync, self._disk, descriptor)

    def publish_file(self, name: str, path: Path, descriptor: Descriptor) -> None:
        """Make a written file durable under its name.

        It is renamed first: a journal that takes the file's bytes then takes the name with them,
        and has nothing left to do for the directory. Nothing refers to it before this returns.
        """
        target = self._file(name)
        self._disk.rename(path, target)
        try:
            self._disk.sync(descriptor.number)
            self._disk.sync_directory(target.parent)
        except OSError:
            self.drop_file(target)
            raise

    def write_file(self, descriptor: Descriptor, data: bytes | memoryview, offset: int) -> None:
        """Write bytes of a file that is being written."""
        self._disk.write(descriptor.number, (data,), offset)

    def drop_file(self, path: Path) -> None:
        """Remove a file that will not be published."""
        with contextlib.suppress(OSError):
            self._disk.unlink(path)

    def _fan_out(self, name: str) -> Path:
        directory = self._files / name[:2]
        if name[:2] not in self._made:
            self._disk.make_directory(directory)
            # Also when it was there: who made it may not have synced it yet.
            self._disk.sync_directory(self._files)
            self._made.add(name[:2])
        return directory

    def _file(self, name: str) -> Path:
        _check_name(name)
        return self._files / name[:2] / name

    def _path_of(self, file: str) -> Path:
        """Return the path of an extent's file."""
        if file.startswith(NAME_PREFIX):
            name = file[len(NAME_PREFIX) :]
            _check_name(name)
            return self._segments.path(name)
        return self._file(file)


class FileWriter:
    """One object being written to a file of its own; the file is made by the first byte.

    Write-back starts every EARLY_SYNC_BYTES, in another thread, so that the last fsync is short.
    Raises Unavailable when the disk fails; the file is removed then.
    """

    def __init__(self, blocks: LocalBlocks, address: str) -> None:
        self._blocks = blocks
        self._address = address
        self._name = ""
        self._path: Path | None = None
        self._descriptor: Descriptor | None = None
        self._size_bytes = 0
        self._synced_bytes = 0
        self._early: Future[None] | None = None
        self._has_failed = False

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; may block."""
        size_bytes = memoryview(data).nbytes
        if not size_bytes:
            return
        try:
            if self._descriptor is None:
                assert not self._has_failed
                self._name, self._path, self._descriptor = self._blocks.create_file()
            self._blocks.write_file(self._descriptor, data, self._size_bytes)
            self._size_bytes += size_bytes
            if self._size_bytes - self._synced_bytes >= limits.EARLY_SYNC_BYTES:
                self._sync_early(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error

    def _sync_early(self, descriptor: Descriptor) -> None:
        if self._early is not None:
            if not self._early.done():
                return
            # An fsync that failed is the writer's failure: no later one would tell.
            self._early.result()
        self._early = self._blocks.sync_early(descriptor)
        self._synced_bytes = self._size_bytes

    def finish(
        self, etag: str, *, content_type: str = "", metadata: tuple[tuple[str, str], ...] = ()
    ) -> Placed:
        """Make the bytes durable and return their place; nothing is visible yet."""
        extents: tuple[Extent, ...] = ()
        if self._descriptor is not None and self._path is not None:
            try:
                if self._early is not None:
                    self._early.result()
                self._blocks.publish_file(self._name, self._path, self._descriptor)
            except OSError as error:
                raise self._failure(error) from error
            extents = (Extent(self._name, 0, self._size_bytes),)
            self._path = self._descriptor = None
        return self._blocks.join(
            self._address, extents, etag=etag, content_type=content_type, metadata=metadata
        )

    def abort(self) -> None:
        """Forget the bytes. Harmless after finish or a second time."""
        if self._path is not None:
            self._blocks.drop_file(self._path)
        self._path = self._descriptor = None

    def _failure(self, error: OSError) -> Unavailable:
        self._has_failed = True
        self.abort()
        return Unavailable(Kind.STORE_FAILED, f"the bytes could not be written: {error.strerror}")


def _stored(name: str, path: Path) -> StoredFile | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None  # removed or renamed since the directory was read
    return StoredFile(name, status.st_size, status.st_mtime_ns)


def _sync(disk: Disk, descriptor: Descriptor) -> None:
    disk.sync(descriptor.number)


def _check_name(name: str) -> None:
    # Rows are checked when they are decoded; this keeps a damaged one from leaving the directory.
    if os.sep in name or not name or name.startswith("."):
        raise Corrupted(Kind.RECORD_FORMAT, f"not the name of a block file: {name!r}")


def _pieces(block: Block, offset: int, length: int) -> list[Extent]:
    """Return where `length` bytes from `offset` are; raise Corrupted when some are missing."""
    pieces: list[Extent] = []
    end = offset + length
    start = 0
    for extent in block.extents:
        low, high = max(offset, start), min(end, start + extent.length)
        if low < high:
            pieces.append(Extent(extent.file, extent.offset + low - start, high - low))
        start += extent.length
        if start >= end:
            break
    if offset < 0 or sum(piece.length for piece in pieces) != length:
        raise Corrupted(
            Kind.BLOCK_DAMAGED,
            f"{block.address!r} has {block.size_bytes} bytes, not {length} from {offset}",
        )
    return pieces
