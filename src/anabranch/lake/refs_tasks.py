"""Dumps and restores of refs in the background: started, watched, forgotten after a day.

One runs in a thread of the process that started it; its state is a KV record that it alone writes.
One that fell silent has died with its process.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import AnabranchError, Conflict, Kind, NotFound, Unavailable
from anabranch.kernel.ids import RepositoryId
from anabranch.lake import keyspace, records
from anabranch.lake.dumps import Dumps
from anabranch.lake.refs_files import RefsDump
from anabranch.lake.restores import Restores
from anabranch.lake.states import States
from anabranch.lake.values import Repository
from anabranch.storage.kv.base import (
    KVStore,
    Prepared,
    Scan,
    Writer,
    delete,
    is_absent,
    is_version,
    key_after_prefix,
    put,
)

_SWEEP_PORTION = 1_000
_INTERRUPTED = "interrupted: its process ended"


class _TaskRow(msgspec.Struct, array_like=True, frozen=True):
    is_restore: bool
    is_done: bool
    updated_us: int
    error: str = ""
    dump: list[str] = []


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
        self._running_max = running_max
        self._kv = kv
        self._writer = writer
        self._states = states
        self._dumps = dumps
        self._restores = restores
        self._clock = clock
        self._ids = ids
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

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
        silent_us = self._now_us() - row.updated_us
        if not is_done and silent_us > limits.IMPORT_SILENT_S * 1_000_000:
            error, is_done = _INTERRUPTED, True
        dump = RefsDump(*row.dump) if row.dump else None
        return TaskStatus(task_id, is_done, row.updated_us, error, dump)

    def sweep(
        self, *, now_us: int, after: bytes = b"", amount: int = _SWEEP_PORTION
    ) -> bytes | None:
        """Forget tasks that ended a day ago; return the `after` of the next portion. For jobs."""
        start = after + b"\x00" if after else keyspace.REFS_TASKS
        scan = Scan(start, key_after_prefix(keyspace.REFS_TASKS), amount)
        rows = self._kv.read((), [scan]).scans[0]
        old_us = now_us - limits.IMPORT_KEEP_S * 1_000_000
        writes = [
            delete(row.key)
            for row in rows
            if records.decode_record(row.value, _TaskRow).updated_us < old_us
        ]
        if writes:
            self._writer.submit(lambda: Prepared((), writes, lambda _verdict: None))
        return rows[-1].key if len(rows) == amount else None

    def wait(self) -> None:
        """Wait for what runs in this process."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def close(self) -> None:
        """End what runs at its next step and wait for it."""
        self._closing.set()
        self.wait()

    def _start(
        self,
        repository: Repository,
        run: Callable[[Callable[[], None]], RefsDump | None],
        *,
        is_restore: bool,
    ) -> str:
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._closing.is_set() or len(self._threads) >= self._running_max:
                raise Unavailable(Kind.BUSY, "too many dumps are running here, try again later")
            task_id = self._ids.hex32()
            record = self._create(repository, task_id, is_restore=is_restore)
            thread = threading.Thread(
                target=record.run, args=(run,), name=f"refs-{task_id}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        return task_id

    def _create(self, repository: Repository, task_id: str, *, is_restore: bool) -> "_Record":
        key = keyspace.refs_task(repository.incarnation, task_id)
        row = _TaskRow(is_restore, False, self._now_us())
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
        return _Record(key, row, version, self._writer, self._clock, self._closing)

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000


class _Record:
    """The state of a running task, written by its thread alone."""

    def __init__(
        self,
        key: bytes,
        row: _TaskRow,
        version: int,
        writer: Writer,
        clock: Clock,
        closing: threading.Event,
    ) -> None:
        self._key = key
        self._row = row
        self._version = version
        self._writer = writer
        self._clock = clock
        self._closing = closing

    def run(self, work: Callable[[Callable[[], None]], RefsDump | None]) -> None:
        """Do the work; what goes wrong is in the record."""
        # When not even that can be written, the task falls silent, which says enough.
        with contextlib.suppress(AnabranchError):
            try:
                dump = work(self._beat)
            except AnabranchError as error:
                self._write(msgspec.structs.replace(self._row, is_done=True, error=error.message))
            else:
                ids = [] if dump is None else list(msgspec.structs.astuple(dump))
                self._write(msgspec.structs.replace(self._row, is_done=True, dump=ids))

    def _beat(self) -> None:
        """Say every IMPORT_BEAT_S that the task lives; raise Unavailable when the server stops."""
        if self._closing.is_set():
            raise Unavailable(Kind.BUSY, "the server is stopping")
        if self._now_us() >= self._row.updated_us + limits.IMPORT_BEAT_S * 1_000_000:
            self._write(self._row)

    def _write(self, row: _TaskRow) -> None:
        row = msgspec.structs.replace(row, updated_us=self._now_us())
        version = self._writer.submit_once(
            Prepared(
                [is_version(self._key, self._version)],
                [put(self._key, records.encode_record(row))],
                lambda verdict: verdict.version,
            )
        )
        if version is None:
            raise Conflict(Kind.CONFLICT, "the task's record is gone")
        self._row, self._version = row, version

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000
