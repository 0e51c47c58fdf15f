"""Restoring refs into a bare repository from a dump that lies in its storage namespace.

The whole dump is judged before anything is written. A restore then claims the repository's mark
of being bare; each portion has the claim as a condition, and the last removes the mark. One that
died half way is begun again with the same dump, and finds what it wrote.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from anabranch.kernel import limits
from anabranch.kernel.commits import (
    Commit,
    commit_id_of,
    encode_commit,
    parse_commit_metadata,
    parse_message,
)
from anabranch.kernel.errors import Conflict, Forbidden, InvalidInput, Kind
from anabranch.kernel.ids import (
    BranchId,
    CommitId,
    MetarangeId,
    RepositoryId,
    TagId,
    parse_branch_id,
    parse_tag_id,
)
from anabranch.lake import keyspace, records
from anabranch.lake.committed import Committed
from anabranch.lake.dumps import no_beat
from anabranch.lake.refs_files import (
    CommitLine,
    ListKind,
    RefLine,
    RefsDump,
    RefsFiles,
    bad_dump,
    is_id,
)
from anabranch.lake.resolve import Resolver
from anabranch.lake.staging import Staging
from anabranch.lake.states import States
from anabranch.lake.values import BranchRecord, Repository
from anabranch.storage.blocks.base import BlockStore
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Write,
    Writer,
    delete,
    is_as_seen,
    is_version,
    put,
)

_Line = TypeVar("_Line", CommitLine, RefLine)
_PORTION = 1_000  # commits or refs of one transaction
_HASH_BYTES = 32


class _Known:
    """The commits of a dump: 40 bytes each, found by their ids."""

    def __init__(self, commits_max: int) -> None:
        self._commits_max = commits_max
        self._ids = bytearray()
        self._generations = array("q")

    def __len__(self) -> int:
        return len(self._generations)

    def add(self, commit_id: str, generation: int) -> None:
        """Take the next commit in order of ids; raise InvalidInput(DUMP) out of order."""
        raw = bytes.fromhex(commit_id)
        if self._ids and raw <= self._ids[-_HASH_BYTES:]:
            raise bad_dump(f"commit {commit_id} is out of order")
        if len(self) == self._commits_max:
            raise bad_dump("too many commits")
        self._ids += raw
        self._generations.append(generation)

    def generation(self, commit_id: str) -> int | None:
        """Return a commit's generation, None when it is not in the dump."""
        if not is_id(commit_id):
            return None
        raw = bytes.fromhex(commit_id)
        at = bisect_left(range(len(self)), raw, key=self._id_at)
        if at == len(self) or self._id_at(at) != raw:
            return None
        return self._generations[at]

    def _id_at(self, at: int) -> bytes:
        return bytes(self._ids[at * _HASH_BYTES : (at + 1) * _HASH_BYTES])


