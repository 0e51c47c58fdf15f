"""The calls that change a disk, in one place: tests put faults and crashes between them.

All raise OSError. None is retried: after a failed fsync the kernel may have dropped the pages, and
a second one would succeed without having written them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from anabranch.kernel import limits

Bytes = bytes | bytearray | memoryview


class Disk:
    """The operating system's files. Paths and descriptors belong to the caller."""

    def create(self, path: Path) -> int:
        """Create a file that must not exist, open it for writing, return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, buffers: Sequence[Bytes], offset: int) -> None:
        """Write all buffers, one behind the other, from `offset`."""
        for first in range(0, len(buffers), limits.WINDOWS_PER_WRITE_MAX):
            portion = buffers[first : first + limits.WINDOWS_PER_WRITE_MAX]
            size_bytes = sum(len(buffer) for buffer in portion)
            written = os.pwritev(descriptor, portion, offset)
            if written < size_bytes:
                self._write_rest(descriptor, b"".join(portion)[written:], offset + written)
            offset += size_bytes

    def _write_rest(self, descriptor: int, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest = rest[written:]
            offset += written

    def sync(self, descriptor: int) -> None:
        """Return when the file's bytes and its length are on disk."""
        os.fdatasync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_directory(self, path: Path) -> None:
        """Make a directory, or find it there."""
        path.mkdir(mode=0o700, exist_ok=True)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, replacing what has it."""
        source.rename(target)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file off."""
        os.ftruncate(descriptor, size_bytes)

    def protect(self, descriptor: int) -> None:
        """Mark a file as one that nobody will write to again; who has it open still can."""
        os.fchmod(descriptor, 0o400)

    def unlink(self, path: Path) -> None:
        """Remove a name, or find it gone."""
        path.unlink(missing_ok=True)
