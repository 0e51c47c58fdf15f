"""Publishing: finished rowsets become rows of their tables by one transaction of the branch.

One caller at a time publishes for all that wait on its branch, in the order they came: whoever
comes while a transaction is on its way to the disk is in the next one. Sequences are chosen in the
transaction, on condition of the last one (docs/formats/rowset.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Conflict, Kind, Unavailable
from anabranch.kernel.ids import BranchId, Path, RepositoryId
from anabranch.lake import Lake
from anabranch.lake.bodies import Body
from anabranch.lake.changes import BranchChange, Put, Seen
from anabranch.lake.values import BranchState
from anabranch.storage.kv.base import Condition, Versioned, Write, is_as_seen
from anabranch.warehouse.catalog.databases import JSON, small_body, writable
from anabranch.warehouse.catalog.labels import Expired, Labels, LabelUse, Taking
from anabranch.warehouse.catalog.sequences import Sequences
from anabranch.warehouse.catalog.snapshots import Snapshots
from anabranch.warehouse.catalog.tables import identity_of
from anabranch.warehouse.errors import SqlError, doris, lake_errors
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    NewRowset,
    Rowset,
    RowsetName,
    encode_header,
    rowset_path,
)
from anabranch.warehouse.schema import canonical_json

__all__ = [
    "LabelUse",
    "NewRowset",
    "Publication",
    "Publisher",
    "TableChange",
    "TableMoved",
    "copy_of",
]

PARQUET = "application/vnd.apache.parquet"
_GROUP_WRITES = 2_000  # of several publications together: one fsync serves them well before that


@dataclass(frozen=True, slots=True)
class TableChange:
    """What one statement does to a table; all its rowsets get one sequence.

    `identity` is that of the schema it was planned on. `removes` are rowsets it replaces,
    `overwrites` the ids of partitions that it empties first. It is published only if the table's
    last sequence is `if_last_sequence`, and its rowsets are exactly `if_rowsets`, where given: the
    latter also notices a merge or reset of the branch.
    """

    table: TablePlace
    table_id: str
    identity: str
    rowsets: tuple[NewRowset, ...] = ()
    removes: tuple[Rowset, ...] = ()
    overwrites: tuple[str, ...] = ()
    if_last_sequence: int | None = None
    if_rowsets: tuple[Rowset, ...] | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """What becomes visible at once: a load, or a transaction's statements in their order.

    All changes are of one branch. `conditions` and `writes` are the caller's, of the same
    transaction: its job's record. Without changes it only takes its label.
    """

    changes: tuple[TableChange, ...]
    label: LabelUse | None = None
    conditions: Sequence[Condition] = ()
    writes: Sequence[Write] = ()


class TableMoved(Conflict):
    """The table is no longer what the change was planned on: plan again."""


def _locked() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Waiting:
    """A publication in the queue, and the way back to who waits; `leads` says: go on for all.

    `gate` is locked until one of both is so.
    """

    publication: Publication
    gate: Lock = field(default_factory=_locked)
    overwrites: dict[str, Body] = field(default_factory=dict)
    leads: bool = False
    is_done: bool = False
    error: BaseException | None = None
    sequences: tuple[int, ...] = ()

    @property
    def writes(self) -> int:
        """Return how many writes it needs, about."""
        changes = self.publication.changes
        rows = sum(2 * len(one.rowsets) + len(one.removes) for one in changes)
        return rows + sum(2 * len(one.overwrites) + 1 for one in changes) + 8


@dataclass(slots=True)
class _Queue:
    waiting: deque[_Waiting] = field(default_factory=deque)
    has_leader: bool = False


@dataclass(slots=True)
class _Tail:
    """A table's end while a transaction is put together."""

    key: bytes
    row: Versioned | None
    last: int
    schema: Seen
    is_used: bool = False


@dataclass(slots=True)
class _Group:
    """A transaction being put together of several publications."""

    state: BranchState
    now_us: int
    tails: Mapping[str, _Tail]
    puts: dict[str, Put] = field(default_factory=dict)
    deletes: dict[str, None] = field(default_factory=dict)
    conditions: dict[Condition, None] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    answers: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a publication's label needs, and which labels it deletes."""

    label: Taking
    expired: Expired


