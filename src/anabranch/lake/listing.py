"""Pages of live objects at a ref, with common prefixes.

A page may be made of several reads, each one snapshot and exact for the interval of paths it
covers; after a common prefix the next read seeks past it (docs/protocol.md 2.11). Starts are
inclusive here: the smallest path after P is P followed by NUL, which no path holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.kernel.ids import BranchId, MetarangeId, Namespace
from anabranch.kernel.pages import Page, prefix_end
from anabranch.kernel.ranges import entry_at
from anabranch.lake import keyspace
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.staging import newest_rows
from anabranch.lake.states import States
from anabranch.lake.values import (
    BranchState,
    CommonPrefix,
    Repository,
    Resolved,
    Stat,
    full_address,
)
from anabranch.native import ranges as native
from anabranch.native.ranges import Entries
from anabranch.storage.kv.base import Scan, key_after_prefix

_FIRST_READ_WITH_DELIMITER = 64


@dataclass(frozen=True, slots=True)
class RowsPage:
    """A page of objects as columns, for answers that are written without a value for each."""

    repository: Repository
    rows: Entries
    next_after: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    """Live rows of one snapshot; `next_start` is where the next part begins, None at the end."""

    repository: Repository
    rows: Entries
    next_start: str | None


class Listing:
    """List objects."""

    def __init__(
        self, states: States, resolver: Resolver, committed: Committed, clock: Clock
    ) -> None:
        self._states = states
        self._resolver = resolver
        self._committed = committed
        self._clock = clock

    def page(
        self,
        resolved: Resolved,
        *,
        prefix: str = "",
        after: str = "",
        amount: int,
        delimiter: str = "",
    ) -> Page[Stat | CommonPrefix]:
        """Return one page in byte order of paths; a common prefix stands for at least one object.

        `after` is exclusive; when it is a common prefix itself, all under it is passed over.
        Raises Unavailable(BUSY) when nothing was found within LISTING_S.
        """
        if amount == 0:
            return Page((), None)
        state = _Progress(prefix, after, delimiter, amount)
        deadline_ns = self._clock.now_ns() + limits.LISTING_S * 1_000_000_000
        want = _FIRST_READ_WITH_DELIMITER if delimiter else amount + 1
        while not state.is_done:
            part = self._part(resolved, prefix, state.start, want)
            state.take(part)
            want = min(2 * want, limits.PAGE_MAX + 1)
            if not state.is_done and self._clock.now_ns() > deadline_ns:
                if state.items:
                    return state.page(is_cut=True)
                raise _too_long()
        return state.page()

    def rows(
        self, resolved: Resolved, *, prefix: str = "", after: str = "", amount: int
    ) -> RowsPage:
        """Return the page that `page` gives without a delimiter, `amount` at least 1.

        Raises Unavailable(BUSY) when nothing was found within LISTING_S.
        """
        start = _first_start(prefix, after, "")
        deadline_ns = self._clock.now_ns() + limits.LISTING_S * 1_000_000_000
        parts: list[Entries] = []
        count = 0
        while True:
            part = self._part(resolved, prefix, start, amount + 1 - count)
            parts.append(part.rows)
            count += len(part.rows)
            if part.next_start is None or count > amount:
                break
            start = part.next_start
            if self._clock.now_ns() > deadline_ns:
                if not count:
                    raise _too_long()
                break
        # Rows may follow the last part's, and what is past the page does.
        has_more = count > amount or part.next_start is not None
        rows = Entries.concat(parts).slice(0, min(count, amount))
        next_after = rows.path(len(rows) - 1) if has_more and len(rows) else None
        return RowsPage(part.repository, rows, next_after)

    def _part(self, resolved: Resolved, prefix: str, start: str, count: int) -> _Part:
        return self._resolver.on_branch(
            resolved,
            lambda branch: self._staged_part(resolved, branch, prefix, start, count),
            lambda fixed: self._committed_part(fixed, prefix, start, count),
        )

    def _committed_part(self, fixed: Resolved, prefix: str, start: str, count: int) -> _Part:
        namespace = fixed.repository.namespace
        rows = self._committed_rows(namespace, fixed.metarange, prefix, start, count)
        next_start = _last(rows) + "\x00" if len(rows) == count else None
        return _Part(fixed.repository, rows, next_start)

    def _staged_part(
        self, resolved: Resolved, branch: BranchId, prefix: str, start: str, count: int
    ) -> _Part:
        end = prefix_end(prefix)

        def want(seen: BranchState) -> tuple[Sequence[bytes], Sequence[Scan]]:
            return (), [_scan(token, start, end, count) for token in seen.record.tokens]

        state, (_, scans) = self._states.read(resolved.repository.id, branch, want)
        repository = state.repository
        tokens = state.record.tokens
        ends = [
            keyspace.staged_path(token, rows[-1][0]).decode()
            for token, rows in zip(tokens, scans, strict=True)
            if len(rows) == count
        ]
        metarange = MetarangeId("") if resolved.is_staging_only else state.record.metarange
        head = self._committed_rows(repository.namespace, metarange, prefix, start, count)
        if len(head) == count:
            ends.append(_last(head))
        covered = min(ends) if ends else None
        staged = newest_rows(tokens, scans, None if covered is None else covered.encode())
        rows = _merged(head, staged, covered)
        return _Part(repository, rows, None if covered is None else covered + "\x00")

    def _committed_rows(
        self, namespace: Namespace, metarange: MetarangeId, prefix: str, start: str, count: int
    ) -> Entries:
        return self._committed.page(namespace, metarange, prefix=prefix, start=start, amount=count)


class _Progress:
    """A page being filled."""

    def __init__(self, prefix: str, after: str, delimiter: str, amount: int) -> None:
        self._prefix = prefix
        self._delimiter = delimiter
        self._amount = amount
        self.items: list[Stat | CommonPrefix] = []
        self.start = _first_start(prefix, after, delimiter)
        self.is_done = not self.start and bool(after or prefix)

    def take(self, part: _Part) -> None:
        """Add a part's rows; rows under a common prefix already given are passed over."""
        rows = part.rows
        row = rows.lower_bound(self.start)
        while row < len(rows):
            path = rows.path(row)
            cut = path.find(self._delimiter, len(self._prefix)) if self._delimiter else -1
            if cut >= 0:
                self._add_prefix(path[: cut + len(self._delimiter)])
                row = rows.lower_bound(self.start, row + 1)
            else:
                entry = entry_at(rows, row)
                self.items.append(Stat(path, entry, full_address(part.repository, entry)))
                self.is_done = len(self.items) > self._amount
                row += 1
            if self.is_done:
                return
        if part.next_start is None:
            self.is_done = True
        else:
            self.start = max(self.start, part.next_start)

    def page(self, *, is_cut: bool = False) -> Page[Stat | CommonPrefix]:
        """Return the page; `is_cut` says that more may follow although it is not full."""
        if len(self.items) <= self._amount and not is_cut:
            return Page(tuple(self.items), None)
        items = tuple(self.items[: self._amount])
        return Page(items, items[-1].path)

    def _add_prefix(self, path: str) -> None:
        self.items.append(CommonPrefix(path))
        after = prefix_end(path)
        if len(self.items) > self._amount or after is None:
            self.is_done = True
        else:
            self.start = after