class Restores:
    """Make a bare repository hold the refs of a dump."""

    def __init__(
        self,
        kv: KVStore,
        writer: Writer,
        blocks: BlockStore,
        states: States,
        resolver: Resolver,
        staging: Staging,
        committed: Committed,
        files: RefsFiles,
        *,
        portion: int = _PORTION,
        commits_max: int = limits.DUMP_COMMITS_MAX,
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._blocks = blocks
        self._states = states
        self._resolver = resolver
        self._staging = staging
        self._committed = committed
        self._files = files
        self._portion = portion
        self._commits_max = commits_max

    def check(
        self, repository_id: RepositoryId, dump: RefsDump, *, is_forced: bool = False
    ) -> Repository:
        """Return the repository when a restore of the dump may begin there.

        Raises InvalidInput(NOT_BARE) for one that is not bare, InvalidInput(DUMP), NotFound for a
        list that is not there, Forbidden for a read-only repository unless forced.
        """
        repository = self._states.repository(repository_id)
        if repository.is_read_only and not is_forced:
            raise Forbidden(Kind.READ_ONLY_REPOSITORY, f"repository {repository_id!r} is read-only")
        self._claimable(repository, dump)
        for kind, list_id in _lists(dump):
            self._files.check(repository.namespace, kind, list_id)
        return repository

    def restore(
        self,
        repository_id: RepositoryId,
        dump: RefsDump,
        *,
        is_forced: bool = False,
        beat: Callable[[], None] = no_beat,
    ) -> None:
        """Restore a dump; raise as `check`, and Conflict when somebody else restores meanwhile.

        `beat` is called now and then, and may raise to end it.
        """
        repository = self.check(repository_id, dump, is_forced=is_forced)
        self._judge(repository, dump, beat)
        claim = self._claim(repository, dump)
        for commits in self._portions(repository, ListKind.COMMITS, dump, CommitLine):
            self._write(claim, (), [_commit_write(repository, line) for line in commits])
            beat()
        for kind in (ListKind.TAGS, ListKind.BRANCHES):
            for lines in self._portions(repository, kind, dump, RefLine):
                self._write(claim, *self._refs(repository, kind, lines))
                beat()
        self._write(claim, (), [delete(keyspace.bare(repository.incarnation))])

    # Judging

    def _judge(self, repository: Repository, dump: RefsDump, beat: Callable[[], None]) -> None:
        known = _Known(self._commits_max)
        seen = ""
        for lines in self._lines(repository, ListKind.COMMITS, dump, CommitLine):
            for line in lines:
                _check_commit(line)
                known.add(line.id, line.generation)
                if line.metarange and line.metarange != seen:
                    seen = line.metarange
                    self._refuse_missing(repository, line)
            beat()
        for lines in self._lines(repository, ListKind.COMMITS, dump, CommitLine):
            for line in lines:
                _check_parents(line, known)
            beat()
        for kind in (ListKind.TAGS, ListKind.BRANCHES):
            before = b""
            for refs in self._lines(repository, kind, dump, RefLine):
                for ref in refs:
                    before = _check_ref(kind, ref, known, before)
                beat()

    def _refuse_missing(self, repository: Repository, line: CommitLine) -> None:
        if self._blocks.find(f"{repository.namespace}/_lakefs/{line.metarange}") is None:
            raise bad_dump(f"the entries of commit {line.id} are not in {repository.namespace}")

    # Writing

    def _claimable(self, repository: Repository, dump: RefsDump) -> Condition:
        key = keyspace.bare(repository.incarnation)
        row = self._kv.read([key]).values[0]
        if row is None:
            raise InvalidInput(Kind.NOT_BARE, "can only restore into a bare repository")
        begun = records.decode_record(row.value, list[str])
        if begun and begun != _ids(dump):
            raise InvalidInput(
                Kind.NOT_BARE,
                "can only restore into a bare repository: another dump's restore was begun here",
            )
        return is_version(key, row.version)

    def _claim(self, repository: Repository, dump: RefsDump) -> tuple[Condition, Condition]:
        """Note the dump in the mark; return the conditions of every later step."""
        is_there = is_version(keyspace.repository(repository.id), repository.version)
        key = keyspace.bare(repository.incarnation)

        def make() -> Prepared[tuple[Condition, Condition]]:
            mark = self._claimable(repository, dump)
            return Prepared(
                [is_there, mark],
                [put(key, records.encode_record(_ids(dump)))],
                lambda verdict: (is_there, is_version(key, verdict.version)),
            )

        return self._writer.submit(make)

    def _write(
        self,
        claim: tuple[Condition, Condition],
        conditions: Sequence[Condition],
        writes: Sequence[Write],
    ) -> None:
        step = Prepared([*claim, *conditions], writes, lambda _verdict: True)
        if not self._writer.submit_once(step):
            raise Conflict(Kind.CONFLICT, "the repository was changed while it was restored")

    def _refs(
        self, repository: Repository, kind: ListKind, lines: Sequence[RefLine]
    ) -> tuple[list[Condition], list[Write]]:
        incarnation = repository.incarnation
        heads = [CommitId(line.commit_id) for line in lines]
        if kind is ListKind.TAGS:
            keys = [keyspace.tag(incarnation, TagId(line.id)) for line in lines]
            values = [records.encode_record(head) for head in heads]
        else:
            keys = [keyspace.branch(incarnation, BranchId(line.id)) for line in lines]
            values = [
                self._branch(repository, line, commit)
                for line, commit in zip(
                    lines, self._resolver.load_many(repository, heads), strict=True
                )
            ]
        conditions, writes = [], []
        for key, value, seen in zip(keys, values, self._kv.read(keys).values, strict=True):
            if seen is not None and _head(kind, seen.value) != _head(kind, value):
                raise Conflict(Kind.CONFLICT, "refs were made while the repository was restored")
            conditions.append(is_as_seen(key, seen))
            if seen is None:
                writes.append(put(key, value))
        return conditions, writes

    def _branch(self, repository: Repository, line: RefLine, commit: Commit) -> bytes:
        # Decodes the list of ranges, so that a head whose entries cannot be read is found now.
        self._committed.first_at_or_after(repository.namespace, commit.metarange, "")
        token = self._staging.new_token()
        record = BranchRecord(commit.id, commit.metarange, token, (), line.is_hidden)
        return records.encode_branch(record)

    # Reading

    def _lines(
        self, repository: Repository, kind: ListKind, dump: RefsDump, form: type[_Line]
    ) -> Iterator[list[_Line]]:
        return self._files.read(repository.namespace, kind, dict(_lists(dump))[kind], form)

    def _portions(
        self, repository: Repository, kind: ListKind, dump: RefsDump, form: type[_Line]
    ) -> Iterator[list[_Line]]:
        for lines in self._lines(repository, kind, dump, form):
            for start in range(0, len(lines), self._portion):
                yield lines[start : start + self._portion]


def _lists(dump: RefsDump) -> tuple[tuple[ListKind, str], ...]:
    return (
        (ListKind.COMMITS, dump.commits_meta_range_id),
        (ListKind.TAGS, dump.tags_meta_range_id),
        (ListKind.BRANCHES, dump.branches_meta_range_id),
    )


def _ids(dump: RefsDump) -> list[str]:
    return [list_id for _, list_id in _lists(dump)]


def _commit_of(line: CommitLine) -> Commit:
    return Commit(
        CommitId(line.id),
        MetarangeId(line.metarange),
        tuple(CommitId(parent) for parent in line.parents),
        line.committer,
        parse_message(line.message),
        parse_commit_metadata(line.metadata),
        line.created_us,
        line.generation,
    )


def _check_commit(line: CommitLine) -> None:
    """Raise InvalidInput unless a commit hashes to its id."""
    ids = (line.id, *line.parents, *([line.metarange] if line.metarange else []))
    if not all(map(is_id, ids)):
        raise bad_dump(f"commit {line.id[:100]!r} names what is no id")
    if commit_id_of(encode_commit(_commit_of(line))) != line.id:
        raise bad_dump(f"commit {line.id} does not hash to its id")


def _check_parents(line: CommitLine, known: _Known) -> None:
    above = [known.generation(parent) for parent in line.parents]
    if None in above:
        raise bad_dump(f"a parent of commit {line.id} is missing")
    if line.generation != 1 + max((one for one in above if one is not None), default=0):
        raise bad_dump(f"commit {line.id} has a wrong generation")


def _check_ref(kind: ListKind, ref: RefLine, known: _Known, before: bytes) -> bytes:
    """Raise InvalidInput unless a ref is one of the dump; return its place in the order."""
    name = ref.id.encode()
    if kind is ListKind.TAGS:
        parse_tag_id(ref.id)
    else:
        parse_branch_id(ref.id)
    if name <= before or (ref.is_hidden and kind is ListKind.TAGS):
        raise bad_dump(f"{kind}: {ref.id!r} is out of place")
    if known.generation(ref.commit_id) is None:
        raise bad_dump(f"{kind}: the commit of {ref.id!r} is missing")
    return name


def _commit_write(repository: Repository, line: CommitLine) -> Write:
    value = records.encode_commit_record(_commit_of(line), is_expired=line.is_expired)
    return put(keyspace.commit(repository.incarnation, line.id), value)


def _head(kind: ListKind, value: bytes) -> str:
    if kind is ListKind.TAGS:
        return records.decode_record(value, str)
    return records.decode_branch(value).head
