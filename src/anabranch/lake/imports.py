"""Imports: adopt existing objects without copying them, as one commit.

How one runs and where its state is kept, lake/tasks.py says. Every write of the runner has the
record's version as a condition, the publishing transaction too, so that a cancelled import never
publishes.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import msgspec
import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.commits import Commit, new_commit
from anabranch.kernel.entries import Metadata
from anabranch.kernel.errors import (
    AnabranchError,
    Conflict,
    Forbidden,
    Kind,
    NotFound,
)
from anabranch.kernel.ids import BranchId, CommitId, MetarangeId, RepositoryId
from anabranch.lake import keyspace, records
from anabranch.lake.committed import Committed
from anabranch.lake.import_sources import ImportSource, ImportSources, SourceKind
from anabranch.lake.merges import Merges
from anabranch.lake.resolve import Resolver
from anabranch.lake.staging import Plan, Staging
from anabranch.lake.states import States
from anabranch.lake.tasks import (
    SWEEP_PORTION,
    TaskRecord,
    TaskThreads,
    is_silent,
    now_us,
    sweep_tasks,
)
from anabranch.lake.values import BranchState, Repository
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Write,
    Writer,
    is_absent,
    is_version,
    put,
)

_CANCELLED = "the import was cancelled"
_INTERRUPTED = "the import was interrupted: its process ended"


class _State(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class _ImportRow(msgspec.Struct, array_like=True, frozen=True):
    branch: str
    state: str
    updated_us: int
    ingested: int
    error: str
    metarange: str
    commit: str

    def at(self, updated_us: int) -> Self:
        return msgspec.structs.replace(self, updated_us=updated_us)


@dataclass(frozen=True, slots=True)
class ImportStatus:
    """How far an import is; `error` is empty unless it failed, `commit` there when completed."""

    id: str
    is_completed: bool
    updated_us: int
    ingested: int
    error: str
    metarange: MetarangeId
    commit: Commit | None


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for."""

    repository: Repository
    branch: BranchId
    sources: tuple[ImportSource, ...]
    message: str
    committer: str
    metadata: Metadata


