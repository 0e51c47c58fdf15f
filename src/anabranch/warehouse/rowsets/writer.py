"""Writes a rowset's file: batches in, Parquet bytes out as they come, the footer at the end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource
from anabranch.lake.bodies import Bodies
from anabranch.lake.values import Repository
from anabranch.native import sketches
from anabranch.warehouse.physical_types import LARGEINT_BYTES, to_field
from anabranch.warehouse.rowsets.aggregating import folded_type
from anabranch.warehouse.rowsets.key_texts import key_text
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    Footer,
    Header,
    NewRowset,
    RowsetKind,
    RowsetName,
    encode_footer,
)
from anabranch.warehouse.rowsets.stored_values import holds_largeint
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEEN_ID,
    SEQUENCE_ID,
    SEQUENCE_TYPE_PROPERTY,
    Column,
    Table,
)
from anabranch.warehouse.types import ColumnType, SqlType, make_type

_OWN_NAMES = {
    DELETE_SIGN_ID: "__DORIS_DELETE_SIGN__",
    SEQUENCE_ID: "__DORIS_SEQUENCE_COL__",
    SEEN_ID: "__DORIS_SEEN_ROWSET__",
}


class Sink(Protocol):
    """Where the bytes go: a `lake.bodies.Body`."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        ...


class RowsetWriter:
    """One rowset of one partition, for one thread.

    `written` are the ids of the columns that batches hold, in any order; every column of the table
    is known. Batches have columns `c<id>` of the engine's types, are folded by key and in the order
    of the keys; LARGEINT may come as decimal128(38, 0), as DuckDB gives HUGEINT, or as its 16
    bytes.
    """

    def __init__(
        self,
        bodies: Bodies,
        repository: Repository,
        ids: IdSource,
        schema: Table,
        partition: str,
        written: Collection[int],
        *,
        kind: RowsetKind = RowsetKind.ROWS,
        predicate: str | None = None,
    ) -> None:
        self._schema = schema
        self._partition = partition
        self._kind = kind
        self._predicate = predicate
        self._id = ids.hex32()
        self._written = _in_order(schema, written)
        self._types = [_type_of(schema, one) for one in self._written]
        self._arrow = pa.schema(
            _field(schema, one, made) for one, made in zip(self._written, self._types, strict=True)
        )
        self._names = [f"c{one}" for one in self._written]
        self._summary = _Summary(schema, self._written)
        self._kept: list[pa.RecordBatch] = []
        self._kept_rows = self._kept_bytes = 0
        self._rows = self._source_rows = 0
        self._body = bodies.open(repository, size_bytes_max=limits.OBJECT_BYTES_MAX, own_file=True)
        self._file = FileOutput(self._body)
        self._parquet: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch, source_rows: int | None = None) -> None:
        """Append rows, which stand for `source_rows` rows before folding, else for themselves."""
        made = pa.RecordBatch.from_arrays(
            [
                stored(batch.column(name), kind, field.type)
                for name, kind, field in zip(self._names, self._types, self._arrow, strict=True)
            ],
            schema=self._arrow,
        )
        self._source_rows += batch.num_rows if source_rows is None else source_rows
        if not made.num_rows:
            return
        self._kept.append(made)
        self._kept_rows += made.num_rows
        self._kept_bytes += made.get_total_buffer_size()
        is_full = self._kept_rows >= limits.ROW_GROUP_ROWS
        if is_full or self._kept_bytes >= limits.ROW_GROUP_BYTES_MAX:
            self._flush()

    def finish(self) -> NewRowset:
        """End the file and return it, durable and not yet published."""
        self._flush()
        parquet = self._opened(0)
        footer = Footer(
            self.header,
            self._partition,
            self._source_rows,
            self._schema.sequence_column,
            self._summary.keys,
            self._summary.sketches,
            self._predicate,
        )
        text = encode_footer(footer).decode()
        parquet.add_key_value_metadata({METADATA_NAME: text})
        parquet.close()
        self._file.hand_on()
        self._body.finish()
        return NewRowset(self._partition, self._id, self._body, self.header)

    @property
    def header(self) -> Header:
        """Return what planning will know of the rowset."""
        own = [one for one in self._written if one in _OWN_NAMES]
        known = tuple(sorted([*self._schema.column_ids, *own]))
        written = tuple(sorted(self._written))
        return Header(self._schema.id, self._kind, known, written, self._rows)

    def abort(self) -> None:
        """Forget the file."""
        self._file.is_aborted = True
        self._kept.clear()
        if self._parquet is not None:
            self._parquet.close()
        self._body.abort()

    def _flush(self) -> None:
        if not self._kept:
            return
        rows = pa.Table.from_batches(self._kept)
        parquet = self._opened(self._kept_bytes)
        self._kept = []
        self._kept_rows = self._kept_bytes = 0
        self._rows += rows.num_rows
        self._summary.add(rows)
        parquet.write_table(rows, row_group_size=limits.ROW_GROUP_ROWS)

    def _opened(self, size_bytes: int) -> pq.ParquetWriter:
        """Return the file's writer; `size_bytes` is what it is about to get first."""
        if self._parquet is None:
            # Of a few rows, setting up the compression costs more than it saves.
            is_tiny = size_bytes <= limits.ROWSET_TINY_BYTES
            self._parquet = pq.ParquetWriter(
                pa.PythonFile(self._file, mode="w"),
                self._arrow,
                compression="none" if is_tiny else "zstd",
                use_dictionary=not is_tiny,
            )
        return self._parquet


