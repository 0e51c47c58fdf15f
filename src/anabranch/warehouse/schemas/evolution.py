"""ALTER TABLE: a schema and a clause to the next schema, with Doris's restrictions.

Columns and partitions keep their ids, so no change here rewrites a row. Clauses about the table's
name (RENAME, REPLACE WITH TABLE) are about files and are refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from anabranch.kernel import limits
from anabranch.warehouse.errors import (
    SqlError,
    doris,
    duplicate_partition,
    not_supported,
    unknown_partition,
)
from anabranch.warehouse.schema import (
    SEQUENCE_COLUMN_PROPERTY,
    SEQUENCE_TYPE_PROPERTY,
    Column,
    DefaultKind,
    DroppedColumn,
    DroppedPartition,
    KeyModel,
    Partition,
    Table,
    parse_column_name,
    with_column,
)
from anabranch.warehouse.schemas.creation import check_comment, make_column, make_distribution
from anabranch.warehouse.schemas.partitions import add_partition
from anabranch.warehouse.schemas.properties import check_properties
from anabranch.warehouse.sql.statements import (
    AddColumn,
    AddPartition,
    AlterClause,
    ColumnPlace,
    DropColumn,
    DropPartition,
    ModifyColumn,
    ModifyColumnComment,
    ModifyComment,
    ModifyDistribution,
    ModifyPartition,
    RenameColumn,
    RenamePartition,
    ReorderColumns,
    SetProperties,
)
from anabranch.warehouse.types import OPAQUE, ColumnType, SqlType


def alter_table(
    table: Table, clauses: Iterable[AlterClause], name: str = "", now: datetime | None = None
) -> Table:
    """Return the schema after all clauses, in their order; `name` is for texts of errors.

    `now` is the session's local time, which rows that are there get in a column that is added with
    a time of writing as its default.
    """
    known = set(table.column_ids)
    for clause in clauses:
        table = _apply(table, clause, name)
    if now is None:
        return table
    columns = tuple(
        column if column.id in known else _frozen(column, now) for column in table.columns
    )
    return replace(table, columns=columns)


def _frozen(column: Column, now: datetime) -> Column:
    default = column.default
    if default is None or default.kind is not DefaultKind.FUNCTION:
        return column
    if default.text.startswith("CURRENT_TIMESTAMP"):
        digits = int(default.text[18:-1] or 0) if "(" in default.text else 0
        text = now.strftime("%Y-%m-%d %H:%M:%S.%f")[: 20 + digits if digits else 19]
    elif default.text.startswith("CURRENT_DATE"):
        text = now.strftime("%Y-%m-%d")
    else:
        return column
    return replace(column, default=replace(default, frozen=text))


def _apply(table: Table, clause: AlterClause, name: str) -> Table:
    match clause:
        case AddColumn():
            return _add_column(table, clause)
        case DropColumn():
            return _drop_column(table, clause.name)
        case ModifyColumn():
            return _modify_column(table, clause)
        case ModifyColumnComment():
            column = _find(table, clause.name)
            return _put(table, replace(column, comment=check_comment(clause.comment)))
        case RenameColumn():
            return _rename_column(table, clause)
        case ReorderColumns():
            return _reorder(table, clause.names)
        case AddPartition():
            return add_partition(table, clause.partition)
        case DropPartition():
            return _drop_partition(table, clause, name)
        case RenamePartition():
            return _rename_partition(table, clause, name)
        case ModifyPartition():
            return _modify_partitions(table, clause, name)
        case SetProperties():
            return _set_properties(table, clause)
        case ModifyComment():
            return replace(table, comment=check_comment(clause.comment))
        case ModifyDistribution():
            return replace(table, distribution=make_distribution(table, clause.distribution))
    raise not_supported(f"ALTER TABLE {type(clause).__name__}")


def _find(table: Table, name: str) -> Column:
    column = table.find(name)
    if column is None:
        raise doris(f"Column[{name}] does not exists")
    return column


def _put(table: Table, changed: Column) -> Table:
    columns = tuple(changed if found.id == changed.id else found for found in table.columns)
    return replace(table, columns=columns)


def _add_column(table: Table, clause: AddColumn) -> Table:
    definition = clause.column
    name = definition.name
    if table.find(name) is not None:
        raise doris(f"Can not add column which already exists in base table: {name}")
    if len(table.columns) >= limits.COLUMNS_MAX:
        raise doris(f"a table has at most {limits.COLUMNS_MAX} columns")
    is_aggregate = table.key_model is KeyModel.AGGREGATE
    if definition.is_key and definition.aggregate:
        raise doris(f"Can not assign aggregation method on key column: {name}")
    if not is_aggregate and definition.aggregate:
        model = table.key_model.capitalize()
        raise doris(
            f"Can not assign aggregation method on column in {model} data model table: {name}"
        )
    if not is_aggregate and definition.type.kind in OPAQUE:
        kind = definition.type.kind
        raise doris(f"{kind} type column can only be in Aggregation data model table: {name}")
    # As Doris has it, a column without an aggregate becomes a key of an AGGREGATE table.
    is_key = definition.is_key or (
        is_aggregate and not definition.aggregate and definition.type.kind not in OPAQUE
    )
    column = make_column(definition, table.key_model, is_key)
    if not column.is_nullable and column.default is None and column.type.kind not in OPAQUE:
        raise doris(f"Column[{name}] is not nullable and has no default value for existing rows")
    return with_column(table, column, _place(table.columns, is_key, clause.place, name))


def _place(columns: Sequence[Column], is_key: bool, place: ColumnPlace | None, name: str) -> int:
    """Return where a column goes; keys before values."""
    keys = sum(1 for column in columns if column.is_key)
    if place is None:
        return keys if is_key else len(columns)
    if place.after is None:
        at = 0
    else:
        lower = place.after.lower()
        found = [i for i, column in enumerate(columns) if column.name.lower() == lower]
        if not found:
            raise doris(f"Column[{place.after}] does not exists")
        at = found[0] + 1
    if (is_key and at > keys) or (not is_key and at < keys):
        raise doris(f"Invalid column order. value should be after key. column[{name}]")
    return at


def _drop_column(table: Table, name: str) -> Table:
    column = table.find(name)
    if column is None:
        raise doris(f"Column does not exists: {name}")
    if len(table.columns) == 1:
        raise doris("No key column left. index: a table must have at least one column")
    if table.sequence_column == column.id:
        raise doris(f"Can not drop sequence mapping column[{name}] in Unique data model table")
    _refuse_bound(table, column, "cannot be dropped")
    if column.is_key:
        if table.key_model is KeyModel.UNIQUE:
            raise doris("Can not drop key column in Unique data model table")
        replaces = any(found.aggregate.startswith("REPLACE") for found in table.columns)
        if table.key_model is KeyModel.AGGREGATE and replaces:
            raise doris(
                "Can not drop key column when table has value column with REPLACE aggregation"
                " method"
            )
        if len(table.keys) == 1:
            raise doris("No key column left. index: a table must have at least one key column")
    dropped = DroppedColumn(column.id, column.name, column.type, column.added_name)
    return replace(
        table,
        columns=tuple(found for found in table.columns if found.id != column.id),
        dropped_columns=(*table.dropped_columns, dropped),
    )


def _refuse_bound(table: Table, column: Column, what: str) -> None:
    """Refuse a change of a column that partitions or buckets depend on."""
    if table.partitioning is not None and column.id in table.partitioning.columns:
        raise doris(f"Partition column[{column.name}] {what}")
    if table.distribution is not None and column.id in table.distribution.columns:
        raise doris(f"Distribution column[{column.name}] {what}")


def _modify_column(table: Table, clause: ModifyColumn) -> Table:
    definition = clause.column
    column = _find(table, definition.name)
    if definition.is_key and not column.is_key:
        raise doris(f"Can not modify value column to key column: {definition.name}")
    if definition.aggregate and definition.aggregate != column.aggregate:
        raise doris(f"Can not change aggregation type: {definition.name}")
    # What is not said stays: Doris asks for the whole definition again.
    said = replace(
        definition,
        aggregate=column.aggregate,
        is_nullable=column.is_nullable
        if definition.is_nullable is None
        else definition.is_nullable,
    )
    made = make_column(said, table.key_model, column.is_key)
    if made.type != column.type:
        _refuse_bound(table, column, "cannot be modified")
        check_conversion(column.type, made.type)
    if column.is_nullable and not made.is_nullable:
        raise doris(f"Can not change from nullable to non-nullable: {definition.name}")
    kept = column.default and replace(column.default, frozen="")
    if definition.default is not None and made.default != kept:
        # Rows that do not know the column hold the default it was added with.
        raise doris(f"Can not change default value: {definition.name}")
    changed = replace(
        column,
        type=made.type,
        is_nullable=made.is_nullable,
        comment=definition.comment or column.comment,
    )
    table = _put(table, changed)
    if clause.place is None:
        return table
    others = [found for found in table.columns if found.id != column.id]
    others.insert(_place(others, column.is_key, clause.place, column.name), changed)
    return replace(table, columns=tuple(others))


_WIDER: dict[SqlType, frozenset[SqlType]] = {
    SqlType.TINYINT: frozenset({SqlType.SMALLINT, SqlType.INT, SqlType.BIGINT, SqlType.DOUBLE}),
    SqlType.SMALLINT: frozenset({SqlType.INT, SqlType.BIGINT, SqlType.DOUBLE}),
    SqlType.INT: frozenset({SqlType.BIGINT, SqlType.DOUBLE}),
    SqlType.FLOAT: frozenset({SqlType.DOUBLE}),
    SqlType.DATE: frozenset({SqlType.DATETIME}),
    SqlType.CHAR: frozenset({SqlType.VARCHAR, SqlType.STRING}),
    SqlType.VARCHAR: frozenset({SqlType.STRING}),
}


def check_conversion(old: ColumnType, new: ColumnType) -> None:
    """Raise SqlError unless every value of `old` is one of `new`, read without rewriting."""
    if old.kind is new.kind:
        match old.kind:
            case SqlType.CHAR | SqlType.VARCHAR:
                if new.length < old.length:
                    raise _shorter(old, new)
                return
            case SqlType.DECIMAL:
                whole = new.precision - new.scale >= old.precision - old.scale
                if not whole or new.scale < old.scale:
                    raise _shorter(old, new)
                return
            case SqlType.DATETIME:
                if new.scale < old.scale:
                    raise _shorter(old, new)
                return
    elif new.kind in _WIDER.get(old.kind, ()):
        if new.kind is SqlType.VARCHAR and new.length < old.length:
            raise _shorter(old, new)
        return
    raise doris(f"Can not change {old.kind} to {new.kind}")


def _shorter(old: ColumnType, new: ColumnType) -> SqlError:
    return doris(f"Shorten type length is prohibited, srcType={old.shown}, dstType={new.shown}")


def _rename_column(table: Table, clause: RenameColumn) -> Table:
    column = _find(table, clause.name)
    new_name = parse_column_name(clause.new_name)
    other = table.find(new_name)
    if other is not None and (other.id != column.id or column.name == new_name):
        raise doris(f"Column name[{new_name}] is already used")
    given = dict(table.properties)
    if given.get(SEQUENCE_COLUMN_PROPERTY, "").lower() == column.name.lower():
        given[SEQUENCE_COLUMN_PROPERTY] = new_name
    renamed = _put(table, replace(column, name=new_name))
    return replace(renamed, properties=tuple(sorted(given.items())))


def _reorder(table: Table, names: Sequence[str]) -> Table:
    columns: list[Column] = []
    for name in names:
        column = table.find(name)
        if column is None:
            raise doris(f"Unknown column[{name}]")
        if column in columns:
            raise doris(f"Duplicated column[{name}]")
        columns.append(column)
    if len(columns) != len(table.columns):
        raise doris("Reorder stmt should contains all columns")
    if columns != sorted(columns, key=lambda column: not column.is_key):
        raise doris("Invalid column order. value should be after key.")
    return replace(table, columns=tuple(columns))


def _drop_partition(table: Table, clause: DropPartition, name: str) -> Table:
    if table.partitioning is None:
        raise doris(f"Alter table [{name}] failed. Not a partitioned table")
    found = table.find_partition(clause.name)
    if found is None:
        if clause.if_exists:
            return table
        raise SqlError(1507, "HY000", "Error in list of partitions to DROP")
    partitioning = table.partitioning
    return replace(
        table,
        partitioning=replace(
            partitioning,
            partitions=tuple(each for each in partitioning.partitions if each.id != found.id),
            dropped=(
                *partitioning.dropped,
                DroppedPartition(found.id, found.bounds, found.added),
            ),
        ),
    )


def _put_partitions(table: Table, changed: dict[str, Partition]) -> Table:
    assert table.partitioning is not None
    partitions = tuple(changed.get(each.id, each) for each in table.partitioning.partitions)
    return replace(table, partitioning=replace(table.partitioning, partitions=partitions))


def _rename_partition(table: Table, clause: RenamePartition, name: str) -> Table:
    found = table.find_partition(clause.name)
    if found is None:
        raise unknown_partition(clause.name, name)
    new_name = parse_column_name(clause.new_name)
    other = table.find_partition(new_name)
    if other is not None and other.id != found.id:
        raise duplicate_partition(new_name)
    return _put_partitions(table, {found.id: replace(found, name=new_name)})


def _modify_partitions(table: Table, clause: ModifyPartition, name: str) -> Table:
    if table.partitioning is None:
        raise doris(f"Alter table [{name}] failed. Not a partitioned table")
    given = dict(check_properties(clause.properties))
    names = clause.names or tuple(each.name for each in table.partitioning.partitions)
    changed: dict[str, Partition] = {}
    for each in names:
        found = table.find_partition(each)
        if found is None:
            raise unknown_partition(each, name)
        properties = tuple(sorted({**dict(found.properties), **given}.items()))
        changed[found.id] = replace(found, properties=properties)
    return _put_partitions(table, changed)


def _set_properties(table: Table, clause: SetProperties) -> Table:
    given = dict(check_properties(clause.properties))
    for fixed in (SEQUENCE_COLUMN_PROPERTY, SEQUENCE_TYPE_PROPERTY):
        if fixed in given and given[fixed] != dict(table.properties).get(fixed):
            raise doris(f"Can not change property {fixed}")
    properties = tuple(sorted({**dict(table.properties), **given}.items()))
    return replace(table, properties=properties)
