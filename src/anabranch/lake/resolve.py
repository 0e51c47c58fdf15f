"""From a ref expression to a commit or a branch: branch, tag, commit id or unique prefix."""

from collections.abc import Callable
from typing import TypeVar

from anabranch.kernel.commits import Commit
from anabranch.kernel.errors import Conflict, Gone, InvalidInput, Kind, NotFound
from anabranch.kernel.ids import (
    BranchId,
    CommitId,
    MetarangeId,
    Ref,
    RepositoryId,
    TagId,
    is_commit_prefix,
)
from anabranch.kernel.refs import Modifier, RefExpression, Step, parse_ref
from anabranch.lake import keyspace, records
from anabranch.lake.states import States
from anabranch.lake.values import Repository, Resolved
from anabranch.storage.kv.base import Condition, KVStore, Scan, is_version, key_after_prefix

T = TypeVar("T")


class Resolver:
    """Look up what refs stand for.

    A base resolves in this order: branch, tag, commit id or unique prefix.
    """

    def __init__(self, kv: KVStore, states: States) -> None:
        self._kv = kv
        self._states = states

    def resolve(self, repository_id: RepositoryId, ref: Ref) -> Resolved:
        """Return what `ref` stands for; raise NotFound, Conflict when ambiguous, InvalidInput."""
        expression = parse_ref(ref)
        if expression.is_plain or expression.modifier is Modifier.STAGING:
            branch = self._find_branch(repository_id, expression.base)
            if branch is not None:
                is_staging_only = expression.modifier is Modifier.STAGING
                return _with_staging(branch, is_staging_only=is_staging_only)
            if expression.modifier is Modifier.STAGING:
                raise NotFound(
                    Kind.BRANCH_NOT_FOUND, f"no branch {expression.base!r} in {repository_id!r}"
                )
        repository, commit = self._commit(repository_id, expression)
        return Resolved(repository, commit.id, commit.metarange)

    def commit_id(self, repository_id: RepositoryId, ref: Ref) -> CommitId:
        """Return the commit a ref stands for; of a branch its head."""
        return self.commit(repository_id, ref).id

    def commit(self, repository_id: RepositoryId, ref: Ref) -> Commit:
        """Return the commit a ref stands for; of a branch its head."""
        return self._commit(repository_id, parse_ref(ref))[1]

    def load(self, repository: Repository, commit_id: CommitId) -> Commit:
        """Return a commit by its full id; raise NotFound."""
        return self.load_many(repository, [commit_id])[0]

    def load_many(self, repository: Repository, ids: list[CommitId]) -> list[Commit]:
        """Return commits by their full ids, in one read; raise NotFound for the first missing."""
        rows = self._kv.read([keyspace.commit(repository.incarnation, one) for one in ids]).values
        found = []
        for commit_id, row in zip(ids, rows, strict=True):
            if row is None:
                raise NotFound(Kind.COMMIT_NOT_FOUND, f"no commit {commit_id!r}")
            found.append(records.decode_commit_record(commit_id, row.value)[0])
        return found

    def unexpired(self, repository: Repository, commit_id: CommitId) -> Condition:
        """Return the condition that a commit's data is still there; raise Gone when it is not.

        Whatever takes rows from a commit puts it into its transaction (docs/protocol.md 4.3).
        """
        key = keyspace.commit(repository.incarnation, commit_id)
        row = self._kv.read([key]).values[0]
        if row is None:
            raise NotFound(Kind.COMMIT_NOT_FOUND, f"no commit {commit_id!r}")
        if records.decode_commit_record(commit_id, row.value)[1]:
            raise Gone(Kind.EXPIRED, f"the data of commit {commit_id!r} has expired")
        return is_version(key, row.version)

    def on_branch(
        self,
        resolved: Resolved,
        staged: Callable[[BranchId], T],
        committed: Callable[[Resolved], T],
    ) -> T:
        """Read at a branch, or at a commit where the ref is none.

        A ref that was a branch when somebody last looked may be a tag by now: the read finds out,
        because the branch is a guess until then, and goes on at what the name stands for.
        """
        if resolved.branch is None:
            return committed(resolved)
        try:
            return staged(resolved.branch)
        except NotFound as error:
            if error.kind is not Kind.BRANCH_NOT_FOUND or resolved.is_staging_only:
                raise
            found = self.resolve(resolved.repository.id, Ref(resolved.branch))
            # Made again in between, perhaps: its staging takes part like any branch's.
            return committed(found) if found.branch is None else staged(found.branch)

    def _find_branch(self, repository_id: RepositoryId, name: str) -> Resolved | None:
        try:
            state = self._states.guess(repository_id, BranchId(name))
        except NotFound as error:
            if error.kind is not Kind.BRANCH_NOT_FOUND:
                raise
            return None
        record = state.record
        return Resolved(state.repository, record.head, record.metarange, state.branch)

    def _commit(
        self, repository_id: RepositoryId, expression: RefExpression
    ) -> tuple[Repository, Commit]:
        repository = self._states.repository(repository_id)
        commit = self._base_commit(repository, expression)
        for step in expression.steps:
            commit = self._step(repository, commit, step)
        return repository, commit

    def _base_commit(self, repository: Repository, expression: RefExpression) -> Commit:
        name = expression.base
        keys = [
            keyspace.branch(repository.incarnation, BranchId(name)),
            keyspace.tag(repository.incarnation, TagId(name)),
        ]
        scans = []
        if is_commit_prefix(name):
            prefix = keyspace.commit(repository.incarnation, name)
            scans.append(Scan(prefix, key_after_prefix(prefix), 2))
        snapshot = self._kv.read(keys, scans)
        branch, tag = snapshot.values
        if branch is not None:
            return self.load(repository, records.decode_branch(branch.value).head)
        if expression.modifier is not Modifier.NONE:
            raise NotFound(Kind.BRANCH_NOT_FOUND, f"no branch {name!r} in {repository.id!r}")
        if tag is not None:
            return self.load(repository, CommitId(records.decode_record(tag.value, str)))
        rows = snapshot.scans[0] if snapshot.scans else ()
        if len(rows) > 1:
            raise Conflict(Kind.REF_AMBIGUOUS, f"{name!r} is the beginning of several commits")
        if not rows:
            raise NotFound(Kind.REF_NOT_FOUND, f"no ref {name!r} in {repository.id!r}")
        key, value, _ = rows[0]
        commit_id = CommitId(key[len(keyspace.commits(repository.incarnation)) :].decode())
        return records.decode_commit_record(commit_id, value)[0]

    def _step(self, repository: Repository, commit: Commit, step: Step) -> Commit:
        if step.is_parent:
            if step.number == 0:
                return commit
            if step.number > len(commit.parents):
                raise NotFound(
                    Kind.REF_NOT_FOUND, f"commit {commit.id} has no parent {step.number}"
                )
            return self.load(repository, commit.parents[step.number - 1])
        for _ in range(step.number):
            if not commit.parents:
                raise NotFound(Kind.REF_NOT_FOUND, f"commit {commit.id} has no parent")
            commit = self.load(repository, commit.parents[0])
        return commit


def parse_plain_branch(text: str) -> BranchId | None:
    """Return the branch a text may name, None when it is an expression of another kind."""
    try:
        expression = parse_ref(text)
    except InvalidInput:
        return None
    return BranchId(expression.base) if expression.is_plain else None


def _with_staging(found: Resolved, *, is_staging_only: bool) -> Resolved:
    if not is_staging_only:
        return found
    return Resolved(
        found.repository, found.commit_id, MetarangeId(""), found.branch, is_staging_only=True
    )
