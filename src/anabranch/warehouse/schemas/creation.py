"""CREATE TABLE to a schema, by Doris's rules: key model, aggregates, nullability, defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris, duplicate_column, no_columns, not_supported
from anabranch.warehouse.schema import (
    SEQUENCE_COLUMN_PROPERTY,
    SEQUENCE_TYPE_PROPERTY,
    Aggregate,
    Column,
    Default,
    DefaultKind,
    Distribution,
    KeyModel,
    Partitioning,
    Table,
    parse_column_name,
    with_column,
)
from anabranch.warehouse.schemas.partitions import add_partitions
from anabranch.warehouse.schemas.properties import check_properties
from anabranch.warehouse.sql.statements import (
    ColumnDefinition,
    CreateTable,
    DistributionClause,
    PartitionClause,
)
from anabranch.warehouse.types import INTEGERS, OPAQUE, STORABLE, TEXTS, ColumnType, SqlType
from anabranch.warehouse.values import canonical_value

_NUMBERS = INTEGERS | {SqlType.FLOAT, SqlType.DOUBLE, SqlType.DECIMAL}
_ORDERED = _NUMBERS | TEXTS | {SqlType.DATE, SqlType.DATETIME}
_ANY = STORABLE - OPAQUE
_COMPATIBLE: dict[Aggregate, frozenset[SqlType]] = {
    Aggregate.SUM: frozenset(_NUMBERS),
    Aggregate.MIN: frozenset(_ORDERED),
    Aggregate.MAX: frozenset(_ORDERED),
    Aggregate.REPLACE: _ANY,
    Aggregate.REPLACE_IF_NOT_NULL: _ANY,
    Aggregate.HLL_UNION: frozenset({SqlType.HLL}),
    Aggregate.BITMAP_UNION: frozenset({SqlType.BITMAP}),
}
_RANGE_TYPES = INTEGERS | {SqlType.DATE, SqlType.DATETIME}
_LIST_TYPES = _RANGE_TYPES | {SqlType.BOOLEAN, SqlType.CHAR, SqlType.VARCHAR}
_SHORT_KEY_COLUMNS, _SHORT_KEY_BYTES = 3, 36
_INDEX_BYTES = {
    SqlType.BOOLEAN: 1,
    SqlType.TINYINT: 1,
    SqlType.SMALLINT: 2,
    SqlType.INT: 4,
    SqlType.BIGINT: 8,
    SqlType.LARGEINT: 16,
    SqlType.DATE: 4,
    SqlType.DATETIME: 8,
    SqlType.DECIMAL: 16,
}


def create_table(statement: CreateTable, table_id: str) -> Table:
    """Return the schema of a CREATE TABLE; raise SqlError in Doris's words."""
    definitions = statement.columns
    if not definitions:
        raise no_columns()
    if len(definitions) > limits.COLUMNS_MAX:
        raise doris(f"a table has at most {limits.COLUMNS_MAX} columns")
    _check_names(definitions)
    for definition in definitions:
        if definition.type.kind not in STORABLE:
            raise not_supported(f"a column of type {definition.type.text}")
    model, keys = _keys(statement)
    properties = check_properties(statement.properties)
    comment = check_comment(statement.comment)
    table = Table(table_id, model, (), properties=properties, comment=comment)
    for definition in definitions:
        table = with_column(table, make_column(definition, model, definition.name.lower() in keys))
    _check_sequence(table)
    if statement.distribution is not None:
        table = replace(table, distribution=make_distribution(table, statement.distribution))
    if statement.partition is not None:
        table = _with_partitions(table, statement.partition)
    return table


def check_comment(comment: str) -> str:
    """Return a comment; raise SqlError for one that is too long."""
    if len(comment) > limits.COMMENT_LENGTH_MAX:
        raise doris(f"a comment is at most {limits.COMMENT_LENGTH_MAX} characters")
    return comment


def _check_names(definitions: Sequence[ColumnDefinition]) -> None:
    seen: set[str] = set()
    for definition in definitions:
        name = parse_column_name(definition.name).lower()
        if name in seen:
            raise duplicate_column(definition.name)
        seen.add(name)


def _keys(statement: CreateTable) -> tuple[KeyModel, frozenset[str]]:
    """Return the key model and the lower-case names of the key columns, given or inferred."""
    definitions = statement.columns
    if statement.key is not None:
        names = [name.lower() for name in statement.key.columns]
        _check_prefix(definitions, statement.key.columns)
        return KeyModel(statement.key.model), frozenset(names)
    if any(definition.aggregate for definition in definitions):
        found = [definition.name for definition in definitions if not definition.aggregate]
        _check_prefix(definitions, found)
        return KeyModel.AGGREGATE, frozenset(name.lower() for name in found)
    said = [definition.name for definition in definitions if definition.is_key]
    if said:
        _check_prefix(definitions, said)
        return KeyModel.DUPLICATE, frozenset(name.lower() for name in said)
    return KeyModel.DUPLICATE, frozenset(_short_key(definitions))


