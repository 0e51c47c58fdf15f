"""A query of a session to its rows: names to snapshots, snapshots to relations, relations to rows.

Every statement that reads goes through here: SELECT, what INSERT selects, what SHOW filters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, no_such_table
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.results import Rows
from anabranch.warehouse.rowsets.aggregating import folded_type
from anabranch.warehouse.rowsets.folding import relation
from anabranch.warehouse.sql.transforms.catalog import At, Column, Described, TableName
from anabranch.warehouse.sql.transforms.rendering import Translated, zone_of

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.engine import Execution
    from anabranch.warehouse.rowsets.fold import StandIn
    from anabranch.warehouse.rowsets.rowset import Rowset
    from anabranch.warehouse.session import SqlSession


@dataclass(slots=True)
class SessionCatalog:
    """A session's tables by name, for one translation: `transforms.catalog.Catalog`."""

    parts: Parts
    session: SqlSession
    places: dict[TableName, TablePlace] = field(default_factory=dict)
    described: dict[TableName, Described] = field(default_factory=dict)

    def describe(self, name: TableName) -> Described:
        """Return a table's columns; raise SqlError 1049 or 1146."""
        found = self.described.get(name)
        if found is None:
            found = self.described[name] = self._describe(name)
        return found

    def _describe(self, name: TableName) -> Described:
        if information_schema.is_its_name(name.database):
            return information_schema.describe(name.table)
        stored = self.parts.tables.get(self.place(name))
        columns = tuple(
            Column(column.name, folded_type(column), column.is_nullable)
            for column in stored.schema.columns
        )
        return Described(columns, stored.identity)

    def place(self, name: TableName) -> TablePlace:
        """Return where a table is read; each name is resolved once in a statement."""
        found = self.places.get(name)
        if found is None:
            found = self.places[name] = resolve_table(self.parts, self.session, name)
        return found


def resolve_table(parts: Parts, session: SqlSession, name: TableName) -> TablePlace:
    """Return a table's place at the ref or time that its name asks for."""
    within = session.database_place(name.database, catalog=name.catalog or None)
    if name.at is not None:
        at = name.at
        if at.kind == "time":
            at = At("time", _utc_text(at.value, session.time_zone))
        within = type(within)(parts.snapshots.as_of(within.place, at), within.database)
    return within.table(name.table)


def _utc_text(text: str, zone: str) -> str:
    """Return a local time as UTC; raise SqlError 1525 for what is no time."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SqlError(1525, "HY000", f"Incorrect DATETIME value: '{text[:100]}'") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(zone))
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


_ROWS_MAX = 2**62  # no result has so many


class SchemaMovedError(SqlError):
    """A table's schema is no longer the one that a query was translated for: translate again."""

    def __init__(self) -> None:
        text = "errCode = 2, detailMessage = the schema of a table changed meanwhile; try again"
        super().__init__(1105, "HY000", text)


class Batches:
    """A running query's batches; it holds its cursor until it is read to the end or closed."""

    def __init__(self, stack: ExitStack, batches: Iterator[pa.RecordBatch], rows_max: int) -> None:
        self._stack = stack
        self._batches = batches
        self._left = rows_max
        self._first: pa.RecordBatch | None = None
        self._is_over = rows_max <= 0

    def begin(self) -> None:
        """Compute the first batch, so that what fails at once fails before the columns are said."""
        if not self._is_over:
            self._first = next(self._batches, None)
            self._is_over = self._first is None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch, self._first = self._first, None
        if batch is None and not self._is_over:
            batch = next(self._batches, None)
        if batch is None or self._is_over:
            self.close()
            raise StopIteration
        if batch.num_rows >= self._left:
            self._is_over = True
            batch = batch.slice(0, self._left)
        self._left -= batch.num_rows
        return batch

    def close(self) -> None:
        """End the query."""
        self._is_over = True
        self._first = None
        self._stack.close()


