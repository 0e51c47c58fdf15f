"""Commits: make one of what is staged, get one, walk the log."""

from collections.abc import Callable, Iterator, Sequence

from anabranch.kernel.commits import Commit, new_commit
from anabranch.kernel.entries import Metadata
from anabranch.kernel.errors import Conflict, Forbidden, Kind
from anabranch.kernel.graph import walk
from anabranch.kernel.ids import BranchId, CommitId, MetarangeId, Path, Ref, RepositoryId
from anabranch.kernel.pages import Page
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.staging import Plan, Staging
from anabranch.lake.states import States
from anabranch.lake.values import BranchState, Repository
from anabranch.storage.kv.base import KVStore, Write


class Commits:
    """The history of a repository."""

    def __init__(
        self,
        kv: KVStore,
        states: States,
        resolver: Resolver,
        staging: Staging,
        committed: Committed,
    ) -> None:
        self._kv = kv
        self._states = states
        self._resolver = resolver
        self._staging = staging
        self._committed = committed

    def create(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        *,
        message: str,
        committer: str,
        metadata: Metadata = (),
        created_us: int | None = None,
        allow_empty: bool = False,
        source_metarange: MetarangeId | None = None,
    ) -> Commit:
        """Make what is staged on a branch a commit.

        Raises Conflict(NO_CHANGES) when nothing differs from the head, unless `allow_empty`.
        `source_metarange` commits a metarange that exists instead; staging must then be empty.
        """
        self._refuse_read_only(self._states.fresh(repository_id, branch))

        def build(state: BranchState) -> Plan[Commit]:
            parent = self._resolver.load(state.repository, state.record.head)
            condition = self._resolver.unexpired(state.repository, parent.id)
            rows = self._staging.batch(state.sealed_tokens)
            index_writes: Sequence[Write] = ()
            if source_metarange is not None:
                if rows.num_rows:
                    raise Conflict(Kind.DIRTY_BRANCH, "uncommitted changes (dirty branch)")
                metarange = source_metarange
            else:
                built = self._committed.apply(
                    state.repository.namespace, state.record.metarange, rows
                )
                if not built.is_change and not allow_empty:
                    raise Conflict(Kind.NO_CHANGES, "commit: no changes")
                metarange, index_writes = built.metarange, built.index_writes
            head = new_commit(
                metarange=metarange,
                parents=[parent],
                committer=committer,
                message=message,
                metadata=metadata,
                created_us=self._kv.now_us() if created_us is None else created_us,
            )
            return Plan(head, head, index_writes=index_writes, conditions=[condition])

        return self._staging.publish(repository_id, branch, build)

    def get(self, repository_id: RepositoryId, commit_id: CommitId) -> Commit:
        """Return a commit by its full id."""
        return self._resolver.load(self._states.repository(repository_id), commit_id)

    def of(self, repository_id: RepositoryId, ref: Ref) -> Commit:
        """Return the commit a ref stands for."""
        return self._resolver.commit(repository_id, ref)

    def log(
        self,
        repository_id: RepositoryId,
        ref: Ref,
        *,
        after: str = "",
        amount: int,
        objects: Sequence[Path] = (),
        prefixes: Sequence[str] = (),
        since_us: int | None = None,
        stop_at: Ref | None = None,
        first_parent: bool = False,
        is_limited: bool = False,
    ) -> Page[Commit]:
        """Return one page of the commits behind a ref, children before parents.

        With `objects` or `prefixes` only commits that changed one of them against their only
        parent. `since_us` leaves out older commits, `stop_at` ends after that commit (included).
        `is_limited` looks no further than `amount` commits found: no next page.
        """
        repository = self._states.repository(repository_id)
        head = self._resolver.commit(repository_id, ref)
        last = self._resolver.commit_id(repository_id, stop_at) if stop_at else None
        found: list[Commit] = []
        is_before = bool(after)
        for commit in self._walk(repository, head, first_parent=first_parent, last=last):
            if is_before:
                is_before = commit.id != after
                continue
            if since_us is not None and commit.created_us < since_us:
                continue
            if (objects or prefixes) and not self._touches(repository, commit, objects, prefixes):
                continue
            if len(found) == amount:
                return Page(tuple(found), found[-1].id if found else None)
            found.append(commit)
            if is_limited and len(found) == amount:
                break
        return Page(tuple(found), None)

    def _walk(
        self, repository: Repository, head: Commit, *, first_parent: bool, last: CommitId | None
    ) -> Iterator[Commit]:
        for commit in walk(self.loader(repository), [head], first_parent=first_parent):
            yield commit
            if commit.id == last:
                return

    def loader(self, repository: Repository) -> Callable[[list[CommitId]], list[Commit]]:
        """Return how a graph walk loads commits of a repository."""

        def load(ids: list[CommitId]) -> list[Commit]:
            return self._resolver.load_many(repository, ids)

        return load

    def _touches(
        self,
        repository: Repository,
        commit: Commit,
        objects: Sequence[Path],
        prefixes: Sequence[str],
    ) -> bool:
        if len(commit.parents) != 1:
            return False
        parent = self._resolver.load(repository, commit.parents[0])
        if parent.metarange == commit.metarange:
            return False
        if objects:
            before = self._committed.get_many(repository.namespace, parent.metarange, objects)
            now = self._committed.get_many(repository.namespace, commit.metarange, objects)
            for old, new in zip(before, now, strict=True):
                if (old is None) != (new is None) or (old and new and not old.is_same_as(new)):
                    return True
        for prefix in prefixes:
            for batch in self._committed.diff(
                repository.namespace, parent.metarange, commit.metarange, prefix=prefix
            ):
                if batch.num_rows:
                    return True
        return False

    def _refuse_read_only(self, state: BranchState) -> None:
        if state.repository.is_read_only:
            raise Forbidden(
                Kind.READ_ONLY_REPOSITORY, f"repository {state.repository.id!r} is read-only"
            )
