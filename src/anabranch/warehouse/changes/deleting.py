"""DELETE: of UNIQUE tables the keys found, of others the condition and what it saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.warehouse.catalog.publishing import TableChange
from anabranch.warehouse.changes.changing import Planned, chosen_partitions, opener
from anabranch.warehouse.changes.inserting import hidden_columns
from anabranch.warehouse.changes.targets import Targets, quoted, within_partitions
from anabranch.warehouse.changes.updating import kept_columns
from anabranch.warehouse.errors import doris
from anabranch.warehouse.loading.judging import Value
from anabranch.warehouse.loading.writing import Rows, write_values
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.rowsets.rowset import NewRowset, RowsetKind, RowsetName
from anabranch.warehouse.rowsets.writer import delete_rowset
from anabranch.warehouse.schema import DELETE_SIGN_ID, KeyModel, Table
from anabranch.warehouse.sql.transforms.conditions import (
    Expression,
    Names,
    bind_condition,
    fixed_condition,
)
from anabranch.warehouse.sql.transforms.rendering import quoted as quoted_duckdb
from anabranch.warehouse.sql.transforms.scopes import ScopeColumn

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.engine import Execution
    from anabranch.warehouse.session import SqlSession
    from anabranch.warehouse.sql.statements import Delete


class Deletes:
    """Plans DELETE statements, by the table's key model."""

    def __init__(self, parts: Parts, targets: Targets) -> None:
        self._parts = parts
        self._targets = targets

    def plan(self, session: SqlSession, statement: Delete) -> Planned:
        """Return the change; none when no row is found."""
        place = session.table_place(statement.table)
        snapshot = self._parts.snapshots.read(place)
        chosen = chosen_partitions(snapshot.schema, place.table, statement.partitions)
        if snapshot.schema.key_model is KeyModel.UNIQUE:
            return self._keys(session, statement, snapshot, chosen)
        if statement.using is not None:
            raise doris("delete command on with using clause only supports unique key model")
        return self._condition(session, statement, within_partitions(snapshot, chosen))

    def _keys(
        self,
        session: SqlSession,
        statement: Delete,
        snapshot: TableSnapshot,
        chosen: Sequence[str] | None,
    ) -> Planned:
        """Write the keys of the folded rows found, each with a delete sign."""
        table, place = snapshot.schema, snapshot.table
        kept = kept_columns(table, [])
        name = quoted(statement.alias or place.table)
        sign = next(each for each in hidden_columns(table) if each.id == DELETE_SIGN_ID)
        values = [
            Value(column, f"c{number + 1}", column.type) for number, column in enumerate(kept)
        ]
        values.append(Value(sign, "CAST(1 AS TINYINT)", sign.type))
        ids = [column.id for column in kept]
        sequence = table.sequence_column
        with session.executing(self._parts.engine) as execution:
            query = self._targets.query(
                session,
                execution,
                within_partitions(snapshot, chosen),
                [f"{name}.{quoted(column.name)}" for column in kept],
                alias=statement.alias,
                joined=statement.using,
                where=statement.where,
            )
            written = write_values(
                execution,
                Rows(
                    f"({query.sql})",
                    values,
                    sequence=ids.index(sequence) if sequence in ids else None,
                ),
                table,
                open_rowset=opener(self._parts, place, table, [value.column for value in values]),
                is_strict=True,
            )
        if not written.rowsets:
            return Planned(place, None, 0)
        rows = sum(rowset.header.rows for rowset in written.rowsets)
        change = TableChange(
            place,
            table.id,
            snapshot.identity,
            rowsets=written.rowsets,
            if_last_sequence=snapshot.last_sequence,
            if_rowsets=snapshot.rowsets,
        )
        return Planned(place, change, rows)

    def _condition(
        self, session: SqlSession, statement: Delete, snapshot: TableSnapshot
    ) -> Planned:
        """Write the condition, and in each partition the rowsets it saw."""
        table, place = snapshot.schema, snapshot.table
        where = "true" if statement.where is None else statement.where
        names = _names(table, statement.alias or place.table)
        bound = bind_condition(where, names, session.context)
        if table.key_model is KeyModel.AGGREGATE:
            _check_keys_only(table, place.table, bound.columns)
        with session.executing(self._parts.engine) as execution:
            predicate = fixed_condition(
                where,
                names,
                {column.name.lower(): f"c{column.id}" for column in table.columns},
                session.context,
                lambda sql: _text(execution, sql),
            )
            rows = self._count(execution, snapshot, bound)
        if not rows:
            return Planned(place, None, 0)
        rowsets = self._delete_rowsets(snapshot, predicate)
        change = TableChange(place, table.id, snapshot.identity, rowsets=rowsets)
        return Planned(place, change, rows)

    def _count(self, execution: Execution, snapshot: TableSnapshot, bound: Expression) -> int:
        columns = [
            column.name
            for column in snapshot.schema.columns
            if column.name.lower() in bound.columns
        ]
        source = self._targets.relation(snapshot, columns)
        sql = f"SELECT count(*) AS n FROM {source} AS target WHERE {bound.sql()}"  # noqa: S608 - its parts are our own
        return sum(
            value for batch in execution.stream(sql) for value in batch.column(0).to_pylist()
        )

    def _delete_rowsets(self, snapshot: TableSnapshot, predicate: str) -> tuple[NewRowset, ...]:
        seen: dict[str, list[RowsetName]] = {}
        for rowset in snapshot.rowsets:
            if rowset.header is None or rowset.header.kind is not RowsetKind.DELETE:
                seen.setdefault(rowset.partition, []).append(rowset.name)
        made: list[NewRowset] = []
        try:
            for partition, names in sorted(seen.items()):
                made.append(
                    delete_rowset(
                        self._parts.lake.bodies,
                        snapshot.repository,
                        self._parts.ids,
                        snapshot.schema,
                        partition,
                        predicate,
                        names,
                    )
                )
        except BaseException:
            for each in made:
                each.body.abort()
            raise
        return tuple(made)


def _check_keys_only(table: Table, name: str, columns: frozenset[str]) -> None:
    """Refuse a condition over value columns: what they fold to is not what a rowset holds."""
    if any(column.name.lower() in columns for column in table.values):
        raise doris(
            "delete predicate on value column only supports Unique table with merge-on-write "
            f"enabled and Duplicate table, but Table[{name}] is an Aggregate table."
        )


def _names(table: Table, name: str) -> Names:
    columns = tuple(
        ScopeColumn(column.name, quoted_duckdb(column.name), column.type, name, "", True)
        for column in table.columns
    )
    return Names(columns, name)


def _text(execution: Execution, sql: str) -> str | None:
    found = [
        value
        for batch in execution.stream(f"SELECT {sql} AS c1")
        for value in batch.column(0).to_pylist()
    ]
    return None if found[0] is None else str(found[0])
