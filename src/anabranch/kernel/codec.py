"""Ranges and metaranges as Parquet files, and back.

A file's name is a hash of its rows, so reading checks what writing promised: rows that do not
hash to the name raise Corrupted(RANGE_CHECKSUM). Files of equal rows may differ in their bytes.
"""

from collections.abc import Sequence
from typing import cast

import pyarrow as pa

from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import MetarangeId, RangeId
from anabranch.kernel.ranges import NODE_LEVEL, Metarange
from anabranch.native import ranges as native
from anabranch.native.ranges import Entries

_NODE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.binary(32), nullable=False),
        pa.field("first", pa.string(), nullable=False),
        pa.field("last", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("is_fallback", pa.bool_(), nullable=False),
    ]
)


def range_id(rows: Entries) -> RangeId:
    """Return the name of a range of these rows."""
    return RangeId(native.range_id(rows).hex())


def encode_range(rows: Entries) -> bytes:
    """Return the file of a range that is not empty."""
    return native.encode_range(rows)


def decode_range(range_id: RangeId, data: bytes) -> Entries:
    """Return the rows of a range file."""
    try:
        return native.decode_range(data, bytes.fromhex(range_id))
    except NotImplementedError as error:
        raise Corrupted(Kind.RECORD_FORMAT, f"range {range_id}: {error}") from error
    except ValueError as error:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"range {range_id}: {error}") from error


def make_metarange(
    ids: Sequence[RangeId],
    firsts: Sequence[str],
    lasts: Sequence[str],
    counts: Sequence[int],
    sizes_bytes: Sequence[int],
    fallbacks: Sequence[bool],
) -> tuple[Metarange, pa.RecordBatch]:
    """Return the metarange of these ranges and the columns of its file; at least one range."""
    columns = [firsts, lasts, counts, sizes_bytes, fallbacks]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([bytes.fromhex(one) for one in ids], pa.binary(32)),
            *(
                pa.array(column, kind)
                for column, kind in zip(columns, _NODE_SCHEMA.types[1:], strict=True)
            ),
        ],
        schema=_NODE_SCHEMA,
    )
    metarange = Metarange(
        MetarangeId(native.node_id(NODE_LEVEL, batch).hex()),
        tuple(ids),
        tuple(firsts),
        tuple(lasts),
        tuple(counts),
        tuple(sizes_bytes),
        tuple(fallbacks),
    )
    return metarange, batch


def encode_metarange(batch: pa.RecordBatch) -> bytes:
    """Return the file of a metarange from the columns that `make_metarange` gave."""
    return native.encode_node(NODE_LEVEL, batch)


def decode_metarange(metarange_id: MetarangeId, data: bytes) -> Metarange:
    """Return the list of ranges of a metarange file."""
    name = f"metarange {metarange_id}"
    try:
        columns = native.decode_node(NODE_LEVEL, data, bytes.fromhex(metarange_id))
    except NotImplementedError as error:
        raise Corrupted(Kind.RECORD_FORMAT, f"{name}: {error}") from error
    except ValueError as error:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"{name}: {error}") from error
    ids = cast("tuple[RangeId, ...]", columns[0])
    return Metarange(metarange_id, ids, *columns[1:])
