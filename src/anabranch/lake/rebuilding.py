"""A new metarange from an old one and changes: what is not touched is neither read nor written.

The result is the one a build of all rows from scratch would give, range by range. Three things
make that so. A range that ends by the threshold depends on nothing after it, so what lies before
the first touched range stays. Past a touched range cutting goes on until a cut falls on an old
end, from where on the old ranges would come again. And a range that ended by fallback depends on
rows up to the maximum weight after its start: when one of these changes, it is cut anew.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from anabranch.kernel import codec, limits
from anabranch.kernel.ids import MetarangeId, Namespace, RangeId
from anabranch.kernel.ranges import (
    EMPTY_METARANGE,
    NO_ENTRIES,
    NO_METARANGE,
    Counts,
    CutRule,
    Interval,
    Metarange,
)
from anabranch.lake.range_store import RangeStore, Submitted
from anabranch.native import ranges as native
from anabranch.native.ranges import Cutter, Entries
from anabranch.storage.kv.base import Write

_NOTED_ROWS_MAX = 16  # changes of one range; more are found by comparing when somebody asks

Job = tuple[Entries, Entries, bool]
"""Base rows, changes for them, and whether base rows without a change go."""


@dataclass(frozen=True, slots=True)
class Built:
    """A metarange whose files are durable.

    `index_writes` make them exist: the caller writes them, in portions of KV_WRITES_MAX, before
    or with the transaction that points to the metarange.
    """

    metarange: MetarangeId
    index_writes: tuple[Write, ...]
    counts: Counts

    @property
    def is_change(self) -> bool:
        """Tell whether any row differs by content from the base."""
        return self.counts.is_change


@dataclass(frozen=True, slots=True)
class _Group:
    """Changes that fall into one old range. `is_end`: no more of them follow."""

    index: int
    changes: Entries
    is_end: bool


@dataclass(frozen=True, slots=True)
class _Replaced:
    """An old range and the new one in its place, and their rows at the paths that changed."""

    old: RangeId
    new: Submitted
    rows: tuple[Entries, Entries]


@dataclass(slots=True)
class _Emitted:
    """A range of the result: old ones have their id from the start."""

    first: str
    last: str
    count: int
    size_bytes: int
    is_fallback: bool
    submitted: Submitted


class Rebuild:
    """One build; use it once. Threads: its own caller's, and the store's for writing."""

    def __init__(
        self,
        store: RangeStore,
        namespace: Namespace,
        base: Metarange,
        rule: CutRule,
        *,
        reusable: Collection[Metarange] = (),
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._base = base
        self._rule = rule
        self._reusable = reusable
        self._is_reusable: Callable[[RangeId], bool] = lambda range_id: any(
            range_id in one.members for one in reusable
        )
        # The result so far: runs of old ranges as slices [start, stop), new ranges one by one.
        self._out: list[_Emitted | tuple[int, int]] = []
        self._in_flight: deque[Future[tuple[Write, ...]]] = deque()
        self._next = 0  # the first old range that is in neither the result nor the cutter
        self._touched = -1  # the last old range with changes
        self._open: tuple[int, Entries] | None = None  # rows of a range whose changes go on
        self._ends: dict[int, int] = {}  # rows the cutter took -> the old range that ends there
        self._cutter = self._new_cutter()
        self._replaced: list[_Replaced] = []

    def run(self, changes: Iterator[Entries], cleared: Sequence[Interval] = ()) -> Built:
        """Lay changes, in order of path, over the base without the rows of `cleared` intervals.

        Intervals are sorted and do not overlap.
        """
        counts = Counts()
        for groups in _chunks(self._groups(changes, cleared)):
            dropped = {group.index for group in groups if self._is_dropped(group, cleared)}
            removed = sum(self._base.counts[index] for index in dropped)
            jobs = self._jobs(groups, dropped, cleared)
            merged, numbers = native.merge_many([job for some in jobs for job in some])
            counts = counts.plus(Counts(*numbers)).plus(Counts(removed=removed))
            rows = iter(merged)
            for group, some in zip(groups, jobs, strict=True):
                pieces = [next(rows) for _ in some]
                self._take(group, [piece for piece in pieces if len(piece)])
                if group.is_end and len(some) == 1:
                    self._note(group.index, some[0], pieces[0])
        return self._finish(counts)

    # Which old ranges changes fall into

    def _groups(self, changes: Iterator[Entries], cleared: Sequence[Interval]) -> Iterator[_Group]:
        """Yield groups in order; a range under a cleared interval has one in any case."""
        emptied = deque(self._cleared_indexes(cleared))
        parts: list[Entries] = []
        count = 0
        index = -1
        for batch in changes:
            start = 0
            while start < len(batch):
                found = self._index_of(batch.path(start))
                if found != index:
                    if index >= 0:
                        yield _Group(index, _joined(parts), is_end=True)
                    parts, count, index = [], 0, found
                    while emptied and emptied[0] <= found:
                        other = emptied.popleft()
                        if other < found:
                            yield _Group(other, NO_ENTRIES, is_end=True)
                stop = min(self._stop(batch, start, index), start + limits.CHANGE_ROWS_MAX)
                parts.append(batch.slice(start, stop))
                count += stop - start
                start = stop
                if count >= limits.CHANGE_ROWS_MAX:
                    yield _Group(index, _joined(parts), is_end=False)
                    parts, count = [], 0
        if index >= 0:
            yield _Group(index, _joined(parts), is_end=True)
        for other in emptied:
            yield _Group(other, NO_ENTRIES, is_end=True)

    def _index_of(self, path: str) -> int:
        """Return the old range that a path falls into; what lies past the end, into the last."""
        return max(0, min(self._base.index_at(path), len(self._base) - 1))

    def _stop(self, batch: Entries, start: int, index: int) -> int:
        if index >= len(self._base) - 1:
            return len(batch)
        return batch.upper_bound(self._base.lasts[index], start)

    def _cleared_indexes(self, cleared: Sequence[Interval]) -> list[int]:
        found: list[int] = []
        for interval in cleared:
            index = self._base.index_at(interval.start)
            while index < len(self._base) and interval.overlaps(
                self._base.firsts[index], self._base.lasts[index]
            ):
                if not found or found[-1] < index:
                    found.append(index)
                index += 1
        return found

    # What is merged with what

    def _jobs(
        self, groups: Sequence[_Group], dropped: Collection[int], cleared: Sequence[Interval]
    ) -> list[list[Job]]:
        """Return what is to be merged for each group; nothing for a range that is dropped."""
        wanted = [
            group.index
            for at, group in enumerate(groups)
            if len(self._base)
            and (at == 0 or groups[at - 1].index != group.index)
            and not self._is_open(group.index)
            and group.index not in dropped
        ]
        loaded = self._store.ranges(self._namespace, [self._base.ids[index] for index in wanted])
        rows = dict(zip(wanted, loaded, strict=True))
        jobs: list[list[Job]] = []
        for group in groups:
            base = rows.get(group.index, NO_ENTRIES)
            if self._open is not None and self._open[0] == group.index:
                base = self._open[1]
            self._open = None
            if not group.is_end:
                stop = base.upper_bound(group.changes.path(len(group.changes) - 1))
                self._open = (group.index, base.slice(stop, len(base)))
                base = base.slice(0, stop)
            jobs.append(_split(base, group.changes, cleared))
        return jobs

    def _is_open(self, index: int) -> bool:
        return self._open is not None and self._open[0] == index

    def _is_dropped(self, group: _Group, cleared: Sequence[Interval]) -> bool:
        """Tell whether a whole range goes, so that nobody needs to read it."""
        if len(group.changes) or not len(self._base) or self._is_open(group.index):
            return False
        first, last = self._base.firsts[group.index], self._base.lasts[group.index]
        return any(interval.contains(first, last) for interval in cleared)

    def _note(self, index: int, job: Job, rows: Entries) -> None:
        """Keep what a new range and the old one in whose place it is do not share, if it is little.

        The next diff or merge of the two sides would have to read both to find out.
        """
        base, changes, is_cleared = job
        last = self._out[-1] if self._out else None
        if (
            is_cleared
            or len(changes) > _NOTED_ROWS_MAX
            or not isinstance(last, _Emitted)
            or not len(self._base)
            or len(base) != self._base.counts[index]
            or (last.first, last.count) != (rows.path(0) if len(rows) else "", len(rows))
        ):
            return
        paths = [changes.path(row) for row in range(len(changes))]
        pair = (_rows_at(base, paths), _rows_at(rows, paths))
        self._replaced.append(_Replaced(self._base.ids[index], last.submitted, pair))

    # The result

    def _take(self, group: _Group, pieces: list[Entries]) -> None:
        """Bring the result up to a group's range and give its rows to the cutter."""
        index = group.index
        if not len(self._base):
            for piece in pieces:
                self._feed(piece)
            return
        if self._touched != index:
            self._keep_until(index)
            first = self._look_back(index)
            self._touched = index
            for other in range(first, index):
                self._feed_old(other)
            self._next = index + 1
        for at, piece in enumerate(pieces):
            is_last = group.is_end and at == len(pieces) - 1
            self._feed(piece, index if is_last else None)
        if group.is_end and not self._cutter.pending:
            self._restart(index + 1)
        elif group.is_end:
            self._ends[self._cutter.taken] = index

    def _keep_until(self, stop: int) -> None:
        """Put old ranges before `stop` into the result, cutting anew while rows are carried."""
        while self._next < stop:
            if self._cutter.pending:
                self._next += 1
                self._feed_old(self._next - 1)
                continue
            start, self._next = self._next, stop
            if self._out and isinstance(last := self._out[-1], tuple) and last[1] == start:
                start = last[0]
                self._out.pop()
            self._out.append((start, stop))

    def _look_back(self, index: int) -> int:
        """Take back kept ranges whose end may depend on rows of range `index`; return the first.

        Counts stand in for weights, which are never smaller, so this may take back too many.
        """
        if self._cutter.pending or not self._out or not isinstance(self._out[-1], tuple):
            return index
        start, stop = self._out[-1]
        if stop != index:
            return index
        first, weight = index, 0
        for other in range(index - 1, start - 1, -1):
            weight += self._base.counts[other]
            if weight > self._rule.weight_max:
                break
            if self._base.fallbacks[other]:
                first = other
        if first < index:
            self._out.pop()
            if start < first:
                self._out.append((start, first))
        return first

    def _feed_old(self, index: int) -> None:
        rows = self._store.range(self._namespace, self._base.ids[index])
        self._feed(rows, index)

    def _feed(self, rows: Entries, old: int | None = None) -> None:
        """Give rows to the cutter; `old` is the old range whose end they reach."""
        if old is not None:
            self._ends[self._cutter.taken + len(rows)] = old
        for cut, is_fallback, end in self._cutter.add(rows):
            self._emit(cut, is_fallback=is_fallback)
            found = self._ends.get(end, -1)
            # On an old end, with nothing changed in what was taken past it, the old ranges go on.
            if found >= self._touched and found >= 0:
                self._restart(found + 1)
                return

    def _restart(self, following: int) -> None:
        self._cutter = self._new_cutter()
        self._ends = {}
        self._next = following

    def _new_cutter(self) -> Cutter:
        return Cutter(self._rule.weight_min, self._rule.slope, self._rule.weight_max)

    def _emit(self, rows: Entries, *, is_fallback: bool) -> None:
        submitted = self._store.submit_range(self._namespace, rows, self._is_reusable)
        count = len(rows)
        self._out.append(
            _Emitted(
                rows.path(0),
                rows.path(count - 1),
                count,
                rows.objects_bytes,
                is_fallback,
                submitted,
            )
        )
        self._in_flight.append(submitted.written)
        if len(self._in_flight) > limits.RANGES_IN_FLIGHT_MAX:
            self._in_flight.popleft().result()

    def _finish(self, counts: Counts) -> Built:
        self._keep_until(len(self._base))
        rest = self._cutter.finish()
        if rest is not None:
            self._emit(rest, is_fallback=False)
        if not self._out:
            return Built(NO_METARANGE, (), counts)
        if self._out == [(0, len(self._base))]:
            return Built(self._base.id, (), counts)
        ids: list[RangeId] = []
        firsts: list[str] = []
        lasts: list[str] = []
        numbers: list[int] = []
        sizes_bytes: list[int] = []
        fallbacks: list[bool] = []
        pending: list[Future[tuple[Write, ...]]] = []
        base = self._base
        for part in self._out:
            if isinstance(part, tuple):
                old = slice(*part)
                ids += base.ids[old]
                firsts += base.firsts[old]
                lasts += base.lasts[old]
                numbers += base.counts[old]
                sizes_bytes += base.sizes_bytes[old]
                fallbacks += base.fallbacks[old]
                continue
            ids.append(part.submitted.named.result())
            pending.append(part.submitted.written)
            firsts.append(part.first)
            lasts.append(part.last)
            numbers.append(part.count)
            sizes_bytes.append(part.size_bytes)
            fallbacks.append(part.is_fallback)
        metarange, columns = codec.make_metarange(
            ids, firsts, lasts, numbers, sizes_bytes, fallbacks
        )
        if all(metarange.id != one.id for one in self._reusable):
            # Beside the last ranges: nothing points to any of these files before they are durable.
            pending.append(self._store.submit_metarange(self._namespace, metarange, columns))
        index_writes = [write for writes in pending for write in writes.result()]
        found = native.differing_many([one.rows for one in self._replaced])
        for one, differing in zip(self._replaced, found, strict=True):
            self._store.keep_difference(one.old, one.new.named.result(), differing)
        return Built(metarange.id, tuple(index_writes), counts)


