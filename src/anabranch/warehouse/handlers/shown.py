"""Rows that a statement shows: typed columns, and LIKE, WHERE, ORDER BY and LIMIT over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from anabranch.warehouse.errors import unknown_column
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Field, Rows
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.shows import Show
from anabranch.warehouse.sql.transforms.catalog import Column, Described
from anabranch.warehouse.types import ColumnType, SqlType

TEXT = ColumnType(SqlType.STRING)
NUMBER = ColumnType(SqlType.BIGINT)
_ARROW = {SqlType.STRING: pa.string(), SqlType.BIGINT: pa.int64()}


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows to show. Columns are TEXT unless named in `numbers`; cells are str, int or None."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | int | None]]
    numbers: frozenset[str] = frozenset()

    def type_of(self, column: str) -> ColumnType:
        """Return a column's type."""
        return NUMBER if column in self.numbers else TEXT

    @property
    def table(self) -> pa.Table:
        """Return the rows as Arrow has them."""
        arrays = []
        for number, name in enumerate(self.columns):
            kind = _ARROW[self.type_of(name).kind]
            values = [row[number] for row in self.rows]
            arrays.append(pa.array(values, kind))
        return pa.table(arrays, names=list(self.columns))

    @property
    def result(self) -> Rows:
        """Return the rows as a result."""
        return result_of(self, self.table)


def result_of(shown: Shown, table: pa.Table) -> Rows:
    """Return an Arrow table of shown columns as a result."""
    fields = tuple(Field(name, shown.type_of(name)) for name in shown.columns)
    return Rows(fields, iter(table.to_batches()))


def like_pattern(pattern: str) -> re.Pattern[str]:
    """Return LIKE's pattern as one that `fullmatch` takes; case is not told apart."""
    parts: list[str] = []
    letters: Iterator[str] = iter(pattern)
    for letter in letters:
        if letter == "\\":
            parts.append(re.escape(next(letters, "\\")))
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


def select(reader: Reader, session: SqlSession, shown: Shown, show: Show, *, like: int = 0) -> Rows:
    """Return the rows that a SHOW asks for; LIKE is about the column of number `like`."""
    rows = shown.rows
    if show.like is not None:
        pattern = like_pattern(show.like)
        rows = [row for row in rows if pattern.fullmatch(str(row[like] or ""))]
    shown = Shown(shown.columns, rows, shown.numbers)
    table = shown.table
    if show.where is not None:
        described = Described(
            tuple(Column(name, shown.type_of(name)) for name in shown.columns),
            "shown " + ",".join(f"{name} {shown.type_of(name).text}" for name in shown.columns),
        )
        table = reader.filtered(session, table, described, show.where)
    for name, is_descending in reversed(show.order):
        column = _column_number(shown.columns, name)
        values = table.column(column).to_pylist()
        places = sorted(
            range(len(values)),
            key=lambda at: (
                values[at] is not None,
                values[at] or (0 if _is_number(values) else ""),
            ),
            reverse=is_descending,
        )
        table = table.take(pa.array(places, pa.int64()))
    table = table.slice(show.offset, show.limit) if show.limit is not None else table
    return result_of(shown, table)


def _is_number(values: Sequence[object]) -> bool:
    return any(isinstance(value, int) for value in values)


def _column_number(columns: Sequence[str], name: str) -> int:
    lower = name.strip("`").lower()
    for number, column in enumerate(columns):
        if column.lower() == lower:
            return number
    raise unknown_column(name, "order clause")