def _check_prefix(definitions: Sequence[ColumnDefinition], keys: Sequence[str]) -> None:
    """Refuse key columns that are not the leading ones, in their order."""
    names = {definition.name.lower() for definition in definitions}
    if not keys:
        raise doris("The olap table must have at least one key column")
    for at, key in enumerate(keys):
        if key.lower() not in names:
            raise doris(f"Key column[{key}] doesn't exist.")
        if key.lower() in (name.lower() for name in keys[:at]):
            raise doris(f"Duplicate key column[{key}].")
        if definitions[at].name.lower() != key.lower():
            raise doris(
                "Key columns should be a ordered prefix of the schema."
                f" KeyColumns[{at}] (starts from zero) is {key}, but corresponding column is"
                f" {definitions[at].name} in the previous columns declaration."
            )


def _short_key(definitions: Sequence[ColumnDefinition]) -> list[str]:
    """Return the key that Doris gives a table without any: what its prefix index would hold."""
    keys: list[str] = []
    size = 0
    for definition in definitions:
        kind = definition.type.kind
        if kind in TEXTS:
            size += min(definition.type.length or _SHORT_KEY_BYTES + 1, 20)
        else:
            size += _INDEX_BYTES.get(kind, 0)
        if len(keys) >= _SHORT_KEY_COLUMNS or size > _SHORT_KEY_BYTES:
            if not keys and kind in (SqlType.CHAR, SqlType.VARCHAR):
                keys.append(definition.name.lower())
            break
        if kind not in _INDEX_BYTES and kind not in (SqlType.CHAR, SqlType.VARCHAR):
            break
        keys.append(definition.name.lower())
        if kind is SqlType.VARCHAR:
            break
    if not keys:
        raise doris(
            "The olap table first column could not be float, double, string or array, struct, map,"
            " please use decimal or char instead."
        )
    return keys


def make_column(definition: ColumnDefinition, model: KeyModel, is_key: bool) -> Column:
    """Return a column without an id; raise SqlError for what its model does not allow."""
    name, kind = parse_column_name(definition.name), definition.type
    if kind.kind not in STORABLE:
        raise not_supported(f"a column of type {kind.text}")
    if is_key:
        _check_key(definition)
    aggregate = _aggregate(definition, model, is_key)
    is_nullable = definition.is_nullable
    if kind.kind in OPAQUE:
        if is_nullable:
            raise doris(f"complex type column must be not nullable, column:{name}")
        is_nullable = False
    elif is_nullable is None:
        is_nullable = True
    if aggregate is Aggregate.REPLACE_IF_NOT_NULL and not is_nullable:
        raise doris(
            f"REPLACE_IF_NOT_NULL column must be nullable, maybe should use REPLACE, column:{name}"
        )
    default = _default(definition, is_nullable)
    comment = check_comment(definition.comment)
    return Column(0, name, kind, is_key, aggregate, is_nullable, default, comment)


def _check_key(definition: ColumnDefinition) -> None:
    name, kind = definition.name, definition.type
    if definition.aggregate:
        raise doris(f"Key column[{name}] should not specify aggregate type.")
    if kind.kind in (SqlType.FLOAT, SqlType.DOUBLE):
        raise doris("Float or double can not used as a key, use decimal instead.")
    if kind.kind is SqlType.STRING:
        raise doris(f"String Type should not be used in key column[{name}]")
    if kind.is_complex:
        raise doris(f"Key column can not set complex type:{name}")


def _aggregate(definition: ColumnDefinition, model: KeyModel, is_key: bool) -> Aggregate:
    name, kind, said = definition.name, definition.type, definition.aggregate
    if is_key:
        return Aggregate.NONE
    if said in ("QUANTILE_UNION", "GENERIC"):
        raise not_supported(said)
    if model is not KeyModel.AGGREGATE:
        if said:
            short = "DUP" if model is KeyModel.DUPLICATE else "UNIQUE"
            raise doris(
                f"{short}_KEYS table should not specify aggregate type for non-key column[{name}]"
            )
        return Aggregate.NONE
    if not said:
        if kind.kind in OPAQUE:
            raise doris(f"complex type have to use aggregate function: {name}")
        raise doris(f"should set aggregation type to non-key column in aggregate key table: {name}")
    aggregate = Aggregate(said)
    if kind.kind not in _COMPATIBLE[aggregate]:
        raise doris(
            f"Aggregate type {aggregate} is not compatible with primitive type {kind.shown}"
        )
    return aggregate


