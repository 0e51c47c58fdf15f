"""What an INSERT says: which columns it writes, and where their values come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from anabranch.warehouse.changes.plain_rows import Cell, Unstated, plain_column, read_rows
from anabranch.warehouse.errors import SqlError, doris, unknown_column
from anabranch.warehouse.loading.default_values import default_value
from anabranch.warehouse.loading.judging import Value
from anabranch.warehouse.physical_types import encode_largeint, to_arrow
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    SEQUENCE_TYPE_PROPERTY,
    Column,
    KeyModel,
    Table,
)
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import as_text
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.sql.transforms.conditions import (
    Expression,
    bind_rows,
)
from anabranch.warehouse.types import NESTED, OPAQUE, TEXTS, ColumnType, SqlType, parse_type

SEQUENCE_NAME = "__DORIS_SEQUENCE_COL__"
DELETE_SIGN_NAME = "__DORIS_DELETE_SIGN__"


def hidden_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns of a UNIQUE table that `*` does not show and a statement may name."""
    if table.key_model is not KeyModel.UNIQUE:
        return ()
    sign = Column(DELETE_SIGN_ID, DELETE_SIGN_NAME, ColumnType(SqlType.TINYINT), is_nullable=False)
    if table.sequence_column != SEQUENCE_ID:
        return (sign,)
    kind = parse_type(dict(table.properties)[SEQUENCE_TYPE_PROPERTY])
    return (sign, Column(SEQUENCE_ID, SEQUENCE_NAME, kind))


