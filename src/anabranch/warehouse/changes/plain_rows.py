"""Rows of VALUES that are plain literals, judged without the engine.

What is taken here gives exactly what the engine gives; everything else (`None`) is left to it:
calls, casts that cut or round, values that do not fit. One-row inserts are as fast as this is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from anabranch.warehouse.schema import Column, Default, DefaultKind, Partition, Table
from anabranch.warehouse.schemas.partitions import partition_columns
from anabranch.warehouse.sql.transforms.literals import Literal, Token, scan
from anabranch.warehouse.types import INTEGERS, ColumnType, SqlType, integer_bounds
from anabranch.warehouse.values import value_key


@dataclass(frozen=True, slots=True)
class Unstated:
    """The word DEFAULT in the place of a value."""


Cell = Literal | Unstated | None
"""A value as written: a literal, DEFAULT, or NULL."""

_NULL = None
_DEFAULT = Unstated()


def read_rows(body: str) -> list[list[Cell]] | None:
    """Return the rows of `VALUES (..), ..`; None when anything is more than a plain literal."""
    tokens, literals = scan(body, None)
    while tokens and tokens[-1].text == ";" and tokens[-1].slot is None:
        tokens.pop()
    if len(tokens) < 4 or tokens[0].text.upper() != "VALUES":
        return None
    rows: list[list[Cell]] = []
    at = 1
    while True:
        read = _read_row(tokens, literals, at)
        if read is None:
            return None
        row, at = read
        rows.append(row)
        if at == len(tokens):
            return rows
        if tokens[at].text != ",":
            return None
        at += 1


def _read_row(
    tokens: Sequence[Token], literals: Sequence[Literal], at: int
) -> tuple[list[Cell], int] | None:
    """Return a row and where the next token is."""
    end = len(tokens)
    if at >= end or tokens[at].text != "(" or tokens[at].slot is not None:
        return None
    row: list[Cell] = []
    at += 1
    while at + 1 < end:
        token = tokens[at]
        sign = token.text if token.kind == "other" and token.text in "+-" else ""
        if sign:
            at += 1
            token = tokens[at]
        cell = _cell(token, literals, sign)
        if isinstance(cell, bool) or at + 1 >= end:
            return None
        row.append(cell)
        mark = tokens[at + 1]
        if mark.slot is not None:
            return None
        at += 2
        if mark.text == ")":
            return row, at
        if mark.text != ",":
            return None
    return None


_TRUTHS = {"TRUE": Literal("1", "b"), "FALSE": Literal("0", "b")}


def _cell(token: Token, literals: Sequence[Literal], sign: str) -> Cell | bool:
    """Return the value of a token, False if it is none."""
    if token.slot is not None:
        literal = literals[token.slot]
        if not sign:
            return literal
        if literal.is_text:
            return False
        return Literal("-" + literal.value, literal.shape) if sign == "-" else literal
    if sign or token.kind != "word":
        return False
    word = token.text.upper()
    if word == "NULL":
        return _NULL
    if word == "DEFAULT":
        return _DEFAULT
    return _TRUTHS.get(word, False)


# Values

_Reader = Callable[[ColumnType, Literal], Any]


class NotPlain(Exception):
    """A value that only the engine can judge."""


def plain_column(column: Column, cells: Sequence[Cell]) -> list[Any] | None:
    """Return a column's values as Python holds them; None where the engine must judge."""
    reader = _READERS.get(column.type.kind)
    if reader is None:
        return None
    try:
        return [_value(column, cell, reader) for cell in cells]
    except NotPlain:
        return None


def _value(column: Column, cell: Cell, reader: _Reader) -> Any:
    if isinstance(cell, Unstated):
        return _default(column, reader)
    if cell is None:
        if not column.is_nullable:
            raise NotPlain
        return None
    return reader(column.type, cell)


def _default(column: Column, reader: _Reader) -> Any:
    default = column.default or Default(DefaultKind.NULL)
    if default.kind is DefaultKind.TEXT:
        return reader(column.type, text_literal(default.text))
    if default.kind is DefaultKind.NULL and column.is_nullable:
        return None
    raise NotPlain


_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,18}")


def text_literal(text: str) -> Literal:
    """Return a text as a literal, whose shape says no more than that."""
    return Literal(text, "si" if _INTEGER_TEXT.fullmatch(text) else "s")


def _is_integer(literal: Literal) -> bool:
    return literal.shape.startswith("i")


def _integer(kind: ColumnType, literal: Literal) -> int:
    if not (_is_integer(literal) or literal.shape in ("si", "b")):
        raise NotPlain
    value = int(literal.value)
    low, high = integer_bounds(kind.kind)
    if not low <= value <= high:
        raise NotPlain
    return value


def _boolean(kind: ColumnType, literal: Literal) -> bool:
    if not (_is_integer(literal) or literal.shape == "b"):
        raise NotPlain
    return int(literal.value) != 0


