"""Which rowsets of two sides may hold the same keys: told by their footers, without an engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.rowsets.rowset import Footer, Header, RowsetKind
from anabranch.warehouse.schema import DELETE_SIGN_ID, KeyModel, Table
from anabranch.warehouse.values import value_key

_End = tuple[bool, Any]  # NULL, which is (False, 0), is the smallest
Range = tuple[_End, _End]
Ranges = Mapping[int, Range]
"""Smallest and largest by key column id; a column that is left out may hold anything."""


@dataclass(frozen=True, slots=True)
class ChangedRowset:
    """A rowset that a side added, or removed: `is_added`."""

    path: str
    partition: str
    header: Header
    is_added: bool


def judged_columns(schema: Table) -> tuple[int, ...]:
    """Return the ids of the columns of which the last value stands: only these can conflict."""
    return tuple(
        column.id
        for column in schema.values
        if schema.key_model is KeyModel.UNIQUE or column.aggregate.startswith("REPLACE")
    )


def has_row_conflicts(schema: Table) -> bool:
    """Tell whether rows of a table can conflict at all."""
    return schema.key_model is KeyModel.UNIQUE or (
        schema.key_model is KeyModel.AGGREGATE and bool(judged_columns(schema))
    )


def overlapping(
    schema: Table,
    ours: Iterable[ChangedRowset],
    theirs: Iterable[ChangedRowset],
    open_footer: Callable[[str], Footer],
) -> dict[str, tuple[list[str], list[str]]]:
    """Return by partition the paths of the rowsets of each side that may touch rows of both."""
    sides: list[dict[str, list[ChangedRowset]]] = []
    for side in (ours, theirs):
        by_partition: dict[str, list[ChangedRowset]] = defaultdict(list)
        for one in side:
            if one.header.kind is not RowsetKind.DELETE and one.header.rows:
                by_partition[one.partition].append(one)
        sides.append(by_partition)
    found: dict[str, tuple[list[str], list[str]]] = {}
    for partition in sorted(sides[0].keys() & sides[1].keys()):
        pair = _meeting(schema, sides[0][partition], sides[1][partition], open_footer)
        if pair[0]:
            found[partition] = pair
    return found


def ranges_of(schema: Table, footer: Footer) -> Ranges:
    """Return what key values a rowset holds."""
    found: dict[int, Range] = {}
    for column in schema.keys:
        pair = footer.keys.get(column.id)
        if pair is None:
            continue
        try:
            low, high = (
                (False, 0) if text is None else (True, value_key(column.type, text))
                for text in pair
            )
        except SqlError:
            # Written when the column was another: nothing is known of it.
            continue
        found[column.id] = (low, high)
    return found


def hull(ranges: Sequence[Ranges]) -> Ranges:
    """Return what holds all of some ranges, at least one."""
    ids = set(ranges[0]).intersection(*ranges)
    return {
        one: (min(each[one][0] for each in ranges), max(each[one][1] for each in ranges))
        for one in ids
    }


def meet(left: Ranges, right: Ranges) -> bool:
    """Tell whether one key may lie in both."""
    return all(
        left[one][0] <= right[one][1] and right[one][0] <= left[one][1]
        for one in left.keys() & right.keys()
    )


def _meeting(
    schema: Table,
    ours: Sequence[ChangedRowset],
    theirs: Sequence[ChangedRowset],
    open_footer: Callable[[str], Footer],
) -> tuple[list[str], list[str]]:
    columns = frozenset(judged_columns(schema))
    is_unique = schema.key_model is KeyModel.UNIQUE
    ranges = {one.path: ranges_of(schema, open_footer(one.path)) for one in (*ours, *theirs)}
    if len(ours) * len(theirs) > limits.MERGE_ROWSET_PAIRS_MAX:
        all_ours, all_theirs = (hull([ranges[one.path] for one in side]) for side in (ours, theirs))
        kept = (
            [one.path for one in ours if meet(ranges[one.path], all_theirs)],
            [one.path for one in theirs if meet(ranges[one.path], all_ours)],
        )
        return kept if all(kept) else ([], [])
    mine: dict[str, None] = {}
    yours: dict[str, None] = {}
    for one in ours:
        for other in theirs:
            if _may_clash(one, other, columns, is_unique=is_unique) and meet(
                ranges[one.path], ranges[other.path]
            ):
                mine[one.path] = None
                yours[other.path] = None
    return list(mine), list(yours)


def _may_clash(
    one: ChangedRowset, other: ChangedRowset, columns: frozenset[int], *, is_unique: bool
) -> bool:
    """Tell whether two rowsets that hold the same key write the same of it."""
    if is_unique and not (one.is_added and other.is_added):
        return True
    written, others = frozenset(one.header.written), frozenset(other.header.written)
    if is_unique and DELETE_SIGN_ID in written | others:
        return True
    both = written & others
    # A full row of a table without values says that its key is there.
    return bool(both & columns) or (is_unique and not columns)
