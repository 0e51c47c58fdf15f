"""Objects at a ref: stat, put, copy, delete. Listing is in listing.py, bodies in bodies.py.

Methods called `making_x` return a step for the writer; it may be called again after a refusal and
then judges everything anew on the new state.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.entries import (
    Entry,
    Metadata,
    decode_entry,
    encode_entry,
    encode_tombstone,
)
from anabranch.kernel.errors import Forbidden, Kind, LimitExceeded, NotFound
from anabranch.kernel.ids import Address, BranchId, Path, Ref, RepositoryId
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import keyspace
from anabranch.lake.bodies import Bodies, Body
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.states import States
from anabranch.lake.values import (
    BranchState,
    Repository,
    Resolved,
    Stat,
    Target,
    full_address,
    relative_address,
)
from anabranch.storage.blocks.base import Block, BlockStore
from anabranch.storage.kv.base import (
    Condition,
    Prepared,
    Versioned,
    Write,
    delete,
    is_as_seen,
    is_version,
    put,
)

_NO_CONDITION = Precondition()


class Objects:
    """What lies under the paths of a repository."""

    def __init__(
        self,
        states: States,
        resolver: Resolver,
        committed: Committed,
        blocks: BlockStore,
        bodies: Bodies,
        clock: Clock,
    ) -> None:
        self._states = states
        self._resolver = resolver
        self._committed = committed
        self._blocks = blocks
        self._bodies = bodies
        self._clock = clock

    def writable(
        self, repository_id: RepositoryId, branch: BranchId, *, may_guess: bool = False
    ) -> Target:
        """Return the branch as a target of writes.

        With `may_guess` the answer may be as old as this process's last look, which spares a read;
        who writes there asks again without when NotFound comes back, and moves the body: the name
        may belong to another repository by now. Raises NotFound for an unknown repository or ref,
        Forbidden for a read-only repository and for refs that are not branches.
        """
        if may_guess:
            known = self._states.known(repository_id, branch)
            if known is not None and not known.repository.is_read_only:
                return Target(known.repository, branch, is_guess=True)
        try:
            state = self._states.fresh(repository_id, branch)
        except NotFound as error:
            if error.kind is Kind.BRANCH_NOT_FOUND:
                self._refuse_fixed(repository_id, branch)
            raise
        _refuse_read_only(state.repository)
        return Target(state.repository, branch)

    def stat(self, resolved: Resolved, path: Path) -> Stat:
        """Return the object at a path; raise NotFound."""
        found = self.find(resolved, path)
        if found is None:
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object {path!r}")
        return found

    def find(self, resolved: Resolved, path: Path) -> Stat | None:
        """Return the object at a path, None when there is none."""
        return self._resolver.on_branch(
            resolved,
            lambda branch: self._find_staged(resolved, branch, path),
            lambda fixed: self._find_committed(fixed, path),
        )

    def block(self, found: Stat) -> Block:
        """Return where an object's bytes are; raise NotFound when they are gone."""
        return self._blocks.get(found.physical_address)

    def making_put(
        self,
        target: Target,
        path: Path,
        body: Body,
        *,
        content_type: str,
        metadata: Metadata = (),
        checksum2: str = "",
        precondition: Precondition | None = None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that puts a received body under a path."""

        def entry_of(_current: Entry | None) -> tuple[Entry, Sequence[Condition]]:
            entry = Entry(
                Address(relative_address(target.repository.namespace, body.address)),
                body.etag,
                body.size_bytes,
                self._now_us(),
                content_type,
                metadata,
                checksum2,
            )
            return entry, ()

        return self._making(target, path, entry_of, precondition, body)

    def making_copy(
        self,
        target: Target,
        dest_path: Path,
        source: Resolved,
        source_path: Path,
        *,
        content_type: str | None = None,
        metadata: Metadata | None = None,
        source_precondition: Precondition = _NO_CONDITION,
        precondition: Precondition | None = None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that gives a live object a second path in the same repository.

        Only metadata moves: the physical address is shared. `content_type` and `metadata` replace
        the source's when given. The source entry is a condition of the transaction
        (docs/protocol.md 3.5).
        """

        def entry_of(_current: Entry | None) -> tuple[Entry, Sequence[Condition]]:
            found, conditions = self._find_source(source, source_path)
            source_precondition.check(found)
            entry = replace(
                found,
                mtime_us=self._now_us(),
                content_type=found.content_type if content_type is None else content_type,
                metadata=found.metadata if metadata is None else metadata,
                identity=b"",
            )
            return entry, conditions

        return self._making(target, dest_path, entry_of, precondition, None)

    def copy_between(
        self,
        source: Resolved,
        source_path: Path,
        target: Target,
        *,
        source_precondition: Precondition = _NO_CONDITION,
    ) -> tuple[Body, Entry]:
        """Return a body with a copy of another repository's object, and the object's entry."""
        found = self.stat(source, source_path)
        source_precondition.check(found.entry)
        block = self.block(found)
        body = self._bodies.open(target.repository)
        try:
            for offset in range(0, block.size_bytes, limits.WINDOW_BYTES):
                length = min(limits.WINDOW_BYTES, block.size_bytes - offset)
                body.write(self._blocks.read(block, offset, length))
            body.finish()
        except BaseException:
            body.abort()
            raise
        return body, found.entry

    def making_set_metadata(
        self, target: Target, path: Path, metadata: Metadata
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that replaces a live object's user metadata."""

        def entry_of(current: Entry | None) -> tuple[Entry, Sequence[Condition]]:
            if current is None:
                raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object {path!r}")
            return replace(current, metadata=metadata, identity=b""), ()

        return self._making(target, path, entry_of, _NO_CONDITION, None)

    def making_delete(self, target: Target, path: Path) -> Callable[[], Prepared[None]]:
        """Return the step that deletes a path; deleting what is not there succeeds."""
        return self.making_delete_many(target, [path])

    def making_delete_many(
        self, target: Target, paths: Sequence[Path]
    ) -> Callable[[], Prepared[None]]:
        """Return the step that deletes at most DELETE_PATHS_MAX paths, all of them at once."""
        if len(paths) > limits.DELETE_PATHS_MAX:
            raise LimitExceeded(
                Kind.TOO_MANY, f"at most {limits.DELETE_PATHS_MAX} paths, not {len(paths)}"
            )

        def make() -> Prepared[None]:
            state, (values, _) = self._states.read(
                target.repository.id,
                target.branch,
                lambda seen: (
                    [
                        keyspace.staged(token, path)
                        for token in seen.record.tokens[1:]
                        for path in paths
                    ],
                    (),
                ),
            )
            writes = self._deletes(state, paths, values)
            return Prepared([_is_still(state)], writes, lambda _verdict: None)

        return make

    def _deletes(
        self, state: BranchState, paths: Sequence[Path], sealed: Sequence[Versioned | None]
    ) -> list[Write]:
        """Return a tombstone per path, or the removal of its row where nothing lies below it."""
        count = len(paths)
        is_below = [False] * count
        for index, row in enumerate(sealed):
            if row is not None:
                is_below[index % count] = True
        asked = [path for path, below in zip(paths, is_below, strict=True) if not below]
        head = self._committed.get_many(state.repository.namespace, state.record.metarange, asked)
        in_head = {path for path, entry in zip(asked, head, strict=True) if entry is not None}
        token = state.record.token
        return [
            put(keyspace.staged(token, path), encode_tombstone())
            if below or path in in_head
            else delete(keyspace.staged(token, path))
            for path, below in zip(paths, is_below, strict=True)
        ]

    def _making(
        self,
        target: Target,
        path: Path,
        entry_of: Callable[[Entry | None], tuple[Entry, Sequence[Condition]]],
        precondition: Precondition | None,
        body: Body | None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that writes one staging row; without a precondition it reads nothing."""
        is_again = False

        def make() -> Prepared[Stat]:
            nonlocal is_again
            conditions: list[Condition] = []
            current = None
            if precondition is not None:
                state, current, conditions = self._find_at(
                    target.repository.id, target.branch, path, is_staging_only=False
                )
                precondition.check(current)
            elif is_again:
                state = self._states.fresh(target.repository.id, target.branch)
            else:
                state = self._states.guess(target.repository.id, target.branch)
                if state.repository.incarnation != target.repository.incarnation:
                    state = self._states.fresh(target.repository.id, target.branch)
            is_again = True
            _refuse_other(target, state)
            _refuse_read_only(state.repository)
            entry, more = entry_of(current)
            placed = body.place() if body is not None else None
            return Prepared(
                [_is_still(state), _is_there(state.repository), *conditions, *more],
                [
                    put(keyspace.staged(state.record.token, path), encode_entry(entry)),
                    *(placed.writes if placed else ()),
                ],
                lambda _verdict: _stat(state.repository, path, entry),
                placed.windows if placed else (),
            )

        return make

    def _find_committed(self, fixed: Resolved, path: Path) -> Stat | None:
        entry = self._committed.get(fixed.repository.namespace, fixed.metarange, path)
        return None if entry is None else _stat(fixed.repository, path, entry)

    def _find_staged(self, resolved: Resolved, branch: BranchId, path: Path) -> Stat | None:
        state, entry, _ = self._find_at(
            resolved.repository.id, branch, path, resolved.is_staging_only
        )
        return None if entry is None else _stat(state.repository, path, entry)

    def _find_at(
        self, repository_id: RepositoryId, branch: BranchId, path: str, is_staging_only: bool
    ) -> tuple[BranchState, Entry | None, list[Condition]]:
        """Return a branch, a path's live entry, and the condition that its staging row stays."""
        state, (values, _) = self._states.read(
            repository_id,
            branch,
            lambda seen: ([keyspace.staged(token, path) for token in seen.record.tokens], ()),
        )
        condition = is_as_seen(keyspace.staged(state.record.token, path), values[0])
        for row in values:
            if row is not None:
                return state, decode_entry(row.value), [condition]
        if is_staging_only:
            return state, None, [condition]
        entry = self._committed.get(state.repository.namespace, state.record.metarange, path)
        return state, entry, [condition]

    def _find_source(self, source: Resolved, path: Path) -> tuple[Entry, list[Condition]]:
        entry, conditions = self._resolver.on_branch(
            source,
            lambda branch: self._staged_source(source, branch, path),
            lambda fixed: self._committed_source(fixed, path),
        )
        if entry is None:
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object {path!r}")
        return entry, conditions

    def _staged_source(
        self, source: Resolved, branch: BranchId, path: Path
    ) -> tuple[Entry | None, list[Condition]]:
        state, entry, conditions = self._find_at(
            source.repository.id, branch, path, source.is_staging_only
        )
        return entry, [*conditions, _is_still(state)]

    def _committed_source(
        self, fixed: Resolved, path: Path
    ) -> tuple[Entry | None, list[Condition]]:
        entry = self._committed.get(fixed.repository.namespace, fixed.metarange, path)
        return entry, [self._resolver.unexpired(fixed.repository, fixed.commit_id)]

    def _refuse_fixed(self, repository_id: RepositoryId, name: BranchId) -> None:
        try:
            self._resolver.commit(repository_id, Ref(name))
        except NotFound:
            return
        raise Forbidden(Kind.NOT_A_BRANCH, f"{name!r} is not a branch, so nothing can be written")

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000


def _refuse_other(target: Target, state: BranchState) -> None:
    """Refuse to write bytes placed for one repository into another of the same name."""
    if state.repository.incarnation != target.repository.incarnation:
        raise NotFound(
            Kind.REPOSITORY_NOT_FOUND, f"repository {target.repository.id!r} was replaced"
        )


def _refuse_read_only(repository: Repository) -> None:
    if repository.is_read_only:
        raise Forbidden(Kind.READ_ONLY_REPOSITORY, f"repository {repository.id!r} is read-only")


def _is_there(repository: Repository) -> Condition:
    return is_version(keyspace.repository(repository.id), repository.version)


def _is_still(state: BranchState) -> Condition:
    return is_version(keyspace.branch(state.repository.incarnation, state.branch), state.version)


def _stat(repository: Repository, path: str, entry: Entry) -> Stat:
    return Stat(path, entry, full_address(repository, entry))
