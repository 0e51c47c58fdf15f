"""One table in a merge: a set of rowsets and a schema, each merged by what it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Corrupted
from anabranch.warehouse.merging.keys import ChangedRowset, has_row_conflicts, overlapping
from anabranch.warehouse.merging.questions import RowAnswer, RowQuestion, WrittenRowset
from anabranch.warehouse.merging.sides import Outcome, Side, Sides, Steps, Triple, same
from anabranch.warehouse.places import OVERWRITES, ROWSETS, SCHEMA_FILE
from anabranch.warehouse.rowsets.rowset import Footer, Header
from anabranch.warehouse.schema import (
    UNPARTITIONED,
    DroppedColumn,
    DroppedPartition,
    Table,
    decode_table,
    encode_table,
)
from anabranch.warehouse.schemas.merge import MergedSchema, merge_schemas

_BY_VALUE = "changed on both sides"
"""Why a value conflicts that either side's can stand for; other reasons want one side's whole."""


class TableFiles(Protocol):
    """What a table's merge needs besides the sides."""

    def footer(self, path: str, entry: Entry) -> Footer:
        """Return what a rowset's file says of itself."""
        ...

    def header(self, path: str, entry: Entry) -> Header:
        """Return a rowset's header; raise Corrupted for what is none."""
        ...

    def ask(self, question: RowQuestion) -> RowAnswer:
        """Have rows judged."""
        ...

    def put_schema(self, outcome: Outcome, path: str, data: bytes, dest: Entry) -> None:
        """Write a merged schema and put it."""
        ...

    def put_rowset(
        self, outcome: Outcome, table: str, made: WrittenRowset, above: Iterable[str]
    ) -> None:
        """Put a rowset whose sequence is above those of all given paths."""
        ...


