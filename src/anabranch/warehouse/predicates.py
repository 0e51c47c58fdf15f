"""The condition that a DELETE rowset holds: read again through the allow-list, whoever wrote it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from anabranch.kernel import limits
from anabranch.warehouse.schema import Table
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.sql.transforms.conditions import Names, bind_condition
from anabranch.warehouse.sql.transforms.scopes import ScopeColumn
from anabranch.warehouse.types import ColumnType

_NO_SESSION = Context(datetime(1970, 1, 1, tzinfo=UTC))


def bound_predicate(text: str, schema: Table) -> str:
    """Return a condition over columns `c<id>` in DuckDB's SQL; raise SqlError if it is none."""
    types = [(column.id, column.type) for column in schema.columns]
    types += [(column.id, column.type) for column in schema.dropped_columns]
    return _bound(text, tuple(types))


@lru_cache(maxsize=limits.PLANS_CACHED_MAX)
def _bound(text: str, types: tuple[tuple[int, ColumnType], ...]) -> str:
    columns = tuple(ScopeColumn(f"c{one}", f"c{one}", kind) for one, kind in types)
    return f"({bind_condition(text, Names(columns), _NO_SESSION).sql()})"
