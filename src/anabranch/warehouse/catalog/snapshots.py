"""Tables as one moment shows them: schema and rowsets at a ref, and the files to read."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath
from threading import Lock

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import AnabranchError, Corrupted, Kind
from anabranch.kernel.graph import walk
from anabranch.kernel.ids import BranchId, IncarnationId, Ref, TagId
from anabranch.lake import Lake
from anabranch.lake.subtrees import Subtree
from anabranch.lake.values import BranchState, Repository, full_address
from anabranch.warehouse.catalog.sequences import Sequences
from anabranch.warehouse.catalog.tables import Tables
from anabranch.warehouse.errors import (
    doris,
    lake_errors,
    no_such_table,
    unknown_database,
)
from anabranch.warehouse.places import Place, TablePlace
from anabranch.warehouse.rowsets.footers import open_rowset
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    Footer,
    Header,
    Rowset,
    RowsetName,
    decode_header,
    parse_rowset_path,
)
from anabranch.warehouse.schema import Table
from anabranch.warehouse.sql.transforms.catalog import At

OpenFooter = Callable[[str, FilePath], Footer]
"""From a rowset's path, for errors, and its local file to its footer; raises Corrupted."""

_AHEAD_US = 2**62  # a name is judged against the clock by each read, not when it is decoded


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """A table at one moment; rowsets are ordered by (sequence, id).

    `identity` is that of the schema. `last_sequence` moves with each publication on the branch; at
    a commit, where `branch` is None, it is the highest of the rowsets.
    """

    table: TablePlace
    schema: Table
    identity: str
    rowsets: tuple[Rowset, ...]
    last_sequence: int
    repository: Repository
    branch: BranchId | None


@dataclass(frozen=True, slots=True)
class NoRowset:
    """A file among the rowsets that is none: it fails queries as long as it is live."""

    path: str
    why: str


Listed = Rowset | NoRowset


@dataclass(frozen=True, slots=True)
class _Ordered:
    items: Mapping[str, Listed]
    table_id: str
    rowsets: tuple[Rowset, ...]


