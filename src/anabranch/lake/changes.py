"""Several paths of a branch changed at once: all of them become visible by one transaction.

A change is made for the branch as one read shows it, and made anew when the branch moved. What
fits goes into the branch's token; more goes into a token of its own, which is filled unseen and put
in front by one write of the branch's record (docs/protocol.md 2.7).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.entries import Entry, Metadata, decode_entry, encode_entry, encode_tombstone
from anabranch.kernel.errors import Conflict, Kind, NotFound
from anabranch.kernel.ids import Address, Path
from anabranch.lake import keyspace, records
from anabranch.lake.bodies import Body
from anabranch.lake.committed import Committed
from anabranch.lake.rows import entries_of
from anabranch.lake.staging import Staging
from anabranch.lake.states import States
from anabranch.lake.values import BranchState, Sealed, Target, relative_address
from anabranch.storage.blocks.base import Placed
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Versioned,
    Window,
    Write,
    Writer,
    delete,
    is_as_seen,
    is_version,
    put,
    scan_prefix,
)

T = TypeVar("T")

_OWN_WRITES = 16  # room for the branch's record and the dropped keys
_PLACED_PORTION = 1_000  # bodies whose bytes and index rows are written ahead together


class Put(NamedTuple):
    """A received body and the path it is put under."""

    path: Path
    body: Body
    metadata: Metadata
    content_type: str


@dataclass(frozen=True, slots=True)
class BranchChange(Generic[T]):
    """What is to become of a branch, all at once; `answer` is the caller's.

    `entries` gives live entries of the same branch a further path: whoever names them has the
    conditions that `look` gave among `conditions`. A path is in one of the lists, and once.
    """

    answer: T
    puts: Sequence[Put] = ()
    entries: Sequence[tuple[Path, Entry]] = ()
    deletes: Sequence[Path] = ()
    conditions: Sequence[Condition] = ()
    writes: Sequence[Write] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a path meant at a branch; `condition` is that its row in the open token stays."""

    entry: Entry | None
    condition: Condition


Change = Callable[[BranchState], BranchChange[T]]


class _MovedError(Exception):
    """The branch is not as a change was told: it is made anew."""


@dataclass(slots=True)
class _Rows:
    """Staging rows of a change by path, and what its bytes need in the transaction."""

    staged: dict[str, bytes] = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)

    @property
    def index_writes(self) -> list[Write]:
        return [write for placed in self.placed for write in placed.writes]

    @property
    def windows(self) -> list[Window]:
        return [window for placed in self.placed for window in placed.windows]


