"""A rowset's file: what is written is what is read, and the footer tells it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted
from anabranch.native import sketches
from anabranch.warehouse.physical_types import encode_largeint
from anabranch.warehouse.rowsets.footers import Footers, open_rowset
from anabranch.warehouse.rowsets.key_texts import key_text
from anabranch.warehouse.rowsets.rowset import NewRowset, RowsetKind, RowsetName
from anabranch.warehouse.rowsets.writer import RowsetWriter, delete_rowset
from anabranch.warehouse.schema import UNPARTITIONED, KeyModel, Table
from anabranch.warehouse.types import parse_type
from tests.support.table_model import REPOSITORY, TableFiles, id_of, make_table


@pytest.fixture
def files() -> Iterator[TableFiles]:
    made = TableFiles()
    yield made
    made.close()


def path_of(files: TableFiles, made: NewRowset) -> Path:
    return files.blocks.local_path(made.body.place().block)


def write(files: TableFiles, table: Table, columns: dict[str, pa.Array]) -> NewRowset:
    writer = files.writer(table, [id_of(table, name) for name in columns])
    names = [f"c{id_of(table, name)}" for name in columns]
    writer.write(pa.RecordBatch.from_arrays(list(columns.values()), names=names))
    return writer.finish()


KEYED = make_table(
    KeyModel.AGGREGATE,
    [
        ("k", "INT", "KEY", None),
        ("t", "VARCHAR(20)", "KEY", None),
        ("l", "LARGEINT", "KEY", None),
        ("d", "DATE", "KEY", None),
        ("at", "DATETIME(3)", "KEY", None),
        ("m", "DECIMAL(9,2)", "KEY", None),
        ("b", "BOOLEAN", "KEY", None),
        ("s", "DECIMAL(9,2)", "SUM", None),
        ("h", "HLL", "HLL_UNION", None),
    ],
)


def test_the_footer_tells_keys_sketches_and_columns(files: TableFiles) -> None:
    stored = [sketches.of_values([text]) for text in (b"a", b"b")]
    made = write(
        files,
        KEYED,
        {
            "k": pa.array([2, 1], pa.int32()),
            "t": pa.array(["é", "z"]),
            "l": pa.array([None, 5], pa.decimal128(38, 0)),
            "d": pa.array([-719528, 19000], pa.int32()).cast(pa.date32()),
            "at": pa.array([-1, 1_700_000_000_123_000], pa.int64()).cast(pa.timestamp("us")),
            "m": pa.array([Decimal("-0.50"), Decimal("7.00")], pa.decimal128(9, 2)),
            "b": pa.array([True, False]),
            "s": pa.array([Decimal("1.00"), None], pa.decimal128(38, 2)),
            "h": pa.array(stored, pa.binary()),
        },
    )
    opened = open_rowset("p", path_of(files, made))
    keys = {name: opened.footer.keys[id_of(KEYED, name)] for name in ("k", "t", "l", "d", "at")}
    assert keys == {
        "k": ("1", "2"),
        "t": ("z", "é"),
        "l": (None, "5"),
        "d": ("0000-01-01", "2022-01-08"),
        "at": ("1969-12-31 23:59:59.999", "2023-11-14 22:13:20.123"),
    }
    assert opened.footer.keys[id_of(KEYED, "m")] == ("-0.50", "7.00")
    assert opened.footer.keys[id_of(KEYED, "b")] == ("false", "true")
    union = base64.b64decode(opened.footer.sketches[id_of(KEYED, "h")])
    assert union == sketches.union(stored)
    assert opened.footer.header == made.header
    assert (made.header.rows, opened.footer.source_rows) == (2, 2)
    assert made.header.known == made.header.written == KEYED.column_ids
    field = pq.read_schema(path_of(files, made)).field("s")
    assert field.metadata[b"anabranch-type"] == b"DECIMAL(38,2)"
    assert field.metadata[b"PARQUET:field_id"] == str(id_of(KEYED, "s")).encode()


@pytest.mark.parametrize(
    "kind, value, text",
    [
        ("DATE", -719528 + 59, "0000-02-29"),
        ("DATE", 2932896, "9999-12-31"),
        ("DATE", 11016, "2000-02-29"),
        ("DATE", -1, "1969-12-31"),
        ("DATETIME", 0, "1970-01-01 00:00:00"),
        ("DATETIME(6)", 1, "1970-01-01 00:00:00.000001"),
    ],
)
def test_days_are_those_of_the_proleptic_calendar(kind: str, value: int, text: str) -> None:
    assert key_text(parse_type(kind), value) == text


def test_days_agree_with_numpy() -> None:
    days = np.random.default_rng(7).integers(-719_000, 2_932_896, 500)
    made = parse_type("DATE")
    assert [key_text(made, int(day)) for day in days] == [
        str(np.datetime64(int(day), "D")) for day in days
    ]


NESTED = make_table(
    KeyModel.DUPLICATE,
    [
        ("k", "INT", "KEY", None),
        ("a", "ARRAY<LARGEINT>", "", None),
        ("m", "MAP<STRING,LARGEINT>", "", None),
        ("s", "STRUCT<x:LARGEINT,y:INT>", "", None),
    ],
)


def test_largeints_are_stored_as_bytes_wherever_they_are_nested(files: TableFiles) -> None:
    wide = pa.decimal128(38, 0)
    rows = {
        "k": pa.array([0, 1, 2, 3], pa.int32()),
        "a": pa.array([[9], [1, None], None, []], pa.list_(wide)),
        "m": pa.array([[("z", 9)], [("p", -1), ("q", None)], None, []], pa.map_(pa.string(), wide)),
        "s": pa.array(
            [{"x": 9, "y": 9}, {"x": -7, "y": 1}, None, {"x": None, "y": 2}],
            pa.struct([("x", wide), ("y", pa.int32())]),
        ),
    }
    # A slice has offsets of its own.
    made = write(files, NESTED, {name: values.slice(1) for name, values in rows.items()})
    found = pq.read_table(path_of(files, made)).to_pydict()
    assert found["k"] == [1, 2, 3]
    assert found["a"] == [[encode_largeint(1), None], None, []]
    assert found["m"] == [[("p", encode_largeint(-1)), ("q", None)], None, []]
    assert found["s"] == [{"x": encode_largeint(-7), "y": 1}, None, {"x": None, "y": 2}]


def test_hugeints_of_the_engine_are_written_whole(files: TableFiles) -> None:
    table = make_table(KeyModel.DUPLICATE, [("l", "LARGEINT", "KEY", None)])
    numbers = [-(1 << 127), -1, None, 0, 10**38, (1 << 127) - 1]
    values = ", ".join("(NULL)" if one is None else f"('{one}'::HUGEINT)" for one in numbers)
    with duckdb.connect() as connection:
        reader = connection.sql(f"SELECT v FROM (VALUES {values}) t(v)").to_arrow_reader(100)
        arrow = reader.read_all()
    made = write(files, table, {"l": arrow.column(0).combine_chunks()})
    found = pq.read_table(path_of(files, made)).column(0).to_pylist()
    assert found == [None if one is None else encode_largeint(one) for one in numbers]


def test_many_rows_stream_in_row_groups(files: TableFiles) -> None:
    table = make_table(
        KeyModel.DUPLICATE, [("k", "BIGINT", "KEY", None), ("v", "BIGINT", "", None)]
    )
    writer = files.writer(table, table.column_ids)
    names = [f"c{column.id}" for column in table.columns]
    step = 8_192
    rows = 40 * step
    for start in range(0, rows, step):
        values = pa.array(range(start, start + step), pa.int64())
        writer.write(pa.RecordBatch.from_arrays([values, values], names=names), 2 * step)
    made = writer.finish()
    path = path_of(files, made)
    metadata = pq.read_metadata(path)
    assert metadata.num_rows == made.header.rows == rows
    assert max(metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)) <= (
        limits.ROW_GROUP_ROWS
    )
    footer = open_rowset("p", path).footer
    assert footer.source_rows == 2 * rows
    assert footer.keys == {table.columns[0].id: ("0", str(rows - 1))}


def test_no_rows_and_aborts(files: TableFiles) -> None:
    made = files.writer(KEYED, KEYED.column_ids).finish()
    opened = open_rowset("p", path_of(files, made))
    assert (opened.footer.header.rows, opened.footer.keys) == (0, {})
    writer = files.writer(KEYED, KEYED.column_ids)
    writer.abort()
    writer.abort()


def test_a_delete_holds_its_predicate_and_what_it_saw(files: TableFiles) -> None:
    seen = [RowsetName(1, "0" * 32), RowsetName(2, "f" * 32)]
    made = delete_rowset(
        files.bodies, REPOSITORY, files.ids, KEYED, UNPARTITIONED, "`c1` = 2", seen
    )
    opened = open_rowset("p", path_of(files, made))
    assert made.header.kind is RowsetKind.DELETE
    assert (opened.footer.predicate, opened.seen) == ("`c1` = 2", frozenset(map(str, seen)))


def test_a_file_that_is_not_what_its_entry_says_is_refused(
    files: TableFiles, tmp_path: Path
) -> None:
    made = files.writer(KEYED, KEYED.column_ids).finish()
    rowset = files.publish(made, RowsetName(1, made.id))
    footers = Footers()
    footers.open(rowset, files.files[rowset.path])
    other = files.writer(KEYED, KEYED.column_ids, partition="00000001").finish()
    with pytest.raises(Corrupted, match=rowset.path):
        Footers().open(rowset, path_of(files, other))
    for data in (b"", b"PAR1" * 9):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(Corrupted, match=rowset.path):
            Footers().open(rowset, tmp_path / "x")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x")
    with pytest.raises(Corrupted, match="not a rowset"):
        Footers().open(rowset, tmp_path / "x")
    with pytest.raises(Corrupted):
        Footers().open(rowset, tmp_path / "absent")


def test_an_open_writer_can_be_given_up_after_rows(files: TableFiles) -> None:
    table = make_table(KeyModel.DUPLICATE, [("k", "INT", "KEY", None)])
    writer: RowsetWriter = files.writer(table, table.column_ids)
    values = pa.array([1], pa.int32())
    writer.write(pa.RecordBatch.from_arrays([values], names=[f"c{table.columns[0].id}"]))
    writer.abort()
