"""Fixed names for commits."""

from collections.abc import Callable
from typing import Protocol

from anabranch.kernel import limits
from anabranch.kernel.errors import AlreadyExists, Forbidden, Kind, NotFound
from anabranch.kernel.ids import CommitId, Ref, RepositoryId, TagId
from anabranch.kernel.pages import Page
from anabranch.lake import keyspace, records
from anabranch.lake.states import States
from anabranch.lake.values import Repository, Tag
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Writer,
    delete,
    is_absent,
    is_version,
    put,
    scan_prefix,
)


class Resolving(Protocol):
    """What tags need of `lake.resolve`."""

    def commit_id(self, repository_id: RepositoryId, ref: Ref) -> CommitId:
        """Return the commit a ref stands for; of a branch its head."""
        ...

    def unexpired(self, repository: Repository, commit_id: CommitId) -> Condition:
        """Return the condition that a commit's data is still there; raise Gone when it is not."""
        ...


class Tags:
    """Create, look up and delete the tags of a repository."""

    def __init__(self, kv: KVStore, writer: Writer, states: States, resolve: Resolving) -> None:
        self._kv = kv
        self._writer = writer
        self._states = states
        self._resolve = resolve

    def create(self, repository_id: RepositoryId, tag: TagId, ref: Ref) -> Tag:
        """Name the commit that `ref` stands for now.

        Raises AlreadyExists(TAG_EXISTS), NotFound, Gone for an expired commit, Forbidden.
        """
        return self._writer.submit(self._making_create(repository_id, tag, ref))

    def get(self, repository_id: RepositoryId, tag: TagId) -> Tag:
        """Return a tag; raise NotFound(TAG_NOT_FOUND)."""
        repository = self._states.repository(repository_id)
        row = self._kv.read([keyspace.tag(repository.incarnation, tag)]).values[0]
        if row is None:
            raise _not_found(repository_id, tag)
        return Tag(tag, CommitId(records.decode_record(row.value, str)))

    def list(
        self,
        repository_id: RepositoryId,
        *,
        prefix: str = "",
        after: str = "",
        amount: int = limits.PAGE_DEFAULT,
    ) -> Page[Tag]:
        """Return one page of tags in byte order of their names; `after` is exclusive."""
        repository = self._states.repository(repository_id)
        if amount <= 0:
            return Page((), None)
        base = keyspace.tags(repository.incarnation)
        scan = scan_prefix(base + prefix.encode(), limit=amount + 1)
        scan = scan._replace(start=max(scan.start, base + after.encode() + b"\x00" * bool(after)))
        rows = self._kv.read((), [scan]).scans[0]
        tags = tuple(
            Tag(TagId(row.key[len(base) :].decode()), _commit_id(row.value))
            for row in rows[:amount]
        )
        return Page(tags, tags[-1].id if len(rows) > amount else None)

    def delete(self, repository_id: RepositoryId, tag: TagId) -> None:
        """Remove a tag; raise NotFound(TAG_NOT_FOUND), Forbidden."""

        def make() -> Prepared[None]:
            repository = self._writable(repository_id)
            key = keyspace.tag(repository.incarnation, tag)
            row = self._kv.read([key]).values[0]
            if row is None:
                raise _not_found(repository_id, tag)
            return Prepared([is_version(key, row.version)], [delete(key)], lambda _verdict: None)

        self._writer.submit(make)

    def _making_create(
        self, repository_id: RepositoryId, tag: TagId, ref: Ref
    ) -> Callable[[], Prepared[Tag]]:
        def make() -> Prepared[Tag]:
            repository = self._writable(repository_id)
            key = keyspace.tag(repository.incarnation, tag)
            commit_id = self._resolve.commit_id(repository_id, ref)
            unexpired = self._resolve.unexpired(repository, commit_id)
            if self._kv.read([key]).values[0] is not None:
                raise AlreadyExists(Kind.TAG_EXISTS, f"tag {tag!r} exists in {repository_id!r}")
            conditions = [
                is_version(keyspace.repository(repository_id), repository.version),
                unexpired,
                is_absent(key),
            ]
            made = Tag(tag, commit_id)
            writes = [put(key, records.encode_record(commit_id))]
            return Prepared(conditions, writes, lambda _verdict: made)

        return make

    def _writable(self, repository_id: RepositoryId) -> Repository:
        repository = self._states.repository(repository_id)
        if repository.is_read_only:
            raise Forbidden(Kind.READ_ONLY_REPOSITORY, f"repository {repository_id!r} is read-only")
        return repository


def _commit_id(value: bytes) -> CommitId:
    return CommitId(records.decode_record(value, str))


def _not_found(repository_id: RepositoryId, tag: TagId) -> NotFound:
    return NotFound(Kind.TAG_NOT_FOUND, f"no tag {tag!r} in {repository_id!r}")
