"""A table as a set of rowsets in plain Python, and the same rowsets as files.

`model_rows` is the definition: slow, obvious, and without SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from anabranch.kernel.ids import (
    BranchId,
    IncarnationId,
    Namespace,
    RepositoryId,
)
from anabranch.lake.bodies import Bodies
from anabranch.lake.values import Repository
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.memory import MemoryKV
from anabranch.warehouse.physical_types import encode_largeint, to_arrow
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.rowsets.rowset import (
    NewRowset,
    Rowset,
    RowsetKind,
    RowsetName,
    rowset_path,
)
from anabranch.warehouse.rowsets.writer import RowsetWriter, delete_rowset
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    UNPARTITIONED,
    Aggregate,
    Column,
    Default,
    DefaultKind,
    KeyModel,
    Table,
    with_column,
)
from anabranch.warehouse.types import BITS, OPAQUE, SqlType, parse_type
from tests.support import reference_sketch
from tests.support.fakes import FakeClock, FakeIds

REPOSITORY = Repository(
    RepositoryId("warehouse"),
    IncarnationId("0" * 32),
    Namespace("local://warehouse"),
    BranchId("main"),
    0,
    False,
    1,
)
TABLE = TablePlace(DatabasePlace(Place(REPOSITORY.id, "main"), "db"), "t")  # type: ignore[arg-type]  # a plain name is a ref

Values = dict[int, Any]
"""A row by column id; DELETE_SIGN_ID and SEQUENCE_ID too."""


def make_table(
    model: KeyModel,
    columns: Iterable[tuple[str, str, str, str | None]],
    *,
    properties: tuple[tuple[str, str], ...] = (),
    table_id: str = "00112233445566778899aabbccddeeff",
) -> Table:
    """Return a schema of (name, type, KEY or aggregate, default)."""
    table = Table(table_id, model, (), properties=properties)
    for name, kind, role, default in columns:
        column = Column(
            0,
            name,
            parse_type(kind),
            role == "KEY",
            Aggregate("" if role == "KEY" else role),
            default=None if default is None else Default(DefaultKind.TEXT, default),
        )
        table = with_column(table, column)
    return table


def id_of(table: Table, name: str) -> int:
    """Return a column's id."""
    column = table.find(name)
    assert column is not None
    return column.id


@dataclass(frozen=True, slots=True)
class ModelRowset:
    """A rowset. `keeps` is a DELETE's predicate over a row by id, `text` the same in SQL."""

    sequence: int
    known: frozenset[int]
    written: frozenset[int]
    rows: tuple[Values, ...] = ()
    partition: str = UNPARTITIONED
    seen: frozenset[int] | None = None  # sequences
    text: str = ""
    deletes: Callable[[Values], bool | None] | None = None

    @property
    def name(self) -> RowsetName:
        """Return its name; the id does not follow the sequence."""
        return RowsetName(self.sequence, f"{self.sequence * 7919 % 104_729:032x}")


def default_of(column: Column) -> Any:
    """Return what a row holds that does not know a column."""
    if column.type.kind in OPAQUE:
        return b"\0"
    if column.default is None:
        return None
    text = column.default.text
    match column.type.kind:
        case SqlType.DECIMAL:
            return Decimal(text)
        case SqlType.DOUBLE | SqlType.FLOAT:
            return float(text)
        case SqlType.VARCHAR:
            return text
    return int(text)


def model_rows(table: Table, rowsets: Sequence[ModelRowset]) -> list[Values]:
    """Return the table's rows by column id, without the format's own columns."""
    ordered = sorted(rowsets, key=lambda rowset: rowset.name)
    standing = [
        (rowset, row)
        for rowset in ordered
        for row in rowset.rows
        if rowset.deletes is None and not _is_deleted(table, ordered, rowset, row)
    ]
    if table.key_model is KeyModel.DUPLICATE:
        return [
            {column.id: row.get(column.id, default_of(column)) for column in table.columns}
            for _, row in standing
        ]
    groups: dict[tuple[Any, ...], list[tuple[ModelRowset, Values]]] = {}
    for rowset, row in standing:
        key = tuple(row.get(column.id, default_of(column)) for column in table.keys)
        groups.setdefault(key, []).append((rowset, row))
    fold = _unique if table.key_model is KeyModel.UNIQUE else _aggregated
    rows = []
    for key, found in groups.items():
        folded = fold(table, found)
        if folded is not None:
            ids = (column.id for column in table.keys)
            rows.append({**dict(zip(ids, key, strict=True)), **folded})
    return rows


def _is_deleted(
    table: Table, rowsets: Sequence[ModelRowset], rowset: ModelRowset, row: Values
) -> bool:
    whole = {column.id: row.get(column.id, default_of(column)) for column in table.columns}
    return any(
        each.deletes is not None
        and each.seen is not None
        and rowset.sequence in each.seen
        and each.deletes(whole) is True
        for each in rowsets
    )


