"""Segments: files shared by small objects, so that one fsync serves a batch of them.

A process appends only to segments it made; their names are random, so no other process ever makes
the same one. A place is *reserved* first and written later, by the process's one writer. A segment
whose write or fsync failed is abandoned: what was reserved in it and is not yet durable has lost
its place. What a dead process left is never written to again.

A process holds a lock on each segment it may still write to, so that nobody removes or cuts a file
whose bytes are about to be acknowledged. Who can't lock a file it has just made gives it up.

A thread makes the next segment while one is in use, filled with zeros beforehand: an fsync of
bytes written over zeros need not change the file's length or extents, which halves its time. Until
it is taken into use, by its first flush, its name ends in `.spare`: nothing refers to such a file.

A segment that nobody will write to again, and that has no unwritten end to speak of, is marked as
read-only; `leftovers` sees to those that have no such mark and no owner.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource
from anabranch.storage.blocks.base import Extent
from anabranch.storage.blocks.files import Descriptor
from anabranch.storage.disk import Disk

NAME_PREFIX = "s"
"""Before the 32 hex digits of a segment's name, where an extent names a file."""
SPARE_SUFFIX = ".spare"
"""Behind them, in the name of a segment's file before it is taken into use."""

_ZEROS = bytes(limits.MIB)


class Segment:
    """One file; its descriptor closes when no window refers to it any more."""

    __slots__ = (
        "descriptor",
        "is_abandoned",
        "is_filled",
        "is_spare",
        "name",
        "path",
        "reserved_bytes",
    )

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.descriptor: Descriptor | None = None
        self.reserved_bytes = 0
        self.is_filled = False
        self.is_spare = False
        self.is_abandoned = False


class SegmentWindow:
    """Bytes with a reserved place in a segment."""

    __slots__ = ("data", "is_durable", "offset", "segment")

    def __init__(self, segment: Segment, offset: int, data: bytes) -> None:
        self.segment = segment
        self.offset = offset
        self.data = data
        self.is_durable = False

    @property
    def is_lost(self) -> bool:
        """Tell whether the segment was abandoned before these bytes were on disk."""
        return self.segment.is_abandoned and not self.is_durable


