"""Three-way merge of a table's schemas by ids of columns and partitions, never as text.

What one side changed and the other left alone is taken; equal changes are one; the rest is a
conflict, named by what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from anabranch.warehouse.schema import (
    Column,
    DroppedColumn,
    DroppedPartition,
    Partition,
    Partitioning,
    Table,
)
from anabranch.warehouse.schemas.partitions import overlap, sort_partitions

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SchemaConflict:
    """Something that both sides changed differently: `what` it is (`column v`) and `why`."""

    what: str
    why: str

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class MergedSchema:
    """The schema both sides agree on; usable only without conflicts."""

    table: Table
    conflicts: tuple[SchemaConflict, ...] = ()


class _Merger:
    """One merge: collects its conflicts."""

    def __init__(self) -> None:
        self.conflicts: list[SchemaConflict] = []

    def complain(self, what: str, why: str) -> None:
        self.conflicts.append(SchemaConflict(what, why))

    def value(self, what: str, base: _T, dest: _T, source: _T) -> _T:
        if dest == source or source == base:
            return dest
        if dest == base:
            return source
        self.complain(what, "changed on both sides")
        return dest


def merge_schemas(base: Table | None, dest: Table, source: Table) -> MergedSchema:
    """Return the merge of two schemas of one table.

    Without a base, or with tables of different ids, only equal schemas merge: a table created on
    both sides is a conflict.
    """
    if dest == source:
        return MergedSchema(dest)
    if base is None or not base.id == dest.id == source.id:
        why = "created on both sides" if base is None else "dropped and created again"
        return MergedSchema(dest, (SchemaConflict("table", why),))
    merger = _Merger()
    columns = _columns(merger, base, dest, source)
    merged = replace(
        dest,
        columns=columns,
        dropped_columns=_dropped_columns(dest, source, columns),
        partitioning=_partitioning(merger, base, dest, source, columns),
        distribution=merger.value(
            "distribution", base.distribution, dest.distribution, source.distribution
        ),
        properties=_properties(merger, "property", base, dest, source),
        comment=merger.value("comment", base.comment, dest.comment, source.comment),
    )
    _check_whole(merger, base, merged)
    return MergedSchema(merged, tuple(merger.conflicts))


def _check_whole(merger: _Merger, base: Table, merged: Table) -> None:
    """Complain of changes that each side could make alone, and that do not go together."""
    present = {column.id for column in merged.columns}
    if merged.partitioning and not present.issuperset(merged.partitioning.columns):
        merger.complain("partitioning", "names a column that was dropped")
    if merged.distribution and not present.issuperset(merged.distribution.columns):
        merger.complain("distribution", "names a column that was dropped")
    lost = [column for column in base.keys if column.id not in present]
    replaces = any(column.aggregate.startswith("REPLACE") for column in merged.columns)
    if lost and replaces:
        merger.complain(f"column {lost[0].name}", "a key was dropped, a REPLACE column added")
    if not merged.keys:
        merger.complain("columns", "no key column is left")


def _columns(merger: _Merger, base: Table, dest: Table, source: Table) -> tuple[Column, ...]:
    merged: dict[int, Column] = {}
    for column_id in _ids(dest.columns, source.columns):
        olds, ours, theirs = (table.by_id(column_id) for table in (base, dest, source))
        if ours is None or theirs is None:
            here = ours or theirs
            assert here is not None
            other = source if ours is not None else dest
            is_dropped = any(found.id == column_id for found in other.dropped_columns)
            if not is_dropped:
                merged[column_id] = here
            elif here != olds:
                merger.complain(f"column {here.name}", "dropped on one side, changed on the other")
                merged[column_id] = here
        elif olds is None:
            # Equal additions: ids agree, so names and types agreed when they were added.
            merged[column_id] = _same(merger, ours, theirs)
        else:
            merged[column_id] = _column(merger, olds, ours, theirs)
    _refuse_equal_names(merger, merged.values(), "column")
    order = _order(
        merger,
        [column.id for column in base.columns],
        [column.id for column in dest.columns],
        [column.id for column in source.columns],
        merged,
    )
    columns = sorted((merged[column_id] for column_id in order), key=lambda c: not c.is_key)
    return tuple(columns)


def _ids(*sides: Sequence[Column]) -> list[int]:
    return list(dict.fromkeys(column.id for side in sides for column in side))


def _same(merger: _Merger, ours: Column, theirs: Column) -> Column:
    if ours.default is not None and theirs.default is not None:
        # The same column added at two times: its rows get the earlier one on either side.
        frozen = min(ours.default.frozen, theirs.default.frozen)
        ours = replace(ours, default=replace(ours.default, frozen=frozen))
        theirs = replace(theirs, default=replace(theirs.default, frozen=frozen))
    if ours != theirs:
        merger.complain(f"column {ours.name}", "added differently on both sides")
    return ours


def _column(merger: _Merger, base: Column, ours: Column, theirs: Column) -> Column:
    what = f"column {base.name}"
    return replace(
        ours,
        name=merger.value(f"{what} (name)", base.name, ours.name, theirs.name),
        type=merger.value(f"{what} (type)", base.type, ours.type, theirs.type),
        is_nullable=merger.value(
            f"{what} (nullability)", base.is_nullable, ours.is_nullable, theirs.is_nullable
        ),
        default=merger.value(f"{what} (default)", base.default, ours.default, theirs.default),
        comment=merger.value(f"{what} (comment)", base.comment, ours.comment, theirs.comment),
    )


def _refuse_equal_names(merger: _Merger, things: Iterable[Column | Partition], what: str) -> None:
    seen: set[str] = set()
    for thing in things:
        if thing.name.lower() in seen:
            merger.complain(f"{what} {thing.name}", "two different ones have this name")
        seen.add(thing.name.lower())


def _order(
    merger: _Merger,
    base: list[int],
    dest: list[int],
    source: list[int],
    kept: dict[int, Column],
) -> list[int]:
    """Return the ids in the order of the side that moved some; what was added keeps its place."""
    everywhere = set(base) & set(dest) & set(source)
    base_order, dest_order, source_order = (
        [each for each in side if each in everywhere] for side in (base, dest, source)
    )
    if dest_order not in (base_order, source_order) and source_order != base_order:
        merger.complain("column order", "changed on both sides")
    is_theirs = dest_order == base_order and source_order != base_order
    first, second = (source, dest) if is_theirs else (dest, source)
    order = [each for each in first if each in kept]
    for at, each in enumerate(second):
        if each in kept and each not in order:
            before = [found for found in second[:at] if found in order]
            order.insert(order.index(before[-1]) + 1 if before else 0, each)
    return order


def _dropped_columns(
    dest: Table, source: Table, columns: Iterable[Column]
) -> tuple[DroppedColumn, ...]:
    present = {column.id for column in columns}
    found = {column.id: column for column in (*source.dropped_columns, *dest.dropped_columns)}
    ordered = dict.fromkeys(
        column.id for column in (*dest.dropped_columns, *source.dropped_columns)
    )
    return tuple(found[each] for each in ordered if each not in present)


def _properties(
    merger: _Merger, what: str, base: Table, dest: Table, source: Table
) -> tuple[tuple[str, str], ...]:
    sides = [dict(table.properties) for table in (base, dest, source)]
    merged: dict[str, str] = {}
    for name in sorted(set().union(*sides)):
        value = merger.value(f"{what} {name}", *(side.get(name) for side in sides))
        if value is not None:
            merged[name] = value
    return tuple(merged.items())


def _partitioning(
    merger: _Merger, base: Table, dest: Table, source: Table, columns: Sequence[Column]
) -> Partitioning | None:
    if base.partitioning is None or dest.partitioning is None or source.partitioning is None:
        return merger.value(
            "partitioning", base.partitioning, dest.partitioning, source.partitioning
        )
    sides = [
        {found.id: found for found in partitioning.partitions}
        for partitioning in (base.partitioning, dest.partitioning, source.partitioning)
    ]
    gone = [
        {found.id for found in partitioning.dropped}
        for partitioning in (dest.partitioning, source.partitioning)
    ]
    merged: dict[str, Partition] = {}
    for partition_id in dict.fromkeys([*sides[1], *sides[2]]):
        olds, ours, theirs = (side.get(partition_id) for side in sides)
        is_dropped = any(partition_id in side for side in gone)
        if kept := _partition(merger, olds, ours, theirs, is_dropped):
            merged[partition_id] = kept
    found = list(merged.values())
    _refuse_equal_names(merger, found, "partition")
    keys = [column for each in dest.partitioning.columns for column in columns if column.id == each]
    _refuse_overlaps(merger, found, sides[1], sides[2], keys)
    dropped: dict[str, DroppedPartition] = {}
    for each in (*dest.partitioning.dropped, *source.partitioning.dropped):
        dropped.setdefault(each.id, each)
    return replace(
        dest.partitioning,
        partitions=sort_partitions(found, keys),
        dropped=tuple(each for each in dropped.values() if each.id not in merged),
    )


def _partition(
    merger: _Merger,
    base: Partition | None,
    ours: Partition | None,
    theirs: Partition | None,
    is_dropped: bool,
) -> Partition | None:
    """Return what becomes of a partition that at least one side has; None if it goes."""
    if ours is None or theirs is None:
        here = ours or theirs
        assert here is not None
        if is_dropped and here == base:
            return None
        if is_dropped:
            what = f"partition {here.name}"
            merger.complain(what, "dropped on one side, changed on the other")
        return here
    if base is None:
        if ours != theirs:
            merger.complain(f"partition {ours.name}", "added differently on both sides")
        return ours
    what = f"partition {base.name}"
    return replace(
        ours,
        name=merger.value(f"{what} (name)", base.name, ours.name, theirs.name),
        properties=merger.value(
            f"{what} (properties)", base.properties, ours.properties, theirs.properties
        ),
    )


def _refuse_overlaps(
    merger: _Merger,
    partitions: Sequence[Partition],
    ours: dict[str, Partition],
    theirs: dict[str, Partition],
    columns: Sequence[Column],
) -> None:
    """Complain of partitions of different sides that a row could be in both of."""
    only_ours = [found for found in partitions if found.id not in theirs]
    only_theirs = [found for found in partitions if found.id not in ours]
    everywhere = [found for found in partitions if found.id in ours and found.id in theirs]
    pairs = [(mine, yours) for mine in only_ours for yours in [*only_theirs, *everywhere]]
    pairs += [(mine, yours) for mine in only_theirs for yours in everywhere]
    for mine, yours in pairs:
        if overlap(mine.bounds, yours.bounds, columns):
            merger.complain(f"partition {mine.name}", f"overlaps partition {yours.name}")
