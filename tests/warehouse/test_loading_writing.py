"""Rows of a relation: judged, routed, folded and sorted as the table says."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from anabranch.warehouse.engine import Engine
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.loading.writing import Written, write_rows
from anabranch.warehouse.schema import Table
from anabranch.warehouse.types import ColumnType, SqlType
from tests.support.loading import MemoryRowsets, engine_in, table_of

TEXT = ColumnType(SqlType.STRING)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        yield made


def write(
    engine: Engine, table: Table, relation: str, *names: str, **options: Any
) -> tuple[Written, MemoryRowsets]:
    rowsets = MemoryRowsets(table)
    columns = [table.find(name) for name in names] if names else list(table.columns)
    with engine.open() as execution:
        written = write_rows(
            execution,
            relation,
            table,
            [column for column in columns if column is not None],
            open_rowset=rowsets.open,
            **options,
        )
    return written, rowsets


def test_duplicate_rows_are_kept_and_sorted(engine: Engine) -> None:
    table = table_of("create table t (k int, v varchar(10)) duplicate key(k)")
    relation = "(values (3, 'c'), (1, 'a'), (NULL, 'n'), (1, 'a')) as t(k, v)"
    written, rowsets = write(engine, table, relation)
    assert rowsets.all_rows() == [(None, "n"), (1, "a"), (1, "a"), (3, "c")]
    assert (written.loaded_rows, written.filtered_rows) == (4, 0)


def test_aggregate_rows_fold_by_key(engine: Engine) -> None:
    table = table_of(
        "create table t (k int, s bigint sum, r varchar(9) replace, h hll hll_union,"
        " n int replace_if_not_null) aggregate key(k)"
    )
    relation = (
        "(select k, s, r, hll_hash(r) as h, n from (values (1, 5, 'a', 7), (2, 1, 'b', 8),"
        " (1, 6, NULL, NULL)) t(k, s, r, n))"
    )
    written, rowsets = write(engine, table, relation)
    rows = [(row[0], row[1], row[2], row[4]) for row in rowsets.all_rows()]
    assert rows == [(1, 11, None, 7), (2, 1, "b", 8)]
    assert written.loaded_rows == 3
    assert rowsets.sinks[0].source_rows == 3


def test_unique_takes_the_last_row_or_that_of_the_highest_sequence(engine: Engine) -> None:
    table = table_of("create table t (k int, a int, b int) unique key(k)")
    relation = "(values (1, 1, 9), (2, 2, 2), (1, 3, NULL)) as t(k, a, b)"
    assert write(engine, table, relation)[1].all_rows() == [(1, 3, None), (2, 2, 2)]
    table = table_of(
        "create table t (k int, a int, b int) unique key(k)"
        ' properties ("function_column.sequence_col" = "b")'
    )
    assert write(engine, table, relation)[1].all_rows() == [(1, 1, 9), (2, 2, 2)]


def test_rows_find_their_partitions(engine: Engine) -> None:
    table = table_of(
        "create table t (k int, v int) duplicate key(k) partition by range(k) ("
        'partition low values less than ("0"), partition mid values less than ("10"),'
        ' partition gap values [("20"), ("30")))'
    )
    relation = "(select i - 3 as k, i as v from range(40) t(i)) union all select null, 1"
    written, rowsets = write(engine, table, f"({relation})")
    found = {name: [row[0] for row in rows] for name, rows in rowsets.rows().items()}
    assert found == {
        "low": [None, -3, -2, -1],
        "mid": list(range(10)),
        "gap": list(range(20, 30)),
    }
    assert (written.loaded_rows, written.filtered_rows) == (24, 17)
    assert written.errors[0].reason.startswith("no partition for this tuple")
    written, rowsets = write(engine, table, f"({relation})", partitions=["mid"])
    assert list(rowsets.rows()) == ["mid"]
    with pytest.raises(SqlError, match="Unknown partition"):
        write(engine, table, f"({relation})", partitions=["none"])


def test_rows_find_listed_and_two_column_partitions(engine: Engine) -> None:
    table = table_of(
        "create table t (c varchar(9), v int) duplicate key(c) partition by list(c) ("
        'partition one values in ("a", "b"), partition two values in ((NULL), ("c")))'
    )
    relation = "(values ('a', 1), ('b', 2), (NULL, 3), ('c', 4), ('d', 5)) as t(c, v)"
    written, rowsets = write(engine, table, relation)
    assert rowsets.rows() == {"one": [("a", 1), ("b", 2)], "two": [(None, 3), ("c", 4)]}
    assert written.filtered_rows == 1
    table = table_of(
        "create table t (a int, b int) duplicate key(a, b) partition by range(a, b) ("
        'partition p values less than ("1", "5"), partition q values less than ("2", "2"))'
    )
    relation = "(values (1, 4), (1, 5), (NULL, 9), (1, NULL), (2, 1), (2, 2)) as t(a, b)"
    written, rowsets = write(engine, table, relation)
    assert rowsets.rows() == {"p": [(None, 9), (1, None), (1, 4)], "q": [(1, 5), (2, 1)]}


def test_texts_are_cast_and_judged(engine: Engine) -> None:
    table = table_of(
        "create table t (k int, d decimal(5,2), t date, s varchar(3), n int not null)"
        " duplicate key(k)"
    )
    types = dict.fromkeys(("k", "d", "t", "s", "n"), TEXT)
    relation = (
        "(values (1, '1', '1.005', '2024-01-02', 'abc', '1'),"
        " (2, 'x', '1', '2024-01-02', 'a', '1'),"
        " (3, '2', '12345', '2024-01-02', 'a', '1'), (4, '3', '1', '10000-01-01', 'a', '1'),"
        " (5, '4', '1', '20240103', 'éé', '1'), (6, '5', '1', NULL, 'a', NULL),"
        " (7, ' 6 ', '1', '24-1-3', 'a', '1.9')) as t(o, k, d, t, s, n)"
    )
    day = datetime.date
    written, rowsets = write(engine, table, relation, types=types, order="o")
    assert rowsets.all_rows() == [
        (1, Decimal("1.01"), day(2024, 1, 2), "abc", 1),
        (6, Decimal("1.00"), day(2024, 1, 3), "a", 1),
    ]
    reasons = [error.reason for error in written.errors]
    assert reasons[0].startswith("column(k) value is incorrect while strict mode is true, src")
    assert reasons[0].endswith("src value is x")
    assert "decimal value is not valid for definition, value=12345" in reasons[1]
    assert reasons[2].startswith("column(t) value is incorrect")
    assert "the length of input is too long than schema" in reasons[3]
    assert reasons[4] == "column(n) values is null while columns is not nullable"
    assert written.errors[0].line == "x\t1\t2024-01-02\ta\t1"
    assert (written.loaded_rows, written.filtered_rows) == (2, 5)
    written, rowsets = write(engine, table, relation, types=types, order="o", is_strict=False)
    assert [row[0] for row in rowsets.all_rows()] == [None, 1, 3, 6]
    assert written.filtered_rows == 3


def test_largeint_keeps_all_its_values(engine: Engine) -> None:
    table = table_of("create table t (k largeint, v int) duplicate key(k)")
    low, high = -(1 << 127), (1 << 127) - 1
    relation = f"(values ('{high}', 1), ('{low}', 2), ('-1', 3), ('{high + 1}', 4)) as t(k, v)"
    written, rowsets = write(engine, table, relation, types={"k": TEXT})
    (batch,) = rowsets.sinks[0].batches
    column = batch.column(0)
    data = column.buffers()[1].to_pybytes()[column.offset * 16 :]
    numbers = [int.from_bytes(data[at : at + 16], "little", signed=True) for at in (0, 16, 32)]
    assert numbers == [low, -1, high]
    assert written.filtered_rows == 1


def test_a_failure_leaves_no_rowset(engine: Engine) -> None:
    table = table_of("create table t (k int) duplicate key(k)")
    rowsets = MemoryRowsets(table)
    with engine.open() as execution, pytest.raises(SqlError):
        write_rows(
            execution,
            "(select error('x') as k from range(3))",
            table,
            list(table.columns),
            open_rowset=rowsets.open,
            types={"k": TEXT},
        )
    assert all(sink.state == "aborted" for sink in rowsets.sinks)
