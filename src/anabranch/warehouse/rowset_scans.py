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
from anabranch.warehouse.aggregating import default_sql, folded_type, quote_text
from anabranch.warehouse.rowset_footers import Footers
from anabranch.warehouse.rowsets import Header, Rowset, RowsetKind
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    SEQUENCE_TYPE_PROPERTY,
    Column,
    Table,
)
from anabranch.warehouse.stored_values import decoded, stored_type
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
    """A rowset of rows at its place in the order of all; `deletes` that saw it, by place."""

    ordinal: int
    rowset: Rowset
    header: Header
    deletes: tuple[int, ...]


@dataclass(slots=True)
class RowsetClass:
    """Rowsets that one scan reads; `written` and `known` hold only ids that matter."""

    written: frozenset[int]
    known: frozenset[int]
    filters: tuple[str, ...]
    filter_columns: frozenset[int]
    sources: list[Source] = field(default_factory=list)


def name_of(column_id: int) -> str:
    """Return the name of a column inside."""
    return f"c{column_id}"


def sources_of(reading: Reading, rowsets: Sequence[Rowset]) -> tuple[list[Source], list[str]]:
    """Return the rowsets that hold rows, in their order, and the predicates of the DELETEs.

    Raises Corrupted for a rowset of another table.
    """
    ordered = sorted(rowsets, key=lambda rowset: rowset.name)
    headers = [reading.footers.header(rowset, reading.files) for rowset in ordered]
    predicates: list[str] = []
    seen: list[frozenset[str]] = []
    for rowset, header in zip(ordered, headers, strict=True):
        if header.table_id != reading.schema.id:
            raise Corrupted(Kind.DATA_FORMAT, f"a rowset of another table: {rowset.path}")
        if header.kind is RowsetKind.DELETE:
            opened = reading.footers.open(rowset, reading.files[rowset.path])
            predicates.append(opened.footer.predicate or "false")
            seen.append(opened.seen)
    sources: list[Source] = []
    for ordinal, (rowset, header) in enumerate(zip(ordered, headers, strict=True)):
        if header.kind is RowsetKind.DELETE or header.rows == 0:
            continue
        text = str(rowset.name) if seen else ""
        deletes = tuple(at for at, names in enumerate(seen) if text in names)
        sources.append(Source(ordinal, rowset, header, deletes))
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
        shape = (header.known, header.written, source.deletes)
        key = shapes.get(shape)
        if key is None:
            texts = tuple(dict.fromkeys(predicates[at] for at in source.deletes))
            ids = frozenset(int(one) for text in texts for one in _PREDICATE_COLUMN.findall(text))
            mattering = wanted | ids
            key = (mattering & set(header.written), mattering & set(header.known), texts)
            shapes[shape] = key
            if key not in classes:
                filters = tuple(reading.predicates(text, reading.schema) for text in texts)
                classes[key] = RowsetClass(key[0], key[1], filters, ids)
        classes[key].sources.append(source)
    return list(classes.values())


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
    inner = [
        f"{_value(reading, one)} AS {name_of(one)}"
        if one in found.written
        else f"{absent(one) if one in columns else reading.default_of(one)} AS {name_of(one)}"
        for one in wanted
    ]
    if has_order:
        inner.append(f"{_place(found.sources)} AS o")
    sql = f"SELECT {', '.join(inner)} FROM {_read(reading, found, wanted)}"  # noqa: S608 - its parts are our own
    if not found.filters and not more and len(wanted) == len(columns):
        return sql
    outer = [*(name_of(one) for one in columns), *more, *(["o"] if has_order else [])]
    kept = " AND ".join(f"({one}) IS NOT TRUE" for one in found.filters)
    return f"SELECT {', '.join(outer)} FROM ({sql}) r" + (f" WHERE {kept}" if kept else "")  # noqa: S608 - its parts are our own


def _value(reading: Reading, column_id: int) -> str:
    return decoded(reading.type_of(column_id), name_of(column_id))


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
    files = ", ".join(
        quote_text(str(reading.files[source.rowset.path])) for source in found.sources
    )
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
