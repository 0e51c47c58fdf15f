"""Load jobs: LOAD LABEL answers at once, a bounded pool of threads does the work.

A job is one transaction over all its tables and files. The publish that makes its rows visible
writes FINISHED into its record, conditioned on the record's version: so a job that was cancelled
never publishes, and one whose process died is either FINISHED or run again by the next process.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from heapq import merge
from typing import Protocol

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import AnabranchError
from anabranch.kernel.ids import Ref, RepositoryId
from anabranch.telemetry import logger
from anabranch.warehouse.catalog.databases import Databases
from anabranch.warehouse.catalog.publishing import (
    LabelUse,
    Publication,
    Publisher,
    TableChange,
    TableMoved,
)
from anabranch.warehouse.errors import doris
from anabranch.warehouse.jobs.error_logs import ErrorLogs, Refused
from anabranch.warehouse.jobs.insert_jobs import JOBS, TRANSACTIONS, InsertJobs
from anabranch.warehouse.jobs.load_control import (
    ETL_RUN_FAIL,
    QUALITY,
    RUN_FAIL,
    STOPPING,
    TIMEOUT,
    USER_CANCEL,
    Control,
    LoadEnded,
)
from anabranch.warehouse.jobs.load_properties import parse_ratio, parse_timeout
from anabranch.warehouse.jobs.load_records import (
    Counts,
    LoadKind,
    LoadRecord,
    LoadRecords,
    LoadState,
    Scope,
    Stored,
    writes_of,
)
from anabranch.warehouse.places import DatabasePlace, Place
from anabranch.warehouse.sql.loads import LoadLabel

CHORES_S = 10
"""Between two rounds of what else has to be done now and then: transactions time out."""
SWEEP_S = 600
"""Between two rounds of forgetting old records and error logs."""
NO_ROWS = "all partitions have no load data"
TIMED_OUT = "loading timeout to cancel"
BAD_QUALITY = "quality not good enough to cancel"
_STATEMENTS = msgspec.json.Decoder(LoadLabel)
"""Made at import: msgspec dies when two threads are the first to decode a type."""


class Seal(Protocol):
    """Keeps what a statement said secret where it is stored."""

    def seal(self, secret: str, bound_to: str) -> str: ...
    def open(self, sealed: str, bound_to: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load wrote and did not publish yet; `errors` are its first bad rows."""

    changes: tuple[TableChange, ...]
    counts: Counts
    errors: Sequence[Refused] = ()


class Runner(Protocol):
    """Does the work of a job: reads its files and writes rowsets that nobody sees."""

    def check(self, place: DatabasePlace, statement: LoadLabel) -> None:
        """Raise SqlError for a statement that can't run: unknown table, broker, bad property."""
        ...

    def prepare(
        self, record: LoadRecord, statement: LoadLabel, control: Control
    ) -> Callable[[], Outcome]:
        """Find the files; return what loads them. Raises AnabranchError."""
        ...


