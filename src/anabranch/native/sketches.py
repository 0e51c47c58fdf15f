"""HyperLogLog sketches as Apache Doris computes and stores them, by the native library.

A sketch is its stored bytes (docs/formats/sketch.md). Unions do not depend on order or grouping:
equal sets have equal bytes. Columns of sketches and of values are Arrow arrays of bytes or text, or
lists of bytes; null sketches and null values are left out of a union. Functions over columns
release the interpreter while they work. Bytes that are no sketch raise ValueError.

`extension` makes the file that DuckDB loads out of the compiled library itself.
"""

from collections.abc import Sequence
from typing import TypeAlias

import pyarrow as pa

import anabranch._native as _native
from anabranch._native import sketch_estimate as estimate
from anabranch._native import sketch_from_base64 as from_base64
from anabranch._native import sketch_hash as hash_value
from anabranch._native import sketch_of_hashes as of_hashes
from anabranch._native import sketch_to_base64 as to_base64

__all__ = [
    "EMPTY",
    "EXTENSION_NAME",
    "each_value",
    "estimate",
    "estimates",
    "extension",
    "from_base64",
    "hash_value",
    "library_path",
    "of_hashes",
    "of_values",
    "to_base64",
    "union",
    "union_groups",
]

EMPTY = b"\0"
"""The sketch of nothing."""

EXTENSION_NAME = "anabranch_sketches"
"""The stem that the extension's file must have: DuckDB derives the entrypoint's name from it."""

Bytes: TypeAlias = pa.Array | Sequence[bytes | None]

_C_API = b"v1.2.0"
_FIELD_BYTES = 32
_SIGNATURE_BYTES = 256


def _column(values: Bytes) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, pa.large_binary())


def of_values(values: Bytes) -> bytes:
    """Return the sketch of all values, hashed by their bytes; texts by their UTF-8."""
    return _native.sketch_of_values(_column(values))


def each_value(values: Bytes) -> pa.Array:
    """Return the sketch of each value, as `hll_hash` does: that of nothing for a null."""
    return pa.array(_native.sketch_each_value(_column(values)))


def union(sketches: Bytes) -> bytes:
    """Return the union of all sketches; `EMPTY` for none."""
    return _native.sketch_union(_column(sketches))


def union_groups(sketches: Bytes, groups: pa.Array, count: int) -> pa.Array:
    """Return one union for each group from 0 to `count - 1`; row i is of group `groups[i]`.

    `groups` is uint32 without nulls. Memory: 64 bytes a group, 16 KiB one above 160 values.
    """
    return pa.array(_native.sketch_union_groups(_column(sketches), groups, count))


def estimates(sketches: Bytes) -> pa.Array:
    """Return the estimate of each sketch as int64; 0 for a null."""
    return pa.array(_native.sketch_estimates(_column(sketches)))


def library_path() -> str:
    """Return where the compiled library is: what `extension` wants the bytes of."""
    path = _native.__file__
    assert path is not None, "a compiled module has a file"
    return path


def extension(library: bytes, platform: str, version: str) -> bytes:
    """Return the bytes of a DuckDB extension: the library and a footer for `platform`.

    `platform` is what `PRAGMA platform` says. Whoever rewrites the file afterwards (`strip`) loses
    the footer, so it is made where it is loaded.
    """
    fields = [b"", b"", b"", b"C_STRUCT", version.encode(), _C_API, platform.encode(), b"4"]
    if any(len(field) > _FIELD_BYTES for field in fields):
        raise ValueError("a field of an extension's footer has 32 bytes")
    # The header of a WebAssembly custom section named duckdb_signature, of 512 bytes.
    header = b"\x00\x93\x04\x10duckdb_signature\x80\x04"
    footer = b"".join(field.ljust(_FIELD_BYTES, b"\0") for field in fields)
    return b"".join([library, header, footer, bytes(_SIGNATURE_BYTES)])