def _first_start(prefix: str, after: str, delimiter: str) -> str:
    """Return the first path to look at; empty when nothing can follow a non-empty `after`."""
    if not after or after < prefix:
        return prefix
    if delimiter and after.startswith(prefix) and after.endswith(delimiter):
        cut = after.find(delimiter, len(prefix))
        if cut >= 0 and cut + len(delimiter) == len(after):
            return prefix_end(after) or ""
    return after + "\x00"


def _scan(token: str, start: str, end: str | None, count: int) -> Scan:
    prefix = keyspace.staging(token)  # type: ignore[arg-type]  # tokens of a record
    last = key_after_prefix(prefix) if end is None else prefix + end.encode()
    return Scan(prefix + start.encode(), last, count)


def _merged(head: Entries, staged: dict[bytes, bytes], covered: str | None) -> Entries:
    """Lay staging rows over committed ones, up to and including `covered`."""
    if covered is not None:
        head = head.slice(0, head.upper_bound(covered))
    if not staged:
        return head
    changes = native.staging_rows(list(staged), list(staged.values()))
    return native.merge_many([(head, changes, False)])[0][0]


def _last(rows: Entries) -> str:
    return rows.path(len(rows) - 1)


def _too_long() -> Unavailable:
    return Unavailable(Kind.BUSY, "the listing found nothing in time, try again")
