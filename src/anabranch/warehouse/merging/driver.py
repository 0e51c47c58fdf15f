"""The driver of merges: databases, tables, labels and rows instead of paths and bytes.

What needs no rows is judged here, without an engine; the rest is asked of whoever has one, and a
merge that cannot ask is refused (docs/sql/merging.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Conflict, Corrupted, Kind
from anabranch.kernel.ids import Address
from anabranch.lake import Lake, records
from anabranch.lake import keyspace as lake_keyspace
from anabranch.lake.comparing import Strategy
from anabranch.lake.drivers import DriverPlan, MergeSides
from anabranch.lake.states import States
from anabranch.lake.values import BranchState, Repository, full_address, relative_address
from anabranch.storage.kv.base import is_as_seen, is_version, put
from anabranch.warehouse import keyspace
from anabranch.warehouse.catalog.databases import JSON
from anabranch.warehouse.catalog.labels import decode_label
from anabranch.warehouse.catalog.publishing import PARQUET
from anabranch.warehouse.merging.on_demand import owned
from anabranch.warehouse.merging.questions import RowAnswer, RowJudge, RowQuestion, WrittenRowset
from anabranch.warehouse.merging.sides import Outcome, Sides, Triple, same
from anabranch.warehouse.merging.tables import TableMerge
from anabranch.warehouse.places import DATABASE_FILE, LABELS, ROWSETS, SCHEMA_FILE
from anabranch.warehouse.rowsets.footers import open_rowset
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    Footer,
    Header,
    RowsetName,
    decode_header,
    encode_header,
    parse_rowset_path,
)


@dataclass(slots=True)
class _Database:
    """The paths of one database that source touched."""

    own: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)


def plan_merge(
    lake: Lake, judge: RowJudge, sides: MergeSides, strategy: Strategy | None
) -> DriverPlan:
    """Judge a merge. Conflicts name a path, and what is in it after a `#`."""
    outcome = Outcome(strategy)
    at = Sides(lake, sides)
    files = _Files(lake, judge, sides.repository)
    databases = _by_database(sides.touched)
    guard = None if sides.branch is None else _Guard(lake, sides, databases)
    for name, database in databases.items():
        _DatabaseMerge(lake, at, files, outcome, name).run(database)
    if guard is not None and not outcome.conflicts:
        guard.add_to(outcome)
    return outcome.plan()


@dataclass(slots=True)
class _DatabaseMerge:
    """One database in a merge."""

    lake: Lake
    sides: Sides
    files: _Files
    outcome: Outcome
    name: str

    def run(self, found: _Database) -> None:
        """Judge what source touched in it."""
        file_path = f"{self.name}/{DATABASE_FILE}"
        schemas = {f"{self.name}/{table}/{SCHEMA_FILE}": table for table in found.tables}
        triples = self.sides.triples([file_path, *schemas])
        file = triples.pop(file_path)
        plain: list[str] = []
        if not file.is_anywhere:
            plain = [*found.labels, *(path for some in found.tables.values() for path in some)]
            self.outcome.merge_plainly(self.sides.triples(plain).items())
            return
        left_out = self._judge_labels(found.labels)
        self._judge_file(file_path, file)
        for path, table in schemas.items():
            touched = found.tables[table]
            if not triples[path].is_anywhere:
                plain += touched
                continue
            prefix = f"{self.name}/{table}/"
            mine = [one for one in left_out if one.startswith(prefix)]
            TableMerge(self.sides, self.files, self.outcome, prefix, triples[path], mine).run(
                touched
            )
        self.outcome.merge_plainly(self.sides.triples(plain).items())
        self._judge_orphans(file_path, file)

    def _judge_file(self, path: str, file: Triple) -> None:
        """Merge `_database.json`: dest's stays where both sides made the database."""
        if file.is_conflict and file.base is None:
            return
        self.outcome.merge_plainly([(path, file)])

    def _judge_labels(self, paths: Sequence[str]) -> list[str]:
        """Merge labels; return the rowsets of the side that lost one, which are left out."""
        left_out: list[str] = []
        for path, triple in self.sides.triples(paths).items():
            if not triple.is_conflict:
                self.outcome.merge_plainly([(path, triple)])
            elif triple.source is None or triple.dest is None:
                # One side deleted it as expired, the other used it anew.
                self.outcome.take(path, triple.source or triple.dest, triple.dest)
            elif self.outcome.strategy is None:
                self.outcome.refuse(path, triple.conflict_kind)
            else:
                is_source = self.outcome.strategy == "source-wins"
                loser = triple.dest if is_source else triple.source
                rowsets = self._added_under(path, loser)
                left_out += rowsets
                if is_source:
                    self.outcome.take(path, triple.source, triple.dest)
                    for one, seen in self.sides.triples(rowsets).items():
                        if seen.base is None:
                            self.outcome.take(one, None, seen.dest)
        return left_out

    def _added_under(self, path: str, loser: Entry) -> list[str]:
        label = path.rpartition("/")[2]
        listed = decode_label(self.sides.read(loser), label, path).rowsets
        paths = [f"{self.name}/{one}" for one in listed]
        return [one for one, seen in self.sides.triples(paths).items() if seen.base is None]

    def _judge_orphans(self, path: str, file: Triple) -> None:
        """Refuse a database that is gone while tables of it are there."""
        stays = path in self.outcome.puts or (
            file.dest is not None and path not in self.outcome.deletes
        )
        if stays:
            return
        tables = set(self._tables_left())
        if not tables:
            return
        is_by_source = file.source is None and file.dest is not None
        kind = "source_removed" if is_by_source else "dest_removed"
        if self.outcome.strategy is None:
            self.outcome.refuse(path, kind)
        elif (self.outcome.strategy == "source-wins") is is_by_source:
            # The side that dropped the database has its way.
            for one in [each for each in self.outcome.puts if each.startswith(f"{self.name}/")]:
                self.outcome.leave(one)
            dest = self.sides.under("dest", f"{self.name}/")
            are_owned = owned(pa.array(list(dest), pa.string()))
            for (one, entry), is_owned in zip(dest.items(), are_owned.to_pylist(), strict=True):
                if is_owned:
                    self.outcome.take(one, None, entry)
        else:
            self.outcome.take(path, file.source if file.dest is None else file.dest, file.dest)

    def _tables_left(self) -> Iterable[str]:
        prefix = f"{self.name}/"
        names = self.sides.names("dest", prefix)
        paths = [f"{prefix}{name}/{SCHEMA_FILE}" for name in names]
        for path, triple in self.sides.triples(paths).items():
            if triple.dest is not None and path not in self.outcome.deletes:
                yield path
        for path in self.outcome.puts:
            if path.startswith(prefix) and path.endswith(f"/{SCHEMA_FILE}"):
                yield path


