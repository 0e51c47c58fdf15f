"""The one bridge from the event loop to blocking code: bounded threads and a bounded queue.

A thread hop costs some 170 µs, so calls that only touch the page cache and an embedded store run
in the loop (`call_local`); whatever may wait for a disk, a remote store or a long computation goes
to a thread (`call_thread`).
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A bounded pool: THREADS_MAX calls run, THREAD_QUEUE_MAX wait, more are refused."""

    def __init__(
        self,
        threads_max: int = limits.THREADS_MAX,
        queue_max: int = limits.THREAD_QUEUE_MAX,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads_max, thread_name_prefix="blocking")
        self._open_max = threads_max + queue_max
        self._open = 0
        self._lock = threading.Lock()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Start a call in a thread; raise Unavailable(BUSY) when the queue is full.

        The call sees the caller's context variables.
        """
        with self._lock:
            if self._open >= self._open_max:
                raise Unavailable(Kind.BUSY, "the server has too many requests waiting")
            self._open += 1
        context = contextvars.copy_context()
        try:
            future = self._pool.submit(context.run, partial(function, *args, **kwargs))
        except RuntimeError:
            self._release()
            raise Unavailable(Kind.BUSY, "the server is stopping") from None
        future.add_done_callback(self._release)
        return future

    def _release(self, _future: object = None) -> None:
        with self._lock:
            self._open -= 1

    @property
    def open_calls(self) -> int:
        """Return how many calls run or wait."""
        return self._open

    def close(self) -> None:
        """Refuse further calls, drop those that wait, and let running ones end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Process:
    """What belongs to the process as a whole: its pool, and whether its stores are local."""

    def __init__(self) -> None:
        self.threads = Threads()
        self.is_local = True


_process = _Process()


def configure(*, is_local: bool) -> None:
    """Say whether `call_local` may run in the loop: the worker does, when its stores are open."""
    _process.is_local = is_local


def submit(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
    """Start a call in one of the process's threads; raise Unavailable(BUSY) when too many wait."""
    return _process.threads.submit(function, *args, **kwargs)


async def call_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread and return its result.

    When the waiting task is cancelled, a call that did not start is dropped; one that runs ends
    by itself. Raises Unavailable(BUSY) when too many calls wait.
    """
    return await asyncio.wrap_future(_process.threads.submit(function, *args, **kwargs))


async def call_local(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short call in the loop when the stores are local, else in a thread."""
    if _process.is_local:
        return function(*args, **kwargs)
    return await asyncio.wrap_future(_process.threads.submit(function, *args, **kwargs))