class Publisher:
    """Publishes for one process. Safe to use from many threads."""

    def __init__(self, lake: Lake, snapshots: Snapshots, labels: Labels) -> None:
        self._lake = lake
        self._snapshots = snapshots
        self._labels = labels
        self._sequences = Sequences(lake)
        self._lock = Lock()
        self._queues: dict[tuple[RepositoryId, BranchId], _Queue] = {}

    def publish(self, publication: Publication) -> tuple[int, ...]:
        """Publish, and return the sequence of each change; blocks until it is durable.

        Raises TableMoved when a table is not as planned: nothing was published, and the bodies can
        be published again. Raises SqlError when the label is used or the branch takes no writes,
        Conflict when one of the publication's own conditions does not hold.
        """
        place = _place_of(publication)
        key = (place.repository, BranchId(place.ref))
        waiting = _Waiting(publication)
        with self._lock:
            queue = self._queues.setdefault(key, _Queue())
            queue.waiting.append(waiting)
            leads, queue.has_leader = not queue.has_leader, True
        if not leads:
            waiting.gate.acquire()
            leads = waiting.leads
        if leads:
            self._lead(key, queue, place, waiting)
        if waiting.error is not None:
            with lake_errors(TableMoved, Conflict):
                raise waiting.error
        return waiting.sequences

    def _lead(
        self,
        key: tuple[RepositoryId, BranchId],
        queue: _Queue,
        place: Place,
        own: _Waiting,
    ) -> None:
        """Publish groups until the caller's own publication is done, then hand over."""
        try:
            while not own.is_done:
                with self._lock:
                    group = _take(queue)
                self._run(place, group)
        finally:
            with self._lock:
                if queue.waiting:
                    queue.waiting[0].leads = True
                    queue.waiting[0].gate.release()
                else:
                    self._queues.pop(key, None)

    def _run(self, place: Place, group: list[_Waiting]) -> None:
        """Publish a group; each of its members is done afterwards, well or not."""
        try:
            target = writable(self._lake, place)
            answers = self._lake.changes.apply(target, lambda state: self._change(state, group))
            for index, one in enumerate(group):
                if one.error is None:
                    one.sequences = answers[index]
        except AnabranchError as error:
            for one in group:
                if one.error is None:
                    one.error = copy_of(error)
        except BaseException:
            for one in group:
                one.error = Unavailable(Kind.STORE_FAILED, "the publisher has stopped")
            raise
        finally:
            for one in group:
                one.is_done = True
                one.gate.release()

    def _change(
        self, state: BranchState, group: Sequence[_Waiting]
    ) -> BranchChange[Mapping[int, tuple[int, ...]]]:
        """Put a transaction together; who fails by itself is left out from then on."""
        live = [(index, one) for index, one in enumerate(group) if one.error is None]
        made = self._begin(state, [one.publication for _, one in live])
        for index, one in live:
            try:
                taken = self._judge(made, one.publication)
            except AnabranchError as error:
                one.error = error
            else:
                self._add(made, index, one, taken)
        for tail in made.tails.values():
            if tail.is_used:
                made.conditions[tail.schema.condition] = None
                made.conditions[is_as_seen(tail.key, tail.row)] = None
                made.writes.append(self._sequences.write(tail.key, state, tail.last))
        for path in made.puts:
            made.deletes.pop(path, None)
        return BranchChange(
            made.answers,
            puts=list(made.puts.values()),
            deletes=[Path(path) for path in made.deletes],
            conditions=list(made.conditions),
            writes=made.writes,
        )

    def _begin(self, state: BranchState, publications: Sequence[Publication]) -> _Group:
        tables = {
            change.table.prefix: change.table
            for publication in publications
            for change in publication.changes
        }
        keys = [self._sequences.key(state, table) for table in tables.values()]
        paths = [table.schema_path for table in tables.values()]
        schemas, rows = self._lake.changes.look(state, paths, keys)
        tails = {
            table.prefix: _Tail(key, row, self._sequences.last(state, table, row), schema)
            for table, key, row, schema in zip(tables.values(), keys, rows, schemas, strict=True)
        }
        return _Group(state, self._lake.kv.now_us(), tails)

    def _judge(self, made: _Group, publication: Publication) -> _Taken:
        """Return what a publication's label needs; raise when the publication cannot be."""
        for change in publication.changes:
            self._check(made, change)
        self._check_conditions(publication.conditions)
        use = publication.label
        if use is None:
            return _Taken(Taking(()), Expired())
        taking = self._labels.using(made.state, use)
        return _Taken(taking, self._labels.expired(made.state, use.database))

    def _add(self, made: _Group, index: int, one: _Waiting, taken: _Taken) -> None:
        """Add a publication that was found good."""
        publication = one.publication
        sequences: list[int] = []
        added: list[str] = []
        for change in publication.changes:
            tail = made.tails[change.table.prefix]
            tail.last = max(made.now_us, tail.last) + 1
            tail.is_used = True
            sequences.append(tail.last)
            made.deletes |= dict.fromkeys(rowset.path for rowset in change.removes)
            added += self._put_rowsets(made, change, tail.last)
            for partition in change.overwrites:
                self._put_overwrite(made, one, change.table.overwrite_path(partition))
        if publication.label is not None:
            made.deletes |= dict.fromkeys(taken.expired.paths)
            self._put_label(made, publication.label, added)
        conditions = (*taken.label.conditions, *taken.expired.conditions, *publication.conditions)
        made.conditions |= dict.fromkeys(conditions)
        made.writes += (*taken.label.writes, *publication.writes)
        made.answers[index] = tuple(sequences)

    def _check(self, made: _Group, change: TableChange) -> None:
        tail = made.tails[change.table.prefix]
        entry = tail.schema.entry
        if entry is None or identity_of(entry) != change.identity:
            raise _moved(change.table, "its schema has changed")
        if change.if_last_sequence is not None and tail.last != change.if_last_sequence:
            raise _moved(change.table, "rows were added meanwhile")
        if change.if_rowsets is None:
            return
        if tail.is_used:
            raise _moved(change.table, "rows were added meanwhile")
        found = self._snapshots.rowsets_at(made.state, change.table)
        if found is None:
            raise self._lake.changes.moved()
        if found != frozenset(one.path for one in change.if_rowsets):
            raise _moved(change.table, "its rows have changed")

    def _check_conditions(self, conditions: Sequence[Condition]) -> None:
        if not conditions:
            return
        values = self._lake.kv.read([one.key for one in conditions]).values
        for one, seen in zip(conditions, values, strict=True):
            if one.version != (0 if seen is None else seen.version):
                raise Conflict(Kind.CONFLICT, "what the publication relies on has changed")

    def _put_rowsets(self, made: _Group, change: TableChange, sequence: int) -> list[str]:
        paths: list[str] = []
        for rowset in change.rowsets:
            name = RowsetName(sequence, rowset.id)
            path = rowset_path(change.table, rowset.partition, name)
            metadata = ((METADATA_NAME, encode_header(rowset.header)),)
            made.puts[path] = Put(Path(path), rowset.body, metadata, PARQUET)
            paths.append(path)
        return paths

    def _put_overwrite(self, made: _Group, one: _Waiting, path: str) -> None:
        body = one.overwrites.get(path)
        if body is None:
            data = canonical_json({"format": 1, "id": self._lake.ids.hex32()}).encode()
            body = small_body(self._lake, made.state.repository, data)
            one.overwrites[path] = body
        made.puts[path] = Put(Path(path), body, (), JSON)

    def _put_label(self, made: _Group, use: LabelUse, added: Sequence[str]) -> None:
        data = self._labels.encode(use, added, made.now_us)
        path = use.database.label_path(use.label)
        body = small_body(self._lake, made.state.repository, data)
        made.puts[path] = Put(Path(path), body, (), JSON)


