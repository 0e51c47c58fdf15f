"""Which handler runs which statement, and who may run it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from anabranch.warehouse.errors import not_supported
from anabranch.warehouse.results import Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.shows import Show, ShowKind


class Handler(Protocol):
    """Runs the statements of one family.

    A handler keeps no state of its own between statements, and is called from many threads. It
    raises SqlError; what it left undone must not be visible. Its iterator has `close`.
    """

    def run(self, session: SqlSession, statement: Any) -> Iterator[Result]:
        """Run one statement as the iterator is advanced."""
        ...


class Guard(Protocol):
    """Decides who may run what."""

    def check(self, session: SqlSession, statement: object) -> None:
        """Raise SqlError 1227 or 1044 when the session's user may not run a statement."""
        ...

    def check_database(self, user: str, database: str) -> None:
        """Raise SqlError 1044 when a user may not use a database."""
        ...


@dataclass(frozen=True, slots=True)
class Registry:
    """Handlers by the class of their statements; those of SHOW by what is shown."""

    handlers: Mapping[type[object], Handler] = field(default_factory=dict)
    shows: Mapping[ShowKind, Handler] = field(default_factory=dict)

    def joined(self, other: Registry) -> Registry:
        """Return both; `other` wins."""
        return Registry({**self.handlers, **other.handlers}, {**self.shows, **other.shows})

    def find(self, statement: object) -> Handler:
        """Return the handler of a statement; raise SqlError 1235 when there is none."""
        found: Handler | None = None
        if isinstance(statement, Show):
            found = self.shows.get(statement.kind)
        found = found or self.handlers.get(type(statement))
        if found is None:
            raise not_supported(_name_of(statement))
        return found


def _name_of(statement: object) -> str:
    if isinstance(statement, Show):
        return f"SHOW {statement.kind}"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(statement).__name__).upper()
