"""Work in the background of this process: a thread each, and a KV record that it alone writes.

A record says when its task last spoke. One that fell silent has died with its process; one that
ended is forgotten after a day.
"""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import Conflict, Kind, Unavailable
from anabranch.lake import records
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Scan,
    Write,
    Writer,
    delete,
    is_version,
    key_after_prefix,
    put,
)

SWEEP_PORTION = 1_000


class TaskRow(Protocol):
    """What a task's record holds, whatever else is in it; a frozen msgspec struct."""

    @property
    def updated_us(self) -> int:
        """When the task last spoke."""
        ...

    def at(self, updated_us: int) -> Self:
        """Return the same row, spoken at another time."""
        ...


Row = TypeVar("Row", bound=TaskRow)


class TaskThreads:
    """The threads that tasks of one kind run in, a bounded number at once."""

    def __init__(self, ids: IdSource, *, name: str, tasks: str, running_max: int) -> None:
        """Start threads called `name`-id; `tasks` says in a refusal what too many of run."""
        self._ids = ids
        self._name = name
        self._tasks = tasks
        self._running_max = running_max
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, prepare: Callable[[str], Callable[[], None]]) -> str:
        """Give `prepare` a fresh id, run what it returns in a thread, and return the id.

        Raises Unavailable when too many run or these were stopped, and what `prepare` raises.
        """
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._closing.is_set() or len(self._threads) >= self._running_max:
                raise Unavailable(
                    Kind.BUSY, f"too many {self._tasks} are running here, try again later"
                )
            task_id = self._ids.hex32()
            thread = threading.Thread(
                target=prepare(task_id), name=f"{self._name}-{task_id}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        return task_id

    def check_open(self) -> None:
        """Raise Unavailable once the tasks shall end; a task asks at each of its steps."""
        if self._closing.is_set():
            raise Unavailable(Kind.BUSY, "the server is stopping")

    def stop(self) -> None:
        """End what runs at its next step, and start nothing more."""
        self._closing.set()

    def wait(self) -> None:
        """Wait for what runs."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()


class TaskRecord(Generic[Row]):
    """The record of a running task, for its thread alone."""

    def __init__(
        self, key: bytes, row: Row, version: int, writer: Writer, clock: Clock, *, lost: str
    ) -> None:
        """Hold a record as it stands in the store; `lost` tells a task whose record changed."""
        self.row = row
        self._key = key
        self._version = version
        self._writer = writer
        self._clock = clock
        self._lost = lost

    @property
    def is_due(self) -> bool:
        """Whether the task has to say again that it lives, as it does every IMPORT_BEAT_S."""
        return now_us(self._clock) >= self.row.updated_us + limits.IMPORT_BEAT_S * 1_000_000

    def condition(self) -> Condition:
        """Return what holds as long as nobody else wrote the record."""
        return is_version(self._key, self._version)

    def making(self, row: Row) -> Write:
        """Return the write that puts a row there with the time of now."""
        return put(self._key, records.encode_record(row.at(now_us(self._clock))))

    def write(self, row: Row) -> None:
        """Write a row with the time of now; raise Conflict when somebody else wrote the record."""
        row = row.at(now_us(self._clock))
        version = self._writer.submit_once(
            Prepared(
                [self.condition()],
                [put(self._key, records.encode_record(row))],
                lambda verdict: verdict.version,
            )
        )
        if version is None:
            raise Conflict(Kind.CONFLICT, self._lost)
        self.row, self._version = row, version


def is_silent(row: TaskRow, clock: Clock) -> bool:
    """Tell whether a task that should be running has not spoken for IMPORT_SILENT_S."""
    return now_us(clock) - row.updated_us > limits.IMPORT_SILENT_S * 1_000_000


def sweep_tasks(
    kv: KVStore,
    writer: Writer,
    prefix: bytes,
    form: type[TaskRow],
    *,
    now_us: int,
    after: bytes,
    amount: int,
) -> bytes | None:
    """Forget the tasks under a prefix that spoke last a day ago.

    Returns the `after` of the next portion, None when this was the last.
    """
    scan = Scan(after + b"\x00" if after else prefix, key_after_prefix(prefix), amount)
    rows = kv.read((), [scan]).scans[0]
    old_us = now_us - limits.IMPORT_KEEP_S * 1_000_000
    writes: list[Write] = [
        delete(row.key)
        for row in rows
        if records.decode_record(row.value, form).updated_us < old_us
    ]
    if writes:
        writer.submit(lambda: Prepared((), writes, lambda _verdict: None))
    return rows[-1].key if len(rows) == amount else None


def now_us(clock: Clock) -> int:
    """Return a clock's time in microseconds."""
    return clock.now_ns() // 1_000
