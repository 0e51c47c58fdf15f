"""Rows of a relation into rowset files: judged, routed to partitions, folded by key, sorted.

One query of the engine does it all in one pass, so that what does not fit into memory is spilled.
Rows that are refused come out of the same query, before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from anabranch.kernel import limits
from anabranch.warehouse.engine import Execution
from anabranch.warehouse.loading.judging import Judgement, Value, converted, judgements
from anabranch.warehouse.loading.routing import Routing, routing
from anabranch.warehouse.rowsets.aggregating import fold_sql
from anabranch.warehouse.schema import Aggregate, Column, KeyModel, Table
from anabranch.warehouse.types import OPAQUE, ColumnType, quote_duckdb

if TYPE_CHECKING:
    from anabranch.warehouse.rowsets.rowset import NewRowset

_PARTITION, _REASON, _COUNT = "__partition", "__reason", "__count"
_ORDER, _PART = "__order", "\x01"
_NO_PARTITION = "no partition for this tuple. tuple="


class RowsetSink(Protocol):
    """A rowset being written: batches of columns `c<id>`, sorted and folded."""

    def write(self, batch: pa.RecordBatch, source_rows: int) -> None:
        """Append rows, which stand for `source_rows` of the source."""
        ...

    def finish(self) -> NewRowset:
        """End the file."""
        ...

    def abort(self) -> None:
        """Forget the file."""
        ...


OpenRowset = Callable[[str], RowsetSink]
"""Opens a rowset of a partition, by id."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was refused: why, what it was, and its place in the source where that is known."""

    reason: str
    line: str
    row: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing. `errors` are the first rows refused, in the source's order."""

    rowsets: tuple[NewRowset, ...]
    loaded_rows: int
    filtered_rows: int
    unselected_rows: int = 0
    errors: tuple[BadRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows come from and which of them count; everything but `relation` may be left out.

    `relation` can stand in FROM. `order` is SQL of a BIGINT that ascends with the source's rows:
    later ones win in REPLACE. `fields` are further names with their SQL over the relation, for
    `where` (a row without it being true is not selected) and `line` (text of a refused row); both
    name fields, and the value of a column as `v<number>`. `sequence` is the number of the value
    that orders the rows of one key. `checks` refuse rows by their fields, before their values are
    judged.
    """

    relation: str
    values: Sequence[Value]
    order: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    line: str | None = None
    sequence: int | None = None
    checks: Sequence[Judgement] = ()


def write_rows(
    execution: Execution,
    relation: str,
    table: Table,
    columns: Sequence[Column],
    *,
    open_rowset: OpenRowset,
    types: Mapping[str, ColumnType] | None = None,
    is_strict: bool = True,
    partitions: Sequence[str] | None = None,
    order: str | None = None,
) -> Written:
    """Write the rows of a relation whose columns are named as the table's.

    `columns` are those written, in any order: a rowset's key columns must be among them. `types`
    are the relation's where they differ from the table's: such values are cast, and a cast that
    gives NULL refuses the row if `is_strict`. Raises SqlError; nothing is left of what was begun.
    """
    given = types or {}
    values = [
        Value(column, quote_duckdb(column.name), given.get(column.name, column.type))
        for column in columns
    ]
    ids = [column.id for column in columns]
    sequence = ids.index(table.sequence_column) if table.sequence_column in ids else None
    rows = Rows(relation, values, order=order, sequence=sequence)
    return write_values(
        execution, rows, table, open_rowset=open_rowset, is_strict=is_strict, partitions=partitions
    )


def write_values(
    execution: Execution,
    rows: Rows,
    table: Table,
    *,
    open_rowset: OpenRowset,
    is_strict: bool,
    partitions: Sequence[str] | None = None,
) -> Written:
    """Write rows whose values are told column by column; see `write_rows`.

    Unselected rows are not counted here: the caller knows how many it gave.
    """
    planned = _Plan(table, rows, is_strict, partitions)
    return _write(execution.stream(planned.sql(), limits.LOAD_BATCH_ROWS), planned, open_rowset)


class _Plan:
    """The query's text, layer by layer; each layer names its columns anew."""

    def __init__(
        self, table: Table, rows: Rows, is_strict: bool, partitions: Sequence[str] | None
    ) -> None:
        self.table = table
        self.rows = rows
        self.columns = [value.column for value in rows.values]
        self.reasons: list[Judgement] = list(rows.checks)
        self._is_strict = is_strict
        places = {column.id: f"v{index}" for index, column in enumerate(self.columns)}
        self.routing: Routing = routing(table, places, partitions)
        self._needs_order = table.key_model is KeyModel.UNIQUE or any(
            column.aggregate in (Aggregate.REPLACE, Aggregate.REPLACE_IF_NOT_NULL)
            for column in self.columns
        )
        for index, value in enumerate(rows.values):
            self.reasons += judgements(value, f"r{index}", f"v{index}", is_strict=is_strict)

    @property
    def can_refuse(self) -> bool:
        """Tell whether any row could be refused."""
        return bool(self.reasons) or not self.routing.is_total

    def sql(self) -> str:
        """Return the query: partition, reason, count, then the columns as `c<id>`."""
        judged = self._judged()
        if self.table.key_model is KeyModel.DUPLICATE:
            return self._plain(judged)
        return self._folded(judged)

    def _typed(self) -> str:
        rows = self.rows
        raws = [f"{value.sql} AS r{index}" for index, value in enumerate(rows.values)]
        raws += [f"{sql} AS {quote_duckdb(name)}" for name, sql in rows.fields.items()]
        names = [quote_duckdb(name) for name in rows.fields]
        if rows.order is not None:
            raws.append(f"{rows.order} AS {_ORDER}")
        elif self._needs_order:
            raws.append(f"row_number() OVER () AS {_ORDER}")
        if rows.order is not None or self._needs_order:
            names.append(_ORDER)
        raw = f"SELECT {', '.join(raws)} FROM {rows.relation}"  # noqa: S608 - its parts are our own
        values = [
            f"{converted(value, f'r{index}')} AS v{index}"
            for index, value in enumerate(rows.values)
        ]
        kept = [f"r{index}" for index in range(len(values))]
        return f"SELECT {', '.join((*kept, *names, *values))} FROM ({raw})"  # noqa: S608 - its parts are our own

    def _line(self) -> str:
        if self.rows.line is not None:
            return self.rows.line
        shown = [
            f"coalesce(CAST(r{index} AS VARCHAR), '\\N')"
            for index, value in enumerate(self.rows.values)
            if value.type.kind not in OPAQUE
        ]
        return f"concat_ws(chr(9), {', '.join(shown)})" if shown else "''"

    def _judged(self) -> str:
        """Return rows with their reason to be refused (or NULL) and their partition's number."""
        cases = " ".join(f"WHEN {each.condition} THEN {each.reason}" for each in self.reasons)
        where = ""
        if self.rows.where is not None:
            tests = " OR ".join(each.condition for each in self.reasons) or "false"
            where = f" WHERE ({self.rows.where}) OR {tests}"
        kept = [f"v{index}" for index in range(len(self.columns))]
        if self._has_order:
            kept.append(_ORDER)
        if not self.can_refuse:
            return (
                f"SELECT {', '.join(kept)}, CAST(NULL AS VARCHAR) AS {_REASON}, "  # noqa: S608 - its parts are our own
                f"{self.routing.sql} AS {_PARTITION} FROM ({self._typed()}){where}"
            )
        reason = f"CASE {cases} END" if self.reasons else "CAST(NULL AS VARCHAR)"
        inner = f"SELECT *, {reason} AS why FROM ({self._typed()}){where}"  # noqa: S608 - its parts are our own
        routed = (
            f"SELECT *, CAST({self.routing.sql} AS INTEGER) AS part "  # noqa: S608 - its parts are our own
            f"FROM ({inner}) AS judged{self.routing.join}"
        )
        # In a CASE, so that no line is put together for a row that is fine.
        line = f"left({self._line()}, {limits.ERROR_LOG_LINE_MAX})"
        missing = f"CASE WHEN part IS NULL THEN '{_NO_PARTITION}' || {line} END"
        found = f"coalesce(why, {missing})" if not self.routing.is_total else "why"
        prefix = f"printf('%020d', {_ORDER})" if self._has_order else "''"
        marked = f"{prefix} || chr(1) || bad || chr(1) || {line}"
        return (
            f"SELECT {', '.join(kept)}, CASE WHEN bad IS NOT NULL THEN {marked} END AS {_REASON}, "  # noqa: S608 - its parts are our own
            f"CASE WHEN bad IS NULL THEN part ELSE -1 END AS {_PARTITION} "
            f"FROM (SELECT *, {found} AS bad FROM ({routed}))"
        )

    @property
    def _has_order(self) -> bool:
        return self.rows.order is not None or self._needs_order

    def _plain(self, judged: str) -> str:
        outputs = [f"v{index} AS c{column.id}" for index, column in enumerate(self.columns)]
        sorting = [_PARTITION, _REASON, *self._key_names()]
        if self._has_order:
            sorting.append(_ORDER)
        ordered = ", ".join(f"{name} NULLS FIRST" for name in sorting)
        return (
            f"SELECT {_PARTITION}, {_REASON}, CAST(1 AS BIGINT) AS {_COUNT}, {', '.join(outputs)} "  # noqa: S608 - its parts are our own
            f"FROM ({judged}) ORDER BY {ordered}"
        )

    def _key_names(self) -> list[str]:
        places = {column.id: f"v{index}" for index, column in enumerate(self.columns)}
        return [places[column.id] for column in self.table.keys if column.id in places]

    def _folded(self, judged: str) -> str:
        keys = self._key_names()
        groups = [_PARTITION, *([_REASON] if self.can_refuse else []), *keys]
        folds, outputs = self._folds()
        reason = _REASON if self.can_refuse else f"CAST(NULL AS VARCHAR) AS {_REASON}"
        selected = [_PARTITION, reason, f"count(*) AS {_COUNT}", *keys, *folds]
        grouped = f"SELECT {', '.join(selected)} FROM ({judged}) GROUP BY {', '.join(groups)}"  # noqa: S608 - its parts are our own
        ordered = ", ".join(f"{name} NULLS FIRST" for name in groups)
        return (
            f"SELECT {_PARTITION}, {_REASON}, {_COUNT}, {', '.join(outputs)} "  # noqa: S608 - its parts are our own
            f"FROM ({grouped}) ORDER BY {ordered}"
        )

    def _folds(self) -> tuple[list[str], list[str]]:
        """Return what the grouping computes besides keys, and the columns made of it."""
        folds: list[str] = []
        outputs: list[str] = []
        is_whole = self.table.key_model is KeyModel.UNIQUE
        whole: list[str] = []
        for index, column in enumerate(self.columns):
            name = f"v{index}"
            if column.is_key:
                made = name
            elif is_whole:
                whole.append(f"'{name}': {name}")
                made = f"whole.{name}"
            else:
                folds.append(f"{fold_sql(column, name, _ORDER)} AS f{index}")
                made = f"f{index}"
            outputs.append(f"{made} AS c{column.id}")
        if whole:
            order = _ORDER
            if self.rows.sequence is not None:
                value = f"v{self.rows.sequence}"
                order = f"{{'a': {value} IS NOT NULL, 'b': {value}, 'o': {_ORDER}}}"
            folds.append(f"arg_max_null({{{', '.join(whole)}}}, {order}) AS whole")
        return folds, outputs


def _write(batches: Iterator[pa.RecordBatch], planned: _Plan, open_rowset: OpenRowset) -> Written:
    """Hand the query's rows to one rowset after another; forget all of them on an error."""
    finished: list[NewRowset] = []
    errors: list[BadRow] = []
    filtered = loaded = 0
    current, sink = -1, None
    is_done = False
    try:
        for batch in batches:
            for number, part in _runs(batch):
                count = pc.sum(part.column(2)).as_py() or 0
                if number < 0:
                    filtered += count
                    errors += _bad_rows(part, limits.ERROR_LOG_ROWS_MAX - len(errors))
                    continue
                if sink is None or number != current:
                    if sink is not None:
                        finished.append(sink.finish())
                    current, sink = number, open_rowset(planned.routing.ids[number])
                loaded += count
                sink.write(part.select(part.schema.names[3:]), count)
        if sink is not None:
            finished.append(sink.finish())
        is_done = True
    finally:
        if not is_done:
            if sink is not None:
                sink.abort()
            for each in finished:
                each.body.abort()
    return Written(tuple(finished), loaded, filtered, errors=tuple(errors))


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Return the batch's rows partition by partition, which are in order."""
    rows = batch.num_rows
    if not rows:
        return
    numbers = batch.column(0)
    start = 0
    while start < rows:
        number = numbers[start].as_py()
        if numbers[rows - 1].as_py() == number:
            yield number, batch.slice(start)
            return
        differs = pc.index(pc.not_equal(numbers.slice(start), number), True).as_py()
        yield number, batch.slice(start, differs)
        start += differs


def _bad_rows(part: pa.RecordBatch, wanted: int) -> list[BadRow]:
    """Return the first `wanted` refused rows; equal ones may come as one with a count."""
    found: list[BadRow] = []
    for index in range(min(wanted, part.num_rows)):
        row, reason, line = part.column(1)[index].as_py().split(_PART, 2)
        count = min(part.column(2)[index].as_py(), wanted - len(found))
        found += [BadRow(reason, line, int(row or 0))] * count
    return found
