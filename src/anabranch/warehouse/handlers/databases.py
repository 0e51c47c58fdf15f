"""CREATE, DROP and rename of databases."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import DatabasePlace
from anabranch.warehouse.results import Done, Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.statements import CreateDatabase, DropDatabase, RenameDatabase

_EXISTS, _ABSENT = 1007, 1008


def writable_database(session: SqlSession, name: str | None, **parts: str | None) -> DatabasePlace:
    """Return a database that statements may change; raise SqlError 1044 for information_schema."""
    within = session.database_place(name, **parts)
    if information_schema.is_its_name(within.database):
        message = (
            f"Access denied for user '{session.user}'@'%' to database '{information_schema.NAME}'"
        )
        raise SqlError(1044, "42000", message)
    return within


class DatabaseStatements:
    """Statements about a database as a whole."""

    def __init__(self, parts: Parts) -> None:
        self._databases = parts.databases

    def run(
        self, session: SqlSession, statement: CreateDatabase | DropDatabase | RenameDatabase
    ) -> Iterator[Result]:
        """Change the branch; IF [NOT] EXISTS leaves a note where there is nothing to do."""
        place = writable_database(session, statement.name)
        try:
            match statement:
                case CreateDatabase():
                    self._databases.create(place, properties=statement.properties)
                case DropDatabase():
                    self._databases.drop(place, is_forced=statement.is_forced)
                    self._leave(session, place, None)
                case RenameDatabase():
                    self._databases.rename(place, statement.new_name)
                    self._leave(session, place, statement.new_name)
        except SqlError as error:
            is_allowed = (
                isinstance(statement, CreateDatabase)
                and statement.if_not_exists
                and error.code == _EXISTS
            ) or (
                isinstance(statement, DropDatabase)
                and statement.if_exists
                and error.code == _ABSENT
            )
            if not is_allowed:
                raise
            session.warn(error.message, code=error.code, level="Note")
        yield Done(0, warnings=len(session.warnings))

    @staticmethod
    def _leave(session: SqlSession, place: DatabasePlace, database: str | None) -> None:
        """Follow a session's own database: to its new name, or out of it."""
        if session.database == place.database and session.place == place.place:
            session.use(session.catalog, session.ref, database)
