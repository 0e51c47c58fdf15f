"""A client's session: where it stands in the lake, its variables, and what it runs now."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from anabranch.kernel import limits
from anabranch.kernel.ids import Ref, RepositoryId
from anabranch.warehouse.engine import Engine, Execution
from anabranch.warehouse.errors import interrupted, no_database
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.sql import statements
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.variables import VERSION, GlobalVariables, SessionVariables

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot

INTERNAL_CATALOG = "internal"
"""Doris's name of the catalog that a session begins in."""
_CLUSTER = "default_cluster:"


@dataclass(frozen=True, slots=True)
class Warning_:  # noqa: N801 - the builtin has the name
    """A row of SHOW WARNINGS; `level` is Note, Warning or Error."""

    level: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class LastInsert:
    """The session's last INSERT, for SHOW LAST INSERT."""

    transaction_id: int
    label: str
    database: str
    table: str
    status: str
    loaded_rows: int
    filtered_rows: int


class OpenTransaction(Protocol):
    """What BEGIN began; its handler's own.

    `pinned` are the tables that its queries have read, as they were then.
    """

    pinned: dict[TablePlace, TableSnapshot]

    def rollback(self) -> None:
        """Give up what was not committed."""
        ...


@dataclass(frozen=True, slots=True)
class DatabaseName:
    """A database as a client names it: `[catalog.]database[@ref]`, or `/` before the ref."""

    database: str
    ref: str | None = None
    catalog: str | None = None


def parse_database_text(text: str) -> DatabaseName:
    """Return the parts of a database's name; nothing is checked but its marks."""
    name, ref = text.removeprefix(_CLUSTER), None
    found = [at for at in (name.find("@"), name.find("/")) if at >= 0]
    if found:
        at = min(found)
        name, ref = name[:at], name[at + 1 :] or None
    catalog, dot, rest = name.partition(".")
    if dot:
        return DatabaseName(rest.removeprefix(_CLUSTER), ref, catalog)
    return DatabaseName(name, ref)


