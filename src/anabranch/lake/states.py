"""Branches as one snapshot shows them: the cache of branch records, and reads that confirm it.

A cached record is a guess. Writes carry its version as a condition; reads ask for the record in
the same snapshot as the rows and start over when the guess was old (docs/protocol.md 1.3).
"""

from collections.abc import Callable, Sequence
from threading import Lock

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, NotFound, Unavailable
from anabranch.kernel.ids import BranchId, RepositoryId
from anabranch.lake import keyspace, records
from anabranch.lake.values import BranchState, Repository
from anabranch.storage.kv.base import KVStore, Row, Scan, Versioned

Wanted = tuple[Sequence[bytes], Sequence[Scan]]
Seen = tuple[tuple[Versioned | None, ...], tuple[tuple[Row, ...], ...]]


class States:
    """Reads at branches, each of one moment."""

    def __init__(self, kv: KVStore) -> None:
        self._kv = kv
        self._lock = Lock()
        self._repositories: dict[RepositoryId, Repository] = {}
        self._branches: dict[tuple[RepositoryId, BranchId], BranchState] = {}

    def repository(self, repository_id: RepositoryId) -> Repository:
        """Return a repository as it is now; raise NotFound."""
        value = self._kv.read([keyspace.repository(repository_id)]).values[0]
        return self._keep_repository(repository_id, value)

    def guess(self, repository_id: RepositoryId, branch: BranchId) -> BranchState:
        """Return a branch as it was when somebody last looked; raise NotFound."""
        return self.known(repository_id, branch) or self.fresh(repository_id, branch)

    def known(self, repository_id: RepositoryId, branch: BranchId) -> BranchState | None:
        """Return a branch as this process saw it last, None when it did not; reads nothing."""
        return self._branches.get((repository_id, branch))

    def fresh(self, repository_id: RepositoryId, branch: BranchId) -> BranchState:
        """Return a branch as it is now; raise NotFound for it or its repository."""
        return self.read(repository_id, branch, lambda _state: ((), ()))[0]

    def read(
        self,
        repository_id: RepositoryId,
        branch: BranchId,
        want: Callable[[BranchState], Wanted],
    ) -> tuple[BranchState, Seen]:
        """Return a branch and what `want` asks of it, all of one moment.

        `want` gets the branch as guessed and is asked again when the guess was wrong. Raises
        NotFound for the repository or the branch; Unavailable when the branch never stands still.
        """
        state = self._branches.get((repository_id, branch))
        for _ in range(limits.STAGING_RETRIES_MAX):
            repository = state.repository if state else self._guess_repository(repository_id)
            keys, scans = want(state) if state else ((), ())
            snapshot = self._kv.read(
                [
                    keyspace.repository(repository_id),
                    keyspace.branch(repository.incarnation, branch),
                    *keys,
                ],
                scans,
            )
            row, record = snapshot.values[0], snapshot.values[1]
            if row is None or row.version != repository.version:
                self._keep_repository(repository_id, row)
                state = None
                continue
            if state is not None and record is not None and record.version == state.version:
                return state, (snapshot.values[2:], snapshot.scans)
            state = self._keep_branch(repository, branch, record)
            keys, scans = want(state)
            if not keys and not scans:
                return state, ((), ())
        raise Unavailable(Kind.BUSY, f"branch {branch!r} is changing too quickly, try again")

    def keep(self, state: BranchState) -> None:
        """Remember a branch as the caller just wrote it."""
        with self._lock:
            if len(self._branches) >= limits.BRANCH_STATES_MAX:
                self._branches.pop(next(iter(self._branches)))
            self._branches[(state.repository.id, state.branch)] = state

    def forget(self, repository_id: RepositoryId, branch: BranchId) -> None:
        """Drop a guess that a refusal proved old."""
        with self._lock:
            self._branches.pop((repository_id, branch), None)

    def _guess_repository(self, repository_id: RepositoryId) -> Repository:
        return self._repositories.get(repository_id) or self.repository(repository_id)

    def _keep_repository(self, repository_id: RepositoryId, row: Versioned | None) -> Repository:
        if row is None:
            with self._lock:
                self._repositories.pop(repository_id, None)
            raise NotFound(Kind.REPOSITORY_NOT_FOUND, f"no repository {repository_id!r}")
        repository = records.decode_repository(repository_id, row.value, row.version)
        with self._lock:
            if len(self._repositories) >= limits.REPOSITORIES_CACHED_MAX:
                self._repositories.pop(next(iter(self._repositories)))
            self._repositories[repository_id] = repository
        return repository

    def _keep_branch(
        self, repository: Repository, branch: BranchId, row: Versioned | None
    ) -> BranchState:
        if row is None:
            self.forget(repository.id, branch)
            raise NotFound(Kind.BRANCH_NOT_FOUND, f"no branch {branch!r} in {repository.id!r}")
        state = BranchState(repository, branch, records.decode_branch(row.value), row.version)
        self.keep(state)
        return state
