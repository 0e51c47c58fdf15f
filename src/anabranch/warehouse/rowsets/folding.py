"""A table out of its rowsets: rows with equal keys become one when they are read.

The result is a function of the set of rowsets, as docs/formats/rowset.md defines it, and is SQL
that the engine runs: nothing is read here but the footers that planning needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anabranch.warehouse.places import ROWSETS
from anabranch.warehouse.predicates import bound_predicate
from anabranch.warehouse.rowsets.aggregating import (
    Contributions,
    fold_contributions,
    narrowed,
    partial_fold,
)
from anabranch.warehouse.rowsets.fold import FoldShape, StandIn
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.rowsets.large_bases import Tail, bases_of, stands_alone
from anabranch.warehouse.rowsets.rowset import Rowset
from anabranch.warehouse.rowsets.scans import (
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
    stand_ins: Sequence[StandIn] = (),
) -> str:
    """Return SQL to stand in FROM: the table's rows, folded, its columns by name.

    `files` are the local files by path of the rowset; `stand_ins` are read instead of rowsets that
    are not given. Of `columns` only those asked for are there,
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
        stand_ins=stand_ins,
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
    stand_ins: Sequence[StandIn] = (),
) -> str:
    """Return a SELECT of the folded columns of these ids, named `c<id>`.

    With `keeps_deleted`, keys that were deleted are rows too, with DELETE_SIGN_ID 1. With
    `footers`, which are kept from one read to the next, each file is held against its entry.
    """
    reading = reading_of(schema, rowsets, files, footers, predicates)
    sources, texts = sources_of(reading, rowsets, stand_ins)
    if not sources:
        nothing = ", ".join(
            f"NULL::{to_duckdb(reading.type_of(one))} AS {name_of(one)}" for one in columns
        )
        return f"SELECT {nothing} WHERE false"
    plain, folding = _split(schema, sources)
    fold_of = _Unique if schema.key_model is KeyModel.UNIQUE else _Grouped
    parts = []
    if plain:
        made = _Plain(reading, texts, columns, keeps_deleted=keeps_deleted)
        parts += made.selects(plain)
    bases = bases_of(schema, folding)
    tail = None
    if bases:
        tail = Tail(reading, [one for one in folding if one not in bases], texts)
        made = _Plain(reading, texts, columns, keeps_deleted=keeps_deleted, tail=tail)
        parts += made.selects(bases)
        folding = [replace(one, is_base=True) if one in bases else one for one in folding]
    if folding:
        folded = fold_of(reading, texts, columns, tail)
        parts.append(folded.select(folding, keeps_deleted=keeps_deleted))
    return " UNION ALL ".join(parts)


def reading_of(
    schema: Table,
    rowsets: Sequence[Rowset],
    files: Mapping[str, Path],
    footers: Footers | None,
    predicates: Predicates | None,
) -> Reading:
    """Return what reading these rowsets needs; with `footers`, having looked at each file."""
    table = rowsets[0].path.partition(f"/{ROWSETS}/")[0] if rowsets else ""
    if footers is not None:
        for rowset in rowsets:
            footers.open(rowset, files[rowset.path])
    return Reading(
        schema,
        files,
        Footers() if footers is None else footers,
        predicates or bound_predicate,
        table,
    )


def partial_fold_of(
    reading: Reading, sources: Sequence[Source], texts: Sequence[str], shape: FoldShape
) -> str:
    """Return a SELECT of the rows of a fold of this shape, with its flags, in order of the keys.

    `sources` are a run of one partition, and `texts` the predicates of the DELETEs by place.
    """
    schema = reading.schema
    wanted = [*shape.written, *shape.maybe_written]
    if schema.key_model is KeyModel.DUPLICATE:
        made = _Plain(reading, texts, wanted, keeps_deleted=True)
        rows = " UNION ALL ".join(made.selects(sources))
    elif schema.key_model is KeyModel.UNIQUE:
        rows = _Unique(reading, texts, wanted).partial(sources, shape)
    else:
        rows = _Grouped(reading, texts, wanted).partial(sources, shape)
    keys = ", ".join(name_of(column.id) for column in schema.keys)
    order = f" ORDER BY {keys}" if keys else ""
    return f"SELECT * FROM ({rows}) p{order}"  # noqa: S608 - its parts are our own


