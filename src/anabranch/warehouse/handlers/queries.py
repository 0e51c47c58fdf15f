"""SELECT and EXPLAIN."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.warehouse.errors import not_supported
from anabranch.warehouse.handlers.shown import Shown
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.parser import parse_one
from anabranch.warehouse.sql.statements import Explain, Insert, Query

SELECT_LIMIT_NONE = 2**63 - 1  # sql_select_limit: from here on it says nothing
_EXPLAINED = "Explain String(Nereids Planner)"


class Queries:
    """SELECT, WITH, VALUES."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def run(self, session: SqlSession, statement: Query) -> Iterator[Result]:
        """Yield the rows, computed as they are read; going on ends the query."""
        limit = int(str(session.variables["sql_select_limit"]))
        rows_max = limit if 0 <= limit < SELECT_LIMIT_NONE else None
        rows = self._reader.rows(session, statement.text, session.parameters, rows_max=rows_max)
        try:
            yield rows
        finally:
            rows.close()


class Explains:
    """EXPLAIN: how the engine would run a query, one line a row."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def run(self, session: SqlSession, statement: Explain) -> Iterator[Result]:
        """Yield the plan."""
        explained = parse_one(statement.text)
        if isinstance(explained, Insert) and not explained.is_values:
            explained = Query(explained.body)
        if not isinstance(explained, Query):
            raise not_supported(f"EXPLAIN {type(explained).__name__.upper()}")
        lines = self._reader.plan(session, explained.text)
        yield Shown((_EXPLAINED,), [(line,) for line in lines]).result
