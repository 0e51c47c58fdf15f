"""What differs: between two refs, and between a branch's staging and its head."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry, decode_entry
from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.graph import merge_base
from anabranch.kernel.ids import BranchId, Ref, RepositoryId
from anabranch.kernel.pages import Page, prefix_end
from anabranch.lake import keyspace
from anabranch.lake.commits import Commits
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.rows import changes_of
from anabranch.lake.staging import Staging, newest_rows
from anabranch.lake.states import States
from anabranch.lake.values import BranchState, Change, ChangeKind
from anabranch.storage.kv.base import Scan, key_after_prefix


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """A page of differences as columns, for answers that are written without a value for each.

    Batches have the columns of `Committed.diff` and hold `count` rows together; `next_after` is
    that of `Page`.
    """

    batches: tuple[pa.RecordBatch, ...]
    count: int
    next_after: str | None


class Diffs:
    """Compare refs and staging."""

    def __init__(
        self, states: States, resolver: Resolver, committed: Committed, commits: Commits
    ) -> None:
        self._states = states
        self._resolver = resolver
        self._committed = committed
        self._commits = commits

    def refs(
        self,
        repository_id: RepositoryId,
        left: Ref,
        right: Ref,
        *,
        is_three_dot: bool = True,
        prefix: str = "",
        after: str = "",
        amount: int,
        delimiter: str = "",
    ) -> Page[Change]:
        """Return one page of what changed from `left` to `right`, by path.

        Three dots: from their merge base, what the right side did. Two dots: from left itself.
        Raises Conflict(NO_MERGE_BASE) when histories never met.
        """
        start = _seek(after, prefix, delimiter)
        batches = self._between(repository_id, left, right, is_three_dot, prefix, start)
        changes = (change for batch in batches for change in changes_of(batch))
        return _page(changes, prefix, after, amount, delimiter)

    def ref_rows(
        self,
        repository_id: RepositoryId,
        left: Ref,
        right: Ref,
        *,
        is_three_dot: bool = True,
        prefix: str = "",
        after: str = "",
        amount: int,
    ) -> ChangesPage:
        """Return the page that `refs` gives without a delimiter, `amount` at least 1."""
        return changes_page(
            self._between(repository_id, left, right, is_three_dot, prefix, after), amount
        )

    def _between(
        self,
        repository_id: RepositoryId,
        left: Ref,
        right: Ref,
        is_three_dot: bool,
        prefix: str,
        after: str,
    ) -> Iterator[pa.RecordBatch]:
        repository = self._states.repository(repository_id)
        one = self._resolver.commit(repository_id, left)
        other = self._resolver.commit(repository_id, right)
        if is_three_dot:
            base = merge_base(self._commits.loader(repository), one, other)
            if base is None:
                raise Conflict(Kind.NO_MERGE_BASE, f"{left!r} and {right!r} have no common commit")
            one = base
        return self._committed.diff(
            repository.namespace, one.metarange, other.metarange, prefix=prefix, after=after
        )

    def uncommitted(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        *,
        prefix: str = "",
        after: str = "",
        amount: int,
        delimiter: str = "",
    ) -> Page[Change]:
        """Return one page of what staging changes against the head, by identity."""
        start = _seek(after, prefix, delimiter)
        changes = self._uncommitted(repository_id, branch, prefix, start)
        return _page(changes, prefix, after, amount, delimiter)

    def _uncommitted(
        self, repository_id: RepositoryId, branch: BranchId, prefix: str, after: str
    ) -> Iterator[Change]:
        """Yield changes part by part; each part is one snapshot, exact for the paths it covers."""
        start = max(prefix, after + "\x00") if after else prefix
        end = prefix_end(prefix)
        count = limits.INLINE_SCAN_ROWS_MAX

        def want(seen: BranchState) -> tuple[Sequence[bytes], Sequence[Scan]]:
            scans = []
            for token in seen.record.tokens:
                head = keyspace.staging(token)
                last = key_after_prefix(head) if end is None else head + end.encode()
                scans.append(Scan(head + start.encode(), last, count))
            return (), scans

        while True:
            state, (_, scans) = self._states.read(repository_id, branch, want)
            tokens = state.record.tokens
            ends = [
                keyspace.staged_path(token, rows[-1][0])
                for token, rows in zip(tokens, scans, strict=True)
                if len(rows) == count
            ]
            covered = min(ends) if ends else None
            rows = newest_rows(tokens, scans, covered)
            yield from self._against_head(state, rows)
            if covered is None:
                return
            start = covered.decode() + "\x00"

    def _against_head(self, state: BranchState, rows: dict[bytes, bytes]) -> Iterator[Change]:
        paths = [path.decode() for path in rows]
        head = self._committed.get_many(state.repository.namespace, state.record.metarange, paths)
        for path, value, old in zip(paths, rows.values(), head, strict=True):
            change = change_between(path, old, decode_entry(value))
            if change is not None:
                yield change


def change_between(path: str, old: Entry | None, new: Entry | None) -> Change | None:
    """Return how a path differs by identity, None when it does not."""
    if new is None:
        return None if old is None else Change(ChangeKind.REMOVED, path, old)
    if old is None:
        return Change(ChangeKind.ADDED, path, new)
    return None if old.is_same_as(new) else Change(ChangeKind.CHANGED, path, new)


def refuse_dirty(staging: Staging, committed: Committed, state: BranchState) -> None:
    """Raise Conflict(DIRTY_BRANCH) when a sealed row differs from the head by identity."""
    namespace = state.repository.namespace
    for paths, values in staging.rows(state.sealed_tokens):
        names = [path.decode() for path in paths]
        head = committed.get_many(namespace, state.record.metarange, names)
        for path, value, old in zip(names, values, head, strict=True):
            if change_between(path, old, decode_entry(value)) is not None:
                raise Conflict(Kind.DIRTY_BRANCH, "uncommitted changes (dirty branch)")


def changes_page(batches: Iterable[pa.RecordBatch], amount: int) -> ChangesPage:
    """Return the first `amount` rows, at least 1, of batches that are never empty."""
    found: list[pa.RecordBatch] = []
    left = amount
    for batch in batches:
        part = batch.slice(0, left)
        if len(part):
            found.append(part)
        left -= len(part)
        if len(part) < len(batch):
            return ChangesPage(tuple(found), amount, found[-1].column("path")[-1].as_py())
    return ChangesPage(tuple(found), amount - left, None)


def _seek(after: str, prefix: str, delimiter: str) -> str:
    """Return the path to go on after: past all under it when `after` is a common prefix."""
    if delimiter and after.startswith(prefix) and after.endswith(delimiter):
        cut = after.find(delimiter, len(prefix))
        if cut >= 0 and cut + len(delimiter) == len(after):
            return after + "\U0010ffff" * (limits.PATH_BYTES_MAX // 4)
    return after


def _page(
    changes: Iterable[Change], prefix: str, after: str, amount: int, delimiter: str
) -> Page[Change]:
    if amount == 0:
        return Page((), None)
    rolled = _rolled(changes, prefix, delimiter) if delimiter else changes
    found = list(islice((one for one in rolled if one.path > after or not after), amount + 1))
    if len(found) <= amount:
        return Page(tuple(found), None)
    return Page(tuple(found[:amount]), found[amount - 1].path)


def _rolled(changes: Iterable[Change], prefix: str, delimiter: str) -> Iterator[Change]:
    last = None
    for change in changes:
        cut = change.path.find(delimiter, len(prefix))
        if cut < 0:
            yield change
            continue
        path = change.path[: cut + len(delimiter)]
        if path != last:
            last = path
            yield Change(ChangeKind.PREFIX_CHANGED, path, None)
