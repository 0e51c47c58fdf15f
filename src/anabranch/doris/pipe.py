"""A body from the event loop to the one thread that loads it: bounded, and either side may end it.

The loop writes and waits while the pipe is full; the thread reads and waits while it is empty.
"""

import asyncio
import contextlib
import io
import threading
from collections import deque
from collections.abc import Callable, Iterator

from anabranch.kernel import limits


class Pipe(io.RawIOBase):
    """A file for one reading thread, written by one task of the loop it was made in.

    A body that breaks off makes the reader raise what `fail` was given: what was read until then
    must not count. Closing the reader's side makes the writer's further bytes go nowhere.
    """

    def __init__(self, bytes_max: int = 2 * limits.WINDOW_BYTES) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._bytes_max = bytes_max
        self._chunks: deque[memoryview] = deque()
        self._held_bytes = 0
        self._is_complete = False
        self._failure: BaseException | None = None
        self._is_abandoned = False
        self._cancels: list[Callable[[], None]] = []
        self._condition = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()
        self._wanted = asyncio.Event()
        self._is_wanted = False
        self.received_bytes = 0

    # The loop's side

    async def wait_wanted(self) -> bool:
        """Wait until the thread reads, or never will; tell whether it reads.

        A client that waits for 100 Continue sends nothing that nobody wants.
        """
        await self._wanted.wait()
        return not self._is_abandoned

    async def write_all(self, data: bytes) -> bool:
        """Hand bytes over once there is room; tell whether anybody still reads them."""
        await self._room.wait()
        with self._condition:
            if self._is_abandoned or self._failure is not None:
                return False
            self._chunks.append(memoryview(data))
            self._held_bytes += len(data)
            self.received_bytes += len(data)
            if self._held_bytes >= self._bytes_max:
                self._room.clear()
            self._condition.notify()
        return True

    def complete(self) -> None:
        """Say that the body has ended, whole."""
        with self._condition:
            self._is_complete = True
            self._condition.notify()

    def fail(self, error: BaseException) -> None:
        """Say that the body broke off: the reader raises `error`, whatever it has not read yet.

        Whatever `interrupting` named is called. The first failure counts; any thread may call.
        """
        with self._condition:
            if self._failure is not None or self._is_abandoned:
                return
            self._failure = error
            self._chunks.clear()
            self._held_bytes = 0
            self._condition.notify()
            cancels = list(self._cancels)
        self._wake(self._room)
        for cancel in cancels:
            cancel()

    # The thread's side

    def check(self) -> None:
        """Raise what the body failed with, if it did."""
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def interrupting(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Call `cancel` when the body breaks off within the block; raise if it did already."""
        with self._condition:
            self._cancels.append(cancel)
        try:
            self.check()
            yield
        finally:
            with self._condition:
                self._cancels.remove(cancel)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer with what is there, at least one byte; 0 at the body's end. Blocks."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # any writable buffer
        with self._condition:
            if not self._is_wanted:
                self._is_wanted = True
                self._wake(self._wanted)
            while not (self._chunks or self._is_complete or self._failure or self._is_abandoned):
                self._condition.wait()
            if self._failure is not None:
                raise self._failure
            filled = 0
            while self._chunks and filled < len(target):
                chunk = self._chunks[0]
                taken = min(len(chunk), len(target) - filled)
                target[filled : filled + taken] = chunk[:taken]
                filled += taken
                if taken == len(chunk):
                    self._chunks.popleft()
                else:
                    self._chunks[0] = chunk[taken:]
            self._held_bytes -= filled
            if self._held_bytes < self._bytes_max:
                self._wake(self._room)
            return filled

    def abandon(self) -> None:
        """Say that nobody reads any more."""
        with self._condition:
            self._is_abandoned = True
            # Its traceback holds all that the load had in its hands.
            self._failure = None
            self._chunks.clear()
            self._held_bytes = 0
            self._condition.notify()
            self._wake(self._room)
            self._wake(self._wanted)

    def _wake(self, event: asyncio.Event) -> None:
        # The loop may have ended before the thread did.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(event.set)