_EXACT_DIGITS_MAX = 15  # digits that a double keeps, whatever way it is computed
_FLOAT_MAX = 3.4e38


def _floating(kind: ColumnType, literal: Literal) -> float:
    if not literal.shape.startswith(("i", "d")) or literal.shape == "i16":
        raise NotPlain
    if len(literal.value) > _EXACT_DIGITS_MAX:
        raise NotPlain
    value = float(literal.value)
    if kind.kind is SqlType.FLOAT and abs(value) > _FLOAT_MAX:
        raise NotPlain
    # The engine has no negative zero among whole numbers and decimals.
    return value or 0.0


def _decimal(kind: ColumnType, literal: Literal) -> Decimal:
    if not literal.shape.startswith(("i", "d")):
        raise NotPlain
    whole, _, part = literal.value.lstrip("-").partition(".")
    if len(whole.lstrip("0")) > kind.precision - kind.scale or len(part) > kind.scale:
        raise NotPlain
    return Decimal(literal.value)


def _text(kind: ColumnType, literal: Literal) -> str:
    if not (literal.is_text or _is_integer(literal)):
        raise NotPlain
    value = literal.value
    if kind.length and len(value.encode()) > kind.length:
        raise NotPlain
    return value


_DAY = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
)


def _day(kind: ColumnType, literal: Literal) -> date:
    found = _DAY.fullmatch(literal.value) if literal.is_text else None
    if found is None:
        raise NotPlain
    try:
        return date(int(found.group(1)), int(found.group(2)), int(found.group(3)))
    except ValueError:
        raise NotPlain from None


def _moment(kind: ColumnType, literal: Literal) -> datetime:
    found = _MOMENT.fullmatch(literal.value) if literal.is_text else None
    if found is None:
        found_day = _day(kind, literal)
        return datetime(found_day.year, found_day.month, found_day.day)  # noqa: DTZ001 - a wall clock has no zone
    fraction = found.group(7) or ""
    if len(fraction.rstrip("0")) > kind.scale:
        raise NotPlain
    year, month, day, hour, minute, second = (int(each) for each in found.groups()[:6])
    micros = int(fraction.ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001 - as above
    except ValueError:
        raise NotPlain from None


_READERS: dict[SqlType, _Reader] = {
    SqlType.BOOLEAN: _boolean,
    SqlType.FLOAT: _floating,
    SqlType.DOUBLE: _floating,
    SqlType.DECIMAL: _decimal,
    SqlType.CHAR: _text,
    SqlType.VARCHAR: _text,
    SqlType.STRING: _text,
    SqlType.DATE: _day,
    SqlType.DATETIME: _moment,
    **dict.fromkeys(INTEGERS, _integer),
}


def key_order(rows: Sequence[Sequence[Any]]) -> tuple[list[int], bool]:
    """Return the order of keys, NULL first, and whether two are equal; `rows` has one key each."""
    keyed = [tuple((value is not None, value) for value in row) for row in rows]
    order = sorted(range(len(rows)), key=keyed.__getitem__)
    return order, len(set(keyed)) < len(keyed)


class PlainRouting:
    """Which partition a row of plain values belongs to: `loading.routing`'s rule, in Python."""

    def __init__(self, table: Table, chosen: Sequence[Partition]) -> None:
        self._columns = partition_columns(table)
        self._is_list = table.partitioning is not None and table.partitioning.kind == "LIST"
        self._listed: dict[tuple[Any, ...], str] = {}
        self._ranges: list[tuple[Any, Any, str]] = []
        for partition in chosen:
            bounds = partition.bounds
            if self._is_list:
                for value in bounds.values:
                    self._listed[self._keys(value)] = partition.id
            else:
                self._ranges.append(
                    (self._edge(bounds.lower), self._edge(bounds.upper), partition.id)
                )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that decide."""
        return self._columns

    def find(self, values: Sequence[Any]) -> str | None:
        """Return the id of the partition that a row's partition columns fall into."""
        if self._is_list:
            return self._listed.get(tuple(_comparable(value) for value in values))
        key = tuple((0,) if value is None else (1, _comparable(value)) for value in values)
        for lower, upper, found in self._ranges:
            if (lower is None or lower <= key) and (upper is None or key < upper):
                return found
        return None

    def _keys(self, texts: Sequence[str | None]) -> tuple[Any, ...]:
        return tuple(
            None if text is None else value_key(column.type, text)
            for text, column in zip(texts, self._columns, strict=True)
        )

    def _edge(self, texts: Sequence[str | None]) -> tuple[Any, ...] | None:
        """Return a bound that compares with a row's key; None for no bound on that side."""
        if texts and texts[0] is None:
            return None
        return tuple((1, key) for key in self._keys(texts))


def _comparable(value: Any) -> Any:
    """Return a value as `values.value_key` gives it."""
    match value:
        case datetime():
            return (*value.timetuple()[:6], value.microsecond)
        case date():
            return (value.year, value.month, value.day)
        case bool():
            return int(value)
    return value
