"""Repositories: create, list, describe, delete, and clear away what deleted ones leave."""

import builtins
from collections.abc import Mapping, Sequence
from hashlib import md5

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.commits import new_commit, parse_commit_metadata
from anabranch.kernel.errors import AlreadyExists, Conflict, Forbidden, Kind, NotFound
from anabranch.kernel.ids import (
    BranchId,
    IncarnationId,
    MetarangeId,
    Namespace,
    RepositoryId,
    Token,
    UploadId,
)
from anabranch.kernel.pages import Page
from anabranch.lake import keyspace, records
from anabranch.lake.states import States
from anabranch.lake.values import BranchRecord, Repository
from anabranch.storage.blocks.base import BlockStore, Placed, split_address
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Row,
    Snapshot,
    Verdict,
    Write,
    Writer,
    delete,
    is_absent,
    is_as_seen,
    is_version,
    put,
    scan_prefix,
)

FIRST_MESSAGE = "Repository created"
DUMMY = "dummy"
_DUMMY_TEXT = b"Anabranch wrote this file to prove that it may write here. Keep it...\n"
_BRANCHES_PORTION = 200  # fewer in one transaction when they have many sealed tokens
_RETIRED_PORTION = 100


class _RetiredRow(msgspec.Struct, array_like=True):
    repository_id: str
    retired_us: int