def given_columns(table: Table, table_name: str, names: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns that an INSERT names, or all; raise 1054 or 1110."""
    if not names:
        if table.sequence_column == SEQUENCE_ID:
            raise _no_sequence(table_name)
        return table.columns
    hidden = {column.name.upper(): column for column in hidden_columns(table)}
    found: list[Column] = []
    for name in names:
        column = table.find(name) or hidden.get(name.upper())
        if column is None:
            raise unknown_column(name, table_name)
        if column in found:
            raise SqlError(1110, "42000", f"Column '{name}' specified twice")
        found.append(column)
    if table.sequence_column == SEQUENCE_ID and not any(each.id == SEQUENCE_ID for each in found):
        raise _no_sequence(table_name)
    return tuple(found)


def _no_sequence(table_name: str) -> SqlError:
    return doris(f"Table {table_name} has sequence column, need to specify the sequence column")


def left_out(table: Table, given: Sequence[Column]) -> tuple[Column, ...]:
    """Return the visible columns that an INSERT does not name: it writes their defaults."""
    ids = {column.id for column in given}
    return tuple(column for column in table.columns if column.id not in ids)


def check_castable(column: Column, kind: ColumnType) -> None:
    """Refuse a type that never becomes the column's, in Doris's words."""
    to = column.type.kind
    if kind.kind is to or kind.kind is SqlType.NULL:
        return
    if to in OPAQUE or kind.kind in OPAQUE:
        shown = str(to) if to in OPAQUE else column.type.text
        raise doris(f"can not cast from origin type {kind.text} to target type={shown}")


def wrong_count(row: int) -> SqlError:
    """Return MySQL's 1136."""
    return SqlError(1136, "21S01", f"Column count doesn't match value count at row {row}")


# VALUES


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Rows that need no engine: per column its values as Python holds them."""

    columns: tuple[Column, ...]
    values: tuple[list[Any], ...]

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return len(self.values[0])

    def stored(self, rows: Sequence[int] | None = None) -> pa.RecordBatch:
        """Return rows, in the order given, as a rowset holds them."""
        arrays: list[pa.Array] = []
        for column, values in zip(self.columns, self.values, strict=True):
            chosen = values if rows is None else [values[row] for row in rows]
            if column.type.kind is SqlType.LARGEINT:
                chosen = [None if value is None else encode_largeint(value) for value in chosen]
            arrays.append(pa.array(chosen, to_arrow(column.type)))
        return pa.RecordBatch.from_arrays(arrays, [f"c{column.id}" for column in self.columns])

    def table(self) -> tuple[pa.Table, list[Value]]:
        """Return the rows for the engine, columns c1, c2, ..., and what each column gets."""
        arrays: list[pa.Array] = []
        found: list[Value] = []
        for number, (column, values) in enumerate(zip(self.columns, self.values, strict=True)):
            name = f"c{number + 1}"
            if column.type.kind is SqlType.LARGEINT:
                texts = [None if value is None else str(value) for value in values]
                arrays.append(pa.array(texts, pa.string()))
                found.append(Value(column, name, ColumnType(SqlType.STRING)))
            else:
                arrays.append(pa.array(values, to_arrow(column.type)))
                found.append(Value(column, name, column.type))
        names = [f"c{number + 1}" for number in range(len(arrays))]
        return pa.Table.from_arrays(arrays, names), found


def read_plain(body: str, given: Sequence[Column], others: Sequence[Column]) -> PlainRows | None:
    """Return the rows of VALUES if they are plain literals; None leaves them to the engine.

    Raises 1136 for a row of another length.
    """
    rows = read_rows(body)
    if rows is None:
        return None
    for number, row in enumerate(rows):
        if len(row) != len(given):
            raise wrong_count(number + 1)
    values: list[list[Any]] = []
    for number, column in enumerate(given):
        made = plain_column(column, [row[number] for row in rows])
        if made is None:
            return None
        values.append(made)
    unstated: list[Cell] = [Unstated()]
    for column in others:
        made = plain_column(column, unstated)
        if made is None:
            return None
        values.append(made * len(rows))
    return PlainRows((*given, *others), tuple(values))


def bound_values(body: str, given: Sequence[Column], context: Context) -> tuple[str, list[Value]]:
    """Return VALUES as a relation with columns c1, c2, ..., and what each given column gets."""
    rows = bind_rows(body, context)
    for number, row in enumerate(rows):
        if len(row) != len(given):
            raise wrong_count(number + 1)
    columns: list[list[str]] = []
    values: list[Value] = []
    for number, column in enumerate(given):
        texts, kind = _one_type([row[number] for row in rows], column, context)
        check_castable(column, kind)
        columns.append(texts)
        values.append(Value(column, f"c{number + 1}", kind))
    tuples = ", ".join(f"({', '.join(cells)})" for cells in zip(*columns, strict=True))
    names = ", ".join(f"c{number + 1}" for number in range(len(given)))
    return f"(SELECT * FROM (VALUES {tuples}) AS v({names}))", values  # noqa: S608 - its parts are our own


def _one_type(
    cells: Sequence[Expression | None], column: Column, context: Context
) -> tuple[list[str], ColumnType]:
    """Return the cells of a column in one type: as text where they differ in more than size."""
    found: list[tuple[str, ColumnType]] = []
    for cell in cells:
        if cell is None:
            default = default_value(column, context)
            found.append((default.sql, default.type))
        else:
            found.append((cell.sql(), cell.type))
    types = {kind for _, kind in found if kind.kind is not SqlType.NULL}
    if not types:
        return [f"CAST({sql} AS INTEGER)" for sql, _ in found], ColumnType(SqlType.NULL)
    for kind in types:
        check_castable(column, kind)
    chosen = _common(types)
    if chosen is None:
        text = ColumnType(SqlType.STRING)
        return [
            "CAST(NULL AS VARCHAR)" if kind.kind is SqlType.NULL else as_text(sql, kind)
            for sql, kind in found
        ], text
    name = kinds.duckdb_name(chosen)
    return [f"CAST({sql} AS {name})" for sql, _ in found], chosen


def _common(types: set[ColumnType]) -> ColumnType | None:
    if len(types) == 1:
        return next(iter(types))
    names = {kind.kind for kind in types}
    if names <= {*kinds.INTEGERS}:
        return max(types, key=lambda kind: kinds.INTEGERS.index(kind.kind))
    if names <= {*kinds.INTEGERS, SqlType.DECIMAL}:
        made = ColumnType(SqlType.NULL)
        for kind in types:
            made = kinds.common(made, kind)
        digits = max(
            kinds.as_decimal(kind).precision - kinds.as_decimal(kind).scale for kind in types
        )
        return made if made.precision - made.scale >= digits else None
    if names <= TEXTS:
        return ColumnType(SqlType.STRING)
    if names & (OPAQUE | NESTED):
        raise doris("the rows of VALUES have types that do not go together")
    return None
