"""What DuckDB reads from a rowset's column, and the SQL that makes the engine's values of it.

They differ for LARGEINT alone, which is 16 bytes in files and HUGEINT in the engine, wherever it
is nested.
"""

from __future__ import annotations

from anabranch.warehouse.types import ColumnType, SqlType, quote_duckdb, to_duckdb


def stored_type(made: ColumnType) -> str:
    """Return DuckDB's type of the bytes in the file."""
    if not holds_largeint(made):
        return to_duckdb(made)
    match made.kind:
        case SqlType.ARRAY:
            return f"{stored_type(made.items[0])}[]"
        case SqlType.MAP:
            return f"MAP({stored_type(made.items[0])}, {stored_type(made.items[1])})"
        case SqlType.STRUCT:
            pairs = zip(made.names, made.items, strict=True)
            inner = ", ".join(f"{quote_duckdb(name)} {stored_type(item)}" for name, item in pairs)
            return f"STRUCT({inner})"
    return "BLOB"


def decoded(made: ColumnType, value: str, depth: int = 0) -> str:
    """Return the engine's value of a stored one."""
    if not holds_largeint(made):
        return value
    one = f"e{depth}"
    match made.kind:
        case SqlType.ARRAY:
            item = decoded(made.items[0], one, depth + 1)
            return f"list_transform({value}, lambda {one}: {item})"
        case SqlType.MAP:
            key = decoded(made.items[0], f"{one}.key", depth + 1)
            item = decoded(made.items[1], f"{one}.value", depth + 1)
            pairs = (
                f"list_transform(map_entries({value}), lambda {one}: {{'k': {key}, 'v': {item}}})"
            )
            return f"map_from_entries({pairs})"
        case SqlType.STRUCT:
            fields = ", ".join(
                f"{quote_duckdb(name)} := {decoded(item, f'({value}).{quote_duckdb(name)}', depth)}"
                for name, item in zip(made.names, made.items, strict=True)
            )
            return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({fields}) END"
    return f"largeint_decode({value})"


def holds_largeint(made: ColumnType) -> bool:
    """Tell whether a value is, or holds, a LARGEINT."""
    return made.kind is SqlType.LARGEINT or any(holds_largeint(item) for item in made.items)