def delete_rowset(
    bodies: Bodies,
    repository: Repository,
    ids: IdSource,
    schema: Table,
    partition: str,
    predicate: str,
    seen: Sequence[RowsetName],
) -> NewRowset:
    """Return a DELETE's rowset: its predicate over `c<id>`, and the rowsets it saw."""
    writer = RowsetWriter(
        bodies,
        repository,
        ids,
        schema,
        partition,
        [SEEN_ID],
        kind=RowsetKind.DELETE,
        predicate=predicate,
    )
    names = pa.array([str(name) for name in seen], pa.string())
    writer.write(pa.RecordBatch.from_arrays([names], names=[f"c{SEEN_ID}"]))
    return writer.finish()


class FileOutput:
    """A file that only grows. Parquet writes small pieces; they are handed on together."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._kept = bytearray()
        self.is_aborted = False

    def write(self, data: bytes) -> int:
        """Append bytes; after an abort they go nowhere."""
        if not self.is_aborted:
            self._kept += data
            if len(self._kept) >= limits.ROWSET_PIECE_BYTES:
                self.hand_on()
        return len(data)

    def hand_on(self) -> None:
        """Give the sink what was kept."""
        kept, self._kept = self._kept, bytearray()
        if kept and not self.is_aborted:
            self._sink.write(bytes(kept))

    def flush(self) -> None:
        """Wait for more."""

    def close(self) -> None:
        """The body is ended by its owner."""


def _in_order(schema: Table, written: Collection[int]) -> list[int]:
    """Return ids in the order of the file: the format's own last."""
    found = [column.id for column in schema.columns if column.id in written]
    found += [one for one in _OWN_NAMES if one in written]
    assert len(found) == len(set(written)), "a rowset writes columns of its table"
    return found


def _type_of(schema: Table, column_id: int) -> ColumnType:
    match column_id:
        case 1:
            return ColumnType(SqlType.TINYINT)
        case 2:
            return make_type(dict(schema.properties)[SEQUENCE_TYPE_PROPERTY])
        case 3:
            return ColumnType(SqlType.STRING)
    column = schema.by_id(column_id)
    assert column is not None, "a rowset writes columns of its table"
    return folded_type(column)


def _field(schema: Table, column_id: int, made: ColumnType) -> pa.Field:
    column = schema.by_id(column_id)
    # What a row holds that deletes its key is nothing, also in a column that takes no NULL.
    name = _OWN_NAMES[column_id] if column is None else column.name
    is_key = column is not None and column.is_key
    return to_field(name, made, column_id, column is None or not is_key or column.is_nullable)


