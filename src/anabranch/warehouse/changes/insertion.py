"""INSERT: rows of VALUES or of a query into the rowsets of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anabranch.kernel import limits
from anabranch.warehouse.catalog.publishing import TableChange
from anabranch.warehouse.changes.changing import (
    Planned,
    Published,
    chosen_partitions,
    judged,
    opener,
    replacement,
)
from anabranch.warehouse.changes.insert_groups import Addition, InsertGroups
from anabranch.warehouse.changes.inserting import (
    PlainRows,
    bound_values,
    check_castable,
    given_columns,
    left_out,
    read_plain,
)
from anabranch.warehouse.changes.plain_rows import PlainRouting, key_order
from anabranch.warehouse.errors import doris
from anabranch.warehouse.loading.default_values import default_value
from anabranch.warehouse.loading.judging import Value
from anabranch.warehouse.loading.writing import Rows, RowsetSink, Written, write_values
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.rowsets.rowset import NewRowset
from anabranch.warehouse.schema import UNPARTITIONED, Column, KeyModel, Table

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.places import TablePlace
    from anabranch.warehouse.session import SqlSession
    from anabranch.warehouse.sql.statements import Insert


class Inserts:
    """Plans INSERT statements."""

    def __init__(self, parts: Parts, reader: Reader) -> None:
        self._parts = parts
        self._reader = reader
        self._groups = InsertGroups(parts)

    def add(self, session: SqlSession, statement: Insert) -> Published | None:
        """Publish plain rows together with those of other statements.

        None leaves the statement to `plan`: nothing was published.
        """
        if statement.is_overwrite or not statement.is_values:
            return None
        if len(statement.body) > limits.GROUPED_TEXT_MAX:
            return None
        place = session.table_place(statement.table)
        stored = self._parts.tables.get(place)
        table = stored.schema
        chosen_partitions(table, place.table, statement.partitions)
        given = given_columns(table, place.table, statement.columns)
        rows = read_plain(statement.body, given, left_out(table, given))
        parts = None if rows is None else _plain_parts(table, statement.partitions, rows)
        if rows is None or parts is None:
            return None
        sequence = self._groups.publish(Addition(place, table, stored.identity, rows, parts))
        if sequence is None:
            return None
        return Published(Planned(place, None, rows.count), sequence)

    def plan(self, session: SqlSession, statement: Insert) -> Planned:
        """Return the change: rowsets, and with OVERWRITE what they take the place of."""
        place = session.table_place(statement.table)
        snapshot: TableSnapshot | None = None
        if statement.is_overwrite:
            snapshot = self._parts.snapshots.read(place)
            table, identity = snapshot.schema, snapshot.identity
        else:
            stored = self._parts.tables.get(place)
            table, identity = stored.schema, stored.identity
        chosen = chosen_partitions(table, place.table, statement.partitions)
        is_strict = bool(session.variables["enable_insert_strict"])
        written = self._write(session, statement, place, table, is_strict=is_strict)
        written = judged(written, is_strict=is_strict)
        first = written.errors[0].reason if written.errors else ""
        change: TableChange | None = None
        if snapshot is not None:
            change = replacement(snapshot, chosen, written.rowsets)
        elif written.rowsets:
            change = TableChange(place, table.id, identity, rowsets=written.rowsets)
        return Planned(place, change, written.loaded_rows, written.filtered_rows, first)

    def _write(
        self,
        session: SqlSession,
        statement: Insert,
        place: TablePlace,
        table: Table,
        *,
        is_strict: bool,
    ) -> Written:
        given = given_columns(table, place.table, statement.columns)
        others = left_out(table, given)
        if not statement.is_values:
            return self._write_query(session, statement, place, table, given, is_strict=is_strict)
        plain = read_plain(statement.body, given, others)
        if plain is not None:
            written = self._write_plain(statement, place, table, plain)
            if written is not None:
                return written
        return self._write_values(
            session, statement, place, table, given, plain, is_strict=is_strict
        )

    def _write_query(
        self,
        session: SqlSession,
        statement: Insert,
        place: TablePlace,
        table: Table,
        given: Sequence[Column],
        *,
        is_strict: bool,
    ) -> Written:
        translated = self._reader.translate(session, statement.body, keeps_opaque=True)
        outputs = translated.plan.outputs
        if len(outputs) != len(given):
            raise doris("insert into cols should be corresponding to the query output")
        values: list[Value] = []
        for number, (column, output) in enumerate(zip(given, outputs, strict=True)):
            check_castable(column, output.type)
            values.append(Value(column, f"c{number + 1}", output.type))
        with session.executing(self._parts.engine) as execution:
            sql = self._reader.bind(session, execution, translated)
            values += self._defaults(session, table, given)
            rows = _rows(table, f"({sql})", values)
            return write_values(
                execution,
                rows,
                table,
                open_rowset=opener(self._parts, place, table, [each.column for each in values]),
                is_strict=is_strict,
                partitions=statement.partitions,
            )

    def _write_values(
        self,
        session: SqlSession,
        statement: Insert,
        place: TablePlace,
        table: Table,
        given: Sequence[Column],
        plain: PlainRows | None,
        *,
        is_strict: bool,
    ) -> Written:
        with session.executing(self._parts.engine) as execution:
            if plain is not None:
                rows_in_memory, values = plain.table()
                relation = execution.register("inserted", rows_in_memory)
            else:
                relation, values = bound_values(statement.body, given, session.context)
                values += self._defaults(session, table, given)
            return write_values(
                execution,
                _rows(table, relation, values),
                table,
                open_rowset=opener(self._parts, place, table, [each.column for each in values]),
                is_strict=is_strict,
                partitions=statement.partitions,
            )

    def _defaults(self, session: SqlSession, table: Table, given: Sequence[Column]) -> list[Value]:
        """Return what the columns left out get; a value of our own is not judged as input is."""
        return [default_value(column, session.context) for column in left_out(table, given)]

    def _write_plain(
        self, statement: Insert, place: TablePlace, table: Table, rows: PlainRows
    ) -> Written | None:
        """Write a few plain rows without the engine; None where it is needed to fold or refuse."""
        parts = _plain_parts(table, statement.partitions, rows)
        if parts is None:
            return None
        open_rowset = opener(self._parts, place, table, rows.columns)
        made: list[NewRowset] = []
        sink: RowsetSink | None = None
        is_done = False
        try:
            for partition, numbers in parts.items():
                sink = open_rowset(partition)
                is_all = rows.count == 1
                sink.write(rows.stored(None if is_all else numbers), len(numbers))
                made.append(sink.finish())
                sink = None
            is_done = True
        finally:
            if not is_done:
                if sink is not None:
                    sink.abort()
                for each in made:
                    each.body.abort()
        return Written(tuple(made), rows.count, 0)


def _rows(table: Table, relation: str, values: Sequence[Value]) -> Rows:
    ids = [value.column.id for value in values]
    sequence = table.sequence_column
    return Rows(relation, values, sequence=ids.index(sequence) if sequence in ids else None)


def _plain_parts(
    table: Table, partitions: Sequence[str] | None, rows: PlainRows
) -> dict[str, list[int]] | None:
    """Return the rows of each partition by key; None where the engine must fold or refuse."""
    if rows.count > limits.PLAIN_ROWS_MAX:
        return None
    by_id = {column.id: values for column, values in zip(rows.columns, rows.values, strict=True)}
    order = _order(table, by_id, rows.count)
    return None if order is None else _partitioned(table, partitions, by_id, order)


def _order(table: Table, values: dict[int, list[Any]], count: int) -> list[int] | None:
    """Return the rows in the order of their keys; None if some must be folded."""
    if count == 1:
        return [0]
    keys = [values[column.id] for column in table.keys]
    order, has_equal = key_order(list(zip(*keys, strict=True)) if keys else [()] * count)
    if has_equal and table.key_model is not KeyModel.DUPLICATE:
        return None
    return order


def _partitioned(
    table: Table,
    names: Sequence[str] | None,
    values: dict[int, list[Any]],
    order: Sequence[int],
) -> dict[str, list[int]] | None:
    """Return the rows of each partition; None when one has no partition, or there are many."""
    if table.partitioning is None:
        return {UNPARTITIONED: list(order)}
    partitions = table.partitioning.partitions
    if len(partitions) > limits.PLAIN_PARTITIONS_MAX:
        return None
    wanted = None if names is None else {name.lower() for name in names}
    chosen = [each for each in partitions if wanted is None or each.name.lower() in wanted]
    routing = PlainRouting(table, chosen)
    columns = [values[column.id] for column in routing.columns]
    found: dict[str, list[int]] = {}
    for row in order:
        partition = routing.find([column[row] for column in columns])
        if partition is None:
            return None
        found.setdefault(partition, []).append(row)
    return found