class Segments:
    """The segments of one process, in `directory`, which exists.

    `prepares` says whether a thread makes filled segments ahead; without it each is made by the
    first flush that needs it, and grows.
    """

    def __init__(
        self,
        directory: Path,
        ids: IdSource,
        disk: Disk,
        *,
        segment_bytes: int = limits.SEGMENT_BYTES,
        prepares: bool = True,
    ) -> None:
        self.directory = directory
        self._ids = ids
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._current: Segment | None = None
        self._spare: Segment | None = None
        self._left: list[Segment] = []
        self._prepares = prepares
        self._preparation: threading.Thread | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def path(self, name: str) -> Path:
        """Return the file of a segment, by its name without the prefix."""
        return self.directory / name

    def reserve(self, data: bytes) -> tuple[Extent, SegmentWindow]:
        """Give bytes a place; touches no disk."""
        assert 0 < len(data) <= self._segment_bytes
        with self._lock:
            segment = self._segment_for(len(data))
            window = SegmentWindow(segment, segment.reserved_bytes, data)
            segment.reserved_bytes += len(data)
        return Extent(NAME_PREFIX + segment.name, window.offset, len(data)), window

    def _segment_for(self, size_bytes: int) -> Segment:
        current = self._current
        if current is not None and (
            current.is_abandoned
            or current.reserved_bytes + size_bytes > self._segment_bytes
            # The first one of a process is there before its filled successor is: move on to it.
            or (self._spare is not None and not current.is_filled)
        ):
            if not current.is_abandoned:
                self._left.append(current)
            current = None
        if current is None:
            current, self._spare = self._spare, None
        if current is None:
            name = self._ids.hex32()
            current = Segment(name, self.directory / name)
        self._current = current
        if self._prepares and self._spare is None and self._preparation is None:
            self._preparation = threading.Thread(target=self._prepare, name="segments", daemon=True)
            self._preparation.start()
        return current

    def flush(self, windows: Sequence[SegmentWindow]) -> None:
        """Make windows durable, one fsync a segment; called by one thread at a time.

        Abandons a segment whose write or fsync failed, and does not raise.
        """
        by_segment: dict[Segment, list[SegmentWindow]] = {}
        for window in windows:
            if not window.is_durable and not window.is_lost:
                by_segment.setdefault(window.segment, []).append(window)
        for segment, waiting in by_segment.items():
            try:
                self._write(segment, waiting)
            except OSError:
                # No second fsync: the kernel may have dropped the pages and would report success.
                with self._lock:
                    segment.is_abandoned = True
                continue
            for window in waiting:
                window.is_durable = True
                window.data = b""
        if self._left:
            self._protect_left()

    def _protect_left(self) -> None:
        with self._lock:
            made = [segment for segment in self._left if segment.descriptor is not None]
            self._left = [
                segment
                for segment in self._left
                if segment.descriptor is None and not segment.is_abandoned
            ]
        for segment in made:
            # Windows that still wait in it are written by the descriptor that is open.
            self._protect(segment)

    def _protect(self, segment: Segment) -> None:
        if segment.descriptor is not None:
            # Without the mark the segment is only looked at once more, by `leftovers`.
            with contextlib.suppress(OSError):
                self._disk.protect(segment.descriptor.number)

    def _write(self, segment: Segment, windows: list[SegmentWindow]) -> None:
        if segment.descriptor is None:
            segment.descriptor = self._create(segment.path)
            self._disk.sync_directory(self.directory)
        elif segment.is_spare:
            path = self.path(segment.name)
            self._disk.rename(segment.path, path)
            segment.path, segment.is_spare = path, False
            self._disk.sync_directory(self.directory)
        windows.sort(key=_offset_of)
        run: list[bytes] = []
        start = end = windows[0].offset
        for window in windows:
            if window.offset != end:
                self._disk.write(segment.descriptor.number, run, start)
                run, start = [], window.offset
            run.append(window.data)
            end = window.offset + len(window.data)
        self._disk.write(segment.descriptor.number, run, start)
        self._disk.sync(segment.descriptor.number)

    def _create(self, path: Path) -> Descriptor:
        descriptor = Descriptor(self._disk.create(path))
        fcntl.flock(descriptor.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(descriptor.number).st_nlink:
            raise OSError(errno.ESTALE, "removed before it was locked")
        return descriptor

    def remove(self, name: str) -> bool:
        """Remove a segment unless a living process may still write to it; tell whether it is gone.

        Raises OSError.
        """
        path = self.path(name)
        try:
            descriptor = Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._disk.unlink(path)
        return True

    def remove_spares(self) -> int:
        """Remove segments that were made ahead by processes that are gone; return how many.

        One that can't be removed stays. Raises OSError when the directory can't be read.
        """
        removed = 0
        for name in os.listdir(self.directory):
            if name.endswith(SPARE_SUFFIX):
                with contextlib.suppress(OSError):
                    removed += self.remove(name)
        return removed

    def _prepare(self) -> None:
        name = self._ids.hex32()
        segment = Segment(name, self.directory / (name + SPARE_SUFFIX))
        segment.is_spare = True
        try:
            segment.descriptor = self._create(segment.path)
            for offset in range(0, self._segment_bytes, len(_ZEROS)):
                if self._is_closed:
                    break
                zeros = _ZEROS[: self._segment_bytes - offset]
                self._disk.write(segment.descriptor.number, (zeros,), offset)
                # Little by little, so that no fsync of the writer waits for all of them.
                self._disk.sync(segment.descriptor.number)
        except OSError:
            # Not worth an error: a segment can be made without it. The next one tries again.
            self._remove(segment)
            with self._lock:
                self._preparation = None
            return
        segment.is_filled = True
        with self._lock:
            self._preparation = None
            if not self._is_closed:
                self._spare = segment
                return
        self._remove(segment)

    def close(self) -> None:
        """Cut the unused end off the current segment and remove the spare one.

        Whoever still holds a window must not flush it any more.
        """
        with self._lock:
            self._is_closed = True
            preparation = self._preparation
            current, self._current = self._current, None
            spare, self._spare = self._spare, None
        if preparation is not None:
            preparation.join()
        if spare is not None:
            self._remove(spare)
        self._protect_left()
        if current is None or current.descriptor is None:
            return
        if current.is_spare:
            self._remove(current)
            return
        with contextlib.suppress(OSError):
            if current.is_filled:
                self._disk.truncate(current.descriptor.number, current.reserved_bytes)
            self._disk.protect(current.descriptor.number)

    def _remove(self, segment: Segment) -> None:
        with contextlib.suppress(OSError):
            self._disk.unlink(segment.path)


def _offset_of(window: SegmentWindow) -> int:
    return window.offset
