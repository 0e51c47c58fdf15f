"""What every KV store offers, and the values that cross it.

The interface is requests, not interactive transactions: a request is judged against its
conditions and applied whole or not at all. Versions are unique in the store's whole life, so a key
deleted and written again never has an old version.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Versioned(NamedTuple):
    """A value and the version it was written with."""

    value: bytes
    version: int


class Row(NamedTuple):
    """One key of a scan."""

    key: bytes
    value: bytes
    version: int


class Scan(NamedTuple):
    """A bounded scan in byte order: `start` included, `end` excluded (None: to the last key)."""

    start: bytes
    end: bytes | None
    limit: int


class Snapshot(NamedTuple):
    """Answers of one read, all of one moment, in the order they were asked."""

    values: tuple[Versioned | None, ...]
    scans: tuple[tuple[Row, ...], ...]


class Condition(NamedTuple):
    """`key` has exactly `version`; version 0 means that the key is absent."""

    key: bytes
    version: int


class Write(NamedTuple):
    """`key` gets `value`; None deletes it (deleting an absent key is nothing)."""

    key: bytes
    value: bytes | None


def is_version(key: bytes, version: int) -> Condition:
    """Return the condition that `key` still has `version`."""
    return Condition(key, version)


def is_absent(key: bytes) -> Condition:
    """Return the condition that `key` does not exist."""
    return Condition(key, 0)


def is_as_seen(key: bytes, seen: Versioned | None) -> Condition:
    """Return the condition that `key` is as a read showed it, present or absent."""
    return Condition(key, 0 if seen is None else seen.version)


def put(key: bytes, value: bytes) -> Write:
    """Return the write of a value."""
    return Write(key, value)


def delete(key: bytes) -> Write:
    """Return the deletion of a key."""
    return Write(key, None)


def scan_prefix(prefix: bytes, *, after: bytes = b"", limit: int) -> Scan:
    """Return the scan of keys that start with `prefix` and lie after `prefix + after`."""
    start = prefix if not after else prefix + after + b"\x00"
    return Scan(start, key_after_prefix(prefix), limit)


def key_after_prefix(prefix: bytes) -> bytes | None:
    """Return the smallest key above all that start with `prefix`; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return None
    return stripped[:-1] + bytes([stripped[-1] + 1])


@dataclass(frozen=True, slots=True)
class Request:
    """One conditional transaction. At most KV_WRITES_MAX writes."""

    conditions: Sequence[Condition]
    writes: Sequence[Write]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request.

    `version` is the version its writes got (one for all of them); `failed` is the first condition
    that did not hold.
    """

    is_accepted: bool
    version: int = 0
    failed: Condition | None = None


class KVStore(Protocol):
    """Ordered keys and values. Safe to use from many threads and, where durable, processes."""

    @property
    def is_local(self) -> bool:
        """Tell whether `read` touches only memory or page cache, so that a loop may call it."""
        ...

    @property
    def can_lose_answers(self) -> bool:
        """Tell whether `apply` may raise OutcomeUnknown, so that requests need an outcome key."""
        ...

    def read(self, keys: Sequence[bytes], scans: Sequence[Scan] = ()) -> Snapshot:
        """Return values and scans of one moment.

        Raises LimitExceeded when a scan asks for more than SCAN_ROWS_MAX rows.
        """
        ...

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        """Judge the requests in order and apply the accepted ones in one durable transaction.

        Each request sees the writes of the accepted ones before it. A refused request leaves no
        write and never fails its neighbours. Returns only when the writes are on disk. Raises
        Unavailable when nothing was applied and nothing will be, OutcomeUnknown when the answer
        was lost, LimitExceeded (nothing applied) when a request is larger than one may be.
        """
        ...

    def now_us(self) -> int:
        """Return the store's own clock in microseconds since 1970 UTC: the same for all servers."""
        ...

    def close(self) -> None:
        """Release files and connections. Nothing else may be called afterwards."""
        ...


class Window(Protocol):
    """Bytes with a reserved place, to be on disk before the transaction that points to them."""

    @property
    def is_lost(self) -> bool:
        """Tell whether its place was abandoned, so that the bytes must be reserved anew."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared(Generic[T_co]):
    """One step of a use case, ready to be queued: bytes first, then the transaction.

    `accepted` turns the verdict into the use case's answer and runs on the caller's side.
    """

    conditions: Sequence[Condition]
    writes: Sequence[Write]
    accepted: Callable[[Verdict], T_co]
    windows: Sequence[Window] = field(default=())


class Writer(Protocol):
    """The process's one way to write: batches what queued during the last fsync."""

    def submit(self, make: Callable[[], Prepared[T]]) -> T:
        """Run one step and return its answer; blocks until it is durable.

        When the verdict is a refusal, `make` is called again in the calling thread, at most
        STAGING_RETRIES_MAX times; then Conflict. It is also called again when a window's place was
        lost (`is_lost`), and must then put the bytes anew. What `make` or `accepted` raise comes
        through. A full queue raises Unavailable. `make` may raise to end the use case instead.
        """
        ...

    async def submit_async(self, make: Callable[[], Prepared[T]]) -> T:
        """Do the same in an event loop: `make` runs in the loop, waiting does not block it.

        A task cancelled while it waits has no say any more: its write may still happen.
        """
        ...

    def submit_once(self, prepared: Prepared[T]) -> T | None:
        """Run one step whose refusal the caller judges itself: None means refused.

        Raises Unavailable when a window's place was lost: put the bytes again before a repeat.
        """
        ...
