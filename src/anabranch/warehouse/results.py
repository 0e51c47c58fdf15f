"""What a surface and the engine say to each other: a session, a statement's text, its results.

Everything here is wire-neutral. `Statements` blocks and is called from threads; one session runs
one statement at a time, but its calls may come from different threads, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from anabranch.warehouse.types import ColumnType


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result; `original_name` is its name in its table."""

    name: str
    type: ColumnType
    table: str = ""
    database: str = ""
    original_name: str = ""
    is_nullable: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """A statement that returns no rows; `info` is shown by clients as it stands."""

    affected_rows: int
    last_insert_id: int = 0
    info: str = ""
    warnings: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """A statement's rows, computed as they are asked for.

    The columns of each batch stand in the order of `fields`; their Arrow types need only be
    castable to the fields' types. Whoever reads calls `close` when done, or when giving up.
    """

    fields: tuple[Field, ...]
    batches: Iterator[pa.RecordBatch]

    def close(self) -> None:
        """End the statement, if its batches can be ended before they are read."""
        close = getattr(self.batches, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A file of the client's that the statement needs (LOAD DATA LOCAL INFILE).

    The surface calls `write` with the file's bytes in order, in threads, and then asks the
    statement's iterator for its next result. An error that `write` raises ends the statement.
    A client that refuses closes the iterator instead.
    """

    file_name: str
    write: Callable[[bytes], object] = field(repr=False)


Result = Done | Rows | FileRequest


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that can be run with parameters; no fields when they are known only later."""

    parameter_count: int
    fields: tuple[Field, ...] = ()


class Session(Protocol):
    """What a surface knows of a client's session."""

    @property
    def user(self) -> str: ...
    @property
    def database(self) -> str | None: ...
    @property
    def connection_id(self) -> int: ...

    @property
    def is_autocommit(self) -> bool:
        """Tell what the client set `autocommit` to."""
        ...

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether a BEGIN has not met its COMMIT or ROLLBACK."""
        ...

    @property
    def timeout_s(self) -> float:
        """Return how long what runs may do so; a text's next statement may be given more."""
        ...

    def cancel(self) -> None:
        """Interrupt what runs, from any thread; do nothing when nothing runs.

        It may be called many times: a statement that only begins may miss the first.
        """
        ...


class Statements(Protocol):
    """Runs statements. All calls block; all raise SqlError for what a client did wrong."""

    def open(self, user: str, address: str, database: str | None, connection_id: int) -> Session:
        """Begin a session; raise SqlError when the database does not exist or may not be used."""
        ...

    def close(self, session: Session) -> None:
        """End a session: roll back what it began."""
        ...

    def run(
        self, session: Session, text: str, parameters: Sequence[object] | None = None
    ) -> Iterator[Result]:
        """Run the statements of a text one after the other, as the iterator is advanced.

        `parameters` are those of a prepared statement: None, bool, int, float, Decimal, str,
        bytes, date, datetime or timedelta. The iterator has `close`, which ends everything.
        """
        ...

    def prepare(self, session: Session, text: str) -> Prepared:
        """Check one statement and count its parameters."""
        ...


@dataclass(frozen=True, slots=True)
class Process:
    """A client's connection, as SHOW PROCESSLIST shows it."""

    connection_id: int
    user: str
    address: str
    database: str | None
    command: str
    state: str
    seconds: int
    text: str


class Processes(Protocol):
    """The open connections of a surface; safe to call from any thread."""

    def list_processes(self) -> list[Process]:
        """Return the connections by id."""
        ...

    def kill(self, connection_id: int, *, by: str, is_query_only: bool) -> None:
        """Cancel what a connection runs, and close it unless only the query is meant.

        `by` is the user who asks. Raises SqlError: no such connection, or somebody else's.
        """
        ...
