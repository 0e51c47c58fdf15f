"""UPDATE, of UNIQUE tables: the rows it finds, written with their keys and what was assigned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.warehouse.catalog.publishing import TableChange
from anabranch.warehouse.changes.changing import Planned, judged, opener
from anabranch.warehouse.changes.inserting import check_castable, hidden_columns
from anabranch.warehouse.changes.targets import Targets, quoted
from anabranch.warehouse.errors import doris, unknown_column
from anabranch.warehouse.loading.default_values import default_value
from anabranch.warehouse.loading.judging import Value
from anabranch.warehouse.loading.writing import Rows, Written, write_values
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.schema import Column, KeyModel, Table

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.session import SqlSession
    from anabranch.warehouse.sql.statements import Update


class Updates:
    """Plans UPDATE statements."""

    def __init__(self, parts: Parts, targets: Targets) -> None:
        self._parts = parts
        self._targets = targets

    def plan(self, session: SqlSession, statement: Update) -> Planned:
        """Return the change: one rowset a partition that knows all columns and writes some."""
        place = session.table_place(statement.table)
        snapshot = self._parts.snapshots.read(place)
        table = snapshot.schema
        if table.key_model is not KeyModel.UNIQUE:
            raise doris("Only unique table could be updated.")
        assigned = _assigned(table, place.table, statement)
        is_strict = bool(session.variables["enable_insert_strict"])
        written = self._write(session, statement, snapshot, assigned, is_strict=is_strict)
        written = judged(written, is_strict=is_strict)
        if not written.rowsets:
            return Planned(place, None, 0, written.filtered_rows)
        change = TableChange(
            place,
            table.id,
            snapshot.identity,
            rowsets=written.rowsets,
            if_last_sequence=snapshot.last_sequence,
            if_rowsets=snapshot.rowsets,
        )
        rows = sum(rowset.header.rows for rowset in written.rowsets)
        return Planned(place, change, rows, written.filtered_rows, _first_error(written))

    def _write(
        self,
        session: SqlSession,
        statement: Update,
        snapshot: TableSnapshot,
        assigned: Sequence[tuple[Column, str]],
        *,
        is_strict: bool,
    ) -> Written:
        table, place = snapshot.schema, snapshot.table
        kept = kept_columns(table, [column for column, _ in assigned])
        name = quoted(statement.alias or place.table)
        selected = [f"{name}.{quoted(column.name)}" for column in kept]
        values = [
            Value(column, f"c{number + 1}", column.type) for number, column in enumerate(kept)
        ]
        computed: list[Column] = []
        for column, text in assigned:
            if text.strip().upper() == "DEFAULT":
                values.append(default_value(column, session.context))
                continue
            computed.append(column)
            selected.append(f"({text})")
        with session.executing(self._parts.engine) as execution:
            query = self._targets.query(
                session,
                execution,
                snapshot,
                selected,
                alias=statement.alias,
                joined=statement.source,
                where=statement.where,
            )
            for number, column in enumerate(computed, len(kept)):
                kind = query.outputs[number].type
                check_castable(column, kind)
                values.append(Value(column, f"c{number + 1}", kind))
            columns = [value.column for value in values]
            ids = [column.id for column in columns]
            sequence = table.sequence_column
            return write_values(
                execution,
                Rows(
                    f"({query.sql})",
                    values,
                    sequence=ids.index(sequence) if sequence in ids else None,
                ),
                table,
                open_rowset=opener(self._parts, place, table, columns),
                is_strict=is_strict,
            )


def _first_error(written: Written) -> str:
    return written.errors[0].reason if written.errors else ""


def kept_columns(table: Table, assigned: list[Column]) -> list[Column]:
    """Return what identifies and orders a row: the keys, and the sequence column it has."""
    kept = list(table.keys)
    by_id = {column.id: column for column in (*table.columns, *hidden_columns(table))}
    sequence = table.sequence_column
    if sequence is not None and all(column.id != sequence for column in assigned):
        kept.append(by_id[sequence])
    return kept


def _assigned(table: Table, table_name: str, statement: Update) -> list[tuple[Column, str]]:
    found: dict[int, tuple[Column, str]] = {}
    for name, text in statement.assignments:
        column = table.find(name)
        if column is None:
            raise unknown_column(name, table_name)
        if column.is_key:
            raise doris("Only value columns of unique table could be updated")
        if column.id in found:
            raise doris(f"Duplicate column name in update: {name}")
        found[column.id] = (column, text)
    return list(found.values())
