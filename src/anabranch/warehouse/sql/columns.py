"""Columns, types, keys, partitions and distribution, as CREATE TABLE and ALTER TABLE write them."""

from __future__ import annotations

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris, not_supported
from anabranch.warehouse.schema import Default, DefaultKind
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.lexer import TokenKind
from anabranch.warehouse.sql.statements import (
    Bound,
    BoundKind,
    ColumnDefinition,
    DistributionClause,
    Extreme,
    KeyClause,
    PartitionClause,
    PartitionDefinition,
)
from anabranch.warehouse.types import (
    ColumnType,
    array_type,
    is_type_name,
    make_type,
    map_type,
    struct_type,
)

AGGREGATES = (
    "REPLACE_IF_NOT_NULL",
    "REPLACE",
    "SUM",
    "MIN",
    "MAX",
    "HLL_UNION",
    "BITMAP_UNION",
    "QUANTILE_UNION",
    "GENERIC",
)
_UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")


def parse_type_at(cursor: Cursor, depth: int = 0) -> ColumnType:
    """Take a type."""
    if depth > limits.TYPE_DEPTH_MAX:
        raise doris(f"Type exceeds the maximum nesting depth of {limits.TYPE_DEPTH_MAX}")
    token = cursor.peek()
    if token.kind is not TokenKind.WORD or not is_type_name(token.value):
        raise cursor.error("a data type")
    name = cursor.take().value
    match name.upper():
        case "ARRAY":
            cursor.expect("<")
            item = parse_type_at(cursor, depth + 1)
            _close(cursor)
            return array_type(item)
        case "MAP":
            cursor.expect("<")
            key = parse_type_at(cursor, depth + 1)
            cursor.expect(",")
            value = parse_type_at(cursor, depth + 1)
            _close(cursor)
            return map_type(key, value)
        case "STRUCT":
            return _parse_struct(cursor, depth)
    arguments: list[int] = []
    if cursor.accept("("):
        if not cursor.accept("*"):
            arguments.append(cursor.integer("a length"))
            while cursor.accept(","):
                arguments.append(cursor.integer("a length"))
        cursor.expect(")")
    made = make_type(name, tuple(arguments))
    if cursor.is_word("UNSIGNED"):
        raise not_supported(f"{name} UNSIGNED")
    return made


def _parse_struct(cursor: Cursor, depth: int) -> ColumnType:
    cursor.expect("<")
    fields: list[tuple[str, ColumnType]] = []
    while True:
        name = cursor.name("a field name")
        cursor.expect(":")
        fields.append((name, parse_type_at(cursor, depth + 1)))
        if cursor.accept("COMMENT"):
            cursor.string("a comment")
        if not cursor.accept(","):
            break
    _close(cursor)
    return struct_type(fields)


def _close(cursor: Cursor) -> None:
    """Take one `>`, of a `>>` too."""
    if not cursor.split_shift():
        cursor.expect(">")


def parse_column(cursor: Cursor) -> ColumnDefinition:
    """Take `name type [KEY] [aggregate] [[NOT] NULL] [DEFAULT x] [COMMENT "x"]`, in any order."""
    name = cursor.name("a column name")
    made = parse_type_at(cursor)
    is_key = False
    aggregate = ""
    is_nullable: bool | None = None
    default: Default | None = None
    comment: str | None = None
    while True:
        if not aggregate and (found := cursor.accept_any(*AGGREGATES)):
            aggregate = found
        elif not is_key and cursor.accept("KEY"):
            is_key = True
        elif is_nullable is None and cursor.accept("NOT NULL"):
            is_nullable = False
        elif is_nullable is None and cursor.accept("NULL"):
            is_nullable = True
        elif default is None and cursor.accept("DEFAULT"):
            default = _parse_default(cursor)
        elif comment is None and cursor.accept("COMMENT"):
            comment = cursor.string("a comment")
        elif found := cursor.accept_any("AUTO_INCREMENT", "GENERATED", "AS (", "ON UPDATE"):
            raise not_supported(f"{found.removesuffix(' (')} in a column")
        else:
            break
    return ColumnDefinition(name, made, is_key, aggregate, is_nullable, default, comment or "")


def _parse_default(cursor: Cursor) -> Default:
    for name in ("CURRENT_TIMESTAMP", "NOW", "LOCALTIMESTAMP", "LOCALTIME"):
        if cursor.accept(name):
            scale = 0
            if cursor.accept("("):
                scale = 0 if cursor.is_word(")") else cursor.integer("fractional digits")
                cursor.expect(")")
            if scale > 6:
                raise doris(f"between 0 and 6 fractional digits, not {scale}")
            text = f"CURRENT_TIMESTAMP({scale})" if scale else "CURRENT_TIMESTAMP"
            return Default(DefaultKind.FUNCTION, text)
    if cursor.accept("CURRENT_DATE"):
        if cursor.accept("("):
            cursor.expect(")")
        return Default(DefaultKind.FUNCTION, "CURRENT_DATE")
    for name in ("HLL_EMPTY", "BITMAP_EMPTY"):
        if cursor.accept(name):
            if cursor.accept("("):
                cursor.expect(")")
            return Default(DefaultKind.FUNCTION, name)
    value = cursor.literal()
    return Default(DefaultKind.NULL) if value is None else Default(DefaultKind.TEXT, value)


