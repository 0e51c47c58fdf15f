"""Making folds: a run of rowsets and smaller folds becomes one file in the block store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.kernel import limits
from anabranch.lake.bodies import Body
from anabranch.storage.blocks.base import BlockStore
from anabranch.warehouse.folds.covers import Run
from anabranch.warehouse.physical_types import to_field
from anabranch.warehouse.rowsets.aggregating import wide_type
from anabranch.warehouse.rowsets.fold import (
    METADATA_NAME,
    Fold,
    FoldShape,
    StandIn,
    end_of,
    hash_of,
)
from anabranch.warehouse.rowsets.folding import partial_fold_of, reading_of
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.rowsets.rowset import Rowset
from anabranch.warehouse.rowsets.scans import Reading, Source, sources_of
from anabranch.warehouse.rowsets.writer import FileOutput, stored
from anabranch.warehouse.schema import DELETE_SIGN_ID, SEQUENCE_ID, KeyModel, Table
from anabranch.warehouse.types import ColumnType

Stream = Callable[[str], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A fold to be made: `sql` gives its rows, `fold` lacks rows, bytes and address."""

    schema: Table
    fold: Fold
    sql: str
    reading: Reading


def draft_fold(
    schema: Table,
    identity: str,
    run: Run,
    deletes: Sequence[Rowset],
    files: Mapping[str, Path],
    footers: Footers,
    fold_file: Callable[[Fold], Path],
    used_us: int,
) -> Draft | None:
    """Return what makes a fold of a run; None where its rows cannot be folded exactly.

    `deletes` are all DELETEs of the set that the run is of, `files` the local files of both.
    """
    stand_ins = [
        StandIn(item.fold, item.members[0].name, fold_file(item.fold))
        for item in run.items
        if item.fold is not None
    ]
    alone = [item.members[0] for item in run.items if item.fold is None]
    rowsets = [*alone, *deletes]
    reading = reading_of(schema, rowsets, files, footers, None)
    sources, texts = sources_of(reading, rowsets, stand_ins)
    if not sources:
        return None
    shape = shape_of(reading, sources)
    applied = {address for item in run.items if item.fold for address in item.fold.deletes}
    members = run.members
    names = {str(one.name) for one in members}
    for delete in deletes:
        if not names.isdisjoint(footers.open(delete, files[delete.path]).seen):
            applied.add(delete.physical_address)
    if shape is None or len(applied) > limits.FOLD_DELETES_MAX:
        return None
    sql = partial_fold_of(reading, sources, texts, shape)
    fold = Fold(
        hash_of(identity, members, applied),
        schema.id,
        run.partition,
        identity,
        end_of(members[0]),
        len(members),
        tuple(sorted(applied)),
        shape,
        0,
        0,
        run.level,
        "",
        used_us,
    )
    return Draft(schema, fold, sql, reading)


def write_fold(draft: Draft, stream: Stream, blocks: BlockStore, address: str) -> tuple[Body, int]:
    """Write a fold's file; return its bytes, durable and no object yet, and how many rows."""
    types = _types(draft)
    arrow = pa.schema(
        [to_field(f"c{one}", made, one, True) for one, made in types.items()]
        + [pa.field(name, pa.bool_()) for name in _flags(draft.fold.shape)]
    )
    body = Body(blocks, address, limits.OBJECT_BYTES_MAX, own_file=True)
    output = FileOutput(body)
    try:
        writer = pq.ParquetWriter(pa.PythonFile(output, mode="w"), arrow, compression="zstd")
        rows = 0
        with writer:
            for batch in stream(draft.sql):
                columns = [
                    stored(batch.column(f"c{one}"), made, arrow.field(f"c{one}").type)
                    for one, made in types.items()
                ]
                columns += [batch.column(name) for name in _flags(draft.fold.shape)]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=arrow))
                rows += batch.num_rows
            writer.add_key_value_metadata({METADATA_NAME: draft.fold.hash})
        output.hand_on()
        body.finish()
    except BaseException:
        output.is_aborted = True
        body.abort()
        raise
    return body, rows


def _types(draft: Draft) -> dict[int, ColumnType]:
    shape = draft.fold.shape
    found: dict[int, ColumnType] = {}
    for one in (*shape.written, *shape.maybe_written):
        column = draft.schema.by_id(one)
        found[one] = draft.reading.type_of(one) if column is None else wide_type(column)
    return found


def _flags(shape: FoldShape) -> list[str]:
    return [f"w{one}" for one in shape.maybe_written] + [f"u{one}" for one in shape.maybe_unknown]


def shape_of(reading: Reading, sources: Sequence[Source]) -> FoldShape | None:
    """Return which columns the rows of a fold of these files speak of; None: it would not be exact.

    Rows of a table with a sequence column must say all, or all leave out the same columns and
    delete nothing: of others the values of a key come from rows of different sequence values.
    """
    schema = reading.schema
    if schema.key_model is KeyModel.DUPLICATE:
        whole = tuple(sorted(schema.column_ids))
        return FoldShape(whole, whole)
    keys = {column.id for column in schema.keys}
    if schema.key_model is KeyModel.UNIQUE:
        return _unique_shape(reading, sources, keys)
    written, known = set(keys), set(keys)
    maybe_written: set[int] = set()
    maybe_unknown: set[int] = set()
    for column in schema.values:
        one = column.id
        knowing = [one in source.header.known for source in sources]
        if any(knowing):
            known.add(one)
        if (any(knowing) and not all(knowing)) or any(one in _doubted(each) for each in sources):
            maybe_unknown.add(one)
        if all(one in source.header.written for source in sources):
            written.add(one)
        elif one in maybe_unknown or any(one in _held(source) for source in sources):
            maybe_written.add(one)
    return FoldShape(
        *(tuple(sorted(ids)) for ids in (written, known, maybe_written, maybe_unknown))
    )


def _unique_shape(reading: Reading, sources: Sequence[Source], keys: set[int]) -> FoldShape | None:
    schema = reading.schema
    said = [source for source in sources if not _deletes_only(reading, source)]
    values = [column.id for column in schema.values]
    sequence = schema.sequence_column
    if sequence == SEQUENCE_ID:
        values.append(SEQUENCE_ID)
    is_signed = any(DELETE_SIGN_ID in source.header.written for source in sources)
    written = set(keys) | ({DELETE_SIGN_ID} if is_signed else set())
    maybe_written: set[int] = set()
    for one in values:
        if all(one in source.header.written for source in said):
            written.add(one)
        elif is_signed or any(one in _held(source) for source in said):
            maybe_written.add(one)
    if sequence is not None and (maybe_written or sequence not in written):
        return None
    # A row that left a column out ordered as NULL where it knew the column: it was kept so.
    known = written | maybe_written | {one for source in sources for one in source.header.known}
    present = keys | set(values) | {DELETE_SIGN_ID}
    return FoldShape(
        tuple(sorted(written)), tuple(sorted(known & present)), tuple(sorted(maybe_written))
    )


def _held(source: Source) -> tuple[int, ...]:
    maybe = () if source.fold is None else source.fold.shape.maybe_written
    return (*source.header.written, *maybe)


def _doubted(source: Source) -> tuple[int, ...]:
    return () if source.fold is None else source.fold.shape.maybe_unknown


def _deletes_only(reading: Reading, source: Source) -> bool:
    return (
        source.rowset is not None
        and DELETE_SIGN_ID in source.header.written
        and reading.footers.open(source.rowset, source.file).deletes_only
    )
