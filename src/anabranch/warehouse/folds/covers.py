"""Which folds may be read in a set of rowsets, and which runs of it should become folds.

A fold may stand for its members where they follow each other without a gap in the order of their
partition, every DELETE that it applied is in the set, and every other DELETE of the set saw all of
its members or none. All is judged by the set that is read: branches and merges need no rule.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from anabranch.kernel import limits
from anabranch.warehouse.rowsets.fold import Fold, end_of, hash_of
from anabranch.warehouse.rowsets.footers import OpenedRowset
from anabranch.warehouse.rowsets.rowset import Rowset, RowsetKind
from anabranch.warehouse.rowsets.scans import predicate_columns

Open = Callable[[Rowset], OpenedRowset]


@dataclass(frozen=True, slots=True)
class Item:
    """What is read of a partition at one place: a rowset, or the fold that stands for `members`."""

    members: tuple[Rowset, ...]
    fold: Fold | None = None

    @property
    def level(self) -> int:
        """Return the tier: a fold's own, and large rowsets count as folds of their size."""
        if self.fold is not None:
            return self.fold.level
        return level_of(1, self.members[0].size_bytes)

    @property
    def has_rows(self) -> bool:
        """Tell whether a read opens it."""
        header = self.members[0].header
        return self.fold is not None or header is None or header.rows > 0

    @property
    def size_bytes(self) -> int:
        """Return the size of what is read."""
        return self.members[0].size_bytes if self.fold is None else self.fold.size_bytes


@dataclass(frozen=True, slots=True)
class Run:
    """Items of one partition that should become one fold."""

    partition: str
    items: tuple[Item, ...]
    level: int

    @property
    def members(self) -> tuple[Rowset, ...]:
        """Return the rowsets that the fold will stand for."""
        return tuple(one for item in self.items for one in item.members)


@dataclass(frozen=True, slots=True)
class Cover:
    """A set of rowsets as it is read: by partition its items in order, and the DELETEs."""

    items: Mapping[str, tuple[Item, ...]]
    deletes: tuple[Rowset, ...] = ()

    @property
    def rowsets(self) -> tuple[Rowset, ...]:
        """Return the rowsets that no fold stands for, DELETEs among them."""
        alone = (
            item.members[0] for items in self.items.values() for item in items if item.fold is None
        )
        return (*alone, *self.deletes)

    @property
    def folds(self) -> tuple[Item, ...]:
        """Return the items that are folds."""
        return tuple(
            item for items in self.items.values() for item in items if item.fold is not None
        )

    def due(self) -> list[Run]:
        """Return a run of each partition that should become a fold, where there is one."""
        found = (_due(partition, items) for partition, items in self.items.items())
        return [run for run in found if run is not None]


def level_of(members: int, size_bytes: int) -> int:
    """Return the tier of a fold: each has FOLD_TIER times the rowsets or the bytes."""
    level, most, most_bytes = 0, 1, limits.FOLD_TAIL_BYTES
    while members > most or size_bytes > most_bytes:
        level += 1
        most *= limits.FOLD_TIER + 1
        most_bytes *= limits.FOLD_TIER
    return level


def _due(partition: str, items: Sequence[Item]) -> Run | None:
    top = max((item.level for item in items), default=0)
    for level in range(top + 1):
        start = 0
        while start < len(items):
            end = start
            while end < len(items) and items[end].level <= level:
                end += 1
            run = _cut(items[start:end])
            if _is_worth(run, level):
                members = sum(len(item.members) for item in run)
                size_bytes = sum(item.size_bytes for item in run)
                made = max(level + 1, level_of(members, size_bytes))
                return Run(partition, tuple(run), made)
            start = end + 1
    return None


def _cut(items: Sequence[Item]) -> Sequence[Item]:
    """Return as many of the first items as one fold may be made of."""
    total = 0
    for at, item in enumerate(items):
        total += item.size_bytes
        if total > limits.FOLD_BYTES_MAX or at == limits.FOLD_MEMBERS_MAX:
            return items[:at]
    return items


