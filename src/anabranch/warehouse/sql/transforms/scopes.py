"""Which names an expression may use, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from anabranch.warehouse.errors import SqlError, no_such_table, unknown_column
from anabranch.warehouse.sql.functions.kinds import Bound, Type


@dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column that FROM offers: its name, and its text in DuckDB's SQL."""

    name: str
    sql: str
    type: Type
    table: str = ""
    database: str = ""
    is_base: bool = False

    @property
    def bound(self) -> Bound:
        origin = (self.table, self.database, self.name) if self.is_base else None
        return Bound(self.sql, self.type, column=origin)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or sub-query in FROM, under the name it is called by."""

    name: str
    columns: tuple[ScopeColumn, ...]
    database: str = ""


@dataclass(slots=True)
class Scope:
    """The relations of one query block, and those of the blocks around it.

    `merged` are the columns that USING and NATURAL make one; `aliases` the select list's names;
    `ctes` the queries named by WITH.
    """

    parent: Scope | None = None
    relations: list[Relation] = field(default_factory=list)
    merged: dict[str, ScopeColumn] = field(default_factory=dict)
    aliases: dict[str, Bound] = field(default_factory=dict)
    ctes: dict[str, CommonTable] = field(default_factory=dict)
    variables: dict[str, Bound] = field(default_factory=dict)

    def resolve(self, name: str, table: str, database: str, clause: str) -> Bound:
        """Return a column by name; raise 1052 if two have it, 1054 if none has."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.find(name, table, database)
            if found is not None:
                return found
            scope = scope.parent
        shown = ".".join(part for part in (database, table, name) if part)
        if table and not self._knows(table, database):
            raise SqlError(1109, "42S02", f"Unknown table '{table}' in {clause}")
        raise unknown_column(shown, clause)

    def find(self, name: str, table: str, database: str) -> Bound | None:
        key = name.lower()
        if not table:
            if key in self.variables:
                return self.variables[key]
            if key in self.merged:
                return self.merged[key].bound
        found = [
            column
            for relation in self.relations
            if not table
            or (relation.name == table and (not database or relation.database in ("", database)))
            for column in relation.columns
            if column.name.lower() == key
        ]
        if len(found) > 1:
            raise SqlError(1052, "23000", f"Column '{name}' in field list is ambiguous")
        return found[0].bound if found else None

    def _knows(self, table: str, database: str) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if any(relation.name == table for relation in scope.relations):
                return True
            scope = scope.parent
        return False

    def star(self, table: str) -> Iterator[ScopeColumn]:
        """Return what `*` or `table.*` stands for; merged columns come first and once."""
        if not table:
            yield from self.merged.values()
        is_known = False
        for relation in self.relations:
            if table and relation.name != table:
                continue
            is_known = True
            for column in relation.columns:
                if table or column.name.lower() not in self.merged:
                    yield column
        if table and not is_known:
            raise no_such_table("", table)

    def common_table(self, name: str) -> CommonTable | None:
        """Return the query that WITH names so, here or around."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.parent
        return None


@dataclass(frozen=True, slots=True)
class CommonTable:
    """A query named by WITH."""

    alias: str
    columns: tuple[tuple[str, Type], ...]
