"""Bitmaps as Apache Doris stores them: exact sets of numbers from 0 to 2^64 - 1.

A bitmap is its stored bytes (docs/formats/bitmap.md); equal sets have equal bytes, whatever form
they were read in. Bytes that are no bitmap raise ValueError.
"""

from collections.abc import Sequence
from typing import Literal

import anabranch._native as _native
from anabranch._native import bitmap_count as count
from anabranch._native import bitmap_hash32 as hash32
from anabranch._native import bitmap_hash64 as hash64
from anabranch._native import bitmap_of_numbers as of_numbers

__all__ = ["EMPTY", "count", "hash32", "hash64", "numbers", "of_numbers", "operate", "union"]

EMPTY = b"\0"
"""The bitmap of nothing."""


def numbers(bitmap: bytes, most: int) -> list[int]:
    """Return the members, ascending; raise ValueError if there are more than `most`."""
    return _native.bitmap_numbers(bitmap, most)


def union(bitmaps: Sequence[bytes]) -> bytes:
    """Return the union of all bitmaps; `EMPTY` for none."""
    return _native.bitmap_union(bitmaps)


def operate(operation: Literal["and", "or", "xor", "not"], left: bytes, right: bytes) -> bytes:
    """Return what an operation leaves of two bitmaps; `not` is the left without the right."""
    return _native.bitmap_operate(operation, left, right)
