"""What a column gets when a statement or load says nothing of it."""

from __future__ import annotations

from anabranch.warehouse.errors import doris
from anabranch.warehouse.loading.judging import Value
from anabranch.warehouse.schema import Column, DefaultKind
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.sql.transforms.conditions import Names, bind_expression
from anabranch.warehouse.sql.transforms.rendering import quote_text
from anabranch.warehouse.types import ColumnType, SqlType

_EMPTY = {SqlType.HLL: "hll_empty", SqlType.BITMAP: "bitmap_empty"}


def default_value(column: Column, context: Context) -> Value:
    """Return a column's default, which is not judged as input is; raise SqlError without one."""
    default = column.default
    name = ""
    if default is None:
        if column.type.kind in _EMPTY:
            name = _EMPTY[column.type.kind]
        elif not column.is_nullable:
            raise doris(f"Column has no default value, column={column.name}")
    elif default.kind is DefaultKind.FUNCTION:
        name = default.text
    elif default.kind is DefaultKind.TEXT:
        return Value(column, quote_text(default.text), ColumnType(SqlType.STRING), is_plain=False)
    if name:
        text = name if name.endswith(")") else f"{name}()"
        made = bind_expression(text.lower(), Names(()), context)
        return Value(column, made.sql(), made.type, is_plain=False)
    return Value(column, "NULL", ColumnType(SqlType.NULL), is_plain=False)
