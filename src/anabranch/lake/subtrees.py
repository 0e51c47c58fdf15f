"""Everything under one prefix at a ref, decoded once and kept: a read asks only what changed.

What the head and sealed tokens hold under a prefix never changes, so it is kept by their names; the
rows of the open token are read by each call, in the same snapshot as the branch's record.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar, cast

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry, decode_entry
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.kernel.ids import BranchId, IncarnationId, MetarangeId, Token
from anabranch.kernel.ranges import KIND_REMOVED
from anabranch.lake import keyspace
from anabranch.lake.committed import Committed
from anabranch.lake.resolve import Resolver
from anabranch.lake.rows import entries_of
from anabranch.lake.staging import Staging
from anabranch.lake.states import States, Wanted
from anabranch.lake.values import BranchState, Repository, Resolved
from anabranch.storage.kv.base import KVStore, Row, Scan, Versioned, key_after_prefix

V = TypeVar("V")

Decode = Callable[[Repository, str, Entry], V]
"""From a path and its entry to what is kept of them; always the same for one prefix."""


@dataclass(frozen=True, slots=True)
class Subtree(Generic[V]):
    """What is live under a prefix, by path, at one moment; unsorted.

    As long as nothing changed, `items` is the same object. `files` are the entries of the paths
    asked for beside the prefix, `values` of the keys asked for; `state` is None at a commit.
    """

    repository: Repository
    state: BranchState | None
    metarange: MetarangeId
    items: Mapping[str, V]
    files: tuple[Entry | None, ...]
    values: tuple[Versioned | None, ...] = ()


_Fixed = tuple[MetarangeId, tuple[Token, ...]]
"""What never changes of a branch's rows: head and sealed tokens, newest first."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The last answer at a branch: of which head, sealed tokens, open token and its versions."""

    fixed: _Fixed
    token: Token
    versions: tuple[int, ...]
    items: dict[str, object]