class SqlSession:
    """One client's session: `results.Session` for surfaces, state for handlers.

    One statement runs at a time; only `cancel` comes from other threads.
    """

    def __init__(
        self,
        user: str,
        address: str,
        connection_id: int,
        catalog: RepositoryId,
        ref: Ref,
        variables: GlobalVariables,
        now: datetime,
    ) -> None:
        self._user = user
        self.address = address
        self._connection_id = connection_id
        self.default_catalog = catalog
        self.catalog = catalog
        self.ref = ref
        self._database: str | None = None
        self.variables = SessionVariables(variables, self._computed)
        self.user_variables: dict[str, object] = {}
        self.utc_now = now
        self.text = ""
        self.parameters: Sequence[object] | None = None
        self.is_changing = False
        """Whether the statement that runs changes rows."""
        self.transaction: OpenTransaction | None = None
        self.warnings: list[Warning_] = []
        self.last_insert: LastInsert | None = None
        self._lock = threading.Lock()
        self._executions: list[Execution] = []
        self._is_cancelled = False

    # What surfaces ask

    @property
    def user(self) -> str:
        """Return the user's name."""
        return self._user

    @property
    def database(self) -> str | None:
        """Return the database's name, without its ref."""
        return self._database

    @property
    def connection_id(self) -> int:
        """Return what KILL takes."""
        return self._connection_id

    @property
    def is_autocommit(self) -> bool:
        """Tell what the client set `autocommit` to; each statement is its own all the same."""
        return bool(self.variables["autocommit"])

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether a BEGIN has not met its COMMIT or ROLLBACK."""
        return self.transaction is not None

    @property
    def timeout_s(self) -> float:
        """Return how long the text that runs may do so, by the statement it has come to.

        query_timeout, or less by max_execution_time; for what changes rows, insert_timeout when
        that is longer.
        """
        timeout_s = float(str(self.variables["query_timeout"]))
        if self.is_changing:
            return max(timeout_s, float(str(self.variables["insert_timeout"])))
        most_ms = float(str(self.variables["max_execution_time"]))
        return min(timeout_s, most_ms / 1_000) if most_ms > 0 else timeout_s

    def cancel(self) -> None:
        """Interrupt what runs, from any thread."""
        with self._lock:
            self._is_cancelled = True
            executions = list(self._executions)
        for execution in executions:
            execution.cancel()

    # What handlers use

    def begin(self, now: datetime, text: str, parameters: Sequence[object] | None) -> None:
        """Begin a statement: its time, text and parameters; what was cancelled is over."""
        self.utc_now, self.text, self.parameters = now, text, parameters

    def renew(self) -> None:
        """Forget a cancel that was meant for an earlier text."""
        with self._lock:
            self._is_cancelled = False

    def check(self) -> None:
        """Raise SqlError 1317 when the statement was cancelled: for loops outside the engine."""
        if self._is_cancelled:
            raise interrupted()

    @contextmanager
    def executing(self, engine: Engine) -> Iterator[Execution]:
        """Open a place to run in, which `cancel` reaches; it is closed with the block."""
        execution = engine.open()
        with self._lock:
            self._executions.append(execution)
            is_cancelled = self._is_cancelled
        try:
            if is_cancelled:
                raise interrupted()
            yield execution
        finally:
            with self._lock:
                self._executions.remove(execution)
            execution.close()

    def warn(self, message: str, *, code: int = 1105, level: str = "Warning") -> None:
        """Add a row to SHOW WARNINGS."""
        if len(self.warnings) < limits.SESSION_WARNINGS_MAX:
            self.warnings.append(Warning_(level, code, message))

    def use(self, catalog: RepositoryId, ref: Ref, database: str | None) -> None:
        """Move to a place that was checked."""
        self.catalog, self.ref, self._database = catalog, ref, database

    @property
    def time_zone(self) -> str:
        """Return the zone's name or offset, SYSTEM as UTC."""
        zone = str(self.variables["time_zone"])
        return "UTC" if zone == "SYSTEM" else zone

    @property
    def place(self) -> Place:
        """Return the session's catalog at its ref."""
        return Place(self.catalog, self.ref)

    def catalog_named(self, name: str | None) -> RepositoryId:
        """Return a catalog by name; none and `internal` are the session's and the default one."""
        if not name:
            return self.catalog
        return self.default_catalog if name == INTERNAL_CATALOG else RepositoryId(name)

    def database_place(
        self, database: str | None = None, *, catalog: str | None = None, ref: str | None = None
    ) -> DatabasePlace:
        """Return a database by a name as written, the session's when None; raise 1046."""
        if database is None:
            if self._database is None:
                raise no_database()
            database = self._database
        name = parse_database_text(database)
        chosen = ref or name.ref
        place = Place(
            self.catalog_named(catalog or name.catalog), Ref(chosen) if chosen else self.ref
        )
        return DatabasePlace(place, name.database)

    def table_place(self, name: statements.TableName) -> TablePlace:
        """Return a table as a statement names it; it may not exist."""
        within = self.database_place(name.database, catalog=name.catalog, ref=name.ref)
        return within.table(name.table)

    @property
    def context(self) -> Context:
        """Return what translations see of the session."""
        return Context(
            utc_now=self.utc_now,
            time_zone=self.time_zone,
            database=self._database,
            user=f"'{self._user}'@'%'",
            version=VERSION,
            connection_id=self._connection_id,
            catalog=self.catalog,
            ref=self.ref,
            sql_mode=str(self.variables["sql_mode"]),
            variables=self.variables,
            global_variables=self.variables.globals,
            user_variables=self.user_variables,
            shows_opaque=bool(self.variables["return_object_data_as_binary"]),
        )

    def _computed(self, name: str) -> object:
        """Return a variable that says where the session stands."""
        match name:
            case "ref":
                return str(self.ref)
            case "catalog":
                return str(self.catalog)
            case "timestamp":
                return self.utc_now.timestamp()
            case "warning_count":
                return len(self.warnings)
            case "error_count":
                return sum(1 for warning in self.warnings if warning.level == "Error")
            case "pseudo_thread_id":
                return self._connection_id
            case "proxy_user" | "external_user":
                return None
        raise KeyError(name)


def utc_of(now_ns: int) -> datetime:
    """Return a clock's time as a moment, exact to the microsecond."""
    seconds, rest = divmod(now_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)
