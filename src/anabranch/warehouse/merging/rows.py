"""Rows that both sides of a merge wrote: judged by the engine, and settled by rowsets.

A row conflicts in a column of which the last value stands, where rowsets that either side added or
removed write that column of that key and the sides' folded results differ; of UNIQUE tables also
where one side has the row and the other has not. With a sequence column the greater value stands
on both sides of any merge, so only rows with equal ones conflict.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.ids import MetarangeId
from anabranch.lake import Lake
from anabranch.lake.rows import entries_of
from anabranch.lake.values import Repository, full_address
from anabranch.warehouse.engine import Engine, Execution
from anabranch.warehouse.merging.keys import Ranges, hull, judged_columns, meet, ranges_of
from anabranch.warehouse.merging.questions import RowAnswer, RowQuestion, WrittenRowset
from anabranch.warehouse.places import ROWSETS
from anabranch.warehouse.predicates import bound_predicate
from anabranch.warehouse.rowsets.aggregating import quote_text
from anabranch.warehouse.rowsets.folding import fold
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.rowsets.key_texts import key_text
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    NewRowset,
    Rowset,
    RowsetKind,
    decode_header,
    parse_rowset_path,
)
from anabranch.warehouse.rowsets.scans import (
    Reading,
    RowsetClass,
    classify,
    name_of,
    scan_sql,
    sources_of,
)
from anabranch.warehouse.rowsets.writer import RowsetWriter
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    Aggregate,
    Column,
    KeyModel,
    Table,
    decode_table,
)
from anabranch.warehouse.types import SqlType

_SHOWN_LENGTH = 100  # of one key value in a conflict's path


class RowConflicts:
    """Judges rows with the engine of this process: a `RowJudge`."""

    def __init__(self, lake: Lake, engine: Engine) -> None:
        self._lake = lake
        self._engine = engine
        self._footers = Footers()

    def judge(self, question: RowQuestion) -> RowAnswer:
        """Return the rows that conflict, or with a strategy the rowsets that settle them.

        Raises Corrupted for rowsets that are none, SqlError for what the engine refuses.
        """
        repository = self._lake.repositories.get(question.repository)
        read = _Rowsets(self._lake, repository, question, self._footers)
        conflicts: list[tuple[str, str]] = []
        written: list[WrittenRowset] = []
        with self._engine.open() as execution:
            timer = threading.Timer(limits.MERGE_QUESTION_TIMEOUT_S, execution.cancel)
            timer.daemon = True
            timer.start()
            try:
                for partition, changed in question.changed.items():
                    made = _Partition(execution, read, question, partition)
                    if not made.find(changed):
                        continue
                    if question.strategy is None:
                        most = limits.MERGE_ROWS_SHOWN_MAX - len(conflicts)
                        conflicts += made.conflicts(most)
                    elif question.writes:
                        written += made.settle(question.strategy == "source-wins")
            finally:
                timer.cancel()
        return RowAnswer(tuple(conflicts), tuple(written))


class _Rowsets:
    """The rowsets of a table on the sides of a merge, and their files."""

    def __init__(
        self, lake: Lake, repository: Repository, question: RowQuestion, footers: Footers
    ) -> None:
        self.lake = lake
        self.repository = repository
        self.footers = footers
        self.schema = decode_table(question.schema.encode())
        self._question = question
        self._dropped = frozenset(question.dropped)
        self._sides = {
            side: self._list(metarange)
            for side, metarange in (("s", question.source), ("d", question.dest))
        }
        self.files: dict[str, Path] = {}

    def of(self, side: str, partition: str) -> list[Rowset]:
        """Return a side's rowsets in a partition, without those the merge leaves out."""
        return self._opened(
            one
            for one in self._sides[side]
            if one.partition == partition and one.path not in self._dropped
        )

    def changed(self, paths: Sequence[str], side: str) -> list[Rowset]:
        """Return changed rowsets, which the side or the base has."""
        here = {one.path: one for one in self._sides[side]}
        gone = [path for path in paths if path not in here]
        entries = self.lake.committed.get_many(self.repository.namespace, self._question.base, gone)
        found = [here[path] for path in paths if path in here]
        found += [
            self._rowset(path, entry)
            for path, entry in zip(gone, entries, strict=True)
            if entry is not None
        ]
        return self._opened(iter(found))

    def ranges(self, rowset: Rowset) -> Ranges:
        """Return what keys a rowset holds."""
        opened = self.footers.open(rowset, self.files[rowset.path])
        return ranges_of(self.schema, opened.footer)

    def reading(self) -> Reading:
        """Return what a scan has at hand."""
        return Reading(
            self.schema, self.files, self.footers, bound_predicate, self._question.table[:-1]
        )

    def _list(self, metarange: MetarangeId) -> list[Rowset]:
        return [
            self._rowset(path, entry)
            for batch in self.lake.committed.scan(
                self.repository.namespace, metarange, prefix=f"{self._question.table}{ROWSETS}/"
            )
            for path, entry in entries_of(batch)
        ]

    def _rowset(self, path: str, entry: Entry) -> Rowset:
        partition, name = parse_rowset_path(path, now_us=self.lake.kv.now_us())
        text = dict(entry.metadata).get(METADATA_NAME)
        header = None if text is None else decode_header(text, path)
        address = full_address(self.repository, entry)
        return Rowset(path, partition, name, header, address, entry.size_bytes)

    def _opened(self, rowsets: Iterator[Rowset]) -> list[Rowset]:
        found = list(rowsets)
        for one in found:
            if one.path not in self.files:
                block = self.lake.blocks.get(one.physical_address)
                self.files[one.path] = self.lake.blocks.local_path(block)
        return found