@dataclass(slots=True)
class TableMerge:
    """Merges what lies under a table's prefix; `left_out` are rowsets that labels decided on."""

    sides: Sides
    files: TableFiles
    outcome: Outcome
    prefix: str
    triple: Triple
    left_out: Collection[str]
    dropped: dict[str, None] = field(default_factory=dict)
    source_steps: Steps = field(default_factory=dict)
    dest_steps: Steps = field(default_factory=dict)

    @property
    def schema_path(self) -> str:
        """Return the path of the schema."""
        return self.prefix + SCHEMA_FILE

    def run(self, touched: Sequence[str]) -> None:
        """Judge the paths that source changed."""
        steps = self.sides.steps("dest", self.prefix)
        self.dest_steps = {path: one for path, one in steps.items() if self._is_owned(path)}
        if not self.dest_steps and not self.left_out:
            # Dest is as the base was: what source has is right.
            triples = self.sides.triples(touched)
            self.outcome.merge_plainly(triples.items())
            return
        steps = self.sides.steps("source", self.prefix)
        self.source_steps = {path: one for path, one in steps.items() if self._is_owned(path)}
        triple = self.triple
        if triple.source is None or triple.dest is None:
            self._run_without(touched)
            return
        try:
            tables = [
                None if one is None else decode_table(self.sides.read(one))
                for one in (triple.base, triple.source, triple.dest)
            ]
        except Corrupted:
            self._choose(triple.conflict_kind)
            return
        base, source, dest = tables
        assert source is not None
        assert dest is not None
        if source.id != dest.id:
            if base is not None and base.id == dest.id:
                self._choose("source_removed")
            else:
                replaced = base is not None and base.id == source.id
                self._choose("dest_removed" if replaced else triple.conflict_kind)
            return
        self._merge_sets(base, source, dest)

    def _run_without(self, touched: Sequence[str]) -> None:
        """Judge a table that is not, or no longer, on both sides."""
        triple = self.triple
        if triple.source is None and triple.dest is None:
            return
        if triple.base is None:
            # Made on one side; what the other has there is no table.
            self.outcome.merge_plainly(self.sides.triples(touched).items())
            return
        other = self.dest_steps if triple.source is None else self.source_steps
        if other:
            self._choose(triple.conflict_kind)

    def _choose(self, kind: str) -> None:
        """Take one side's table whole, as the strategy says, or refuse."""
        if self.outcome.strategy is None:
            self.outcome.refuse(self.schema_path, kind)
        elif self.outcome.strategy == "source-wins":
            source = self.sides.under("source", self.prefix)
            dest = self.sides.under("dest", self.prefix)
            for path in filter(self._is_owned, source.keys() | dest.keys()):
                self.outcome.take(path, source.get(path), dest.get(path))

    def _merge_sets(self, base: Table | None, source: Table, dest: Table) -> None:
        outcome = self.outcome
        refused = len(outcome.conflicts)
        self.dropped |= dict.fromkeys(path for path in self.left_out if self._is_owned(path))
        self._judge_overwrites()
        whole = self._judge_dropped_partitions(base, source, dest)
        merged, whole = self._merge_schema(base, source, dest, whole)
        undone = self._undone(base, source, dest, merged, whole)
        for path, step in self.source_steps.items():
            if self._part(path) != ROWSETS or path in undone:
                continue
            if step.before is not None and step.now is not None:
                outcome.merge_plainly(self.sides.triples([path]).items())
            elif step.now is None:
                here = self.dest_steps.get(path)
                outcome.take(path, None, step.before if here is None else here.now)
            elif path not in self.dropped:
                here = self.dest_steps.get(path)
                outcome.take(path, step.now, None if here is None else here.now)
        for path in self.dropped:
            here = self.dest_steps.get(path)
            if here is not None and here.now is not None:
                outcome.take(path, None, here.now)
        if len(outcome.conflicts) == refused and has_row_conflicts(merged):
            self._judge_rows(merged)

    def _judge_overwrites(self) -> None:
        """Merge the marks of partitions that were emptied: both sides' rows never stand."""
        for path, step in self.source_steps.items():
            if self._part(path) != OVERWRITES:
                continue
            here = self.dest_steps.get(path)
            if here is None:
                self.outcome.take(path, step.now, step.before)
            elif not same(step.now, here.now):
                partition = path.rpartition("/")[2]
                if self.outcome.strategy is None:
                    self.outcome.refuse(path, Triple(step.before, step.now, here.now).conflict_kind)
                elif self.outcome.strategy == "source-wins":
                    self.outcome.take(path, step.now, here.now)
                    self._drop_added(self.dest_steps, partition)
                else:
                    self._drop_added(self.source_steps, partition)

    def _drop_added(self, steps: Steps, partition: str) -> None:
        for path, step in steps.items():
            is_added = step.before is None and step.now is not None
            if is_added and self._part(path) == ROWSETS and _partition(path) == partition:
                self.dropped[path] = None

    def _judge_dropped_partitions(
        self, base: Table | None, source: Table, dest: Table
    ) -> Side | None:
        """Judge partitions that one side dropped and the other added rows to.

        Returns the side whose schema must then be taken whole.
        """
        whole: Side | None = None
        sides = (
            ("source", source, dest, self.dest_steps),
            ("dest", dest, source, self.source_steps),
        )
        for name, dropper, keeper, steps in sides:
            for partition in sorted(
                (_partitions(base) & _partitions(keeper)) - _partitions(dropper)
            ):
                if not self._has_added(steps, partition):
                    continue
                shown = _partition_name(keeper, partition)
                if self.outcome.strategy is None:
                    what = "dropped on one side, rows added on the other"
                    self.outcome.refuse(
                        f"{self.schema_path}#partition {shown}: {what}", f"{name}_removed"
                    )
                elif self.outcome.strategy == f"{name}-wins":
                    self._drop_added(steps, partition)
                else:
                    whole = "dest" if name == "source" else "source"
        return whole

    def _has_added(self, steps: Steps, partition: str) -> bool:
        return any(
            step.before is None and self._part(path) == ROWSETS and _partition(path) == partition
            for path, step in steps.items()
            if path not in self.dropped
        )

    def _merge_schema(
        self, base: Table | None, source: Table, dest: Table, whole: Side | None
    ) -> tuple[Table, Side | None]:
        """Merge the schemas; return the result, and the side that was taken whole if one was."""
        outcome, triple = self.outcome, self.triple
        assert triple.dest is not None
        if base in (source, dest):
            # One side left it alone: what the other made of it stands, a revert's too.
            mine = MergedSchema(source if base == dest else dest)
        else:
            mine = merge_schemas(base, dest, source)
        if mine.conflicts and outcome.strategy is None:
            for one in mine.conflicts:
                outcome.refuse(f"{self.schema_path}#{one}", triple.conflict_kind)
            return mine.table, None
        merged = mine.table
        if mine.conflicts and outcome.strategy == "source-wins":
            # Seen from the other side, its values stand where both changed them.
            merged = merge_schemas(base, source, dest).table
        if any(one.why != _BY_VALUE for one in mine.conflicts):
            whole = "source" if outcome.strategy == "source-wins" else "dest"
        if whole is not None:
            taken, other = (source, dest) if whole == "source" else (dest, source)
            merged = _remembering(taken, other)
        if merged == source:
            outcome.take(self.schema_path, triple.source, triple.dest)
        elif merged != dest:
            data = encode_table(merged)
            self.files.put_schema(outcome, self.schema_path, data, triple.dest)
        return merged, whole

    def _undone(
        self, base: Table | None, source: Table, dest: Table, merged: Table, whole: Side | None
    ) -> set[str]:
        """Put right what a schema taken whole says of partitions; return what source did in vain.

        Rows of partitions that the schema has not go, those of partitions it has again come back.
        """
        undone: set[str] = set()
        kept = _partitions(merged)
        for path, step in self.source_steps.items():
            if self._part(path) != ROWSETS:
                continue
            if step.now is not None and _partition(path) not in kept and whole is not None:
                undone.add(path)
                self.dropped[path] = None
            elif whole == "dest" and _partition(path) in kept - _partitions(source):
                undone.add(path)
        if whole == "source":
            back = (kept & _partitions(base)) - _partitions(dest)
            for path, step in self.dest_steps.items():
                if self._part(path) == ROWSETS and step.now is None and _partition(path) in back:
                    mine = self.source_steps.get(path)
                    now = step.before if mine is None else mine.now
                    self.outcome.take(path, now, None)
            for path, entry in self.sides.under("dest", f"{self.prefix}{ROWSETS}/").items():
                if _partition(path) not in kept:
                    self.dropped[path] = None
                    self.outcome.take(path, None, entry)
        return undone

    def _judge_rows(self, merged: Table) -> None:
        """Judge rows that both sides wrote, in place where keys or columns are others."""
        entries: dict[str, Entry] = {}
        changed = [self._changed(steps, entries) for steps in (self.source_steps, self.dest_steps)]

        def open_footer(path: str) -> Footer:
            return self.files.footer(path, entries[path])

        meeting = overlapping(merged, changed[0], changed[1], open_footer)
        if not meeting:
            return
        sides, outcome = self.sides.merge, self.outcome
        answer = self.files.ask(
            RowQuestion(
                sides.repository.id,
                sides.base,
                sides.source,
                sides.dest,
                self.prefix,
                encode_table(merged).decode(),
                meeting,
                tuple(self.dropped),
                outcome.strategy,
                sides.branch is not None,
            )
        )
        for path, kind in answer.conflicts:
            outcome.refuse(path, kind)
        if answer.rowsets:
            prefix = f"{self.prefix}{ROWSETS}/"
            above = [*self.sides.under("dest", prefix), *self.sides.under("source", prefix)]
            for made in answer.rowsets:
                self.files.put_rowset(outcome, self.prefix, made, above)

    def _changed(self, steps: Steps, entries: dict[str, Entry]) -> list[ChangedRowset]:
        found: list[ChangedRowset] = []
        for path, step in steps.items():
            entry = step.now or step.before
            if self._part(path) != ROWSETS or path in self.dropped or entry is None:
                continue
            if path in self.source_steps and path in self.dest_steps and self._is_equal(path):
                continue
            entries[path] = entry
            header = self.files.header(path, entry)
            found.append(ChangedRowset(path, _partition(path), header, step.now is not None))
        return found

    def _is_equal(self, path: str) -> bool:
        """Tell whether both sides did the same to a path."""
        return same(self.source_steps[path].now, self.dest_steps[path].now)

    def _part(self, path: str) -> str:
        return path[len(self.prefix) :].partition("/")[0]

    def _is_owned(self, path: str) -> bool:
        return self._part(path) in (SCHEMA_FILE, ROWSETS, OVERWRITES)


