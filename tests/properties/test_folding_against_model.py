"""Random sets of rowsets read by the engine are what the model in plain Python says."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.warehouse.extension import load_sketches
from anabranch.warehouse.rowsets.folding import relation
from anabranch.warehouse.schema import DELETE_SIGN_ID, SEQUENCE_ID, Column, KeyModel, Table
from anabranch.warehouse.types import SqlType
from tests.support import reference_sketch
from tests.support.table_model import ModelRowset, TableFiles, id_of, make_table, model_rows

AGGREGATE = make_table(
    KeyModel.AGGREGATE,
    [
        ("k", "INT", "KEY", None),
        ("l", "LARGEINT", "KEY", "7"),
        ("s8", "TINYINT", "SUM", "5"),
        ("s64", "BIGINT", "SUM", None),
        ("s128", "LARGEINT", "SUM", "9"),
        ("sd", "DECIMAL(9,2)", "SUM", "1.50"),
        ("sw", "DECIMAL(38,2)", "SUM", "2.25"),
        ("lo", "DOUBLE", "MIN", "-0.0"),
        ("hi", "FLOAT", "MAX", "0.0"),
        ("lt", "VARCHAR(20)", "MIN", "m"),
        ("r", "VARCHAR(20)", "REPLACE", "first"),
        ("rn", "INT", "REPLACE_IF_NOT_NULL", "3"),
        ("u", "HLL", "HLL_UNION", None),
    ],
)
PLAIN = [
    ("k", "INT", "KEY", None),
    ("v", "INT", "", "4"),
    ("w", "VARCHAR(20)", "", None),
    ("x", "LARGEINT", "", "11"),
]
UNIQUE = make_table(KeyModel.UNIQUE, PLAIN)
BY_HIDDEN = make_table(
    KeyModel.UNIQUE, PLAIN, properties=(("function_column.sequence_type", "bigint"),)
)
BY_COLUMN = make_table(KeyModel.UNIQUE, PLAIN, properties=(("function_column.sequence_col", "v"),))
DUPLICATE = make_table(KeyModel.DUPLICATE, PLAIN)
PARTITIONS = ["00000001", "00000002"]


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"allow_unsigned_extensions": True, "threads": 2}) as connection:
        load_sketches(connection, tmp_path_factory.mktemp("extension"), 1 << 32)
        yield connection


def integers(bits: int) -> st.SearchStrategy[int]:
    half = 1 << (bits - 1)
    return st.sampled_from([-half, half - 1, -1, 0, 1, 2, half // 2])


VALUES: dict[SqlType, st.SearchStrategy[Any]] = {
    SqlType.TINYINT: integers(8),
    SqlType.INT: st.integers(0, 5),
    SqlType.BIGINT: integers(64),
    SqlType.LARGEINT: integers(128),
    SqlType.DECIMAL: st.sampled_from([Decimal("0.01"), Decimal("-12345.67"), Decimal("3.00")]),
    SqlType.DOUBLE: st.sampled_from([0.0, -0.0, 1.5, -1.5, float("inf"), float("nan")]),
    SqlType.FLOAT: st.sampled_from([0.0, -0.0, 1.5, -1.5, float("-inf")]),
    SqlType.VARCHAR: st.sampled_from(["", "a", "é", "z" * 20]),
    SqlType.HLL: st.sampled_from(
        [reference_sketch.of_values([text]).encode() for text in (b"a", b"b", b"c")]
    ),
}


def value_of(draw: st.DrawFn, column: Column) -> Any:
    if column.type.kind is SqlType.HLL:
        return draw(VALUES[SqlType.HLL])
    return draw(st.none() | VALUES[column.type.kind])


@st.composite
def histories(draw: st.DrawFn, table: Table) -> list[ModelRowset]:
    """Rowsets that know and write what they like, as merges of any branches may leave them."""
    made: list[ModelRowset] = []
    optional = [column.id for column in table.values]
    if table.key_model is KeyModel.AGGREGATE:
        optional.append(id_of(table, "l"))
    must = frozenset(column.id for column in table.columns) - frozenset(optional)
    is_unique = table.key_model is KeyModel.UNIQUE
    for sequence in draw(st.lists(st.integers(1, 30), max_size=6, unique=True).map(sorted)):
        if not is_unique and made and draw(st.integers(0, 4)) == 0:
            made.append(deletion(draw, table, sequence, [one.sequence for one in made]))
            continue
        unknown = draw(st.sets(st.sampled_from(optional), max_size=draw(st.sampled_from([0, 2]))))
        known = frozenset(table.column_ids) - unknown
        written = known
        if table.key_model is not KeyModel.DUPLICATE and draw(st.booleans()):
            left_out = draw(st.sets(st.sampled_from(optional), max_size=3))
            written = known - {one for one in left_out if not table.by_id(one).is_key}  # type: ignore[union-attr]  # its own id
        written |= must
        if is_unique:
            own = {DELETE_SIGN_ID} if draw(st.booleans()) else set()
            if table.sequence_column == SEQUENCE_ID:
                own.add(SEQUENCE_ID)
            known, written = known | own, written | own
        made.append(rows_of(draw, table, sequence, known, written))
    return made


def rows_of(
    draw: st.DrawFn, table: Table, sequence: int, known: frozenset[int], written: frozenset[int]
) -> ModelRowset:
    rows: dict[Any, dict[int, Any]] = {}
    partition = draw(st.sampled_from(PARTITIONS))
    # Partitions share no keys, of tables that have any.
    keys = [None, 1, 2] if partition == PARTITIONS[0] else [3, 4]
    for _ in range(draw(st.integers(0, 4))):
        row: dict[int, Any] = {}
        for column in table.columns:
            if column.name == "k":
                row[column.id] = draw(st.sampled_from(keys))
            elif column.id in written:
                row[column.id] = value_of(draw, column)
        if DELETE_SIGN_ID in written:
            row[DELETE_SIGN_ID] = draw(st.sampled_from([0, 1]))
        if SEQUENCE_ID in written:
            row[SEQUENCE_ID] = draw(st.none() | st.integers(-2, 2))
        key: Any = tuple(row.get(column.id) for column in table.keys)
        rows[len(rows) if table.key_model is KeyModel.DUPLICATE else key] = row
    return ModelRowset(sequence, known, written, tuple(rows.values()), partition)


def deletion(draw: st.DrawFn, table: Table, sequence: int, before: list[int]) -> ModelRowset:
    seen = frozenset(draw(st.sets(st.sampled_from(before))))
    ids = frozenset(table.column_ids)
    k = id_of(table, "k")
    if table.key_model is KeyModel.DUPLICATE and draw(st.booleans()):
        v = id_of(table, "v")
        return ModelRowset(
            sequence, ids, ids, (), PARTITIONS[0], seen, f"`c{v}` = 4", lambda row: row[v] == 4
        )
    text = f"`c{k}` >= 2 OR `c{k}` IS NULL"
    return ModelRowset(
        sequence, ids, ids, (), PARTITIONS[0], seen, text, lambda row: row[k] is None or row[k] >= 2
    )


def shown(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(repr(row) for row in rows)


def check(duck: duckdb.DuckDBPyConnection, table: Table, history: list[ModelRowset]) -> None:
    files = TableFiles()
    try:
        rowsets = files.write_all(table, history)
        expected = model_rows(table, history)
        whole = [column.name for column in table.columns]
        for names in (whole, whole[:1], whole[1:2], whole[-1:]):
            ids = [id_of(table, name) for name in names]
            sql = relation(table, rowsets[::-1], files.files, names)
            # Names are written out: a float's sign of zero would not survive an order.
            found = duck.execute(f"SELECT * FROM {sql} t").fetchall()
            assert shown(found) == shown([tuple(row[one] for one in ids) for row in expected])
        count = duck.execute(f"SELECT count(*) FROM {relation(table, rowsets, files.files, [])} t")
        assert count.fetchall() == [(len(expected),)]
    finally:
        files.close()


@given(data=st.data())
@pytest.mark.parametrize(
    "table",
    [AGGREGATE, UNIQUE, BY_HIDDEN, BY_COLUMN, DUPLICATE],
    ids=["aggregate", "unique", "by_hidden_sequence", "by_sequence_column", "duplicate"],
)
def test_a_table_is_what_the_model_says(
    duck: duckdb.DuckDBPyConnection, table: Table, data: st.DataObject
) -> None:
    check(duck, table, data.draw(histories(table)))


def test_model_files_are_gone_after_closing() -> None:
    files = TableFiles()
    writer = files.writer(UNIQUE, UNIQUE.column_ids)
    body = writer.finish().body
    path = files.blocks.local_path(body.place().block)
    assert Path(path).exists()
    files.close()
    assert not Path(path).exists()