@dataclass(slots=True)
class _Partition:
    """One partition of the table while its rows are judged: tables of the engine's statement.

    `judged` has a row for each key that both sides wrote: the keys, both sides' values as
    `s_c<id>` and `d_c<id>`, `x<id>` where a column conflicts, `e` where the row does.
    """

    execution: Execution
    rowsets: _Rowsets
    question: RowQuestion
    partition: str

    @property
    def schema(self) -> Table:
        """Return the merged schema."""
        return self.rowsets.schema

    @property
    def is_unique(self) -> bool:
        """Tell whether whole rows are written and deleted."""
        return self.schema.key_model is KeyModel.UNIQUE

    @property
    def keys(self) -> list[int]:
        """Return the ids of the key columns."""
        return [column.id for column in self.schema.keys]

    @property
    def values(self) -> list[int]:
        """Return the ids of the columns that can conflict."""
        return list(judged_columns(self.schema))

    def find(self, changed: tuple[list[str], list[str]]) -> bool:
        """Compute what both sides wrote and became; tell whether anything conflicts."""
        ours = self.rowsets.changed(changed[0], "s")
        theirs = self.rowsets.changed(changed[1], "d")
        flags = "".join(f", (s.t{one} AND d.t{one}) AS t{one}" for one in self.values)
        keys = ", ".join(f"s.{name_of(one)}" for one in self.keys)
        self._make(
            "candidates",
            f"SELECT {keys}{flags} FROM ({self._touched(ours)}) s"  # noqa: S608 - its parts are our own
            f" JOIN ({self._touched(theirs)}) d ON {self._equal('s', 'd')}",
        )
        if not self._is_any("candidates", "true"):
            return False
        ranges = [self.rowsets.ranges(one) for one in (*ours, *theirs)]
        bounds = hull(ranges)
        within = self._within()
        for side in ("s", "d"):
            self._make(f"side_{side}", self._folded(side, bounds, within))
        self._make("judged", self._judged())
        flagged = " OR ".join(["e", *(f"x{one}" for one in self.values)])
        return self._is_any("judged", flagged)

    def conflicts(self, most: int) -> list[tuple[str, str]]:
        """Return (path, kind) of the rows that conflict, the first ones by key."""
        flagged = [f"x{one}" for one in self.values]
        outputs = [*map(name_of, self.keys), *flagged, "e", "s_alive"]
        named = ", ".join(f"{sql} AS o{number}" for number, sql in enumerate(outputs))
        order = ", ".join(map(name_of, self.keys))
        where = " OR ".join(["e", *flagged])
        sql = f"SELECT {named} FROM judged WHERE {where} ORDER BY {order} LIMIT {max(most, 0)}"  # noqa: S608 - its parts are our own
        keys = self.schema.keys
        columns = {column.id: column.name for column in self.schema.columns}
        found: list[tuple[str, str]] = []
        for batch in self.execution.stream(sql):
            shown = [_texts(one, values) for one, values in zip(keys, batch.columns, strict=False)]
            others = [column.to_pylist() for column in batch.columns[len(keys) :]]
            for row in zip(*shown, *others, strict=True):
                key = ",".join(row[: len(keys)])
                flags = row[len(keys) : -2]
                is_row, has_source = row[-2:]
                written = [
                    columns[one] for one, flag in zip(self.values, flags, strict=True) if flag
                ]
                what = "the row" if is_row else ", ".join(written)
                kind = "both_changed"
                if is_row:
                    kind = "dest_removed" if has_source else "source_removed"
                path = f"{self.question.table}{ROWSETS}/{self.partition}#{key}: {what}"
                found.append((path, kind))
        return found

    def settle(self, is_source: bool) -> list[WrittenRowset]:
        """Write rowsets that make one side's rows stand, each of the columns it settles."""
        side, other = ("s", "d") if is_source else ("d", "s")
        sequence = self.schema.sequence_column
        keys = {one: name_of(one) for one in self.keys}
        made: list[WrittenRowset] = []
        for one in self.values:
            written = {**keys, one: f"{side}_c{one}"}
            if sequence is not None:
                written[sequence] = f"{side}_c{sequence}"
            made += self._write(written, f"x{one} AND NOT e")
        if self.is_unique:
            whole = {**keys, **{one: f"{side}_c{one}" for one in self._read_columns()}}
            del whole[DELETE_SIGN_ID]
            made += self._write(whole, f"e AND {side}_alive")
            gone = {**keys, DELETE_SIGN_ID: "1::TINYINT"}
            if sequence is not None:
                gone[sequence] = f"{other}_c{sequence}"
            made += self._write(gone, f"e AND {other}_alive")
        return made

    def _write(self, written: Mapping[int, str], where: str) -> list[WrittenRowset]:
        outputs = ", ".join(f"{sql} AS {name_of(one)}" for one, sql in written.items())
        order = ", ".join(map(name_of, self.keys))
        sql = f"SELECT {outputs} FROM judged WHERE {where} ORDER BY {order}"  # noqa: S608 - its parts are our own
        writer: RowsetWriter | None = None
        lake = self.rowsets.lake
        try:
            for batch in self.execution.stream(sql, limits.LOAD_BATCH_ROWS):
                if not batch.num_rows:
                    continue
                if writer is None:
                    writer = RowsetWriter(
                        lake.bodies,
                        self.rowsets.repository,
                        lake.ids,
                        self.schema,
                        self.partition,
                        list(written),
                        kind=RowsetKind.RESOLUTION,
                    )
                writer.write(batch)
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        return [] if writer is None else [_written(writer.finish())]

    def _touched(self, rowsets: Sequence[Rowset]) -> str:
        """Return a SELECT of the keys that rowsets hold, and whether they write each column."""
        reading = self.rowsets.reading()
        sources, texts = sources_of(reading, rowsets)
        scanned = [*self.keys, *self.values]
        if self.is_unique:
            scanned.append(DELETE_SIGN_ID)
        branches = [
            scan_sql(reading, one, scanned, absent=reading.default_of, more=self._flags(one))
            for one in classify(reading, sources, texts, scanned)
        ]
        keys = ", ".join(map(name_of, self.keys))
        flags = "".join(f", bool_or(t{one}) AS t{one}" for one in self.values)
        return f"SELECT {keys}{flags} FROM ({' UNION ALL '.join(branches)}) b GROUP BY {keys}"  # noqa: S608 - its parts are our own

    def _flags(self, found: RowsetClass) -> list[str]:
        is_signed = self.is_unique and DELETE_SIGN_ID in found.written
        flags = []
        for one in self.values:
            column = self.schema.by_id(one)
            assert column is not None
            if one not in found.written:
                says = f"c{DELETE_SIGN_ID} = 1" if is_signed else "false"
            elif column.aggregate is Aggregate.REPLACE_IF_NOT_NULL:
                says = f"{name_of(one)} IS NOT NULL"
            else:
                says = "true"
            flags.append(f"coalesce({says}, false) AS t{one}")
        return flags

    def _read_columns(self) -> list[int]:
        """Return the ids of what is read of a side besides the keys."""
        columns = self.values
        if self.is_unique:
            columns.append(DELETE_SIGN_ID)
            if self.schema.sequence_column == SEQUENCE_ID:
                columns.append(SEQUENCE_ID)
        return columns

    def _folded(self, side: str, bounds: Ranges, within: str) -> str:
        """Return a SELECT of a side's rows with the keys of the candidates, deleted ones too."""
        rowsets = [
            one
            for one in self.rowsets.of(side, self.partition)
            if self._is_delete(one) or meet(self.rowsets.ranges(one), bounds)
        ]
        folded = fold(
            self.schema,
            rowsets,
            self.rowsets.files,
            [*self.keys, *self._read_columns()],
            keeps_deleted=self.is_unique,
            footers=self.rowsets.footers,
        )
        return (
            f"SELECT f.* FROM (SELECT * FROM ({folded}) r WHERE {within}) f"  # noqa: S608 - its parts are our own
            f" SEMI JOIN candidates c ON {self._equal('f', 'c')}"
        )

    def _is_delete(self, rowset: Rowset) -> bool:
        header = self.rowsets.footers.header(rowset, self.rowsets.files)
        return header.kind is RowsetKind.DELETE

    def _within(self) -> str:
        """Return a condition that all candidates meet, to be pushed down to the files."""
        one = self.keys[0]
        name = name_of(one)
        sql = f"SELECT min({name})::VARCHAR, max({name})::VARCHAR, bool_or({name} IS NULL), any_value(typeof({name})) FROM candidates"  # noqa: E501, S608 - its parts are our own
        for batch in self.execution.stream(sql):
            low, high, has_null, kind = (column[0].as_py() for column in batch.columns)
            if low is None:
                return f"{name} IS NULL"
            between = f"{name} BETWEEN {quote_text(low)}::{kind} AND {quote_text(high)}::{kind}"
            return f"({between} OR {name} IS NULL)" if has_null else between
        return "true"

    def _judged(self) -> str:
        """Return a SELECT of the candidates with what both sides made of them."""
        columns = self._read_columns()
        outputs = [f"c.{name_of(one)} AS {name_of(one)}" for one in self.keys]
        for side in ("s", "d"):
            outputs += [f"{side}.{name_of(one)} AS {side}_c{one}" for one in columns]
            outputs.append(f"{self._alive(side)} AS {side}_alive")
        sequence = self.schema.sequence_column
        tie = "true"
        if sequence is not None:
            tie = f"s.c{sequence} IS NOT DISTINCT FROM d.c{sequence}"
            if self.is_unique:
                tie = f"({self._absent('s')} OR {self._absent('d')} OR {tie})"
        both = f"{self._alive('s')} AND {self._alive('d')} AND {tie}"
        for one in self.values:
            column = self.schema.by_id(one)
            assert column is not None
            differs = f"s.c{one} IS DISTINCT FROM d.c{one}"
            if column.aggregate is Aggregate.REPLACE_IF_NOT_NULL:
                differs = f"coalesce(s.c{one} <> d.c{one}, false)"
            outputs.append(f"(c.t{one} AND {both} AND {differs}) AS x{one}")
        is_row = f"{self._alive('s')} <> {self._alive('d')} AND {tie}"
        outputs.append(f"({is_row if self.is_unique else 'false'}) AS e")
        joins = " ".join(
            f"LEFT JOIN (SELECT *, true AS present FROM side_{side}) {side}"  # noqa: S608 - its parts are our own
            f" ON {self._equal('c', side)}"
            for side in ("s", "d")
        )
        return f"SELECT {', '.join(outputs)} FROM candidates c {joins}"  # noqa: S608 - its parts are our own

    def _alive(self, side: str) -> str:
        present = f"{side}.present IS NOT NULL"
        if not self.is_unique:
            return f"({present})"
        return f"({present} AND {side}.c{DELETE_SIGN_ID} IS DISTINCT FROM 1)"

    def _absent(self, side: str) -> str:
        return f"{side}.present IS NULL"

    def _equal(self, left: str, right: str) -> str:
        return " AND ".join(
            f"{left}.{name_of(one)} IS NOT DISTINCT FROM {right}.{name_of(one)}"
            for one in self.keys
        )

    def _make(self, name: str, select: str) -> None:
        self.execution.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")

    def _is_any(self, table: str, where: str) -> bool:
        sql = f"SELECT 1 AS one FROM {table} WHERE {where} LIMIT 1"  # noqa: S608 - its parts are our own
        return any(batch.num_rows for batch in self.execution.stream(sql))


def _texts(column: Column, values: pa.Array) -> list[str]:
    """Return the values of a key column as a conflict's path shows them."""
    kind = column.type
    if kind.kind is SqlType.DATE:
        values = values.cast(pa.int32())
    elif kind.kind is SqlType.DATETIME:
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    found: list[str] = []
    for value in values.to_pylist():
        text = str(value) if kind.kind is SqlType.LARGEINT else key_text(kind, value)
        shown = "NULL" if value is None or text is None else text[:_SHOWN_LENGTH]
        found.append(f"{column.name}={shown}")
    return found


def _written(made: NewRowset) -> WrittenRowset:
    body = made.body
    return WrittenRowset(
        made.partition,
        made.id,
        made.header,
        body.address,
        body.etag,
        body.size_bytes,
        body.place().extents,
    )
