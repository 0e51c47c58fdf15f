"""What DESC, SHOW COLUMNS and information_schema say of a column and its type."""

from __future__ import annotations

from anabranch.warehouse.schema import Column, DefaultKind, KeyModel, Table
from anabranch.warehouse.types import INTEGERS, TEXTS, ColumnType, SqlType

_KEYS = {KeyModel.DUPLICATE: "DUP", KeyModel.UNIQUE: "UNI", KeyModel.AGGREGATE: "AGG"}
_DATA_TYPES = {
    SqlType.BOOLEAN: "tinyint",
    SqlType.LARGEINT: "bigint unsigned",
    SqlType.STRING: "string",
    SqlType.DECIMAL: "decimal",
    SqlType.HLL: "unknown",
    SqlType.BITMAP: "unknown",
}
_DIGITS = {
    SqlType.BOOLEAN: 1,
    SqlType.TINYINT: 3,
    SqlType.SMALLINT: 5,
    SqlType.INT: 10,
    SqlType.BIGINT: 19,
    SqlType.LARGEINT: 39,
    SqlType.FLOAT: 7,
    SqlType.DOUBLE: 15,
}


def key_text(table: Table, column: Column) -> str:
    """Return `true` or `false`, as Doris prints Key."""
    return "true" if column.is_key else "false"


def mysql_key(table: Table, column: Column) -> str:
    """Return COLUMN_KEY as Doris has it: the key model of a key column, else nothing."""
    return _KEYS[table.key_model] if column.is_key else ""


def default_value(column: Column) -> str | None:
    """Return the default as shown, None for none and for NULL."""
    if column.default is None or column.default.kind is DefaultKind.NULL:
        return None
    return column.default.text


def extra_text(table: Table, column: Column) -> str:
    """Return what Doris prints under Extra: how a value folds."""
    if column.is_key:
        return ""
    if table.key_model is KeyModel.AGGREGATE:
        return str(column.aggregate)
    return "REPLACE" if table.key_model is KeyModel.UNIQUE else "NONE"


def data_type(kind: ColumnType) -> str:
    """Return DATA_TYPE: the type's name alone."""
    return _DATA_TYPES.get(kind.kind, kind.kind.lower())


def character_length(kind: ColumnType) -> int | None:
    """Return CHARACTER_MAXIMUM_LENGTH, in bytes as Doris counts."""
    if kind.kind is SqlType.STRING:
        return 2_147_483_643
    return kind.length if kind.kind in TEXTS else None


def numeric_precision(kind: ColumnType) -> int | None:
    """Return NUMERIC_PRECISION."""
    return kind.precision if kind.kind is SqlType.DECIMAL else _DIGITS.get(kind.kind)


def numeric_scale(kind: ColumnType) -> int | None:
    """Return NUMERIC_SCALE."""
    if kind.kind is SqlType.DECIMAL:
        return kind.scale
    return 0 if kind.kind in INTEGERS or kind.kind is SqlType.BOOLEAN else None


def datetime_precision(kind: ColumnType) -> int | None:
    """Return DATETIME_PRECISION."""
    return kind.scale if kind.kind is SqlType.DATETIME else None
