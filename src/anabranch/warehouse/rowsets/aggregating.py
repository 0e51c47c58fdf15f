"""How values of one key become one value, as DuckDB's SQL (docs/formats/rowset.md).

All folds but SUM of FLOAT and DOUBLE are exact and do not depend on the order of rows, except as
`order` says: a table reads the same however its rowsets were grouped.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from anabranch.warehouse.schema import Aggregate, Column, DefaultKind
from anabranch.warehouse.types import (
    BITS,
    DECIMAL_PRECISION_MAX,
    OPAQUE,
    ColumnType,
    SqlType,
    integer_bounds,
    to_duckdb,
)

EMPTY_BYTES = "'\\x00'::BLOB"
"""The stored sketch, and the stored bitmap, of nothing."""

# A sum of decimals with fewer digits passes 38 digits after 10^10 rows at the earliest.
_SUMMED_BY_DUCKDB_MAX = 28
_FLOATS = frozenset({SqlType.FLOAT, SqlType.DOUBLE})
_FLOAT_MAX = "3.4028234663852886e38::DOUBLE"


@dataclass(frozen=True, slots=True)
class Contributions:
    """What the rows of a key say of a column, as expressions over these rows.

    `value` is NULL where not written. `order` ascends, a number or a row of numbers; later rows
    replace earlier ones. `written` and `unknown` tell of each row whether its rowset wrote the
    column, and whether it did not know it; None where all rows are written and known.
    """

    value: str
    order: str
    written: str | None = None
    unknown: str | None = None


def folded_type(column: Column) -> ColumnType:
    """Return the type of a folded column: sums of decimals have 38 digits."""
    if column.aggregate is Aggregate.SUM and column.type.kind is SqlType.DECIMAL:
        return ColumnType(SqlType.DECIMAL, precision=DECIMAL_PRECISION_MAX, scale=column.type.scale)
    return column.type


def wide_type(column: Column) -> ColumnType:
    """Return the type in which a fold keeps a column: sums of FLOAT stay DOUBLE."""
    if _is_float_sum(column):
        return ColumnType(SqlType.DOUBLE)
    return folded_type(column)


def narrowed(column: Column, value: str) -> str:
    """Return a value that a fold keeps as the table shows it."""
    return _to_float(value) if _is_float_sum(column) else value


def _is_float_sum(column: Column) -> bool:
    return column.aggregate is Aggregate.SUM and column.type.kind is SqlType.FLOAT


def default_sql(column: Column) -> str:
    """Return what a row holds that does not know a column.

    A default that is a time of writing is the time when the column was added.
    """
    if column.type.kind in OPAQUE:
        return EMPTY_BYTES
    kind = to_duckdb(folded_type(column))
    held = None if column.default is None else column.default.held
    if held is None:
        return f"NULL::{kind}"
    if column.type.kind in _FLOATS and _is_negative_zero(column):
        # DuckDB reads the text as a decimal, which has one zero.
        return f"(-(0.0::{kind}))"
    return f"{quote_text(held)}::{kind}"


def quote_text(text: str) -> str:
    """Return a literal of DuckDB's SQL."""
    return "'" + text.replace("'", "''") + "'"


def fold_sql(column: Column, value: str, order: str, table: str = "") -> str:
    """Return DuckDB's aggregate of a column's values in one group of rows with equal keys.

    Of UNIQUE tables the last value by `order`. `table` is named in the error of a DECIMAL sum that
    does not fit 38 digits.
    """
    return fold_contributions(column, Contributions(value, order), table)


def fold_contributions(column: Column, rows: Contributions, table: str = "") -> str:
    """Return the aggregate where some rows did not write the column.

    A row that does not know it stands for one virtual row of the key, before all others, that
    holds the default; so does a key that no row has written.
    """
    absent = None
    if rows.written is not None or rows.unknown is not None:
        told = [f"NOT bool_or({rows.written})"] if rows.written is not None else []
        told += [f"bool_or({rows.unknown})"] if rows.unknown is not None else []
        absent = f"({' OR '.join(told)})"
    match column.aggregate:
        case Aggregate.SUM:
            return _sum(column, rows.value, absent, table)
        case Aggregate.MIN | Aggregate.MAX:
            return _extreme(column, rows.value, absent)
        case Aggregate.REPLACE_IF_NOT_NULL:
            last = f"arg_max({rows.value}, {rows.order})"
            if absent is None:
                return last
            return f"coalesce({last}, CASE WHEN {absent} THEN {default_sql(column)} END)"
        case Aggregate.HLL_UNION:
            return f"hll_union({rows.value})"
        case Aggregate.BITMAP_UNION:
            return f"bitmap_union({rows.value})"
    last = f"arg_max_null({rows.value}, {rows.order})"
    if rows.written is None:
        return last
    last += f" FILTER (WHERE {rows.written})"
    return f"CASE WHEN bool_or({rows.written}) THEN {last} ELSE {default_sql(column)} END"


def partial_fold(column: Column, rows: Contributions, table: str = "") -> str:
    """Return the aggregate of what some rows of a key say, to be folded again with others.

    Defaults are left to that fold; what no row wrote is NULL, or a sketch or bitmap of nothing.
    """
    if _is_float_sum(column):
        return f"sum({rows.value}::DOUBLE)"
    if column.aggregate is Aggregate.REPLACE and rows.written is not None:
        return f"arg_max_null({rows.value}, {rows.order}) FILTER (WHERE {rows.written})"
    return fold_contributions(column, Contributions(rows.value, rows.order), table)


