"""The Range header of reads, as RFC 9110 section 14 wants it judged."""

import re
from dataclasses import dataclass

from anabranch.kernel.errors import InvalidInput, Kind

_SINGLE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of an object: `length` bytes, at least one, from `offset`."""

    offset: int
    length: int


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the part a Range header asks for, None for the whole object.

    A header that is malformed or names several ranges is ignored, as the RFC allows. Raises
    InvalidInput(RANGE_UNSATISFIABLE) when no byte of the object is in the range.
    """
    found = _SINGLE.fullmatch(header) if header else None
    if found is None or found.group(1, 2) == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size_bytes)
        offset = size_bytes - length
    else:
        offset = int(first)
        end = int(last) + 1 if last else size_bytes
        if last and end <= offset:
            return None
        length = min(end, size_bytes) - offset
    if length <= 0:
        raise InvalidInput(
            Kind.RANGE_UNSATISFIABLE, f"no byte of {size_bytes} is in the range", size=size_bytes
        )
    return ByteRange(offset, length)
