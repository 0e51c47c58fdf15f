"""Large files beside small ones: rows whose key no other file has stand as they are.

Of a table of one large load and a few small ones only the keys of the small ones are folded; the
rest of the large one passes by, at the cost of looking its keys up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from anabranch.kernel import limits
from anabranch.warehouse.rowsets.scans import Reading, Source, classify, name_of, scan_sql
from anabranch.warehouse.schema import DELETE_SIGN_ID, SEQUENCE_ID, KeyModel, Table


def stands_alone(schema: Table, source: Source) -> bool:
    """Tell whether a file's rows are the table's, were there no other.

    A rowset that knew a column since dropped may have been keyed by it.
    """
    present = frozenset(schema.column_ids) | {DELETE_SIGN_ID, SEQUENCE_ID}
    is_flagged = source.fold is not None and source.fold.shape.is_flagged
    return not is_flagged and present.issuperset(source.header.known)


def bases_of(schema: Table, sources: Sequence[Source]) -> list[Source]:
    """Return at most one file of each partition, far larger than all others together."""
    if schema.key_model is KeyModel.DUPLICATE:
        return []
    rows: dict[str, int] = defaultdict(int)
    largest: dict[str, Source] = {}
    for source in sources:
        rows[source.partition] += source.header.rows
        known = largest.get(source.partition)
        if known is None or source.header.rows > known.header.rows:
            largest[source.partition] = source
    found = []
    for partition, source in largest.items():
        size, others = source.header.rows, rows[partition] - source.header.rows
        is_large = size >= limits.BASE_ROWS_MIN and size >= limits.BASE_TIMES * others
        if is_large and others and stands_alone(schema, source):
            found.append(source)
    return found


class Tail:
    """The keys of the files beside the large ones."""

    def __init__(self, reading: Reading, sources: Sequence[Source], texts: Sequence[str]) -> None:
        self._keys = [column.id for column in reading.schema.keys]
        branches = [
            scan_sql(reading, one, self._keys, absent=reading.default_of)
            for one in classify(reading, sources, texts, self._keys)
        ]
        self._sql = " UNION ALL ".join(branches)

    def without(self, rows: str) -> str:
        """Return those rows of a SELECT, which has the keys, that have none of these keys."""
        return self._joined(rows, "ANTI")

    def within(self, rows: str) -> str:
        """Return those that have one of these keys."""
        return self._joined(rows, "SEMI")

    def _joined(self, rows: str, kind: str) -> str:
        same = " AND ".join(
            f"l.{name_of(one)} IS NOT DISTINCT FROM t.{name_of(one)}" for one in self._keys
        )
        return f"SELECT l.* FROM ({rows}) l {kind} JOIN ({self._sql}) t ON {same}"  # noqa: S608 - its parts are our own
