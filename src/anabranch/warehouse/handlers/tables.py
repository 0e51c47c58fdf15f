"""CREATE, DROP and ALTER TABLE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from anabranch.warehouse.errors import SqlError, doris, not_supported
from anabranch.warehouse.handlers.alters import AlterLog
from anabranch.warehouse.handlers.databases import writable_database
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.registry import Handler
from anabranch.warehouse.results import Done, Field, Result
from anabranch.warehouse.schemas.creation import create_table
from anabranch.warehouse.schemas.evolution import alter_table
from anabranch.warehouse.schemas.text import create_table_text
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql import statements as st
from anabranch.warehouse.sql.parser import parse_one
from anabranch.warehouse.sql.transforms.rendering import zone_of
from anabranch.warehouse.types import ColumnType, SqlType, make_type

_EXISTS, _UNKNOWN = 1050, 1051
_RECORDED = (
    st.AddColumn,
    st.DropColumn,
    st.ModifyColumn,
    st.ModifyColumnComment,
    st.RenameColumn,
    st.ReorderColumns,
)
_ALONE = (st.RenameTable, st.ReplaceTable)


def writable_table(session: SqlSession, name: st.TableName) -> TablePlace:
    """Return a table that a statement may make or change."""
    within = writable_database(session, name.database, catalog=name.catalog, ref=name.ref)
    return within.table(name.table)


class Creations:
    """CREATE TABLE, CREATE TABLE LIKE and CREATE TABLE AS, whose rows `inserts` loads."""

    def __init__(self, parts: Parts, reader: Reader, inserts: Handler | None = None) -> None:
        self._parts = parts
        self._reader = reader
        self._inserts = inserts

    def run(
        self, session: SqlSession, statement: st.CreateTable | st.CreateTableLike
    ) -> Iterator[Result]:
        """Make the table; IF NOT EXISTS leaves a note where it is there."""
        place = writable_table(session, statement.table)
        try:
            if isinstance(statement, st.CreateTableLike):
                self._create_like(session, statement, place)
            elif statement.query is None:
                self._parts.tables.create(place, create_table(statement, self._parts.ids.hex32()))
            else:
                yield from self._create_as(session, statement, place, statement.query)
                return
        except SqlError as error:
            if error.code != _EXISTS or not statement.if_not_exists:
                raise
            session.warn(error.message, code=error.code, level="Note")
        yield Done(0, warnings=len(session.warnings))

    def _create_like(
        self, session: SqlSession, statement: st.CreateTableLike, place: TablePlace
    ) -> None:
        source = session.table_place(statement.source)
        schema = self._parts.tables.get(source).schema
        made = parse_one(create_table_text(source.table, schema).rstrip(";"))
        assert isinstance(made, st.CreateTable)
        self._parts.tables.create(place, create_table(made, self._parts.ids.hex32()))

    def _create_as(
        self, session: SqlSession, statement: st.CreateTable, place: TablePlace, query: str
    ) -> Iterator[Result]:
        if self._inserts is None:
            raise not_supported("CREATE TABLE AS")
        fields = self._reader.translate(session, query, keeps_opaque=True).fields
        columns = _columns_of(fields, statement.column_names)
        if statement.columns:
            if len(statement.columns) != len(columns):
                raise doris("the columns of the table and of the query differ in number")
            columns = statement.columns
        made = replace(statement, columns=columns, query=None, column_names=())
        self._parts.tables.create(place, create_table(made, self._parts.ids.hex32()))
        is_loaded = False
        try:
            yield from self._inserts.run(session, st.Insert(statement.table, query))
            is_loaded = True
        finally:
            if not is_loaded:
                self._parts.tables.drop(place)


def _columns_of(
    fields: tuple[Field, ...], names: tuple[str, ...]
) -> tuple[st.ColumnDefinition, ...]:
    if names and len(names) != len(fields):
        raise SqlError(1353, "HY000", "the column list and the query have different column counts")
    shown = names or tuple(field.name for field in fields)
    return tuple(
        st.ColumnDefinition(name, _stored(field.type, is_first=not at), is_nullable=True)
        for at, (name, field) in enumerate(zip(shown, fields, strict=True))
    )


def _stored(kind: ColumnType, *, is_first: bool) -> ColumnType:
    """Return the type that keeps a query's values: Doris's choices for CREATE TABLE AS."""
    if kind.kind is SqlType.NULL:
        return make_type("TINYINT")
    if kind.kind is SqlType.VARCHAR and not kind.length:
        return make_type("VARCHAR")
    if kind.kind is SqlType.STRING and is_first:
        return make_type("VARCHAR")  # a key must have a length
    if kind.kind in (SqlType.TIME, SqlType.BINARY):
        return make_type("STRING")
    return replace(kind, scale=0) if kind.kind is SqlType.VARCHAR else kind


class Drops:
    """DROP TABLE and DROP VIEW."""

    def __init__(self, parts: Parts) -> None:
        self._tables = parts.tables

    def run(self, session: SqlSession, statement: st.DropTable) -> Iterator[Result]:
        """Drop each table; those that are not there are told of when the others are gone."""
        missing: list[SqlError] = []
        for name in statement.tables:
            place = writable_table(session, name)
            try:
                if statement.is_view:
                    self._refuse_view(place)
                self._tables.drop(place)
            except SqlError as error:
                if error.code != _UNKNOWN:
                    raise
                missing.append(error)
        if missing and not statement.if_exists:
            raise missing[0]
        for each in missing:
            session.warn(each.message, code=each.code, level="Note")
        yield Done(0, warnings=len(session.warnings))

    def _refuse_view(self, place: TablePlace) -> None:
        try:
            self._tables.get(place)
        except SqlError as error:
            if error.code == 1146:
                raise SqlError(_UNKNOWN, "42S02", f"Unknown table '{place.table}'") from None
            raise
        raise SqlError(1347, "HY000", f"'{place.database}.{place.table}' is not VIEW")


class Alters:
    """ALTER TABLE: the new schema is there at once, for all rows."""

    def __init__(self, parts: Parts, log: AlterLog) -> None:
        self._tables = parts.tables
        self._log = log

    def run(self, session: SqlSession, statement: st.AlterTable) -> Iterator[Result]:
        """Apply all clauses or none, and record changes of columns for SHOW ALTER TABLE."""
        place = writable_table(session, statement.table)
        clauses = statement.clauses
        alone = next((clause for clause in clauses if isinstance(clause, _ALONE)), None)
        if alone is not None and len(clauses) > 1:
            raise doris("RENAME and REPLACE of a table stand alone in an ALTER TABLE")
        if isinstance(alone, st.RenameTable):
            self._tables.rename(place, alone.new_name)
        elif isinstance(alone, st.ReplaceTable):
            given = {name.lower(): value.lower() for name, value in alone.properties}
            self._tables.replace_with(place, alone.source, swaps=given.get("swap") != "false")
        else:
            now = session.utc_now.astimezone(zone_of(session.time_zone))
            self._tables.change(place, lambda table: alter_table(table, clauses, place.table, now))
        if any(isinstance(clause, _RECORDED) for clause in clauses):
            self._log.add(place.within, "COLUMN", place.table)
        yield Done(0, warnings=len(session.warnings))
