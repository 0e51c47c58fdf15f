"""Hashing bytes without giving other threads a turn where that costs more than it gives."""

from typing import Protocol

_KEEPING_BYTES_MAX = 2_047
"""hashlib lets go of the interpreter for longer updates; getting it back may take a whole turn of
another thread (CPython's `HASHLIB_GIL_MINSIZE`)."""
_SMALL_BYTES_MAX = 8_192


class Digest(Protocol):
    """One of hashlib's hashes."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""
        ...


def feed(digest: Digest, data: bytes | memoryview) -> None:
    """Add bytes to a hash: few of them in one go, many while other threads run."""
    size_bytes = len(data)
    if _KEEPING_BYTES_MAX < size_bytes <= _SMALL_BYTES_MAX:
        view = memoryview(data)
        for at in range(0, size_bytes, _KEEPING_BYTES_MAX):
            digest.update(view[at : at + _KEEPING_BYTES_MAX])
    else:
        digest.update(data)
