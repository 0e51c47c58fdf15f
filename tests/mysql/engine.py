"""A small engine on DuckDB, for tests of the protocol: no lake, no Doris, every kind of result."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from anabranch.warehouse.errors import SqlError, interrupted, unknown_database
from anabranch.warehouse.results import (
    Done,
    Field,
    FileRequest,
    Prepared,
    Processes,
    Result,
    Rows,
)
from anabranch.warehouse.types import ColumnType, SqlType

DATABASES = ("test", "other db`s")
VARIABLES = {
    "version_comment": "Doris version doris-2.1.0",
    "version": "5.7.99",
    "sql_mode": "",
    "lower_case_table_names": 0,
    "transaction_isolation": "REPEATABLE-READ",
    "tx_isolation": "REPEATABLE-READ",
    "max_allowed_packet": 67_108_864,
    "auto_increment_increment": 1,
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_results": "utf8mb4",
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_bin",
    "collation_connection": "utf8mb4_bin",
    "init_connect": "",
    "interactive_timeout": 28_800,
    "wait_timeout": 28_800,
    "net_write_timeout": 600,
    "license": "Apache",
    "performance_schema": 0,
    "query_cache_size": 0,
    "query_cache_type": "OFF",
    "system_time_zone": "UTC",
    "time_zone": "SYSTEM",
}
_NAMED = {
    "BOOLEAN": SqlType.BOOLEAN,
    "TINYINT": SqlType.TINYINT,
    "SMALLINT": SqlType.SMALLINT,
    "INTEGER": SqlType.INT,
    "BIGINT": SqlType.BIGINT,
    "HUGEINT": SqlType.LARGEINT,
    "FLOAT": SqlType.FLOAT,
    "DOUBLE": SqlType.DOUBLE,
    "DATE": SqlType.DATE,
    "JSON": SqlType.JSON,
    "BLOB": SqlType.BINARY,
}


def type_of(name: str) -> ColumnType:
    """Return our type for one of DuckDB's."""
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", name)
    if found:
        return ColumnType(SqlType.DECIMAL, precision=int(found[1]), scale=int(found[2]))
    if name.startswith("TIMESTAMP"):
        return ColumnType(SqlType.DATETIME, scale=0 if name == "TIMESTAMP_S" else 6)
    return ColumnType(_NAMED.get(name, SqlType.STRING))


class EngineSession:
    """A session with a DuckDB cursor of its own."""

    def __init__(self, cursor: Any, user: str, database: str | None, connection_id: int) -> None:
        self.cursor = cursor
        self.user = user
        self.database = database
        self.connection_id = connection_id
        self.is_autocommit = True
        self.is_in_transaction = False
        self.timeouts_s = [900.0]
        self.is_closed = False
        self.cancelled = threading.Event()

    @property
    def timeout_s(self) -> float:
        """Return how long what runs may do so: the next of `timeouts_s`, the last again."""
        return self.timeouts_s.pop(0) if len(self.timeouts_s) > 1 else self.timeouts_s[0]

    def cancel(self) -> None:
        """Interrupt what runs."""
        self.cancelled.set()
        self.cursor.interrupt()


