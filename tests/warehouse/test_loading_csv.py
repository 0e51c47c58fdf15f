"""CSV files into tables: columns, expressions, filters, bad rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from anabranch.warehouse.engine import Engine
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.loading.load import Loaded, Loader, LoadTask, TooManyFiltered
from anabranch.warehouse.loading.options import LoadOptions, of_description, of_headers
from anabranch.warehouse.loading.sources import Source
from anabranch.warehouse.loading.writing import OpenRowset
from anabranch.warehouse.schema import Table
from anabranch.warehouse.sql.loads import LoadLabel
from anabranch.warehouse.sql.parser import parse
from tests.support.fakes import FakeClock
from tests.support.loading import MemoryRowsets, engine_in, table_of


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        yield made


def source(data: bytes | str, name: str = "a.csv", *path_values: str) -> Source:
    given = data if isinstance(data, bytes) else data.encode()
    return Source(name, lambda: io.BytesIO(given), path_values)


def load(
    engine: Engine, table: Table, options: LoadOptions, *sources: Source
) -> tuple[Loaded, MemoryRowsets]:
    rowsets = MemoryRowsets(table)

    def open_for(given: Table, ids: Sequence[int]) -> OpenRowset:
        assert given is table
        assert list(ids) == sorted(ids)
        return rowsets.open

    loader = Loader(FakeClock(), Path("unused"))
    with engine.open() as execution:
        return loader.run(LoadTask(table, "t", sources, options), execution, open_for), rowsets


def described(text: str) -> LoadOptions:
    """Return the options of the one data description of a LOAD whose clauses are `text`."""
    (statement,) = parse(f'LOAD LABEL l (DATA INFILE("x") INTO TABLE t {text}) WITH BROKER "b"')
    assert isinstance(statement, LoadLabel)
    job = {name.lower(): value for name, value in statement.properties}
    return of_description(statement.descriptions[0], job, "UTC")


def loaded_rows(engine: Engine, table: Table, text: str, data: bytes | str) -> list[Any]:
    return load(engine, table, described(text), source(data))[1].all_rows()


PAIR = "create table t (k int, v varchar(5)) duplicate key(k)"


def test_default_columns_are_the_table_s(engine: Engine) -> None:
    table = table_of(PAIR)
    loaded, rowsets = load(engine, table, LoadOptions(), source("2\tb\n1\ta\n\\N\t\\N\n3\t\n"))
    assert rowsets.all_rows() == [(None, None), (1, "a"), (2, "b"), (3, "")]
    assert (loaded.total_rows, loaded.loaded_rows, loaded.scanned_bytes) == (4, 4, 17)


def test_expressions_see_the_raw_text(engine: Engine) -> None:
    table = table_of(
        "create table t (k int, v varchar(30) replace, h hll hll_union) aggregate key(k)"
    )
    text = "(k, x) SET (v = concat(x, '!', k), h = hll_hash(k))"
    one, _ = loaded_rows(engine, table, text, "007\ta\n8\tb\n")
    assert one[:2] == (7, "a!007")
    with engine.open() as execution:
        sql = "select hll_hash('007') as h"
        (batch,) = execution.stream(sql)
    assert one[2] == batch.column(0)[0].as_py()


def test_a_name_may_be_no_column_and_left_out_columns_get_defaults(engine: Engine) -> None:
    table = table_of(
        "create table t (k int, v varchar(5) default 'dft', n int, d date default current_date)"
        " duplicate key(k)"
    )
    rows = loaded_rows(engine, table, "(skip1, k) SET (n = k + 1)", "z\t5\n")
    assert rows[0][:3] == (5, "dft", 6)
    needed = table_of("create table t (k int, v int not null) duplicate key(k)")
    with pytest.raises(SqlError, match="no default value"):
        loaded_rows(engine, needed, "(k)", "1\n")
    sketch = table_of("create table t (k int, h hll hll_union) aggregate key(k)")
    with pytest.raises(SqlError, match="must use hll_hash function"):
        loaded_rows(engine, sketch, "", "1\t2\n")


def test_filters(engine: Engine) -> None:
    table = table_of(PAIR)
    data = "1\ta\n2\tb\n3\tc\nx\td\n"
    options = described("(k, v) PRECEDING FILTER v != 'a' WHERE k > 2")
    loaded, rowsets = load(engine, table, options, source(data))
    assert rowsets.all_rows() == [(3, "c")]
    assert (loaded.loaded_rows, loaded.filtered_rows, loaded.unselected_rows) == (1, 0, 3)
    strict = described('(k, v) WHERE k > 2 PROPERTIES ("format" = "csv")')
    headers = {"strict_mode": "true", "max_filter_ratio": "0.5", "where": "k > 2"}
    strict = of_headers(headers)
    loaded, rowsets = load(engine, table, strict, source(data))
    assert (loaded.loaded_rows, loaded.filtered_rows, loaded.unselected_rows) == (1, 1, 2)


def test_bad_rows_and_their_reasons(engine: Engine) -> None:
    table = table_of(PAIR)
    data = b"1\ta\n2\n3\tc\td\n4\t\xff\xfe\n5\ttoolong\n"
    with pytest.raises(TooManyFiltered, match="too many filtered rows") as raised:
        load(engine, table, of_headers({"max_filter_ratio": "0.79"}), source(data))
    loaded = raised.value.loaded
    assert (loaded.loaded_rows, loaded.filtered_rows, loaded.total_rows) == (1, 4, 5)
    reasons = [error.reason for error in loaded.errors]
    assert "is  less than  schema column number.actual number: 1, schema column" in reasons[0]
    assert "line delimiter: [\\n], column separator: [\\t]" in reasons[0]
    assert "is  more than  schema" in reasons[1]
    assert loaded.errors[1].line == "3\tc\td"
    assert "utf8" in reasons[2]
    assert [error.row for error in loaded.errors] == [1, 2, 3, 4]
    assert "the length of input is too long than schema" in reasons[3]
    loaded, _ = load(engine, table, of_headers({"max_filter_ratio": "0.8"}), source(data))
    assert loaded.loaded_rows == 1


def test_columns_from_path_and_several_files(engine: Engine) -> None:
    table = table_of("create table t (day varchar(9), k int, v int replace) aggregate key(day, k)")
    options = described("(k, v) COLUMNS FROM PATH AS (day)")
    sources = [source("1\t1\n", "day=a/1", "a"), source("1\t2\n1\t3\n", "day=b/1", "b")]
    loaded, rowsets = load(engine, table, options, *sources)
    assert rowsets.all_rows() == [("a", 1, 1), ("b", 1, 3)]
    assert loaded.loaded_rows == 3


def test_separators_quotes_and_skipped_lines(engine: Engine) -> None:
    table = table_of(PAIR)
    headers = {
        "column_separator": "\\x01\\x02",
        "line_delimiter": "||",
        "skip_lines": "1",
        "enclose": '"',
        "escape": "\\",
    }
    data = b'head||1\x01\x02"a||"||2\x01\x02"b""\\""||'
    _, rowsets = load(engine, table, of_headers(headers), source(data))
    assert rowsets.all_rows() == [(1, "a||"), (2, 'b""')]
    headers = {"column_separator": ",", "trim_double_quotes": "true", "columns": "k, v"}
    _, rowsets = load(engine, table, of_headers(headers), source(b'"1","a"\r\n2,b\r\n'))
    assert rowsets.all_rows() == [(1, "a"), (2, "b")]


def test_negative_loads_take_away(engine: Engine) -> None:
    table = table_of("create table t (k int, s bigint sum) aggregate key(k)")
    options = of_headers({"negative": "true"})
    _, rowsets = load(engine, table, options, source("1\t5\n1\t6\n"))
    assert rowsets.all_rows() == [(1, -11)]
    with pytest.raises(SqlError, match="NEGATIVE"):
        load(engine, table_of(PAIR), options, source("1\ta\n"))


def test_merge_and_delete_write_the_delete_sign(engine: Engine) -> None:
    table = table_of("create table t (k int, v int) unique key(k)")
    options = of_headers({"merge_type": "MERGE", "delete": "v = 0"})
    _, rowsets = load(engine, table, options, source("1\t5\n2\t0\n"))
    (batch,) = rowsets.sinks[0].batches
    assert batch.column("c1").to_pylist() == [0, 1]
    _, rowsets = load(engine, table, of_headers({"merge_type": "DELETE"}), source("1\t5\n"))
    assert rowsets.sinks[0].batches[0].column("c1").to_pylist() == [1]
    with pytest.raises(SqlError, match="unique tables"):
        load(engine, table_of(PAIR), options, source("1\ta\n"))


def test_sequence_columns_order_the_rows_of_a_key(engine: Engine) -> None:
    table = table_of(
        "create table t (k int, v int) unique key(k)"
        ' properties ("function_column.sequence_type" = "int")'
    )
    options = of_headers({"columns": "k, v, at", "function_column.sequence_col": "at"})
    _, rowsets = load(engine, table, options, source("1\t5\t9\n1\t6\t8\n"))
    (batch,) = rowsets.sinks[0].batches
    names = [f"c{column.id}" for column in table.columns]
    assert [batch.column(name)[0].as_py() for name in (*names, "c2")] == [1, 5, 9]
    with pytest.raises(SqlError, match="sequence column"):
        load(engine, table, of_headers({"columns": "k, v"}), source("1\t5\n"))


def test_a_partial_load_writes_its_columns_alone(engine: Engine) -> None:
    table = table_of("create table t (k int, v int, w int) unique key(k)")
    options = of_headers({"columns": "k, w", "partial_columns": "true"})
    _, rowsets = load(engine, table, options, source("1\t5\n"))
    assert rowsets.sinks[0].batches[0].num_columns == 2
    with pytest.raises(SqlError, match="all key columns"):
        load(
            engine,
            table,
            of_headers({"columns": "w", "partial_columns": "true"}),
            source("5\n"),
        )


def test_what_is_no_expression_is_refused(engine: Engine) -> None:
    table = table_of(PAIR)
    for text in (
        "(k, v) SET (v = (select max(k) from t))",
        "(k, v) WHERE sum(k) > 1",
        "(k) SET (z = k)",
    ):
        with pytest.raises(SqlError):
            loaded_rows(engine, table, text, "1\ta\n")


def test_an_error_of_the_stream_is_the_load_s(engine: Engine) -> None:
    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise ConnectionResetError("gone")

    table = table_of(PAIR)
    with pytest.raises(ConnectionResetError, match="gone"):
        load(engine, table, LoadOptions(), Source("x", Broken))