def _partition(path: str) -> str:
    return path.rsplit("/", 2)[1]


def _partitions(table: Table | None) -> set[str]:
    if table is None or table.partitioning is None:
        return {UNPARTITIONED}
    return {one.id for one in table.partitioning.partitions}


def _partition_name(table: Table, partition: str) -> str:
    partitions = table.partitioning.partitions if table.partitioning else ()
    return next((one.name for one in partitions if one.id == partition), partition)


def _remembering(taken: Table, other: Table) -> Table:
    """Return a schema that also keeps, as dropped, the ids that only the other one gave."""
    columns = [
        DroppedColumn(column.id, column.name, column.type, column.added_name)
        for column in other.columns
    ]
    columns += other.dropped_columns
    used = set(taken.column_ids) | {column.id for column in taken.dropped_columns}
    more = {one.id: one for one in columns if one.id not in used}
    found = replace(taken, dropped_columns=(*taken.dropped_columns, *more.values()))
    if taken.partitioning is None or other.partitioning is None:
        return found
    have = _partitions(taken) | {one.id for one in taken.partitioning.dropped}
    gone = [
        DroppedPartition(one.id, one.bounds, one.added) for one in other.partitioning.partitions
    ]
    gone += other.partitioning.dropped
    dropped = (*taken.partitioning.dropped, *(one for one in gone if one.id not in have))
    return replace(found, partitioning=replace(taken.partitioning, dropped=dropped))
