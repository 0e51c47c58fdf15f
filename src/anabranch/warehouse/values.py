"""Literals of a column type: canonical text, and a key that sorts as the values do.

Used for partition bounds and defaults, which are stored as text.
"""

from __future__ import annotations

import calendar
import re
from decimal import Decimal, InvalidOperation

from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.types import (
    INTEGERS,
    TEXTS,
    ColumnType,
    SqlType,
    integer_bounds,
)

ValueKey = int | str | Decimal | float | tuple[int, ...]

_INTEGER = re.compile(r"[+-]?\d{1,40}")
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?"
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?")


def value_key(kind: ColumnType, text: str) -> ValueKey:
    """Return the value of a literal as something that compares; raise SqlError if it is none."""
    if kind.kind in INTEGERS:
        return _integer(kind, text)
    if kind.kind in TEXTS:
        if kind.length and len(text.encode()) > kind.length:
            raise doris(f"Value is too long for {kind.text}: {text[:100]}")
        return text
    match kind.kind:
        case SqlType.BOOLEAN:
            if text.lower() not in ("true", "false", "1", "0"):
                raise doris(f"Invalid BOOLEAN literal: {text[:100]}")
            return int(text.lower() in ("true", "1"))
        case SqlType.DECIMAL:
            return _decimal(kind, text)
        case SqlType.FLOAT | SqlType.DOUBLE:
            try:
                return float(text)
            except ValueError:
                raise doris(f"Invalid floating-point literal: {text[:100]}") from None
        case SqlType.DATE | SqlType.DATETIME:
            return _time(kind, text)
    raise doris(f"{kind.text} takes no such literal: {text[:100]}")


def canonical_value(kind: ColumnType, text: str) -> str:
    """Return the one text of a literal's value: `007` is `7`, a DATE `2020-1-1` `2020-01-01`."""
    key = value_key(kind, text)
    match kind.kind:
        case SqlType.BOOLEAN:
            return "true" if key else "false"
        case SqlType.DECIMAL:
            return f"{key:.{kind.scale}f}"
        case SqlType.DATE | SqlType.DATETIME:
            assert isinstance(key, tuple)
            return _time_text(kind, key)
        case SqlType.FLOAT | SqlType.DOUBLE:
            return repr(key)
    return str(key)


def _integer(kind: ColumnType, text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise doris(f"Invalid number format: {text[:100]}")
    value = int(text)
    low, high = integer_bounds(kind.kind)
    if not low <= value <= high:
        raise doris(f"Number out of range[{value}]. type: {kind.text}")
    return value


def _decimal(kind: ColumnType, text: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise doris(f"Invalid floating-point literal: {text[:100]}") from None
    if not value.is_finite() or value.adjusted() >= kind.precision - kind.scale:
        raise doris(f"Number out of range[{text[:100]}]. type: {kind.text}")
    exponent = value.normalize().as_tuple().exponent
    if value and isinstance(exponent, int) and -exponent > kind.scale:
        raise doris(f"Scale of {text[:100]} is larger than that of {kind.text}")
    return value + 0


def _time(kind: ColumnType, text: str) -> tuple[int, ...]:
    found = _DATE.fullmatch(text.strip()) or _COMPACT.fullmatch(text.strip())
    if found is None:
        raise _no_date(kind, text)
    groups = found.groups()
    year, month, day, hour, minute, second = (int(group or 0) for group in groups[:6])
    fraction = int((groups[6] or "").ljust(6, "0") or 0) if len(groups) > 6 else 0
    # Year 0 is a leap year of the proleptic Gregorian calendar, as 2000 is.
    if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year or 2000, month)[1]):
        raise _no_date(kind, text)
    if hour > 23 or minute > 59 or second > 59:
        raise _no_date(kind, text)
    if kind.kind is SqlType.DATE:
        if (hour, minute, second, fraction) != (0, 0, 0, 0):
            raise _no_date(kind, text)
        return (year, month, day)
    if fraction % 10 ** (6 - kind.scale):
        raise _no_date(kind, text)
    return (year, month, day, hour, minute, second, fraction)


def _no_date(kind: ColumnType, text: str) -> SqlError:
    return doris(f"Invalid date value: {text[:100]} for {kind.text}")


def _time_text(kind: ColumnType, key: tuple[int, ...]) -> str:
    date = f"{key[0]:04}-{key[1]:02}-{key[2]:02}"
    if kind.kind is SqlType.DATE:
        return date
    fraction = f".{key[6]:06}"[: kind.scale + 1] if kind.scale else ""
    return f"{date} {key[3]:02}:{key[4]:02}:{key[5]:02}{fraction}"