def _split(schema: Table, sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """Return the files whose rows stand as they are, and those to fold together.

    Each file is folded by itself, and partitions share no keys.
    """
    if schema.key_model is KeyModel.DUPLICATE:
        return list(sources), []
    by_partition: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        by_partition[source.partition].append(source)
    plain: list[Source] = []
    folding: list[Source] = []
    for found in by_partition.values():
        is_alone = len(found) == 1 and stands_alone(schema, found[0])
        (plain if is_alone else folding).extend(found)
    return plain, folding


class _Plain:
    """Rows that no other row of their key can change."""

    def __init__(
        self,
        reading: Reading,
        texts: Sequence[str],
        columns: Sequence[int],
        *,
        keeps_deleted: bool,
        tail: Tail | None = None,
    ) -> None:
        self._reading = reading
        self._texts = texts
        self._columns = columns
        self._keeps_deleted = keeps_deleted
        self._tail = tail

    def selects(self, sources: Sequence[Source]) -> list[str]:
        """Return a SELECT for each class."""
        has_signs = self._reading.schema.key_model is KeyModel.UNIQUE and not self._keeps_deleted
        wanted = list(self._columns)
        if self._tail is not None:
            wanted = list(dict.fromkeys([*wanted, *(one.id for one in self._reading.schema.keys)]))
        if has_signs and DELETE_SIGN_ID not in wanted:
            wanted.append(DELETE_SIGN_ID)
        selects = []
        for found in classify(self._reading, sources, self._texts, wanted):
            is_signed = has_signs and DELETE_SIGN_ID in found.written
            scanned = wanted if is_signed or self._tail is not None else self._columns
            sql = scan_sql(self._reading, found, scanned, absent=self._reading.default_of)
            if found.is_fold:
                sql = self._narrowed(sql, scanned)
            if self._tail is not None:
                sql = self._tail.without(sql)
            if len(scanned) > len(self._columns):
                outputs = ", ".join(map(name_of, self._columns))
                kept = f" WHERE c{DELETE_SIGN_ID} IS DISTINCT FROM 1" if is_signed else ""
                sql = f"SELECT {outputs} FROM ({sql}) s{kept}"  # noqa: S608 - its parts are our own
            selects.append(sql)
        return selects

    def _narrowed(self, sql: str, scanned: Sequence[int]) -> str:
        columns = map(self._reading.schema.by_id, scanned)
        outputs = [
            name_of(one)
            if column is None
            else f"{narrowed(column, name_of(one))} AS {name_of(one)}"
            for one, column in zip(scanned, columns, strict=True)
        ]
        if outputs == [f"{name_of(one)} AS {name_of(one)}" for one in scanned]:
            return sql
        return f"SELECT {', '.join(outputs)} FROM ({sql}) n"  # noqa: S608 - its parts are our own


class _Grouped:
    """Rows of an AGGREGATE table; DELETEs of it are over keys, so they filter before the fold."""

    def __init__(
        self,
        reading: Reading,
        texts: Sequence[str],
        columns: Sequence[int],
        tail: Tail | None = None,
    ) -> None:
        self._tail = tail
        self._reading = reading
        self._texts = texts
        self._columns = columns
        self._keys = [column.id for column in reading.schema.keys]
        keys = frozenset(self._keys)
        self._values = [one for one in columns if one not in keys]

    def select(self, sources: Sequence[Source], *, keeps_deleted: bool) -> str:
        """Return a SELECT of one row for each key."""
        del keeps_deleted  # Nothing is deleted by key here.
        rows, values, flagged = self._rows(sources)
        table = self._reading.table
        folds = [
            f"{fold_contributions(column, _contributions(column, flagged, 'o'), table)}"
            f" AS {name_of(column.id)}"
            for column in values
        ]
        kept = [name_of(one) for one in self._columns if one in self._keys]
        keys = ", ".join(map(name_of, self._keys))
        return f"SELECT {', '.join([*kept, *folds])} FROM ({rows}) b GROUP BY {keys}"  # noqa: S608 - its parts are our own

    def partial(self, sources: Sequence[Source], shape: FoldShape) -> str:
        """Return a SELECT of the rows of a fold."""
        rows, values, flagged = self._rows(sources)
        folds = [name_of(one) for one in self._keys]
        for column in values:
            one = column.id
            made = partial_fold(column, _contributions(column, flagged, "o"), self._reading.table)
            folds.append(f"{made} AS {name_of(one)}")
            if one in shape.maybe_written:
                folds.append(f"bool_or(w{one}) AS w{one}")
            if one in shape.maybe_unknown:
                folds.append(f"bool_or(u{one}) AS u{one}")
        keys = ", ".join(map(name_of, self._keys))
        return f"SELECT {', '.join(folds)} FROM ({rows}) b GROUP BY {keys}"  # noqa: S608 - its parts are our own

    def _rows(self, sources: Sequence[Source]) -> tuple[str, list[Column], set[int]]:
        """Return the rows of all files, the value columns, and those of them with flags."""
        reading = self._reading
        values = [column for column in reading.schema.columns if column.id in self._values]
        scanned = [*self._keys, *(column.id for column in values)]
        classes = classify(reading, sources, self._texts, scanned)
        has_order = any(column.aggregate.startswith("REPLACE") for column in values)
        flagged = {
            column.id for column in values if any(column.id not in one.written for one in classes)
        }
        branches = []
        for one in classes:
            more = _flags(one, values, flagged)
            sql = scan_sql(
                reading, one, scanned, absent=self._absent, more=more, has_order=has_order
            )
            branches.append(self._tail.within(sql) if self._tail and one.is_base else sql)
        return " UNION ALL ".join(branches), values, flagged

    def _absent(self, column_id: int) -> str:
        if column_id in self._keys:
            return self._reading.default_of(column_id)
        return f"NULL::{to_duckdb(self._reading.type_of(column_id))}"


def _flags(found: RowsetClass, values: Sequence[Column], flagged: Collection[int]) -> list[str]:
    """Return, for each flagged column, whether the class wrote it and did not know it."""
    flags = []
    for column in values:
        one = column.id
        if one in flagged:
            is_written, is_unknown = _sql(one in found.written), _sql(one not in found.known)
            flags.append(f"w{one}" if one in found.maybe_written else f"{is_written} AS w{one}")
            flags.append(f"u{one}" if one in found.maybe_unknown else f"{is_unknown} AS u{one}")
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

    def __init__(
        self,
        reading: Reading,
        texts: Sequence[str],
        columns: Sequence[int],
        tail: Tail | None = None,
    ) -> None:
        self._tail = tail
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

    def partial(self, sources: Sequence[Source], shape: FoldShape) -> str:
        """Return a SELECT of the rows of a fold, deleted keys too."""
        classes = classify(self._reading, sources, self._texts, self._scanned)
        flagged = shape.maybe_written
        rows = self._last_values(classes, flagged) if flagged else self._last_rows(classes)
        # The sign is always among what was scanned; the file has it where a rowset does.
        outputs = [name_of(one) for one in [*shape.written, *flagged]]
        outputs += [f"w{one}" for one in flagged]
        return f"SELECT {', '.join(outputs)} FROM ({rows}) f"  # noqa: S608 - its parts are our own

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
            source.rowset is not None
            and reading.footers.open(source.rowset, source.file).deletes_only
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

    def _last_values(self, classes: Sequence[RowsetClass], flagged: Collection[int] = ()) -> str:
        """Return one row for each key, with flags of these columns."""
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
        folds += [f"bool_or(w{one}) AS w{one}" for one in flagged]
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
        flags = []
        for one in self._values:
            said = "true" if one in found.written else deletes
            flags.append(f"w{one}" if one in found.maybe_written else f"{said} AS w{one}")
        return self._scan(found, flags)

    def _scan(self, found: RowsetClass, more: Sequence[str] = ()) -> str:
        def absent(column_id: int) -> str:
            if column_id == self._sequence and column_id in found.known:
                # Such a row orders before all that have a sequence value.
                return f"NULL::{to_duckdb(self._reading.type_of(column_id))}"
            return self._reading.default_of(column_id)

        sql = scan_sql(
            self._reading, found, self._scanned, absent=absent, more=more, has_order=True
        )
        return self._tail.within(sql) if self._tail and found.is_base else sql


def _some_value(made: ColumnType) -> str:
    match made.kind:
        case SqlType.DATE | SqlType.DATETIME:
            return f"'2000-01-01'::{to_duckdb(made)}"
    return f"0::{to_duckdb(made)}"
