"""Copies of objects that have no file of their own, for engines that read by path.

A cache: its files are named by where the bytes come from, which never changes, and may be removed
when nobody can be reading them. All processes of a directory share it.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.storage.blocks.files import Descriptor
from anabranch.storage.disk import Disk

_SWEEP_EVERY = 16  # copies of this process between two looks at the size of all


class Copies:
    """Files in `directory`, at most `bytes_max` together unless all are young."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        ids: IdSource,
        disk: Disk,
        *,
        bytes_max: int = limits.COPIES_BYTES_MAX,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._disk = disk
        self._bytes_max = bytes_max
        self._made = 0
        self._lock = threading.Lock()

    def path(self, name: str, size_bytes: int, read: Callable[[int, int], bytes]) -> Path:
        """Return the copy called `name`; `read(offset, length)` gives its bytes when it is new."""
        path = self._directory / name
        now_ns = self._clock.now_ns()
        try:
            # Its time says when it was asked for last: the sweep leaves it alone for COPY_KEEP_S.
            os.utime(path, ns=(now_ns, now_ns))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{path}: {error}") from error
        else:
            return path
        temporary = self._directory / f"{self._ids.hex32()}.part"
        try:
            self._write(temporary, size_bytes, read)
            os.utime(temporary, ns=(now_ns, now_ns))
            self._disk.rename(temporary, path)
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{path}: {error}") from error
        finally:
            with contextlib.suppress(OSError):
                self._disk.unlink(temporary)
        with self._lock:
            self._made += 1
            is_due = self._made % _SWEEP_EVERY == 1
        if is_due:
            self.sweep()
        return path

    def _write(self, path: Path, size_bytes: int, read: Callable[[int, int], bytes]) -> None:
        descriptor = Descriptor(self._disk.create(path))
        for offset in range(0, size_bytes, limits.WINDOW_BYTES):
            data = read(offset, min(limits.WINDOW_BYTES, size_bytes - offset))
            self._disk.write(descriptor.number, (data,), offset)
        # A name that outlives a power cut must not have lost its bytes.
        self._disk.sync(descriptor.number)

    def sweep(self) -> None:
        """Remove the copies asked for longest ago, while all together are too large."""
        found: list[tuple[int, int, Path]] = []
        with contextlib.suppress(OSError), os.scandir(self._directory) as listing:
            for file in listing:
                with contextlib.suppress(FileNotFoundError):
                    status = file.stat()
                    found.append((status.st_mtime_ns, status.st_size, Path(file.path)))
        total = sum(size for _, size, _ in found)
        oldest_ns = self._clock.now_ns() - limits.COPY_KEEP_S * 1_000_000_000
        for used_ns, size, path in sorted(found):
            if total <= self._bytes_max or used_ns > oldest_ns:
                return
            with contextlib.suppress(OSError):
                self._disk.unlink(path)
            total -= size
