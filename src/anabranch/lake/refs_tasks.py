"""Dumps and restores of refs in the background: started, watched, forgotten after a day.

How one runs and where its state is kept, lake/tasks.py says.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import AnabranchError, Conflict, Kind, NotFound
from anabranch.kernel.ids import RepositoryId
from anabranch.lake import keyspace, records
from anabranch.lake.dumps import Dumps
from anabranch.lake.refs_files import RefsDump
from anabranch.lake.restores import Restores
from anabranch.lake.states import States
from anabranch.lake.tasks import (
    SWEEP_PORTION,
    TaskRecord,
    TaskThreads,
    is_silent,
    now_us,
    sweep_tasks,
)
from anabranch.lake.values import Repository
from anabranch.storage.kv.base import KVStore, Prepared, Writer, is_absent, is_version, put

_INTERRUPTED = "interrupted: its process ended"
_LOST = "the task's record is gone"


class _TaskRow(msgspec.Struct, array_like=True, frozen=True):
    is_restore: bool
    is_done: bool
    updated_us: int
    error: str = ""
    dump: list[str] = []

    def at(self, updated_us: int) -> Self:
        return msgspec.structs.replace(self, updated_us=updated_us)


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """How a task is; `error` is empty unless it failed, `dump` there when a dump is done."""

    id: str
    is_done: bool
    updated_us: int
    error: str
    dump: RefsDump | None


class RefsTasks:
    """Start and watch dumps and restores."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        states: States,
        dumps: Dumps,
        restores: Restores,
        clock: Clock,
        ids: IdSource,
        *,
        running_max: int = limits.REFS_TASKS_RUNNING_MAX,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._states = states
        self._dumps = dumps
        self._restores = restores
        self._clock = clock
        self._threads = TaskThreads(ids, name="refs", tasks="dumps", running_max=running_max)

    def start_dump(self, repository_id: RepositoryId) -> str:
        """Start a dump and return its id; raise NotFound, Unavailable when too many run."""

        def run(beat: Callable[[], None]) -> RefsDump:
            return self._dumps.dump(repository_id, beat=beat)

        return self._start(self._states.repository(repository_id), run, is_restore=False)

    def start_restore(
        self, repository_id: RepositoryId, dump: RefsDump, *, is_forced: bool = False
    ) -> str:
        """Start a restore and return its id; raise as Restores.check, and Unavailable."""
        repository = self._restores.check(repository_id, dump, is_forced=is_forced)

        def run(beat: Callable[[], None]) -> None:
            self._restores.restore(repository_id, dump, is_forced=is_forced, beat=beat)

        return self._start(repository, run, is_restore=True)

    def status(self, repository_id: RepositoryId, task_id: str, *, is_restore: bool) -> TaskStatus:
        """Return how a dump or a restore is; raise NotFound(TASK_NOT_FOUND)."""
        repository = self._states.repository(repository_id)
        found = self._kv.read([keyspace.refs_task(repository.incarnation, task_id)]).values[0]
        row = None if found is None else records.decode_record(found.value, _TaskRow)
        if row is None or row.is_restore != is_restore:
            raise NotFound(Kind.TASK_NOT_FOUND, f"no task {task_id!r}")
        error, is_done = row.error, row.is_done
        if not is_done and is_silent(row, self._clock):
            error, is_done = _INTERRUPTED, True
        dump = RefsDump(*row.dump) if row.dump else None
        return TaskStatus(task_id, is_done, row.updated_us, error, dump)

    def sweep(
        self, *, now_us: int, after: bytes = b"", amount: int = SWEEP_PORTION
    ) -> bytes | None:
        """Forget tasks that ended a day ago; return the `after` of the next portion. For jobs."""
        return sweep_tasks(
            self._kv,
            self._writer,
            keyspace.REFS_TASKS,
            _TaskRow,
            now_us=now_us,
            after=after,
            amount=amount,
        )

    def wait(self) -> None:
        """Wait for what runs in this process."""
        self._threads.wait()

    def close(self) -> None:
        """End what runs at its next step and wait for it."""
        self._threads.stop()
        self._threads.wait()

    def _start(
        self,
        repository: Repository,
        work: Callable[[Callable[[], None]], RefsDump | None],
        *,
        is_restore: bool,
    ) -> str:
        def prepare(task_id: str) -> Callable[[], None]:
            record = self._create(repository, task_id, is_restore=is_restore)
            return _Runner(record, self._threads, work).run

        return self._threads.start(prepare)

    def _create(
        self, repository: Repository, task_id: str, *, is_restore: bool
    ) -> TaskRecord[_TaskRow]:
        key = keyspace.refs_task(repository.incarnation, task_id)
        row = _TaskRow(is_restore, False, now_us(self._clock))
        conditions = [
            is_absent(key),
            is_version(keyspace.repository(repository.id), repository.version),
        ]
        write = put(key, records.encode_record(row))
        version = self._writer.submit_once(
            Prepared(conditions, [write], lambda verdict: verdict.version)
        )
        if version is None:
            raise Conflict(Kind.CONFLICT, f"repository {repository.id!r} was changed meanwhile")
        return TaskRecord(key, row, version, self._writer, self._clock, lost=_LOST)


@dataclass(frozen=True, slots=True)
class _Runner:
    """One dump or restore."""

    record: TaskRecord[_TaskRow]
    threads: TaskThreads
    work: Callable[[Callable[[], None]], RefsDump | None]

    def run(self) -> None:
        """Do the work; what goes wrong is in the record."""
        # When not even that can be written, the task falls silent, which says enough.
        with contextlib.suppress(AnabranchError):
            try:
                dump = self.work(self._beat)
            except AnabranchError as error:
                self._end(error=error.message)
            else:
                self._end(dump=() if dump is None else msgspec.structs.astuple(dump))

    def _end(self, *, error: str = "", dump: Sequence[str] = ()) -> None:
        row = self.record.row
        done = msgspec.structs.replace(row, is_done=True, error=error, dump=list(dump))
        self.record.write(done)

    def _beat(self) -> None:
        """Say every IMPORT_BEAT_S that the task lives; raise Unavailable when the server stops."""
        self.threads.check_open()
        if self.record.is_due:
            self.record.write(self.record.row)