def _take(queue: _Queue) -> list[_Waiting]:
    """Return the next publications of one transaction, at least one."""
    group = [queue.waiting.popleft()]
    writes = group[0].writes
    labels = {_label_of(group[0])}
    while queue.waiting and len(group) < limits.PUBLICATIONS_AT_ONCE:
        first = queue.waiting[0]
        label = _label_of(first)
        writes += first.writes
        # Labels of one database are judged one transaction after the other: who takes one may fail.
        if writes > _GROUP_WRITES or (label is not None and label in labels):
            break
        labels.add(label)
        group.append(queue.waiting.popleft())
    return group


def _label_of(waiting: _Waiting) -> tuple[DatabasePlace, str] | None:
    use = waiting.publication.label
    return None if use is None else (use.database, use.label)


def _place_of(publication: Publication) -> Place:
    places = {change.table.place for change in publication.changes}
    if publication.label is not None:
        places.add(publication.label.database.place)
    if len(places) != 1:
        raise doris("a transaction writes to one branch of one catalog")
    return places.pop()


def _moved(table: TablePlace, why: str) -> TableMoved:
    return TableMoved(Kind.CONFLICT, f"table {table.database}.{table.table}: {why}")


def copy_of(error: AnabranchError) -> AnabranchError:
    """Return an error for one more caller: a shared one would collect the tracebacks of all."""
    if isinstance(error, SqlError):
        return SqlError(error.code, error.state, error.message, error.kind)
    return type(error)(error.kind, error.message, **error.details)
