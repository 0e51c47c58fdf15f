"""What an expression is: its type in Doris's words and its text in DuckDB's."""

from dataclasses import dataclass, replace

from anabranch.warehouse.errors import doris
from anabranch.warehouse.types import ColumnType, SqlType

INTEGERS = (SqlType.TINYINT, SqlType.SMALLINT, SqlType.INT, SqlType.BIGINT, SqlType.LARGEINT)
FLOATS = (SqlType.FLOAT, SqlType.DOUBLE)
STRINGS = (SqlType.CHAR, SqlType.VARCHAR, SqlType.STRING)
TIMES = (SqlType.DATE, SqlType.DATETIME)
OPAQUE = (SqlType.HLL, SqlType.BITMAP)
_DIGITS = {
    SqlType.BOOLEAN: 1,
    SqlType.TINYINT: 3,
    SqlType.SMALLINT: 5,
    SqlType.INT: 10,
    SqlType.BIGINT: 19,
    SqlType.LARGEINT: 38,
}
DECIMAL_DIGITS_MAX = 38  # Doris's DECIMALV3 and DuckDB's widest decimal


Type = ColumnType


def is_integer(kind: Type) -> bool:
    """Tell whether it is a whole number; truth values count as ones."""
    return kind.kind in INTEGERS or kind.kind is SqlType.BOOLEAN


def is_numeric(kind: Type) -> bool:
    """Tell whether it is a number."""
    return is_integer(kind) or kind.kind in FLOATS or kind.kind is SqlType.DECIMAL


def is_text(kind: Type) -> bool:
    """Tell whether it is CHAR, VARCHAR or STRING."""
    return kind.kind in STRINGS


def is_time(kind: Type) -> bool:
    """Tell whether it is DATE or DATETIME."""
    return kind.kind in TIMES


def duckdb_name(kind: Type) -> str:
    """Return the type's name in DuckDB's SQL."""
    if kind.kind is SqlType.NULL:
        return "INTEGER"
    if kind.kind is SqlType.ARRAY:
        return duckdb_name(kind.items[0]) + "[]"
    return str(kind.duckdb)


NULL = Type(SqlType.NULL)
BOOLEAN = Type(SqlType.BOOLEAN)
TINYINT = Type(SqlType.TINYINT)
SMALLINT = Type(SqlType.SMALLINT)
INT = Type(SqlType.INT)
BIGINT = Type(SqlType.BIGINT)
LARGEINT = Type(SqlType.LARGEINT)
FLOAT = Type(SqlType.FLOAT)
DOUBLE = Type(SqlType.DOUBLE)
DATE = Type(SqlType.DATE)
DATETIME = Type(SqlType.DATETIME)
VARCHAR = Type(SqlType.VARCHAR, length=65_533)
STRING = Type(SqlType.STRING)
JSON = Type(SqlType.JSON)
HLL = Type(SqlType.HLL)
BITMAP = Type(SqlType.BITMAP)


def decimal(precision: int, scale: int) -> Type:
    """Return DECIMAL(precision, scale), held to the widest there is."""
    precision = max(1, min(precision, DECIMAL_DIGITS_MAX))
    return Type(SqlType.DECIMAL, precision=precision, scale=min(scale, precision))


def array(element: Type) -> Type:
    """Return ARRAY<element>; raise SqlError for sketches, which stand in columns alone."""
    if element.kind in OPAQUE:
        raise doris(f"ARRAY unsupported sub-type [{element.text.lower()}]")
    return Type(SqlType.ARRAY, items=(element,))


def as_decimal(kind: Type) -> Type:
    """Return the decimal that holds every value of an integer or decimal type."""
    if kind.kind is SqlType.DECIMAL:
        return kind
    return decimal(_DIGITS[kind.kind], 0)


@dataclass(frozen=True, slots=True)
class Bound:
    """An expression with its names resolved: DuckDB's text and Doris's type.

    `slot` is the number of the literal when the expression is nothing but one;
    `has_aggregate` says that the text calls an aggregate outside any window.
    """

    sql: str
    type: Type
    slot: int | None = None
    has_aggregate: bool = False
    column: tuple[str, str, str] | None = None  # table alias, database, name as declared

    def written(self, sql: str, kind: Type) -> "Bound":
        """Return the same expression under another text and type."""
        return replace(self, sql=sql, type=kind, slot=None, column=None)


def common(left: Type, right: Type) -> Type:
    """Return the type that holds values of both, as set operations, CASE and IN need it.

    Raises SqlError for a sketch and anything else.
    """
    if left == right or right.kind is SqlType.NULL:
        return left
    if left.kind is SqlType.NULL:
        return right
    if left.kind is SqlType.ARRAY and right.kind is SqlType.ARRAY:
        return array(common(left.items[0], right.items[0]))
    if is_numeric(left) and is_numeric(right):
        return _common_number(left, right)
    if is_time(left) and is_time(right):
        return Type(SqlType.DATETIME, scale=max(left.scale, right.scale))
    if left.kind in OPAQUE and left.kind is right.kind:
        return left
    if left.kind in OPAQUE or right.kind in OPAQUE:
        raise doris(f"can not cast from origin type {right.text} to target type={left.text}")
    return STRING if SqlType.STRING in (left.kind, right.kind) else VARCHAR


def _common_number(left: Type, right: Type) -> Type:
    kinds = (left.kind, right.kind)
    if left.kind in FLOATS or right.kind in FLOATS:
        return FLOAT if kinds == (SqlType.FLOAT, SqlType.FLOAT) else DOUBLE
    if SqlType.DECIMAL in kinds:
        one, two = as_decimal(left), as_decimal(right)
        scale = max(one.scale, two.scale)
        return decimal(max(one.precision - one.scale, two.precision - two.scale) + scale, scale)
    order = (SqlType.BOOLEAN, *INTEGERS)
    return Type(max(kinds, key=order.index))
