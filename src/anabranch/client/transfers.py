"""What uploads and downloads of many files share: threads, connections, attempts, progress.

Nothing here prints: a `Watcher` is told what happens, from any thread.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock, local
from typing import Literal, Protocol, TypeVar

from anabranch.client.checksums import Stopped
from anabranch.client.rest import Client
from anabranch.client.transport import Server, Transport
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Unavailable

T = TypeVar("T")
R = TypeVar("R")
_TURN_S = 0.2


@dataclass(frozen=True, slots=True)
class Transferred:
    """One file that is now on both sides.

    `action` is `sent` or `received`, `resumed` when an earlier run had brought a part of it, and
    `skipped` when the same bytes were there. `is_verified` is False when the object's checksum is
    of a kind that cannot be computed here: then its size alone was compared.
    """

    action: Literal["sent", "received", "resumed", "skipped"]
    file: str
    path: str
    size_bytes: int
    checksum: str
    is_verified: bool = True


class Watcher(Protocol):
    """Is told how transfers go on; called from several threads at once."""

    def began(self, name: str, size_bytes: int) -> None:
        """Note that a file's turn has come."""

    def advanced(self, name: str, size_bytes: int) -> None:
        """Note bytes that are done: sent, received or found there; negative when an attempt failed.

        Their sum over a file's turn is its size.
        """

    def ended(self, name: str) -> None:
        """Note that a file's turn is over."""


class Silent:
    """A watcher that does nothing."""

    def began(self, name: str, size_bytes: int) -> None:
        """Do nothing."""

    def advanced(self, name: str, size_bytes: int) -> None:
        """Do nothing."""

    def ended(self, name: str) -> None:
        """Do nothing."""


class Halt:
    """Whether a transfer is to end, and the error that ended it."""

    def __init__(self) -> None:
        self.event = Event()
        self.error: AnabranchError | None = None
        self._lock = Lock()

    def fail(self, error: AnabranchError) -> None:
        """End for an error; what fails after the end is only its consequence."""
        with self._lock:
            if not self.event.is_set():
                self.error = error
                self.event.set()


class Crew:
    """Threads of one transfer, each with a connection of its own, that can be told to stop.

    A crew may work for a thread of another: then both have one `halt`.
    """

    def __init__(
        self,
        server: Server,
        *,
        threads: int = limits.TRANSFERS_DEFAULT,
        halt: Halt | None = None,
    ) -> None:
        self._server = server
        self._threads = threads
        self._local = local()
        self._lock = Lock()
        self._transports: list[Transport] = []
        self.halt = halt or Halt()
        self.stop = self.halt.event

    @property
    def transport(self) -> Transport:
        """Return the transport of the calling thread."""
        found: Transport | None = getattr(self._local, "transport", None)
        if found is None:
            found = Transport(self._server)
            self._local.transport = found
            with self._lock:
                self._transports.append(found)
        return found

    @property
    def client(self) -> Client:
        """Return the client of the calling thread."""
        return Client(self.transport)

    def run(self, items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
        """Do work on items in parallel; yield results as they come, in any order.

        Items are taken when a thread is soon free. The first error ends it: nothing more is begun,
        what is under way ends at once, and the error is raised. Closing the iterator does the same.
        Raises Stopped when somebody else ended it.
        """

        def guarded(item: T) -> R:
            if self.stop.is_set():
                raise Stopped
            try:
                return work(item)
            except AnabranchError as error:
                self.halt.fail(error)
                raise

        try:
            yield from self._run(items, guarded)
        except (AnabranchError, Stopped):
            if self.halt.error is not None:
                raise self.halt.error from None
            raise

    def _run(self, items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
        with ThreadPoolExecutor(self._threads, thread_name_prefix="transfer") as pool:
            running: set[Future[R]] = set()
            try:
                for item in items:
                    running.add(pool.submit(work, item))
                    while len(running) >= 2 * self._threads:
                        done, running = _first(running)
                        yield from _results(done)
                while running:
                    done, running = _first(running)
                    yield from _results(done)
            except BaseException:
                for one in running:
                    one.cancel()
                self.end()
                raise

    def end(self) -> None:
        """Tell all threads to stop, and end the requests they wait for."""
        self.stop.set()
        with self._lock:
            for transport in self._transports:
                transport.abort()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for transport in self._transports:
                transport.close()

    def attempt(self, work: Callable[[], T]) -> T:
        """Do work that may be repeated, again while the server cannot be reached or is busy."""
        pause_s = limits.TRANSFER_RETRY_S
        for _ in range(limits.TRANSFER_ATTEMPTS - 1):
            try:
                return work()
            except Unavailable:
                if self.stop.wait(pause_s):
                    raise Stopped from None
                pause_s *= 2
        return work()


@dataclass(slots=True)
class Meter:
    """Counts the bytes of one attempt, so that a failed one can be taken back."""

    watcher: Watcher
    name: str
    size_bytes: int = 0

    def advance(self, size_bytes: int) -> None:
        """Count bytes."""
        self.size_bytes += size_bytes
        self.watcher.advanced(self.name, size_bytes)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take back what the block counts when it fails."""
        before = self.size_bytes
        try:
            yield
        except (AnabranchError, Stopped):
            self.watcher.advanced(self.name, before - self.size_bytes)
            self.size_bytes = before
            raise


def _first(running: set[Future[R]]) -> tuple[set[Future[R]], set[Future[R]]]:
    # In turns: a wait without an end is deaf to Ctrl-C on some systems.
    while True:
        done, rest = wait(running, timeout=_TURN_S, return_when=FIRST_COMPLETED)
        if done:
            return done, rest


def _results(done: set[Future[R]]) -> Iterator[R]:
    failed = [one for one in done if one.exception() is not None]
    # What others did is told before the error that ends it all.
    for one in done:
        if one.exception() is None:
            yield one.result()
    for one in failed:
        one.result()