def stored(values: pa.Array, made: ColumnType, wanted: pa.DataType) -> pa.Array:
    """Return values as the file holds them."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not holds_largeint(made):
        return values if values.type == wanted else values.cast(wanted)
    match made.kind:
        case SqlType.ARRAY:
            items = stored(values.flatten(), made.items[0], wanted.value_type)
            return pa.ListArray.from_arrays(_offsets(values), items, wanted)
        case SqlType.MAP:
            as_list = values.cast(_list_of_entries(values.type))
            entries = as_list.flatten()
            keys = stored(entries.field(0), made.items[0], wanted.key_type)
            items = stored(entries.field(1), made.items[1], wanted.item_type)
            return pa.MapArray.from_arrays(_offsets(as_list), keys, items, wanted)
        case SqlType.STRUCT:
            fields = [
                stored(pc.struct_field(values, [at]), item, wanted.field(at).type)
                for at, item in enumerate(made.items)
            ]
            mask = values.is_null()
            return pa.StructArray.from_arrays(fields, fields=list(wanted), mask=mask)
    return _largeint(values)


def _list_of_entries(made: pa.MapType) -> pa.ListType:
    """Return the type of a map as a list, whose items flatten as those of lists do."""
    return pa.list_(pa.struct([("key", made.key_type), ("value", made.item_type)]))


def _offsets(values: pa.Array) -> pa.Array:
    """Return where each list begins in the flattened items, NULL for no list."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    mask = np.append(values.is_null().to_numpy(zero_copy_only=False), False)
    return pa.array(offsets, pa.int32(), mask=mask)


_STORED_LARGEINT = pa.binary(LARGEINT_BYTES)


def _largeint(values: pa.Array) -> pa.Array:
    """Return LARGEINTs as 16 bytes that sort as the numbers do."""
    if not pa.types.is_decimal128(values.type):
        if pa.types.is_integer(values.type):
            values = values.cast(pa.decimal128(38, 0))
        else:
            return values.cast(_STORED_LARGEINT)
    data = values.buffers()[1]
    raw = np.frombuffer(data, np.uint8)[values.offset * LARGEINT_BYTES :]
    numbers = raw[: len(values) * LARGEINT_BYTES].reshape(-1, LARGEINT_BYTES)[:, ::-1].copy()
    numbers[:, 0] ^= 0x80
    validity = None
    if values.null_count:
        is_valid = values.is_valid().to_numpy(zero_copy_only=False)
        validity = pa.py_buffer(np.packbits(is_valid, bitorder="little").tobytes())
    buffers = [validity, pa.py_buffer(numbers.tobytes())]
    return pa.Array.from_buffers(_STORED_LARGEINT, len(values), buffers)


class _Summary:
    """The smallest and largest of each key column, and the union of each column of sketches."""

    def __init__(self, schema: Table, written: Collection[int]) -> None:
        self._columns: list[tuple[int, Column]] = [
            (at, column)
            for at, column in enumerate(map(schema.by_id, written))
            if column is not None and (column.is_key or column.type.kind is SqlType.HLL)
        ]
        self._bounds: dict[int, list[Any]] = {}
        self._sketches: dict[int, bytes] = {}

    def add(self, rows: pa.Table) -> None:
        """Take rows into account."""
        for at, column in self._columns:
            values = rows.column(at)
            if not column.is_key:
                found = sketches.union(values.combine_chunks().cast(pa.large_binary()))
                before = self._sketches.get(column.id)
                self._sketches[column.id] = (
                    found if before is None else sketches.union([before, found])
                )
                continue
            least = _extreme(values, is_max=False)
            most = least if len(values) == 1 else _extreme(values, is_max=True)
            bounds = self._bounds.setdefault(column.id, [least, most])
            bounds[0] = _outer(bounds[0], least, is_max=False)
            bounds[1] = _outer(bounds[1], most, is_max=True)

    @property
    def keys(self) -> dict[int, tuple[str | None, str | None]]:
        """Return [min, max] by id as canonical text; NULL is the smallest."""
        types = {column.id: column.type for _, column in self._columns}
        return {
            one: (key_text(types[one], low), key_text(types[one], high))
            for one, (low, high) in self._bounds.items()
        }

    @property
    def sketches(self) -> dict[int, str]:
        """Return the unions by id in base64."""
        return {one: sketches.to_base64(data) for one, data in self._sketches.items()}


def _extreme(values: pa.ChunkedArray, *, is_max: bool) -> Any:
    """Return a value as Python's or as a number of its physical type; None for NULL."""
    if values.null_count and (not is_max or values.null_count == len(values)):
        return None
    if pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    elif pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    if len(values) == 1:
        return values[0].as_py()
    return (pc.max if is_max else pc.min)(values).as_py()


def _outer(left: Any, right: Any, *, is_max: bool) -> Any:
    if left is None or right is None:
        return (left if right is None else right) if is_max else None
    return max(left, right) if is_max else min(left, right)
