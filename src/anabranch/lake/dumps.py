"""Dumps of refs: commits, tags and branches as files in the repository's storage namespace."""

from collections.abc import Callable, Iterator

from anabranch.kernel import limits
from anabranch.kernel.ids import CommitId, RepositoryId
from anabranch.lake import keyspace, records
from anabranch.lake.refs_files import CommitLine, ListKind, RefLine, RefsDump, RefsFiles
from anabranch.lake.states import States
from anabranch.lake.values import Repository
from anabranch.storage.kv.base import KVStore, Row, scan_prefix


def no_beat() -> None:
    """Nobody asks how far it is."""


class Dumps:
    """Write what a repository's refs are; what is uncommitted is not part of it."""

    def __init__(self, kv: KVStore, states: States, files: RefsFiles) -> None:
        self._kv = kv
        self._states = states
        self._files = files

    def dump(self, repository_id: RepositoryId, *, beat: Callable[[], None] = no_beat) -> RefsDump:
        """Write a dump and return its ids; `beat` is called after each part, and may raise.

        Each ref is of its own moment. Refs are read before commits, so that every commit they
        name, and every parent, is in the dump.
        """
        repository = self._states.repository(repository_id)
        namespace = repository.namespace
        tags = self._files.write(namespace, ListKind.TAGS, self._tags(repository), beat)
        branches = self._files.write(namespace, ListKind.BRANCHES, self._branches(repository), beat)
        commits = self._files.write(namespace, ListKind.COMMITS, self._commits(repository), beat)
        dump = RefsDump(commits, tags, branches)
        self._files.write_manifest(namespace, dump)
        return dump

    def _tags(self, repository: Repository) -> Iterator[RefLine]:
        for name, row in self._rows(keyspace.tags(repository.incarnation)):
            yield RefLine(name, records.decode_record(row.value, str))

    def _branches(self, repository: Repository) -> Iterator[RefLine]:
        for name, row in self._rows(keyspace.branches(repository.incarnation)):
            record = records.decode_branch(row.value)
            yield RefLine(name, record.head, record.is_hidden)

    def _commits(self, repository: Repository) -> Iterator[CommitLine]:
        for name, row in self._rows(keyspace.commits(repository.incarnation)):
            commit, is_expired = records.decode_commit_record(CommitId(name), row.value)
            yield CommitLine(
                commit.id,
                commit.metarange,
                list(commit.parents),
                commit.committer,
                commit.message,
                dict(commit.metadata),
                commit.created_us,
                commit.generation,
                is_expired,
            )

    def _rows(self, prefix: bytes) -> Iterator[tuple[str, Row]]:
        after = b""
        while True:
            scan = scan_prefix(prefix, after=after, limit=limits.PAGE_MAX)
            rows = self._kv.read((), [scan]).scans[0]
            for row in rows:
                after = row.key[len(prefix) :]
                yield after.decode(), row
            if len(rows) < limits.PAGE_MAX:
                return
