"""From the fields of a source to the values of a table's columns, as the load says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anabranch.warehouse.errors import doris, unknown_column, unknown_partition
from anabranch.warehouse.loading.default_values import default_value
from anabranch.warehouse.loading.judging import Value, converted
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.loading.reading import Reading, SourceField
from anabranch.warehouse.loading.writing import Rows
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    SEQUENCE_TYPE_PROPERTY,
    Aggregate,
    Column,
    KeyModel,
    Table,
)
from anabranch.warehouse.sql.loads import MergeType
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.sql.transforms.conditions import Names, bind_condition, bind_expression
from anabranch.warehouse.sql.transforms.scopes import ScopeColumn
from anabranch.warehouse.types import ColumnType, SqlType, parse_type

DELETE_SIGN_NAME = "__DORIS_DELETE_SIGN__"
SEQUENCE_NAME = "__DORIS_SEQUENCE_COL__"
_DELETE_SIGN = Column(
    DELETE_SIGN_ID, DELETE_SIGN_NAME, ColumnType(SqlType.TINYINT), is_nullable=False
)


def file_columns(table: Table, options: LoadOptions) -> tuple[str, ...]:
    """Return the names of a file's fields: those given, or the table's columns in their order."""
    if options.columns is not None:
        return options.columns
    from_path = {name.lower() for name in options.columns_from_path}
    names = [column.name for column in table.columns]
    return tuple(name for name in names if name.lower() not in from_path)


def check_options(table: Table, options: LoadOptions, table_name: str) -> None:
    """Refuse what the table cannot take; raise SqlError."""
    names = [*(options.columns or ()), *options.columns_from_path]
    lower = [name.lower() for name in names]
    if len(set(lower)) < len(lower):
        raise doris(f"Duplicate column: {next(n for n in lower if lower.count(n) > 1)}")
    hidden = {DELETE_SIGN_NAME.lower(), SEQUENCE_NAME.lower()}
    for name, _ in options.assignments:
        if table.find(name) is None and name.lower() not in hidden:
            raise unknown_column(name, table_name)
    for name in options.partitions or ():
        if table.find_partition(name) is None:
            raise unknown_partition(name, table_name)
    is_unique = table.key_model is KeyModel.UNIQUE
    if options.merge_type is not MergeType.APPEND and not is_unique:
        raise doris("load by MERGE or DELETE is only supported in unique tables.")
    if options.is_negative:
        others = [each for each in table.values if each.aggregate is not Aggregate.SUM]
        if options.merge_type is not MergeType.APPEND:
            raise doris("not support MERGE or DELETE with NEGATIVE.")
        if table.key_model is not KeyModel.AGGREGATE or others:
            raise doris("Column is not SUM AggregateType: a NEGATIVE load takes SUM columns only")
    if options.is_partial and not is_unique:
        raise doris("Only unique key merge on write support partial update")
    if options.sequence_column and (not is_unique or table.sequence_column is None):
        raise doris(f"There is no sequence column in the table {table_name}")


@dataclass(frozen=True, slots=True)
class _Mapping:
    table: Table
    fields: Sequence[SourceField]
    options: LoadOptions
    context: Context

    def names(self) -> Names:
        return Names([ScopeColumn(each.name, each.sql, each.type) for each in self.fields])

    def value(self, column: Column) -> Value | None:
        """Return what a column gets: an expression, the field of its name, or nothing."""
        lower = column.name.lower()
        is_negated = self.options.is_negative and column.aggregate is Aggregate.SUM
        for name, text in self.options.assignments:
            if name.lower() == lower:
                made = bind_expression(text, self.names(), self.context)
                return Value(column, made.sql(), made.type, False, is_negated)
        for field in self.fields:
            if field.name.lower() == lower:
                return Value(column, field.sql, field.type, True, is_negated)
        return None


def map_rows(
    table: Table, reading: Reading, relation: str, options: LoadOptions, context: Context
) -> Rows:
    """Return the rows of a source as the values of the columns that the load writes."""
    mapping = _Mapping(table, reading.fields, options, context)
    values: list[Value] = []
    for column in table.columns:
        value = mapping.value(column)
        if value is None and options.is_partial:
            if column.is_key:
                raise doris(
                    f"Partial update should include all key columns, missing: {column.name}"
                )
            continue
        values.append(value or default_value(column, context))
    sequence = _add_sequence(values, mapping)
    names = _mapped_names(values, reading)
    where = options.where and bind_condition(options.where, names, context).sql()
    _add_delete_sign(values, mapping)
    if options.preceding_filter is not None:
        test = bind_condition(options.preceding_filter, mapping.names(), context).sql()
        relation = f"(SELECT * FROM {relation} WHERE {test})"  # noqa: S608 - its parts are our own
    carried = dict(reading.carried)
    if where:
        carried |= {f"s{index}": field.sql for index, field in enumerate(reading.fields)}
    return Rows(
        relation,
        values,
        order=reading.order,
        fields=carried,
        where=where or None,
        line=reading.line,
        sequence=sequence,
        checks=reading.checks,
    )


def _mapped_names(values: Sequence[Value], reading: Reading) -> Names:
    """Return what WHERE may name: the table's columns as they will be, then further fields."""
    columns = [
        ScopeColumn(value.column.name, f"v{index}", value.column.type)
        for index, value in enumerate(values)
    ]
    taken = {column.name.lower() for column in columns}
    columns += [
        ScopeColumn(field.name, f"s{index}", field.type)
        for index, field in enumerate(reading.fields)
        if field.name.lower() not in taken
    ]
    return Names(columns)


