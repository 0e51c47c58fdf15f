"""Walks over two or three metaranges at once that enter only ranges the sides do not share.

A range that two sides share holds the same rows on both, and no other range of either side has
paths inside it: so both leave it out. What remains is walked in aligned pieces, which hold all
paths of one interval on each side.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.ids import Namespace
from anabranch.kernel.ranges import NO_ENTRIES, Interval, Metarange
from anabranch.lake.range_store import RangeStore
from anabranch.native import ranges as native
from anabranch.native.ranges import Entries

P = TypeVar("P")

Strategy = Literal["source-wins", "dest-wins"]
_STRATEGY_CODES: dict[Strategy | None, int] = {None: 0, "source-wins": 1, "dest-wins": 2}


class _Side:
    """Some ranges of one metarange, clipped to an interval and taken from the front."""

    def __init__(
        self,
        store: RangeStore,
        namespace: Namespace,
        metarange: Metarange,
        indexes: Sequence[int],
        within: Interval,
    ) -> None:
        self._metarange = metarange
        self._left = deque(indexes)
        self._loaded = store.ahead(namespace, metarange, indexes)
        self._within = within
        self._rows = NO_ENTRIES

    def load(self) -> bool:
        """Make rows at the front available; False when none are left."""
        while not len(self._rows) and self._left:
            self._rows = self._clip(*next(self._loaded))
            self._left.popleft()
        return bool(len(self._rows))

    @property
    def first(self) -> str:
        """The first path of the rows at the front."""
        return self._rows.path(0)

    @property
    def last(self) -> str:
        """The last path of the rows at the front."""
        return self._rows.path(len(self._rows) - 1)

    def load_until(self, low: str, high: str) -> bool:
        """Drop paths below `low`; then load as `load` if there may be any up to `high`."""
        if len(self._rows):
            self._rows = self._rows.slice(self._rows.lower_bound(low), len(self._rows))
        while not len(self._rows) and self._left and self._metarange.firsts[self._left[0]] <= high:
            index, rows = next(self._loaded)
            self._left.popleft()
            rows = self._clip(index, rows)
            self._rows = rows.slice(rows.lower_bound(low), len(rows))
        return bool(len(self._rows)) and self.first <= high

    def take(self, bound: str) -> Entries:
        """Take the rows at the front up to and with `bound`."""
        if not len(self._rows):
            return NO_ENTRIES
        stop = self._rows.upper_bound(bound)
        taken = self._rows.slice(0, stop)
        self._rows = self._rows.slice(stop, len(self._rows))
        return taken

    def _clip(self, index: int, rows: Entries) -> Entries:
        start, stop = 0, len(rows)
        if self._metarange.firsts[index] < self._within.start:
            start = rows.lower_bound(self._within.start)
        if self._within.end is not None and self._metarange.lasts[index] >= self._within.end:
            stop = rows.lower_bound(self._within.end)
        return rows.slice(start, max(start, stop))


def diff(
    store: RangeStore, namespace: Namespace, left: Metarange, right: Metarange, within: Interval
) -> Iterator[pa.RecordBatch]:
    """Yield differences by content, in order of path; batches are never empty.

    Columns: `kind` (KIND_ADDED, KIND_REMOVED, KIND_CHANGED), `left_size_bytes`,
    `right_size_bytes` (0 where absent), then those of entries: the right row, or the left one of a
    removed path.
    """
    sides = (
        _Side(store, namespace, left, _unshared(left, right, within), within),
        _Side(store, namespace, right, _unshared(right, left, within), within),
    )
    for pairs in _portions(_pairs(*sides)):
        columns = native.diff_many(pairs)
        if len(columns):
            yield pa.record_batch(columns)


def three_way(
    store: RangeStore,
    namespace: Namespace,
    sides: tuple[Metarange, Metarange, Metarange],
    within: Interval,
    strategy: Strategy | None,
) -> Iterator[tuple[Entries, pa.RecordBatch]]:
    """Yield what a merge of (base, source, dest) changes in dest, and its conflicts.

    Changes may hold tombstones; conflicts have the columns `path`, `source_kind`, `dest_kind`:
    what each side did since the base. Both are in order of path. Rows are judged in the order of
    LAKE.md 2.9.
    """
    base, source, dest = sides
    of_base, of_source = _unshared(base, source, within), _unshared(source, base, within)
    of_dest = _overlapping(dest, _spans(base, of_base), _spans(source, of_source))
    walk = _triples(
        _Side(store, namespace, base, of_base, within),
        _Side(store, namespace, source, of_source, within),
        _Side(store, namespace, dest, of_dest, within),
    )
    for triples in _portions(walk):
        changes, conflicts = native.three_way_many(triples, _STRATEGY_CODES[strategy])
        yield changes, pa.record_batch(conflicts)


def _pairs(left: _Side, right: _Side) -> Iterator[tuple[Entries, Entries]]:
    while True:
        has_left, has_right = left.load(), right.load()
        if has_left and has_right:
            bound = min(left.last, right.last)
        elif has_left or has_right:
            bound = left.last if has_left else right.last
        else:
            return
        yield left.take(bound), right.take(bound)


def _triples(base: _Side, source: _Side, dest: _Side) -> Iterator[tuple[Entries, Entries, Entries]]:
    while True:
        has_base, has_source = base.load(), source.load()
        if has_base and has_source:
            low, bound = min(base.first, source.first), min(base.last, source.last)
        elif has_base or has_source:
            only = base if has_base else source
            low, bound = only.first, only.last
        else:
            return
        if dest.load_until(low, bound):
            bound = min(bound, dest.last)
        yield base.take(bound), source.take(bound), dest.take(bound)


def _portions(pieces: Iterator[P]) -> Iterator[list[P]]:
    """Yield growing lists of pieces: the first results come soon, and many use all cores."""
    portion: list[P] = []
    size = 1
    for piece in pieces:
        portion.append(piece)
        if len(portion) >= size:
            yield portion
            portion = []
            size = min(2 * size, limits.RANGES_IN_FLIGHT_MAX)
    if portion:
        yield portion


def _unshared(metarange: Metarange, other: Metarange, within: Interval) -> list[int]:
    """Return the ranges that `other` has not and that may hold paths of the interval."""
    found: list[int] = []
    for index in range(metarange.index_at(within.start), len(metarange)):
        if within.end is not None and metarange.firsts[index] >= within.end:
            break
        if metarange.ids[index] not in other.members:
            found.append(index)
    return found


def _spans(metarange: Metarange, indexes: Sequence[int]) -> list[tuple[str, str]]:
    return [(metarange.firsts[index], metarange.lasts[index]) for index in indexes]


def _overlapping(metarange: Metarange, *spans: Sequence[tuple[str, str]]) -> list[int]:
    """Return the ranges that overlap any span."""
    found: set[int] = set()
    for some in spans:
        for first, last in some:
            index = metarange.index_at(first)
            while index < len(metarange) and metarange.firsts[index] <= last:
                found.add(index)
                index += 1
    return sorted(found)
