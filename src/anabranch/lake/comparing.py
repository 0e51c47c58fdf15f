"""Walks over two or three metaranges at once that enter only ranges the sides do not share.

A range that two sides share holds the same rows on both, and no other range of either side has
paths inside it: so both leave it out. What remains falls into groups of ranges that overlap, and of
a group only the rows matter that the sides do not share either. Which these are follows from the
ranges' ids alone: the store keeps them for the next diff or merge, and a build that lays a few
changes over a range keeps them from the start.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.ids import Namespace, RangeId
from anabranch.kernel.ranges import NO_ENTRIES, Interval, Metarange
from anabranch.lake.range_store import RangeStore
from anabranch.native import ranges as native
from anabranch.native.ranges import Entries

P = TypeVar("P")
Pair = tuple[Entries, Entries]
Triple = tuple[Entries, Entries, Entries]

Strategy = Literal["source-wins", "dest-wins"]
_STRATEGY_CODES: dict[Strategy | None, int] = {None: 0, "source-wins": 1, "dest-wins": 2}
_GROUP_RANGES_MAX = 8  # compared whole; a longer chain of ranges that overlap is walked in pieces
_OVERLAID_ROWS_MAX = 64  # of one range; above it, reading the range costs less
_KEPT_SHARE = 4  # rows of a group for each one that is kept: where all differs, nothing is gained


@dataclass(frozen=True, slots=True)
class _Sides:
    """Two metaranges to be compared in an interval."""

    store: RangeStore
    namespace: Namespace
    left: Metarange
    right: Metarange
    within: Interval


@dataclass(frozen=True, slots=True)
class _Group:
    """Ranges of two metaranges that overlap one another and no others."""

    left: tuple[int, ...]
    right: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Tell whether the group is compared whole."""
        return len(self.left) + len(self.right) <= _GROUP_RANGES_MAX


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
        self._left = deque(indexes)
        self._loaded = store.ahead(namespace, metarange, indexes)
        self._within = within
        self._rows = NO_ENTRIES

    def load(self) -> bool:
        """Make rows at the front available; False when none are left."""
        while not len(self._rows) and self._left:
            self._rows = _clip(next(self._loaded)[1], self._within)
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

    def take(self, bound: str) -> Entries:
        """Take the rows at the front up to and with `bound`."""
        if not len(self._rows):
            return NO_ENTRIES
        stop = self._rows.upper_bound(bound)
        taken = self._rows.slice(0, stop)
        self._rows = self._rows.slice(stop, len(self._rows))
        return taken


