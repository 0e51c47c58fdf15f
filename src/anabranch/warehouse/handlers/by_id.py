"""SHOW DATABASE, TABLE and PARTITION by id: what a number that another SHOW gave is called."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.warehouse.errors import doris
from anabranch.warehouse.handlers.describing import number_of
from anabranch.warehouse.handlers.shown import Shown
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import DatabasePlace
from anabranch.warehouse.results import Result
from anabranch.warehouse.schema import UNPARTITIONED, Table
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.shows import Show, ShowKind

_COLUMNS = {
    ShowKind.DATABASE_ID: ("DbName",),
    ShowKind.TABLE_ID: ("DbName", "TableName", "DbId"),
    ShowKind.PARTITION_ID: ("DbName", "TableName", "PartitionName", "DbId", "TableId"),
}


class ByIds:
    """Looks for ids in the session's catalog at its ref."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def kinds(self) -> tuple[ShowKind, ...]:
        """Return what it shows."""
        return tuple(_COLUMNS)

    def run(self, session: SqlSession, statement: Show) -> Iterator[Result]:
        """Yield the row; raises SqlError for an id that is nobody's."""
        kind, wanted = statement.kind, int(statement.argument)
        row = next(self._find(session, kind, wanted), None)
        if row is None:
            raise doris(f"Can not find {kind.value.lower()} by id {wanted}")
        yield Shown(_COLUMNS[kind], [row]).result

    def _find(self, session: SqlSession, kind: ShowKind, wanted: int) -> Iterator[tuple[str, ...]]:
        for name in self._parts.databases.list(session.place):
            within = DatabasePlace(session.place, name)
            database = number_of(self._parts.databases.get(within).id)
            if kind is ShowKind.DATABASE_ID:
                if database == wanted:
                    yield (name,)
                continue
            for place, stored in information_schema.list_tables(self._parts, within):
                session.check()
                table = number_of(stored.schema.id)
                if kind is ShowKind.TABLE_ID:
                    if table == wanted:
                        yield name, place.table, str(database)
                    continue
                for partition, shown in _partitions(stored.schema, place.table):
                    if partition == wanted:
                        yield name, place.table, shown, str(database), str(table)


def _partitions(schema: Table, table: str) -> Iterator[tuple[int, str]]:
    """Yield the ids and names of a table's partitions, as SHOW PARTITIONS tells them."""
    if schema.partitioning is None:
        yield number_of(schema.id + UNPARTITIONED), table
        return
    for each in schema.partitioning.partitions:
        yield number_of(schema.id + each.id), each.name