@dataclass(slots=True)
class _Files:
    """Rowsets' files, the judge of rows, and new files, for one merge: `TableFiles`."""

    lake: Lake
    judge: RowJudge
    repository: Repository

    def footer(self, path: str, entry: Entry) -> Footer:
        """Return what a rowset's file says of itself."""
        block = self.lake.blocks.get(full_address(self.repository, entry))
        return open_rowset(path, self.lake.blocks.local_path(block)).footer

    def header(self, path: str, entry: Entry) -> Header:
        """Return a rowset's header; raise Corrupted for what is none."""
        text = dict(entry.metadata).get(METADATA_NAME)
        header = None if text is None else decode_header(text, path)
        return self.footer(path, entry).header if header is None else header

    def ask(self, question: RowQuestion) -> RowAnswer:
        """Have rows judged."""
        return self.judge.judge(question)

    def put_schema(self, outcome: Outcome, path: str, data: bytes, dest: Entry) -> None:
        """Write a merged schema and put it."""
        # A file of its own is durable before the merge is published.
        body = self.lake.bodies.open(self.repository, own_file=True)
        body.write(data)
        body.finish()
        outcome.writes += body.place().writes
        outcome.take(path, self._entry(body.address, body.etag, body.size_bytes, JSON), dest)

    def put_rowset(
        self, outcome: Outcome, table: str, made: WrittenRowset, above: Iterable[str]
    ) -> None:
        """Put a rowset whose sequence is above those of all given paths."""
        now_us = self.lake.kv.now_us()
        sequence = max((_sequence(path, now_us) for path in above), default=0)
        name = RowsetName(max(sequence, now_us) + 1, made.id)
        placed = self.lake.blocks.join(made.address, made.extents, etag=made.etag)
        outcome.writes += placed.writes
        entry = self._entry(made.address, made.etag, made.size_bytes, PARQUET)
        metadata = ((METADATA_NAME, encode_header(made.header)),)
        path = f"{table}{ROWSETS}/{made.partition}/{name}.parquet"
        outcome.take(path, replace(entry, metadata=metadata, identity=b""), None)

    def _entry(self, address: str, etag: str, size_bytes: int, content_type: str) -> Entry:
        relative = Address(relative_address(self.repository.namespace, address))
        now_us = self.lake.clock.now_ns() // 1_000
        return Entry(relative, etag, size_bytes, now_us, content_type)