def _default(definition: ColumnDefinition, is_nullable: bool) -> Default | None:
    name, kind, default = definition.name, definition.type, definition.default
    if kind.kind in OPAQUE:
        own = "HLL_EMPTY" if kind.kind is SqlType.HLL else "BITMAP_EMPTY"
        if default is not None and default.text != own:
            raise doris(f"{kind.kind.capitalize()} type column can not set default value")
        return default
    if default is None:
        return None
    match default.kind:
        case DefaultKind.NULL:
            if not is_nullable:
                raise doris(f"Can not set null default value to non nullable column: {name}")
        case DefaultKind.FUNCTION:
            _check_function(default.text, kind)
        case DefaultKind.TEXT:
            if kind.is_complex:
                raise doris(f"{kind.shown} type column can not set default value: {name}")
            return Default(DefaultKind.TEXT, canonical_value(kind, default.text))
    return default


def _check_function(text: str, kind: ColumnType) -> None:
    if text.startswith("CURRENT_TIMESTAMP"):
        if kind.kind is not SqlType.DATETIME:
            raise doris(
                "Types other than DATETIME and DATETIMEV2 cannot use current_timestamp as the"
                " default value"
            )
        scale = int(text[18:-1] or 0) if "(" in text else 0
        if scale > kind.scale:
            raise doris(
                f"default value precision: {scale} can not be greater than type precision:"
                f" {kind.scale}"
            )
    elif text == "CURRENT_DATE":
        if kind.kind is not SqlType.DATE:
            raise doris(
                "Types other than DATE and DATEV2 cannot use current_date as the default value"
            )
    else:
        raise doris(f"{text} is no default of {kind.text}")


def _check_sequence(table: Table) -> None:
    given = dict(table.properties)
    name, kind = given.get(SEQUENCE_COLUMN_PROPERTY), given.get(SEQUENCE_TYPE_PROPERTY)
    if name is None and kind is None:
        return
    if table.key_model is not KeyModel.UNIQUE:
        raise doris("sequence column only support UNIQUE_KEYS")
    if name is not None and kind is not None:
        raise doris("sequence_col and sequence_type cannot be set at the same time")
    if name is not None:
        column = table.find(name)
        if column is None:
            raise doris(f"The specified sequence column[{name}] not exists")
        if column.type.kind not in _RANGE_TYPES:
            raise doris("Sequence type only support integer types and date types")
    elif kind is not None and kind.upper() not in {str(known) for known in _RANGE_TYPES}:
        raise doris("sequence type only support integer types and date types")


def make_distribution(table: Table, clause: DistributionClause) -> Distribution:
    """Return the distribution of a table, by ids of its columns."""
    if clause.kind == "RANDOM":
        if table.key_model is KeyModel.UNIQUE:
            raise doris("Create unique keys table should not contain random distribution desc")
        if any(column.aggregate.startswith("REPLACE") for column in table.columns):
            raise doris(
                "Create aggregate keys table with value columns of which aggregate type is"
                " REPLACE should not contain random distribution desc"
            )
        return Distribution("RANDOM", (), clause.buckets)
    ids: list[int] = []
    for name in clause.columns:
        column = table.find(name)
        if column is None:
            raise doris(f"Distribution column({name}) doesn't exist.")
        if column.id in ids:
            raise doris(f"Duplicated distribution column {name}")
        if column.type.is_complex:
            raise doris(f"Complex type column can't be distribution column: {name}")
        if column.type.kind in (SqlType.FLOAT, SqlType.DOUBLE):
            raise doris("Floating point type should not be used in distribution column")
        if not column.is_key and table.key_model is not KeyModel.DUPLICATE:
            raise doris(f"Distribution column[{name}] is not key column")
        ids.append(column.id)
    return Distribution("HASH", tuple(ids), clause.buckets)


def _with_partitions(table: Table, clause: PartitionClause) -> Table:
    ids: list[int] = []
    for name in clause.columns:
        column = table.find(name)
        if column is None:
            raise doris(f"Partition column[{name}] does not exist.")
        if column.id in ids:
            raise doris(f"Duplicated partition column {name}")
        if not column.is_key and table.key_model is not KeyModel.DUPLICATE:
            raise doris("The partition column could not be aggregated column")
        if column.type.kind in (SqlType.FLOAT, SqlType.DOUBLE):
            raise doris("Floating point type column can not be partition column")
        if column.type.is_complex:
            raise doris(f"Complex type column can't be partition column: {name}")
        allowed = _RANGE_TYPES if clause.kind == "RANGE" else _LIST_TYPES
        if column.type.kind not in allowed:
            raise doris(
                f"Column[{name}] type[{column.type.shown}] cannot be a"
                f" {clause.kind.lower()} partition key."
            )
        ids.append(column.id)
    table = replace(table, partitioning=Partitioning(clause.kind, tuple(ids)))
    return add_partitions(table, clause.partitions)