def parse_key(cursor: Cursor) -> KeyClause | None:
    """Take `DUPLICATE | AGGREGATE | UNIQUE KEY (columns)` if it comes next."""
    found = cursor.accept_any("DUPLICATE KEY", "AGGREGATE KEY", "AGG KEY", "UNIQUE KEY")
    if not found:
        return None
    model = found.split()[0]
    names = cursor.names()
    if cursor.is_words("CLUSTER BY"):
        raise not_supported("CLUSTER BY")
    return KeyClause("AGGREGATE" if model == "AGG" else model, names)


def parse_partition_clause(cursor: Cursor) -> PartitionClause | None:
    """Take `[AUTO] PARTITION BY RANGE | LIST (columns) (partitions)` if it comes next."""
    if cursor.is_words("AUTO PARTITION"):
        raise not_supported("AUTO PARTITION")
    if not cursor.accept("PARTITION BY"):
        return None
    kind = cursor.expect_any("RANGE", "LIST")
    columns = cursor.names()
    cursor.expect("(")
    partitions: list[PartitionDefinition] = []
    while not cursor.is_word(")"):
        partitions.append(parse_partition(cursor))
        if not cursor.accept(","):
            break
    cursor.expect(")")
    return PartitionClause(kind, columns, tuple(partitions))


def parse_partition(cursor: Cursor) -> PartitionDefinition:
    """Take `PARTITION name VALUES ...` or `FROM (..) TO (..) INTERVAL n unit`."""
    if cursor.accept("FROM"):
        start = _parse_values(cursor)
        cursor.expect("TO")
        end = _parse_values(cursor)
        cursor.expect("INTERVAL")
        step = cursor.integer("an interval")
        unit = cursor.accept_any(*_UNITS)
        return PartitionDefinition("", BoundKind.STEP, lower=start, upper=end, step=step, unit=unit)
    if cursor.is_words("TEMPORARY PARTITION"):
        raise not_supported("TEMPORARY PARTITION")
    cursor.expect("PARTITION")
    if_not_exists = cursor.accept("IF NOT EXISTS")
    name = cursor.name("a partition name")
    cursor.expect("VALUES")
    lower: tuple[Bound, ...] = ()
    upper: tuple[Bound, ...] = ()
    values: tuple[tuple[Bound, ...], ...] = ()
    if cursor.accept("LESS THAN"):
        kind = BoundKind.LESS_THAN
        # Bare MAXVALUE stands for a MAXVALUE in every column.
        upper = (Extreme.MAXVALUE,) if cursor.accept("MAXVALUE") else _parse_values(cursor)
    elif cursor.accept("["):
        kind = BoundKind.FIXED
        lower = _parse_values(cursor)
        cursor.expect(",")
        upper = _parse_values(cursor)
        cursor.expect(")")
    else:
        cursor.accept("IN")
        kind = BoundKind.IN
        values = _parse_value_list(cursor)
    properties = cursor.properties() if cursor.is_word("(") else ()
    return PartitionDefinition(
        name,
        kind,
        lower=lower,
        upper=upper,
        values=values,
        if_not_exists=if_not_exists,
        properties=properties,
    )


def _parse_values(cursor: Cursor) -> tuple[Bound, ...]:
    cursor.expect("(")
    found = [_parse_bound(cursor)]
    while cursor.accept(","):
        found.append(_parse_bound(cursor))
    cursor.expect(")")
    return tuple(found)


def _parse_bound(cursor: Cursor) -> Bound:
    return Extreme.MAXVALUE if cursor.accept("MAXVALUE") else cursor.literal()


def _parse_value_list(cursor: Cursor) -> tuple[tuple[Bound, ...], ...]:
    """Take `("a", "b")` of one column, or `(("a", "x"), ("b", "y"))` of several."""
    if not cursor.is_word("(", 1):
        return tuple((value,) for value in _parse_values(cursor))
    cursor.expect("(")
    found = [_parse_values(cursor)]
    while cursor.accept(","):
        found.append(_parse_values(cursor))
    cursor.expect(")")
    return tuple(found)


def parse_distribution(cursor: Cursor) -> DistributionClause | None:
    """Take `DISTRIBUTED BY HASH(columns) | RANDOM [BUCKETS n | AUTO]` if it comes next."""
    if not cursor.accept("DISTRIBUTED BY"):
        return None
    kind = cursor.expect_any("HASH", "RANDOM")
    columns = cursor.names() if kind == "HASH" else ()
    buckets = 10
    if cursor.accept("BUCKETS"):
        if cursor.accept("AUTO"):
            buckets = 0
        else:
            buckets = cursor.integer("a number of buckets")
            if buckets == 0:
                raise doris("Number of hash buckets should be greater than zero.")
    return DistributionClause(kind, columns, buckets)
