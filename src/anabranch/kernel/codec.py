"""Ranges and metaranges as Parquet files, and back.

A file's name is a hash of its rows, so reading checks what writing promised: rows that do not
hash to the name raise Corrupted(RANGE_CHECKSUM). Files of equal rows may differ in their bytes.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import MetarangeId, RangeId
from anabranch.kernel.ranges import ENTRY_SCHEMA, NODE_LEVEL, Metarange
from anabranch.native import ranges as native
from anabranch.native.ranges import Entries

FORMAT = b"1"
_FORMAT_KEY = b"anabranch.format"
_LEVEL_KEY = b"anabranch.level"
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
_PAGE_BYTES = 1 << 30  # one page for each column: a range is read whole


def range_id(rows: Entries) -> RangeId:
    """Return the name of a range of these rows."""
    return RangeId(native.range_id(rows).hex())


def encode_range(rows: Entries) -> bytes:
    """Return the file of a range that is not empty."""
    batch = pa.record_batch(rows)
    return _write(
        batch,
        level=0,
        use_dictionary=["content_type", "metadata"],
        column_encoding={"path": "DELTA_BYTE_ARRAY", "mtime": "DELTA_BINARY_PACKED"},
    )


def decode_range(range_id: RangeId, data: bytes) -> Entries:
    """Return the rows of a range file."""
    batch = _read(data, 0, ENTRY_SCHEMA, f"range {range_id}")
    try:
        rows = Entries.from_arrow(batch)
        found = native.range_id(rows)
    except ValueError as error:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"range {range_id}: {error}") from error
    if found.hex() != range_id:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"range {range_id} does not hash to its name")
    return rows


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
    return _write(
        batch,
        level=NODE_LEVEL,
        use_dictionary=False,
        column_encoding={"first": "DELTA_BYTE_ARRAY", "last": "DELTA_BYTE_ARRAY"},
    )


def decode_metarange(metarange_id: MetarangeId, data: bytes) -> Metarange:
    """Return the list of ranges of a metarange file."""
    batch = _read(data, NODE_LEVEL, _NODE_SCHEMA, f"metarange {metarange_id}")
    try:
        found = native.node_id(NODE_LEVEL, batch)
    except ValueError as error:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"metarange {metarange_id}: {error}") from error
    if found.hex() != metarange_id:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"metarange {metarange_id} does not hash to its name")
    ids, *others = (column.to_pylist() for column in batch.columns)
    return Metarange(metarange_id, tuple(one.hex() for one in ids), *map(tuple, others))


def _write(
    batch: pa.RecordBatch,
    *,
    level: int,
    use_dictionary: list[str] | bool,
    column_encoding: dict[str, str],
) -> bytes:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        batch.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=use_dictionary,
        column_encoding=column_encoding,
        write_statistics=False,
        store_schema=False,
        data_page_size=_PAGE_BYTES,
        max_rows_per_page=batch.num_rows,
    ) as writer:
        writer.write_batch(batch, row_group_size=batch.num_rows)
        writer.add_key_value_metadata({_FORMAT_KEY: FORMAT, _LEVEL_KEY: str(level).encode()})
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]  # pyarrow has no types


def _read(data: bytes, level: int, schema: pa.Schema, name: str) -> pa.RecordBatch:
    try:
        # Neither threads nor read-ahead: a range is one small row group that is in memory.
        with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
            metadata = file.metadata.metadata or {}
            if metadata.get(_FORMAT_KEY) != FORMAT:
                raise Corrupted(Kind.RECORD_FORMAT, f"{name} has an unknown format")
            if metadata.get(_LEVEL_KEY) != str(level).encode():
                raise Corrupted(Kind.RANGE_CHECKSUM, f"{name} has another level")
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"{name} is not readable: {error}") from error
    if table.schema.names != schema.names or table.schema.types != schema.types:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"{name} has other columns")
    batches = table.combine_chunks().to_batches()
    if len(batches) != 1:
        raise Corrupted(Kind.RANGE_CHECKSUM, f"{name} is empty")
    return batches[0]
