"""Ids, cuts, lookups, merges and diffs of committed entries, computed by the native library.

`Entries` holds rows sorted by path (each path once) as Arrow columns, and shares memory with what
it was made from; `has_tombstones` says whether rows may be deletes. Functions release the
interpreter while they work, and the ones called `..._many` use all cores. What is handed in wrong
raises ValueError.

`stats_json` and `diffs_json` write the `results` of a page of the REST API, from entries and from
batches of `diff_many`. They are short, and keep the interpreter.
"""

import pyarrow as pa

from anabranch._native import (
    Columns,
    Cutter,
    Entries,
    blake3,
    decode_node,
    decode_range,
    diff_many,
    differing_many,
    diffs_json,
    encode_node,
    encode_range,
    identity,
    merge_many,
    node_id,
    range_id,
    staging_rows,
    stats_json,
    three_way_many,
)
from anabranch._native import identities as _identities

__all__ = [
    "Columns",
    "Cutter",
    "Entries",
    "blake3",
    "decode_node",
    "decode_range",
    "diff_many",
    "differing_many",
    "diffs_json",
    "encode_node",
    "encode_range",
    "identities",
    "identity",
    "merge_many",
    "node_id",
    "range_id",
    "staging_batch",
    "staging_rows",
    "stats_json",
    "three_way_many",
]


def identities(
    sizes: pa.Array, checksums: pa.Array, content_types: pa.Array, metadata: pa.Array
) -> pa.Array:
    """Return the identities (20 bytes each) of rows given as columns, without nulls."""
    return pa.array(_identities(sizes, checksums, content_types, metadata))


def staging_batch(paths: list[bytes], blobs: list[bytes]) -> pa.RecordBatch:
    """Return staging rows, sorted by path, as the columns of entries and `is_tombstone`.

    The other columns of a tombstone are empty or 0. Raises ValueError for bytes that are no
    staging row, and for paths that are not UTF-8 or not in ascending order.
    """
    return pa.record_batch(staging_rows(paths, blobs))