def _unique(table: Table, found: Sequence[tuple[ModelRowset, Values]]) -> Values | None:
    sequence = table.sequence_column

    def order(at: int) -> tuple[Any, ...]:
        if sequence is None:
            return (at,)
        rowset, row = found[at]
        value = row.get(sequence)
        if sequence not in rowset.known and (column := table.by_id(sequence)) is not None:
            value = default_of(column)
        return (value is not None, 0 if value is None else value, at)

    state = {column.id: default_of(column) for column in table.values}
    is_deleted = False
    for at in sorted(range(len(found)), key=order):
        rowset, row = found[at]
        is_deleted = row.get(DELETE_SIGN_ID, 0) == 1
        for column in table.values:
            if is_deleted:
                state[column.id] = default_of(column)
            elif column.id in rowset.written:
                state[column.id] = row[column.id]
    return None if is_deleted else state


def _aggregated(table: Table, found: Sequence[tuple[ModelRowset, Values]]) -> Values:
    folded = {}
    for column in table.values:
        said = [row[column.id] for rowset, row in found if column.id in rowset.written]
        if not said or any(column.id not in rowset.known for rowset, _ in found):
            said.insert(0, default_of(column))
        folded[column.id] = fold_values(column, said)
    return folded


def fold_values(column: Column, said: Sequence[Any]) -> Any:
    """Return one value out of several, in their order."""
    values = [value for value in said if value is not None]
    match column.aggregate:
        case Aggregate.REPLACE:
            return said[-1]
        case Aggregate.HLL_UNION:
            union = reference_sketch.Sketch()
            for value in values:
                union.merge(reference_sketch.decode(value))
            return union.encode()
    if not values:
        return None
    match column.aggregate:
        case Aggregate.REPLACE_IF_NOT_NULL:
            return values[-1]
        case Aggregate.MIN:
            return min(values, key=_total)
        case Aggregate.MAX:
            return max(values, key=_total)
    total = sum(values[1:], values[0])
    if column.type.kind in BITS:
        half = 1 << (BITS[column.type.kind] - 1)
        total = (total + half) % (2 * half) - half
    return total


def _total(value: Any) -> Any:
    """Return a key by which -0.0 is less than 0.0, and NaN the largest."""
    if not isinstance(value, float):
        return value
    return (value != value, 0.0 if value != value else value, str(value)[0] != "-")


@dataclass(slots=True)
class TableFiles:
    """Writes rowsets to a block store in memory and tells the files of them."""

    bodies: Bodies = field(init=False)
    blocks: MemoryBlocks = field(init=False)
    ids: FakeIds = field(default_factory=FakeIds)
    files: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.blocks = MemoryBlocks(MemoryKV(), FakeClock(), self.ids)
        self.bodies = Bodies(self.blocks, self.ids)

    def close(self) -> None:
        """Forget all files."""
        self.blocks.close()

    def writer(
        self,
        table: Table,
        written: Collection[int],
        *,
        partition: str = UNPARTITIONED,
        kind: RowsetKind = RowsetKind.ROWS,
    ) -> RowsetWriter:
        """Return a writer of a rowset."""
        return RowsetWriter(self.bodies, REPOSITORY, self.ids, table, partition, written, kind=kind)

    def write(self, table: Table, rowset: ModelRowset, names: dict[int, RowsetName]) -> Rowset:
        """Write a rowset; `names` are those of all rowsets by sequence."""
        if rowset.deletes is not None:
            seen = [names[one] for one in sorted(rowset.seen or ())]
            made = delete_rowset(
                self.bodies, REPOSITORY, self.ids, table, rowset.partition, rowset.text, seen
            )
            return self.publish(made, rowset.name)
        known = replace(table, columns=tuple(c for c in table.columns if c.id in rowset.known))
        writer = self.writer(known, rowset.written, partition=rowset.partition)
        if rowset.rows:
            writer.write(batch(table, sorted(rowset.written), rowset.rows))
        return self.publish(writer.finish(), rowset.name)

    def publish(self, made: NewRowset, name: RowsetName) -> Rowset:
        """Return a finished rowset as one that is published."""
        path = rowset_path(TABLE, made.partition, name)
        block = made.body.place().block
        self.files[path] = self.blocks.local_path(block)
        return Rowset(
            path, made.partition, name, made.header, made.body.address, made.body.size_bytes
        )

    def write_all(self, table: Table, rowsets: Sequence[ModelRowset]) -> list[Rowset]:
        """Write rowsets, in their order."""
        names = {rowset.sequence: rowset.name for rowset in rowsets}
        return [self.write(table, rowset, names) for rowset in rowsets]


def batch(table: Table, written: Sequence[int], rows: Sequence[Values]) -> pa.RecordBatch:
    """Return rows as a writer takes them."""
    arrays = []
    for one in written:
        values = [row[one] for row in rows]
        column = table.by_id(one)
        if column is None:
            arrays.append(pa.array(values, pa.int8() if one == DELETE_SIGN_ID else pa.int64()))
        elif column.type.kind is SqlType.LARGEINT:
            stored = [None if value is None else encode_largeint(value) for value in values]
            arrays.append(pa.array(stored, pa.binary()))
        else:
            arrays.append(pa.array(values, to_arrow(column.type)))
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{one}" for one in written])


__all__ = [
    "DELETE_SIGN_ID",
    "SEQUENCE_ID",
    "TABLE",
    "ModelRowset",
    "TableFiles",
    "batch",
    "id_of",
    "make_table",
    "model_rows",
]