class Changes:
    """Change many paths of a branch in one transaction."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        states: States,
        staging: Staging,
        committed: Committed,
        clock: Clock,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._states = states
        self._staging = staging
        self._committed = committed
        self._clock = clock

    def making_apply(self, target: Target, change: Change[T]) -> Callable[[], Prepared[T]]:
        """Return the step that applies a change in one transaction of at most KV_WRITES_MAX writes.

        `change` gets the branch and is called again, with the branch as it is then, whenever the
        transaction was refused; what it raises ends the step. Raises LimitExceeded past the limit.
        """
        return self._making(target, change, self._small)

    def apply(self, target: Target, change: Change[T]) -> T:
        """Apply a change of any size and return its answer; blocks.

        Raises Conflict when the branch moved too often, or has too many sealed tokens to take a
        large change before the next commit.
        """

        def prepare(state: BranchState, found: BranchChange[T]) -> Prepared[T]:
            if _count(found) > limits.KV_WRITES_MAX - _OWN_WRITES:
                return self._large(state, found)
            return self._small(state, found)

        return self._writer.submit(self._making(target, change, prepare))

    def drop_prefix(self, target: Target, prefixes: Sequence[str], change: Change[T]) -> T:
        """Delete all that lies under prefixes, however much, and apply a change with it."""

        def changing(state: BranchState) -> BranchChange[T]:
            found = change(state)
            kept = {one.path for one in found.puts} | {path for path, _ in found.entries}
            gone = {Path(path) for prefix in prefixes for path in self.under(state, prefix)}
            deletes = sorted((gone | set(found.deletes)) - kept)
            return replace(found, deletes=deletes)

        return self.apply(target, changing)

    def look(
        self, state: BranchState, paths: Sequence[str], keys: Sequence[bytes] = ()
    ) -> tuple[list[Seen], tuple[Versioned | None, ...]]:
        """Return what paths mean at a branch, and the values of further keys: one KV read.

        For callers within a change: it is made anew when the branch is no longer as `state` says.
        Holds as long as the branch's record does, which is a condition of each change anyway, and
        the conditions of what was seen.
        """
        tokens = state.record.tokens
        record_key = _is_still(state).key
        staged_keys = [keyspace.staged(token, path) for path in paths for token in tokens]
        record_row, *values = self._kv.read([record_key, *keys, *staged_keys]).values
        if record_row is None or record_row.version != state.version:
            raise _MovedError
        staged = values[len(keys) :]
        found: list[Seen | None] = []
        asked: list[str] = []
        conditions: list[Condition] = []
        for index, path in enumerate(paths):
            rows = staged[index * len(tokens) : (index + 1) * len(tokens)]
            condition = is_as_seen(keyspace.staged(tokens[0], path), rows[0])
            conditions.append(condition)
            row = next((row for row in rows if row is not None), None)
            if row is None:
                asked.append(path)
            found.append(None if row is None else Seen(decode_entry(row.value), condition))
        record = state.record
        head = self._committed.get_many(state.repository.namespace, record.metarange, asked)
        entries = iter(head)
        seen = [
            Seen(next(entries), condition) if one is None else one
            for one, condition in zip(found, conditions, strict=True)
        ]
        return seen, tuple(values[: len(keys)])

    def moved(self) -> Exception:
        """Return what a change raises when it found the branch not to be as it was told."""
        return _MovedError()

    def under(self, state: BranchState, prefix: str) -> dict[str, Entry]:
        """Return all live entries under a prefix, in no order.

        Rows of the open token are read in portions, so those of others may come in between.
        """
        record = state.record
        found: dict[str, Entry | None] = {}
        for batch in self._committed.scan(
            state.repository.namespace, record.metarange, prefix=prefix
        ):
            found.update(entries_of(batch))
        for token in reversed(record.tokens):
            found.update(self.staged_under(token, prefix))
        return {path: entry for path, entry in found.items() if entry is not None}

    def staged_under(self, token: str, prefix: str) -> dict[str, Entry | None]:
        """Return a token's rows under a prefix, None for a tombstone; read in portions."""
        base = keyspace.staging(token) + prefix.encode()  # type: ignore[arg-type]  # of a record
        cut = len(base)
        after = b""
        found: dict[str, Entry | None] = {}
        while True:
            scan = scan_prefix(base, after=after, limit=limits.SCAN_ROWS_MAX)
            rows = self._kv.read((), [scan]).scans[0]
            for row in rows:
                found[prefix + row.key[cut:].decode()] = decode_entry(row.value)
            if len(rows) < limits.SCAN_ROWS_MAX:
                return found
            after = rows[-1].key[cut:]

    def _making(
        self,
        target: Target,
        change: Change[T],
        prepare: Callable[[BranchState, BranchChange[T]], Prepared[T]],
    ) -> Callable[[], Prepared[T]]:
        is_again = False

        def make() -> Prepared[T]:
            nonlocal is_again
            for _ in range(limits.STAGING_RETRIES_MAX):
                state = self._state(target, is_fresh=is_again)
                is_again = True
                try:
                    return prepare(state, change(state))
                except _MovedError:
                    continue
            raise Conflict(
                Kind.RETRIES_EXHAUSTED, f"branch {target.branch!r} moved too often meanwhile"
            )

        return make

    def _state(self, target: Target, *, is_fresh: bool) -> BranchState:
        state = None
        if not is_fresh:
            state = self._states.guess(target.repository.id, target.branch)
        if state is None or state.repository.incarnation != target.repository.incarnation:
            state = self._states.fresh(target.repository.id, target.branch)
        if state.repository.incarnation != target.repository.incarnation:
            raise NotFound(
                Kind.REPOSITORY_NOT_FOUND, f"repository {target.repository.id!r} was replaced"
            )
        return state

    def _small(self, state: BranchState, found: BranchChange[T]) -> Prepared[T]:
        token = state.record.token
        rows = self._rows(state, found)
        writes = [put(keyspace.staged(token, path), value) for path, value in rows.staged.items()]
        for path, below in zip(found.deletes, self._is_below(state, found.deletes), strict=True):
            key = keyspace.staged(token, path)
            writes.append(put(key, encode_tombstone()) if below else delete(key))
        return Prepared(
            [_is_still(state), *found.conditions],
            [*writes, *rows.index_writes, *found.writes],
            lambda _verdict: found.answer,
            rows.windows,
        )

    def _large(self, state: BranchState, found: BranchChange[T]) -> Prepared[T]:
        """Fill a token with a change and return the step that puts it in front."""
        record = state.record
        if len(record.sealed) + 2 > limits.SEALED_TOKENS_MAX:
            raise Conflict(
                Kind.TOO_MANY_SEALED,
                f"branch {state.branch!r} holds too much that is uncommitted: commit first",
            )
        rows = self._rows(state, found)
        staged = rows.staged | {str(path): encode_tombstone() for path in found.deletes}
        # Bytes that nothing points to yet: an index row more or less is no harm.
        for start in range(0, len(rows.placed), _PLACED_PORTION):
            part = _Rows(placed=rows.placed[start : start + _PLACED_PORTION])
            step = Prepared((), part.index_writes, lambda _verdict: True, part.windows)
            self._writer.submit_once(step)
        token, front = self._staging.new_token(), self._staging.new_token()
        is_filled = self._staging.fill(token, staged)
        moved = replace(
            record,
            token=front,
            sealed=(Sealed(token, len(staged)), Sealed(record.token), *record.sealed),
        )
        key = keyspace.branch(state.repository.incarnation, state.branch)
        return Prepared(
            [_is_still(state), is_filled, *found.conditions],
            [put(key, records.encode_branch(moved)), delete(is_filled.key), *found.writes],
            lambda _verdict: found.answer,
        )

    def _rows(self, state: BranchState, found: BranchChange[T]) -> _Rows:
        rows = _Rows()
        namespace = state.repository.namespace
        now_us = self._clock.now_ns() // 1_000
        for path, body, metadata, content_type in found.puts:
            entry = Entry(
                Address(relative_address(namespace, body.address)),
                body.etag,
                body.size_bytes,
                now_us,
                content_type,
                metadata,
            )
            rows.staged[path] = encode_entry(entry)
            rows.placed.append(body.place())
        for path, entry in found.entries:
            rows.staged[path] = encode_entry(entry)
        return rows

    def _is_below(self, state: BranchState, paths: Sequence[Path]) -> list[bool]:
        """Tell for each path whether a sealed token or the head has a row of it."""
        if not paths:
            return []
        sealed = state.sealed_tokens
        is_below = [False] * len(paths)
        if sealed:
            keys = [keyspace.staged(token, path) for path in paths for token in sealed]
            values = self._kv.read(keys).values
            for index in range(len(paths)):
                rows = values[index * len(sealed) : (index + 1) * len(sealed)]
                is_below[index] = any(row is not None for row in rows)
        asked = [index for index, below in enumerate(is_below) if not below]
        head = self._committed.get_many(
            state.repository.namespace, state.record.metarange, [paths[index] for index in asked]
        )
        for index, entry in zip(asked, head, strict=True):
            is_below[index] = entry is not None
        return is_below


def _count(found: BranchChange[T]) -> int:
    """Return how many writes a change needs; each put has its staging row and its index row."""
    return 2 * len(found.puts) + len(found.entries) + len(found.deletes) + len(found.writes)


def _is_still(state: BranchState) -> Condition:
    return is_version(keyspace.branch(state.repository.incarnation, state.branch), state.version)