class LoadJobs:
    """Submits, runs, cancels and lists load jobs of one process."""

    def __init__(
        self,
        records: LoadRecords,
        runner: Runner,
        publisher: Publisher,
        databases: Databases,
        error_logs: ErrorLogs,
        clock: Clock,
        ids: IdSource,
        seal: Seal,
    ) -> None:
        self._records = records
        self._runner = runner
        self._publisher = publisher
        self._databases = databases
        self.inserts = InsertJobs(records, databases, clock)
        self.error_logs = error_logs
        self._clock = clock
        self._seal = seal
        self._process = ids.hex32()
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Control, Stored]] = {}
        self._futures: set[Future[None]] = set()
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(limits.LOAD_JOBS_RUNNING_MAX, "load")
        self._watch: threading.Thread | None = None

    def start(self, chores: Sequence[Callable[[], object]] = ()) -> int:
        """Begin to watch timeouts, and take over what another process left; return how many.

        `chores` are called every CHORES_S seconds by the thread that watches.
        """
        self._watch = threading.Thread(
            target=self._watching, args=(tuple(chores),), name="load-watch", daemon=True
        )
        self._watch.start()
        return self.resume()

    def scope_of(self, place: DatabasePlace) -> Scope:
        """Return a database's incarnation on its branch; raise SqlError 1049."""
        return self._records.scope_of(place, self._databases.get(place).id)

    def submit(
        self,
        statement: LoadLabel,
        *,
        place: DatabasePlace,
        user: str,
        time_zone: str,
    ) -> LoadRecord:
        """Record a job durably, its label reserved, and return; it runs when a thread is free.

        Raises SqlError for what can be seen to be wrong at once.
        """
        properties = {name.lower(): value for name, value in statement.properties}
        self._runner.check(place, statement)
        with self._lock:
            busy = len(self._futures)
        if busy >= limits.LOAD_JOBS_WAITING_MAX:
            raise doris(
                f"There are more than {limits.LOAD_JOBS_WAITING_MAX} unfinished load jobs, "
                "please retry later. You can use `SHOW LOAD` to view submitted jobs"
            )
        job = self._records.next_id(JOBS)
        text = msgspec.json.encode(statement).decode()
        if len(text) > limits.LOAD_STATEMENT_BYTES_MAX:
            raise doris(f"the LOAD is longer than {limits.LOAD_STATEMENT_BYTES_MAX} bytes")
        record = LoadRecord(
            id=job,
            transaction_id=self._records.next_id(TRANSACTIONS),
            label=statement.label,
            kind=LoadKind.BROKER,
            state=LoadState.PENDING,
            scope=self.scope_of(place),
            user=user,
            created_us=self._now_us(),
            tables=tuple(dict.fromkeys(one.table for one in statement.descriptions)),
            is_label_given=True,
            comment=statement.comment,
            timeout_s=parse_timeout(properties.get("timeout"), limits.LOAD_TIMEOUT_S),
            max_filter_ratio=parse_ratio(properties.get("max_filter_ratio")),
            time_zone=properties.get("timezone", time_zone),
            statement=self._seal.seal(text, _bound(job)),
            owner=self._process,
        )
        stored = self._records.create(place, record)
        self._enqueue(stored)
        return record

    def resume(self) -> int:
        """Run again what processes that are gone left; return how many. At the process's start.

        A job that took too many processes with it is CANCELLED.
        """
        count = 0
        for stored in self._records.list_open():
            record = stored.record
            if record.kind is not LoadKind.BROKER or record.owner == self._process:
                continue
            if record.attempts >= limits.LOAD_ATTEMPTS_MAX:
                self._fail(stored, RUN_FAIL, f"{record.attempts} processes ended while it ran")
                continue
            ours = self._records.change(
                stored, replace(record, state=LoadState.PENDING, owner=self._process)
            )
            if ours is not None:
                self._enqueue(ours)
                count += 1
        return count

    def cancel(self, scope: Scope, matches: Callable[[LoadRecord], bool]) -> int:
        """Cancel the jobs that match and are not over; return how many.

        Raises SqlError in Doris's words when none matches, or all of them are over.
        """
        found = [
            stored
            for stored in self._records.list(scope)
            if stored.record.kind is LoadKind.BROKER and matches(stored.record)
        ]
        if not found:
            raise doris("Load job does not exist")
        cancelled = 0
        for stored in found:
            current: Stored | None = stored
            # Its own steps change the record too, and a cancel must not lose against them.
            while current is not None and not current.record.state.is_final:
                if self._fail(current, USER_CANCEL, "user cancel"):
                    cancelled += 1
                    break
                current = self._records.again(stored)
            self._end(stored.record.id, USER_CANCEL, "user cancel")
        if not cancelled:
            raise doris("There is no uncompleted job")
        return cancelled

    def expire(self) -> None:
        """Give up the jobs of this process whose time is over."""
        now_us = self._now_us()
        with self._lock:
            late = [
                stored.record.id
                for control, stored in self._running.values()
                if stored.record.deadline_us < now_us and not control.is_ended
            ]
        for job in late:
            self._end(job, TIMEOUT, TIMED_OUT)

    def sweep(self) -> None:
        """Forget records and error logs whose time is over, by portions."""
        now_us = self._now_us()
        after: bytes | None = b""
        while after is not None and not self._closing.is_set():
            after, _ = self._records.sweep(now_us=now_us, after=after)
        self.error_logs.sweep(now_us=now_us)

    def list(self, scope: Scope) -> Iterator[tuple[LoadRecord, int]]:
        """Yield jobs and inserts of a database by id, each with its percentage."""
        stored_ones = (stored.record for stored in self._records.list(scope))
        inserts = self.inserts.recent(scope)
        for record in merge(stored_ones, inserts, key=lambda record: record.id):
            with self._lock:
                running = self._running.get(record.id)
            if running is None or record.state.is_final:
                yield record, 100 if record.state is LoadState.FINISHED else 0
            else:
                yield replace(record, counts=running[0].counts), running[0].percent

    def close(self) -> None:
        """End what runs, for the next process to run again, and wait for it."""
        with self._lock:
            self._closing.set()
            controls = [control for control, _ in self._running.values()]
        for control in controls:
            control.end(STOPPING, "the server is stopping")
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._watch is not None:
            self._watch.join()

    def wait(self, timeout_s: float) -> bool:
        """Wait for what was submitted here so far; False when it takes longer."""
        with self._lock:
            futures = list(self._futures)
        return not wait(futures, timeout_s).not_done

    # Steps of a job

    def _enqueue(self, stored: Stored) -> None:
        with self._lock:
            if self._closing.is_set():
                return  # the next process runs it
            future = self._pool.submit(self._work, stored)
            self._futures.add(future)
        future.add_done_callback(self._forget)

    def _forget(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            logger("loads").error("load failed", exc_info=error)
        with self._lock:
            self._futures.discard(future)

    def _work(self, stored: Stored) -> None:
        job = stored.record.id
        control = Control()
        with self._lock:
            if self._closing.is_set():
                return
            self._running[job] = control, stored
        is_done = False
        try:
            self._run(stored, control)
            is_done = True
        finally:
            if not is_done:
                # A bug of ours must not leave a job that never ends.
                with contextlib.suppress(AnabranchError):
                    self._fail_now(stored, RUN_FAIL, "internal error, see the server's log")
            with self._lock:
                self._running.pop(job, None)

    def _run(self, stored: Stored, control: Control) -> None:
        """Do all of a job; what goes wrong is in its record."""
        try:
            if stored.record.deadline_us < self._now_us():
                control.end(TIMEOUT, TIMED_OUT)
            control.check()
            current = self._records.change(
                stored,
                replace(
                    stored.record,
                    state=LoadState.ETL,
                    attempts=stored.record.attempts + 1,
                    etl_started_us=self._now_us(),
                ),
            )
            if current is None:
                return  # cancelled before it began
            self._attempt(current, control)
        except LoadEnded as ended:
            if ended.failure != STOPPING:
                self._fail_now(stored, ended.failure, ended.message)
        except AnabranchError as error:
            # When not even the record can be written, the next process runs the job again.
            with contextlib.suppress(AnabranchError):
                if control.is_ended:
                    self._fail_ended(stored, control)
                else:
                    self._fail_now(stored, RUN_FAIL, error.message)

    def _attempt(self, current: Stored, control: Control) -> None:
        record = current.record
        statement = _STATEMENTS.decode(self._seal.open(record.statement, _bound(record.id)))
        for _ in range(limits.LOAD_PLANS_MAX):
            control.check()
            load = self._runner.prepare(current.record, statement, control)
            if current.record.state is not LoadState.LOADING:
                begun = replace(
                    current.record, state=LoadState.LOADING, load_started_us=self._now_us()
                )
                changed = self._records.change(current, begun)
                if changed is None:
                    return
                current = changed
            outcome = load()
            try:
                control.check()
                if not self._publish(current, outcome):
                    abandon(outcome)
                return
            except TableMoved:
                abandon(outcome)
            except BaseException:
                abandon(outcome)
                raise
        raise doris("transaction conflict")

    def _publish(self, current: Stored, outcome: Outcome) -> bool:
        """Make the rows visible and the job FINISHED; False when they are no good: CANCELLED."""
        record = replace(current.record, error_log=self.error_logs.write(outcome.errors))
        counts = outcome.counts
        if counts.is_over(record.max_filter_ratio):
            self._fail(
                Stored(replace(record, counts=counts), current.version), QUALITY, BAD_QUALITY
            )
            return False
        if not outcome.changes:
            self._fail(Stored(replace(record, counts=counts), current.version), RUN_FAIL, NO_ROWS)
            return False
        place = self._place_of(record)
        self._publisher.publish(
            Publication(
                outcome.changes,
                label=LabelUse(place, record.label, record.transaction_id),
                conditions=[current.is_unchanged],
                writes=writes_of(record.published(counts, self._now_us())),
            )
        )
        return True

    def _place_of(self, record: LoadRecord) -> DatabasePlace:
        place = place_of(record.scope)
        # Dropped and made again, it is another database: the job's tables are not in it.
        if self.scope_of(place) != record.scope:
            raise doris(f"the database '{record.scope.database}' has been dropped")
        return place

    def _fail_ended(self, stored: Stored, control: Control) -> None:
        """Record why a job was ended: what it met afterwards only follows from that."""
        try:
            control.check()
        except LoadEnded as ended:
            if ended.failure != STOPPING:
                self._fail_now(stored, ended.failure, ended.message)

    def _fail_now(self, stored: Stored, failure: str, message: str) -> None:
        current = self._records.again(stored)
        if current is not None and not current.record.state.is_final:
            if failure == RUN_FAIL and current.record.state is LoadState.ETL:
                failure = ETL_RUN_FAIL
            self._fail(current, failure, message)

    def _fail(self, stored: Stored, failure: str, message: str) -> bool:
        """Cancel a job as it was read; tell whether that was still so."""
        ended = stored.record.failed(failure, message, self._now_us())
        return self._records.change(stored, ended) is not None

    def _end(self, job: int, failure: str, message: str) -> None:
        with self._lock:
            running = self._running.get(job)
        if running is not None:
            running[0].end(failure, message)

    def _watching(self, chores: Sequence[Callable[[], object]]) -> None:
        seconds = 0
        while not self._closing.wait(1.0):
            seconds += 1
            self._do(self.expire)
            if seconds % CHORES_S == 0:
                for chore in chores:
                    self._do(chore)
            if seconds % SWEEP_S == 0:
                self._do(self.sweep)

    def _do(self, chore: Callable[[], object]) -> None:
        try:
            chore()
        except AnabranchError as error:
            logger("loads").warning("chore failed", reason=error.message, kind=error.kind)

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000


def place_of(scope: Scope) -> DatabasePlace:
    """Return where a load's database is, or was."""
    return DatabasePlace(Place(RepositoryId(scope.repository), Ref(scope.branch)), scope.database)


def abandon(outcome: Outcome) -> None:
    """Forget the bytes of what was not published."""
    for change in outcome.changes:
        for rowset in change.rowsets:
            rowset.body.abort()


def _bound(job: int) -> str:
    return f"load job {job}"
