"""A statement's change of one table, planned on what the table is now and published at once.

A plan that the table moved away from is made again: `Changing.run` says how often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.kernel import limits
from anabranch.warehouse.catalog.publishing import LabelUse, Publication, TableChange, TableMoved
from anabranch.warehouse.errors import doris, unknown_partition
from anabranch.warehouse.loading.writing import OpenRowset, Written
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.rowsets.rowset import NewRowset
from anabranch.warehouse.rowsets.writer import RowsetWriter
from anabranch.warehouse.schema import UNPARTITIONED, Column, Partition, Table

if TYPE_CHECKING:
    from anabranch.storage.kv.base import Write
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.places import TablePlace
    from anabranch.warehouse.session import SqlSession


@dataclass(frozen=True, slots=True)
class Planned:
    """A change ready to be published; `change` is None where nothing would change."""

    table: TablePlace
    change: TableChange | None
    affected_rows: int
    filtered_rows: int = 0
    first_error: str = ""

    def abandon(self) -> None:
        """Forget the bytes that were written for it."""
        for rowset in self.change.rowsets if self.change is not None else ():
            rowset.body.abort()


Plan = Callable[[], Planned]
"""Makes a change on the table as it is now; it can be asked again."""
Recording = Callable[[Sequence[Planned]], Sequence["Write"]]
"""Gives the writes that belong into the transaction which publishes what was planned."""


@dataclass(frozen=True, slots=True)
class Published:
    """A change that is visible, and its sequence; None where nothing changed."""

    planned: Planned
    sequence: int | None


class Changing:
    """Runs plans: makes them, publishes them, makes them again when their table moved."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(
        self,
        session: SqlSession,
        plans: Sequence[Plan],
        label: LabelUse | None = None,
        recording: Recording | None = None,
    ) -> list[Published]:
        """Publish the changes of plans in one transaction; raise SqlError 1105 or of a plan."""
        return self.finish(session, plans, [plan() for plan in plans], label, recording)

    def finish(
        self,
        session: SqlSession,
        plans: Sequence[Plan],
        made: Sequence[Planned],
        label: LabelUse | None = None,
        recording: Recording | None = None,
    ) -> list[Published]:
        """Publish what plans made, `made` being their first; see `run`."""
        planned = list(made)
        for _ in range(limits.STATEMENT_RUNS_MAX):
            changes = tuple(each.change for each in planned if each.change is not None)
            if not changes and label is None:
                return [Published(each, None) for each in planned]
            try:
                writes = recording(planned) if recording is not None else ()
                publication = Publication(changes, label, writes=writes)
                sequences = iter(self._parts.publisher.publish(publication))
            except TableMoved:
                abandon(planned)
            except BaseException:
                abandon(planned)
                raise
            else:
                return [
                    Published(each, None if each.change is None else next(sequences))
                    for each in planned
                ]
            session.check()
            planned = _again(plans)
        abandon(planned)
        raise doris("transaction conflict")


def _again(plans: Sequence[Plan]) -> list[Planned]:
    made: list[Planned] = []
    try:
        for plan in plans:
            made.append(plan())
    except BaseException:
        abandon(made)
        raise
    return made


def abandon(planned: Sequence[Planned]) -> None:
    """Forget what plans wrote."""
    for each in planned:
        each.abandon()


def opener(
    parts: Parts,
    place: TablePlace,
    table: Table,
    written: Sequence[Column],
) -> OpenRowset:
    """Return what opens rowsets of a table for the columns that a statement writes."""
    repository = parts.lake.repositories.get(place.place.repository)
    ids = [column.id for column in written]

    def open_rowset(partition: str) -> RowsetWriter:
        return RowsetWriter(parts.lake.bodies, repository, parts.ids, table, partition, ids)

    return open_rowset


def chosen_partitions(
    table: Table, table_name: str, names: Sequence[str] | None
) -> tuple[str, ...] | None:
    """Return the ids of the partitions named, None for all; raise 1735."""
    if names is None:
        return None
    found: list[str] = []
    for name in names:
        partition: Partition | None = table.find_partition(name)
        if partition is None:
            raise unknown_partition(name, table_name)
        found.append(partition.id)
    return tuple(dict.fromkeys(found))


def partition_ids(table: Table) -> tuple[str, ...]:
    """Return the ids of all partitions; that of the rows of a table without any."""
    if table.partitioning is None:
        return (UNPARTITIONED,)
    return tuple(partition.id for partition in table.partitioning.partitions)


def replacement(
    snapshot: TableSnapshot,
    chosen: Sequence[str] | None,
    rowsets: tuple[NewRowset, ...] = (),
) -> TableChange:
    """Return the change that removes what partitions hold and puts rowsets in its place."""
    removes = tuple(
        rowset for rowset in snapshot.rowsets if chosen is None or rowset.partition in chosen
    )
    return TableChange(
        snapshot.table,
        snapshot.schema.id,
        snapshot.identity,
        rowsets=rowsets,
        removes=removes,
        overwrites=tuple(partition_ids(snapshot.schema) if chosen is None else chosen),
        if_last_sequence=snapshot.last_sequence,
        if_rowsets=snapshot.rowsets,
    )


def judged(written: Written, *, is_strict: bool) -> Written:
    """Return what was written; in strict mode raise SqlError if a row was refused."""
    if not written.filtered_rows or not is_strict:
        return written
    for rowset in written.rowsets:
        rowset.body.abort()
    reason = written.errors[0].reason if written.errors else ""
    raise doris(f"Insert has filtered data in strict mode. first error: {reason}")
