"""Committed entries: lookups, pages, builds, diffs and merges of metaranges.

Everything here works on immutable ranges named by their content, so answers never change and any
number of threads may ask. Rows travel as Arrow batches with the columns of ENTRY_SCHEMA, sorted
by path; changes have the further column `is_tombstone`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.ids import MetarangeId, Namespace
from anabranch.kernel.pages import prefix_end
from anabranch.kernel.ranges import (
    FORMAT_RULE,
    NO_ENTRIES,
    CutRule,
    Interval,
    Metarange,
    RangeRecord,
    entry_at,
    join_intervals,
)
from anabranch.lake import comparing
from anabranch.lake.comparing import Strategy
from anabranch.lake.owned import Judge, Judged, Survey, weave
from anabranch.lake.range_store import RangeStore
from anabranch.lake.rebuilding import Built, Rebuild, build
from anabranch.lake.values import MergeConflict
from anabranch.native.ranges import Entries

__all__ = ["Built", "Committed", "MergeBuilt", "Stats", "Strategy"]

CONFLICT_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("source_kind", pa.int8(), nullable=False),
        pa.field("dest_kind", pa.int8(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Stats:
    """Number of entries and the sum of their sizes."""

    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MergeBuilt:
    """A merge of three metaranges: what was built, or why nothing was.

    `built` is None exactly when there are conflicts; its counts are against dest. `conflicts` has
    the columns of CONFLICT_SCHEMA; `is_complete` tells whether it holds all of them.
    `judged_conflicts` are those of paths that the judge owns.
    """

    built: Built | None
    conflicts: pa.RecordBatch
    judged_conflicts: tuple[MergeConflict, ...]
    is_complete: bool


class Committed:
    """Reads and builds metaranges. `rule` is another than the format's in tests only."""

    def __init__(self, store: RangeStore, *, rule: CutRule = FORMAT_RULE) -> None:
        self._store = store
        self._rule = rule

    def close(self) -> None:
        """End the store's threads."""
        self._store.close()

    # Looking up

    def get(self, namespace: Namespace, metarange: MetarangeId, path: str) -> Entry | None:
        """Return the entry at a path, None when there is none."""
        found = self._store.metarange(namespace, metarange)
        index = found.index_at(path)
        if index == len(found) or found.firsts[index] > path:
            return None
        rows = self._store.range(namespace, found.ids[index])
        row = rows.find(path)
        return None if row is None else entry_at(rows, row)

    def get_many(
        self, namespace: Namespace, metarange: MetarangeId, paths: Sequence[str]
    ) -> list[Entry | None]:
        """Return the entry at each path, None where there is none."""
        found = self._store.metarange(namespace, metarange)
        indexes = [found.index_at(path) for path in paths]
        wanted = sorted(
            {
                index
                for index, path in zip(indexes, paths, strict=True)
                if index < len(found) and found.firsts[index] <= path
            }
        )
        answers: list[Entry | None] = [None] * len(paths)
        asked: dict[int, list[int]] = {}
        for at, index in enumerate(indexes):
            asked.setdefault(index, []).append(at)
        for index, rows in self._store.ahead(namespace, found, wanted):
            for at in asked[index]:
                row = rows.find(paths[at])
                if row is not None:
                    answers[at] = entry_at(rows, row)
        return answers

    def first_at_or_after(
        self, namespace: Namespace, metarange: MetarangeId, path: str
    ) -> tuple[str, Entry] | None:
        """Return the first path that is not below `path`, and its entry."""
        found = self._store.metarange(namespace, metarange)
        index = found.index_at(path)
        if index == len(found):
            return None
        rows = self._store.range(namespace, found.ids[index])
        row = rows.lower_bound(path)
        return rows.path(row), entry_at(rows, row)

    def scan(
        self,
        namespace: Namespace,
        metarange: MetarangeId,
        *,
        prefix: str = "",
        start: str = "",
        after: str = "",
        until: str | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of paths with `prefix`, lazily, one batch for each range.

        From `start` on, after `after`, and below `until`.
        """
        found = self._store.metarange(namespace, metarange)
        within = _interval(prefix, start, after, until)
        for rows in self._slices(namespace, found, within):
            yield pa.record_batch(rows)

    def page(
        self,
        namespace: Namespace,
        metarange: MetarangeId,
        *,
        prefix: str = "",
        start: str = "",
        after: str = "",
        amount: int,
    ) -> Entries:
        """Return the first `amount` rows that `scan` would yield."""
        found = self._store.metarange(namespace, metarange)
        within = _interval(prefix, start, after, None)
        parts: list[Entries] = []
        left = amount
        if left > 0:
            for rows in self._slices(namespace, found, within):
                parts.append(rows.slice(0, min(left, len(rows))))
                left -= len(parts[-1])
                if not left:
                    break
        return Entries.concat(parts) if parts else NO_ENTRIES

    def _slices(
        self, namespace: Namespace, metarange: Metarange, within: Interval
    ) -> Iterator[Entries]:
        first = metarange.index_at(within.start)
        stop = len(metarange) if within.end is None else metarange.index_at(within.end)
        # The range at `stop` ends at or after the end, and may begin before it.
        if within.end is not None and stop < len(metarange):
            stop += metarange.firsts[stop] < within.end
        for index, rows in self._store.ahead(namespace, metarange, range(first, stop)):
            low = rows.lower_bound(within.start) if index == first else 0
            high = len(rows)
            if within.end is not None and metarange.lasts[index] >= within.end:
                high = rows.lower_bound(within.end)
            if low < high:
                yield rows.slice(low, high)

    # What a metarange holds

    def stats(self, namespace: Namespace, metarange: MetarangeId) -> Stats:
        """Return how many entries there are and their size, without reading a range."""
        found = self._store.metarange(namespace, metarange)
        return Stats(sum(found.counts), sum(found.sizes_bytes))

    def ranges(
        self, namespace: Namespace, metarange: MetarangeId, *, after: str = "", amount: int
    ) -> list[RangeRecord]:
        """Return up to `amount` ranges in order, those that end after `after`."""
        found = self._store.metarange(namespace, metarange)
        first = found.index_at(after + "\x00") if after else 0
        return [found.record(index) for index in range(first, min(first + amount, len(found)))]

    # Building

    def apply(
        self,
        namespace: Namespace,
        base: MetarangeId,
        changes: pa.RecordBatch | Iterator[pa.RecordBatch],
        *,
        reusable: Collection[MetarangeId] | None = None,
    ) -> Built:
        """Lay changes over a base; a row replaces its path's also when the content is equal.

        `reusable` are metaranges whose files stay reachable whatever happens, so that equal ranges
        need not be written (default: the base).
        """
        batches = iter([changes]) if isinstance(changes, pa.RecordBatch) else changes
        return self._apply(namespace, base, _entries(batches), reusable)

    def build(self, namespace: Namespace, batches: Iterator[pa.RecordBatch]) -> Built:
        """Build a metarange from sorted batches, however many: they are streamed."""
        return build(self._store, namespace, self._rule, _entries(batches))

    def replace_under(
        self,
        namespace: Namespace,
        base: MetarangeId,
        batches: Iterator[pa.RecordBatch],
        *,
        prefixes: Collection[str] = (),
        paths: Collection[str] = (),
    ) -> Built:
        """Drop what lies under prefixes and at paths, and add sorted rows, as an import does."""
        cleared = [Interval(prefix, prefix_end(prefix)) for prefix in prefixes]
        cleared += [Interval(path, path + "\x00") for path in paths]
        found = self._store.metarange(namespace, base)
        rebuild = Rebuild(self._store, namespace, found, self._rule, reusable=[found])
        return rebuild.run(_entries(batches), join_intervals(cleared))

    def _apply(
        self,
        namespace: Namespace,
        base: MetarangeId,
        changes: Iterator[Entries],
        reusable: Collection[MetarangeId] | None,
    ) -> Built:
        found = self._store.metarange(namespace, base)
        kept = [self._store.metarange(namespace, one) for one in reusable or ()] or [found]
        return Rebuild(self._store, namespace, found, self._rule, reusable=kept).run(changes)

    # Comparing

    def diff(
        self,
        namespace: Namespace,
        left: MetarangeId,
        right: MetarangeId,
        *,
        prefix: str = "",
        start: str = "",
        after: str = "",
    ) -> Iterator[pa.RecordBatch]:
        """Yield what differs by content from left to right, lazily, in order of path.

        Columns: `kind` (int8: 1 added, 2 removed, 3 changed), `left_size_bytes`,
        `right_size_bytes` (0 where absent), then the right row, or the left one of a removed path.
        Batches are never empty.
        """
        return comparing.diff(
            self._store,
            namespace,
            self._store.metarange(namespace, left),
            self._store.metarange(namespace, right),
            _interval(prefix, start, after, None),
        )

    def conflicts(
        self,
        namespace: Namespace,
        base: MetarangeId,
        source: MetarangeId,
        dest: MetarangeId,
        *,
        after: str = "",
        amount: int,
        judge: Judge | None = None,
    ) -> pa.RecordBatch:
        """Return up to `amount` conflicts of a merge without strategy, after a path.

        Paths that `judge` owns are left out: `judged_conflicts` has them.
        """
        survey = Survey(judge, amount - 1)
        for part, conflicts in self._three_way(namespace, (base, source, dest), None, after):
            survey.take(part, conflicts)
            if survey.is_enough:
                break
        return _conflicts(survey.conflicts, amount)

    def judged_conflicts(
        self,
        namespace: Namespace,
        base: MetarangeId,
        source: MetarangeId,
        dest: MetarangeId,
        judge: Judge,
    ) -> tuple[MergeConflict, ...]:
        """Return the conflicts of a merge without strategy at paths that `judge` owns."""
        survey = Survey(judge, limits.MERGE_ROWS_MAX)
        for part, conflicts in self._three_way(namespace, (base, source, dest), None, ""):
            survey.take(part, conflicts)
        touched = sorted(set(survey.touched))
        return judge.judge(touched).conflicts if touched else ()

    def merge(
        self,
        namespace: Namespace,
        base: MetarangeId,
        source: MetarangeId,
        dest: MetarangeId,
        *,
        strategy: Strategy | None = None,
        conflicts_max: int = limits.MERGE_CONFLICTS_PAGE,
        judge: Judge | None = None,
    ) -> MergeBuilt:
        """Merge what source changed since base into dest; strategy `source-wins`, `dest-wins`.

        Rows are judged in the order of docs/protocol.md 2.9, those that `judge` owns by it.
        Nothing is built when there are conflicts.
        """
        sides = (base, source, dest)
        survey = Survey(judge, conflicts_max)
        for part, conflicts in self._three_way(namespace, sides, strategy, ""):
            survey.take(part, conflicts)
            if survey.is_enough:
                break
        if judge is not None and strategy == "dest-wins":
            # Where dest wins, the walk leaves out what both sides changed; the judge wants it.
            for _, conflicts in self._three_way(namespace, sides, None, ""):
                survey.touch(conflicts)
        judged = Judged()
        if judge is not None and survey.touched:
            judged = judge.judge(sorted(set(survey.touched)))
        if survey.has_conflicts or judged.conflicts:
            return MergeBuilt(
                None,
                _conflicts(survey.conflicts, conflicts_max),
                judged.conflicts,
                is_complete=not survey.is_enough,
            )
        parts = survey.parts
        if parts is None:
            # More than may be held: the walk is made again, for the little that it costs.
            walk = self._three_way(namespace, sides, strategy, "")
            again: Iterator[Entries] = (survey.unowned(part) for part, _ in walk)
        else:
            again = iter(parts)
        changes = (rows for rows in weave(again, judged.rows) if len(rows))
        built = self._apply(namespace, dest, changes, {base, source, dest})
        return MergeBuilt(built, _conflicts([], 0), (), is_complete=True)

    def _three_way(
        self,
        namespace: Namespace,
        sides: tuple[MetarangeId, MetarangeId, MetarangeId],
        strategy: Strategy | None,
        after: str,
    ) -> Iterator[tuple[Entries, pa.RecordBatch]]:
        base, source, dest = (self._store.metarange(namespace, one) for one in sides)
        within = _interval("", "", after, None)
        return comparing.three_way(self._store, namespace, (base, source, dest), within, strategy)


def _interval(prefix: str, start: str, after: str, until: str | None) -> Interval:
    first = max(prefix, start, after + "\x00" if after else "")
    end = prefix_end(prefix) if prefix else None
    if until is not None:
        end = until if end is None else min(end, until)
    return Interval(first, end)


def _entries(batches: Iterator[pa.RecordBatch]) -> Iterator[Entries]:
    last = ""
    for batch in batches:
        rows = Entries.from_arrow(batch)
        if len(rows):
            assert rows.is_ascending(last), "rows are sorted by path, each path once"
            last = rows.path(len(rows) - 1)
            yield rows


def _conflicts(batches: Sequence[pa.RecordBatch], amount: int) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, schema=CONFLICT_SCHEMA).slice(0, amount)
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=CONFLICT_SCHEMA)