class Imports:
    """Start, watch and cancel imports."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        states: States,
        resolver: Resolver,
        staging: Staging,
        committed: Committed,
        merges: Merges,
        sources: ImportSources,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._states = states
        self._resolver = resolver
        self._staging = staging
        self._committed = committed
        self._merges = merges
        self._sources = sources
        self._clock = clock
        self._threads = TaskThreads(
            ids, name="import", tasks="imports", running_max=limits.IMPORTS_RUNNING_MAX
        )

    def start(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        sources: Sequence[ImportSource],
        *,
        message: str,
        committer: str,
        metadata: Metadata = (),
        is_forced: bool = False,
    ) -> str:
        """Start an import in a thread of this process and return its id.

        Raises InvalidInput and Forbidden for sources that may not be read, NotFound for the branch,
        Forbidden for a read-only repository unless forced, Unavailable when too many are running.
        """
        state = self._states.fresh(repository_id, branch)
        if state.repository.is_read_only and not is_forced:
            raise Forbidden(Kind.READ_ONLY_REPOSITORY, f"repository {repository_id!r} is read-only")
        self._sources.check(sources)
        order = _Order(state.repository, branch, tuple(sources), message, committer, metadata)

        def prepare(import_id: str) -> Callable[[], None]:
            return self._create(order, import_id).run

        return self._threads.start(prepare)

    def status(self, repository_id: RepositoryId, import_id: str) -> ImportStatus:
        """Return how far an import is; raise NotFound(IMPORT_NOT_FOUND)."""
        repository = self._states.repository(repository_id)
        row, _ = self._get(repository, import_id)
        error = row.error
        if row.state == _State.RUNNING and is_silent(row, self._clock):
            error = _INTERRUPTED
        commit = None
        if row.commit:
            commit = self._resolver.load(repository, CommitId(row.commit))
        return ImportStatus(
            import_id,
            row.state == _State.COMPLETED,
            row.updated_us,
            row.ingested,
            error,
            MetarangeId(row.metarange),
            commit,
        )

    def cancel(self, repository_id: RepositoryId, import_id: str) -> None:
        """End a running import; raise Conflict when it is over, NotFound."""

        def make() -> Prepared[None]:
            repository = self._states.repository(repository_id)
            row, version = self._get(repository, import_id)
            if row.state != _State.RUNNING:
                raise Conflict(Kind.CONFLICT, f"import {import_id!r} is over")
            ended = msgspec.structs.replace(
                row, state=_State.FAILED, error=_CANCELLED, updated_us=now_us(self._clock)
            )
            key = keyspace.import_job(repository.incarnation, import_id)
            write = put(key, records.encode_record(ended))
            return Prepared([is_version(key, version)], [write], lambda _verdict: None)

        self._writer.submit(make)

    def sweep_imports(
        self, *, now_us: int, after: bytes = b"", amount: int = SWEEP_PORTION
    ) -> bytes | None:
        """Forget imports that ended a day ago; return the `after` of the next portion. For jobs."""
        return sweep_tasks(
            self._kv,
            self._writer,
            keyspace.IMPORTS,
            _ImportRow,
            now_us=now_us,
            after=after,
            amount=amount,
        )

    def wait(self) -> None:
        """Wait for what runs in this process."""
        self._threads.wait()

    def close(self) -> None:
        """End running imports at their next step and wait for them."""
        self._threads.stop()
        self._threads.wait()

    def _get(self, repository: Repository, import_id: str) -> tuple[_ImportRow, int]:
        key = keyspace.import_job(repository.incarnation, import_id)
        row = self._kv.read([key]).values[0]
        if row is None:
            raise NotFound(Kind.IMPORT_NOT_FOUND, f"no import {import_id!r}")
        return records.decode_record(row.value, _ImportRow), row.version

    def _create(self, order: _Order, import_id: str) -> "_Runner":
        repository = order.repository
        row = _ImportRow(order.branch, _State.RUNNING, now_us(self._clock), 0, "", "", "")
        key = keyspace.import_job(repository.incarnation, import_id)

        def make() -> Prepared[int]:
            is_there = is_version(keyspace.repository(repository.id), repository.version)
            if self._states.repository(repository.id).incarnation != repository.incarnation:
                raise NotFound(
                    Kind.REPOSITORY_NOT_FOUND, f"repository {repository.id!r} was replaced"
                )
            write = put(key, records.encode_record(row))
            return Prepared([is_absent(key), is_there], [write], lambda verdict: verdict.version)

        version = self._writer.submit(make)
        record = TaskRecord(key, row, version, self._writer, self._clock, lost=_CANCELLED)
        return _Runner(
            order,
            _Progress(record, self._threads, self._writer),
            self._kv,
            self._resolver,
            self._staging,
            self._committed,
            self._merges,
            self._sources,
        )


class _Progress:
    """How far a running import is, counted by its runner alone."""

    def __init__(
        self, record: TaskRecord[_ImportRow], threads: TaskThreads, writer: Writer
    ) -> None:
        self._record = record
        self._threads = threads
        self._writer = writer

    def restart(self) -> None:
        """Begin to count again."""
        self._record.write(msgspec.structs.replace(self._record.row, ingested=0))

    def add(self, count: int) -> None:
        """Count entries, and say so every IMPORT_BEAT_S; raise Conflict when cancelled."""
        self._threads.check_open()
        record, row = self._record, self._record.row
        record.row = msgspec.structs.replace(row, ingested=row.ingested + count)
        if record.is_due:
            record.write(record.row)

    def completing(self, commit: Commit) -> tuple[Condition, Write]:
        """Return what the publish depends on, and what it writes when it succeeds."""
        done = msgspec.structs.replace(
            self._record.row,
            state=_State.COMPLETED,
            metarange=commit.metarange,
            commit=commit.id,
        )
        return self._record.condition(), self._record.making(done)

    def fail(self, error: str) -> None:
        """Say why the import ended; nothing when somebody said so already."""
        record = self._record
        write = record.making(msgspec.structs.replace(record.row, state=_State.FAILED, error=error))
        self._writer.submit_once(Prepared([record.condition()], [write], lambda _verdict: None))


@dataclass(frozen=True, slots=True)
class _Runner:
    """One import: lists its sources, builds the metarange, publishes the commit."""

    order: _Order
    progress: _Progress
    kv: KVStore
    resolver: Resolver
    staging: Staging
    committed: Committed
    merges: Merges
    sources: ImportSources

    def run(self) -> None:
        """Do all of it; what goes wrong is in the import's state."""
        try:
            self.staging.publish(self.order.repository.id, self.order.branch, self._build)
        except AnabranchError as error:
            # When not even that can be written, the import falls silent, which says enough.
            with contextlib.suppress(AnabranchError):
                self.progress.fail(error.message)

    def _build(self, state: BranchState) -> Plan[Commit]:
        order = self.order
        if state.repository.incarnation != order.repository.incarnation:
            raise NotFound(Kind.REPOSITORY_NOT_FOUND, "the repository was replaced")
        self.progress.restart()
        self.merges.refuse_dirty(state)
        conditions = self.sources.conditions(order.sources)
        head = self.resolver.load(state.repository, state.record.head)
        conditions.append(self.resolver.unexpired(state.repository, head.id))
        prefixes = [one.prefix for one in order.sources if one.kind is SourceKind.COMMON_PREFIX]
        paths = [one.destination for one in order.sources if one.kind is SourceKind.OBJECT]
        built = self.committed.replace_under(
            state.repository.namespace,
            state.record.metarange,
            self._batches(),
            prefixes=prefixes,
            paths=paths,
        )
        commit = new_commit(
            metarange=built.metarange,
            parents=[head],
            committer=order.committer,
            message=order.message,
            metadata=order.metadata,
            created_us=self.kv.now_us(),
        )
        unchanged, done = self.progress.completing(commit)
        return Plan(
            commit,
            commit,
            index_writes=built.index_writes,
            conditions=[unchanged, *conditions],
            writes=[done],
        )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for rows in self.sources.batches(self.order.sources):
            yield pa.record_batch(rows)
            self.progress.add(len(rows))
