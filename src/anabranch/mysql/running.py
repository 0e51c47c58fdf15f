"""One answer being computed in threads, a bounded window ahead of its client.

A thread works until the window is full and is then given back: a client that reads slowly holds
memory for one window, and no thread.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from anabranch.edge.blocking import Threads
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError
from anabranch.mysql.results import Answer, Chunk, Piece
from anabranch.warehouse.errors import SqlError


class Running:
    """The pieces of an answer, in order. Used from the event loop alone."""

    def __init__(self, answer: Answer, threads: Threads, cancel: Callable[[], None]) -> None:
        self._answer = answer
        self._pieces: Iterator[Piece] = answer.pieces()
        self._threads = threads
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Piece] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._future: Future[None] | None = None
        self._made_bytes = 0  # written by the thread that works
        self._taken_bytes = 0
        self._has_ended = False  # the generator, in the thread that works
        self._is_over = False  # the same, as the loop knows it
        self._is_stopped = False
        self._is_waiting_for_file = False
        self._refusal: AnabranchError | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._failure: SqlError | None = None
        self._is_given_up = False

    @property
    def is_over(self) -> bool:
        """Tell whether everything was computed."""
        return self._is_over

    async def next(self) -> Piece | None:
        """Return the next piece, None at the end.

        Raises the error of `interrupt` when the statement does not end soon after it, and
        Unavailable(BUSY) when no thread is to be had.
        """
        while True:
            if self._is_given_up and self._failure is not None:
                raise self._failure
            if self._ready:
                piece = self._ready.popleft()
                if isinstance(piece, Chunk):
                    self._taken_bytes += len(piece.data)
                    self._work_on()
                return piece
            if self._is_over:
                return None
            if self._refusal is not None:
                raise self._refusal
            self._work_on()
            if self._refusal is None:
                self._waiter = self._loop.create_future()
                await self._waiter
                self._waiter = None

    def resume(self, sequence: int, failure: SqlError | None) -> None:
        """Go on after a requested file; `sequence` is the number of the next packet.

        With a `failure` the statement ends, and the client reads that error.
        """
        self._answer.sequence = sequence
        self._answer.failure = self._answer.failure or failure
        self._is_waiting_for_file = False

    def interrupt(self, failure: SqlError, *, is_final: bool) -> None:
        """Cancel what runs, again and again until it ends; any thread of it ends by itself.

        The first call's error is the answer's. When `is_final`, `next` raises it at once.
        """
        if self._failure is None:
            self._failure = failure
            self._answer.failure = failure
            self._press()
            self._loop.call_later(limits.MYSQL_CANCEL_S, self._give_up)
        if is_final:
            self._give_up()

    def _give_up(self) -> None:
        if not self._is_over:
            self._is_given_up = True
            self._wake()

    def _press(self) -> None:
        if self._is_over:
            return
        if self._future is None:
            self._cancel()  # it waits for its client, and fails when it goes on
        elif not self._future.cancel():
            self._cancel()
            self._loop.call_later(limits.MYSQL_CANCEL_REPEAT_S, self._press)

    async def stop(self) -> None:
        """Drop what is left, and return when no thread works on it any more."""
        self._is_stopped = True
        self._ready.clear()
        if self._future is None:
            if not self._is_over:
                self._start()
            if self._future is None and not self._ended.done():
                self._close()
                self._ended.set_result(None)
        await asyncio.shield(self._ended)

    def _work_on(self) -> None:
        if self._future is not None or self._is_over or self._is_waiting_for_file:
            return
        if self._made_bytes - self._taken_bytes <= limits.MYSQL_AHEAD_BYTES // 2:
            self._start()

    def _start(self) -> None:
        try:
            self._future = self._threads.submit(self._work)
        except AnabranchError as error:
            self._refusal = error
            return
        self._future.add_done_callback(self._report_end)

    def _work(self) -> None:
        """Run in a thread: make pieces until the window is full."""
        while not self._is_stopped:
            piece = next(self._pieces, None)
            if piece is None:
                self._has_ended = True  # `_take_end` tells: one wake-up of the loop less
                return
            self._loop.call_soon_threadsafe(self._take, piece)
            if not isinstance(piece, Chunk):
                return
            self._made_bytes += len(piece.data)
            if self._made_bytes - self._taken_bytes >= limits.MYSQL_AHEAD_BYTES:
                return
        self._close()
        self._has_ended = True

    def _close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def _report_end(self, _future: "Future[None]") -> None:
        # The loop is gone when the process stops without waiting for its statements.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take_end)

    def _take(self, piece: Piece) -> None:
        if not self._is_stopped:
            self._ready.append(piece)
            self._is_waiting_for_file = not isinstance(piece, Chunk)
        self._wake()

    def _take_end(self) -> None:
        future, self._future = self._future, None
        self._is_over = self._is_over or self._has_ended
        if future is not None and future.cancelled():
            # It never began: what it would have answered is the reason.
            self._is_given_up = True
        if self._is_stopped and not self._is_over:
            self._start()
            if self._future is None:
                self._is_over = True
                self._close()
        if (self._is_stopped or self._is_over) and self._future is None:
            self._is_over = True
            if not self._ended.done():
                self._ended.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
