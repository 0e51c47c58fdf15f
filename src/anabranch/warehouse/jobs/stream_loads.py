"""Stream loads: transactions of one table that a client drives over HTTP, in one phase or two.

In two phases `prepare` gives the rowsets durable places and keeps them in the record; `commit`
publishes them on the branch as it is then, with a fresh sequence. What was not prepared when its
process ended is ABORTED; what was, waits for its commit until its time is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import AnabranchError, Kind, NotFound
from anabranch.lake import Lake
from anabranch.lake.bodies import Existing
from anabranch.storage.kv.base import Condition, Prepared, Window, Write
from anabranch.warehouse.catalog.databases import Databases
from anabranch.warehouse.catalog.publishing import (
    LabelUse,
    Publication,
    Publisher,
    TableChange,
    TableMoved,
)
from anabranch.warehouse.catalog.tables import Tables
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.insert_jobs import JOBS, TRANSACTIONS
from anabranch.warehouse.jobs.load_control import QUALITY, RUN_FAIL, TIMEOUT, USER_CANCEL, Control
from anabranch.warehouse.jobs.load_jobs import NO_ROWS, Outcome, abandon
from anabranch.warehouse.jobs.load_records import (
    LoadKind,
    LoadRecord,
    LoadRecords,
    LoadState,
    PreparedRowset,
    Scope,
    Stored,
    writes_of,
)
from anabranch.warehouse.places import DatabasePlace
from anabranch.warehouse.rowsets.rowset import NewRowset, RowsetKind, decode_header, encode_header
from anabranch.warehouse.schema import Table

_TOO_MANY_FILTERED = "[DATA_QUALITY_ERROR]too many filtered rows"


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """What came of a stream load: its record as it is now, and the URL of its error log."""

    record: LoadRecord
    error_url: str = ""


class StreamLoads:
    """Begins, publishes, prepares, commits and aborts the transactions of stream loads."""

    def __init__(
        self,
        lake: Lake,
        records: LoadRecords,
        tables: Tables,
        publisher: Publisher,
        databases: Databases,
        error_logs: ErrorLogs,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._lake = lake
        self._records = records
        self._tables = tables
        self._publisher = publisher
        self._databases = databases
        self._error_logs = error_logs
        self._clock = clock
        self._process = ids.hex32()
        self._lock = threading.Lock()
        self._running: dict[int, Control] = {}

    def scope_of(self, place: DatabasePlace) -> Scope:
        """Return a database's incarnation on its branch; raise SqlError 1049."""
        return self._records.scope_of(place, self._databases.get(place).id)

    def begin(
        self,
        place: DatabasePlace,
        tables: Sequence[str],
        *,
        label: str,
        is_label_given: bool,
        user: str,
        client: str = "",
        comment: str = "",
        timeout_s: int = limits.STREAM_LOAD_TIMEOUT_S,
        max_filter_ratio: float = 0.0,
    ) -> Stored:
        """Record a transaction in state PREPARE with its label reserved.

        Raises SqlError of Kind.LABEL_USED, which names the job that has the label.
        """
        record = LoadRecord(
            id=self._records.next_id(JOBS),
            transaction_id=self._records.next_id(TRANSACTIONS),
            label=label,
            kind=LoadKind.STREAM,
            state=LoadState.PREPARE,
            scope=self.scope_of(place),
            user=user,
            created_us=self._now_us(),
            tables=tuple(tables),
            is_label_given=is_label_given,
            comment=comment,
            client=client,
            timeout_s=timeout_s,
            max_filter_ratio=max_filter_ratio,
            owner=self._process,
        )
        return self._records.create(place, record)

    def run(
        self,
        place: DatabasePlace,
        stored: Stored,
        load: Callable[[], Outcome],
        control: Control | None = None,
    ) -> StreamOutcome:
        """Load and publish; the record is VISIBLE or ABORTED. Raises what `load` raises, ABORTED.

        `load` is called again when the table changed meanwhile: it must begin its source anew, or
        raise. `control` is ended when the transaction is aborted while it loads.
        """
        for _ in range(limits.LOAD_PLANS_MAX):
            outcome = self._loaded(stored, load, control)
            judged = self._judged(stored, outcome)
            if judged.record.state.is_final:
                abandon(outcome)
                return judged
            done = judged.record.published(outcome.counts, self._now_us())
            try:
                self._publish(place, stored, done, outcome.changes)
            except TableMoved:
                abandon(outcome)
                continue
            except AnabranchError as error:
                abandon(outcome)
                self._abort_now(stored, RUN_FAIL, error.message)
                raise
            return self._shown(done)
        self._abort_now(stored, RUN_FAIL, "transaction conflict")
        raise doris("transaction conflict")

    def prepare(
        self, stored: Stored, load: Callable[[], Outcome], control: Control | None = None
    ) -> StreamOutcome:
        """Load and keep the rowsets; the record is PRECOMMITTED or ABORTED. See `run`."""
        outcome = self._loaded(stored, load, control)
        judged = self._judged(stored, outcome)
        if judged.record.state.is_final:
            abandon(outcome)
            return judged
        try:
            record = self._place(stored, judged.record, outcome)
        except AnabranchError as error:
            abandon(outcome)
            self._abort_now(stored, RUN_FAIL, error.message)
            raise
        return self._shown(record)

    def commit(self, place: DatabasePlace, transaction: int | str) -> LoadRecord:
        """Publish what was prepared, on the branch as it is now.

        Raises SqlError when there is no such transaction or it is not PRECOMMITTED; a table that
        is gone or changed too much ends it as ABORTED.
        """
        for _ in range(limits.LOAD_PLANS_MAX):
            stored = self._get(place, transaction)
            record = stored.record
            if record.state is LoadState.VISIBLE:
                raise doris(f"transaction [{record.transaction_id}] is already visible, not "
                            "pre-committed.")  # fmt: skip
            if record.state is not LoadState.PRECOMMITTED:
                raise doris(f"transaction [{record.transaction_id}] is already "
                            f"{record.state}, not pre-committed.")  # fmt: skip
            if record.deadline_us < self._now_us():
                self._abort(stored, TIMEOUT, "transaction is timeout")
                raise doris(f"transaction [{record.transaction_id}] is timeout")
            done = record.published(record.counts, self._now_us())
            try:
                self._publish(place, stored, done, self._changes(place, record))
            except TableMoved:
                continue
            except (SqlError, NotFound) as error:
                self._abort_now(stored, RUN_FAIL, error.message)
                raise
            return done
        raise doris("transaction conflict")

    def abort(self, place: DatabasePlace, transaction: int | str) -> LoadRecord:
        """End a transaction that is not over; raise SqlError when it is."""
        stored = self._get(place, transaction)
        state = stored.record.state
        if state.is_final:
            raise doris(f"transaction [{stored.record.transaction_id}] is already {state}, "
                        "could not abort.")  # fmt: skip
        ended = self._abort(stored, USER_CANCEL, "User Abort")
        if ended is None:
            raise doris(f"transaction [{stored.record.transaction_id}] has just changed")
        return ended

    def find(self, place: DatabasePlace, transaction: int | str) -> LoadRecord | None:
        """Return a load by transaction id or by label, the newest of that label."""
        found = self._find(self.scope_of(place), transaction)
        return None if found is None else found.record

    def resume(self) -> int:
        """Abort what processes that are gone left unprepared; return how many."""
        count = 0
        for stored in self._records.list_open():
            record = stored.record
            is_ours = record.owner == self._process
            if record.kind is LoadKind.STREAM and record.state is LoadState.PREPARE and not is_ours:
                message = "its process ended while it loaded"
                count += self._abort(stored, RUN_FAIL, message) is not None
        return count

    def expire(self) -> int:
        """Abort transactions whose time is over; return how many. For the watching thread."""
        now_us = self._now_us()
        count = 0
        for stored in self._records.list_open():
            if stored.record.kind is LoadKind.STREAM and stored.record.deadline_us < now_us:
                count += self._abort(stored, TIMEOUT, "timeout by txn manager") is not None
        return count

    # Steps

    def _loaded(
        self, stored: Stored, load: Callable[[], Outcome], control: Control | None
    ) -> Outcome:
        try:
            with self._registered(stored, control):
                return load()
        except AnabranchError as error:
            failure = TIMEOUT if error.kind is Kind.TIMEOUT else RUN_FAIL
            self._abort_now(stored, failure, error.message)
            raise
        except BaseException:
            # Whatever a source raises: the label must be free again.
            self._abort_now(stored, RUN_FAIL, "the load was broken off")
            raise

    @contextmanager
    def _registered(self, stored: Stored, control: Control | None) -> Iterator[None]:
        """Let an abort reach what loads."""
        if control is None:
            yield
            return
        transaction = stored.record.transaction_id
        with self._lock:
            self._running[transaction] = control
        try:
            # Aborted before it was listed, nobody would tell it.
            current = self._records.again(stored)
            if current is None or current.record.state.is_final:
                raise doris(f"transaction [{transaction}] has just been aborted")
            yield
        finally:
            with self._lock:
                del self._running[transaction]

    def _judged(self, stored: Stored, outcome: Outcome) -> StreamOutcome:
        """Return the record with its counts, ABORTED already when the rows are no good."""
        record = replace(
            stored.record, counts=outcome.counts, error_log=self._error_logs.write(outcome.errors)
        )
        failure, message = "", ""
        if outcome.counts.is_over(record.max_filter_ratio):
            failure, message = QUALITY, _TOO_MANY_FILTERED
        elif not outcome.changes:
            failure, message = RUN_FAIL, NO_ROWS
        if failure:
            ended = self._abort(Stored(record, stored.version), failure, message)
            if ended is None:
                raise doris(f"transaction [{record.transaction_id}] has just been aborted")
            record = ended
        return self._shown(record)

    def _shown(self, record: LoadRecord) -> StreamOutcome:
        url = self._error_logs.url(record.error_log) if record.error_log else ""
        return StreamOutcome(record, url)

    def _publish(
        self,
        place: DatabasePlace,
        stored: Stored,
        done: LoadRecord,
        changes: tuple[TableChange, ...],
    ) -> None:
        label = None
        if done.is_label_given:
            label = LabelUse(place, done.label, done.transaction_id)
        self._publisher.publish(
            Publication(
                changes,
                label=label,
                conditions=[stored.is_unchanged],
                writes=writes_of(done),
            )
        )

    def _place(self, stored: Stored, record: LoadRecord, outcome: Outcome) -> LoadRecord:
        """Make the rowsets' bytes objects that no table has, named by the record."""
        if sum(len(one.rowsets) for one in outcome.changes) > limits.PREPARED_ROWSETS_MAX:
            raise doris(f"a transaction has at most {limits.PREPARED_ROWSETS_MAX} rowsets")
        prepared = tuple(
            PreparedRowset(
                one.table.table,
                one.table_id,
                rowset.partition,
                rowset.id,
                rowset.body.address,
                encode_header(rowset.header),
            )
            for one in outcome.changes
            for rowset in one.rowsets
        )
        kept = replace(
            record,
            state=LoadState.PRECOMMITTED,
            prepared=prepared,
            load_started_us=self._now_us(),
        )

        def make() -> Prepared[bool]:
            windows: list[Window] = []
            writes: list[Write] = list(writes_of(kept))
            for one in outcome.changes:
                for rowset in one.rowsets:
                    placed = rowset.body.place()
                    windows += placed.windows
                    writes += placed.writes
            now = self._records.again(stored)
            if now is None or now.version != stored.version:
                raise doris(f"transaction [{record.transaction_id}] has just been aborted")
            return Prepared([stored.is_unchanged], writes, lambda _verdict: True, windows)

        self._lake.writer.submit(make)
        return kept

    def _changes(self, place: DatabasePlace, record: LoadRecord) -> tuple[TableChange, ...]:
        """Return what a prepared transaction does to its tables as they are now."""
        found: list[TableChange] = []
        for name in dict.fromkeys(one.table for one in record.prepared):
            table = place.table(name)
            current = self._tables.get(table)
            rowsets = []
            for one in record.prepared:
                if one.table != name:
                    continue
                if current.schema.id != one.table_id:
                    raise doris(f"table {name} has been dropped or replaced since")
                rowsets.append(self._rowset(one, current.schema, name))
            found.append(
                TableChange(table, current.schema.id, current.identity, rowsets=tuple(rowsets))
            )
        return tuple(found)

    def _rowset(self, one: PreparedRowset, schema: Table, table: str) -> NewRowset:
        header = decode_header(one.header, one.address)
        if header is None:
            raise doris(f"table {table} has too many columns for a transaction in two phases")
        now = {column.id for column in schema.columns}
        keys = {column.id for column in schema.keys}
        if not keys <= set(header.known) or not (set(header.written) & now):
            raise doris(f"the schema of table {table} has changed since")
        assert header.kind is RowsetKind.ROWS
        partitions = schema.partitioning.partitions if schema.partitioning else ()
        if partitions and one.partition not in {partition.id for partition in partitions}:
            raise doris(f"a partition of table {table} has been dropped since")
        body = Existing(self._lake.blocks, self._lake.blocks.get(one.address))
        return NewRowset(one.partition, one.id, body, header)

    def _get(self, place: DatabasePlace, transaction: int | str) -> Stored:
        stored = self._find(self.scope_of(place), transaction)
        if stored is None:
            name = f"with id {transaction}" if isinstance(transaction, int) else f"[{transaction}]"
            raise doris(f"transaction {name} does not exist")
        return stored

    def _find(self, scope: Scope, transaction: int | str) -> Stored | None:
        if isinstance(transaction, int):
            found = self._records.find_transaction(transaction)
            if found is None or _identity(found.record.scope) != _identity(scope):
                return None
            return found
        newest = None
        for stored in self._records.list(scope):
            if stored.record.label == transaction:
                newest = stored
        return newest

    def _abort_now(self, stored: Stored, failure: str, message: str) -> None:
        current = self._records.again(stored)
        if current is not None and not current.record.state.is_final:
            self._abort(current, failure, message)

    def _abort(self, stored: Stored, failure: str, message: str) -> LoadRecord | None:
        """End a transaction as it was read and give its bytes back; None when it has moved."""
        record = stored.record
        ended = record.failed(failure, message, self._now_us())
        conditions: list[Condition] = []
        writes: list[Write] = []
        for one in record.prepared:
            block = self._lake.blocks.find(one.address)
            if block is not None:
                removed = self._lake.blocks.removal(block)
                conditions += removed[0]
                writes += removed[1]
        changed = self._records.change(stored, ended, conditions, writes)
        if changed is None:
            return None
        with self._lock:
            control = self._running.get(record.transaction_id)
        if control is not None:
            control.end(failure, message)
        return ended

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000


def _identity(scope: Scope) -> tuple[str, str, str]:
    return scope.incarnation, scope.branch, scope.database_id


def existing_status(record: LoadRecord) -> str:
    """Return what a stream load's answer says of the job that has its label."""
    match record.state.transaction:
        case LoadState.VISIBLE:
            return "FINISHED"
        case LoadState.PRECOMMITTED:
            return "PRECOMMITTED"
    return "RUNNING"