class _Guard:
    """What keeps the tables of a merge as it saw them: nobody loads or alters them meanwhile.

    Loads that come while a merge is made go into the branch's staging, unseen by it. Made before
    anything is read.
    """

    def __init__(self, lake: Lake, sides: MergeSides, databases: Mapping[str, _Database]) -> None:
        assert sides.branch is not None
        self._lake = lake
        state = States(lake.kv).fresh(sides.repository.id, sides.branch)
        self._state = state
        self._prefixes = [
            f"{name}/{table}/" for name, found in databases.items() for table in found.tables
        ]
        self._paths = [f"{name}/{DATABASE_FILE}" for name in databases]
        self._paths += [prefix + SCHEMA_FILE for prefix in self._prefixes]
        token = state.record.token
        keys = [self._sequence_key(state, prefix) for prefix in self._prefixes]
        staged = [lake_keyspace.staged(token, path) for path in self._paths]
        rows = lake.kv.read([*keys, *staged]).values
        self._rows = dict(zip(keys, rows[: len(keys)], strict=True))
        self._staged = dict(zip(staged, rows[len(keys) :], strict=True))
        self._refuse_staged(sides)

    def add_to(self, outcome: Outcome) -> None:
        """Add the conditions, and move the last sequences of the tables."""
        state = self._state
        branch_key = lake_keyspace.branch(state.repository.incarnation, state.branch)
        outcome.conditions.append(is_version(branch_key, state.version))
        outcome.conditions += [is_as_seen(key, row) for key, row in self._staged.items()]
        now_us = self._lake.kv.now_us()
        for prefix in self._prefixes:
            key = self._sequence_key(state, prefix)
            row = self._rows[key]
            outcome.conditions.append(is_as_seen(key, row))
            if row is None:
                continue  # Then what lies there is listed by the next load.
            last, known = records.decode_record(row.value, tuple[int, str])
            start = f"{prefix}{ROWSETS}/"
            added = [_sequence(path, now_us) for path in outcome.puts if path.startswith(start)]
            outcome.writes.append(put(key, records.encode_record((max([last, *added]), known))))

    def _refuse_staged(self, sides: MergeSides) -> None:
        namespace = sides.repository.namespace
        for prefix in self._prefixes:
            staged: dict[str, Entry | None] = {}
            for token in reversed(self._state.record.tokens):
                staged.update(self._lake.changes.staged_under(token, prefix))
            paths = list(staged)
            committed = sides.committed.get_many(namespace, sides.dest, paths)
            for path, entry in zip(paths, committed, strict=True):
                if not same(staged[path], entry):
                    raise Conflict(
                        Kind.DIRTY_BRANCH, f"{prefix} was changed while it was merged: commit first"
                    )

    def _sequence_key(self, state: BranchState, prefix: str) -> bytes:
        return keyspace.sequence(state.repository.incarnation, state.branch, prefix)


def _by_database(touched: Sequence[str]) -> dict[str, _Database]:
    found: dict[str, _Database] = {}
    for path in touched:
        name, _, rest = path.partition("/")
        database = found.setdefault(name, _Database())
        first, _, _ = rest.partition("/")
        if rest == DATABASE_FILE:
            database.own.append(path)
        elif first == LABELS:
            database.labels.append(path)
        else:
            database.tables.setdefault(first, []).append(path)
    return found


def _sequence(path: str, now_us: int) -> int:
    """Return a rowset's sequence, 0 for what is none."""
    try:
        return parse_rowset_path(path, now_us=now_us)[1].sequence
    except Corrupted:
        return 0
