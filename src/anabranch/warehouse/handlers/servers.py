"""SHOW FRONTENDS, BACKENDS, BROKER and PROC: this server, in the rows that Doris's clients read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from anabranch.warehouse.errors import doris
from anabranch.warehouse.handlers.alters import AlterLog
from anabranch.warehouse.handlers.describing import number_of, size_text
from anabranch.warehouse.handlers.shown import Shown, select
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.origins import brokers
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import DatabasePlace
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.shows import Show, ShowKind

_BACKENDS = (
    "BackendId", "Cluster", "IP", "HostName", "HeartbeatPort", "BePort", "HttpPort", "BrpcPort",
    "LastStartTime", "LastHeartbeat", "Alive", "SystemDecommissioned", "ClusterDecommissioned",
    "TabletNum", "DataUsedCapacity", "AvailCapacity", "TotalCapacity", "UsedPct", "MaxDiskUsedPct",
    "Tag", "ErrMsg", "Version", "Status",
)  # fmt: skip
_FRONTENDS = (
    "Name", "Host", "EditLogPort", "HttpPort", "QueryPort", "RpcPort", "ArrowFlightSqlPort", "Role",
    "IsMaster", "ClusterId", "Join", "Alive", "ReplayedJournalId", "LastStartTime",
    "LastHeartbeat", "IsHelper", "ErrMsg", "Version", "CurrentConnected",
)  # fmt: skip
_DATABASES = (
    "DbId", "DbName", "TableNum", "Size", "Quota", "LastConsistencyCheckTime", "ReplicaCount",
    "ReplicaQuota", "TransactionQuota", "LastUpdateTime",
)  # fmt: skip
_TABLES = (
    "TableId", "TableName", "IndexNum", "PartitionColumnName", "PartitionNum", "State", "Type",
    "LastConsistencyCheckTime", "ReplicaCount", "VisibleVersion", "VisibleVersionTime",
)  # fmt: skip
_JOBS = ("JobType", "Pending", "Running", "Finished", "Cancelled", "Total")
ALTER_COLUMN = (
    "JobId", "TableName", "CreateTime", "FinishTime", "IndexName", "IndexId", "OriginIndexId",
    "SchemaVersion", "TransactionId", "State", "Msg", "Progress", "Timeout",
)  # fmt: skip
ALTER_ROLLUP = (
    "JobId", "TableName", "CreateTime", "FinishTime", "BaseIndexName", "RollupIndexName",
    "RollupId", "TransactionId", "State", "Msg", "Progress", "Timeout",
)  # fmt: skip
_TIMEOUT_S = "86400"
_BACKEND_ID = "10001"


def time_text(microseconds: int) -> str:
    """Return a time as Doris prints it, UTC."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Servers:
    """SHOW about the server, and its jobs of ALTER TABLE."""

    def __init__(self, parts: Parts, reader: Reader, log: AlterLog) -> None:
        self._parts = parts
        self._reader = reader
        self._log = log
        self._shows: dict[ShowKind, Callable[[SqlSession, Show], Shown]] = {
            ShowKind.ALTER_COLUMN: lambda session, show: self._alters(session, show.database),
            ShowKind.ALTER_MATERIALIZED_VIEW: lambda *_: Shown(ALTER_ROLLUP, ()),
            ShowKind.ALTER_ROLLUP: lambda *_: Shown(ALTER_ROLLUP, ()),
            ShowKind.BACKENDS: lambda *_: self._backends(),
            ShowKind.BROKER: lambda *_: self._brokers(),
            ShowKind.FRONTENDS: lambda *_: self._frontends(),
            ShowKind.PROC: lambda session, show: self._proc(session, show.argument),
        }

    @property
    def kinds(self) -> tuple[ShowKind, ...]:
        """Return what it shows."""
        return tuple(self._shows)

    def run(self, session: SqlSession, statement: Show) -> Iterator[Result]:
        """Yield the rows."""
        shown = self._shows[statement.kind](session, statement)
        like = 1 if statement.kind is ShowKind.ALTER_COLUMN else 0
        yield select(self._reader, session, shown, statement, like=like)

    def _now(self) -> str:
        return time_text(self._parts.clock.now_ns() // 1_000)

    def _backends(self) -> Shown:
        facts = self._parts.facts
        total = size_text(facts.data_bytes_max)
        row = (
            *(_BACKEND_ID, "default_cluster", facts.host, facts.host, "9050", "9060"),
            *(str(facts.http_port), "8060", time_text(facts.started_us), self._now(), "true"),
            *("false", "false", "0", "0.000 ", total, total, "0.00 %", "0.00 %"),
            *('{"location" : "default"}', "", facts.version),
            '{"lastSuccessReportTabletsTime":"N/A","lastStreamLoadTime":-1}',
        )
        return Shown(_BACKENDS, [row])

    def _frontends(self) -> Shown:
        facts = self._parts.facts
        row = (
            *(f"fe_{facts.host}", facts.host, "9010", str(facts.http_port)),
            *(str(facts.mysql_port), "9020", "-1", "FOLLOWER", "true", "1", "true", "true", "1"),
            *(time_text(facts.started_us), self._now(), "true", "", facts.version, "Yes"),
        )
        return Shown(_FRONTENDS, [row])

    def _brokers(self) -> Shown:
        facts = self._parts.facts
        times = time_text(facts.started_us), self._now()
        rows = [
            (name, facts.host, str(facts.http_port), "true", *times, "") for name in facts.brokers
        ]
        return Shown(brokers.COLUMNS, rows)

    def _alters(self, session: SqlSession, database: str | None) -> Shown:
        within = session.database_place(database)
        self._parts.databases.get(within)
        rows = []
        for job in self._log.list(within):
            when, number = time_text(job.time_us), str(job.id)
            rows.append(
                (
                    *(number, job.table, when, when, job.table, number, number, "1:0", number),
                    *("FINISHED", "", None, _TIMEOUT_S),
                )
            )
        return Shown(ALTER_COLUMN, rows)

    def _proc(self, session: SqlSession, path: str) -> Shown:
        parts = [part for part in path.strip().split("/") if part]
        match parts:
            case []:
                names = ("backends", "brokers", "dbs", "frontends", "jobs", "statistic")
                return Shown(("name",), [(name,) for name in names])
            case ["backends"]:
                return self._backends()
            case ["frontends"]:
                return self._frontends()
            case ["brokers"]:
                return self._brokers()
            case ["dbs"]:
                return self._databases(session)
            case ["dbs", database]:
                return self._tables(session, self._database(session, database))
            case ["jobs"]:
                found = self._parts.databases.list(session.place)
                return Shown(
                    ("DbId", "DbName"), [(self._id(session, name), name) for name in found]
                )
            case ["jobs", database]:
                return self._jobs(session, self._database(session, database))
            case ["jobs", database, "schema_change"]:
                return self._alters(session, self._database(session, database))
            case ["jobs", database, "rollup"]:
                self._database(session, database)
                return Shown(ALTER_ROLLUP, ())
            case ["statistic"]:
                databases = self._databases(session)
                return Shown(databases.columns[:3], [row[:3] for row in databases.rows])
        raise doris(f"Proc path '{path[:200]}' doesn't exist")

    def _id(self, session: SqlSession, database: str) -> str:
        within = DatabasePlace(session.place, database)
        return str(number_of(self._parts.databases.get(within).id))

    def _database(self, session: SqlSession, text: str) -> str:
        """Return a database's name, which a path gives by name or by id."""
        if text.isdigit():
            for name in self._parts.databases.list(session.place):
                if self._id(session, name) == text:
                    return name
        within = session.database_place(text)
        self._parts.databases.get(within)
        return within.database

    def _databases(self, session: SqlSession) -> Shown:
        rows = []
        for name in self._parts.databases.list(session.place):
            session.check()
            count = len(self._parts.tables.list(DatabasePlace(session.place, name)))
            quota = size_text(self._parts.facts.data_bytes_max)
            rows.append(
                (
                    *(self._id(session, name), name, str(count), "0.000 ", quota),
                    *(None, "0", "1073741824", "100", None),
                )
            )
        return Shown(_DATABASES, rows)

    def _tables(self, session: SqlSession, database: str) -> Shown:
        within = session.database_place(database)
        rows = []
        for place, stored in information_schema.list_tables(self._parts, within):
            session.check()
            schema = stored.schema
            count = len(schema.partitioning.partitions) if schema.partitioning else 1
            rows.append(
                (
                    *(str(number_of(schema.id)), place.table, "1"),
                    *(information_schema.partition_expression(schema), str(count), "NORMAL"),
                    *("OLAP", None, "1", "1", None),
                )
            )
        return Shown(_TABLES, rows)

    def _jobs(self, session: SqlSession, database: str) -> Shown:
        finished = str(len(self._log.list(session.database_place(database))))
        rows = [
            ("schema_change", "0", "0", finished, "0", finished),
            ("rollup", "0", "0", "0", "0", "0"),
        ]
        return Shown(_JOBS, rows)
