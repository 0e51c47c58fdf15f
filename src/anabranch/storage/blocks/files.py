"""Reading the files of a local block store: a bounded set of open descriptors.

A reader holds the descriptor's owner while it reads, so that a descriptor dropped from the set is
closed only after its last reader is done.
"""

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, Kind, Unavailable

_COLD_FILES_MAX = 4_096  # names only: forgetting one costs a slow system call
_COPIED_BYTES_MAX = 64 * limits.KIB  # above it a second copy costs more than looking at each stride
_STRIDE_BYTES = 64 * limits.KIB  # the page cache is filled and emptied in larger runs than this


class Descriptor:
    """Closes its file when nobody refers to it any more."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class OpenFiles:
    """Files by name, opened for reading when first asked for; `path_of` says where one is."""

    def __init__(
        self, path_of: Callable[[str], Path], files_max: int = limits.OPEN_FILES_MAX
    ) -> None:
        self._path_of = path_of
        self._files_max = files_max
        self._open: OrderedDict[str, Descriptor] = OrderedDict()
        self._cold: set[str] = set()
        self._has_nowait = hasattr(os, "RWF_NOWAIT")
        self._lock = threading.Lock()
        self._scratch = _Scratch()

    def read(self, file: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes; may block.

        Raises Corrupted when the file is gone or too short, Unavailable when it cannot be read.
        """
        descriptor = self._descriptor(file)
        try:
            data = os.pread(descriptor.number, length, offset)
            while len(data) < length:
                more = os.pread(descriptor.number, length - len(data), offset + len(data))
                if not more:
                    raise Corrupted(
                        Kind.BLOCK_DAMAGED,
                        f"{file} ends at {offset + len(data)}, not at {offset + length}",
                    )
                data += more
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{file}: {error}") from error
        self._cold.discard(file)
        return data

    def read_now(self, file: str, offset: int, length: int) -> bytes | None:
        """Return the same from the page cache; None when it would have to wait, or is too long.

        A file found cold is not tried again before somebody has read it: the try itself is slow.
        """
        if not self._has_nowait or file in self._cold or length > limits.INLINE_READ_BYTES_MAX:
            return None
        descriptor = self._descriptor(file)
        try:
            if length > _COPIED_BYTES_MAX:
                data = self._read_cached(descriptor.number, offset, length)
            else:
                # Python cannot read into new bytes without waiting: read here, then copy.
                view = self._scratch.view[:length]
                found = os.preadv(descriptor.number, [view], offset, os.RWF_NOWAIT)
                data = bytes(view[:found])
        except BlockingIOError:
            self._remember_cold(file)
            return None
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                self._has_nowait = False
                return None
            raise Unavailable(Kind.STORE_FAILED, f"{file}: {error}") from error
        if len(data) < length:
            self._remember_cold(file)
            return None
        return data

    def _read_cached(self, descriptor: int, offset: int, length: int) -> bytes:
        """Read what is in the page cache as far as one byte of each stride tells."""
        byte = self._scratch.view[:1]
        for at in range(offset, offset + length, _STRIDE_BYTES):
            os.preadv(descriptor, [byte], at, os.RWF_NOWAIT)
        os.preadv(descriptor, [byte], offset + length - 1, os.RWF_NOWAIT)
        return os.pread(descriptor, length, offset)

    def forget(self, file: str) -> None:
        """Drop a file that was removed."""
        with self._lock:
            self._open.pop(file, None)

    def close(self) -> None:
        """Drop all files; those being read are closed when their readers are done."""
        with self._lock:
            self._open.clear()

    def _remember_cold(self, file: str) -> None:
        if len(self._cold) >= _COLD_FILES_MAX:
            self._cold.clear()
        self._cold.add(file)

    def _descriptor(self, file: str) -> Descriptor:
        with self._lock:
            found = self._open.get(file)
            if found is not None:
                self._open.move_to_end(file)
                return found
        try:
            opened = Descriptor(os.open(self._path_of(file), os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError as error:
            raise Corrupted(Kind.BLOCK_DAMAGED, f"the file {file} is gone") from error
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{file}: {error}") from error
        with self._lock:
            kept = self._open.setdefault(file, opened)
            dropped = [
                self._open.popitem(last=False)
                for _ in range(max(0, len(self._open) - self._files_max))
            ]
        del dropped  # closed here, outside the lock
        return kept


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(_COPIED_BYTES_MAX))
