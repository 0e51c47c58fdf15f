"""SHOW of the session and of lists that never change; what does not exist here shows no rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.handlers.shown import Shown, select
from anabranch.warehouse.information import fixed_lists as lists
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.shows import Show, ShowKind
from anabranch.warehouse.variables import shown_value

# What clients ask for and is never there: columns as Doris or MySQL has them.
_EMPTY: dict[ShowKind, str] = {
    ShowKind.DELETE: "TableName PartitionName CreateTime DeleteCondition State",
    ShowKind.DYNAMIC_PARTITION_TABLES: """TableName Enable TimeUnit Start End Prefix Buckets
        ReplicationNum ReplicaAllocation StartOf LastUpdateTime LastSchedulerTime State
        LastCreatePartitionMsg LastDropPartitionMsg ReservedHistoryPeriods""",
    ShowKind.EVENTS: """Db Name Definer Time_zone Type Execute_at Interval_value Interval_field
        Starts Ends Status Originator character_set_client collation_connection
        Database_Collation""",
    ShowKind.EXPORT: """JobId Label State Progress TaskInfo Path CreateTime StartTime FinishTime
        Timeout ErrorMsg OutfileInfo""",
    ShowKind.FRONTEND_CONFIG: "Key Value Type IsMutable MasterOnly Comment",
    ShowKind.FUNCTIONS: "Signature ReturnType FunctionType IntermediateType Properties",
    ShowKind.FUNCTION_STATUS: """Db Name Type Definer Modified Created Security_type Comment
        character_set_client collation_connection Database_Collation""",
    ShowKind.LOAD_PROFILE: "QueryId TaskType StartTime EndTime TotalTime QueryState",
    ShowKind.OPEN_TABLES: "Database Table In_use Name_locked",
    ShowKind.PLUGINS: "Name Status Type Library License",
    ShowKind.PRIVILEGES: "Privilege Context Comment",
    ShowKind.PROCEDURE_STATUS: """Db Name Type Definer Modified Created Security_type Comment
        character_set_client collation_connection Database_Collation""",
    ShowKind.QUERY_PROFILE: "QueryId TaskType StartTime EndTime TotalTime QueryState",
    ShowKind.REPOSITORIES: "RepoId RepoName CreateTime IsReadOnly Location Broker ErrMsg",
    ShowKind.RESOURCES: "Name ResourceType Item Value",
    ShowKind.ROUTINE_LOAD: """Id Name CreateTime PauseTime EndTime DbName TableName IsMultiTable
        State DataSourceType CurrentTaskNum JobProperties DataSourceProperties CustomProperties
        Statistic Progress Lag ReasonOfStateChanged ErrorLogUrls OtherMsg User Comment""",
    ShowKind.TABLETS: """TabletId ReplicaId BackendId SchemaHash Version LstSuccessVersion
        LstFailedVersion LstFailedTime LocalDataSize RemoteDataSize RowCount State
        LstConsistencyCheckTime CheckVersion VersionCount QueryHits PathHash Path MetaUrl
        CompactionStatus CooldownReplicaId CooldownMetaId""",
    ShowKind.TRIGGERS: """Trigger Event Table Statement Timing Created sql_mode Definer
        character_set_client collation_connection Database_Collation""",
}


class Shows:
    """SHOW of everything that is not about tables, users or loads."""

    def __init__(self, parts: Parts, reader: Reader) -> None:
        self._parts = parts
        self._reader = reader
        self._shows: dict[ShowKind, Callable[[SqlSession, Show], Shown]] = {
            ShowKind.AUTHORS: lambda *_: Shown(("Name", "Location", "Comment"), ()),
            ShowKind.CATALOGS: self._catalogs,
            ShowKind.CHARSET: lambda *_: _charsets(),
            ShowKind.COLLATION: lambda *_: _collations(),
            ShowKind.COUNT_ERRORS: _count_errors,
            ShowKind.COUNT_WARNINGS: _count_warnings,
            ShowKind.CREATE_CATALOG: self._create_catalog,
            ShowKind.ENGINES: lambda *_: _engines(),
            ShowKind.ERRORS: _warnings,
            ShowKind.LAST_INSERT: _last_insert,
            ShowKind.PROCESSLIST: self._processlist,
            ShowKind.STATUS: self._status,
            ShowKind.VARIABLES: _variables,
            ShowKind.WARNINGS: _warnings,
        }

    @property
    def kinds(self) -> tuple[ShowKind, ...]:
        """Return what it shows."""
        return (*self._shows, *_EMPTY)

    def run(self, session: SqlSession, statement: Show) -> Iterator[Result]:
        """Yield the rows."""
        show = self._shows.get(statement.kind)
        if show is None:
            shown = Shown(tuple(_EMPTY[statement.kind].split()), ())
        else:
            shown = show(session, statement)
        like = 1 if statement.kind is ShowKind.CATALOGS else 0
        yield select(self._reader, session, shown, statement, like=like)

    def _catalogs(self, session: SqlSession, show: Show) -> Shown:
        del show
        names: list[str] = []
        after: str | None = ""
        while after is not None and len(names) < limits.LOG_ROWS_MAX:
            page = self._parts.lake.repositories.list(after=after, amount=limits.PAGE_MAX)
            names += [repository.id for repository in page.items]
            after = page.next_after
        columns = ("CatalogId", "CatalogName", "Type", "IsCurrent", "CreateTime", "Comment")
        rows = [
            (str(at), name, "internal", "Yes" if name == session.catalog else "No", None, "")
            for at, name in enumerate(names)
        ]
        return Shown(columns, rows)

    def _create_catalog(self, session: SqlSession, show: Show) -> Shown:
        catalog = session.catalog_named(show.database)
        if self._parts.lake.repositories.find(catalog) is None:
            raise doris(f"Unknown catalog '{show.database}'")
        return Shown(("Catalog", "CreateCatalog"), [(catalog, f"CREATE CATALOG `{catalog}`")])

    def _processlist(self, session: SqlSession, show: Show) -> Shown:
        del session
        columns = ("Id", "User", "Host", "db", "Command", "Time", "State", "Info")
        processes = self._parts.processes.list_processes() if self._parts.processes else []
        rows = [
            (
                *(each.connection_id, each.user, each.address, each.database, each.command),
                *(each.seconds, each.state, each.text if show.is_full else each.text[:100]),
            )
            for each in processes
        ]
        return Shown(columns, rows, frozenset(("Id", "Time")))

    def _status(self, session: SqlSession, show: Show) -> Shown:
        del session, show
        processes = self._parts.processes.list_processes() if self._parts.processes else []
        uptime_us = self._parts.clock.now_ns() // 1_000 - self._parts.facts.started_us
        values = dict(lists.STATUS) | {
            "Threads_connected": str(len(processes)),
            "Uptime": str(max(0, uptime_us // 1_000_000)),
        }
        return Shown(("Variable_name", "Value"), sorted(values.items()))


def _charsets() -> Shown:
    columns = ("Charset", "Description", "Default collation", "Maxlen")
    rows = [(row[0], row[2], row[1], row[3]) for row in lists.CHARACTER_SETS]
    return Shown(columns, rows, frozenset(("Maxlen",)))


def _collations() -> Shown:
    columns = ("Collation", "Charset", "Id", "Default", "Compiled", "Sortlen")
    return Shown(columns, lists.COLLATIONS, frozenset(("Id", "Sortlen")))


def _engines() -> Shown:
    columns = ("Engine", "Support", "Comment", "Transactions", "XA", "Savepoints")
    return Shown(columns, lists.ENGINES)


def _count_errors(session: SqlSession, _: Show) -> Shown:
    name = "@@session.error_count"
    count = sum(1 for warning in session.warnings if warning.level == "Error")
    return Shown((name,), [(count,)], frozenset((name,)))


def _count_warnings(session: SqlSession, _: Show) -> Shown:
    name = "@@session.warning_count"
    return Shown((name,), [(len(session.warnings),)], frozenset((name,)))


def _warnings(session: SqlSession, show: Show) -> Shown:
    rows = [
        (warning.level, warning.code, warning.message)
        for warning in session.warnings
        if show.kind is ShowKind.WARNINGS or warning.level == "Error"
    ]
    return Shown(("Level", "Code", "Message"), rows, frozenset(("Code",)))


def _last_insert(session: SqlSession, _: Show) -> Shown:
    columns = ("TransactionId", "Label", "Database", "Table", "TransactionStatus", "LoadedRows",
               "FilteredRows")  # fmt: skip
    last = session.last_insert
    if last is None:
        raise SqlError(1105, "HY000", "errCode = 2, detailMessage = not insert statement before")
    row = (
        *(str(last.transaction_id), last.label, last.database, last.table, last.status),
        *(str(last.loaded_rows), str(last.filtered_rows)),
    )
    return Shown(columns, [row])


def _variables(session: SqlSession, show: Show) -> Shown:
    variables = session.variables
    rows = [
        (name, shown_value(variables.global_value(name) if show.is_global else variables[name]))
        for name in variables
    ]
    return Shown(("Variable_name", "Value"), rows)