def _is_worth(items: Sequence[Item], level: int) -> bool:
    read = [item for item in items if item.has_rows]
    if level:
        return sum(item.level == level for item in read) >= limits.FOLD_TIER
    size_bytes = sum(item.size_bytes for item in read)
    return len(read) > limits.FOLD_TIER or (len(read) > 1 and size_bytes > limits.FOLD_TAIL_BYTES)


@dataclass(slots=True)
class Judge:
    """Finds covers; remembers what never changes of folds. For any thread."""

    _runs: OrderedDict[str, tuple[Rowset, ...]] = field(default_factory=OrderedDict)
    _seen: OrderedDict[tuple[str, str], bool] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cover(
        self, identity: str, rowsets: Iterable[Rowset], folds: Iterable[Fold], open_rowset: Open
    ) -> Cover:
        """Return how a set, ordered by name, is read with those folds that may be.

        The folds of most members are taken first. `open_rowset` opens DELETEs.
        """
        deletes: dict[str, Rowset] = {}
        orders: dict[str, list[Rowset]] = defaultdict(list)
        for one in rowsets:
            if one.header is not None and one.header.kind is RowsetKind.DELETE:
                deletes[one.physical_address] = one
            else:
                orders[one.partition].append(one)
        chosen: dict[str, dict[int, Item]] = defaultdict(dict)
        ends = {partition: [end_of(one) for one in order] for partition, order in orders.items()}
        taken = {partition: bytearray(len(order)) for partition, order in orders.items()}
        for fold in sorted(folds, key=lambda one: (-one.members, one.hash)):
            if fold.identity != identity or fold.partition not in orders:
                continue
            start = bisect_left(ends[fold.partition], fold.first)
            end = start + fold.members
            run = orders[fold.partition][start:end]
            if len(run) != fold.members or any(taken[fold.partition][start:end]):
                continue
            if self._is_run(fold, run) and self._fits(fold, run, deletes, open_rowset):
                chosen[fold.partition][start] = Item(tuple(run), fold)
                taken[fold.partition][start:end] = b"\1" * fold.members
        return Cover(
            {one: _items(order, chosen[one]) for one, order in orders.items()},
            tuple(deletes.values()),
        )

    def _is_run(self, fold: Fold, run: list[Rowset]) -> bool:
        with self._lock:
            known = self._runs.get(fold.hash)
        if known is not None and len(known) == len(run) and all(map(_is_same, known, run)):
            return True
        if hash_of(fold.identity, run, fold.deletes) != fold.hash:
            return False
        with self._lock:
            self._runs[fold.hash] = tuple(run)
            if len(self._runs) > limits.FOLDS_JUDGED_MAX:
                self._runs.popitem(last=False)
        return True

    def _fits(
        self,
        fold: Fold,
        run: Sequence[Rowset],
        deletes: Mapping[str, Rowset],
        open_rowset: Open,
    ) -> bool:
        applied = frozenset(fold.deletes)
        return applied <= deletes.keys() and all(
            self._saw_all_or_none(fold, run, rowset, open_rowset)
            for address, rowset in deletes.items()
            if address not in applied
        )

    def _saw_all_or_none(
        self, fold: Fold, run: Sequence[Rowset], delete: Rowset, open_rowset: Open
    ) -> bool:
        key = (fold.hash, delete.physical_address)
        with self._lock:
            known = self._seen.get(key)
        if known is not None:
            return known
        opened = open_rowset(delete)
        saw = sum(str(one.name) in opened.seen for one in run)
        # What it deletes is judged by the fold's rows, which lack columns that were dropped.
        named = predicate_columns([opened.footer.predicate or ""])
        answer = saw == 0 or (saw == len(run) and named.issubset(fold.shape.written))
        with self._lock:
            self._seen[key] = answer
            if len(self._seen) > limits.FOLD_DELETES_JUDGED_MAX:
                self._seen.popitem(last=False)
        return answer


def _is_same(left: Rowset, right: Rowset) -> bool:
    return left is right or left == right


def _items(order: Sequence[Rowset], chosen: Mapping[int, Item]) -> tuple[Item, ...]:
    items: list[Item] = []
    at = 0
    while at < len(order):
        item = chosen.get(at) or Item((order[at],))
        items.append(item)
        at += len(item.members)
    return tuple(items)
