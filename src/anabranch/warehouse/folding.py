"""A table out of its rowsets: rows with equal keys become one when they are read.

The result is a function of the set of rowsets, as docs/formats/rowset.md defines it, and is SQL
that the engine runs: nothing is read here but the footers that planning needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from anabranch.warehouse.aggregating import (
    Contributions,
    fold_contributions,
)
from anabranch.warehouse.places import ROWSETS
from anabranch.warehouse.predicates import bound_predicate
from anabranch.warehouse.rowset_footers import Footers
from anabranch.warehouse.rowset_scans import (
    Predicates,
    Reading,
    RowsetClass,
    Source,
    classify,
    name_of,
    scan_sql,
    sources_of,
    visible,
)
from anabranch.warehouse.rowsets import Rowset
from anabranch.warehouse.schema import DELETE_SIGN_ID, SEQUENCE_ID, Column, KeyModel, Table
from anabranch.warehouse.types import ColumnType, SqlType, quote_duckdb, to_duckdb

DELETE_SIGN_NAME = "__DORIS_DELETE_SIGN__"
SEQUENCE_NAME = "__DORIS_SEQUENCE_COL__"


def relation(
    schema: Table,
    rowsets: Sequence[Rowset],
    files: Mapping[str, Path],
    columns: Collection[str] | None,
    *,
    has_hidden: bool = False,
    footers: Footers | None = None,
    predicates: Predicates | None = None,
) -> str:
    """Return SQL to stand in FROM: the table's rows, folded, its columns by name.

    `files` are the local files by path of the rowset. Of `columns` only those asked for are there,
    at least one; None asks for all. Types are `to_duckdb(folded_type(column))`. `has_hidden` adds
    the delete sign, 0 in every row, and the table's hidden sequence column if it has one. Raises
    Corrupted for rowsets that are not the table's.
    """
    shown = visible(schema, columns)
    ids = [column.id for column in shown]
    hidden: list[tuple[int, str]] = []
    if has_hidden and schema.key_model is KeyModel.UNIQUE:
        hidden.append((DELETE_SIGN_ID, DELETE_SIGN_NAME))
        if schema.sequence_column == SEQUENCE_ID:
            hidden.append((SEQUENCE_ID, SEQUENCE_NAME))
    folded = fold(
        schema,
        rowsets,
        files,
        [*ids, *(one for one, _ in hidden)],
        footers=footers,
        predicates=predicates,
    )
    names = [(column.id, column.name) for column in shown] + hidden
    outputs = ", ".join(f"{name_of(one)} AS {quote_duckdb(name)}" for one, name in names)
    return f"(SELECT {outputs} FROM ({folded}) t)"  # noqa: S608 - its parts are our own


def fold(
    schema: Table,
    rowsets: Sequence[Rowset],
    files: Mapping[str, Path],
    columns: Sequence[int],
    *,
    keeps_deleted: bool = False,
    footers: Footers | None = None,
    predicates: Predicates | None = None,
) -> str:
    """Return a SELECT of the folded columns of these ids, named `c<id>`.

    With `keeps_deleted`, keys that were deleted are rows too, with DELETE_SIGN_ID 1. With
    `footers`, which are kept from one read to the next, each file is held against its entry.
    """
    table = rowsets[0].path.partition(f"/{ROWSETS}/")[0] if rowsets else ""
    reading = Reading(
        schema,
        files,
        Footers() if footers is None else footers,
        predicates or bound_predicate,
        table,
    )
    if footers is not None:
        for rowset in rowsets:
            footers.open(rowset, files[rowset.path])
    sources, texts = sources_of(reading, rowsets)
    if not sources:
        nothing = ", ".join(
            f"NULL::{to_duckdb(reading.type_of(one))} AS {name_of(one)}" for one in columns
        )
        return f"SELECT {nothing} WHERE false"
    plain, folding = _split(schema, sources)
    is_unique = schema.key_model is KeyModel.UNIQUE
    parts = []
    if plain:
        made = _Plain(reading, texts, columns, keeps_deleted=keeps_deleted)
        parts += made.selects(plain)
    if folding:
        fold_of = _Unique if is_unique else _Grouped
        parts.append(fold_of(reading, texts, columns).select(folding, keeps_deleted=keeps_deleted))
    return " UNION ALL ".join(parts)


def _split(schema: Table, sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """Return the rowsets whose rows stand as they are, and those to fold.

    Each rowset is folded by itself, and partitions share no keys.
    """
    if schema.key_model is KeyModel.DUPLICATE:
        return list(sources), []
    present = frozenset(schema.column_ids) | {DELETE_SIGN_ID, SEQUENCE_ID}
    by_partition: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        by_partition[source.rowset.partition].append(source)
    plain: list[Source] = []
    folding: list[Source] = []
    for found in by_partition.values():
        # A rowset that knew a column since dropped may have been keyed by it.
        is_alone = len(found) == 1 and present.issuperset(found[0].header.known)
        (plain if is_alone else folding).extend(found)
    return plain, folding


class _Plain:
    """Rows that no other row of their key can change."""

    def __init__(
        self, reading: Reading, texts: Sequence[str], columns: Sequence[int], *, keeps_deleted: bool
    ) -> None:
        self._reading = reading
        self._texts = texts
        self._columns = columns
        self._keeps_deleted = keeps_deleted

    def selects(self, sources: Sequence[Source]) -> list[str]:
        """Return a SELECT for each class."""
        has_signs = self._reading.schema.key_model is KeyModel.UNIQUE and not self._keeps_deleted
        wanted = list(self._columns)
        if has_signs and DELETE_SIGN_ID not in wanted:
            wanted.append(DELETE_SIGN_ID)
        selects = []
        for found in classify(self._reading, sources, self._texts, wanted):
            is_signed = has_signs and DELETE_SIGN_ID in found.written
            scanned = wanted if is_signed else self._columns
            sql = scan_sql(self._reading, found, scanned, absent=self._reading.default_of)
            if is_signed:
                outputs = ", ".join(map(name_of, self._columns))
                sql = f"SELECT {outputs} FROM ({sql}) s WHERE c{DELETE_SIGN_ID} IS DISTINCT FROM 1"  # noqa: S608 - its parts are our own
            selects.append(sql)
        return selects


class _Grouped:
    """Rows of an AGGREGATE table; DELETEs of it are over keys, so they filter before the fold."""

    def __init__(self, reading: Reading, texts: Sequence[str], columns: Sequence[int]) -> None:
        self._reading = reading
        self._texts = texts
        self._columns = columns
        self._keys = [column.id for column in reading.schema.keys]
        keys = frozenset(self._keys)
        self._values = [one for one in columns if one not in keys]

    def select(self, sources: Sequence[Source], *, keeps_deleted: bool) -> str:
        """Return a SELECT of one row for each key."""
        del keeps_deleted  # Nothing is deleted by key here.
        reading, schema = self._reading, self._reading.schema
        values = [column for column in schema.columns if column.id in self._values]
        scanned = [*self._keys, *(column.id for column in values)]
        classes = classify(reading, sources, self._texts, scanned)
        has_order = any(column.aggregate.startswith("REPLACE") for column in values)
        flagged = {
            column.id for column in values if any(column.id not in one.written for one in classes)
        }
        branches = [
            scan_sql(
                reading,
                one,
                scanned,
                absent=self._absent,
                more=_flags(one, values, flagged),
                has_order=has_order,
            )
            for one in classes
        ]
        folds = [
            f"{fold_contributions(column, _contributions(column, flagged, 'o'), reading.table)}"
            f" AS {name_of(column.id)}"
            for column in values
        ]
        kept = [name_of(one) for one in self._columns if one in self._keys]
        keys = ", ".join(map(name_of, self._keys))
        rows = " UNION ALL ".join(branches)
        return f"SELECT {', '.join([*kept, *folds])} FROM ({rows}) b GROUP BY {keys}"  # noqa: S608 - its parts are our own

    def _absent(self, column_id: int) -> str:
        if column_id in self._keys:
            return self._reading.default_of(column_id)
        return f"NULL::{to_duckdb(self._reading.type_of(column_id))}"


def _flags(found: RowsetClass, values: Sequence[Column], flagged: Collection[int]) -> list[str]:
    """Return, for each flagged column, whether the class wrote it and did not know it."""
    flags = []
    for column in values:
        if column.id in flagged:
            flags.append(f"{_sql(column.id in found.written)} AS w{column.id}")
            flags.append(f"{_sql(column.id not in found.known)} AS u{column.id}")
    return flags


def _contributions(column: Column, flagged: Collection[int], order: str) -> Contributions:
    one = column.id
    if one not in flagged:
        return Contributions(name_of(one), order)
    return Contributions(name_of(one), order, f"w{one}", f"u{one}")


def _sql(value: bool) -> str:
    return "true" if value else "false"


class _Unique:
    """Rows of a UNIQUE table: the last of a key stands, or the last that wrote a column."""

    def __init__(self, reading: Reading, texts: Sequence[str], columns: Sequence[int]) -> None:
        self._reading = reading
        self._texts = texts
        self._columns = list(columns)
        schema = reading.schema
        self._keys = [column.id for column in schema.keys]
        self._sequence = schema.sequence_column
        wanted = dict.fromkeys([*self._columns, DELETE_SIGN_ID])
        if self._sequence is not None:
            wanted[self._sequence] = None
        self._values = [one for one in wanted if one not in self._keys and one != DELETE_SIGN_ID]
        self._scanned = [*self._keys, *self._values, DELETE_SIGN_ID]

    def select(self, sources: Sequence[Source], *, keeps_deleted: bool) -> str:
        """Return a SELECT of one row for each key that is not deleted."""
        classes = classify(self._reading, sources, self._texts, self._scanned)
        if self._is_by_row(classes):
            rows = self._last_rows(classes)
        else:
            rows = self._last_values(classes)
        outputs = ", ".join(map(name_of, self._columns))
        kept = "" if keeps_deleted else f" WHERE c{DELETE_SIGN_ID} IS DISTINCT FROM 1"
        return f"SELECT {outputs} FROM ({rows}) f{kept}"  # noqa: S608 - its parts are our own

    def _is_by_row(self, classes: Sequence[RowsetClass]) -> bool:
        """Tell whether the last row of a key says all: no earlier one adds to it.

        An earlier row adds where the last one did not write a column. Columns added later do no
        harm while the rowsets that know them come after all others, as they do without merges.
        """
        for one in self._values:
            written = [found for found in classes if one in found.written]
            for found in classes:
                if one in found.written or self._deletes_only(found):
                    continue
                if one in found.known or self._sequence is not None:
                    return False
                last = found.sources[-1].ordinal
                if any(other.sources[0].ordinal < last for other in written):
                    return False
        return True

    def _deletes_only(self, found: RowsetClass) -> bool:
        reading = self._reading
        return DELETE_SIGN_ID in found.written and all(
            reading.footers.open(source.rowset, reading.files[source.rowset.path]).deletes_only
            for source in found.sources
        )

    def _order(self, *, is_descending: bool) -> str:
        """Return what rows of a key are ordered by: a NULL sequence value is the smallest."""
        if self._sequence is None:
            return "o DESC" if is_descending else "o"
        name = name_of(self._sequence)
        if is_descending:
            return f"{name} IS NOT NULL DESC, {name} DESC, o DESC"
        smallest = _some_value(self._reading.type_of(self._sequence))
        return f"row({name} IS NOT NULL, coalesce({name}, {smallest}), o)"

    def _last_rows(self, classes: Sequence[RowsetClass]) -> str:
        branches = [self._scan(one) for one in classes]
        keys, order = ", ".join(map(name_of, self._keys)), self._order(is_descending=True)
        return (
            f"SELECT * FROM ({' UNION ALL '.join(branches)}) b"  # noqa: S608 - its parts are our own
            f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1"
        )

    def _last_values(self, classes: Sequence[RowsetClass]) -> str:
        order, sign = self._order(is_descending=False), name_of(DELETE_SIGN_ID)
        branches = [self._partial_branch(one) for one in classes]
        folds = []
        for one in self._values:
            initial = self._reading.default_of(one)
            said = f"CASE WHEN {sign} = 1 THEN {initial} ELSE {name_of(one)} END"
            last = f"arg_max_null({said}, {order}) FILTER (WHERE w{one})"
            value = f"CASE WHEN bool_or(w{one}) THEN {last} ELSE {initial} END"
            folds.append(f"{value} AS {name_of(one)}")
        folds.append(f"arg_max({sign}, {order}) AS {sign}")
        keys = ", ".join(map(name_of, self._keys))
        return (
            f"SELECT {keys}, {', '.join(folds)} FROM ({' UNION ALL '.join(branches)}) b"  # noqa: S608 - its parts are our own
            f" GROUP BY {keys}"
        )

    def _partial_branch(self, found: RowsetClass) -> str:
        """Return the rows of a class with a flag for each value: whether the row says it.

        A row that deletes its key says all: what was before it is gone.
        """
        is_signed = DELETE_SIGN_ID in found.written
        deletes = f"c{DELETE_SIGN_ID} = 1" if is_signed else "false"
        flags = [f"{'true' if one in found.written else deletes} AS w{one}" for one in self._values]
        return self._scan(found, flags)

    def _scan(self, found: RowsetClass, more: Sequence[str] = ()) -> str:
        def absent(column_id: int) -> str:
            if column_id == self._sequence and column_id in found.known:
                # Such a row orders before all that have a sequence value.
                return f"NULL::{to_duckdb(self._reading.type_of(column_id))}"
            return self._reading.default_of(column_id)

        return scan_sql(
            self._reading, found, self._scanned, absent=absent, more=more, has_order=True
        )


def _some_value(made: ColumnType) -> str:
    match made.kind:
        case SqlType.DATE | SqlType.DATETIME:
            return f"'2000-01-01'::{to_duckdb(made)}"
    return f"0::{to_duckdb(made)}"
