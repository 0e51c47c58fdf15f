"""Tables out of rowsets: the rules one by one; random histories are in tests/properties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from anabranch.kernel.errors import Corrupted
from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.extension import write_extension
from anabranch.warehouse.rowsets.folding import DELETE_SIGN_NAME, SEQUENCE_NAME, fold, relation
from anabranch.warehouse.rowsets.footers import Footers
from anabranch.warehouse.rowsets.rowset import Rowset, RowsetName
from anabranch.warehouse.schema import (
    DELETE_SIGN_ID,
    SEQUENCE_ID,
    Column,
    DroppedColumn,
    KeyModel,
    Table,
)
from anabranch.warehouse.types import parse_type
from tests.support.table_model import ModelRowset, TableFiles, Values, id_of, make_table


@pytest.fixture
def files() -> Iterator[TableFiles]:
    made = TableFiles()
    yield made
    made.close()


@pytest.fixture
def engine(files: TableFiles, tmp_path: Path) -> Iterator[Engine]:
    """Return an engine locked to the folder of the blocks."""
    with duckdb.connect() as connection:
        platform = str((connection.execute("PRAGMA platform").fetchone() or ("",))[0])
    probe = files.writer(DUPLICATE, DUPLICATE.column_ids).finish()
    folder = files.blocks.local_path(probe.body.place().block).parent
    extension = write_extension(tmp_path, platform)
    made = Engine(EngineSettings(256 * 1024**2, 2, [folder], tmp_path / "spill", [extension]))
    yield made
    made.close()


DUPLICATE = make_table(KeyModel.DUPLICATE, [("k", "INT", "KEY", None), ("v", "INT", "", None)])
UNIQUE = make_table(
    KeyModel.UNIQUE,
    [("k", "INT", "KEY", None), ("v", "INT", "", None), ("w", "INT", "", "7")],
)
SUMS = make_table(
    KeyModel.AGGREGATE,
    [("k", "INT", "KEY", None), ("s", "INT", "SUM", None), ("d", "DECIMAL(38,0)", "SUM", None)],
)


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.open() as execution:
        found: list[tuple[Any, ...]] = []
        for batch in execution.stream(sql):
            found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        return sorted(found, key=repr)


def load(
    table: Table,
    sequence: int,
    names: Sequence[str],
    *values: tuple[Any, ...],
    known: Table | None = None,
    own: Sequence[int] = (),
) -> ModelRowset:
    """Return a rowset that writes columns by name, then the format's own."""
    ids = [*(id_of(table, name) for name in names), *own]
    made: tuple[Values, ...] = tuple(dict(zip(ids, row, strict=True)) for row in values)
    knows = frozenset((known or table).column_ids) | frozenset(own)
    return ModelRowset(sequence, knows, frozenset(ids), made)


def read(
    engine: Engine, files: TableFiles, table: Table, history: Sequence[ModelRowset], **how: Any
) -> list[tuple[Any, ...]]:
    rowsets = files.write_all(table, history)
    columns = how.pop("columns", None)
    return rows(engine, f"SELECT * FROM {relation(table, rowsets, files.files, columns, **how)} t")


def test_no_rowsets_are_an_empty_table_of_the_right_types(
    engine: Engine, files: TableFiles
) -> None:
    with engine.open() as execution:
        batches = list(execution.stream(f"SELECT * FROM {relation(SUMS, [], {}, None)} t"))
    assert sum(batch.num_rows for batch in batches) == 0
    assert read(engine, files, DUPLICATE, [load(DUPLICATE, 1, ["k", "v"])]) == []


def test_rows_of_duplicate_keys_all_stay(engine: Engine, files: TableFiles) -> None:
    history = [load(DUPLICATE, at, ["k", "v"], (1, 2), (1, 2)) for at in (1, 2)]
    assert read(engine, files, DUPLICATE, history) == [(1, 2)] * 4


def test_names_are_asked_for_without_regard_to_case(engine: Engine, files: TableFiles) -> None:
    history = [load(DUPLICATE, 1, ["k", "v"], (1, 2))]
    assert read(engine, files, DUPLICATE, history, columns=["V"]) == [(2,)]


def test_the_last_row_of_a_unique_key_stands_whatever_the_order_of_the_list(
    engine: Engine, files: TableFiles
) -> None:
    history = [
        load(UNIQUE, 3, ["k", "v", "w"], (1, 30, 30), (2, None, 1)),
        load(UNIQUE, 1, ["k", "v", "w"], (1, 10, 10), (2, 20, 20), (3, 3, 3)),
    ]
    assert read(engine, files, UNIQUE, history) == [(1, 30, 30), (2, None, 1), (3, 3, 3)]