def diff(
    store: RangeStore, namespace: Namespace, left: Metarange, right: Metarange, within: Interval
) -> Iterator[pa.RecordBatch]:
    """Yield differences by content, in order of path; batches are never empty.

    Columns: `kind` (KIND_ADDED, KIND_REMOVED, KIND_CHANGED), `left_size_bytes`,
    `right_size_bytes` (0 where absent), then those of entries: the right row, or the left one of a
    removed path.
    """
    for pairs in _differing(_Sides(store, namespace, left, right, within)):
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
    docs/protocol.md 2.9.
    """
    base, source, dest = sides
    for pairs in _differing(_Sides(store, namespace, base, source, within)):
        triples = _with_dest(store, namespace, pairs, base, dest)
        changes, conflicts = native.three_way_many(triples, _STRATEGY_CODES[strategy])
        yield changes, pa.record_batch(conflicts)


def _differing(sides: _Sides) -> Iterator[list[Pair]]:
    """Yield the rows that the sides do not share, in order, as growing lists of pairs.

    The rows of a pair are all of its interval that are not on the other side, equal in each column.
    """
    portion: list[_Group] = []
    size = 1
    for group in _groups(sides):
        if group.is_whole:
            portion.append(group)
        if portion and (len(portion) >= size or not group.is_whole):
            yield _compared(sides, portion)
            portion = []
            size = min(2 * size, limits.RANGES_AHEAD_MAX)
        if not group.is_whole:
            yield from _walked(sides, group)
    if portion:
        yield _compared(sides, portion)


def _groups(sides: _Sides) -> Iterator[_Group]:
    left, right = sides.left, sides.right
    of_left = deque(_unshared(left, right, sides.within))
    of_right = deque(_unshared(right, left, sides.within))
    while of_left or of_right:
        lefts: list[int] = []
        rights: list[int] = []
        end = ""
        while of_left or of_right:
            takes_left = not of_right or (
                bool(of_left) and left.firsts[of_left[0]] <= right.firsts[of_right[0]]
            )
            metarange, queue = (left, of_left) if takes_left else (right, of_right)
            if (lefts or rights) and metarange.firsts[queue[0]] > end:
                break
            index = queue.popleft()
            (lefts if takes_left else rights).append(index)
            end = max(end, metarange.lasts[index])
        yield _Group(tuple(lefts), tuple(rights))


def _compared(sides: _Sides, groups: Sequence[_Group]) -> list[Pair]:
    """Return what differs in each group; what is not known is read and compared side by side."""
    known = sides.store.differences
    keys = [
        (
            tuple(sides.left.ids[index] for index in group.left),
            tuple(sides.right.ids[index] for index in group.right),
        )
        for group in groups
    ]
    found = [known.find(key) for key in keys]
    missing = [at for at, pair in enumerate(found) if pair is None]
    wanted = [range_id for at in missing for some in keys[at] for range_id in some]
    rows = dict(
        zip(wanted, sides.store.ranges(sides.namespace, wanted), strict=True) if wanted else ()
    )
    pairs = [(_joined(rows, keys[at][0]), _joined(rows, keys[at][1])) for at in missing]
    for at, whole, pair in zip(missing, pairs, native.differing_many(pairs), strict=True):
        found[at] = pair
        if _KEPT_SHARE * (len(pair[0]) + len(pair[1])) <= len(whole[0]) + len(whole[1]):
            known.put(keys[at], pair, pair[0].memory_bytes + pair[1].memory_bytes)
    within = sides.within
    return [(_clip(pair[0], within), _clip(pair[1], within)) for pair in found if pair is not None]


def _walked(sides: _Sides, group: _Group) -> Iterator[list[Pair]]:
    """Yield what differs in a long group, in pieces."""
    store, namespace, within = sides.store, sides.namespace, sides.within
    pieces = _pairs(
        _Side(store, namespace, sides.left, group.left, within),
        _Side(store, namespace, sides.right, group.right, within),
    )
    for pairs in _portions(pieces):
        yield native.differing_many(pairs)


def _with_dest(
    store: RangeStore,
    namespace: Namespace,
    pairs: Sequence[Pair],
    base: Metarange,
    dest: Metarange,
) -> list[Triple]:
    """Return the pairs, cut where ranges of dest end, with the rows that dest has there."""
    pieces: list[tuple[Entries, Entries, int]] = []
    for of_base, of_source in pairs:
        while len(of_base) or len(of_source):
            index = dest.index_at(_first(of_base, of_source))
            stops = len(of_base), len(of_source)
            if index < len(dest):
                last = dest.lasts[index]
                stops = of_base.upper_bound(last), of_source.upper_bound(last)
            pieces.append((of_base.slice(0, stops[0]), of_source.slice(0, stops[1]), index))
            of_base = of_base.slice(stops[0], len(of_base))
            of_source = of_source.slice(stops[1], len(of_source))

    def is_base(piece: tuple[Entries, Entries, int]) -> bool:
        """Tell whether dest has what base has: its range is one of base's, which holds all."""
        of_base, of_source, index = piece
        is_shared = dest.ids[index] in base.members
        return is_shared and _first(of_base, of_source) >= dest.firsts[index]

    told: dict[int, Entries] = {}
    for at, piece in enumerate(pieces):
        if piece[2] == len(dest):
            told[at] = NO_ENTRIES
        elif is_base(piece):
            told[at] = piece[0]
        elif (known := _known_dest(store, base, dest, piece[0], piece[2])) is not None:
            told[at] = known
    asked = (piece for at, piece in enumerate(pieces) if at not in told)
    wanted = list(dict.fromkeys(dest.ids[index] for _, _, index in asked))
    rows = dict(zip(wanted, store.ranges(namespace, wanted), strict=True))
    triples: list[Triple] = []
    for at, (of_base, of_source, index) in enumerate(pieces):
        of_dest = told[at] if at in told else rows[dest.ids[index]]
        triples.append((of_base, of_source, of_dest))
    return triples


def _known_dest(
    store: RangeStore, base: Metarange, dest: Metarange, of_base: Entries, index: int
) -> Entries | None:
    """Return what a range of dest has at the paths of some rows of base, and perhaps more rows.

    Told by what it is known to differ in from the range of base between the same paths; None when
    that is not known, or much.
    """
    first, last = dest.firsts[index], dest.lasts[index]
    at = base.index_at(last)
    if at == len(base) or (base.firsts[at], base.lasts[at]) != (first, last):
        return None
    known = store.known_difference(base.ids[at], dest.ids[index])
    if known is None or len(of_base) + len(known[1]) > _OVERLAID_ROWS_MAX:
        return None
    gone, there = known
    rows = [(there.path(row), there.slice(row, row + 1)) for row in range(len(there))]
    # What base has before the range's first path is in another range of base, and dest has not.
    for row in range(of_base.lower_bound(first), len(of_base)):
        path = of_base.path(row)
        if gone.find(path) is None:
            rows.append((path, of_base.slice(row, row + 1)))
    rows.sort(key=lambda one: one[0])
    return Entries.concat([one for _, one in rows]) if rows else NO_ENTRIES


def _first(left: Entries, right: Entries) -> str:
    """Return the first path of two sides of which one at least has rows."""
    if not len(left) or not len(right):
        return left.path(0) if len(left) else right.path(0)
    return min(left.path(0), right.path(0))


def _joined(rows: dict[RangeId, Entries], ids: Sequence[RangeId]) -> Entries:
    if len(ids) == 1:
        return rows[ids[0]]
    return Entries.concat([rows[one] for one in ids]) if ids else NO_ENTRIES


def _clip(rows: Entries, within: Interval) -> Entries:
    start = rows.lower_bound(within.start)
    stop = len(rows) if within.end is None else rows.lower_bound(within.end, start)
    return rows if stop - start == len(rows) else rows.slice(start, stop)


def _pairs(left: _Side, right: _Side) -> Iterator[Pair]:
    while True:
        has_left, has_right = left.load(), right.load()
        if has_left and has_right:
            bound = min(left.last, right.last)
        elif has_left or has_right:
            bound = left.last if has_left else right.last
        else:
            return
        yield left.take(bound), right.take(bound)


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
