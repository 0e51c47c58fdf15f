"""Bounds of partitions: made canonical, compared, and found free of overlaps."""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris, duplicate_partition, not_supported
from anabranch.warehouse.schema import (
    Bounds,
    Column,
    DroppedPartition,
    Partition,
    Partitioning,
    Table,
    make_partition_id,
    parse_column_name,
)
from anabranch.warehouse.sql.statements import (
    Bound,
    BoundKind,
    Extreme,
    PartitionDefinition,
)
from anabranch.warehouse.types import INTEGERS, SqlType
from anabranch.warehouse.values import ValueKey, canonical_value, value_key

# A position between the values of a column: (-1,) below all, (0, value), (1,) above all.
_Position = tuple[tuple[int, ValueKey], ...]
_LOWEST: tuple[int, ValueKey] = (-1, 0)
_HIGHEST: tuple[int, ValueKey] = (1, 0)


def partition_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns that a table is partitioned by."""
    ids = table.partitioning.columns if table.partitioning else ()
    found = tuple(table.by_id(column_id) for column_id in ids)
    assert all(found)
    return tuple(column for column in found if column is not None)


def add_partition(table: Table, definition: PartitionDefinition) -> Table:
    """Return `table` with the partition, or partitions, of a definition: `add_partitions`."""
    return add_partitions(table, (definition,))


def add_partitions(table: Table, definitions: Sequence[PartitionDefinition]) -> Table:
    """Return `table` with the partitions of definitions, in their order.

    Raises 1517 for a name that is there (unless IF NOT EXISTS), and Doris's text for bounds that
    meet others.
    """
    partitioning = table.partitioning
    if partitioning is None:
        raise doris("Only support adding partition to range and list partitioned table")
    columns = partition_columns(table)
    adding = _Adding(table.id, partitioning, columns)
    for definition in definitions:
        for single in _expand(definition, columns):
            adding.add(single)
    partitions = sort_partitions(adding.partitions, columns)
    return replace(table, partitioning=replace(partitioning, partitions=partitions))


class _Adding:
    """Partitions of a table while some are added; each costs a search, not a walk over all."""

    def __init__(
        self, table_id: str, partitioning: Partitioning, columns: Sequence[Column]
    ) -> None:
        self._table_id = table_id
        self._kind = partitioning.kind
        self._columns = columns
        self.partitions = list(partitioning.partitions)
        self._names = {found.name.lower() for found in self.partitions}
        before: list[Partition | DroppedPartition] = [
            *partitioning.partitions,
            *partitioning.dropped,
        ]
        self._ids = {found.id for found in before}
        self._counts = Counter(found.bounds for found in before)
        self._listed = {value: p.name for p in self.partitions for value in p.bounds.values}
        # Ranges do not meet, so in the order of their lower edges the upper ones ascend too.
        ranges = [] if self._kind == "LIST" else [p.bounds for p in self.partitions]
        ranges.sort(key=lambda bounds: _edges(bounds, columns))
        self._ranges = ranges
        self._uppers = [_edges(bounds, columns)[1] for bounds in ranges]

    def add(self, definition: PartitionDefinition) -> None:
        name = parse_column_name(definition.name)
        if name.lower() in self._names:
            if definition.if_not_exists:
                return
            raise duplicate_partition(name)
        if len(self.partitions) >= limits.PARTITIONS_MAX:
            raise doris(f"a table has at most {limits.PARTITIONS_MAX} partitions")
        if self._kind == "LIST":
            bounds = _list_bounds(definition, self._columns)
            for value in bounds.values:
                if other := self._listed.get(value):
                    raise doris(f"The partition {name}'s values are in partition {other} too")
            self._listed.update(dict.fromkeys(bounds.values, name))
        else:
            bounds = self._add_range(definition)
        added = self._counts[bounds]
        made = make_partition_id(self._table_id, bounds, added, self._ids)
        self._names.add(name.lower())
        self._ids.add(made)
        self._counts[bounds] += 1
        properties = tuple(sorted(definition.properties))
        self.partitions.append(Partition(made, name, bounds, added, properties))

    def _add_range(self, definition: PartitionDefinition) -> Bounds:
        if definition.kind is BoundKind.IN:
            raise doris("Expected a RANGE partition: VALUES LESS THAN or VALUES [(..), (..))")
        columns = self._columns
        upper = _pad(definition.upper, columns, definition.name)
        below = bisect_right(self._uppers, _position(upper, columns, _HIGHEST))
        if definition.kind is BoundKind.FIXED:
            if Extreme.MAXVALUE in definition.lower:
                raise doris(f"Partition {definition.name}: MAXVALUE is no lower bound")
            lower = _pad(definition.lower, columns, definition.name)
        else:
            # LESS THAN begins where the nearest partition below ends.
            lower = self._ranges[below - 1].upper if below else (None,) * len(columns)
        bounds = Bounds(lower, upper)
        low, high = _edges(bounds, columns)
        if not low < high:
            raise doris(f"Range {show_bounds(bounds)} is empty: its lower bound is not below")
        at = bisect_right(self._uppers, low)
        for other in self._ranges[at : at + 1]:
            if overlap(bounds, other, columns):
                raise doris(
                    f"Range {show_bounds(bounds)} is intersected with range {show_bounds(other)}"
                )
        self._ranges.insert(at, bounds)
        self._uppers.insert(at, high)
        return bounds


def sort_partitions(
    partitions: Sequence[Partition], columns: Sequence[Column]
) -> tuple[Partition, ...]:
    """Return RANGE partitions in the order of their bounds; LIST ones stay as they are."""
    if not partitions or partitions[0].bounds.values:
        return tuple(partitions)
    return tuple(
        sorted(partitions, key=lambda found: _position(found.bounds.lower, columns, _LOWEST))
    )


def _pad(values: tuple[Bound, ...], columns: Sequence[Column], name: str) -> tuple[str | None, ...]:
    """Return canonical values of a bound; columns left out are the smallest value.

    MAXVALUE stands for the whole bound: a bound that mixes values and MAXVALUE would need a second
    spelling of its successor's beginning.
    """
    if len(values) > len(columns):
        raise doris(f"Partition values number is more than partition column number: {name}")
    if all(value is Extreme.MAXVALUE for value in values):
        return (None,) * len(columns)
    made: list[str | None] = []
    for value, column in zip(values, columns, strict=False):
        if value is Extreme.MAXVALUE:
            raise not_supported("MAXVALUE beside a value")
        if value is None:
            raise doris(f"Partition {name}: NULL is no bound of a range")
        assert isinstance(value, str)
        made.append(canonical_value(column.type, value))
    for column in columns[len(made) :]:
        made.append(_smallest(column))
    return tuple(made)


def _smallest(column: Column) -> str:
    if column.type.kind in INTEGERS:
        bits = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63, "LARGEINT": 127}
        return str(-(1 << bits[column.type.kind]))
    if column.type.kind is SqlType.DATE:
        return "0000-01-01"
    return canonical_value(column.type, "0000-01-01 00:00:00")


def _list_bounds(definition: PartitionDefinition, columns: Sequence[Column]) -> Bounds:
    if definition.kind is not BoundKind.IN:
        raise doris("Expected a LIST partition: VALUES IN (..)")
    values: dict[tuple[tuple[int, ValueKey], ...], tuple[str | None, ...]] = {}
    for row in definition.values:
        if len(row) != len(columns):
            raise doris(f"partition item's size must be {len(columns)}: {definition.name}")
        made: list[str | None] = []
        for value, column in zip(row, columns, strict=True):
            if value is Extreme.MAXVALUE:
                raise doris("List partition not support max value")
            if value is None and not column.is_nullable:
                raise doris(f"column {column.name} is not nullable and takes no NULL partition")
            assert value is None or isinstance(value, str)
            made.append(None if value is None else canonical_value(column.type, value))
        key = _position(tuple(made), columns, _LOWEST)
        if key in values:
            raise doris(f"The partition key {tuple(made)} is duplicate in {definition.name}")
        values[key] = tuple(made)
    if not values:
        raise doris(f"partition {definition.name} has no values")
    return Bounds(values=tuple(values[key] for key in sorted(values)))


def _position(
    values: Sequence[str | None], columns: Sequence[Column], none: tuple[int, ValueKey]
) -> _Position:
    return tuple(
        none if value is None else (0, value_key(column.type, value))
        for value, column in zip(values, columns, strict=True)
    )


def overlap(left: Bounds, right: Bounds, columns: Sequence[Column]) -> bool:
    """Tell whether a row could be in both."""
    if left.values or right.values:
        return bool(set(left.values) & set(right.values))
    left_lower, left_upper = _edges(left, columns)
    right_lower, right_upper = _edges(right, columns)
    return left_lower < right_upper and right_lower < left_upper


def _edges(bounds: Bounds, columns: Sequence[Column]) -> tuple[_Position, _Position]:
    return (
        _position(bounds.lower, columns, _LOWEST),
        _position(bounds.upper, columns, _HIGHEST),
    )


def show_bounds(bounds: Bounds) -> str:
    """Return bounds as errors and SHOW PARTITIONS print them."""
    if bounds.values:
        return ", ".join(f"({', '.join(item or 'NULL' for item in row)})" for row in bounds.values)
    lower = ", ".join("MIN" if value is None else value for value in bounds.lower)
    upper = ", ".join("MAX" if value is None else value for value in bounds.upper)
    return f"[({lower}), ({upper}))"


def _expand(
    definition: PartitionDefinition, columns: Sequence[Column]
) -> list[PartitionDefinition]:
    """Return the partitions of FROM .. TO .. INTERVAL, or the definition itself."""
    if definition.kind is not BoundKind.STEP:
        return [definition]
    if len(columns) != 1 or len(definition.lower) != 1 or len(definition.upper) != 1:
        raise doris("FROM .. TO .. INTERVAL takes one partition column")
    kind = columns[0].type
    start, end = definition.lower[0], definition.upper[0]
    if not isinstance(start, str) or not isinstance(end, str) or definition.step < 1:
        raise doris("FROM .. TO .. INTERVAL takes two values and a positive interval")
    made: list[PartitionDefinition] = []
    at, stop = value_key(kind, start), value_key(kind, end)
    origin, count = at, 0
    while at < stop:  # type: ignore[operator]  # both are keys of one type
        if len(made) >= limits.PARTITIONS_MAX:
            raise doris(f"a table has at most {limits.PARTITIONS_MAX} partitions")
        count += 1
        after = min(_step(origin, definition, count), stop)
        lower, upper = _spell(at), _spell(after)
        sign = "minus_" if lower.startswith("-") else ""
        name = f"p_{sign}{''.join(digit for digit in lower if digit.isdigit())}"
        made.append(
            replace(definition, name=name, kind=BoundKind.FIXED, lower=(lower,), upper=(upper,))
        )
        at = after
    if not made:
        raise doris("FROM .. TO .. INTERVAL makes no partition")
    return made


_UNITS = {
    "DAY": 86_400,
    "WEEK": 7 * 86_400,
    "HOUR": 3_600,
    "MINUTE": 60,
    "SECOND": 1,
}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def _step(origin: ValueKey, definition: PartitionDefinition, count: int) -> ValueKey:
    """Return `origin` and `count` intervals; months are counted from `origin`, so ends keep."""
    by = definition.step * count
    if isinstance(origin, int):
        if definition.unit:
            raise doris("an INTERVAL of numbers has no unit")
        return origin + by
    if not isinstance(origin, tuple):
        raise doris("FROM .. TO .. INTERVAL takes dates or numbers")
    if definition.unit in _MONTHS:
        months = origin[0] * 12 + origin[1] - 1 + by * _MONTHS[definition.unit]
        year, month = divmod(months, 12)
        if year > 9999:
            raise _past()
        day = min(origin[2], calendar.monthrange(year or 2000, month + 1)[1])
        return (year, month + 1, day, *origin[3:])
    if definition.unit not in _UNITS:
        raise doris("an INTERVAL of dates needs a unit")
    if len(origin) == 3 and _UNITS[definition.unit] < 86_400:
        raise doris(f"a DATE takes no INTERVAL of {definition.unit}")
    return _add_seconds(origin, by * _UNITS[definition.unit])


def _add_seconds(origin: tuple[int, ...], seconds: int) -> ValueKey:
    hour, minute, second = origin[3:6] if len(origin) > 3 else (0, 0, 0)
    days, rest = divmod(hour * 3600 + minute * 60 + second + seconds, 86_400)
    year, month, day = origin[0], origin[1], origin[2] + days
    while day > (length := calendar.monthrange(year or 2000, month)[1]):
        day -= length
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        if year > 9999:
            raise _past()
    if len(origin) == 3:
        return (year, month, day)
    return (year, month, day, rest // 3600, rest % 3600 // 60, rest % 60, origin[6])


def _past() -> SqlError:
    return doris("FROM .. TO .. INTERVAL passes the year 9999")


def _spell(key: ValueKey) -> str:
    if not isinstance(key, tuple):
        return str(key)
    date = f"{key[0]:04}-{key[1]:02}-{key[2]:02}"
    if len(key) == 3:
        return date
    clock = f" {key[3]:02}:{key[4]:02}:{key[5]:02}"
    return date + clock + (f".{key[6]:06}" if key[6] else "")
