"""The table that a DELETE or UPDATE changes, as a query sees it: with its hidden columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anabranch.warehouse.changes.inserting import hidden_columns
from anabranch.warehouse.errors import not_supported
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.reading import Reader, SessionCatalog, table_relation
from anabranch.warehouse.sql.transforms.catalog import Column, Described, TableName
from anabranch.warehouse.sql.transforms.rendering import Output

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.engine import Execution
    from anabranch.warehouse.session import SqlSession

_NAME = "__DORIS_TARGET__"  # no table is called so


@dataclass(frozen=True, slots=True)
class TargetQuery:
    """A query over the target, bound: DuckDB's SQL with columns c1, c2, ..."""

    sql: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class _TargetCatalog:
    """The session's tables and the target under its own name."""

    inner: SessionCatalog
    target: Described

    def describe(self, name: TableName) -> Described:
        """Return the columns of a table."""
        return self.target if name.table == _NAME else self.inner.describe(name)


class Targets:
    """Binds queries over a table that is being changed."""

    def __init__(self, parts: Parts, reader: Reader) -> None:
        self._parts = parts
        self._reader = reader

    def query(
        self,
        session: SqlSession,
        execution: Execution,
        snapshot: TableSnapshot,
        selected: Sequence[str],
        *,
        alias: str | None,
        joined: str | None,
        where: str | None,
    ) -> TargetQuery:
        """Return SELECT of texts from the target's folded rows, and what USING or FROM joins.

        The target is called by its alias, or by the table's name.
        """
        within = snapshot.table.database
        source = f"`{within}`.`{_NAME}` AS {quoted(alias or snapshot.table.table)}"
        text = f"SELECT {', '.join(selected)} FROM {source}"  # noqa: S608 - Doris's SQL, to be translated
        if joined:
            text += f", {joined}"
        if where is not None:
            text += f" WHERE ({where})"
        catalog = _TargetCatalog(SessionCatalog(self._parts, session), _described(snapshot))
        translated = self._parts.translator.translate(
            text, catalog, session.context, keeps_opaque=True
        )
        relations: dict[int, str] = {}
        for use in translated.tables:
            session.check()
            if use.name.table == _NAME:
                relations[use.number] = self.relation(snapshot, use.columns)
                continue
            if information_schema.is_its_name(use.name.database):
                raise not_supported("information_schema in a statement that writes")
            other = self._parts.snapshots.read(catalog.inner.place(use.name))
            relations[use.number] = self._reader.relation(other, use.columns)
        return TargetQuery(translated.sql(relations), translated.plan.outputs)

    def relation(self, snapshot: TableSnapshot, columns: Sequence[str]) -> str:
        """Return SQL of the folded rows, hidden columns too."""
        return table_relation(self._parts, snapshot, columns, has_hidden=True)


def _described(snapshot: TableSnapshot) -> Described:
    columns = (*snapshot.schema.columns, *hidden_columns(snapshot.schema))
    return Described(
        tuple(Column(each.name, each.type, each.is_nullable) for each in columns),
        snapshot.identity,
    )


def within_partitions(snapshot: TableSnapshot, chosen: Sequence[str] | None) -> TableSnapshot:
    """Return the snapshot with the rowsets of some partitions only."""
    if chosen is None:
        return snapshot
    kept = tuple(rowset for rowset in snapshot.rowsets if rowset.partition in chosen)
    return replace(snapshot, rowsets=kept)


def quoted(name: str) -> str:
    """Return a name as Doris's SQL quotes it."""
    return "`" + name.replace("`", "``") + "`"
