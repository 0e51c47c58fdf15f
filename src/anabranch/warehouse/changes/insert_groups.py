"""Plain rows of INSERTs that come at the same time: one rowset and one publication for all.

One caller at a time works for all that wait on its table, in the order they came: whoever comes
while a group is on its way to the disk is in the next one. A lone statement waits for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Kind, Unavailable
from anabranch.warehouse.catalog.publishing import Publication, TableChange, TableMoved, copy_of
from anabranch.warehouse.changes.changing import opener
from anabranch.warehouse.changes.inserting import PlainRows
from anabranch.warehouse.changes.plain_rows import key_order
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.rowsets.rowset import NewRowset
from anabranch.warehouse.schema import KeyModel, Table

if TYPE_CHECKING:
    from anabranch.warehouse.loading.writing import RowsetSink
    from anabranch.warehouse.places import TablePlace


@dataclass(frozen=True, slots=True)
class Addition:
    """What one statement adds: rows without equal keys, and the numbers of those of a partition.

    `identity` is that of the schema that the rows were read for.
    """

    place: TablePlace
    table: Table
    identity: str
    rows: PlainRows
    partitions: Mapping[str, Sequence[int]]


def _locked() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Waiting:
    """An addition in the queue; `gate` is locked until it is done, or its caller leads."""

    addition: Addition
    keys: set[tuple[Any, ...]]
    gate: Lock = field(default_factory=_locked)
    leads: bool = False
    is_done: bool = False
    sequence: int | None = None
    error: BaseException | None = None


class InsertGroups:
    """Publishes additions for one process. Safe to use from many threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = Lock()
        self._queues: dict[TablePlace, deque[_Waiting]] = {}

    def publish(self, addition: Addition) -> int | None:
        """Publish rows, and return their sequence; blocks until they are durable.

        None says that nothing was published, and that the statement is to be planned anew.
        """
        waiting = _Waiting(addition, _keys(addition))
        with self._lock:
            queue = self._queues.get(addition.place)
            leads = queue is None
            if queue is None:
                queue = self._queues[addition.place] = deque()
            queue.append(waiting)
        if not leads:
            waiting.gate.acquire()
            leads = waiting.leads
        if leads:
            self._lead(queue, waiting)
        if waiting.error is not None:
            raise waiting.error
        return waiting.sequence

    def waiting(self, place: TablePlace) -> int:
        """Return how many additions to a table wait for its next group."""
        with self._lock:
            return len(self._queues.get(place, ()))

    def _lead(self, queue: deque[_Waiting], own: _Waiting) -> None:
        """Publish groups until the caller's own rows are done, then hand over."""
        try:
            while not own.is_done:
                with self._lock:
                    group = _take(queue)
                self._run(group)
        finally:
            with self._lock:
                if queue:
                    queue[0].leads = True
                    queue[0].gate.release()
                else:
                    self._queues.pop(own.addition.place, None)

    def _run(self, group: Sequence[_Waiting]) -> None:
        """Publish a group; each of its members is done afterwards, well or not."""
        try:
            sequence = self._publish([one.addition for one in group])
            for one in group:
                one.sequence = sequence
        except AnabranchError as error:
            for one in group:
                one.error = copy_of(error)
        except BaseException:
            for one in group:
                one.error = Unavailable(Kind.STORE_FAILED, "the publisher has stopped")
            raise
        finally:
            for one in group:
                one.is_done = True
                one.gate.release()

    def _publish(self, additions: Sequence[Addition]) -> int | None:
        first = additions[0]
        rowsets = self._written(additions)
        change = TableChange(first.place, first.table.id, first.identity, rowsets=tuple(rowsets))
        try:
            (sequence,) = self._parts.publisher.publish(Publication((change,)))
        except TableMoved:
            _abort(rowsets)
            return None
        except BaseException:
            _abort(rowsets)
            raise
        return sequence

    def _written(self, additions: Sequence[Addition]) -> list[NewRowset]:
        """Return a rowset of each partition with the rows of all."""
        first = additions[0]
        table, columns = first.table, first.rows.columns
        open_rowset = opener(self._parts, first.place, table, columns)
        made: list[NewRowset] = []
        sink: RowsetSink | None = None
        is_done = False
        try:
            for partition in dict.fromkeys(each for one in additions for each in one.partitions):
                rows = joined(additions, partition)
                sink = open_rowset(partition)
                sink.write(rows.stored(), rows.count)
                made.append(sink.finish())
                sink = None
            is_done = True
        finally:
            if not is_done:
                if sink is not None:
                    sink.abort()
                _abort(made)
        return made


def _abort(rowsets: Iterable[NewRowset]) -> None:
    for rowset in rowsets:
        rowset.body.abort()


def joined(additions: Sequence[Addition], partition: str) -> PlainRows:
    """Return the rows of one partition, in the order of their keys; equal ones as they came."""
    columns = additions[0].rows.columns
    values: list[list[Any]] = [[] for _ in columns]
    for addition in additions:
        numbers = addition.partitions.get(partition, ())
        for kept, given in zip(values, addition.rows.values, strict=True):
            kept += [given[number] for number in numbers]
    if len(values[0]) > 1:
        keys = _key_values(additions[0].table, PlainRows(columns, tuple(values)))
        order, _ = key_order(keys)
        values = [[kept[number] for number in order] for kept in values]
    return PlainRows(columns, tuple(values))


def _key_values(table: Table, rows: PlainRows) -> list[tuple[Any, ...]]:
    by_id = {column.id: values for column, values in zip(rows.columns, rows.values, strict=True)}
    keys = [by_id[column.id] for column in table.keys]
    return list(zip(*keys, strict=True)) if keys else [()] * rows.count


def _keys(addition: Addition) -> set[tuple[Any, ...]]:
    """Return the keys that nobody else's rows in the same rowset may have."""
    if addition.table.key_model is KeyModel.DUPLICATE:
        return set()
    return set(_key_values(addition.table, addition.rows))


def _take(queue: deque[_Waiting]) -> list[_Waiting]:
    """Return the next additions of one rowset, at least one.

    A rowset holds a key once, and the same columns in all of its rows.
    """
    group = [queue.popleft()]
    first = group[0].addition
    keys, count = set(group[0].keys), first.rows.count
    while queue:
        one = queue[0].addition
        count += one.rows.count
        if (
            count > limits.PLAIN_ROWS_MAX
            or one.identity != first.identity
            or one.rows.columns != first.rows.columns
            or not keys.isdisjoint(queue[0].keys)
        ):
            break
        keys |= queue[0].keys
        group.append(queue.popleft())
    return group
