"""The process's one writer: group commit of everything that queued during the last fsync.

Callers queue requests; one thread takes all that wait (bounded), makes the bytes of their windows
durable, then applies them as one batch. Nothing sleeps to fill a batch: what arrives while one is
being synced is the next.

Each answer goes back to where it was asked: a thread is woken by its own lock, and an event loop
by one `call_soon_threadsafe` a batch, whatever the number of its tasks. Refused requests run again
on the caller's side, never here.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource
from anabranch.kernel.errors import (
    AnabranchError,
    Conflict,
    Kind,
    OutcomeUnknown,
    Unavailable,
)
from anabranch.storage.kv.base import KVStore, Prepared, Request, Verdict, Window
from anabranch.storage.kv.judging import check_requests
from anabranch.storage.kv.outcomes import giving_up, outcome_key, was_applied, with_outcome

T = TypeVar("T")

Flush = Callable[[Sequence[Window]], None]
"""Makes the bytes of windows durable; a window that could not be written `is_lost` afterwards."""


class _Lost:
    """The answer to a request one of whose windows has no place any more."""


_LOST = _Lost()
_Answer = Verdict | AnabranchError | _Lost


class _Job:
    """One queued request and the way back to who waits for it."""

    __slots__ = ("answer", "future", "loop", "request", "waiter", "windows")

    def __init__(
        self,
        request: Request,
        windows: Sequence[Window],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.request = request
        self.windows = windows
        self.answer: _Answer = _LOST
        self.loop = loop
        self.future: asyncio.Future[None] | None = None
        self.waiter: threading.Lock | None = None
        if loop is not None:
            self.future = loop.create_future()
        else:
            self.waiter = threading.Lock()
            self.waiter.acquire()


class GroupWriter:
    """The one way to write: `submit` from threads, `submit_async` from event loops.

    `flush` is the block store's. `ids` is needed for stores that can lose an answer. `pause` waits
    between attempts to settle a lost answer; it gets seconds and returns early when closing.
    """

    def __init__(
        self,
        kv: KVStore,
        flush: Flush,
        *,
        ids: IdSource | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        assert ids is not None or not kv.can_lose_answers
        self._kv = kv
        self._flush = flush
        self._ids = ids
        self._closing = threading.Event()
        self._pause = self._closing.wait if pause is None else pause
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._carried: _Job | None = None
        self._gate = threading.Lock()
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, make: Callable[[], Prepared[T]]) -> T:
        """Run one step and return its answer; blocks until it is durable.

        The contract is `Writer.submit`'s.
        """
        tries = _Tries()
        while True:
            prepared = make()
            verdict = tries.judge(self._ask(prepared))
            if verdict is not None:
                return prepared.accepted(verdict)

    async def submit_async(self, make: Callable[[], Prepared[T]]) -> T:
        """Run one step in an event loop: `make` and `accepted` run in it, waiting does not."""
        loop = asyncio.get_running_loop()
        tries = _Tries()
        while True:
            prepared = make()
            job = _Job(_request_of(prepared), prepared.windows, loop)
            self._enqueue(job)
            assert job.future is not None
            await job.future
            verdict = tries.judge(job.answer)
            if verdict is not None:
                return prepared.accepted(verdict)

    def submit_once(self, prepared: Prepared[T]) -> T | None:
        """Run one step whose refusal the caller judges itself: None means refused."""
        answer = self._ask(prepared)
        if isinstance(answer, _Lost):
            raise Unavailable(Kind.STORE_FAILED, "the bytes could not be written; put them again")
        if isinstance(answer, AnabranchError):
            raise answer
        return prepared.accepted(answer) if answer.is_accepted else None

    def queued(self) -> int:
        """Return how many requests wait for the next batch, roughly."""
        return self._queue.qsize()

    def close(self) -> None:
        """Write what is queued, then stop. Later requests raise Unavailable. Safe to repeat."""
        with self._gate:
            was_open, self._is_open = self._is_open, False
            if was_open:
                self._queue.put(None)
        self._closing.set()
        self._thread.join()

    def _ask(self, prepared: Prepared[T]) -> _Answer:
        job = _Job(_request_of(prepared), prepared.windows, None)
        self._enqueue(job)
        assert job.waiter is not None
        job.waiter.acquire()
        return job.answer

    def _enqueue(self, job: _Job) -> None:
        check_requests((job.request,))
        if self._queue.qsize() >= limits.KV_QUEUE_MAX:
            raise Unavailable(Kind.BUSY, "too many writes are waiting")
        # Under the gate, so that nothing can be queued behind the end mark and wait for ever.
        with self._gate:
            if not self._is_open:
                raise Unavailable(Kind.STORE_FAILED, "the writer has stopped")
            self._queue.put(job)

    # Below: the writer thread.

    def _run(self) -> None:
        batch: list[_Job] = []
        try:
            while True:
                batch, is_last = self._take()
                self._write(batch)
                _settle(batch)
                batch = []
                if is_last:
                    return
        except SystemExit:
            # Ends a thread, not the process; said here because not every excepthook knows.
            return
        finally:
            # Also when something nobody foresaw ends this thread: no caller may wait for ever.
            with self._gate:
                self._is_open = False
            self._refuse_all(batch)

    def _take(self) -> tuple[list[_Job], bool]:
        """Return the next batch, and whether the writer was closed behind it."""
        first = self._carried if self._carried is not None else self._queue.get()
        self._carried = None
        if first is None:
            return [], True
        batch = [first]
        writes = len(first.request.writes)
        while len(batch) < limits.KV_BATCH_REQUESTS_MAX:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                return batch, True
            writes += len(job.request.writes)
            if writes > limits.KV_WRITES_MAX:
                self._carried = job
                break
            batch.append(job)
        return batch, False

    def _write(self, batch: Sequence[_Job]) -> None:
        windows = [window for job in batch for window in job.windows if not window.is_lost]
        if windows:
            self._flush(windows)
        jobs = [job for job in batch if not any(window.is_lost for window in job.windows)]
        if not jobs:
            return
        try:
            if self._kv.can_lose_answers:
                self._apply_or_find_out(jobs)
            else:
                verdicts = self._kv.apply([job.request for job in jobs])
                for job, verdict in zip(jobs, verdicts, strict=True):
                    job.answer = verdict
        except AnabranchError as error:
            for job in jobs:
                if job.answer is _LOST:
                    job.answer = _copy_of(error)

    def _apply_or_find_out(self, jobs: list[_Job]) -> None:
        """Apply jobs in a store that can lose an answer; those given up run again, bounded."""
        assert self._ids is not None
        for attempt in range(limits.OUTCOME_TRIES_MAX):
            if attempt:
                self._pause(limits.OUTCOME_PAUSE_S)
            ids = [self._ids.hex32() for _ in jobs]
            now_us = self._kv.now_us()
            requests = [
                with_outcome(job.request, request_id, now_us) if job.request.writes else job.request
                for job, request_id in zip(jobs, ids, strict=True)
            ]
            try:
                verdicts: Sequence[Verdict | None] = self._kv.apply(requests)
            except OutcomeUnknown:
                verdicts = self._find_out(ids)
            again: list[_Job] = []
            for job, verdict in zip(jobs, verdicts, strict=True):
                if verdict is None:
                    again.append(job)
                else:
                    job.answer = verdict
            if not again:
                return
            jobs = again
        raise Unavailable(Kind.STORE_FAILED, "the store lost each answer; nothing was done")

    def _find_out(self, ids: Sequence[str]) -> list[Verdict | None]:
        """Return the verdict of each request that was applied, None for each that never will be."""
        for attempt in range(limits.OUTCOME_TRIES_MAX):
            if attempt:
                self._pause(limits.OUTCOME_PAUSE_S)
            try:
                now_us = self._kv.now_us()
                self._kv.apply([giving_up(request_id, now_us) for request_id in ids])
                # What stands there now stays, whether this attempt, a former one or the request
                # itself wrote it.
                rows = self._kv.read([outcome_key(request_id) for request_id in ids]).values
            except Unavailable:
                continue
            found: list[Verdict | None] = []
            for row in rows:
                assert row is not None
                found.append(Verdict(True, row.version) if was_applied(row.value) else None)
            return found
        raise OutcomeUnknown(Kind.OUTCOME_UNKNOWN, "the store does not say whether it was written")

    def _refuse_all(self, batch: list[_Job]) -> None:
        waiting = list(batch)
        if self._carried is not None:
            waiting.append(self._carried)
        while True:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is not None:
                waiting.append(job)
        for job in waiting:
            job.answer = Unavailable(Kind.STORE_FAILED, "the writer has stopped")
        _settle(waiting)


class _Tries:
    """Counts how often one step was refused, and how often in a row its place was lost."""

    __slots__ = ("_lost", "_refused")

    def __init__(self) -> None:
        self._refused = 0
        self._lost = 0

    def judge(self, answer: _Answer) -> Verdict | None:
        """Return an acceptance, None to make the step again; raise when it is over."""
        if isinstance(answer, AnabranchError):
            raise answer
        if isinstance(answer, _Lost):
            self._lost += 1
            if self._lost >= limits.LOST_WINDOWS_MAX:
                raise Unavailable(Kind.STORE_FAILED, "the bytes could not be written")
            return None
        if answer.is_accepted:
            return answer
        self._lost = 0
        self._refused += 1
        if self._refused > limits.STAGING_RETRIES_MAX:
            raise Conflict(
                Kind.RETRIES_EXHAUSTED, f"refused {self._refused} times by writes of others"
            )
        return None


def _request_of(prepared: Prepared[T]) -> Request:
    return Request(prepared.conditions, prepared.writes)


def _copy_of(error: AnabranchError) -> AnabranchError:
    # Each caller raises its own: a shared one would collect the tracebacks of all.
    copy = type(error)(error.kind, error.message, **error.details)
    copy.__cause__ = error
    return copy


def _settle(batch: Sequence[_Job]) -> None:
    """Wake who waits: each thread by itself, each event loop once."""
    futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for job in batch:
        if job.waiter is not None:
            job.waiter.release()
        elif job.loop is not None and job.future is not None:
            futures.setdefault(job.loop, []).append(job.future)
    for loop, waiting in futures.items():
        try:
            loop.call_soon_threadsafe(_wake, waiting)
        except RuntimeError:
            # The loop was closed, and its tasks with it: nobody waits for these answers any more.
            continue


def _wake(futures: Sequence["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
