"""What a value becomes in its column, and why a row is refused: both as SQL of the engine.

Casts are Doris's. A value that cannot be what its column is becomes NULL, which refuses the row in
strict mode; NULL in a column that takes none, text that is too long and decimals out of range
refuse it always.
"""

from __future__ import annotations

from dataclasses import dataclass

from anabranch.warehouse.errors import doris
from anabranch.warehouse.schema import Column
from anabranch.warehouse.sql.functions.casts import as_text, cast
from anabranch.warehouse.sql.functions.kinds import Bound, is_text, is_time
from anabranch.warehouse.sql.transforms.rendering import quote_text
from anabranch.warehouse.types import (
    INTEGERS,
    OPAQUE,
    ColumnType,
    SqlType,
    to_duckdb,
)

VALUE_SHOWN_BYTES = 32  # of a text that is too long; Doris shows as many


@dataclass(frozen=True, slots=True)
class Value:
    """What one written column gets: SQL over the relation, and the type that SQL has.

    A plain value is a field of the source as it came: strict mode judges its cast. Computed ones
    it does not judge. A negated one is of a NEGATIVE load: SUM takes it away.
    """

    column: Column
    sql: str
    type: ColumnType
    is_plain: bool = True
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reason to refuse a row: a condition that is never NULL, and SQL of the reason's text."""

    condition: str
    reason: str


def converted(value: Value, raw: str) -> str:
    """Return SQL of the column's value from `raw`, NULL where it cannot be one.

    Raises SqlError for a pair of types that never casts.
    """
    kind, to = value.type, value.column.type
    _require_castable(value)
    if kind == to or (kind.kind is to.kind and kind.kind in OPAQUE):
        made = _bounded(raw, to)
    elif is_text(kind):
        made = _from_text(raw, to)
    elif is_text(to):
        made = as_text(raw, kind)
    elif kind.kind is SqlType.NULL:
        made = f"CAST({raw} AS {to_duckdb(to)})"
    else:
        made = _bounded(cast(Bound(raw, kind), to).sql, to)
    return _negated(made, to) if value.is_negated else made


def _require_castable(value: Value) -> None:
    kind, to = value.type.kind, value.column.type.kind
    if to in OPAQUE and kind is not to and kind is not SqlType.NULL:
        name = value.column.name
        if to is SqlType.HLL and value.is_plain:
            raise doris(f"HLL column must use hll_hash function, like {name}=hll_hash(xxx)")
        if value.is_plain:
            raise doris(f"BITMAP column must use to_bitmap function, like {name}=to_bitmap(xxx)")
        raise doris(f"can not cast from origin type {value.type.text} to target type={to}")
    if kind in OPAQUE and kind is not to:
        raise doris(f"can not cast from origin type {kind} to target type={value.column.type.text}")


def _from_text(raw: str, to: ColumnType) -> str:
    """Return the cast of a text; the usual spelling is told by writing the value again.

    The exact rules take a regular expression a value, which costs more than everything else of a
    load; a value that spells back to its text needs none.
    """
    slow = cast(Bound(raw, ColumnType(SqlType.STRING)), to).sql
    name = to_duckdb(to)
    if to.kind in INTEGERS:
        quick = f"TRY_CAST({raw} AS {name})"
        return f"CASE WHEN CAST({quick} AS VARCHAR) = {raw} THEN {quick} ELSE {slow} END"
    match to.kind:
        case SqlType.DOUBLE | SqlType.DECIMAL:  # the exact rules trim the text first, no more
            return f"coalesce(TRY_CAST({raw} AS {name}), {slow})"
        case SqlType.FLOAT:
            return f"TRY_CAST(coalesce(TRY_CAST({raw} AS DOUBLE), doris_double({raw})) AS FLOAT)"
        case SqlType.DATE:
            quick = f"TRY_CAST({raw} AS DATE)"
            test = f"strlen({raw}) = 10 AND CAST({quick} AS VARCHAR) = {raw}"
            return f"CASE WHEN {test} THEN {quick} ELSE {_bounded(slow, to)} END"
        case SqlType.DATETIME:
            quick = f"TRY_CAST({raw} AS TIMESTAMP)"
            test = f"strlen({raw}) = 19 AND CAST({quick} AS VARCHAR) = {raw}"
            return f"CASE WHEN {test} THEN {quick} ELSE {_rounded(slow, to)} END"
        case SqlType.JSON:
            return f"CASE WHEN json_valid({raw}) THEN {raw} END"
        case SqlType.CHAR | SqlType.VARCHAR | SqlType.STRING:
            return raw
    return slow