def _add_sequence(values: list[Value], mapping: _Mapping) -> int | None:
    """Add the hidden sequence column's value; return which value orders the rows of a key."""
    table = mapping.table
    column_id = table.sequence_column
    if column_id is None:
        return None
    if column_id != SEQUENCE_ID:
        ids = [value.column.id for value in values]
        return ids.index(column_id) if column_id in ids else None
    kind = parse_type(dict(table.properties)[SEQUENCE_TYPE_PROPERTY])
    column = Column(SEQUENCE_ID, SEQUENCE_NAME, kind)
    value = mapping.value(column)
    name = mapping.options.sequence_column
    if value is None and name is not None:
        wanted = [field for field in mapping.fields if field.name.lower() == name.lower()]
        if not wanted:
            raise doris(f"Sequence column {name} is not in the columns of the load")
        value = Value(column, wanted[0].sql, wanted[0].type)
    if value is None:
        if mapping.options.merge_type is MergeType.DELETE:
            value = Value(column, "NULL", ColumnType(SqlType.NULL))
        else:
            raise doris("Table has sequence column, need to specify the sequence column")
    values.append(value)
    return len(values) - 1


def _add_delete_sign(values: list[Value], mapping: _Mapping) -> None:
    options = mapping.options
    if options.merge_type is MergeType.DELETE:
        values.append(Value(_DELETE_SIGN, "CAST(1 AS TINYINT)", _DELETE_SIGN.type, False))
    elif options.merge_type is MergeType.MERGE:
        # The sign is a value like others, so the condition stands beside the casts it names.
        columns = [
            ScopeColumn(
                value.column.name, f"({converted(value, f'({value.sql})')})", value.column.type
            )
            for value in values
        ]
        taken = {column.name.lower() for column in columns}
        columns += [
            ScopeColumn(field.name, field.sql, field.type)
            for field in mapping.fields
            if field.name.lower() not in taken
        ]
        test = bind_condition(options.delete_on or "", Names(columns), mapping.context).sql()
        sql = f"CAST(coalesce({test}, false) AS TINYINT)"
        values.append(Value(_DELETE_SIGN, sql, _DELETE_SIGN.type, False))
    else:
        value = mapping.value(_DELETE_SIGN)
        if value is not None and mapping.table.key_model is KeyModel.UNIQUE:
            values.append(value)
