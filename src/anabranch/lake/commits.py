"""Commits: make one of what is staged, get one, walk the log."""

from collections.abc import Callable, Iterator, Sequence

from anabranch.kernel import limits
from anabranch.kernel.commits import Commit, new_commit
from anabranch.kernel.entries import Metadata
from anabranch.kernel.errors import Conflict, Forbidden, Gone, Kind, NotFound
from anabranch.kernel.graph import walk
from anabranch.kernel.ids import BranchId, CommitId, MetarangeId, Path, Ref, RepositoryId
from anabranch.kernel.pages import Page
from anabranch.lake import keyspace, records
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.staging import Plan, Staging
from anabranch.lake.states import States
from anabranch.lake.values import BranchState, Repository
from anabranch.storage.kv.base import Condition, KVStore, Write, is_version, scan_prefix


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
        `source_metarange` commits that of an unexpired commit of this repository instead; staging
        must then be empty. Raises NotFound(RANGE_NOT_FOUND) or Gone when no such commit has it.
        """
        self._refuse_read_only(self._states.fresh(repository_id, branch))

        def build(state: BranchState) -> Plan[Commit]:
            parent = self._resolver.load(state.repository, state.record.head)
            conditions = {self._resolver.unexpired(state.repository, parent.id)}
            index_writes: Sequence[Write] = ()
            if source_metarange is not None:
                if any(self._staging.rows(state.sealed_tokens)):
                    raise Conflict(Kind.DIRTY_BRANCH, "uncommitted changes (dirty branch)")
                conditions.add(self._holding(state.repository, source_metarange))
                metarange = source_metarange
            else:
                built = self._committed.apply(
                    state.repository.namespace,
                    state.record.metarange,
                    self._staging.batches(state.sealed_tokens),
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
            return Plan(head, head, index_writes=index_writes, conditions=sorted(conditions))

        return self._staging.publish(repository_id, branch, build)

    def _holding(self, repository: Repository, metarange: MetarangeId) -> Condition:
        """Return the condition that some unexpired commit of the repository has a metarange.

        Only what such a commit holds may be referred to again (docs/protocol.md 3.5, 4.3). Walks
        the commits in no order that matters: there is no index for a request this rare.
        """
        prefix = keyspace.commits(repository.incarnation)
        after = b""
        is_expired = False
        while True:
            scan = scan_prefix(prefix, after=after, limit=limits.PAGE_MAX)
            rows = self._kv.read((), [scan]).scans[0]
            for row in rows:
                after = row.key[len(prefix) :]
                commit, is_gone = records.decode_commit_record(CommitId(after.decode()), row.value)
                if commit.metarange == metarange and not is_gone:
                    return is_version(row.key, row.version)
                is_expired |= commit.metarange == metarange
            if len(rows) < limits.PAGE_MAX:
                break
        if is_expired:
            raise Gone(Kind.EXPIRED, f"the data of metarange {metarange!r} has expired")
        raise NotFound(Kind.RANGE_NOT_FOUND, f"no commit here has the metarange {metarange!r}")

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
