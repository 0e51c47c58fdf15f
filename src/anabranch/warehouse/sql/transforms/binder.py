"""The state of one translation: literals, tables met, generated names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.kinds import Bound, Type
from anabranch.warehouse.sql.transforms.catalog import Catalog, Context, TableName
from anabranch.warehouse.sql.transforms.literals import Literal
from anabranch.warehouse.sql.transforms.rendering import Output, Wanted, place
from anabranch.warehouse.sql.transforms.scopes import Scope
from anabranch.warehouse.types import SqlType


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A query in DuckDB's SQL; its columns are named c1, c2, ..."""

    sql: str
    outputs: tuple[Output, ...]


@dataclass(slots=True)
class Binder:
    """Collects what the parts of a translation have in common.

    `query` binds a nested query: it is given at the top, since expressions and queries hold each
    other.
    """

    literals: tuple[Literal, ...]
    catalog: Catalog
    context: Context
    query: Callable[[Binder, exp.Expression, Scope | None], BoundQuery]
    pinned: dict[int, str] = field(default_factory=dict)
    tables: list[TableName] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    used: list[set[str]] = field(default_factory=list)
    wanted: list[list[Wanted]] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)
    is_bound_to_session: bool = False
    keeps_opaque: bool = False
    depth: int = 0
    _counter: int = 0

    def fresh(self, letter: str) -> str:
        """Return a name that nothing else has."""
        self._counter += 1
        return f"{letter}{self._counter}"

    def enter(self) -> None:
        """Count one more level; raise SqlError past the deepest."""
        self.depth += 1
        if self.depth > limits.QUERY_DEPTH_MAX:
            raise doris("the statement is nested too deeply")

    def leave(self) -> None:
        """Count one level less."""
        self.depth -= 1

    def literal(self, slot: int) -> Bound:
        """Return a literal as an expression."""
        return Bound(place("literal", slot), literal_type(self.literals[slot]), slot=slot)

    def pin(self, slot: int) -> str:
        """Return a literal's value: the plan then serves this value only."""
        value = self.literals[slot].value
        self.pinned[slot] = value
        return value


_INTEGERS = {
    "i1": kinds.TINYINT,
    "i2": kinds.SMALLINT,
    "i4": kinds.INT,
    "i8": kinds.BIGINT,
    "i16": kinds.LARGEINT,
}


def literal_type(literal: Literal) -> Type:
    """Return the type of a literal, told by its shape alone."""
    shape = literal.shape
    if shape in _INTEGERS:
        return _INTEGERS[shape]
    if shape.startswith("d"):
        precision, scale = shape[1:].split(",")
        return kinds.decimal(int(precision), int(scale))
    if shape.startswith("s"):
        digits = int(shape[1:]) if shape[1:].isdigit() else 0
        return Type(SqlType.VARCHAR, length=kinds.VARCHAR.length, scale=digits)
    return kinds.NULL if shape == "n" else kinds.DOUBLE