class Engine:
    """Statements for tests; `files` has what LOAD DATA LOCAL brought, by name."""

    def __init__(self) -> None:
        self._duckdb = duckdb.connect(config={"threads": "2"})
        self._duckdb.execute("create table people (id integer not null, name varchar)")
        self._duckdb.execute("insert into people values (1, 'Ada'), (2, null)")
        self.sessions: list[EngineSession] = []
        self.files: dict[str, bytes] = {}
        self.closed_rows = 0
        self.processes: Processes | None = None
        self.gate = threading.Event()
        """Rows after the first of `rows gated` come when it is set."""

    def open(
        self, user: str, address: str, database: str | None, connection_id: int
    ) -> EngineSession:
        if database is not None and database not in DATABASES:
            raise unknown_database(database)
        session = EngineSession(self._duckdb.cursor(), user, database, connection_id)
        self.sessions.append(session)
        return session

    def close(self, session: Any) -> None:
        session.is_closed = True
        session.cursor.close()

    def prepare(self, session: Any, text: str) -> Prepared:
        if "nonsense" in text:
            raise SqlError(1064, "42000", "nonsense")
        return Prepared(len(re.findall(r"\?", text)))

    def run(
        self, session: Any, text: str, parameters: Sequence[object] | None = None
    ) -> Iterator[Result]:
        session.cancelled.clear()
        for part in re.split(r";\s*", text.strip()):
            if part:
                yield from self._run_one(session, part, parameters)

    def _run_one(
        self, session: EngineSession, text: str, parameters: Sequence[object] | None
    ) -> Iterator[Result]:
        for pattern, function in self._SPECIAL:
            found = re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)
            if found:
                yield from function(self, session, found)
                return
        yield self._select(session, text, parameters)

    def _select(
        self, session: EngineSession, text: str, parameters: Sequence[object] | None
    ) -> Rows:
        try:
            relation = session.cursor.sql(_with_variables(text), params=parameters)
            fields = tuple(
                Field(name, type_of(str(type)), "t", "test", name)
                for name, type in zip(relation.columns, relation.types, strict=True)
            )
            reader = relation.to_arrow_reader(20_000)
        except duckdb.InterruptException:
            raise interrupted() from None
        except duckdb.Error as error:
            raise SqlError(1105, "HY000", f"errCode = 2, detailMessage = {error}") from None
        return Rows(fields, self._batches(reader))

    def _batches(self, reader: Any) -> Iterator[Any]:
        try:
            yield from reader
        except (duckdb.InterruptException, pa.ArrowException) as error:
            raise SqlError(1105, "HY000", f"errCode = 2, detailMessage = {error}") from None
        finally:
            self.closed_rows += 1

    def _set(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        said = re.fullmatch(r"set\s+(?:session\s+)?autocommit\s*=\s*(\w+)", found[0], re.I)
        if said:
            session.is_autocommit = said[1].lower() in ("1", "on", "true")
        timeout = re.fullmatch(r"set query_timeout = ([\d.]+)", found[0], re.I)
        if timeout:
            session.timeouts_s = [float(timeout[1])]
        yield Done(0)

    def _use(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        name = found[1].replace("``", "`")
        if name not in DATABASES:
            raise unknown_database(name)
        session.database = name
        yield Done(0)

    def _echo(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        batch = pa.record_batch([pa.array([found[1]])], names=["text"])
        yield Rows((Field("text", ColumnType(SqlType.STRING)),), iter([batch]))

    def _gated(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        fields = (Field("n", ColumnType(SqlType.INT)),)
        yield Rows(fields, self._gated_batches(session))

    def _gated_batches(self, session: EngineSession) -> Iterator[Any]:
        try:
            yield pa.record_batch([pa.array([1], pa.int32())], names=["n"])
            while not self.gate.wait(0.005):
                if session.cancelled.is_set():
                    raise interrupted()
            yield pa.record_batch([pa.array([2], pa.int32())], names=["n"])
        finally:
            self.closed_rows += 1

    def _deaf(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        self.gate.wait(20)
        yield Done(0)

    def _load(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        taken = bytearray()

        def write(data: bytes) -> None:
            if b"forbidden" in data:
                raise SqlError(1105, "HY000", "a forbidden word")
            taken.extend(data)

        yield FileRequest(found[1], write)
        self.files[found[1]] = bytes(taken)
        yield Done(taken.count(b"\n"), info="Records: all")

    def _defect(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        yield Done(1 // 0)

    def _list(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        assert self.processes is not None
        found_ids = [process.connection_id for process in self.processes.list_processes()]
        batch = pa.record_batch([pa.array(found_ids, pa.int64())], names=["Id"])
        yield Rows((Field("Id", ColumnType(SqlType.BIGINT)),), iter([batch]))

    def _transact(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        session.is_in_transaction = found[0].lower() == "begin"
        yield Done(0)

    def _insert(self, session: EngineSession, found: re.Match[str]) -> Iterator[Result]:
        yield Done(int(found[1]), last_insert_id=7, info="{'label':'l'}", warnings=2)

    _SPECIAL: Sequence[tuple[str, Callable[..., Iterator[Result]]]] = (
        (r"set\s.*", _set),
        (r"use `(.*)`", _use),
        (r"echo (.*)", _echo),
        (r"rows gated", _gated),
        (r"deaf", _deaf),
        (r"load data local infile '(.*)' into table x", _load),
        (r"defect", _defect),
        (r"show processlist", _list),
        (r"begin|commit|rollback", _transact),
        (r"insert (\d+)", _insert),
    )


def _with_variables(text: str) -> str:
    def value(found: re.Match[str]) -> str:
        known = VARIABLES.get(found[1].lower(), "")
        shown = str(known) if isinstance(known, int) else f"'{known}'"
        is_named = re.match(r"\s+AS\s", text[found.end() :], re.IGNORECASE)
        return shown if is_named else f'{shown} AS "{found[0]}"'

    text = re.sub(r"@@(?:session\.|global\.)?(\w+)", value, text, flags=re.IGNORECASE)
    text = re.sub(r"\bdatabase\(\)", "NULL", text, flags=re.IGNORECASE)
    text = re.sub(r"\bversion\(\)", "'5.7.99'", text, flags=re.IGNORECASE)
    return text.replace("`", '"')
