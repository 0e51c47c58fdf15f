"""What is kept of a load: its state, its counts, why it failed. Loads, inserts and transactions.

A record belongs to a database's incarnation on a branch. Every change of one is conditioned on the
version that was read, and the transaction that publishes a load's rows writes its record too, so
that a load is FINISHED exactly when its rows are there.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import BranchId, IncarnationId
from anabranch.lake import Lake
from anabranch.lake.changes import BranchChange
from anabranch.lake.records import decode_record, encode_record
from anabranch.lake.values import BranchState
from anabranch.storage.kv.base import (
    Condition,
    Prepared,
    Scan,
    Write,
    delete,
    is_absent,
    is_as_seen,
    is_version,
    key_after_prefix,
    put,
    scan_prefix,
)
from anabranch.warehouse import keyspace
from anabranch.warehouse.catalog.databases import writable
from anabranch.warehouse.catalog.labels import Labels
from anabranch.warehouse.errors import SqlError, label_used, lake_errors
from anabranch.warehouse.places import DatabasePlace

_FIRST_ID = 10_000
_PAGE = 1_000
_KEPT = limits.LOAD_JOBS_KEPT_MAX


class LoadKind(StrEnum):
    """What a record is of, in the words of SHOW LOAD."""

    BROKER = "BROKER"
    INSERT = "INSERT"
    STREAM = "STREAM"


class LoadState(StrEnum):
    """States of load jobs, and those of transactions of stream loads."""

    PENDING = "PENDING"
    ETL = "ETL"
    LOADING = "LOADING"
    COMMITTED = "COMMITTED"
    FINISHED = "FINISHED"
    CANCELLED = "CANCELLED"
    PREPARE = "PREPARE"
    PRECOMMITTED = "PRECOMMITTED"
    VISIBLE = "VISIBLE"
    ABORTED = "ABORTED"

    @property
    def is_final(self) -> bool:
        """Tell whether it never changes again."""
        return self in _FINAL

    @property
    def transaction(self) -> LoadState:
        """Return the state of the transaction that a job in this state has."""
        return _TRANSACTION_STATES.get(self, self)


_FINAL = frozenset({LoadState.FINISHED, LoadState.CANCELLED, LoadState.VISIBLE, LoadState.ABORTED})
_TRANSACTION_STATES = {
    LoadState.PENDING: LoadState.PREPARE,
    LoadState.ETL: LoadState.PREPARE,
    LoadState.LOADING: LoadState.PREPARE,
    LoadState.FINISHED: LoadState.VISIBLE,
    LoadState.CANCELLED: LoadState.ABORTED,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A database's incarnation on a branch of a repository's incarnation; names are for people."""

    incarnation: str
    branch: str
    database_id: str
    repository: str = ""
    database: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows and bytes of a load; `scanned` is all rows read."""

    scanned: int = 0
    loaded: int = 0
    filtered: int = 0
    unselected: int = 0
    bytes: int = 0
    files: int = 0
    file_bytes: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(
            self.scanned + other.scanned,
            self.loaded + other.loaded,
            self.filtered + other.filtered,
            self.unselected + other.unselected,
            self.bytes + other.bytes,
            self.files + other.files,
            self.file_bytes + other.file_bytes,
        )

    def is_over(self, ratio: float) -> bool:
        """Tell whether more rows were filtered than a ratio of those filtered and loaded."""
        return self.filtered > ratio * (self.filtered + self.loaded)


@dataclass(frozen=True, slots=True)
class PreparedRowset:
    """A rowset of a transaction that waits for its commit: its bytes are at `address`."""

    table: str
    table_id: str
    partition: str
    id: str
    address: str
    header: str


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load; times are microseconds since 1970 UTC, 0 while they have not come.

    `statement` is what to run, sealed; `owner` the process that runs it, `attempts` how many began
    to; `failure` is Doris's type of it. `prepared` are the rowsets of a PRECOMMITTED transaction.
    """

    id: int
    transaction_id: int
    label: str
    kind: LoadKind
    state: LoadState
    scope: Scope
    user: str
    created_us: int
    tables: tuple[str, ...] = ()
    is_label_given: bool = False
    comment: str = ""
    timeout_s: int = limits.LOAD_TIMEOUT_S
    max_filter_ratio: float = 0.0
    time_zone: str = "UTC"
    client: str = ""
    statement: str = ""
    owner: str = ""
    attempts: int = 0
    etl_started_us: int = 0
    load_started_us: int = 0
    ended_us: int = 0
    counts: Counts = field(default_factory=Counts)
    failure: str = ""
    message: str = ""
    error_log: str = ""
    prepared: tuple[PreparedRowset, ...] = ()

    @property
    def deadline_us(self) -> int:
        """Return when it is given up."""
        return self.created_us + self.timeout_s * 1_000_000

    def failed(self, failure: str, message: str, now_us: int) -> LoadRecord:
        """Return it as it is when it ended without rows; what it was to run is forgotten."""
        is_stream = self.kind is LoadKind.STREAM
        return replace(
            self,
            state=LoadState.ABORTED if is_stream else LoadState.CANCELLED,
            failure=failure,
            message=message[: limits.ERROR_TEXT_MAX],
            ended_us=now_us,
            statement="",
            prepared=(),
        )

    def published(self, counts: Counts, now_us: int) -> LoadRecord:
        """Return it as it is when its rows are visible."""
        is_stream = self.kind is LoadKind.STREAM
        return replace(
            self,
            state=LoadState.VISIBLE if is_stream else LoadState.FINISHED,
            counts=counts,
            ended_us=now_us,
            statement="",
            prepared=(),
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A record and the version it was read or written with."""

    record: LoadRecord
    version: int

    @property
    def key(self) -> bytes:
        """Return where it is."""
        return _key(self.record)

    @property
    def is_unchanged(self) -> Condition:
        """Return the condition that nobody changed it."""
        return is_version(self.key, self.version)


def _key(record: LoadRecord) -> bytes:
    scope = record.scope
    return keyspace.load_job(scope.incarnation, scope.branch, scope.database_id, record.id)


def writes_of(record: LoadRecord, *, is_new: bool = False) -> list[Write]:
    """Return the writes of a record: an open one is listed as such, an ended one no longer is."""
    found = [put(_key(record), encode_record(record))]
    if is_new:
        found.append(put(keyspace.load_transaction(record.transaction_id), _key(record)))
    running = keyspace.open_load(record.id)
    if not record.state.is_final:
        if is_new:
            found.append(put(running, _key(record)))
    elif not is_new:
        found.append(delete(running))
    return found


def ending_writes(record: LoadRecord) -> list[Write]:
    """Return the writes that end a load without rows: its label, if it was reserved, is free."""
    found = writes_of(record)
    if record.is_label_given:
        scope = record.scope
        key = keyspace.label(
            IncarnationId(scope.incarnation),
            BranchId(scope.branch),
            scope.database_id,
            record.label,
        )
        found.append(delete(key))
    return found


class LoadRecords:
    """Reads and writes records, and gives out their ids."""

    def __init__(self, lake: Lake, labels: Labels) -> None:
        self._lake = lake
        self._labels = labels
        self._kv = lake.kv
        self._writer = lake.writer
        self._lock = threading.Lock()
        self._next: dict[str, tuple[int, int]] = {}

    def next_id(self, counter: str) -> int:
        """Return an id that is greater than all this process gave before, and nobody else's."""
        with self._lock:
            following, end = self._next.get(counter, (0, 0))
            if following == end:
                following = self._take(counter)
                end = following + limits.JOB_IDS_BLOCK
            self._next[counter] = following + 1, end
            return following

    def create(self, place: DatabasePlace, record: LoadRecord) -> Stored:
        """Put a new record, and reserve its label if the user gave it: both or nothing.

        Raises SqlError when the label is used or the place takes no writes.
        """

        def change(state: BranchState) -> BranchChange[None]:
            conditions: list[Condition] = [is_absent(_key(record))]
            writes = writes_of(record, is_new=True)
            if record.is_label_given:
                taking = self._labels.reserving(state, place, record.label, record.transaction_id)
                conditions += taking.conditions
                writes += taking.writes
            return BranchChange(None, conditions=conditions, writes=writes)

        try:
            with lake_errors():
                target = writable(self._lake, place.place)
                self._writer.submit(self._lake.changes.making_apply(target, change))
        except SqlError as error:
            if error.kind is Kind.LABEL_USED:
                self._refuse_label(place, record.label)
            raise
        stored = self._get(_key(record))
        if stored is None:
            raise Conflict(Kind.CONFLICT, f"the record of load {record.id} has been removed")
        return stored

    def _refuse_label(self, place: DatabasePlace, label: str) -> None:
        """Raise SqlError with the state of the load that reserved a label; return if none did."""
        held = self._labels.find(place, label)
        if held is None or held.is_published:
            return
        other = self.find_transaction(held.job)
        if other is not None:
            raise label_used(label, held.job, other.record.state.transaction)

    def scope_of(self, place: DatabasePlace, database_id: str) -> Scope:
        """Return a database on a branch as records name it; raise SqlError 1049."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
        return Scope(
            resolved.repository.incarnation,
            resolved.branch or str(place.place.ref),
            database_id,
            place.place.repository,
            place.database,
        )

    def change(
        self,
        stored: Stored,
        record: LoadRecord,
        conditions: Sequence[Condition] = (),
        writes: Sequence[Write] = (),
    ) -> Stored | None:
        """Replace a record; None when it is no longer the one read, or a condition fails.

        A load that ends without rows gives its label back.
        """
        is_failed = record.state in (LoadState.CANCELLED, LoadState.ABORTED)
        own = ending_writes(record) if is_failed else writes_of(record)
        prepared = Prepared(
            [stored.is_unchanged, *conditions],
            [*own, *writes],
            lambda verdict: verdict.version,
        )
        version = self._writer.submit_once(prepared)
        return None if version is None else Stored(record, version)

    def again(self, stored: Stored) -> Stored | None:
        """Return a record as it is now."""
        return self._get(stored.key)

    def find_transaction(self, transaction_id: int) -> Stored | None:
        """Return a record by its transaction."""
        found = self._kv.read([keyspace.load_transaction(transaction_id)]).values[0]
        return None if found is None else self._get(found.value)

    def list(self, scope: Scope) -> Iterator[Stored]:
        """Yield the records of a database's incarnation by id, a page at a time."""
        prefix = keyspace.load_jobs(scope.incarnation, scope.branch, scope.database_id)
        after = b""
        while True:
            rows = self._kv.read((), [scan_prefix(prefix, after=after, limit=_PAGE)]).scans[0]
            for row in rows:
                yield Stored(decode_record(row.value, LoadRecord), row.version)
            if len(rows) < _PAGE:
                return
            after = rows[-1].key[len(prefix) :]

    def list_open(self) -> Iterator[Stored]:
        """Yield the records of all databases that are not over, oldest first."""
        after = b""
        while True:
            scan = scan_prefix(keyspace.OPEN_LOADS, after=after, limit=_PAGE)
            rows = self._kv.read((), [scan]).scans[0]
            for row in rows:
                found = self._get(row.value)
                if found is not None and not found.record.state.is_final:
                    yield found
            if len(rows) < _PAGE:
                return
            after = rows[-1].key[len(keyspace.OPEN_LOADS) :]

    def sweep(
        self, *, now_us: int, after: bytes = b"", amount: int = _PAGE
    ) -> tuple[bytes | None, builtins.list[LoadRecord]]:
        """Forget ended records of a portion; return the next portion's `after`, and them.

        Those go that ended LOAD_JOB_KEEP_S ago, and of a database with too many the oldest.
        """
        start = after + b"\x00" if after else keyspace.LOAD_JOBS
        scan = Scan(start, key_after_prefix(keyspace.LOAD_JOBS), amount)
        rows = self._kv.read((), [scan]).scans[0]
        old_us = now_us - limits.LOAD_JOB_KEEP_S * 1_000_000
        gone: list[LoadRecord] = []
        kept: dict[Scope, int] = {}
        conditions: list[Condition] = []
        for row in rows:
            record = decode_record(row.value, LoadRecord)
            if record.state.is_final and (
                record.ended_us < old_us or record.id < self._newest_kept(record.scope, kept)
            ):
                gone.append(record)
                conditions.append(is_version(row.key, row.version))
        writes = [
            delete(key)
            for record in gone
            for key in (_key(record), keyspace.load_transaction(record.transaction_id))
        ]
        if writes:
            self._writer.submit_once(Prepared(conditions, writes, lambda _verdict: True))
        return (rows[-1].key if len(rows) == amount else None), gone

    def _newest_kept(self, scope: Scope, kept: dict[Scope, int]) -> int:
        """Return the id below which a database's ended records are too many."""
        if scope not in kept:
            ids = [stored.record.id for stored in self.list(scope)]
            kept[scope] = ids[-_KEPT] if len(ids) > _KEPT else 0
        return kept[scope]

    def _get(self, key: bytes) -> Stored | None:
        found = self._kv.read([key]).values[0]
        if found is None:
            return None
        return Stored(decode_record(found.value, LoadRecord), found.version)

    def _take(self, counter: str) -> int:
        """Take a block of ids from the store; return the first."""
        key = keyspace.counter(counter)
        for _ in range(limits.STAGING_RETRIES_MAX):
            seen = self._kv.read([key]).values[0]
            first = _FIRST_ID if seen is None else decode_record(seen.value, int)
            write = put(key, encode_record(first + limits.JOB_IDS_BLOCK))
            taken = self._writer.submit_once(
                Prepared([is_as_seen(key, seen)], [write], lambda _verdict: True)
            )
            if taken:
                return first
        raise Conflict(Kind.RETRIES_EXHAUSTED, "too many processes take ids at once")
