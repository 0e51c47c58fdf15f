"""The warehouse behind Doris's HTTP: stream loads, their transactions, tables by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from anabranch.access.sql_users import Level
from anabranch.doris.loads import LoadStatus, StreamLoadRequest, StreamLoadResult
from anabranch.doris.pipe import Pipe
from anabranch.kernel.errors import AnabranchError, Kind, NotFound
from anabranch.kernel.ids import Ref, RepositoryId
from anabranch.warehouse.catalog.publishing import TableChange
from anabranch.warehouse.catalog.tables import Stored
from anabranch.warehouse.errors import SqlError, doris, unknown_database
from anabranch.warehouse.guarding import UserGuard
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.load_control import RUN_FAIL, Control
from anabranch.warehouse.jobs.load_jobs import Outcome
from anabranch.warehouse.jobs.load_records import Counts, LoadState
from anabranch.warehouse.jobs.load_records import Stored as StoredLoad
from anabranch.warehouse.jobs.stream_loads import StreamLoads, StreamOutcome, existing_status
from anabranch.warehouse.loading.load import Loader, LoadTask, OpenFor
from anabranch.warehouse.loading.sources import Source
from anabranch.warehouse.loading.writing import OpenRowset
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.results import Rows, Statements
from anabranch.warehouse.rowsets.writer import RowsetWriter
from anabranch.warehouse.schema import Table
from anabranch.warehouse.session import parse_database_text
from anabranch.warehouse.sql.lexer import quote_name

_SOURCE = "stream load"


@dataclass(frozen=True, slots=True)
class WarehouseLoads:
    """Runs stream loads in the default catalog, for users who may write."""

    parts: Parts
    loader: Loader
    streams: StreamLoads
    error_logs: ErrorLogs
    guard: UserGuard

    def run(self, request: StreamLoadRequest, source: Pipe) -> StreamLoadResult:
        """Load and publish, or prepare; see `loads.StreamLoads`."""
        self.guard.check_level(request.user, Level.FULL)
        options = request.options
        place = database_place(self.parts, request.database)
        table = place.table(request.table)
        found = self.parts.tables.get(table)
        label = options.label or self._generated(is_group=options.is_group_commit)
        try:
            begun = self.streams.begin(
                place,
                [request.table],
                label=label,
                is_label_given=options.label is not None,
                user=request.user,
                client=request.address,
                comment=options.comment,
                timeout_s=options.timeout_s,
                max_filter_ratio=options.rows.max_filter_ratio,
            )
        except SqlError as error:
            if error.kind is not Kind.LABEL_USED:
                raise
            return self._label_used(place, label, error)
        control = Control()
        load = self._once(request, table, found, source, control)
        try:
            if options.is_two_phase:
                return _result(self.streams.prepare(begun, load, control))
            return _result(self.streams.run(place, begun, load, control))
        except AnabranchError as error:
            return _failed(begun, error.message)

    def _generated(self, *, is_group: bool) -> str:
        text = self.parts.ids.hex32()
        if is_group:
            return f"group_commit_{text}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def _label_used(self, place: DatabasePlace, label: str, error: SqlError) -> StreamLoadResult:
        record = self.streams.find(place, label)
        return StreamLoadResult(
            LoadStatus.LABEL_EXISTS,
            f"[LABEL_ALREADY_EXISTS]{error.message}",
            label=label,
            existing_state="FINISHED" if record is None else existing_status(record),
        )

    def _once(
        self,
        request: StreamLoadRequest,
        table: TablePlace,
        found: Stored,
        source: Pipe,
        control: Control,
    ) -> Callable[[], Outcome]:
        """Return what loads the body; a second time is refused, since the body is gone."""
        is_begun = False

        def load() -> Outcome:
            nonlocal is_begun
            if is_begun:
                raise doris(f"the schema of table {request.table} has changed, load again")
            is_begun = True
            # Either side ends the other: a transaction that is over waits for no client, and a
            # client that is gone leaves nothing to compute.
            with (
                control.interrupting(lambda: source.fail(control.ended())),
                source.interrupting(lambda: control.end(RUN_FAIL, "the body broke off")),
            ):
                return self._load(request, table, found, source, control)

        return load

    def _load(
        self,
        request: StreamLoadRequest,
        table: TablePlace,
        found: Stored,
        source: Pipe,
        control: Control,
    ) -> Outcome:
        # The transaction judges the ratio, so that its record and log have the bad rows.
        options = replace(request.options.rows, max_filter_ratio=1.0)
        sources = [Source(_SOURCE, lambda: source)]
        task = LoadTask(found.schema, request.table, sources, options)
        with self.parts.engine.open() as execution, control.interrupting(execution.cancel):
            try:
                loaded = self.loader.run(task, execution, self._opening(table))
            except SqlError:
                source.check()
                raise
        counts = Counts(
            loaded.total_rows,
            loaded.loaded_rows,
            loaded.filtered_rows,
            loaded.unselected_rows,
            loaded.scanned_bytes,
            1,
            loaded.scanned_bytes,
        )
        changes: tuple[TableChange, ...] = ()
        if loaded.rowsets:
            changes = (TableChange(table, found.schema.id, found.identity, rowsets=loaded.rowsets),)
        return Outcome(changes, counts, loaded.errors)

    def _opening(self, place: TablePlace) -> OpenFor:
        lake, ids = self.parts.lake, self.parts.ids
        repository = lake.repositories.get(place.place.repository)

        def open_for(table: Table, written: Sequence[int]) -> OpenRowset:
            return lambda partition: RowsetWriter(
                lake.bodies, repository, ids, table, partition, written
            )

        return open_for

    def commit(self, database: str, user: str, *, transaction_id: int | None, label: str) -> None:
        """Publish what a two-phase load prepared."""
        self.guard.check_level(user, Level.FULL)
        place = database_place(self.parts, database)
        self.streams.commit(place, label if transaction_id is None else transaction_id)

    def abort(self, database: str, user: str, *, transaction_id: int | None, label: str) -> None:
        """Forget what a two-phase load prepared."""
        self.guard.check_level(user, Level.FULL)
        place = database_place(self.parts, database)
        self.streams.abort(place, label if transaction_id is None else transaction_id)

    def state_of(self, database: str, label: str) -> str:
        """Return the state of a label's transaction, UNKNOWN when there is none."""
        record = self.streams.find(database_place(self.parts, database), label)
        return "UNKNOWN" if record is None else record.state.transaction.value

    def cancel(self, database: str, user: str, label: str) -> None:
        """Abort the transaction of a label that is not over."""
        self.guard.check_level(user, Level.FULL)
        place = database_place(self.parts, database)
        if self.streams.find(place, label) is None:
            raise doris("Load job does not exist")
        self.streams.abort(place, label)

    def find_error_log(self, name: str) -> bytes | None:
        """Return a log of bad rows."""
        return self.error_logs.find(name)


