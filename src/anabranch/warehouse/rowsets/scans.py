"""Rowsets that can be read in one scan, and the SQL that reads them.

Rowsets of one class know and wrote the same of the columns that matter, and the same DELETEs saw
them. Inside this SQL a column is named `c<id>`, whatever it was called when it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anabranch.kernel.errors import Corrupted, Kind
from anabranch.warehouse.rowsets.aggregating import default_sql, folded_type, quote_text, wide_type
from anabranch.warehouse.rowsets.fold import Fold, FoldShape, StandIn
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.rowsets.rowset import Header, Rowset, RowsetKind
from anabranch.warehouse.rowsets.stored_values import decoded, stored_type
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    SEQUENCE_TYPE_PROPERTY,
    Column,
    Table,
)
from anabranch.warehouse.types import ColumnType, SqlType, make_type, to_duckdb

Predicates = Callable[[str, Table], str]
"""Makes DuckDB's SQL over columns `c<id>` of the predicate that a DELETE rowset holds."""

_PREDICATE_COLUMN = re.compile(r"`c(\d+)`")
_SIGN_TYPE = ColumnType(SqlType.TINYINT)
_ROW_BITS = 40  # of a packed place: the rest are 2^23 files


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read of a table has at hand. `table` is its path, for errors."""

    schema: Table
    files: Mapping[str, Path]
    footers: Footers
    predicates: Predicates
    table: str

    def type_of(self, column_id: int) -> ColumnType:
        """Return the folded type of a column, present, dropped or of the format itself."""
        if column_id == DELETE_SIGN_ID:
            return _SIGN_TYPE
        if column_id == SEQUENCE_ID:
            return make_type(dict(self.schema.properties)[SEQUENCE_TYPE_PROPERTY])
        column = self.schema.by_id(column_id)
        if column is not None:
            return folded_type(column)
        for dropped in self.schema.dropped_columns:
            if dropped.id == column_id:
                return dropped.type
        raise Corrupted(Kind.DATA_FORMAT, f"a rowset of {self.table} names an unknown column")

    def default_of(self, column_id: int) -> str:
        """Return what rows hold that do not know a column."""
        column = self.schema.by_id(column_id)
        if column is not None:
            return default_sql(column)
        if column_id == DELETE_SIGN_ID:
            return "0::TINYINT"
        return f"NULL::{to_duckdb(self.type_of(column_id))}"


@dataclass(frozen=True, slots=True)
class Source:
    """A file of rows at its place in the order of all; `deletes` to apply to it, by place.

    It is of a rowset, or of a fold that stands for some. Of a base only those rows are read that
    other files have the keys of.
    """

    ordinal: int
    partition: str
    file: Path
    header: Header
    deletes: tuple[int, ...]
    rowset: Rowset | None
    fold: Fold | None = None
    is_base: bool = False


@dataclass(slots=True)
class RowsetClass:
    """Files that one scan reads; `written` and `known` hold only ids that matter.

    Rows of folds tell by flags `w<id>` and `u<id>` what they wrote and did not know of columns that
    are in `maybe_written` and `maybe_unknown`.
    """

    written: frozenset[int]
    known: frozenset[int]
    filters: tuple[str, ...]
    filter_columns: frozenset[int]
    is_fold: bool = False
    is_base: bool = False
    maybe_written: frozenset[int] = frozenset()
    maybe_unknown: frozenset[int] = frozenset()
    sources: list[Source] = field(default_factory=list)

    @property
    def held(self) -> frozenset[int]:
        """Return the columns that the files have."""
        return self.written | self.maybe_written

    @property
    def flags(self) -> list[str]:
        """Return the names of the flags that the files have."""
        written = [f"w{one}" for one in sorted(self.maybe_written)]
        return written + [f"u{one}" for one in sorted(self.maybe_unknown)]


def name_of(column_id: int) -> str:
    """Return the name of a column inside."""
    return f"c{column_id}"


def sources_of(
    reading: Reading, rowsets: Sequence[Rowset], stand_ins: Sequence[StandIn] = ()
) -> tuple[list[Source], list[str]]:
    """Return the files that hold rows, in their order, and the predicates of the DELETEs.

    `rowsets` are those that no fold stands for, and all DELETEs. Raises Corrupted for a rowset of
    another table.
    """
    ordered: list[Rowset | StandIn] = sorted([*rowsets, *stand_ins], key=lambda one: one.name)
    headers: dict[str, Header] = {}
    predicates: list[str] = []
    seen: list[tuple[str, frozenset[str]]] = []
    for rowset in rowsets:
        header = headers[rowset.path] = reading.footers.header(rowset, reading.files)
        if header.table_id != reading.schema.id:
            raise Corrupted(Kind.DATA_FORMAT, f"a rowset of another table: {rowset.path}")
        if header.kind is RowsetKind.DELETE:
            opened = reading.footers.open(rowset, reading.files[rowset.path])
            predicates.append(opened.footer.predicate or "false")
            seen.append((rowset.physical_address, opened.seen))
    sources: list[Source] = []
    for ordinal, item in enumerate(ordered):
        text = str(item.name) if seen else ""
        deletes = tuple(at for at, (_, names) in enumerate(seen) if text in names)
        if isinstance(item, StandIn):
            fold = item.fold
            # What saw one of its members saw all, or was applied when it was made.
            left = tuple(at for at in deletes if seen[at][0] not in fold.deletes)
            sources.append(
                Source(ordinal, fold.partition, item.file, fold.header, left, None, fold)
            )
            continue
        header = headers[item.path]
        if header.kind is RowsetKind.DELETE or header.rows == 0:
            continue
        file = reading.files[item.path]
        sources.append(Source(ordinal, item.partition, file, header, deletes, item))
    return sources, predicates


def classify(
    reading: Reading, sources: Iterable[Source], predicates: Sequence[str], columns: Collection[int]
) -> list[RowsetClass]:
    """Return the classes that differ in what matters for reading `columns`, in their order."""
    wanted = frozenset(columns)
    classes: dict[tuple[object, ...], RowsetClass] = {}
    shapes: dict[tuple[object, ...], tuple[object, ...]] = {}
    for source in sources:
        header = source.header
        of_fold = None if source.fold is None else source.fold.shape
        shape = (header.known, header.written, source.deletes, of_fold, source.is_base)
        key = shapes.get(shape)
        if key is None:
            texts = tuple(dict.fromkeys(predicates[at] for at in source.deletes))
            ids = predicate_columns(texts)
            mattering = wanted | ids
            written, known = mattering & set(header.written), mattering & set(header.known)
            # Folds are read by names: each file must have the columns of the first.
            key = (written, known, texts, of_fold, source.is_base)
            shapes[shape] = key
            if key not in classes:
                filters = tuple(reading.predicates(text, reading.schema) for text in texts)
                made = RowsetClass(written, known, filters, ids, is_base=source.is_base)
                if of_fold is not None:
                    _tell_of_fold(made, of_fold, mattering)
                classes[key] = made
        classes[key].sources.append(source)
    return list(classes.values())


def _tell_of_fold(made: RowsetClass, shape: FoldShape, mattering: frozenset[int]) -> None:
    made.is_fold = True
    made.maybe_written = mattering & set(shape.maybe_written)
    made.maybe_unknown = mattering & set(shape.maybe_unknown)


def predicate_columns(texts: Iterable[str]) -> frozenset[int]:
    """Return the ids of the columns that predicates of DELETEs name."""
    return frozenset(int(one) for text in texts for one in _PREDICATE_COLUMN.findall(text))


def scan_sql(
    reading: Reading,
    found: RowsetClass,
    columns: Sequence[int],
    *,
    absent: Callable[[int], str],
    more: Sequence[str] = (),
    has_order: bool = False,
) -> str:
    """Return a SELECT of `columns` as `c<id>`, then `more` expressions, then `o`, a row's place.

    `absent` gives what a column is that the class did not write.
    """
    wanted = list(dict.fromkeys([*columns, *sorted(found.filter_columns)]))
    held = found.held
    inner = [
        f"{_value(reading, found, one)} AS {name_of(one)}"
        if one in held
        else f"{absent(one) if one in columns else reading.default_of(one)} AS {name_of(one)}"
        for one in wanted
    ]
    if has_order:
        inner.append(f"{_place(found.sources)} AS o")
    if more:
        inner += found.flags
    sql = f"SELECT {', '.join(inner)} FROM {_read(reading, found, wanted)}"  # noqa: S608 - its parts are our own
    if not found.filters and not more and len(wanted) == len(columns):
        return sql
    outer = [*(name_of(one) for one in columns), *more, *(["o"] if has_order else [])]
    kept = " AND ".join(f"({one}) IS NOT TRUE" for one in found.filters)
    return f"SELECT {', '.join(outer)} FROM ({sql}) r" + (f" WHERE {kept}" if kept else "")  # noqa: S608 - its parts are our own


def _value(reading: Reading, found: RowsetClass, column_id: int) -> str:
    name = name_of(column_id)
    if not found.is_fold:
        return decoded(reading.type_of(column_id), name)
    column = reading.schema.by_id(column_id)
    made = reading.type_of(column_id) if column is None else wide_type(column)
    return decoded(made, f"{name}::{stored_type(made)}")


def _place(sources: Sequence[Source]) -> str:
    """Return a row's place in the order of all rows, packed into a BIGINT."""
    ordinals = [source.ordinal for source in sources]
    first = ordinals[0]
    if ordinals == list(range(first, first + len(ordinals))):
        file = f"(file_index::BIGINT + {first})"
    else:
        file = f"([{', '.join(map(str, ordinals))}]::BIGINT[])[file_index::BIGINT + 1]"
    return f"({file} << {_ROW_BITS} | file_row_number)"


def _read(reading: Reading, found: RowsetClass, wanted: Sequence[int]) -> str:
    files = ", ".join(quote_text(str(source.file)) for source in found.sources)
    if found.is_fold:
        return f"read_parquet([{files}], file_row_number=true)"
    read = [one for one in wanted if one in found.written]
    if not read:
        return f"read_parquet([{files}], file_row_number=true)"
    fields = ", ".join(
        f"{one}: {{name: '{name_of(one)}', type: {quote_text(stored_type(reading.type_of(one)))},"
        " default_value: NULL}"
        for one in read
    )
    return f"read_parquet([{files}], schema=MAP{{{fields}}}, file_row_number=true)"


def visible(schema: Table, names: Collection[str] | None) -> list[Column]:
    """Return the columns of these names without regard to case, all for None, at least one."""
    if names is None:
        return list(schema.columns)
    lower = {name.lower() for name in names}
    found = [column for column in schema.columns if column.name.lower() in lower]
    return found or [schema.columns[0]]
