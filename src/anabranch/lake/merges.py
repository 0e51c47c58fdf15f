"""Merge, cherry-pick and revert: three-way merges that move a branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.commits import Commit, new_commit
from anabranch.kernel.entries import Metadata, encode_entry, encode_tombstone
from anabranch.kernel.errors import Conflict, Forbidden, InvalidInput, Kind
from anabranch.kernel.graph import merge_base
from anabranch.kernel.ids import BranchId, MetarangeId, Ref, RepositoryId
from anabranch.kernel.pages import Page
from anabranch.lake.commits import Commits
from anabranch.lake.committed import Committed
from anabranch.lake.comparing import Strategy
from anabranch.lake.diffs import refuse_dirty
from anabranch.lake.drivers import DriverPlan, MergeDriver, MergeSides
from anabranch.lake.owned import Judged
from anabranch.lake.resolve import Resolver
from anabranch.lake.rows import conflicts_of
from anabranch.lake.staging import Plan, Staging
from anabranch.lake.states import States
from anabranch.lake.values import BranchState, MergeConflict, MergeResult, Repository
from anabranch.native.ranges import Entries, staging_batch
from anabranch.storage.kv.base import KVStore


@dataclass(frozen=True, slots=True)
class _Draft:
    """A merge to be made: take what changed from `base` to `source` into the branch."""

    base: Commit | None
    source: Commit
    parents: tuple[Commit, ...]
    message: str
    committer: str
    metadata: Metadata


@dataclass(slots=True)
class _Judging:
    """A driver asked about one merge; `planned` is what it said."""

    driver: MergeDriver
    committed: Committed
    repository: Repository
    branch: BranchId | None
    sides: tuple[MetarangeId, MetarangeId, MetarangeId]
    strategy: Strategy | None
    planned: DriverPlan = field(default_factory=DriverPlan)

    def owns(self, paths: pa.Array) -> pa.Array:
        """Return for each path whether the driver judges it."""
        return self.driver.owns(paths)

    def judge(self, touched: list[str]) -> Judged:
        """Ask the driver; its rows in order of path."""
        sides = MergeSides(self.repository, self.branch, *self.sides, touched, self.committed)
        self.planned = planned = self.driver.plan(sides, self.strategy)
        rows = {path.encode(): encode_tombstone() for path in planned.deletes}
        rows |= {path.encode(): encode_entry(entry) for path, entry in planned.puts}
        paths = sorted(rows)
        batch = staging_batch(paths, [rows[path] for path in paths])
        return Judged(Entries.from_arrow(batch), tuple(planned.conflicts))


class Merges:
    """Bring the changes of one line of history into another."""

    def __init__(
        self,
        kv: KVStore,
        states: States,
        resolver: Resolver,
        staging: Staging,
        committed: Committed,
        commits: Commits,
        driver: MergeDriver | None = None,
    ) -> None:
        self._kv = kv
        self._states = states
        self._resolver = resolver
        self._staging = staging
        self._committed = committed
        self._commits = commits
        self._driver = driver

    def merge(
        self,
        repository_id: RepositoryId,
        source: Ref,
        dest: BranchId,
        *,
        committer: str,
        message: str = "",
        metadata: Metadata = (),
        strategy: Strategy | None = None,
        is_squash: bool = False,
        allow_empty: bool = False,
    ) -> MergeResult:
        """Merge a ref into a branch.

        Raises Conflict: MERGE_CONFLICT with the first page of all conflicts in its details,
        DIRTY_BRANCH, NO_CHANGES (unless `allow_empty`), NO_MERGE_BASE.
        """

        def draft(state: BranchState, head: Commit) -> _Draft:
            other = self._resolver.commit(repository_id, source)
            base = self._base_of(state.repository, other, head)
            return _Draft(
                base,
                other,
                (head,) if is_squash else (head, other),
                message or f"Merge '{source}' into '{dest}'",
                committer,
                metadata,
            )

        result = self._run(repository_id, dest, draft, strategy, allow_empty=allow_empty)
        return result[1]

    def cherry_pick(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        ref: Ref,
        *,
        parent_number: int | None = None,
        committer: str,
        allow_empty: bool = False,
    ) -> Commit:
        """Repeat what a commit changed against one of its parents; message and author stay."""

        def draft(state: BranchState, head: Commit) -> _Draft:
            picked = self._resolver.commit(repository_id, ref)
            base = self._parent(state.repository, picked, parent_number)
            origin = {
                "cherry-pick-origin": str(picked.id),
                "cherry-pick-committer": committer,
            }
            return _Draft(
                base,
                picked,
                (head,),
                picked.message,
                picked.committer,
                tuple(sorted({**dict(picked.metadata), **origin}.items())),
            )

        return self._run(repository_id, branch, draft, None, allow_empty=allow_empty)[0]

    def revert(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        ref: Ref,
        *,
        parent_number: int | None = None,
        committer: str,
        message: str = "",
        metadata: Metadata = (),
        allow_empty: bool = False,
    ) -> Commit:
        """Undo what a commit changed against one of its parents, as a new commit."""

        def draft(state: BranchState, head: Commit) -> _Draft:
            undone = self._resolver.commit(repository_id, ref)
            source = self._parent(state.repository, undone, parent_number)
            return _Draft(
                undone,
                source,
                (head,),
                message or f"Revert {undone.id}",
                committer,
                metadata,
            )

        return self._run(repository_id, branch, draft, None, allow_empty=allow_empty)[0]

    def base(
        self, repository_id: RepositoryId, left: Ref, right: Ref
    ) -> tuple[Commit, Commit, Commit | None]:
        """Return the commits of two refs and their best common ancestor."""
        repository = self._states.repository(repository_id)
        one = self._resolver.commit(repository_id, left)
        other = self._resolver.commit(repository_id, right)
        return one, other, merge_base(self._commits.loader(repository), one, other)

    def conflicts(
        self, repository_id: RepositoryId, source: Ref, dest: Ref, *, after: str = "", amount: int
    ) -> Page[MergeConflict]:
        """Return one page of the paths a merge of two refs would not decide; changes nothing."""
        repository = self._states.repository(repository_id)
        one = self._resolver.commit(repository_id, source)
        other = self._resolver.commit(repository_id, dest)
        base = self._base_of(repository, one, other)
        sides = (base.metarange, one.metarange, other.metarange)
        judging = self._judging(repository, None, sides, None)
        batch = self._committed.conflicts(
            repository.namespace, *sides, after=after, amount=amount + 1, judge=judging
        )
        found = conflicts_of(batch)
        if judging is not None:
            judged = self._committed.judged_conflicts(repository.namespace, *sides, judging)
            found = _sorted([*found, *(each for each in judged if each.path > after)])
        return _page(found, amount)

    def _run(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        draft_of: Callable[[BranchState, Commit], _Draft],
        strategy: Strategy | None,
        *,
        allow_empty: bool,
    ) -> tuple[Commit, MergeResult]:
        if self._states.fresh(repository_id, branch).repository.is_read_only:
            raise Forbidden(Kind.READ_ONLY_REPOSITORY, f"repository {repository_id!r} is read-only")

        def build(state: BranchState) -> Plan[tuple[Commit, MergeResult]]:
            head = self._resolver.load(state.repository, state.record.head)
            self.refuse_dirty(state)
            return self._plan(state, head, draft_of(state, head), strategy, allow_empty)

        return self._staging.publish(repository_id, branch, build)

    def _plan(
        self,
        state: BranchState,
        head: Commit,
        draft: _Draft,
        strategy: Strategy | None,
        allow_empty: bool,
    ) -> Plan[tuple[Commit, MergeResult]]:
        base = draft.base.metarange if draft.base else MetarangeId("")
        if base == draft.source.metarange and not allow_empty:
            raise Conflict(Kind.NO_CHANGES, "no changes")
        sides = (base, draft.source.metarange, head.metarange)
        judging = self._judging(state.repository, state.branch, sides, strategy)
        merged = self._committed.merge(
            state.repository.namespace,
            *sides,
            strategy=strategy,
            conflicts_max=limits.MERGE_CONFLICTS_PAGE + 1,
            judge=judging,
        )
        built = merged.built
        if built is None:
            found = _sorted([*conflicts_of(merged.conflicts), *merged.judged_conflicts])
            raise Conflict(
                Kind.MERGE_CONFLICT,
                "conflict found",
                conflicts=_page(found, limits.MERGE_CONFLICTS_PAGE),
            )
        commit = new_commit(
            metarange=built.metarange,
            parents=draft.parents,
            committer=draft.committer,
            message=draft.message,
            metadata=draft.metadata,
            created_us=self._kv.now_us(),
        )
        result = MergeResult(
            commit.id, built.counts.added, built.counts.removed, built.counts.changed
        )
        planned = DriverPlan() if judging is None else judging.planned
        # Rows come from the source alone; a base whose data expired goes on working.
        unexpired = self._resolver.unexpired(state.repository, draft.source.id)
        return Plan(
            (commit, result),
            commit,
            index_writes=built.index_writes,
            conditions=[unexpired, *planned.conditions],
            writes=planned.writes,
        )

    def _judging(
        self,
        repository: Repository,
        branch: BranchId | None,
        sides: tuple[MetarangeId, MetarangeId, MetarangeId],
        strategy: Strategy | None,
    ) -> _Judging | None:
        if self._driver is None:
            return None
        return _Judging(self._driver, self._committed, repository, branch, sides, strategy)

    def refuse_dirty(self, state: BranchState) -> None:
        """Refuse when a staged row differs from the head by identity (docs/protocol.md 2.8)."""
        refuse_dirty(self._staging, self._committed, state)

    def _base_of(self, repository: Repository, left: Commit, right: Commit) -> Commit:
        base = merge_base(self._commits.loader(repository), left, right)
        if base is None:
            raise Conflict(Kind.NO_MERGE_BASE, "the histories have no common commit")
        return base

    def _parent(self, repository: Repository, commit: Commit, number: int | None) -> Commit:
        """Return a commit's parent by its number from 1; a single one needs no number."""
        if number is None or number == 0:
            if len(commit.parents) > 1:
                raise InvalidInput(
                    Kind.PARENT_NUMBER,
                    f"commit {commit.id} has {len(commit.parents)} parents: say which",
                )
            number = 1
        if not 1 <= number <= len(commit.parents):
            raise InvalidInput(Kind.PARENT_NUMBER, f"commit {commit.id} has no parent {number}")
        return self._resolver.load(repository, commit.parents[number - 1])


def _sorted(found: Sequence[MergeConflict]) -> list[MergeConflict]:
    return sorted(found, key=lambda conflict: conflict.path.encode())


def _page(found: Sequence[MergeConflict], amount: int) -> Page[MergeConflict]:
    items = tuple(found[:amount])
    return Page(items, items[-1].path if len(found) > amount and items else None)
