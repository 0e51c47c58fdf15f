"""A schema as the CREATE TABLE statement that SHOW CREATE TABLE prints, and that parses again."""

from __future__ import annotations

from anabranch.warehouse.schema import Bounds, Column, Default, DefaultKind, Table
from anabranch.warehouse.schemas.partitions import partition_columns
from anabranch.warehouse.sql.lexer import quote_name, quote_string


def create_table_text(name: str, table: Table) -> str:
    """Return the CREATE TABLE of a table, in the form of Doris's."""
    lines = [_column_text(column) for column in table.columns]
    parts = [f"CREATE TABLE {quote_name(name)} (\n  " + ",\n  ".join(lines) + "\n) ENGINE=OLAP"]
    keys = ", ".join(quote_name(column.name) for column in table.keys)
    parts.append(f"{table.key_model} KEY({keys})")
    if table.comment:
        parts.append(f"COMMENT {quote_string(table.comment)}")
    if table.partitioning is not None:
        parts.append(_partitioning_text(table))
    if table.distribution is not None:
        distribution = table.distribution
        found = [table.by_id(column_id) for column_id in distribution.columns]
        names = ", ".join(quote_name(column.name) for column in found if column)
        columns = f"({names})" if distribution.kind == "HASH" else ""
        buckets = distribution.buckets or "AUTO"
        parts.append(f"DISTRIBUTED BY {distribution.kind}{columns} BUCKETS {buckets}")
    if table.properties:
        parts.append(f"PROPERTIES (\n{_pairs(table.properties, ',' + chr(10))}\n)")
    return "\n".join(parts) + ";"


def _pairs(properties: tuple[tuple[str, str], ...], between: str) -> str:
    return between.join(f"{quote_string(name)} = {quote_string(v)}" for name, v in properties)


def _column_text(column: Column) -> str:
    words = [quote_name(column.name), column.type.shown]
    if column.aggregate:
        words.append(column.aggregate)
    words.append("NULL" if column.is_nullable else "NOT NULL")
    if column.default is not None:
        words.append(f"DEFAULT {default_text(column.default)}")
    if column.comment:
        words.append(f"COMMENT {quote_string(column.comment)}")
    return " ".join(words)


def default_text(default: Default) -> str:
    """Return what follows DEFAULT."""
    if default.kind is DefaultKind.TEXT:
        return quote_string(default.text)
    return "NULL" if default.kind is DefaultKind.NULL else default.text


def _partitioning_text(table: Table) -> str:
    partitioning = table.partitioning
    assert partitioning is not None
    names = ", ".join(quote_name(column.name) for column in partition_columns(table))
    lines = []
    for partition in partitioning.partitions:
        line = f"PARTITION {quote_name(partition.name)} VALUES {bounds_text(partition.bounds)}"
        if partition.properties:
            line += f" ({_pairs(partition.properties, ', ')})"
        lines.append(line)
    return f"PARTITION BY {partitioning.kind}({names})\n(" + ",\n".join(lines) + ")"


def bounds_text(bounds: Bounds) -> str:
    """Return what follows VALUES: IN, LESS THAN for the lowest, else both bounds."""
    if bounds.values:
        return f"IN ({', '.join(_tuple_text(row, 'NULL') for row in bounds.values)})"
    upper = _tuple_text(bounds.upper, "MAXVALUE")
    if all(value is None for value in bounds.lower):
        return f"LESS THAN {upper}"
    return f"[{_tuple_text(bounds.lower, 'NULL')}, {upper})"


def _tuple_text(values: tuple[str | None, ...], none: str) -> str:
    return f"({', '.join(none if value is None else quote_string(value) for value in values)})"
