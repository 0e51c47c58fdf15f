"""Checksums of local files in the forms the server has: MD5, and MD5 of parts' MD5s with a count.

A file sent in parts gets a checksum `<MD5 of the parts' MD5s>-<parts>`, which only who knows the
size of a part can compute: this package's own rule comes first, then what other programs use.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind, NotFound

_WHOLE = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-([1-9][0-9]{0,4})")
_OTHERS = tuple(size * limits.MIB for size in (5, 8, 10, 15, 16, 32, 50, 64, 100, 128))
"""Sizes of parts that other programs use."""


class Stopped(Exception):
    """Somebody asked for an end: what is under way ends as soon as it notices."""


def part_bytes(size_bytes: int) -> int:
    """Return the size of a file's parts: whole MiB, so that there are at most PARTS_MAX."""
    least = -(-size_bytes // limits.PARTS_MAX)
    return max(limits.TRANSFER_PART_BYTES, -(-least // limits.MIB) * limits.MIB)


def join_md5s(md5s: list[bytes]) -> str:
    """Return the checksum of an object made of parts."""
    return f"{hashlib.md5(b''.join(md5s), usedforsecurity=False).hexdigest()}-{len(md5s)}"


def windows(path: Path, offset: int, size_bytes: int, stop: Event) -> Iterator[bytes]:
    """Yield a stretch of a file.

    Raises Stopped, and InvalidInput when the file ends before the stretch does.
    """
    left = size_bytes
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            while left:
                if stop.is_set():
                    raise Stopped
                data = file.read(min(limits.WINDOW_BYTES, left))
                if not data:
                    raise InvalidInput(Kind.TRUNCATED, f"{path} became shorter while it was read")
                left -= len(data)
                yield data
    except OSError as error:
        raise local_error(path, error) from None


def local_error(path: Path | str, error: OSError) -> AnabranchError:
    """Return our error of what a local file refused."""
    if isinstance(error, FileNotFoundError):
        return NotFound(Kind.PATH, f"no file or folder {str(path)!r} on this machine")
    return AnabranchError(Kind.STORE_FAILED, f"{path}: {error.strerror}")


def md5_of(path: Path, offset: int, size_bytes: int, stop: Event) -> bytes:
    """Return the MD5 of a stretch of a file; raise what `windows` does."""
    found = hashlib.md5(usedforsecurity=False)
    for data in windows(path, offset, size_bytes, stop):
        found.update(data)
    return found.digest()


def is_comparable(size_bytes: int, checksum: str) -> bool:
    """Tell whether `is_same` may find a file of that size to have a checksum."""
    return bool(_WHOLE.fullmatch(checksum) or _steps(size_bytes, checksum))


def is_same(path: Path, size_bytes: int, checksum: str, stop: Event) -> bool | None:
    """Tell whether a file of that size has a checksum; None when nobody can compute such a one."""
    if _WHOLE.fullmatch(checksum):
        return md5_of(path, 0, size_bytes, stop).hex() == checksum
    for size in _steps(size_bytes, checksum):
        if _joined(path, size_bytes, size, stop) == checksum:
            return True
    # Another size of parts may have given it, so this is no proof of a difference.
    return None


def _steps(size_bytes: int, checksum: str) -> list[int]:
    """Return the sizes of parts that may have given a checksum of parts; none for another one."""
    found = _PARTS.fullmatch(checksum)
    if found is None:
        return []
    count = int(found[1])
    candidates = dict.fromkeys((part_bytes(size_bytes), *_OTHERS))
    return [one for one in candidates if max(1, -(-size_bytes // one)) == count]


def _joined(path: Path, size_bytes: int, size: int, stop: Event) -> str:
    md5s = [
        md5_of(path, offset, min(size, size_bytes - offset), stop)
        for offset in range(0, max(1, size_bytes), size)
    ]
    return join_md5s(md5s)


def stamp(path: Path) -> tuple[int, int]:
    """Return size and time of a file, which differ when it was written meanwhile."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise local_error(path, error) from None
    return status.st_size, status.st_mtime_ns