def _with_default(folded: str, column: Column, absent: str | None, joined: str) -> str:
    """Return `folded`, and `joined` where the virtual row is there and holds a value."""
    default = column.default
    if absent is None or default is None or default.held is None:
        return folded
    return f"CASE WHEN {absent} THEN {joined} ELSE {folded} END"


def _sum(column: Column, value: str, absent: str | None, table: str) -> str:
    kind, default = column.type, default_sql(column)
    if kind.kind is SqlType.LARGEINT:
        total = f"largeint_sum({value})"
        joined = f"largeint_add(coalesce({total}, 0::HUGEINT), {default})"
        return _with_default(total, column, absent, joined)
    if kind.kind is SqlType.DECIMAL:
        return _decimal_sum(column, value, absent, table)
    if kind.kind in _FLOATS:
        total = f"sum({value}::DOUBLE)"
        whole = _with_default(total, column, absent, f"coalesce({total}, 0) + {default}")
        return whole if kind.kind is SqlType.DOUBLE else _to_float(whole)
    total = f"sum({value})"
    return _wrapped(
        kind, _with_default(total, column, absent, f"coalesce({total}, 0::HUGEINT) + {default}")
    )


def _wrapped(kind: ColumnType, total: str) -> str:
    """Return a HUGEINT modulo 2^n of an integer type: no sum may make a table unreadable."""
    made, bits = to_duckdb(kind), BITS[kind.kind]
    _, high = integer_bounds(kind.kind)
    low_bits = f"(({total}) & {(1 << bits) - 1}::HUGEINT)"
    signed = f"{low_bits} - CASE WHEN {low_bits} > {high} THEN {1 << bits}::HUGEINT ELSE 0 END"
    return f"coalesce(try_cast({total} AS {made}), ({signed})::{made})"


def _to_float(total: str) -> str:
    """Return a DOUBLE as FLOAT, infinite past the largest: the plain cast raises."""
    infinite = f"CASE WHEN ({total}) > 0 THEN 'inf'::FLOAT ELSE '-inf'::FLOAT END"
    is_small = f"abs({total}) <= {_FLOAT_MAX} OR NOT isfinite({total})"
    return (
        f"CASE WHEN {is_small} THEN ({total})::FLOAT WHEN ({total}) IS NOT NULL THEN {infinite} END"
    )


def _decimal_sum(column: Column, value: str, absent: str | None, table: str) -> str:
    kind, default = to_duckdb(folded_type(column)), default_sql(column)
    if column.type.precision <= _SUMMED_BY_DUCKDB_MAX:
        total = f"sum({value})"
        return _with_default(total, column, absent, f"coalesce({total}, 0) + {default}")
    where = f"{table}.{column.name}" if table else column.name
    failure = f"error({quote_text(f'overflow: the SUM of column {where} does not fit {kind}')})"
    summed = f"decimal_sum_{column.type.scale}({value}::{kind})"
    # The aggregate is NULL past 38 digits, and for no values at all.
    total = f"coalesce({summed}, CASE WHEN count({value}) > 0 THEN {failure}::{kind} END)"
    base = f"coalesce({total}, 0::{kind})"
    is_full = f"{base} {_room_beside(column)}::{kind}"
    joined = f"CASE WHEN {is_full} THEN {failure}::{kind} ELSE {base} + {default} END"
    return _with_default(total, column, absent, joined)


def _room_beside(column: Column) -> str:
    """Return the comparison that tells which sums have no room for the column's default."""
    most = Decimal(10**DECIMAL_PRECISION_MAX - 1)
    with localcontext(prec=2 * DECIMAL_PRECISION_MAX):
        most = most.scaleb(-column.type.scale)
        default = column.default
        value = Decimal(default.text) if default is not None and default.text else Decimal(0)
        return f"> '{most - value:f}'" if value >= 0 else f"< '{-most - value:f}'"


def _extreme(column: Column, value: str, absent: str | None) -> str:
    is_min = column.aggregate is Aggregate.MIN
    found = f"{'min' if is_min else 'max'}({value})"
    choice = f"{'least' if is_min else 'greatest'}({found}, {default_sql(column)})"
    whole = _with_default(found, column, absent, choice)
    if column.type.kind not in _FLOATS:
        return whole
    # DuckDB takes -0.0 and 0.0 for equal and keeps the first it meets.
    kind = to_duckdb(column.type)
    sign = "signbit" if is_min else "NOT signbit"
    met = f"coalesce(bool_or({value} = 0 AND {sign}({value})), false)"
    if absent is not None and _is_zero(column) and _is_negative_zero(column) == is_min:
        met = f"({met} OR {absent})"
    low, high = f"(-(0.0::{kind}))", f"0.0::{kind}"
    zero = f"CASE WHEN {met} THEN {low if is_min else high} ELSE {high if is_min else low} END"
    return f"CASE WHEN ({whole}) = 0 THEN {zero} ELSE {whole} END"


def _is_zero(column: Column) -> bool:
    default = column.default
    is_text = default is not None and default.kind is DefaultKind.TEXT
    return is_text and default is not None and float(default.text) == 0


def _is_negative_zero(column: Column) -> bool:
    default = column.default
    return _is_zero(column) and default is not None and default.text.startswith("-")
