"""Uncommitted entries and tombstones: looking them up, sealing them, and moving a branch.

A staging write has the branch record's version as a condition, so it lands in the token it was
addressed to or is refused. Whatever builds on staging seals it first and publishes by
compare-and-set (docs/protocol.md section 2).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource
from anabranch.kernel.commits import Commit
from anabranch.kernel.errors import Conflict, Gone, Kind
from anabranch.kernel.ids import BranchId, RepositoryId, Token
from anabranch.lake import keyspace, records
from anabranch.lake.states import States
from anabranch.lake.values import BranchRecord, BranchState, Repository, Sealed
from anabranch.native import ranges as native
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Row,
    Verdict,
    Write,
    Writer,
    delete,
    is_absent,
    is_version,
    put,
    scan_prefix,
)

T = TypeVar("T")

_DROPPED_PORTION = 100
_WRITES_WITH_PUBLISH_MAX = 1_000  # index rows in the publishing transaction: one fsync less
_OWN_WRITES = 64  # room for the record and the dropped tokens beside folded rows


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """What a build wants published: a new head for the branch, and what goes with it.

    `index_writes` may be written before the publishing transaction; `conditions` and `writes`
    belong into it. `keeps` are sealed tokens that take the place of those built on. A head that
    `is_known` has a record already, which must not be written again: it may say more by now.
    """

    answer: T
    head: Commit | None = None
    is_known: bool = False
    index_writes: Sequence[Write] = ()
    conditions: Sequence[Condition] = ()
    writes: Sequence[Write] = ()
    keeps: tuple[Sealed, ...] = ()


class Staging:
    """The rows of a branch that no commit holds yet."""

    def __init__(self, kv: KVStore, writer: Writer, states: States, ids: IdSource) -> None:
        self._kv = kv
        self._writer = writer
        self._states = states
        self._ids = ids

    def new_token(self) -> Token:
        """Return a token nobody has used."""
        return Token(self._ids.hex32())

    def seal(self, repository_id: RepositoryId, branch: BranchId) -> BranchState:
        """Put a fresh token in front if the present one holds a key; return the branch after it.

        At SEALED_FOLD_AT sealed tokens a run of neighbours is folded into one by the same write.
        """

        def make() -> Prepared[BranchState]:
            state, (_, scans) = self._states.read(
                repository_id,
                branch,
                lambda seen: ((), [scan_prefix(keyspace.staging(seen.record.token), limit=1)]),
            )
            record = state.record
            if not scans or not scans[0]:
                return Prepared((), (), lambda _verdict: state)
            sealed = (Sealed(record.token), *record.sealed)
            extra: list[Write] = []
            conditions: list[Condition] = []
            if len(record.sealed) >= limits.SEALED_FOLD_AT:
                sealed, conditions, extra = self._folded(sealed)
            moved = replace(record, token=self.new_token(), sealed=sealed)
            return self._moving(state, moved, conditions, extra)

        return self._writer.submit(make)

    def publish(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        build: Callable[[BranchState], Plan[T]],
        *,
        seals: bool = True,
    ) -> T:
        """Seal, build, and move the branch to what was built; rebuild when it moved meanwhile.

        `build` gets the branch as it stands and returns a plan; it is called again at most
        COMMIT_REBUILDS_MAX times, then Conflict. It leaves the sealed tokens it was given: they
        are dropped by the publish, those sealed later stay in front.
        """
        state = (
            self.seal(repository_id, branch) if seals else self._states.fresh(repository_id, branch)
        )
        for _ in range(limits.COMMIT_REBUILDS_MAX):
            plan = build(state)
            ahead = plan.index_writes
            if len(ahead) > _WRITES_WITH_PUBLISH_MAX:
                self.write_portions(ahead)
                ahead = ()
            if self._try_publish(state, plan, ahead):
                return plan.answer
            state = self._states.fresh(repository_id, branch)
        raise Conflict(
            Kind.RETRIES_EXHAUSTED, f"branch {branch!r} moved too often while this was built"
        )

    def _try_publish(
        self, built_on: BranchState, plan: Plan[T], index_writes: Sequence[Write]
    ) -> bool:
        for _ in range(limits.STAGING_RETRIES_MAX):
            state = self._states.fresh(built_on.repository.id, built_on.branch)
            if state.repository.incarnation != built_on.repository.incarnation:
                return False
            moved = _moved(state.record, built_on.record, plan)
            if moved is None:
                return False
            kept = {one.token for one in plan.keeps}
            gone = [one.token for one in built_on.record.sealed if one.token not in kept]
            writes = [*index_writes, *plan.writes, *(self._dropping(token) for token in gone)]
            conditions = list(plan.conditions)
            if plan.head is not None and not plan.is_known:
                condition, made = self._recording(state.repository, plan.head)
                conditions.append(condition)
                writes += made
            prepared = self._moving(state, moved, conditions, writes)
            if self._writer.submit_once(prepared) is not None:
                return True
            if not self._hold(plan.conditions):
                return False
        return False

    def _recording(
        self, repository: Repository, commit: Commit
    ) -> tuple[Condition, Sequence[Write]]:
        """Return what makes a commit's record; an equal commit's record stays as it is.

        Its data may have expired since, which is never taken back: raises Gone.
        """
        key = keyspace.commit(repository.incarnation, commit.id)
        row = self._kv.read([key]).values[0]
        if row is None:
            return is_absent(key), [put(key, records.encode_commit_record(commit))]
        if records.decode_commit_record(commit.id, row.value)[1]:
            raise Gone(Kind.EXPIRED, f"an equal commit was made, and its data expired: {commit.id}")
        return is_version(key, row.version), ()

    def write_portions(self, writes: Sequence[Write]) -> None:
        """Write unconditional rows ahead of a transaction, so that it stays within its limit."""
        for start in range(0, len(writes), limits.KV_WRITES_MAX):
            portion = writes[start : start + limits.KV_WRITES_MAX]
            step = Prepared((), portion, lambda _verdict: True)
            self._writer.submit(lambda step=step: step)  # type: ignore[misc]  # bound per turn

    def fill(self, token: Token, rows: Mapping[str, bytes]) -> Condition:
        """Write the rows of a token that no branch has yet, by path, in portions.

        Returns the condition that nobody swept them, for the transaction that puts the token into
        a branch's record and deletes the condition's key (docs/protocol.md 2.6).
        """
        key = keyspace.dropped(token)
        prefix = keyspace.staging(token)
        writes = [put(prefix + path.encode(), value) for path, value in rows.items()]
        condition = is_absent(key)
        for start in range(0, max(len(writes), 1), limits.KV_WRITES_MAX - 1):
            portion = writes[start : start + limits.KV_WRITES_MAX - 1]
            # Written anew with each portion: whoever sweeps finds a young key, or none of these.
            mark = put(key, records.encode_record(self._kv.now_us()))
            step = Prepared([condition], [mark, *portion], lambda verdict: verdict.version)
            version = self._writer.submit_once(step)
            if version is None:
                raise Conflict(Kind.CONFLICT, "the rows were swept before they were published")
            condition = is_version(key, version)
        return condition

    def drop_all(self, repository_id: RepositoryId, branch: BranchId) -> None:
        """Forget everything uncommitted: publish a fresh token."""

        def make() -> Prepared[BranchState]:
            state = self._states.fresh(repository_id, branch)
            moved = replace(state.record, token=self.new_token(), sealed=())
            writes = [self._dropping(token) for token in state.record.tokens]
            return self._moving(state, moved, (), writes)

        self._writer.submit(make)

    def rows(
        self, tokens: Sequence[Token], *, prefix: str = "", after: str = ""
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield (paths, values) of sealed tokens in path order, newest winning, in bounded lists.

        Only for tokens that no longer change; tombstones are among the values.
        """
        start_path = after.encode() + b"\x00" if after else prefix.encode()
        while True:
            paths, values, start = self._rows_part(tokens, prefix.encode(), start_path)
            if paths:
                yield paths, values
            if start is None:
                return
            start_path = start

    def batches(self, tokens: Sequence[Token]) -> Iterator[pa.RecordBatch]:
        """Yield all rows of sealed tokens as bounded Arrow batches with `is_tombstone`."""
        for paths, values in self.rows(tokens):
            yield native.staging_batch(paths, values)

    def sweep_dropped(self, *, now_us: int, amount: int = limits.KV_WRITES_MAX) -> int:
        """Delete rows of tokens dropped long enough ago; return how many keys were handled.

        For the jobs process alone. A key is first claimed by writing it anew on condition of the
        version read, then the rows go, and the key last (docs/protocol.md 2.6).
        """
        old_us = now_us - limits.DROPPED_TOKEN_GRACE_S * 1_000_000
        handled = 0
        after = b""
        while handled < amount:
            scan = scan_prefix(keyspace.DROPPED, after=after, limit=_DROPPED_PORTION)
            rows = self._kv.read((), [scan]).scans[0]
            for key, value, version in rows:
                after = key[len(keyspace.DROPPED) :]
                if records.decode_record(value, int) <= old_us and handled < amount:
                    token = Token(after.decode())
                    handled += self._sweep_token(key, value, version, token, amount)
            if len(rows) < _DROPPED_PORTION:
                break
        return handled

    def _sweep_token(
        self, key: bytes, value: bytes, version: int, token: Token, amount: int
    ) -> int:
        claim = Prepared([is_version(key, version)], [put(key, value)], lambda verdict: verdict)
        verdict = self._writer.submit_once(claim)
        if verdict is None:
            return 0
        handled = 0
        while handled < amount:
            rows = self._kv.read(
                (), [scan_prefix(keyspace.staging(token), limit=limits.SCAN_ROWS_MAX - 1)]
            ).scans[0]
            writes = [delete(row.key) for row in rows]
            if not rows:
                writes = [delete(key)]
            condition = is_version(key, verdict.version)
            if self._writer.submit_once(Prepared([condition], writes, lambda _v: True)) is None:
                return handled
            handled += len(writes)
            if not rows:
                return handled
        return handled

    def _rows_part(
        self, tokens: Sequence[Token], prefix: bytes, start: bytes
    ) -> tuple[list[bytes], list[bytes], bytes | None]:
        scans = []
        # Of all tokens together no more than one scan may hold.
        count = max(limits.SCAN_ROWS_MAX // max(len(tokens), 1), 1)
        for token in tokens:
            whole = scan_prefix(keyspace.staging(token) + prefix, limit=count)
            scans.append(whole._replace(start=keyspace.staging(token) + start))
        found = self._kv.read((), scans).scans
        ends = [
            keyspace.staged_path(token, rows[-1].key)
            for token, rows in zip(tokens, found, strict=True)
            if len(rows) == count
        ]
        end = min(ends) if ends else None
        if len(tokens) == 1:
            cut = len(keyspace.staging(tokens[0]))
            paths, values = [row.key[cut:] for row in found[0]], [row.value for row in found[0]]
        else:
            merged = newest_rows(tokens, found, end)
            paths, values = list(merged), list(merged.values())
        return paths, values, None if end is None else end + b"\x00"

    def _folded(
        self, sealed: tuple[Sealed, ...]
    ) -> tuple[tuple[Sealed, ...], list[Condition], list[Write]]:
        """Fold a run of neighbours that together hold at most KV_WRITES_MAX rows, if there is one.

        Room is left for the record's own writes in the same transaction.
        """
        counted = tuple(one if one.rows >= 0 else self._counted(one) for one in sealed[1:])
        run = _longest_run(counted, limits.KV_WRITES_MAX - _OWN_WRITES)
        if run is None:
            return (sealed[0], *counted), [], []
        first, last = run
        members = counted[first:last]
        token = self.new_token()
        writes: list[Write] = []
        for paths, values in self.rows([one.token for one in members]):
            prefix = keyspace.staging(token)
            writes += [put(prefix + path, value) for path, value in zip(paths, values, strict=True)]
        folded = Sealed(token, len(writes))
        writes += [self._dropping(one.token) for one in members]
        return (sealed[0], *counted[:first], folded, *counted[last:]), [], writes

    def _counted(self, one: Sealed) -> Sealed:
        rows = self._kv.read(
            (), [scan_prefix(keyspace.staging(one.token), limit=limits.SCAN_ROWS_MAX)]
        ).scans[0]
        return Sealed(one.token, len(rows))

    def _dropping(self, token: Token) -> Write:
        return put(keyspace.dropped(token), records.encode_record(self._kv.now_us()))

    def _moving(
        self,
        state: BranchState,
        record: BranchRecord,
        conditions: Sequence[Condition],
        writes: Sequence[Write],
    ) -> Prepared[BranchState]:
        """Return the step that replaces a branch's record."""
        key = keyspace.branch(state.repository.incarnation, state.branch)

        def accepted(verdict: Verdict) -> BranchState:
            moved = BranchState(state.repository, state.branch, record, verdict.version)
            self._states.keep(moved)
            return moved

        return Prepared(
            [is_version(key, state.version), *conditions],
            [put(key, records.encode_branch(record)), *writes],
            accepted,
        )

    def _hold(self, conditions: Sequence[Condition]) -> bool:
        values = self._kv.read([one.key for one in conditions]).values
        return all(
            (0 if seen is None else seen.version) == one.version
            for one, seen in zip(conditions, values, strict=True)
        )


def newest_rows(
    tokens: Sequence[Token], found: Sequence[Sequence[Row]], end: bytes | None
) -> dict[bytes, bytes]:
    """Return path to value of several tokens' rows up to and including `end`, newest winning."""
    merged: dict[bytes, bytes] = {}
    for token, rows in reversed(list(zip(tokens, found, strict=True))):
        cut = len(keyspace.staging(token))
        merged.update((row.key[cut:], row.value) for row in rows)
    return {path: merged[path] for path in sorted(merged) if end is None or path <= end}


def _moved(now: BranchRecord, built_on: BranchRecord, plan: Plan[T]) -> BranchRecord | None:
    """Return the record after the publish, None when the branch is not the one built on."""
    count = len(built_on.sealed)
    older = now.sealed[len(now.sealed) - count :]
    if now.head != built_on.head or [one.token for one in older] != [
        one.token for one in built_on.sealed
    ]:
        return None
    newer = now.sealed[: len(now.sealed) - count]
    moved = replace(now, sealed=(*newer, *plan.keeps))
    if plan.head is not None:
        moved = replace(moved, head=plan.head.id, metarange=plan.head.metarange)
    return moved


def _longest_run(counted: Sequence[Sealed], rows_max: int) -> tuple[int, int] | None:
    """Return the longest run [first, last) of at least two neighbours within `rows_max` rows."""
    best: tuple[int, int] | None = None
    for first in range(len(counted)):
        total = 0
        last = first
        while last < len(counted) and total + counted[last].rows <= rows_max:
            total += counted[last].rows
            last += 1
        if last - first > 1 and (best is None or last - first > best[1] - best[0]):
            best = (first, last)
    return best