class Reader:
    """Translates and runs queries of sessions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def translate(
        self,
        session: SqlSession,
        text: str,
        parameters: Sequence[object] | None = None,
        *,
        keeps_opaque: bool = False,
        catalog: SessionCatalog | None = None,
    ) -> Translated:
        """Return a query ready to be bound; with `keeps_opaque` sketches stay bytes."""
        return self._parts.translator.translate(
            text,
            catalog or SessionCatalog(self._parts, session),
            session.context,
            parameters,
            keeps_opaque=keeps_opaque,
        )

    def bind(self, session: SqlSession, execution: Execution, translated: Translated) -> str:
        """Return DuckDB's SQL over the tables as they are now.

        Each table is one snapshot, however often the query names it. Raises SchemaMovedError.
        """
        catalog = SessionCatalog(self._parts, session)
        snapshots = self.snapshots(
            session,
            [
                catalog.place(use.name)
                for use in translated.tables
                if not information_schema.is_its_name(use.name.database)
            ],
        )
        relations: dict[int, str] = {}
        for use, version in zip(translated.tables, translated.plan.versions, strict=True):
            session.check()
            if information_schema.is_its_name(use.name.database):
                rows = information_schema.rows(
                    self._parts,
                    session,
                    use.name.table,
                    use.columns,
                    wanted=translated.wanted(use),
                )
                relations[use.number] = execution.register(f"information_{use.number}", rows)
                continue
            snapshot = snapshots[catalog.place(use.name)]
            if snapshot.identity != version:
                if session.transaction is not None:
                    session.transaction.pinned.pop(snapshot.table, None)
                raise SchemaMovedError
            relations[use.number] = self.relation(snapshot, use.columns)
        return translated.sql(relations)

    def snapshots(
        self, session: SqlSession, places: Sequence[TablePlace]
    ) -> dict[TablePlace, TableSnapshot]:
        """Return tables as they were together at one moment.

        A table that is the same when read again was so when the last one was read. Where loads
        come faster than that, the tables are each of a moment of their own. In a transaction a
        table stays as it was when it was first read.
        """
        if session.transaction is None:
            return self._together(session, places)
        pinned = session.transaction.pinned
        pinned |= self._together(session, [place for place in places if place not in pinned])
        return {place: pinned[place] for place in places}

    def _together(
        self, session: SqlSession, places: Sequence[TablePlace]
    ) -> dict[TablePlace, TableSnapshot]:
        names = list(dict.fromkeys(places))
        found = {place: self._parts.snapshots.read(place) for place in names}
        for _ in range(limits.REPLANS_MAX if len(names) > 1 else 0):
            session.check()
            again = {place: self._parts.snapshots.read(place) for place in names}
            if all(found[place] == again[place] for place in names[:-1]):
                break
            found = again
        return found

    def relation(self, snapshot: TableSnapshot, columns: Sequence[str] | None) -> str:
        """Return SQL that stands in FROM for the folded rows of a table."""
        return table_relation(self._parts, snapshot, columns)

    def rows(
        self,
        session: SqlSession,
        text: str,
        parameters: Sequence[object] | None = None,
        *,
        rows_max: int | None = None,
    ) -> Rows:
        """Run a query; whoever gets the rows reads them to the end or closes them."""
        for _ in range(limits.REPLANS_MAX):
            translated = self.translate(session, text, parameters)
            try:
                batches = self._run(session, translated, rows_max)
            except SchemaMovedError:
                continue
            return Rows(translated.fields, batches)
        raise SchemaMovedError

    def _run(self, session: SqlSession, translated: Translated, rows_max: int | None) -> Batches:
        with ExitStack() as stack:
            execution = stack.enter_context(session.executing(self._parts.engine))
            stream = execution.stream(self.bind(session, execution, translated))
            most = _ROWS_MAX if rows_max is None else rows_max
            batches = Batches(stack.pop_all(), stream, most)
        try:
            batches.begin()
        except BaseException:
            batches.close()
            raise
        return batches

    def plan(self, session: SqlSession, text: str) -> list[str]:
        """Return how the engine would run a query, in lines."""
        translated = self.translate(session, text)
        with session.executing(self._parts.engine) as execution:
            sql = self.bind(session, execution, translated)
            found = [
                value
                for batch in execution.stream(f"EXPLAIN {sql}")
                for value in batch.column(1).to_pylist()
            ]
        return [line for text in found for line in str(text).splitlines()]

    def filtered(
        self, session: SqlSession, rows: pa.Table, described: Described, where: str
    ) -> pa.Table:
        """Return those rows of a small table that a condition over its columns keeps."""
        catalog = _OneTable(described)
        text = f"SELECT * FROM `shown`.`shown` WHERE ({where}\n)"  # noqa: S608 - translated
        translated = self._parts.translator.translate(text, catalog, session.context)
        with session.executing(self._parts.engine) as execution:
            sql = translated.sql(_Same(execution.register("shown", rows)))
            batches = list(execution.stream(sql))
        columns = [
            pa.concat_arrays([batch.column(number) for batch in batches])
            if batches
            else pa.array([], rows.schema.types[number])
            for number in range(rows.num_columns)
        ]
        return pa.table(columns, names=rows.column_names)

    def value(self, session: SqlSession, expression: str) -> object:
        """Return the value of an expression without tables, as Python has it."""
        rows = self.rows(session, f"SELECT {expression}")
        try:
            found = [value for batch in rows.batches for value in batch.column(0).to_pylist()]
        finally:
            rows.close()
        return found[0] if found else None


def table_relation(
    parts: Parts,
    snapshot: TableSnapshot,
    columns: Sequence[str] | None,
    *,
    has_hidden: bool = False,
) -> str:
    """Return SQL that stands in FROM for the folded rows of a table: `folding.relation`.

    Folds are read instead of the rowsets they may stand for.
    """
    rowsets: Sequence[Rowset] = snapshot.rowsets
    stand_ins: Sequence[StandIn] = ()
    if parts.folds is not None and len(rowsets) > 1:
        plan = parts.folds.plan(snapshot)
        rowsets, stand_ins = plan.rowsets, plan.stand_ins
    paths = parts.snapshots.paths(rowsets)
    files = {rowset.path: path for rowset, path in zip(rowsets, paths, strict=True)}
    return relation(
        snapshot.schema,
        rowsets,
        files,
        columns,
        has_hidden=has_hidden,
        footers=parts.footers,
        stand_ins=stand_ins,
    )


@dataclass(frozen=True, slots=True)
class _OneTable:
    """A catalog of one table, `shown`.`shown`."""

    described: Described

    def describe(self, name: TableName) -> Described:
        """Return the table."""
        if (name.database, name.table) != ("shown", "shown") or name.at is not None:
            raise no_such_table(name.database, name.table)
        return self.described


class _Same(Mapping[int, str]):
    """One relation for every number."""

    def __init__(self, relation_sql: str) -> None:
        self._relation = relation_sql

    def __getitem__(self, number: int) -> str:
        return self._relation

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0