class Subtrees:
    """Read prefixes at refs. What `decode` raises ends the read and is not kept."""

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
        self._heads: _Cache[tuple[IncarnationId, str], dict[MetarangeId, dict[str, object]]] = (
            _Cache()
        )
        self._sealed: _Cache[tuple[Token, str], dict[str, object | None]] = _Cache()
        self._fixed: _Cache[tuple[IncarnationId, str, _Fixed], dict[str, object]] = _Cache()
        self._branches: _Cache[tuple[IncarnationId, BranchId, str], _Kept] = _Cache()

    def read(
        self,
        resolved: Resolved,
        prefix: str,
        decode: Decode[V],
        *,
        files: Sequence[str] = (),
        keys: Callable[[BranchState], Sequence[bytes]] = lambda _state: (),
    ) -> Subtree[V]:
        """Return what lies under a prefix, and the entries at `files`, of one moment.

        At a branch the values of further `keys` are of the same moment; when the open token has
        more rows than one scan holds, they are the same before and after all of its rows.
        """
        return self._resolver.on_branch(
            resolved,
            lambda branch: self._at_branch(resolved, branch, prefix, decode, files, keys),
            lambda fixed: self._at_commit(fixed, prefix, decode, files),
        )

    def find(self, resolved: Resolved, paths: Sequence[str]) -> tuple[Entry | None, ...]:
        """Return the entries at paths, None where there is none, of one moment."""

        def at_branch(branch: BranchId) -> tuple[Entry | None, ...]:
            state, (values, _) = self._states.read(
                resolved.repository.id, branch, lambda seen: (_file_keys(seen, paths), ())
            )
            return self._files(state, resolved, paths, values)

        def at_commit(fixed: Resolved) -> tuple[Entry | None, ...]:
            namespace = fixed.repository.namespace
            return tuple(self._committed.get_many(namespace, fixed.metarange, paths))

        return self._resolver.on_branch(resolved, at_branch, at_commit)

    def _at_commit(
        self, fixed: Resolved, prefix: str, decode: Decode[V], files: Sequence[str]
    ) -> Subtree[V]:
        head = self._head(fixed.repository, fixed.metarange, prefix, decode)
        items = cast("Mapping[str, V]", head)
        found = self._committed.get_many(fixed.repository.namespace, fixed.metarange, files)
        return Subtree(fixed.repository, None, fixed.metarange, items, tuple(found))

    def _at_branch(
        self,
        resolved: Resolved,
        branch: BranchId,
        prefix: str,
        decode: Decode[V],
        files: Sequence[str],
        keys: Callable[[BranchState], Sequence[bytes]],
    ) -> Subtree[V]:
        def want(seen: BranchState) -> Wanted:
            scan = _scan(seen.record.token, prefix, b"")
            return [*keys(seen), *_file_keys(seen, files)], [scan]

        repository_id = resolved.repository.id
        for _ in range(limits.COMMIT_REBUILDS_MAX):
            state, (values, scans) = self._states.read(repository_id, branch, want)
            record = state.record
            rows: Sequence[Row] | None = scans[0]
            if len(scans[0]) == limits.SUBTREE_OPEN_ROWS_MAX:
                if (
                    len(record.sealed) < limits.SEALED_TOKENS_MAX
                    and not state.repository.is_read_only
                ):
                    # Sealed rows are read once; these would be by each call.
                    self._staging.seal(repository_id, branch)
                    continue
                rows = self._all_rows(state, prefix, scans[0], keys(state), values)
            if rows is None:
                continue
            asked = len(values) - len(files) * len(record.tokens)
            metarange = MetarangeId("") if resolved.is_staging_only else record.metarange
            return Subtree(
                state.repository,
                state,
                metarange,
                self._items(state, metarange, prefix, decode, rows),
                self._files(state, resolved, files, values[asked:]),
                values[:asked],
            )
        raise Unavailable(Kind.BUSY, f"branch {branch!r} is changing too quickly, try again")

    def _all_rows(
        self,
        state: BranchState,
        prefix: str,
        first: Sequence[Row],
        keys: Sequence[bytes],
        values: Sequence[Versioned | None],
    ) -> list[Row] | None:
        """Return all rows of the open token, None when the branch or a key changed meanwhile."""
        rows = list(first)
        guards = [keyspace.branch(state.repository.incarnation, state.branch), *keys]
        seen = [state.version, *(value and value.version for value in values[: len(keys)])]
        while True:
            scan = _scan(state.record.token, prefix, rows[-1].key)
            found = self._kv.read(guards, [scan])
            if [value and value.version for value in found.values] != seen:
                return None
            rows += found.scans[0]
            if len(found.scans[0]) < limits.SUBTREE_OPEN_ROWS_MAX:
                return rows

    def _items(
        self,
        state: BranchState,
        metarange: MetarangeId,
        prefix: str,
        decode: Decode[V],
        rows: Sequence[Row],
    ) -> Mapping[str, V]:
        record = state.record
        fixed = (metarange, state.sealed_tokens)
        # A version belongs to one write of one row or of several together; of these none that was
        # deleted comes back. So equal versions are equal rows.
        versions = tuple(row.version for row in rows)
        key = (state.repository.incarnation, state.branch, prefix)
        kept = self._branches.get(key)
        if (
            kept is not None
            and kept.fixed == fixed
            and kept.token == record.token
            and kept.versions == versions
        ):
            return cast("Mapping[str, V]", kept.items)
        repository = state.repository
        items = self._fixed_items(repository, fixed, prefix, decode)
        if rows:
            items = dict(items)
            cut = len(keyspace.staging(record.token))
            for row in rows:
                path = row.key[cut:].decode()
                entry = decode_entry(row.value)
                if entry is None:
                    items.pop(path, None)
                else:
                    items[path] = decode(repository, path, entry)
        self._branches.keep(key, _Kept(fixed, record.token, versions, items), 1 + len(items))
        return cast("Mapping[str, V]", items)

    def _fixed_items(
        self, repository: Repository, fixed: _Fixed, prefix: str, decode: Decode[V]
    ) -> dict[str, object]:
        metarange, sealed = fixed
        if not sealed:
            return self._head(repository, metarange, prefix, decode)
        key = (repository.incarnation, prefix, fixed)
        known = self._fixed.get(key)
        if known is not None:
            return known
        # Without the newest token it was probably asked for before.
        below = self._fixed_items(repository, (metarange, sealed[1:]), prefix, decode)
        items = dict(below)
        for path, item in self._sealed_items(repository, sealed[0], prefix, decode).items():
            if item is None:
                items.pop(path, None)
            else:
                items[path] = item
        self._fixed.keep(key, items, len(items))
        return items

    def _sealed_items(
        self, repository: Repository, token: Token, prefix: str, decode: Decode[V]
    ) -> dict[str, object | None]:
        known = self._sealed.get((token, prefix))
        if known is not None:
            return known
        items: dict[str, object | None] = {}
        for paths, values in self._staging.rows([token], prefix=prefix):
            for path, value in zip(paths, values, strict=True):
                name = path.decode()
                entry = decode_entry(value)
                items[name] = None if entry is None else decode(repository, name, entry)
        self._sealed.keep((token, prefix), items, 1 + len(items))
        return items

    def _head(
        self, repository: Repository, metarange: MetarangeId, prefix: str, decode: Decode[V]
    ) -> dict[str, object]:
        key = (repository.incarnation, prefix)
        known = self._heads.get(key) or {}
        found = known.get(metarange)
        if found is not None:
            return found
        namespace = repository.namespace
        items: dict[str, object] = {}
        if known and metarange:
            # From another commit's, by what differs: equal ranges are not looked at. Content alone
            # decides there, so a row written again with equal content keeps its former address,
            # whose bytes are equal.
            last, items_before = next(reversed(known.items()))
            items = dict(items_before)
            for batch in self._committed.diff(namespace, last, metarange, prefix=prefix):
                kinds = batch.column("kind").to_pylist()
                for kind, (path, entry) in zip(kinds, entries_of(batch), strict=True):
                    if kind == KIND_REMOVED:
                        items.pop(path, None)
                    else:
                        items[path] = decode(repository, path, entry)
        else:
            for batch in self._committed.scan(namespace, metarange, prefix=prefix):
                for path, entry in entries_of(batch):
                    items[path] = decode(repository, path, entry)
        heads = dict(list(known.items())[1 - limits.SUBTREE_HEADS_KEPT :])
        heads[metarange] = items
        self._heads.keep(key, heads, sum(map(len, heads.values())))
        return items

    def _files(
        self,
        state: BranchState,
        resolved: Resolved,
        paths: Sequence[str],
        values: Sequence[Versioned | None],
    ) -> tuple[Entry | None, ...]:
        tokens = len(state.record.tokens)
        found: list[Entry | None] = []
        asked: list[int] = []
        for index in range(len(paths)):
            rows = values[index * tokens : (index + 1) * tokens]
            row = next((row for row in rows if row is not None), None)
            found.append(None if row is None else decode_entry(row.value))
            if row is None:
                asked.append(index)
        if asked and not resolved.is_staging_only:
            head = self._committed.get_many(
                state.repository.namespace,
                state.record.metarange,
                [paths[index] for index in asked],
            )
            for index, entry in zip(asked, head, strict=True):
                found[index] = entry
        return tuple(found)


K = TypeVar("K")
W = TypeVar("W")


class _Cache(Generic[K, W]):
    """What was used last, at most SUBTREE_ROWS_CACHED_MAX rows of it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[K, tuple[W, int]] = OrderedDict()
        self._rows = 0

    def get(self, key: K) -> W | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: K, value: W, rows: int) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            self._rows += rows - (before[1] if before is not None else 0)
            self._kept[key] = (value, rows)
            while self._rows > limits.SUBTREE_ROWS_CACHED_MAX and len(self._kept) > 1:
                _, (_, gone) = self._kept.popitem(last=False)
                self._rows -= gone


def _file_keys(state: BranchState, paths: Sequence[str]) -> list[bytes]:
    return [keyspace.staged(token, path) for path in paths for token in state.record.tokens]


def _scan(token: Token, prefix: str, after: bytes) -> Scan:
    first = keyspace.staging(token) + prefix.encode()
    start = after + b"\x00" if after else first
    return Scan(start, key_after_prefix(first), limits.SUBTREE_OPEN_ROWS_MAX)
