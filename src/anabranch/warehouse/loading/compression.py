"""Compressed files as streams of their bytes; what ends too early is an error, not an end."""

from __future__ import annotations

import zlib
from typing import Protocol

import pyarrow as pa

from anabranch.warehouse.errors import SqlError, doris

_ENDINGS = {
    ".gz": "gz",
    ".bz2": "bz2",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".lz4": "lz4",
    ".deflate": "deflate",
}
_ARROW = {"gz": "gzip", "bz2": "bz2", "zstd": "zstd", "lz4": "lz4"}


class Bytes(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


def compression_of(name: str) -> str:
    """Return the compression that a file's name tells, empty for none."""
    return next((found for end, found in _ENDINGS.items() if name.lower().endswith(end)), "")


def decompressed(stream: Bytes, compression: str) -> Bytes:
    """Return the bytes behind a compression; its `read` raises SqlError for broken ones."""
    if not compression:
        return stream
    if compression == "deflate":
        return _Deflated(stream)
    return _Decompressed(stream, compression)


def _broken(compression: str, detail: object) -> SqlError:
    return doris(f"the {compression} stream is broken or ends too early: {detail}"[:300])


class _Reading:
    """What pyarrow asks of a file of Python's."""

    closed = False

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Leave the stream to its owner."""


class _Decompressed:
    def __init__(self, stream: Bytes, compression: str) -> None:
        self._compression = compression
        source = pa.PythonFile(_Reading(stream), mode="r")
        self._reader = pa.CompressedInputStream(source, _ARROW[compression])

    def read(self, size: int = -1, /) -> bytes:
        try:
            return bytes(self._reader.read(size))
        except (OSError, pa.ArrowException) as error:
            raise _broken(self._compression, error) from error


class _Deflated:
    """A zlib stream."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._inflater = zlib.decompressobj()

    def read(self, size: int = -1, /) -> bytes:
        limit = max(size, 0)
        try:
            while not self._inflater.eof:
                data = self._inflater.unconsumed_tail or self._stream.read(1 << 16)
                found = self._inflater.decompress(data, limit)
                if found:
                    return found
                if not data:
                    raise _broken("deflate", "no end")
        except zlib.error as error:
            raise _broken("deflate", error) from error
        return b""
