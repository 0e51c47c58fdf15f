"""Joins the warehouse over opened stores; apart from bootstrap, so that workers load no engine."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from anabranch import __version__
from anabranch.directory import Directory
from anabranch.doris.running import WarehouseLoads, WarehouseTables
from anabranch.kernel.errors import AlreadyExists
from anabranch.kernel.ids import Namespace, RepositoryId
from anabranch.settings import Settings
from anabranch.stores import Stores, SystemClock, SystemIds
from anabranch.warehouse.catalog.databases import Databases
from anabranch.warehouse.catalog.labels import Labels
from anabranch.warehouse.catalog.publishing import Publisher
from anabranch.warehouse.catalog.snapshots import Snapshots
from anabranch.warehouse.catalog.tables import Tables
from anabranch.warehouse.dispatch import Warehouse
from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.extension import prepare_extension
from anabranch.warehouse.folds.builder import FoldBuilder
from anabranch.warehouse.folds.plans import Folds
from anabranch.warehouse.guarding import UserGuard
from anabranch.warehouse.handlers import loads as load_statements
from anabranch.warehouse.handlers import users as user_statements
from anabranch.warehouse.handlers.changes import Changes
from anabranch.warehouse.handlers.loads import Loads
from anabranch.warehouse.handlers.standard import standard_handlers
from anabranch.warehouse.handlers.transactions import Transactions
from anabranch.warehouse.handlers.users import UserHandler
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.load_jobs import LoadJobs
from anabranch.warehouse.jobs.load_records import LoadRecords
from anabranch.warehouse.jobs.load_running import LoadRunner
from anabranch.warehouse.jobs.stream_loads import StreamLoads
from anabranch.warehouse.loading.load import Loader
from anabranch.warehouse.merging.requests import MergeServer
from anabranch.warehouse.merging.rows import RowConflicts
from anabranch.warehouse.origins.brokers import Brokers, parse_brokers
from anabranch.warehouse.origins.opening import Origins
from anabranch.warehouse.parts import Parts, ServerFacts
from anabranch.warehouse.registry import Registry
from anabranch.warehouse.results import Process, Processes
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.sql import statements as st
from anabranch.warehouse.sql.shows import ShowKind
from anabranch.warehouse.sql.transforms.translate import Translator
from anabranch.warehouse.stored_variables import StoredVariables

COMMITTER = "anabranch"
"""Whose name the first commit of the catalog bears."""
_SKETCH_SHARE = 4
"""The part of the engine's memory that sketches being built may take, outside of DuckDB's own."""


class OpenConnections:
    """The connections of a server that is made after the statements it runs."""

    def __init__(self) -> None:
        self._server: Processes | None = None

    def join(self, server: Processes) -> None:
        """Say whose connections they are."""
        self._server = server

    def list_processes(self) -> list[Process]:
        """Return the connections by id."""
        return [] if self._server is None else self._server.list_processes()

    def kill(self, connection_id: int, *, by: str, is_query_only: bool) -> None:
        """Cancel what a connection runs; see Processes."""
        if self._server is not None:
            self._server.kill(connection_id, by=by, is_query_only=is_query_only)


@dataclass(frozen=True, slots=True)
class Warehousing:
    """The warehouse of one process, and what its surfaces are given."""

    statements: Warehouse
    loads: WarehouseLoads
    tables: WarehouseTables
    connections: OpenConnections
    engine: Engine
    jobs: LoadJobs
    questions: MergeServer
    builder: FoldBuilder
    streams: StreamLoads

    def start(self) -> None:
        """Go on with what was begun, and begin to work."""
        self.questions.start()
        self.streams.resume()
        self.jobs.start()
        self.builder.start()

    def expire(self) -> int:
        """Give up loads and transactions whose time is over; return how many."""
        return self.streams.expire()

    def close(self) -> None:
        """End jobs and what runs in the engine."""
        self.questions.close()
        self.jobs.close()
        self.builder.close()
        self.engine.close()


def ensure_catalog(stores: Stores, settings: Settings) -> None:
    """Make the repository of the SQL databases; one that is there stays as it is."""
    repository = RepositoryId(settings.catalog)
    if stores.lake.repositories.find(repository) is None:
        # The one that came first is as good.
        try:
            namespace = Namespace(f"s3://{settings.catalog}")
            stores.lake.repositories.create(repository, namespace, committer=COMMITTER)
        except AlreadyExists:
            return


def open_engine(settings: Settings) -> Engine:
    """Open DuckDB over the blocks and a folder of its own, sketches loaded, and lock it."""
    directory = Directory(settings.data)
    directory.engine.mkdir(mode=0o700, exist_ok=True)
    memory_bytes = settings.sql_memory_bytes
    sketch_bytes = memory_bytes // _SKETCH_SHARE
    engine = Engine(
        EngineSettings(
            memory_bytes - sketch_bytes,
            settings.sql_threads or 1,
            [directory.blocks, directory.engine],
            directory.engine / "spill",
            [prepare_extension(directory.engine)],
        )
    )
    with engine.open() as execution:
        execution.run(f"SELECT hll_memory_max({sketch_bytes}::BIGINT)")
    return engine


def build_warehouse(settings: Settings, stores: Stores) -> Warehousing:
    """Join the parts. Raises InvalidInput for a broker that is none, and what stores raise."""
    clock, ids = SystemClock(), SystemIds()
    directory = Directory(settings.data)
    lake, users = stores.lake, stores.access.sql_users
    brokers = Brokers(parse_brokers(settings.broker, settings.import_from))
    ensure_catalog(stores, settings)
    engine = open_engine(settings)
    tables, labels, databases = Tables(lake), Labels(lake), Databases(lake)
    snapshots = Snapshots(lake, tables)
    publisher = Publisher(lake, snapshots, labels)
    footers, connections = Footers(), OpenConnections()
    folds = Folds(lake, snapshots, footers)
    builder = FoldBuilder(lake, engine, snapshots, folds, footers, ids)
    records, loader = LoadRecords(lake, labels), Loader(clock, directory.engine)
    error_logs = ErrorLogs(directory.load_errors, ids, lambda: _doris_url(settings))
    runner = LoadRunner(
        lake, engine, tables, loader, brokers, Origins(lake, settings.import_from, directory.path)
    )
    jobs = LoadJobs(
        records, runner, publisher, databases, error_logs, clock, ids, stores.access.sealer
    )
    streams = StreamLoads(lake, records, tables, publisher, databases, error_logs, clock, ids)
    parts = Parts(
        lake=lake,
        engine=engine,
        translator=Translator(),
        databases=databases,
        tables=tables,
        snapshots=snapshots,
        publisher=publisher,
        clock=clock,
        ids=ids,
        footers=footers,
        folds=folds,
        labels=labels,
        loader=loader,
        jobs=jobs,
        users=users,
        processes=connections,
        facts=_facts(settings, clock, brokers),
        default_catalog=RepositoryId(settings.catalog),
    )
    guard, variables = UserGuard(users), StoredVariables(lake)
    statements = Warehouse(parts, _registry(parts, jobs), guard=guard, variables=variables)
    questions = _join_merges(stores, directory, engine)

    return Warehousing(
        statements,
        WarehouseLoads(parts, loader, streams, error_logs, guard),
        WarehouseTables(parts, statements),
        connections,
        engine,
        jobs,
        questions,
        builder,
        streams,
    )


def _join_merges(stores: Stores, directory: Directory, engine: Engine) -> MergeServer:
    """Judge rows of merges here, and for the processes without an engine."""
    rows = RowConflicts(stores.lake, engine)
    stores.merges.join(stores.lake, lambda: rows)
    return MergeServer(directory.merges, rows)


def _registry(parts: Parts, jobs: LoadJobs) -> Registry:
    changes, transactions = Changes(parts), Transactions(parts)
    loads, users = Loads(parts, jobs), UserHandler(parts.users)
    return standard_handlers(parts, changes).joined(
        Registry(
            {
                **dict.fromkeys((st.Insert, st.Delete, st.Update, st.TruncateTable), changes),
                **dict.fromkeys((st.Begin, st.Commit, st.Rollback), transactions),
                **dict.fromkeys(load_statements.STATEMENTS, loads),
                **dict.fromkeys(user_statements.STATEMENTS, users),
            },
            {**dict.fromkeys(load_statements.SHOWS, loads), ShowKind.GRANTS: users},
        )
    )


def _facts(settings: Settings, clock: SystemClock, brokers: Brokers) -> ServerFacts:
    return ServerFacts(
        version=f"anabranch-{__version__}",
        host=shown_host(settings.host),
        mysql_port=settings.sql_port,
        http_port=settings.doris_port,
        started_us=clock.now_ns() // 1_000,
        brokers=tuple(brokers.names),
    )


def shown_host(host: str) -> str:
    """Return what clients are told of where we listen: every interface is this machine's name."""
    try:
        is_any = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_any = False
    return socket.gethostname() if is_any else host


def _doris_url(settings: Settings) -> str:
    host = shown_host(settings.host)
    host = f"[{host}]" if ":" in host else host
    return f"{settings.scheme}://{host}:{settings.doris_port}"