def build(store: RangeStore, namespace: Namespace, rule: CutRule, rows: Iterator[Entries]) -> Built:
    """Return the metarange of sorted rows, however many: they are streamed."""
    return Rebuild(store, namespace, EMPTY_METARANGE, rule).run(rows)


def _chunks(groups: Iterator[_Group]) -> Iterator[list[_Group]]:
    """Yield runs of groups that are read and merged side by side."""
    chunk: list[_Group] = []
    rows = 0
    for group in groups:
        chunk.append(group)
        rows += len(group.changes)
        if len(chunk) >= limits.RANGES_AHEAD_MAX or rows >= limits.CHANGE_ROWS_MAX:
            yield chunk
            chunk, rows = [], 0
    if chunk:
        yield chunk


def _rows_at(rows: Entries, paths: Sequence[str]) -> Entries:
    """Return copies of the rows that some paths have, in their order."""
    found = [rows.find(path) for path in paths]
    return rows.take([row for row in found if row is not None])


def _joined(parts: list[Entries]) -> Entries:
    return Entries.concat(parts) if parts else NO_ENTRIES


def _split(base: Entries, changes: Entries, cleared: Sequence[Interval]) -> list[Job]:
    """Return jobs for the stretches of one range inside and outside of cleared intervals."""
    jobs: list[Job] = []
    at, row = 0, 0

    def add(path: str | None, *, is_cleared: bool) -> None:
        nonlocal at, row
        stop = len(base) if path is None else base.lower_bound(path, at)
        stop_row = len(changes) if path is None else changes.lower_bound(path, row)
        if at < stop or row < stop_row:
            jobs.append((base.slice(at, stop), changes.slice(row, stop_row), is_cleared))
        at, row = stop, stop_row

    for interval in cleared:
        add(interval.start, is_cleared=False)
        add(interval.end, is_cleared=True)
    add(None, is_cleared=False)
    return jobs