def _result(outcome: StreamOutcome) -> StreamLoadResult:
    record = outcome.record
    is_good = record.state in (LoadState.VISIBLE, LoadState.PRECOMMITTED)
    counts = record.counts
    return StreamLoadResult(
        LoadStatus.SUCCESS if is_good else LoadStatus.FAIL,
        "OK" if is_good else record.message,
        record.transaction_id,
        record.label,
        total_rows=counts.scanned,
        loaded_rows=counts.loaded if is_good else 0,
        filtered_rows=counts.filtered,
        unselected_rows=counts.unselected,
        error_url=outcome.error_url,
    )


def _failed(begun: StoredLoad, message: str) -> StreamLoadResult:
    record = begun.record
    return StreamLoadResult(LoadStatus.FAIL, message, record.transaction_id, record.label)


@dataclass(frozen=True, slots=True)
class WarehouseTables:
    """Tables of the default catalog, as connectors ask for them."""

    parts: Parts
    statements: Statements

    def describe(self, user: str, database: str, table: str) -> Table:
        """Return a table's schema; raise SqlError 1049 or 1146."""
        place = database_place(self.parts, database)
        return self.parts.tables.get(place.table(table)).schema

    def count_rows(self, user: str, database: str, table: str) -> int:
        """Return how many rows a SELECT of the table gives."""
        session = self.statements.open(user, "", database, 0)
        try:
            text = f"SELECT COUNT(*) FROM {quote_name(table)}"  # noqa: S608 - quoted, and Doris's SQL
            for result in self.statements.run(session, text):
                assert isinstance(result, Rows)
                try:
                    return int(next(iter(result.batches)).column(0)[0].as_py())
                finally:
                    result.close()
            raise AssertionError("a query has a result")
        finally:
            self.statements.close(session)


def database_place(parts: Parts, text: str) -> DatabasePlace:
    """Return the place of `[catalog.]db[@ref]`; raise SqlError 1049 for no database."""
    name = parse_database_text(text)
    if not name.database:
        raise unknown_database(text)
    catalog = parts.default_catalog if name.catalog is None else RepositoryId(name.catalog)
    if name.ref is not None:
        return DatabasePlace(Place(catalog, Ref(name.ref)), name.database)
    try:
        branch = parts.lake.repositories.get(catalog).default_branch
    except NotFound:
        raise unknown_database(text) from None
    return DatabasePlace(Place(catalog, Ref(branch)), name.database)
