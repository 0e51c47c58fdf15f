"""Which partition a row belongs to, as SQL of the engine: a number in the order given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anabranch.warehouse.errors import unknown_partition
from anabranch.warehouse.schema import UNPARTITIONED, Bounds, Column, Partition, Table
from anabranch.warehouse.schemas.partitions import partition_columns, sort_partitions
from anabranch.warehouse.sql.transforms.rendering import quote_text
from anabranch.warehouse.types import to_duckdb


@dataclass(frozen=True, slots=True)
class Routing:
    """`sql` is the number of a row's partition in `ids`, NULL for a row that has none.

    `join` goes after the relation whose columns `sql` names. `is_total` tells that every row has
    a partition.
    """

    ids: tuple[str, ...]
    sql: str
    join: str = ""
    is_total: bool = False


def routing(table: Table, values: Mapping[int, str], names: Sequence[str] | None) -> Routing:
    """Return how rows find their partitions among those named, or all.

    `values` has SQL of the partition columns by id. Raises 1735 for a name that is none.
    """
    if table.partitioning is None:
        if names:
            raise unknown_partition(names[0], "")
        return Routing((UNPARTITIONED,), "0", is_total=True)
    columns = partition_columns(table)
    partitions = sort_partitions(_chosen(table, names), columns)
    texts = [values[column.id] for column in columns]
    ids = tuple(partition.id for partition in partitions)
    if not partitions:
        return Routing((), "CAST(NULL AS INTEGER)")
    if table.partitioning.kind == "LIST":
        return _listed(ids, [each.bounds for each in partitions], columns, texts)
    bounds = [each.bounds for each in partitions]
    return Routing(ids, _tree(bounds, columns, texts, 0, len(bounds)))


def _chosen(table: Table, names: Sequence[str] | None) -> tuple[Partition, ...]:
    assert table.partitioning is not None
    if names is None:
        return table.partitioning.partitions
    chosen: dict[str, Partition] = {}
    for name in names:
        found = table.find_partition(name)
        if found is None:
            raise unknown_partition(name, "")
        chosen[found.id] = found
    return tuple(chosen.values())


def _literal(text: str, column: Column) -> str:
    return f"CAST({quote_text(text)} AS {to_duckdb(column.type)})"


def _tree(
    bounds: Sequence[Bounds], columns: Sequence[Column], texts: Sequence[str], low: int, high: int
) -> str:
    """Return a search among partitions `low` to `high`, as many tests as a binary search takes."""
    if high - low == 1:
        found = bounds[low]
        tests: list[str] = []
        if found.lower[0] is not None:
            tests.append(f"NOT {_below(found.lower, columns, texts)}")
        if found.upper[0] is not None:
            tests.append(_below(found.upper, columns, texts))
        return f"CASE WHEN {' AND '.join(tests)} THEN {low} END" if tests else str(low)
    middle = (low + high) // 2
    border = bounds[middle].lower
    test = _below(border, columns, texts)
    left = _tree(bounds, columns, texts, low, middle)
    right = _tree(bounds, columns, texts, middle, high)
    return f"CASE WHEN {test} THEN {left} ELSE {right} END"


def _below(bound: Sequence[str | None], columns: Sequence[Column], texts: Sequence[str]) -> str:
    """Return whether the values come before a bound; NULL comes before every value."""
    test = ""
    for text, column, limit in reversed(list(zip(texts, columns, bound, strict=True))):
        assert limit is not None, "a bound is a value in every column or in none"
        literal = _literal(limit, column)
        less = f"({text} IS NULL OR {text} < {literal})"
        test = f"({less} OR ({text} = {literal} AND {test}))" if test else less
    return test


def _listed(
    ids: tuple[str, ...],
    bounds: Sequence[Bounds],
    columns: Sequence[Column],
    texts: Sequence[str],
) -> Routing:
    rows: list[str] = []
    for number, each in enumerate(bounds):
        for value in each.values:
            cells = [
                f"CAST(NULL AS {to_duckdb(column.type)})"
                if cell is None
                else _literal(cell, column)
                for cell, column in zip(value, columns, strict=True)
            ]
            rows.append(f"({', '.join((*cells, str(number)))})")
    names = [f"b{index}" for index in range(len(columns))]
    tests = " AND ".join(
        f"listed.{name} IS NOT DISTINCT FROM {text}"
        for name, text in zip(names, texts, strict=True)
    )
    declared = ", ".join((*names, "number"))
    join = f" LEFT JOIN (VALUES {', '.join(rows)}) AS listed({declared}) ON {tests}"
    return Routing(ids, "listed.number", join)