class Snapshots:
    """Read tables. All raise SqlError; what was read before costs one KV read."""

    def __init__(self, lake: Lake, tables: Tables, open_footer: OpenFooter | None = None) -> None:
        self._lake = lake
        self._tables = tables
        self._sequences = Sequences(lake)
        self._open_footer = _footer_of if open_footer is None else open_footer
        self._lock = Lock()
        self._ordered: OrderedDict[tuple[IncarnationId, str, str], _Ordered] = OrderedDict()
        self._ordered_rows = 0
        self._headers: OrderedDict[str, Header] = OrderedDict()
        self._paths: dict[str, FilePath] = {}

    def read(
        self, place: TablePlace, *, names: Collection[RowsetName] | None = None
    ) -> TableSnapshot:
        """Return a table at a place's ref; raise 1049, 1146.

        With `names` only these rowsets of it. Raises, with the path, for a file among the rowsets
        that is none.
        """
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
            subtree = self._lake.subtrees.read(
                resolved,
                place.rowsets_prefix,
                decode_rowset,
                files=(place.within.file_path, place.schema_path),
                keys=lambda state: [self._sequences.key(state, place)],
            )
            database, entry = subtree.files
            if database is None:
                raise unknown_database(place.database)
            if entry is None:
                raise no_such_table(place.database, place.table)
            stored = self._tables.decode(subtree.repository, entry)
            rowsets = self._order(place, subtree, stored.schema)
            last = rowsets[-1].name.sequence if rowsets else 0
            if last > self._lake.kv.now_us() + limits.ROWSET_AHEAD_US_MAX:
                raise Corrupted(Kind.DATA_FORMAT, f"a rowset of the future: {rowsets[-1].path}")
            state = subtree.state
            if state is not None and subtree.values[0] is not None:
                last = self._sequences.last(state, place, subtree.values[0])
            if names is not None:
                rowsets = tuple(one for one in rowsets if one.name in names)
            return TableSnapshot(
                place,
                stored.schema,
                stored.identity,
                rowsets,
                last,
                subtree.repository,
                None if state is None else state.branch,
            )

    def rowsets_at(self, state: BranchState, place: TablePlace) -> frozenset[str] | None:
        """Return the paths of a table's rowsets at a branch, None when it is no longer so."""
        resolved = self._lake.resolve.resolve(state.repository.id, Ref(state.branch))
        subtree = self._lake.subtrees.read(resolved, place.rowsets_prefix, decode_rowset)
        if subtree.state is None or subtree.state.version != state.version:
            return None
        return frozenset(subtree.items)

    def paths(self, rowsets: Sequence[Rowset]) -> list[FilePath]:
        """Return a local file for each rowset, in their order."""
        with lake_errors():
            return [
                self._paths.get(one.physical_address) or self._path(one.physical_address)
                for one in rowsets
            ]

    def as_of(self, place: Place, at: At) -> Place:
        """Return the place that a table is read at instead: another ref, or a time, in UTC.

        Of a time it is the newest commit of the first-parent line that is not younger.
        """
        with lake_errors():
            if at.kind == "time":
                return replace(place, ref=self._at_time(place, at.value))
            if at.kind == "tag":
                tag = self._lake.tags.get(place.repository, TagId(at.value))
                return replace(place, ref=Ref(tag.commit_id))
            if at.kind == "branch":
                self._lake.branches.get(place.repository, BranchId(at.value))
            return replace(place, ref=Ref(at.value))

    def _at_time(self, place: Place, text: str) -> Ref:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise doris(f"Incorrect DATETIME value: '{text[:100]}'") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        moment_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        repository = self._lake.repositories.get(place.repository)
        head = self._lake.commits.of(place.repository, place.ref)
        load = self._lake.commits.loader(repository)
        for commit in walk(load, [head], first_parent=True):
            if commit.created_us <= moment_us:
                return Ref(commit.id)
        raise doris(f"{place.ref!r} has no commit from {text.strip()} or before")

    def _order(
        self, place: TablePlace, subtree: Subtree[Listed], schema: Table
    ) -> tuple[Rowset, ...]:
        state = subtree.state
        at = subtree.metarange if state is None else f"branch {state.branch}"
        key = (subtree.repository.incarnation, at, place.rowsets_prefix)
        with self._lock:
            known = self._ordered.get(key)
            if known is not None:
                self._ordered.move_to_end(key)
        if known is not None and known.items is subtree.items and known.table_id == schema.id:
            return known.rowsets
        listed: list[Rowset] = []
        for item in subtree.items.values():
            if isinstance(item, NoRowset):
                raise Corrupted(Kind.DATA_FORMAT, item.why)
            listed.append(item)
        # The end of a path is its sequence and id, all of one length.
        found = sorted(listed, key=lambda one: one.path[-_NAME_LENGTH:])
        rowsets = tuple(
            one if one.header is not None else replace(one, header=self._header(one))
            for one in found
        )
        for one in rowsets:
            assert one.header is not None
            if one.header.table_id != schema.id:
                raise Corrupted(Kind.DATA_FORMAT, f"a rowset of another table lies at {one.path}")
        self._keep(key, _Ordered(subtree.items, schema.id, rowsets))
        return rowsets

    def _keep(self, key: tuple[IncarnationId, str, str], ordered: _Ordered) -> None:
        with self._lock:
            before = self._ordered.pop(key, None)
            self._ordered[key] = ordered
            self._ordered_rows += len(ordered.rowsets) - (len(before.rowsets) if before else 0)
            while self._ordered_rows > limits.SUBTREE_ROWS_CACHED_MAX and len(self._ordered) > 1:
                _, gone = self._ordered.popitem(last=False)
                self._ordered_rows -= len(gone.rowsets)

    def _header(self, rowset: Rowset) -> Header:
        with self._lock:
            known = self._headers.get(rowset.physical_address)
        if known is not None:
            return known
        try:
            footer = self._open_footer(rowset.path, self._path(rowset.physical_address))
        except AnabranchError as error:
            if rowset.path in error.message:
                raise
            raise Corrupted(
                Kind.DATA_FORMAT, f"not a rowset: {rowset.path}: {error.message}"
            ) from error
        if footer.partition != rowset.partition:
            raise Corrupted(
                Kind.DATA_FORMAT, f"a rowset of another partition lies at {rowset.path}"
            )
        with self._lock:
            self._headers[rowset.physical_address] = footer.header
            if len(self._headers) > limits.BLOCK_PATHS_CACHED_MAX:
                self._headers.popitem(last=False)
        return footer.header

    def _path(self, address: str) -> FilePath:
        block = self._lake.blocks.get(address)
        path = self._lake.blocks.local_path(block)
        # A file of the object's own stays where it is; a copy may be removed, and is asked for
        # again each time.
        if len(block.extents) == 1 and path.name == block.extents[0].file:
            with self._lock:
                if len(self._paths) >= limits.BLOCK_PATHS_CACHED_MAX:
                    self._paths.clear()
                self._paths[address] = path
        return path


_NAME_LENGTH = len(f"{0:020d}-{0:032x}.parquet")


def decode_rowset(repository: Repository, path: str, entry: Entry) -> Listed:
    """Return the rowset of an entry; the header is None where the entry does not tell it."""
    try:
        partition, name = parse_rowset_path(path, now_us=_AHEAD_US)
        text = dict(entry.metadata).get(METADATA_NAME)
        header = None if text is None else _known_header(text)
    except Corrupted as error:
        why = error.message if path in error.message else f"{error.message}{path}"
        return NoRowset(path, why)
    return Rowset(path, partition, name, header, full_address(repository, entry), entry.size_bytes)


@functools.lru_cache(limits.SCHEMAS_CACHED_MAX)
def _known_header(text: str) -> Header | None:
    # The rowsets of a table have few headers that differ, apart from their row counts.
    return decode_header(text, "")


def _footer_of(path: str, file: FilePath) -> Footer:
    return open_rowset(path, file).footer