def test_equal_sequences_order_by_id(engine: Engine, files: TableFiles) -> None:
    made = [load(UNIQUE, at, ["k", "v", "w"], (1, at, at)) for at in (1, 2)]
    names = {1: RowsetName(5, "f" * 32), 2: RowsetName(5, "0" * 32)}
    published = []
    for one in made:
        writer = files.writer(UNIQUE, one.written)
        arrays = [pa.array([value], pa.int32()) for value in (1, one.sequence, one.sequence)]
        writer.write(pa.RecordBatch.from_arrays(arrays, names=[f"c{c.id}" for c in UNIQUE.columns]))
        published.append(files.publish(writer.finish(), names[one.sequence]))
    sql = relation(UNIQUE, published, files.files, ["v"])
    assert rows(engine, f"SELECT * FROM {sql} t") == [(1,)]


def test_a_partial_update_leaves_the_other_columns(engine: Engine, files: TableFiles) -> None:
    history = [
        load(UNIQUE, 1, ["k", "v", "w"], (1, 10, 10)),
        load(UNIQUE, 2, ["k", "v"], (1, None), (2, 5)),
        load(UNIQUE, 3, ["k", "w"], (1, 11)),
    ]
    assert read(engine, files, UNIQUE, history) == [(1, None, 11), (2, 5, 7)]


def test_a_deleted_key_begins_anew(engine: Engine, files: TableFiles) -> None:
    history = [
        load(UNIQUE, 1, ["k", "v", "w"], (1, 10, 10), (2, 20, 20)),
        load(UNIQUE, 2, ["k"], (1, 1), (2, 1), own=[DELETE_SIGN_ID]),
        load(UNIQUE, 3, ["k", "v"], (1, 5)),
    ]
    assert read(engine, files, UNIQUE, history[:2]) == []
    assert read(engine, files, UNIQUE, history) == [(1, 5, 7)]
    hidden = read(engine, files, UNIQUE, history, has_hidden=True)
    assert hidden == [(1, 5, 7, 0)]


def test_deleted_keys_can_be_kept(engine: Engine, files: TableFiles) -> None:
    history = [load(UNIQUE, 2, ["k"], (1, 1), (2, 0), own=[DELETE_SIGN_ID])]
    for rowsets in (files.write_all(UNIQUE, history), files.write_all(UNIQUE, history * 2)):
        ids = [id_of(UNIQUE, "k"), DELETE_SIGN_ID]
        sql = fold(UNIQUE, rowsets, files.files, ids, keeps_deleted=True)
        assert rows(engine, sql) == [(1, 1), (2, 0)]


def test_a_row_without_a_sequence_value_is_the_first(engine: Engine, files: TableFiles) -> None:
    table = replace(UNIQUE, properties=(("function_column.sequence_type", "int"),))
    names = ["k", "v", "w"]
    history = [
        load(table, 1, names, (1, 1, 1, 5), (2, 1, 1, 5), own=[SEQUENCE_ID]),
        load(table, 2, names, (1, 2, 2, None), (2, 2, 2, 5), own=[SEQUENCE_ID]),
        load(table, 3, names, (1, 3, 3, -9), (2, 3, 3, 4), own=[SEQUENCE_ID]),
    ]
    found = read(engine, files, table, history, has_hidden=True)
    assert found == [(1, 1, 1, 0, 5), (2, 2, 2, 0, 5)]
    assert SEQUENCE_NAME in relation(table, [], {}, None, has_hidden=True)
    assert DELETE_SIGN_NAME not in relation(table, [], {}, None)


def test_an_unknown_column_counts_its_default_once_for_a_key(
    engine: Engine, files: TableFiles
) -> None:
    old = make_table(KeyModel.AGGREGATE, [("k", "INT", "KEY", None)])
    new = make_table(KeyModel.AGGREGATE, [("k", "INT", "KEY", None), ("s", "INT", "SUM", "5")])
    history = [
        load(new, 1, ["k"], (1,), (2,), known=old),
        load(new, 2, ["k"], (1,), known=old),
        load(new, 3, ["k", "s"], (1, 1), (3, 1)),
    ]
    assert read(engine, files, new, history) == [(1, 6), (2, 5), (3, 1)]


