"""Pages of live objects at a ref, with common prefixes.

A page may be made of several reads, each one snapshot and exact for the interval of paths it
covers; after a common prefix the next read seeks past it (docs/protocol.md 2.11). Starts are
inclusive here: the smallest path after P is P followed by NUL, which no path holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.entries import Entry, decode_entry
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.kernel.ids import BranchId, MetarangeId, Namespace
from anabranch.kernel.pages import Page, prefix_end
from anabranch.lake import keyspace
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.rows import entries_of
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
from anabranch.storage.kv.base import Scan, key_after_prefix

_FIRST_READ_WITH_DELIMITER = 64


@dataclass(frozen=True, slots=True)
class _Part:
    """Live rows of one snapshot; `next_start` is where the next part begins, None at the end."""

    repository: Repository
    rows: list[tuple[str, Entry]]
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
                raise Unavailable(Kind.BUSY, "the listing found nothing in time, try again")
        return state.page()

    def _part(self, resolved: Resolved, prefix: str, start: str, count: int) -> _Part:
        return self._resolver.on_branch(
            resolved,
            lambda branch: self._staged_part(resolved, branch, prefix, start, count),
            lambda fixed: self._committed_part(fixed, prefix, start, count),
        )

    def _committed_part(self, fixed: Resolved, prefix: str, start: str, count: int) -> _Part:
        namespace = fixed.repository.namespace
        rows = self._committed_rows(namespace, fixed.metarange, prefix, start, count)
        next_start = rows[-1][0] + "\x00" if len(rows) == count else None
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
            ends.append(head[-1][0])
        covered = min(ends) if ends else None
        staged = newest_rows(tokens, scans, None if covered is None else covered.encode())
        rows = _merged(head, staged, covered)
        return _Part(repository, rows, None if covered is None else covered + "\x00")

    def _committed_rows(
        self, namespace: Namespace, metarange: MetarangeId, prefix: str, start: str, count: int
    ) -> list[tuple[str, Entry]]:
        batch = self._committed.page(namespace, metarange, prefix=prefix, start=start, amount=count)
        return entries_of(batch)


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
        for path, entry in part.rows:
            if path < self.start:
                continue
            if self._delimiter:
                cut = path.find(self._delimiter, len(self._prefix))
                if cut >= 0:
                    self._add_prefix(path[: cut + len(self._delimiter)])
                    if self.is_done:
                        return
                    continue
            self.items.append(Stat(path, entry, full_address(part.repository, entry)))
            if len(self.items) > self._amount:
                self.is_done = True
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


def _merged(
    head: list[tuple[str, Entry]], staged: dict[bytes, bytes], covered: str | None
) -> list[tuple[str, Entry]]:
    """Lay staging rows over committed ones, up to and including `covered`."""
    if not staged:
        return head if covered is None else [row for row in head if row[0] <= covered]
    merged: dict[str, Entry | None] = {
        path: entry for path, entry in head if covered is None or path <= covered
    }
    merged.update((path.decode(), decode_entry(value)) for path, value in staged.items())
    return [(path, entry) for path in sorted(merged) if (entry := merged[path]) is not None]
