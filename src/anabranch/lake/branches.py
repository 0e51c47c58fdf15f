"""Branches: create, list, delete, reset."""

from collections.abc import Callable, Sequence

from anabranch.kernel import limits
from anabranch.kernel.errors import AlreadyExists, Conflict, Forbidden, Kind, NotFound
from anabranch.kernel.ids import BranchId, Path, Ref, RepositoryId
from anabranch.kernel.pages import Page
from anabranch.lake import keyspace, records
from anabranch.lake.committed import Committed
from anabranch.lake.diffs import refuse_dirty
from anabranch.lake.resolve import Resolver
from anabranch.lake.staging import Plan, Staging
from anabranch.lake.states import States
from anabranch.lake.values import Branch, BranchRecord, BranchState, Sealed
from anabranch.storage.kv.base import (
    KVStore,
    Prepared,
    Verdict,
    Write,
    Writer,
    delete,
    is_absent,
    is_version,
    put,
    scan_prefix,
)

_FILL_PORTION = limits.KV_WRITES_MAX // 2  # rows of one step; the filler's own key goes along


class Branches:
    """Create, move and delete the branches of a repository."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        states: States,
        resolver: Resolver,
        staging: Staging,
        committed: Committed,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._states = states
        self._resolver = resolver
        self._staging = staging
        self._committed = committed

    def create(
        self, repository_id: RepositoryId, branch: BranchId, source: Ref, *, is_hidden: bool = False
    ) -> Branch:
        """Make a branch at what `source` stands for; of a branch its head, without staging."""
        return self._writer.submit(
            self.making_create(repository_id, branch, source, is_hidden=is_hidden)
        )

    def making_create(
        self, repository_id: RepositoryId, branch: BranchId, source: Ref, *, is_hidden: bool = False
    ) -> Callable[[], Prepared[Branch]]:
        """Return the step that `create` runs; it reads once for each step of a ref like `main~9`.

        It raises NotFound for the source, AlreadyExists for the branch, Conflict for a tag of its
        name, and Forbidden for a read-only repository.
        """

        def make() -> Prepared[Branch]:
            commit = self._resolver.commit(repository_id, source)
            repository = self._states.repository(repository_id)
            _refuse_read_only(repository.is_read_only, repository_id)
            key = keyspace.branch(repository.incarnation, branch)
            tag_key = keyspace.tag(repository.incarnation, branch)  # type: ignore[arg-type]  # a name
            existing, tag = self._kv.read([key, tag_key]).values
            if existing is not None:
                raise AlreadyExists(
                    Kind.BRANCH_EXISTS, f"branch {branch!r} exists in {repository_id!r}"
                )
            if tag is not None:
                raise Conflict(Kind.CONFLICT, f"a tag is named {branch!r}")
            record = BranchRecord(
                commit.id, commit.metarange, self._staging.new_token(), (), is_hidden
            )
            return Prepared(
                [
                    is_version(keyspace.repository(repository_id), repository.version),
                    self._resolver.unexpired(repository, commit.id),
                    is_absent(key),
                    is_absent(tag_key),
                ],
                [put(key, records.encode_branch(record))],
                lambda _verdict: Branch(branch, commit.id, is_hidden),
            )

        return make

    def get(self, repository_id: RepositoryId, branch: BranchId) -> Branch:
        """Return a branch as it is now; raise NotFound."""
        state = self._states.fresh(repository_id, branch)
        return Branch(branch, state.record.head, state.record.is_hidden)

    def list(
        self,
        repository_id: RepositoryId,
        *,
        prefix: str = "",
        after: str = "",
        amount: int,
        with_hidden: bool = False,
    ) -> Page[Branch]:
        """Return one page of branches by name."""
        repository = self._states.repository(repository_id)
        head = keyspace.branches(repository.incarnation)
        start = max(head + prefix.encode(), head + after.encode() + b"\x00" if after else b"")
        found: list[Branch] = []
        while amount > 0:
            scan = scan_prefix(head + prefix.encode(), limit=limits.PAGE_MAX)._replace(start=start)
            rows = self._kv.read((), [scan]).scans[0]
            for row in rows:
                record = records.decode_branch(row.value)
                if record.is_hidden and not with_hidden:
                    continue
                if len(found) == amount:
                    return Page(tuple(found), found[-1].id)
                name = BranchId(row.key[len(head) :].decode())
                found.append(Branch(name, record.head, record.is_hidden))
            if len(rows) < limits.PAGE_MAX:
                break
            start = rows[-1].key + b"\x00"
        return Page(tuple(found), None)

    def delete(self, repository_id: RepositoryId, branch: BranchId) -> None:
        """Remove a branch and its uncommitted rows; the default branch stays (Forbidden)."""

        def make() -> Prepared[None]:
            state = self._states.fresh(repository_id, branch)
            _refuse_read_only(state.repository.is_read_only, repository_id)
            if state.repository.default_branch == branch:
                raise Forbidden(Kind.DEFAULT_BRANCH, "the default branch cannot be deleted")
            key = keyspace.branch(state.repository.incarnation, branch)
            writes: list[Write] = [delete(key)]
            now = records.encode_record(self._kv.now_us())
            writes += [put(keyspace.dropped(token), now) for token in state.record.tokens]

            def accepted(_verdict: Verdict) -> None:
                self._states.forget(repository_id, branch)

            return Prepared([is_version(key, state.version)], writes, accepted)

        self._writer.submit(make)

    def reset(self, repository_id: RepositoryId, branch: BranchId) -> None:
        """Forget everything uncommitted."""
        self._refuse_missing(repository_id, branch)
        self._staging.drop_all(repository_id, branch)

    def reset_prefix(self, repository_id: RepositoryId, branch: BranchId, prefix: str) -> None:
        """Forget what is uncommitted under a prefix; a write that lands meanwhile stays."""
        head = prefix.encode()
        self._reset_some(repository_id, branch, lambda path: not path.startswith(head))

    def reset_path(self, repository_id: RepositoryId, branch: BranchId, path: Path) -> None:
        """Forget what is uncommitted at one path; raise NotFound when nothing is."""
        only = path.encode()
        self._refuse_missing(repository_id, branch)
        state, (values, _) = self._states.read(
            repository_id,
            branch,
            lambda seen: ([keyspace.staged(token, path) for token in seen.record.tokens], ()),
        )
        if not any(values):
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"nothing uncommitted at {path!r} on {branch!r}")
        del state
        self._reset_some(repository_id, branch, lambda other: other != only)

    def hard_reset(self, repository_id: RepositoryId, branch: BranchId, ref: Ref) -> None:
        """Move a branch to another commit; refused while staging differs from the head."""

        self._refuse_missing(repository_id, branch)

        def build(state: BranchState) -> Plan[None]:
            commit = self._resolver.commit(repository_id, ref)
            refuse_dirty(self._staging, self._committed, state)
            condition = self._resolver.unexpired(state.repository, commit.id)
            return Plan(None, commit, is_known=True, conditions=[condition])

        self._staging.publish(repository_id, branch, build)

    def _reset_some(
        self, repository_id: RepositoryId, branch: BranchId, stays: Callable[[bytes], bool]
    ) -> None:
        """Replace the sealed tokens by one that holds the rows that stay (docs/protocol.md 2.5)."""
        self._refuse_missing(repository_id, branch)

        def build(state: BranchState) -> Plan[None]:
            if not state.record.sealed:
                return Plan(None)
            token = self._staging.new_token()
            prefix = keyspace.staging(token)
            filler = keyspace.dropped(token)
            version = self._fill_started(filler)
            rows = 0
            for paths, values in self._staging.rows(state.sealed_tokens):
                writes = [
                    put(prefix + path, value)
                    for path, value in zip(paths, values, strict=True)
                    if stays(path)
                ]
                rows += len(writes)
                for start in range(0, len(writes), _FILL_PORTION):
                    portion = writes[start : start + _FILL_PORTION]
                    version = self._fill(filler, version, portion)
            return Plan(
                None,
                conditions=[is_version(filler, version)],
                writes=[delete(filler)],
                keeps=(Sealed(token, rows),) if rows else (),
            )

        self._staging.publish(repository_id, branch, build)

    def _fill_started(self, filler: bytes) -> int:
        now = records.encode_record(self._kv.now_us())
        return self._writer.submit(
            lambda: Prepared([is_absent(filler)], [put(filler, now)], lambda one: one.version)
        )

    def _fill(self, filler: bytes, version: int, writes: Sequence[Write]) -> int:
        """Write a portion of a new token and the filler's key anew; return the key's version.

        The key's time then says that the filler lives, however long it takes.
        """
        alive = put(filler, records.encode_record(self._kv.now_us()))
        renewed = self._writer.submit_once(
            Prepared(
                [is_version(filler, version)], [alive, *writes], lambda verdict: verdict.version
            )
        )
        if renewed is None:
            raise Conflict(Kind.RETRIES_EXHAUSTED, "the reset took too long, try again")
        return renewed

    def _refuse_missing(self, repository_id: RepositoryId, branch: BranchId) -> None:
        state = self._states.fresh(repository_id, branch)
        _refuse_read_only(state.repository.is_read_only, repository_id)


def _refuse_read_only(is_read_only: bool, repository_id: RepositoryId) -> None:
    if is_read_only:
        raise Forbidden(Kind.READ_ONLY_REPOSITORY, f"repository {repository_id!r} is read-only")
