"""Operators with Doris's rules for operands of different types."""

from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast, numeric
from anabranch.warehouse.sql.functions.kinds import Bound, is_integer, is_numeric, is_text, is_time
from anabranch.warehouse.sql.functions.numbers import divided, remainder
from anabranch.warehouse.sql.functions.registry import COMPLEX, made
from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.types import SqlType

_WIDER = {
    SqlType.BOOLEAN: kinds.SMALLINT,
    SqlType.TINYINT: kinds.SMALLINT,
    SqlType.SMALLINT: kinds.INT,
    SqlType.INT: kinds.BIGINT,
    SqlType.BIGINT: kinds.BIGINT,
    SqlType.LARGEINT: kinds.LARGEINT,
}


def condition(value: Bound) -> Bound:
    """Return the value as a truth value."""
    if value.type.kind is SqlType.BOOLEAN:
        return value
    if value.type.is_complex:
        raise doris(COMPLEX)
    return cast(value, kinds.BOOLEAN)


def arithmetic(sign: str, left: Bound, right: Bound) -> Bound:
    """Return left +, -, *, /, % or DIV right; text counts as DOUBLE, times as their digits."""
    for each in (left, right):
        if each.type.is_complex:
            raise doris(COMPLEX)
    left, right = numeric(left), numeric(right)
    if sign == "/":
        return divided(left, right)
    if sign == "%":
        return remainder(left, right)
    if sign == "div":
        return _whole_division(left, right)
    if left.type.kind in kinds.FLOATS or right.type.kind in kinds.FLOATS:
        one, two = cast(left, kinds.DOUBLE).sql, cast(right, kinds.DOUBLE).sql
        return made((left, right), f"({one} {sign} {two})", kinds.DOUBLE)
    if SqlType.DECIMAL in (left.type.kind, right.type.kind):
        return _decimal(sign, left, right)
    kind = _WIDER[kinds.common(left.type, right.type).kind]
    name = kinds.duckdb_name(kind)
    sql = f"(CAST({left.sql} AS {name}) {sign} CAST({right.sql} AS {name}))"
    return made((left, right), sql, kind)


def _whole_division(left: Bound, right: Bound) -> Bound:
    if is_integer(left.type) and is_integer(right.type):
        sql = f"({left.sql} // nullif({right.sql}, 0))"
    else:
        one, two = cast(left, kinds.DOUBLE).sql, cast(right, kinds.DOUBLE).sql
        sql = f"trunc({one} / nullif({two}, 0))"
    return made((left, right), f"CAST({sql} AS BIGINT)", kinds.BIGINT)


def _decimal(sign: str, left: Bound, right: Bound) -> Bound:
    one, two = kinds.as_decimal(left.type), kinds.as_decimal(right.type)
    if sign == "*":
        precision, scale = one.precision + two.precision, one.scale + two.scale
        if precision > kinds.DECIMAL_DIGITS_MAX:
            return _wide_product(left, right, one, two)
    else:
        scale = max(one.scale, two.scale)
        precision = max(one.precision - one.scale, two.precision - two.scale) + scale + 1
    kind = kinds.decimal(precision, scale)
    texts = [
        f"CAST({value.sql} AS {kinds.duckdb_name(type_)})"
        for value, type_ in ((left, one), (right, two))
    ]
    sql = f"CAST({texts[0]} {sign} {texts[1]} AS {kinds.duckdb_name(kind)})"
    return made((left, right), sql, kind)


def _wide_product(left: Bound, right: Bound, one: kinds.Type, two: kinds.Type) -> Bound:
    """Multiply as whole numbers of 128 bits: what does not fit is an error, nothing is rounded."""
    scale = min(one.scale + two.scale, kinds.DECIMAL_DIGITS_MAX - 2)
    kind = kinds.decimal(kinds.DECIMAL_DIGITS_MAX, scale)
    parts = [
        f"CAST({value.sql} * CAST('1e{type_.scale}' AS HUGEINT) AS HUGEINT)"
        for value, type_ in ((left, one), (right, two))
    ]
    wide = kinds.duckdb_name(kinds.decimal(kinds.DECIMAL_DIGITS_MAX - scale - 1, 0))
    unit = f"CAST('1e-{scale}' AS DECIMAL({scale + 1},{scale}))"
    sql = f"(CAST({parts[0]} * {parts[1]} AS {wide}) * {unit})"
    return made((left, right), sql, kind)


def aligned(binder: Binder, left: Bound, right: Bound) -> tuple[Bound, Bound]:
    """Return both sides of a comparison, cast to what they are compared as."""
    one, two = left.type, right.type
    for kind in (one, two):
        if kind.is_complex and kind.kind is not SqlType.JSON:
            raise doris(COMPLEX)
    if SqlType.JSON in (one.kind, two.kind):
        return cast(left, kinds.VARCHAR), cast(right, kinds.VARCHAR)
    if is_text(one) and is_numeric(two):
        return _text_with_number(binder, left, right)
    if is_numeric(one) and is_text(two):
        second, first = _text_with_number(binder, right, left)
        return first, second
    if is_time(one) and not is_time(two):
        return _time_with_other(binder, left, right)
    if is_time(two) and not is_time(one):
        second, first = _time_with_other(binder, right, left)
        return first, second
    if SqlType.BOOLEAN in (one.kind, two.kind) and one.kind is not two.kind:
        return numeric(left), numeric(right)
    return left, right


def _shape(binder: Binder, value: Bound) -> str:
    return binder.literals[value.slot].shape if value.slot is not None else ""


def _text_with_number(binder: Binder, text: Bound, number: Bound) -> tuple[Bound, Bound]:
    is_exact = number.type.kind not in kinds.FLOATS
    if is_exact and number.type.kind is not SqlType.BOOLEAN and _shape(binder, text) == "si":
        return cast(text, kinds.BIGINT), number
    if number.type.kind is SqlType.BOOLEAN:
        return cast(text, kinds.BOOLEAN), number
    return cast(text, kinds.DOUBLE), cast(number, kinds.DOUBLE)


def _time_with_other(binder: Binder, time: Bound, other: Bound) -> tuple[Bound, Bound]:
    if other.type.kind is SqlType.NULL:
        return time, other
    if _shape(binder, other) == "sd":
        return time, cast(other, kinds.DATE)
    if time.type.kind is SqlType.DATE:
        time = cast(time, kinds.DATETIME)
    return time, cast(other, kinds.Type(SqlType.DATETIME, scale=6))


def compare(binder: Binder, sign: str, left: Bound, right: Bound) -> Bound:
    """Return a comparison; `<=>` is true for two NULLs."""
    one, two = aligned(binder, left, right)
    text = "IS NOT DISTINCT FROM" if sign == "<=>" else sign
    return made((left, right), f"({one.sql} {text} {two.sql})", kinds.BOOLEAN)


def contained(binder: Binder, value: Bound, items: list[Bound]) -> Bound:
    """Return value IN (items), items compared each by its own type."""
    groups: dict[str, list[str]] = {}
    for item in items:
        one, two = aligned(binder, value, item)
        groups.setdefault(one.sql, []).append(two.sql)
    parts = [f"{left} IN ({', '.join(rights)})" for left, rights in groups.items()]
    return made((value, *items), f"({' OR '.join(parts)})", kinds.BOOLEAN)
