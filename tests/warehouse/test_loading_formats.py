"""JSON, Parquet and compressed files into tables."""

from __future__ import annotations

import bz2
import datetime
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.warehouse.engine import Engine
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.loading.load import Loaded, Loader, LoadTask
from anabranch.warehouse.loading.options import of_headers
from anabranch.warehouse.loading.sources import Source
from anabranch.warehouse.loading.writing import OpenRowset
from anabranch.warehouse.schema import Table
from tests.support.fakes import FakeClock
from tests.support.loading import MemoryRowsets, engine_in, table_of

PAIR = "create table t (k int, v varchar(20)) duplicate key(k)"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def source(data: bytes, name: str = "a") -> Source:
    return Source(name, lambda: io.BytesIO(data))


def load(
    engine: Engine, table: Table, headers: dict[str, str], spool: Path, *sources: Source
) -> tuple[Loaded, list[Any]]:
    rowsets = MemoryRowsets(table)

    def open_for(given: Table, ids: Sequence[int]) -> OpenRowset:
        return rowsets.open

    options = of_headers({"compress_type": "plain", **headers})
    with engine.open() as execution:
        task = LoadTask(table, "t", sources, options)
        loaded = Loader(FakeClock(), spool).run(task, execution, open_for)
    return loaded, rowsets.all_rows()


def arrow_compressed(data: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zstd": lambda data: arrow_compressed(data, "zstd"),
    "lz4": lambda data: arrow_compressed(data, "lz4"),
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_files_and_those_that_end_too_early(
    engine: Engine, spool: Path, name: str
) -> None:
    table = table_of(PAIR)
    lines = b"".join(b"%d\tv%d\n" % (number, number) for number in range(20_000))
    data = COMPRESSED[name](lines)
    loaded, rows = load(engine, table, {"compress_type": name}, spool, source(data))
    assert (loaded.loaded_rows, len(rows), rows[-1]) == (20_000, 20_000, (19_999, "v19999"))
    for cut in (1, 100, len(data) - 4):
        with pytest.raises(SqlError, match="broken or ends too early"):
            load(engine, table, {"compress_type": name}, spool, source(data[:-cut]))


def test_json_lines_arrays_paths_and_roots(engine: Engine, spool: Path) -> None:
    table = table_of(PAIR)
    lines = b'{"k": 1, "v": "a\\u00e9"}\n{"v": true, "k": "2"}\n\n{"k": 3, "v": {"x": [1]}}'
    headers = {"format": "json", "read_json_by_line": "true"}
    expected = [(1, "aé"), (2, "true"), (3, '{"x":[1]}')]
    assert load(engine, table, headers, spool, source(lines))[1] == expected
    array = b"[" + lines.replace(b"\n\n", b",").replace(b"}\n{", b"},{") + b"]"
    headers = {"format": "json", "strip_outer_array": "true"}
    assert load(engine, table, headers, spool, source(array))[1] == expected
    headers = {"format": "json", "strip_outer_array": "true", "json_root": "$.d"}
    assert load(engine, table, headers, spool, source(b'{"d":' + array + b"}"))[1] == expected
    headers = {"format": "json", "jsonpaths": '["$.a.b", "$.c[1]"]', "json_root": "$.r"}
    data = b'{"r": {"a": {"b": 7}, "c": ["x", "y"]}}'
    assert load(engine, table, headers, spool, source(data))[1] == [(7, "y")]


def test_json_expressions_and_bad_documents(engine: Engine, spool: Path) -> None:
    table = table_of(PAIR)
    headers = {
        "format": "json",
        "read_json_by_line": "true",
        "columns": "a, v, k = a + 1",
        "max_filter_ratio": "1",
    }
    data = b'{"a": 1, "v": null}\n{"a": 1\n[1]\n{"z": 1}\n"x"\n'
    loaded, rows = load(engine, table, headers, spool, source(data))
    assert rows == [(2, None)]
    assert (loaded.loaded_rows, loaded.filtered_rows) == (1, 4)
    reasons = [error.reason for error in loaded.errors]
    assert "not a JSON document" in reasons[0]
    assert "strip_outer_array" in reasons[1]
    assert "All fields is null" in reasons[2]
    assert "not an object" in reasons[3]
    with pytest.raises(SqlError, match="not complete"):
        load(engine, table, {"format": "json"}, spool, source(b'{"k": 1'))


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_parquet_by_name_with_types(engine: Engine, spool: Path) -> None:
    table = table_of(
        "create table t (k int, d decimal(9,2), t datetime, s varchar(9), n tinyint, z int)"
        " duplicate key(k)"
    )
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    rows = pa.table(
        {
            "S": pa.array(["a", None]).dictionary_encode(),
            "K": pa.array([2, 1], pa.int64()),
            "d": pa.array([1.5, 2.25], pa.float64()),
            "t": pa.array([moment, None], pa.timestamp("ns", "UTC")),
            "n": pa.array([300, 3], pa.int32()),
        }
    )
    headers = {"format": "parquet", "timezone": "+08:00"}
    loaded, found = load(engine, table, headers, spool, source(parquet(rows)))
    local = (moment + datetime.timedelta(hours=8)).replace(tzinfo=None)
    assert found == [
        (1, Decimal("2.25"), None, None, 3, None),
        (2, Decimal("1.50"), local, "a", None, None),
    ]
    assert not list(spool.iterdir())
    strict = headers | {"strict_mode": "true", "max_filter_ratio": "0.5"}
    loaded, found = load(engine, table, strict, spool, source(parquet(rows)))
    assert (loaded.loaded_rows, loaded.filtered_rows) == (1, 1)
    with pytest.raises(SqlError, match="not a readable Parquet file"):
        load(engine, table, headers, spool, source(parquet(rows)[:-20]))


def test_parquet_of_a_path_with_expressions(engine: Engine, spool: Path, tmp_path: Path) -> None:
    table = table_of(PAIR)
    file = tmp_path / "a.parquet"
    file.write_bytes(parquet(pa.table({"a": [1, 2], "b": [b"x", b"y"]})))
    headers = {"format": "parquet", "columns": "a, b, k = a * 2, v = upper(b)"}
    given = Source("a", lambda: io.BytesIO(b""), path=file)
    assert load(engine, table, headers, spool, given)[1] == [(2, "X"), (4, "Y")]