class Repositories:
    """The named roots of refs."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        blocks: BlockStore,
        states: States,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._blocks = blocks
        self._states = states
        self._clock = clock
        self._ids = ids

    def create(
        self,
        repository_id: RepositoryId,
        namespace: Namespace,
        *,
        default_branch: BranchId = BranchId("main"),  # noqa: B008 - a NewType: plain text
        is_read_only: bool = False,
        is_bare: bool = False,
        committer: str,
    ) -> Repository:
        """Make a repository with a first, empty commit on its default branch.

        Raises AlreadyExists(REPOSITORY_EXISTS), and Conflict(NAMESPACE_OVERLAP) when the namespace
        was ever used, contains one that was, or lies in one (docs/protocol.md 3.5). A bare
        one has neither branch nor commit until a dump is restored into it; it may take over the
        namespace of a repository that was deleted, whose bytes and ranges are still there.
        """
        incarnation = IncarnationId(self._ids.hex32())
        draft = Repository(
            repository_id,
            incarnation,
            namespace,
            default_branch,
            self._clock.now_ns() // 1_000,
            is_read_only,
            0,
        )
        dummy: Placed | None = None

        def make() -> Prepared[Repository]:
            nonlocal dummy
            conditions = self._name_conditions(repository_id)
            conditions += self._namespace_conditions(namespace, is_bare=is_bare)
            kept = self._blocks.find(f"{namespace}/{DUMMY}")
            if kept is not None:
                return Prepared(
                    conditions,
                    self._first_writes(draft, committer, is_bare=is_bare),
                    lambda verdict: _with_version(draft, verdict),
                )
            if dummy is None or dummy.is_lost:
                address = f"{namespace}/{DUMMY}"
                etag = md5(_DUMMY_TEXT, usedforsecurity=False).hexdigest()
                dummy = self._blocks.put(address, _DUMMY_TEXT, etag=etag)
            made, bucket = self._blocks.bucket_creation(split_address(dummy.block.address)[0])
            conditions += [*made, *(is_absent(write.key) for write in dummy.writes)]
            writes = [*bucket, *dummy.writes]
            writes += self._first_writes(draft, committer, is_bare=is_bare)
            return Prepared(
                conditions, writes, lambda verdict: _with_version(draft, verdict), dummy.windows
            )

        return self._writer.submit(make)

    def get(self, repository_id: RepositoryId) -> Repository:
        """Return a repository; raise NotFound(REPOSITORY_NOT_FOUND)."""
        return self._states.repository(repository_id)

    def find(self, repository_id: RepositoryId) -> Repository | None:
        """Return a repository, None when there is none."""
        try:
            return self._states.repository(repository_id)
        except NotFound:
            return None

    def list(
        self, *, prefix: str = "", after: str = "", amount: int = limits.PAGE_DEFAULT
    ) -> Page[Repository]:
        """Return one page of repositories in byte order of their names; `after` is exclusive."""
        if amount <= 0:
            return Page((), None)
        base = keyspace.REPOSITORIES
        scan = scan_prefix(base + prefix.encode(), limit=amount + 1)
        scan = scan._replace(start=max(scan.start, base + after.encode() + b"\x00" * bool(after)))
        rows = self._kv.read((), [scan]).scans[0]
        found = tuple(_repository_of(row) for row in rows[:amount])
        return Page(found, found[-1].id if len(rows) > amount else None)

    def get_metadata(self, repository_id: RepositoryId) -> dict[str, str]:
        """Return a repository's user metadata."""
        repository = self._states.repository(repository_id)
        return self._metadata(repository)[0]

    def set_metadata(self, repository_id: RepositoryId, pairs: Mapping[str, str]) -> None:
        """Add pairs to a repository's user metadata, or replace the values of known keys."""
        self._change_metadata(repository_id, pairs, ())

    def delete_metadata(self, repository_id: RepositoryId, names: Sequence[str]) -> None:
        """Remove keys from a repository's user metadata; absent ones are nothing."""
        self._change_metadata(repository_id, {}, names)

    def delete(self, repository_id: RepositoryId, *, is_forced: bool = False) -> None:
        """Delete a repository: its refs and history at once, its bytes by retention.

        A read-only one only when forced (Forbidden). The namespace cannot be used again.
        """

        def make() -> Prepared[IncarnationId]:
            repository = self._states.repository(repository_id)
            if repository.is_read_only and not is_forced:
                raise Forbidden(
                    Kind.READ_ONLY_REPOSITORY, f"repository {repository_id!r} is read-only"
                )
            key = keyspace.repository(repository_id)
            row = _RetiredRow(repository_id, self._kv.now_us())
            writes = [
                delete(key),
                put(keyspace.retired(repository.incarnation), records.encode_record(row)),
                put(
                    keyspace.retiring(repository_id), records.encode_record(repository.incarnation)
                ),
            ]
            return Prepared(
                [is_version(key, repository.version)],
                writes,
                lambda _verdict: repository.incarnation,
            )

        incarnation = self._writer.submit(make)
        self._retire_branches(repository_id, incarnation)
        self._sweep_rest(incarnation, limits.KV_WRITES_MAX)

    def sweep_retired(self, *, amount: int = limits.KV_WRITES_MAX) -> int:
        """Remove keys of deleted repositories, about `amount`; return how many were handled.

        For the jobs process; 0 means that nothing is left.
        """
        handled = 0
        scan = scan_prefix(keyspace.RETIRED, limit=_RETIRED_PORTION)
        for row in self._kv.read((), [scan]).scans[0]:
            incarnation = IncarnationId(row.key[len(keyspace.RETIRED) :].decode())
            retired = records.decode_record(row.value, _RetiredRow)
            handled += self._retire_branches(RepositoryId(retired.repository_id), incarnation)
            handled += self._sweep_rest(incarnation, max(amount - handled, 1))
            if handled >= amount:
                break
        return handled

    def _name_conditions(self, repository_id: RepositoryId) -> builtins.list[Condition]:
        """Return the conditions that a name is free; removes what a deleted holder left of it.

        A cached branch of the old repository must not take a write meant for the new one, so no
        branch of the old may be left.
        """
        key, retiring = keyspace.repository(repository_id), keyspace.retiring(repository_id)
        taken, remains = self._kv.read([key, retiring]).values
        if taken is not None:
            raise AlreadyExists(
                Kind.REPOSITORY_EXISTS, f"a repository named {repository_id!r} exists"
            )
        if remains is not None:
            incarnation = IncarnationId(records.decode_record(remains.value, str))
            self._retire_branches(repository_id, incarnation)
        return [is_absent(key), is_absent(retiring)]

    def _namespace_conditions(
        self, namespace: Namespace, *, is_bare: bool
    ) -> builtins.list[Condition]:
        """Return the conditions that no used namespace contains this one or lies in it."""
        own, bucket = keyspace.namespace(namespace), keyspace.namespace_bucket(namespace)
        above = [keyspace.namespace(one) for one in namespaces_above(namespace)]
        snapshot = self._kv.read([bucket, *above], [scan_prefix(own, limit=2)])
        if is_bare and (taken := self._taken_over(own, snapshot)) is not None:
            return [is_as_seen(bucket, snapshot.values[0]), taken]
        if snapshot.scans[0] or any(value is not None for value in snapshot.values[1:]):
            raise Conflict(
                Kind.NAMESPACE_OVERLAP,
                f"storage namespace already in use, or one inside it or around it: {namespace}",
            )
        if self._blocks.find(f"{namespace}/{DUMMY}") is not None:
            raise Conflict(
                Kind.NAMESPACE_OVERLAP,
                f"storage namespace already in use: it holds {DUMMY!r}: {namespace}",
            )
        # Whoever claims a namespace in this bucket moves the version of its key.
        return [is_as_seen(bucket, snapshot.values[0])]

    def _taken_over(self, own: bytes, snapshot: Snapshot) -> Condition | None:
        """Return the condition that a claim is still a deleted repository's, if it is one."""
        claims = snapshot.scans[0]
        if [row.key for row in claims] != [own] or any(snapshot.values[1:]):
            return None
        holder, incarnation = records.decode_record(claims[0].value, tuple[str, str])
        found = self.find(RepositoryId(holder))
        if found is not None and found.incarnation == incarnation:
            return None
        return is_version(own, claims[0].version)

    def _first_writes(
        self, draft: Repository, committer: str, *, is_bare: bool
    ) -> builtins.list[Write]:
        commit = new_commit(
            metarange=MetarangeId(""),
            parents=(),
            committer=committer,
            message=FIRST_MESSAGE,
            metadata=(),
            created_us=draft.created_us,
        )
        branch = BranchRecord(commit.id, commit.metarange, Token(self._ids.hex32()))
        claim = records.encode_record((draft.id, draft.incarnation))
        roots = [
            put(keyspace.repository(draft.id), records.encode_repository(draft)),
            put(keyspace.namespace(draft.namespace), claim),
            put(keyspace.namespace_bucket(draft.namespace), b""),
        ]
        if is_bare:
            return [*roots, put(keyspace.bare(draft.incarnation), records.encode_record([]))]
        return [
            *roots,
            put(
                keyspace.commit(draft.incarnation, commit.id), records.encode_commit_record(commit)
            ),
            put(
                keyspace.branch(draft.incarnation, draft.default_branch),
                records.encode_branch(branch),
            ),
        ]

    def _metadata(self, repository: Repository) -> tuple[dict[str, str], Condition]:
        key = keyspace.repository_metadata(repository.incarnation)
        row = self._kv.read([key]).values[0]
        pairs = {} if row is None else records.decode_record(row.value, dict[str, str])
        return pairs, is_as_seen(key, row)

    def _change_metadata(
        self, repository_id: RepositoryId, added: Mapping[str, str], removed: Sequence[str]
    ) -> None:
        def make() -> Prepared[None]:
            repository = self._states.repository(repository_id)
            pairs, as_seen = self._metadata(repository)
            pairs.update(added)
            for name in removed:
                pairs.pop(name, None)
            kept = dict(parse_commit_metadata(pairs))
            is_there = is_version(keyspace.repository(repository_id), repository.version)
            write = put(as_seen.key, records.encode_record(kept))
            return Prepared([is_there, as_seen], [write], lambda _verdict: None)

        self._writer.submit(make)

    def _retire_branches(self, repository_id: RepositoryId, incarnation: IncarnationId) -> int:
        """Remove all branches of a deleted repository, their staging first of all; repeatable."""
        handled = 0
        prefix = keyspace.branches(incarnation)
        while True:
            rows = self._kv.read((), [scan_prefix(prefix, limit=_BRANCHES_PORTION)]).scans[0]
            if not rows:
                break
            now = records.encode_record(self._kv.now_us())
            conditions: builtins.list[Condition] = []
            writes: builtins.list[Write] = []
            for row in rows:
                tokens = records.decode_branch(row.value).tokens
                if writes and len(writes) + 1 + len(tokens) > limits.KV_WRITES_MAX:
                    break
                # The record as read: a token sealed meanwhile would be left behind otherwise.
                conditions.append(is_version(row.key, row.version))
                writes.append(delete(row.key))
                writes += [put(keyspace.dropped(token), now) for token in tokens]
            done = self._writer.submit_once(Prepared(conditions, writes, lambda _verdict: True))
            handled += len(conditions) if done else 0
        self._release_name(repository_id, incarnation)
        return handled

    def _release_name(self, repository_id: RepositoryId, incarnation: IncarnationId) -> None:
        def make() -> Prepared[None]:
            key = keyspace.retiring(repository_id)
            row = self._kv.read([key]).values[0]
            if row is None or records.decode_record(row.value, str) != incarnation:
                return Prepared((), (), lambda _verdict: None)
            return Prepared([is_version(key, row.version)], [delete(key)], lambda _verdict: None)

        self._writer.submit(make)

    def _sweep_rest(self, incarnation: IncarnationId, amount: int) -> int:
        """Remove up to about `amount` keys of a repository without branches, its mark last."""
        handled = 0
        for prefix in (
            keyspace.tags(incarnation),
            keyspace.commits(incarnation),
            keyspace.issued_addresses(incarnation),
            keyspace.imports(incarnation),
            keyspace.refs_tasks(incarnation),
            keyspace.upload_paths(incarnation),
        ):
            while handled < amount:
                portion = min(amount - handled, limits.PAGE_MAX)
                rows = self._kv.read((), [scan_prefix(prefix, limit=portion)]).scans[0]
                if not rows:
                    break
                writes = [write for row in rows for write in _removal(row, prefix)]
                self._write(writes)
                handled += len(rows)
            if handled >= amount:
                return handled
        self._write(
            [
                delete(keyspace.repository_metadata(incarnation)),
                delete(keyspace.bare(incarnation)),
                delete(keyspace.retired(incarnation)),
            ]
        )
        return handled + 1

    def _write(self, writes: builtins.list[Write]) -> None:
        self._writer.submit(lambda: Prepared((), writes, lambda _verdict: None))


def namespaces_above(namespace: Namespace) -> builtins.list[Namespace]:
    """Return every namespace that would contain this one, the bucket's own first."""
    scheme, _, rest = namespace.partition("://")
    parts = rest.split("/")
    return [Namespace(f"{scheme}://{'/'.join(parts[:count])}") for count in range(1, len(parts))]


def _removal(row: Row, prefix: bytes) -> builtins.list[Write]:
    """Return what removes a key of a deleted repository; an open upload takes its record along."""
    if not prefix.startswith(keyspace.upload_paths("")[:-1]):
        return [delete(row.key)]
    upload_id = UploadId(row.key.rpartition(b"\x00")[2].decode())
    return [
        delete(row.key),
        delete(keyspace.upload(upload_id)),
        put(keyspace.discarded_upload(upload_id), b""),
    ]


def _repository_of(row: Row) -> Repository:
    name = RepositoryId(row.key[len(keyspace.REPOSITORIES) :].decode())
    return records.decode_repository(name, row.value, row.version)


def _with_version(draft: Repository, verdict: Verdict) -> Repository:
    return Repository(
        draft.id,
        draft.incarnation,
        draft.namespace,
        draft.default_branch,
        draft.created_us,
        draft.is_read_only,
        verdict.version,
    )