_LAST = {
    SqlType.DATE: "DATE '9999-12-31'",
    SqlType.DATETIME: "TIMESTAMP '9999-12-31 23:59:59.999999'",
}
_FIRST = {
    SqlType.DATE: "DATE '0001-01-01' - 366",
    SqlType.DATETIME: "TIMESTAMP '0001-01-01 00:00:00' - INTERVAL 366 DAY",
}


def _bounded(sql: str, to: ColumnType) -> str:
    """Return a time, NULL outside Doris's years 0 to 9999."""
    if not is_time(to):
        return sql
    return f"CASE WHEN {sql} BETWEEN {_FIRST[to.kind]} AND {_LAST[to.kind]} THEN {sql} END"


def _rounded(sql: str, to: ColumnType) -> str:
    """Return a time with no more digits than its type has, rounded half up."""
    if to.scale < 6:
        step = 10 ** (6 - to.scale)
        half = f"{sql} + INTERVAL '{step // 2} microseconds'"
        sql = f"time_bucket(INTERVAL '{step} microseconds', {half})"
    return _bounded(sql, to)


def _negated(sql: str, to: ColumnType) -> str:
    if to.kind in INTEGERS and to.kind is not SqlType.LARGEINT:
        return f"TRY_CAST(-CAST({sql} AS HUGEINT) AS {to_duckdb(to)})"
    return f"TRY(-{sql})"


def judgements(value: Value, raw: str, made: str, *, is_strict: bool) -> list[Judgement]:
    """Return why a row may be refused for a value; `made` is `converted`'s result by name."""
    column, kind = value.column, value.type
    name = quote_text(column.name)[1:-1]
    found: list[Judgement] = []
    can_fail = kind != column.type and not is_text(column.type)
    is_lost = f"({made} IS NULL AND {raw} IS NOT NULL)"
    if can_fail and column.type.kind is SqlType.DECIMAL and kind.kind is not SqlType.NULL:
        number = f"doris_double(CAST({raw} AS VARCHAR))"
        text = (
            f"'column_name[{name}], decimal value is not valid for definition, value=' || "
            f"CAST({raw} AS VARCHAR) || ', precision={column.type.precision}, "
            f"scale={column.type.scale}'"
        )
        # In a CASE, so that only what is lost is looked at again.
        test = f"CASE WHEN {is_lost} THEN {number} IS NOT NULL ELSE false END"
        found.append(Judgement(f"({test})", text))
    if can_fail and is_strict and value.is_plain and kind.kind not in OPAQUE | {SqlType.NULL}:
        text = (
            f"'column({name}) value is incorrect while strict mode is true, src value is ' || "
            f"CAST({raw} AS VARCHAR)"
        )
        found.append(Judgement(is_lost, text))
    if not column.is_nullable:
        text = f"'column({name}) values is null while columns is not nullable'"
        found.append(Judgement(f"({made} IS NULL)", text))
    if column.type.length and not _fits(kind, column.type):
        found.append(_too_long(name, made, column.type.length))
    return found


def _fits(kind: ColumnType, to: ColumnType) -> bool:
    return is_text(kind) and 0 < kind.length <= to.length and kind == to


def _too_long(name: str, made: str, length: int) -> Judgement:
    shown = f"left({made}, {VALUE_SHOWN_BYTES})"
    text = (
        f"'column_name[{name}], the length of input is too long than schema. first "
        f"{VALUE_SHOWN_BYTES} bytes of input str: [' || {shown} || '] schema length: {length}; "
        f"actual length: ' || CAST(strlen({made}) AS VARCHAR) || '; '"
    )
    return Judgement(f"coalesce(strlen({made}) > {length}, false)", text)
