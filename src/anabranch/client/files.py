"""Objects as files: reading by ranges, writing that becomes visible at once, when it is closed."""

import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol

from anabranch.client.values import ObjectInfo
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, Unavailable

READ_MODES = frozenset(("r", "rt", "rb"))
WRITE_MODES = frozenset(("w", "wt", "wb", "x", "xt", "xb"))
_WHENCES = (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END)


class Source(Protocol):
    """Where a reader takes bytes from."""

    def part(self, info: ObjectInfo, offset: int, size_bytes: int) -> bytes:
        """Return `size_bytes` of the object from `offset` on."""
        ...

    def rest(self, info: ObjectInfo, offset: int) -> Iterator[bytes]:
        """Yield the object's bytes from `offset` on, in windows."""
        ...


class ObjectReader(io.RawIOBase):
    """An object's bytes, unbuffered: each read asks for the range it needs.

    All reads are of the object that was there at the opening: when the path is overwritten
    meanwhile, the next read raises PreconditionFailed. `info` tells what was opened. A reader
    is for one thread at a time.
    """

    def __init__(self, source: Source, info: ObjectInfo) -> None:
        super().__init__()
        self.info = info
        self._source = source
        self._position = 0

    @property
    def name(self) -> str:
        """The object's path."""
        return self.info.path

    @property
    def mode(self) -> str:
        """How it was opened."""
        return "rb"

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from anywhere."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position, which may be past the end: there is nothing to read then."""
        self._check_open()
        if whence not in _WHENCES:
            raise ValueError(f"invalid whence: {whence}")
        position = offset + (0, self._position, self.info.size_bytes)[whence]
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as there are bytes; return how many it got."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(0, self.info.size_bytes - self._position))
        if not count:
            return 0
        data = self._source.part(self.info, self._position, count)
        if len(data) != count:
            raise Unavailable(
                Kind.TRUNCATED, f"{len(data)} bytes came of {count} of {self.info.path!r}"
            )
        view[:count] = data
        self._position += count
        return count

    def readall(self) -> bytes:
        """Return all bytes from here on, by one request."""
        self._check_open()
        if self._position >= self.info.size_bytes:
            return b""
        data = bytearray()
        for window in self._source.rest(self.info, self._position):
            data += window
        self._position += len(data)
        return bytes(data)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def __repr__(self) -> str:
        return f"<ObjectReader {self.info.path!r} of {self.info.size_bytes} bytes>"


Send = Callable[[Iterator[bytes], int], ObjectInfo]
"""Writes an object of so many bytes, and returns what it is then."""


class ObjectWriter(io.BufferedIOBase):
    """A file that becomes an object when it is closed, whole or not at all.

    Until then its bytes are kept here: the first 8 MiB in memory, more in a temporary file. So
    it can be written at any position and as slowly as one likes. Leaving a `with` block by an
    exception, `abort` and losing the last reference write nothing. `info` tells what was
    written, None until then. A writer is for one thread at a time.
    """

    def __init__(self, path: str, send: Send) -> None:
        super().__init__()
        self.name = path
        self.mode = "wb"
        self.info: ObjectInfo | None = None
        self._send = send
        self._spool = tempfile.SpooledTemporaryFile(limits.SPOOL_BYTES_MAX)  # noqa: SIM115  # closed with the writer

    def readable(self) -> bool:
        """Tell that what was written cannot be read here."""
        return False

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be written at any position."""
        return True

    def write(self, data: Any, /) -> int:
        """Write bytes at the position; return how many."""
        self._check_open()
        with memoryview(data) as view:
            self._spool.write(view.cast("B") if view.contiguous else view.tobytes())
            return view.nbytes

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position; a gap that a later write leaves is filled with zeros."""
        self._check_open()
        self._spool.seek(offset, whence)
        return self._spool.tell()

    def tell(self) -> int:
        """Return the position of the next write."""
        self._check_open()
        return self._spool.tell()

    def truncate(self, size: int | None = None, /) -> int:
        """Cut what was written to a size, else to the position."""
        self._check_open()
        size = self._spool.tell() if size is None else size
        self._spool.truncate(size)
        return size

    def flush(self) -> None:
        """Do nothing: an object is written whole, when the file is closed."""
        self._check_open()

    def close(self) -> None:
        """Write the object; raises what writing does, and the file is closed all the same."""
        if self.closed:
            return
        try:
            self._spool.seek(0, io.SEEK_END)
            size_bytes = self._spool.tell()
            self._spool.seek(0)
            self.info = self._send(self._windows(), size_bytes)
        finally:
            self._end()

    def abort(self) -> None:
        """Close the file and write nothing; of a closed file, do nothing."""
        if not self.closed:
            self._end()

    def _windows(self) -> Iterator[bytes]:
        while data := self._spool.read(limits.WINDOW_BYTES):
            yield data

    def _end(self) -> None:
        self._spool.close()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the object, or nothing after an exception."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        """Write nothing of a file that nobody closed."""
        if not self.closed:
            _warn_unclosed(self.name)
            self.abort()

    def __repr__(self) -> str:
        return f"<ObjectWriter {self.name!r}{' (closed)' if self.closed else ''}>"


class TextWriter(io.TextIOWrapper):
    """Text that becomes an object when it is closed, whole or not at all: see ObjectWriter."""

    def __init__(
        self, writer: ObjectWriter, encoding: str, errors: str | None, newline: str | None
    ) -> None:
        self._writer = writer
        try:
            super().__init__(writer, encoding, errors, newline)
        except BaseException:
            writer.abort()
            raise

    @property
    def info(self) -> ObjectInfo | None:
        """What was written, None until the file is closed."""
        return self._writer.info

    def abort(self) -> None:
        """Close the file and write nothing."""
        self._writer.abort()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the object, or nothing after an exception."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        """Write nothing of a file that nobody closed."""
        if not self._writer.closed:
            _warn_unclosed(self._writer.name)
            self.abort()


def _warn_unclosed(name: str) -> None:
    warnings.warn(
        f"{name!r} was opened for writing and never closed: it was not written",
        ResourceWarning,
        stacklevel=3,
    )
