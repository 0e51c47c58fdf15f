"""Rows that somebody else judges, taken out of a merge's changes and put back in order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.arrow import compute
from anabranch.kernel.ranges import CHANGE_SCHEMA, NO_ENTRIES
from anabranch.lake.values import MergeConflict
from anabranch.native.ranges import Entries


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of owned paths: rows to lay over dest, tombstones among them, or conflicts."""

    rows: Entries = NO_ENTRIES
    conflicts: tuple[MergeConflict, ...] = ()


class Judge(Protocol):
    """Judges some of the paths of one merge."""

    def owns(self, paths: pa.Array) -> pa.Array:
        """Return for each path whether it is judged here."""
        ...

    def judge(self, touched: list[str]) -> Judged:
        """Judge the merge, whose source changed the given paths."""
        ...


@dataclass(slots=True)
class Survey:
    """What a walk over a merge's sides found.

    `parts` are the changes nobody owns, None when there were more than may be held; `conflicts`
    those of paths nobody owns, `touched` the owned paths.
    """

    judge: Judge | None
    conflicts_max: int
    parts: list[Entries] | None = field(default_factory=list)
    conflicts: list[pa.RecordBatch] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    _rows: int = 0
    _conflict_rows: int = 0

    @property
    def has_conflicts(self) -> bool:
        """Tell whether a path conflicts."""
        return self._conflict_rows > 0

    @property
    def is_enough(self) -> bool:
        """Tell whether more conflicts were found than anybody wants to see."""
        return self._conflict_rows > self.conflicts_max

    def take(self, part: Entries, conflicts: pa.RecordBatch) -> None:
        """Add a piece of the walk."""
        part = self.unowned(part)
        if self.judge is not None and len(conflicts):
            mask = self.judge.owns(conflicts.column("path"))
            if mask.true_count:
                self.touched += conflicts.column("path").filter(mask).to_pylist()
                conflicts = conflicts.filter(compute().invert(mask))
        if len(conflicts):
            self.conflicts.append(conflicts)
            self._conflict_rows += len(conflicts)
        self._rows += len(part)
        if self.has_conflicts or self._rows > limits.MERGE_ROWS_MAX:
            self.parts = None
        if self.parts is not None:
            self.parts.append(part)

    def touch(self, conflicts: pa.RecordBatch) -> None:
        """Note the owned paths of conflicts that a strategy has settled."""
        if self.judge is not None and len(conflicts):
            mask = self.judge.owns(conflicts.column("path"))
            if mask.true_count:
                self.touched += conflicts.column("path").filter(mask).to_pylist()

    def unowned(self, part: Entries) -> Entries:
        """Return the rows of a piece that nobody owns; note the paths of the others."""
        if self.judge is None or not len(part):
            return part
        batch = pa.record_batch(part)
        mask = self.judge.owns(batch.column("path"))
        if not mask.true_count:
            return part
        self.touched += batch.column("path").filter(mask).to_pylist()
        rest = batch.filter(compute().invert(mask))
        return Entries.from_arrow(rest) if len(rest) else NO_ENTRIES


def weave(parts: Iterator[Entries], owned: Entries) -> Iterator[Entries]:
    """Yield both in order of path; no path is in both."""
    start = 0
    for part in parts:
        if not len(part):
            continue
        stop = owned.lower_bound(part.path(len(part) - 1), start)
        yield part if stop == start else _together(part, owned.slice(start, stop))
        start = stop
    if start < len(owned):
        yield owned.slice(start, len(owned))


def _together(left: Entries, right: Entries) -> Entries:
    table = pa.Table.from_batches([_changes(left), _changes(right)]).sort_by("path")
    (batch,) = table.combine_chunks().to_batches()
    return Entries.from_arrow(batch)


def _changes(rows: Entries) -> pa.RecordBatch:
    batch = pa.record_batch(rows)
    if batch.num_columns < len(CHANGE_SCHEMA):
        batch = batch.append_column(
            CHANGE_SCHEMA.field("is_tombstone"), pa.array([False] * len(batch), pa.bool_())
        )
    return pa.RecordBatch.from_arrays(
        [column.cast(one.type) for column, one in zip(batch.columns, CHANGE_SCHEMA, strict=True)],
        schema=CHANGE_SCHEMA,
    )
