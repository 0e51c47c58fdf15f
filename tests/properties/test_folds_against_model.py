"""Random sets read with random folds of other sets are what the model in plain Python says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from anabranch.kernel import limits
from anabranch.warehouse.extension import load_sketches
from anabranch.warehouse.folds.building import draft_fold, write_fold
from anabranch.warehouse.folds.covers import Cover, Judge, Run
from anabranch.warehouse.rowsets.fold import Fold, FoldShape, StandIn, end_of, hash_of
from anabranch.warehouse.rowsets.folding import relation
from anabranch.warehouse.rowsets.footers import Footers, OpenedRowset
from anabranch.warehouse.rowsets.rowset import Footer, Header, Rowset, RowsetKind, RowsetName
from anabranch.warehouse.schema import DELETE_SIGN_ID, SEQUENCE_ID, Column, KeyModel, Table
from anabranch.warehouse.types import SqlType
from tests.properties.test_folding_against_model import (
    AGGREGATE,
    BY_COLUMN,
    BY_HIDDEN,
    DUPLICATE,
    PARTITIONS,
    UNIQUE,
    shown,
)
from tests.support import reference_sketch
from tests.support.table_model import ModelRowset, TableFiles, id_of, model_rows

IDENTITY = "schema"
HISTORIES = int(os.environ.get("ANABRANCH_FOLD_HISTORIES", "8"))


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"allow_unsigned_extensions": True, "threads": 2}) as connection:
        load_sketches(connection, tmp_path_factory.mktemp("extension"), 1 << 32)
        yield connection


@dataclass
class FoldFiles:
    """Makes folds of runs, and finds what a set is read with."""

    duck: duckdb.DuckDBPyConnection
    table: Table
    written: TableFiles = field(default_factory=TableFiles)
    footers: Footers = field(default_factory=Footers)
    judge: Judge = field(default_factory=Judge)
    files: dict[str, Path] = field(default_factory=dict)
    folds: list[Fold] = field(default_factory=list)

    def cover(self, rowsets: Sequence[Rowset]) -> Cover:
        ordered = sorted(rowsets, key=lambda one: one.name)
        paths = self.written.files
        return self.judge.cover(
            IDENTITY, ordered, self.folds, lambda one: self.footers.open(one, paths[one.path])
        )

    def make(self, run: Run, cover: Cover) -> Fold | None:
        draft = draft_fold(
            self.table,
            IDENTITY,
            run,
            cover.deletes,
            self.written.files,
            self.footers,
            lambda fold: self.files[fold.hash],
            0,
        )
        if draft is None:
            return None
        address = f"local://warehouse/_folds/{draft.fold.hash}"
        body, rows = write_fold(draft, self._stream, self.written.blocks, address)
        made = replace(draft.fold, rows=rows, size_bytes=body.size_bytes, address=address)
        self.files[made.hash] = self.written.blocks.local_path(body.place().block)
        if made not in self.folds:
            self.folds.append(made)
        return made

    def _stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        yield from self.duck.cursor().sql(sql).to_arrow_reader(1_000)

    def read(self, rowsets: Sequence[Rowset], names: list[str]) -> list[str]:
        cover = self.cover(rowsets)
        stand_ins = [
            StandIn(item.fold, item.members[0].name, self.files[item.fold.hash])
            for item in cover.folds
            if item.fold is not None
        ]
        sql = relation(self.table, cover.rowsets, self.written.files, names, stand_ins=stand_ins)
        return shown(self.duck.cursor().execute(f"SELECT * FROM {sql} t").fetchall())


WHAT = [None, 1, 2]
OTHER = [3, 4]
TEXTS = [None, "", "a", "z" * 20]
SKETCHES = [reference_sketch.of_values([text]).encode() for text in (b"a", b"b", b"c")]


def value_of(rng: Random, column: Column) -> Any:
    match column.type.kind:
        case SqlType.HLL:
            return rng.choice(SKETCHES)
        case SqlType.VARCHAR:
            return rng.choice(TEXTS)
        case SqlType.DECIMAL:
            return rng.choice([None, Decimal("0.01"), Decimal("-12345.67")])
        case SqlType.DOUBLE | SqlType.FLOAT:
            return rng.choice([None, 0.0, -0.0, 1.5, float("inf")])
    return rng.choice([None, -1, 0, 1, 4, 127])


def random_rowset(rng: Random, table: Table, sequence: int) -> ModelRowset:
    """Rows that know and write what they like."""
    is_aggregate = table.key_model is KeyModel.AGGREGATE
    must = {column.id for column in table.keys}
    known, written = set(table.column_ids), set(table.column_ids)
    # Rows that leave columns out are not folded where a sequence column orders them.
    rarely = 1 if table.sequence_column is None else 0.3
    if rng.random() < 0.3 * rarely:
        unknown = set(rng.sample([one.id for one in table.values], rng.choice([1, 2])))
        unknown |= {id_of(table, "l")} if is_aggregate and rng.random() < 0.5 else set()
        known -= unknown
        written -= unknown
    if table.key_model is not KeyModel.DUPLICATE and rng.random() < 0.4 * rarely:
        values = [one.id for one in table.values]
        written -= set(rng.sample(values, rng.randint(1, len(values))))
    written |= must & known
    if table.key_model is KeyModel.UNIQUE:
        own = {DELETE_SIGN_ID} if rng.random() < 0.4 else set()
        own |= {SEQUENCE_ID} if table.sequence_column == SEQUENCE_ID else set()
        known |= own
        written |= own
    partition = PARTITIONS[rng.random() < 0.2]
    rows: dict[Any, dict[int, Any]] = {}
    for _ in range(rng.randint(1, 4)):
        row = {column.id: value_of(rng, column) for column in table.columns}
        row[id_of(table, "k")] = rng.choice(WHAT if partition == PARTITIONS[0] else OTHER)
        row |= {DELETE_SIGN_ID: rng.choice([0, 0, 1]), SEQUENCE_ID: rng.choice([None, 1, 2, 3])}
        if is_aggregate:
            row[id_of(table, "l")] = rng.choice([7, 8])
        row = {one: value for one, value in row.items() if one in written}
        key: Any = tuple(row.get(column.id) for column in table.keys)
        rows[len(rows) if table.key_model is KeyModel.DUPLICATE else key] = row
    return ModelRowset(
        sequence, frozenset(known), frozenset(written), tuple(rows.values()), partition
    )


def random_delete(table: Table, sequence: int, seen: Iterable[int]) -> ModelRowset:
    ids, k = frozenset(table.column_ids), id_of(table, "k")
    text = f"`c{k}` >= 2 OR `c{k}` IS NULL"
    return ModelRowset(
        sequence,
        ids,
        ids,
        (),
        PARTITIONS[0],
        frozenset(seen),
        text,
        lambda row: row[k] is None or row[k] >= 2,
    )


def random_history(rng: Random, table: Table) -> list[ModelRowset]:
    """Two branches whose sequences interleave, each DELETE having seen what its branch had."""
    made: list[ModelRowset] = []
    branches: list[set[int]] = [set(), set()]
    for sequence in range(1, rng.randint(5, 10)):
        at = rng.randint(0, 1)
        has_deletes = table.key_model is not KeyModel.UNIQUE
        if has_deletes and branches[at] and rng.random() < 0.25:
            made.append(random_delete(table, sequence, branches[at]))
        else:
            made.append(random_rowset(rng, table, sequence))
            branches[at].add(sequence)
        if rng.random() < 0.15:
            branches[at] |= branches[1 - at]
    return made


def check(duck: duckdb.DuckDBPyConnection, table: Table, rng: Random) -> int:
    """Read sets with folds made in other sets; return how many folds of many were read."""
    history = random_history(rng, table)
    made = FoldFiles(duck, table)
    used = 0
    try:
        rowsets = made.written.write_all(table, history)
        pairs = list(zip(history, rowsets, strict=True))
        # Branches on which folds are made, of rowsets and of the folds made before.
        for _ in range(3):
            share = rng.choice([0.5, 0.8, 1])
            cover = made.cover([one for one in rowsets if rng.random() < share])
            for partition, items in cover.items.items():
                start = rng.randrange(len(items))
                end = rng.randint(start + 1, len(items))
                made.make(Run(partition, items[start:end], 1), cover)
        for share in (1, 0.85, 0.85, 0.6):
            read = [pair for pair in pairs if rng.random() < share]
            expected = model_rows(table, [one for one, _ in read])
            names = [column.name for column in table.columns]
            names = rng.choice([names, names, names[:1], names[-1:]])
            ids = [id_of(table, name) for name in names]
            found = made.read([one for _, one in read], names)
            assert found == shown([tuple(row[one] for one in ids) for row in expected])
            cover = made.cover([one for _, one in read])
            used += sum(len(item.members) > 1 for item in cover.folds)
    finally:
        made.written.close()
    return used


@pytest.mark.parametrize(
    "table",
    [AGGREGATE, UNIQUE, BY_HIDDEN, BY_COLUMN, DUPLICATE],
    ids=["aggregate", "unique", "by_hidden_sequence", "by_sequence_column", "duplicate"],
)
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("has_bases", [False, True], ids=["folded_whole", "beside_bases"])
def test_folds_change_no_answer(
    duck: duckdb.DuckDBPyConnection,
    table: Table,
    has_bases: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if has_bases:
        monkeypatch.setattr(limits, "BASE_ROWS_MIN", 1)
        monkeypatch.setattr(limits, "BASE_TIMES", 0)
    used = sum(check(duck, table, Random(f"{has_bases} {number}")) for number in range(HISTORIES))
    assert used >= HISTORIES // 3, "folds were hardly read"


def test_a_fold_is_read_only_where_it_says_what_its_members_do() -> None:
    """Without files: what is left of each rowset after DELETEs, by key, in the order of rowsets."""
    rng = Random(20_000)
    refused = used = 0
    for _ in range(5_000):
        rowsets, seen, kills = _abstract(rng)
        built = [one for one in rowsets if rng.random() < 0.8]
        judge = Judge()

        def opened(one: Rowset, seen: dict[str, frozenset[str]] = seen) -> OpenedRowset:
            return OpenedRowset(Footer(_header(True), "0", 0), False, seen[one.path])

        live = [one for one in built if one.path not in seen]
        if not live:
            continue
        start = rng.randrange(len(live))
        members = live[start : rng.randint(start + 1, len(live))]
        names = {str(one.name) for one in members}
        deletes = [one for one in built if one.path in seen and names & seen[one.path]]
        deletes = [one for one in deletes if rng.random() < 0.5 or seen[one.path] < names]
        applied = tuple(sorted(one.physical_address for one in deletes))
        fold = Fold(
            hash_of(IDENTITY, members, applied), "t", "0", IDENTITY, end_of(members[0]),
            len(members), applied, FoldShape((), ()), 1, 1, 1, "", 0,
        )  # fmt: skip
        read = [one for one in rowsets if rng.random() < 0.85]
        truth = {key: _left(read, seen, kills, key) for key in (0, 1)}
        said = {
            key: _left_of_fold(fold, members, deletes, read, seen, kills, key) for key in (0, 1)
        }
        found = judge.cover(IDENTITY, read, [fold], opened).folds
        if found:
            used += 1
            assert said == truth
        elif said != truth:
            refused += 1
    assert used > 500
    assert refused > 500, "without its rules a fold would be wrong"


def _header(is_delete: bool) -> Header:
    return Header("t", RowsetKind.DELETE if is_delete else RowsetKind.ROWS, (), (), 1)


def _abstract(
    rng: Random,
) -> tuple[list[Rowset], dict[str, frozenset[str]], dict[str, set[int]]]:
    """Return rowsets by name, what DELETEs saw by path, and the keys they delete."""
    rowsets: list[Rowset] = []
    seen: dict[str, frozenset[str]] = {}
    kills: dict[str, set[int]] = {}
    branches: list[set[str]] = [set(), set()]
    for sequence in range(1, rng.randint(4, 10)):
        name = RowsetName(sequence, f"{rng.getrandbits(64):032x}")
        is_delete, at = rng.random() < 0.3, rng.randint(0, 1)
        path = f"db/t/rowsets/0/{name}.parquet"
        rowsets.append(Rowset(path, "0", name, _header(is_delete), f"local://w/{name.id}", 1))
        if is_delete:
            seen[path] = frozenset(branches[at])
            kills[path] = {key for key in (0, 1) if rng.random() < 0.6}
        else:
            branches[at].add(str(name))
        if rng.random() < 0.2:
            branches[at] |= branches[1 - at]
    return rowsets, seen, kills


def _left(
    read: Sequence[Rowset],
    seen: Mapping[str, frozenset[str]],
    kills: Mapping[str, set[int]],
    key: int,
) -> list[str]:
    """Return the rowsets whose row of a key stands."""
    killed = {name for one in read if key in kills.get(one.path, ()) for name in seen[one.path]}
    return [str(one.name) for one in read if one.path not in seen and str(one.name) not in killed]


def _left_of_fold(
    fold: Fold,
    members: Sequence[Rowset],
    applied: Sequence[Rowset],
    read: Sequence[Rowset],
    seen: Mapping[str, frozenset[str]],
    kills: Mapping[str, set[int]],
    key: int,
) -> list[str]:
    """Return the same where a fold is read at its first member's place, by what it is."""
    inside = _left([*members, *applied], seen, kills, key)
    first = str(members[0].name)
    for one in read:
        is_left = one.physical_address not in fold.deletes
        if key in kills.get(one.path, ()) and is_left and first in seen[one.path]:
            inside = []
    found: list[tuple[str, list[str]]] = [(first, inside)]
    gone = set(members)
    outside = _left([one for one in read if one not in gone], seen, kills, key)
    found += [(name, [name]) for name in outside]
    return [name for _, names in sorted(found) for name in names]
