"""What killed processes left in segments: files filled beforehand whose end nobody wrote.

A segment without an owner is cut at the end of the last extent that any record refers to. Only
zeros are ever cut off: bytes that somebody wrote may have a reader although their object was
deleted meanwhile. An empty segment is removed.

The lock of each such segment is held from before the first record is looked at until it is cut. Who
made the file before that and can't lock it any more gives it up, so that no extent in it is new;
what was acknowledged has its record, because a maker keeps the lock until then.
"""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind, Unavailable
from anabranch.storage.blocks.base import Extent
from anabranch.storage.blocks.files import Descriptor
from anabranch.storage.blocks.segments import NAME_PREFIX, SPARE_SUFFIX, Segments
from anabranch.storage.disk import Disk

Look = Callable[[bytes], tuple[Sequence[Extent], bytes | None]]
"""Some extents that records refer to, and the `after` of the next; from no bytes on, until None."""

_WRITABLE = 0o200


class _Leftover:
    """A segment whose lock is held; `end` is that of the last extent found in it."""

    __slots__ = ("descriptor", "end", "path")

    def __init__(self, path: Path, descriptor: Descriptor) -> None:
        self.path = path
        self.descriptor = descriptor
        self.end = 0


class Leftovers:
    """Removes spare segments without an owner, and cuts the others; for one thread.

    Records are looked through only when there is such a segment, and then by all `looks`, in their
    order: a record whose extents move must come before where they move to.
    """

    def __init__(self, segments: Segments, disk: Disk, looks: Sequence[Look]) -> None:
        self._segments = segments
        self._disk = disk
        self._looks = looks
        self._looked_us: int | None = None
        self._held: dict[str, _Leftover] = {}
        self._look = 0
        self._after = b""
        # The mark may not hold on every file system, and what is damaged stays damaged.
        self._done: set[str] = set()

    def portion(self, now_us: int) -> int:
        """Do one bounded portion at a time in microseconds; return 0 when there is none to do.

        Raises Unavailable, and Corrupted when a record can't be understood: nothing is cut then.
        """
        try:
            if not self._held:
                return self._begin(now_us)
            if self._look < len(self._looks):
                self._look_on()
            else:
                self._cut(*self._held.popitem())
        except Corrupted:
            self._done.update(self._held)
            self._held.clear()
            raise
        except Unavailable:
            self._held.clear()
            raise
        except OSError as error:
            self._held.clear()
            raise Unavailable(Kind.STORE_FAILED, f"segments: {error}") from error
        return 1

    def _begin(self, now_us: int) -> int:
        looked_us = self._looked_us
        if looked_us is not None and 0 <= now_us - looked_us < limits.LEFTOVERS_LOOK_S * 1_000_000:
            return 0
        removed = self._segments.remove_spares()
        for name in os.listdir(self._segments.directory):
            file = NAME_PREFIX + name
            if name.endswith(SPARE_SUFFIX) or file in self._done:
                continue
            if (found := _find(self._segments.path(name))) is not None:
                self._held[file] = found
                if len(self._held) == limits.LEFTOVERS_MAX:
                    break
        else:
            # Otherwise there may be more, and the next look comes at once.
            self._looked_us = now_us
        self._look, self._after = 0, b""
        return removed + len(self._held)

    def _look_on(self) -> None:
        extents, after = self._looks[self._look](self._after)
        for extent in extents:
            found = self._held.get(extent.file)
            if found is not None:
                found.end = max(found.end, extent.offset + extent.length)
        if after is None:
            self._look += 1
        self._after = after or b""

    def _cut(self, file: str, found: _Leftover) -> None:
        number = found.descriptor.number
        size_bytes = os.fstat(number).st_size
        end = _written_end(number, min(found.end, size_bytes), size_bytes)
        if not end and not found.end:
            self._disk.unlink(found.path)
            return
        if end < size_bytes:
            self._disk.truncate(number, end)
            # Before the mark: a marked segment is never looked at again.
            self._disk.sync(number)
        self._disk.protect(number)
        self._done.add(file)


def _find(path: Path) -> _Leftover | None:
    """Return a segment that nobody owns and that has no mark yet, locked."""
    try:
        if not path.stat().st_mode & _WRITABLE:
            return None
        descriptor = Descriptor(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        fcntl.flock(descriptor.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return None
    status = os.fstat(descriptor.number)
    # Its owner, or another sweep, may have finished with it since.
    if not status.st_nlink or not status.st_mode & _WRITABLE:
        return None
    return _Leftover(path, descriptor)


def _written_end(number: int, start: int, end: int) -> int:
    """Return where the zeros begin that a file ends in, at `start` at the lowest."""
    while start < end:
        first = max(start, end - limits.WINDOW_BYTES)
        data = os.pread(number, end - first, first).rstrip(b"\x00")
        if data:
            return first + len(data)
        end = first
    return start