def test_renamed_and_widened_columns_are_read_by_id(engine: Engine, files: TableFiles) -> None:
    table = make_table(
        KeyModel.DUPLICATE,
        [("k", "INT", "KEY", None), ("d", "DATE", "", None), ("m", "DECIMAL(4,1)", "", None)],
    )
    made = files.writer(table, table.column_ids)
    arrays = [
        pa.array([7], pa.int32()),
        pa.array([0], pa.int32()).cast(pa.date32()),
        pa.array([15], pa.int64()).cast(pa.decimal128(38, 1)).cast(pa.decimal128(4, 1)),
    ]
    made.write(pa.RecordBatch.from_arrays(arrays, names=[f"c{c.id}" for c in table.columns]))
    rowset = files.publish(made.finish(), RowsetName(1, "0" * 32))
    changed: list[Column] = []
    kinds = {"k": "BIGINT", "d": "DATETIME", "m": "DECIMAL(20,3)"}
    for column in table.columns:
        kind = parse_type(kinds[column.name])
        changed.append(replace(column, name=f"new {column.name}", type=kind))
    wide = replace(table, columns=tuple(changed))
    sql = relation(wide, [rowset], files.files, None)
    found = rows(engine, f'SELECT "new k", "new d"::VARCHAR, "new m"::VARCHAR FROM {sql} t')
    assert found == [(7, "1970-01-01 00:00:00", "15.000")]


def test_a_delete_reaches_only_what_it_saw(engine: Engine, files: TableFiles) -> None:
    v = id_of(DUPLICATE, "v")
    ids = frozenset(DUPLICATE.column_ids)
    history = [
        load(DUPLICATE, 1, ["k", "v"], (1, 1), (2, None)),
        load(DUPLICATE, 2, ["k", "v"], (3, 1)),
        ModelRowset(
            3, ids, ids, (), seen=frozenset({1}), text=f"`c{v}` = 1", deletes=lambda row: None
        ),
        load(DUPLICATE, 4, ["k", "v"], (4, 1)),
    ]
    assert read(engine, files, DUPLICATE, history) == [(2, None), (3, 1), (4, 1)]
    assert read(engine, files, DUPLICATE, history, columns=["k"]) == [(2,), (3,), (4,)]


def test_a_predicate_over_a_dropped_column_still_holds(engine: Engine, files: TableFiles) -> None:
    v = id_of(DUPLICATE, "v")
    ids = frozenset(DUPLICATE.column_ids)
    history = [
        load(DUPLICATE, 1, ["k", "v"], (1, 1), (2, 2)),
        ModelRowset(
            2, ids, ids, (), seen=frozenset({1}), text=f"`c{v}` = 1", deletes=lambda row: None
        ),
    ]
    rowsets = files.write_all(DUPLICATE, history)
    dropped = replace(
        DUPLICATE,
        columns=DUPLICATE.columns[:1],
        dropped_columns=(DroppedColumn(v, "v", parse_type("INT"), "v"),),
    )
    sql = relation(dropped, rowsets, files.files, None)
    assert rows(engine, f"SELECT * FROM {sql} t") == [(2,)]


def test_a_sum_that_overflows_fails_only_the_queries_that_use_it(
    engine: Engine, files: TableFiles
) -> None:
    most = Decimal(10**38 - 1)
    history = [load(SUMS, at, ["k", "s", "d"], (1, 1, most)) for at in (1, 2)]
    assert read(engine, files, SUMS, history, columns=["k", "s"]) == [(1, 2)]
    with pytest.raises(SqlError, match=r"SUM of column db/t\.d does not fit") as raised:
        read(engine, files, SUMS, history)
    assert raised.value.code == 1690


def test_a_partition_with_one_rowset_is_not_folded(files: TableFiles) -> None:
    one = files.write_all(SUMS, [load(SUMS, 1, ["k", "s", "d"], (1, 1, None))])
    assert "GROUP BY" not in relation(SUMS, one, files.files, None)
    two = [replace(load(SUMS, 2, ["k", "s", "d"], (2, 1, None)), partition="00000001")]
    apart = [*one, *files.write_all(SUMS, two)]
    assert "GROUP BY" not in relation(SUMS, apart, files.files, None)
    same = [*one, *files.write_all(SUMS, [load(SUMS, 3, ["k", "s", "d"], (1, 1, None))])]
    assert "GROUP BY" in relation(SUMS, same, files.files, None)
    assert "arg_max" not in relation(SUMS, same, files.files, ["k"])


def test_rowsets_of_another_table_are_refused(files: TableFiles) -> None:
    other = replace(SUMS, id="f" * 32)
    rowsets = files.write_all(other, [load(other, 1, ["k", "s", "d"], (1, 1, None))])
    with pytest.raises(Corrupted, match=rowsets[0].path):
        relation(SUMS, rowsets, files.files, None)


def test_headers_that_did_not_fit_are_read_in_the_file(engine: Engine, files: TableFiles) -> None:
    rowsets = files.write_all(UNIQUE, [load(UNIQUE, 1, ["k", "v"], (1, 2))])
    bare: list[Rowset] = [replace(rowset, header=None) for rowset in rowsets]
    sql = relation(UNIQUE, bare, files.files, None, footers=Footers())
    assert rows(engine, f"SELECT * FROM {sql} t") == [(1, 2, 7)]
