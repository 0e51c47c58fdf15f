"""What each column type is in Arrow, Parquet and DuckDB (docs/formats/rowset.md)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from anabranch.warehouse.types import (
    DECIMAL_PRECISION_MAX,
    VARCHAR_LENGTH_MAX,
    ColumnType,
    SqlType,
    is_type_name,
    parse_type,
    to_duckdb,
)

TYPE_METADATA = b"anabranch-type"
FIELD_ID_METADATA = b"PARQUET:field_id"
LARGEINT_BYTES = 16

_ARROW: dict[SqlType, Any] = {
    SqlType.BOOLEAN: pa.bool_(),
    SqlType.TINYINT: pa.int8(),
    SqlType.SMALLINT: pa.int16(),
    SqlType.INT: pa.int32(),
    SqlType.BIGINT: pa.int64(),
    SqlType.LARGEINT: pa.binary(LARGEINT_BYTES),
    SqlType.FLOAT: pa.float32(),
    SqlType.DOUBLE: pa.float64(),
    SqlType.DATE: pa.date32(),
    SqlType.DATETIME: pa.timestamp("us"),
    SqlType.TIME: pa.duration("us"),
    SqlType.CHAR: pa.string(),
    SqlType.VARCHAR: pa.string(),
    SqlType.STRING: pa.string(),
    SqlType.JSON: pa.string(),
    SqlType.VARIANT: pa.string(),
    SqlType.IPV4: pa.uint32(),
    SqlType.IPV6: pa.binary(16),
    SqlType.NULL: pa.null(),
}


def to_arrow(made: ColumnType) -> Any:
    """Return the Arrow type of stored values: LARGEINT is 16 bytes, sketches are binary."""
    match made.kind:
        case SqlType.DECIMAL:
            return pa.decimal128(made.precision, made.scale)
        case SqlType.ARRAY:
            return pa.list_(to_arrow(made.items[0]))
        case SqlType.MAP:
            return pa.map_(to_arrow(made.items[0]), to_arrow(made.items[1]))
        case SqlType.STRUCT:
            pairs = zip(made.names, made.items, strict=True)
            return pa.struct([pa.field(name, to_arrow(item)) for name, item in pairs])
    return _ARROW[made.kind] if made.kind in _ARROW else pa.binary()


def to_field(name: str, made: ColumnType, field_id: int, is_nullable: bool) -> Any:
    """Return the Arrow field of a rowset's column, with its field id and type as metadata."""
    metadata = {FIELD_ID_METADATA: str(field_id).encode(), TYPE_METADATA: made.text.encode()}
    return pa.field(name, to_arrow(made), nullable=is_nullable, metadata=metadata)


def to_duckdb_stored(made: ColumnType) -> str:
    """Return the type DuckDB reads from a rowset: as `to_duckdb`, but LARGEINT is BLOB."""
    return "BLOB" if made.kind is SqlType.LARGEINT else to_duckdb(made)


_STRING = ColumnType(SqlType.STRING)
_LARGEINT = ColumnType(SqlType.LARGEINT)
_FROM_DUCKDB: dict[str, ColumnType] = {
    "INTEGER": ColumnType(SqlType.INT),
    "HUGEINT": _LARGEINT,
    "UHUGEINT": _LARGEINT,
    "UBIGINT": _LARGEINT,
    "UINTEGER": ColumnType(SqlType.BIGINT),
    "USMALLINT": ColumnType(SqlType.INT),
    "UTINYINT": ColumnType(SqlType.SMALLINT),
    "VARCHAR": ColumnType(SqlType.VARCHAR, length=VARCHAR_LENGTH_MAX),
    "BLOB": ColumnType(SqlType.BINARY),
    "BIT": ColumnType(SqlType.BINARY),
    "UUID": _STRING,
    "TIMESTAMP_S": ColumnType(SqlType.DATETIME),
    "TIMESTAMP_MS": ColumnType(SqlType.DATETIME, scale=3),
    "TIMESTAMP": ColumnType(SqlType.DATETIME, scale=6),
    "TIMESTAMP_NS": ColumnType(SqlType.DATETIME, scale=6),
    "TIMESTAMP WITH TIME ZONE": ColumnType(SqlType.DATETIME, scale=6),
    "TIME": ColumnType(SqlType.TIME, scale=6),
    "INTERVAL": ColumnType(SqlType.TIME, scale=6),
    '"NULL"': ColumnType(SqlType.NULL),
    "NULL": ColumnType(SqlType.NULL),
}


def from_duckdb(text: str) -> ColumnType:
    """Return the type of a result that DuckDB describes as `text`; STRING for the nameless."""
    if text in _FROM_DUCKDB:
        return _FROM_DUCKDB[text]
    if text.endswith("[]"):
        return ColumnType(SqlType.ARRAY, items=(from_duckdb(text[:-2]),))
    if text.startswith(("STRUCT", "MAP", "UNION", "ENUM")):
        return _STRING
    return parse_type(text) if is_type_name(text.partition("(")[0]) else _STRING


def from_arrow(found: Any) -> ColumnType:
    """Return the type that holds every value of an Arrow type, of files somebody else wrote."""
    if pa.types.is_decimal(found):
        if found.precision > DECIMAL_PRECISION_MAX:
            return _STRING
        return ColumnType(SqlType.DECIMAL, precision=found.precision, scale=max(found.scale, 0))
    if pa.types.is_timestamp(found):
        return ColumnType(SqlType.DATETIME, scale={"s": 0, "ms": 3}.get(found.unit, 6))
    if pa.types.is_date(found):
        return ColumnType(SqlType.DATE)
    if pa.types.is_time(found) or pa.types.is_duration(found):
        return ColumnType(SqlType.TIME, scale=6)
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return ColumnType(SqlType.ARRAY, items=(from_arrow(found.value_type),))
    if pa.types.is_map(found):
        return ColumnType(
            SqlType.MAP, items=(from_arrow(found.key_type), from_arrow(found.item_type))
        )
    if pa.types.is_struct(found):
        fields = [(field.name, from_arrow(field.type)) for field in found]
        names, items = tuple(name for name, _ in fields), tuple(item for _, item in fields)
        return ColumnType(SqlType.STRUCT, items=items, names=names)
    if pa.types.is_dictionary(found):
        return from_arrow(found.value_type)
    return ColumnType(_FROM_ARROW.get(str(found), SqlType.STRING))


_FROM_ARROW = {
    "null": SqlType.NULL,
    "bool": SqlType.BOOLEAN,
    "int8": SqlType.TINYINT,
    "int16": SqlType.SMALLINT,
    "int32": SqlType.INT,
    "int64": SqlType.BIGINT,
    "uint8": SqlType.SMALLINT,
    "uint16": SqlType.INT,
    "uint32": SqlType.BIGINT,
    "uint64": SqlType.LARGEINT,
    "halffloat": SqlType.FLOAT,
    "float": SqlType.FLOAT,
    "double": SqlType.DOUBLE,
    "binary": SqlType.BINARY,
    "large_binary": SqlType.BINARY,
    f"fixed_size_binary[{LARGEINT_BYTES}]": SqlType.BINARY,
}

_LARGEINT_SHIFT = 1 << 127


def encode_largeint(value: int) -> bytes:
    """Return the 16 stored bytes of a LARGEINT; they sort as the numbers do."""
    return (value + _LARGEINT_SHIFT).to_bytes(LARGEINT_BYTES, "big")


def decode_largeint(data: bytes) -> int:
    """Return the number that `encode_largeint` wrote."""
    assert len(data) == LARGEINT_BYTES
    return int.from_bytes(data, "big") - _LARGEINT_SHIFT
