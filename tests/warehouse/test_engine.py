"""The engine streams, cancels, keeps to its limits, and is closed to everything but its folder."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.errors import SqlError


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "data").mkdir()
    settings = EngineSettings(256 * 1024**2, 2, [tmp_path / "data"], tmp_path / "spill")
    made = Engine(settings)
    yield made
    made.close()


def rows(engine: Engine, sql: str) -> list[object]:
    with engine.open() as execution:
        return [value for batch in execution.stream(sql) for value in batch.column(0).to_pylist()]


def test_results_come_in_batches_before_the_last_row_is_computed(engine: Engine) -> None:
    with engine.open() as execution:
        batches = execution.stream("SELECT range AS n FROM range(10000000000)", 1_000)
        first = next(batches)
        assert 0 < first.num_rows <= 2_048
        assert first.column(0)[0].as_py() == 0


def test_cancel_stops_a_running_query(engine: Engine) -> None:
    with engine.open() as execution:
        timer = threading.Timer(0.3, execution.cancel)
        timer.start()
        before = datetime.now(UTC)
        with pytest.raises(SqlError) as raised:
            list(
                execution.stream(
                    "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b"
                )
            )
        timer.join()
        assert raised.value.code == 1317
        assert (datetime.now(UTC) - before).total_seconds() < 10


def test_a_cancelled_statement_never_begins_and_others_go_on(engine: Engine) -> None:
    with engine.open() as execution:
        execution.cancel()
        with pytest.raises(SqlError, match="interrupted"):
            list(execution.stream("SELECT 1"))
    assert rows(engine, "SELECT 1") == [1]


def test_memory_is_bounded(engine: Engine) -> None:
    with pytest.raises(SqlError) as raised:
        rows(engine, "SELECT list(range * 1.5) FROM range(200000000)")
    assert raised.value.code == 1105


def test_files_are_read_in_the_folder_and_nowhere_else(engine: Engine, tmp_path: Path) -> None:
    inside, outside = tmp_path / "data" / "a.parquet", tmp_path / "b.parquet"
    for path in (inside, outside):
        duckdb.connect().execute(f"COPY (SELECT 7 AS n) TO '{path}' (FORMAT parquet)")
    assert rows(engine, f"SELECT n FROM read_parquet('{inside}')") == [7]
    with pytest.raises(SqlError):
        rows(engine, f"SELECT n FROM read_parquet('{outside}')")
    with pytest.raises(SqlError):
        rows(engine, f"SELECT n FROM read_parquet('{tmp_path}/data/../b.parquet')")


@pytest.mark.parametrize(
    "statement",
    [
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "RESET lock_configuration",
        "ATTACH 'elsewhere/x.db' AS x",
        "COPY (SELECT 1) TO 'elsewhere/x.csv'",
        "INSTALL httpfs",
        "LOAD 'elsewhere/x.duckdb_extension'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "SELECT * FROM local_name",
    ],
)
def test_the_instance_is_locked(engine: Engine, statement: str) -> None:
    local_name = pa.table({"a": [1]})
    assert local_name.num_rows == 1
    with engine.open() as execution, pytest.raises(SqlError):
        execution.run(statement)


def test_rows_in_memory_are_a_relation_of_one_statement(engine: Engine) -> None:
    with engine.open() as execution:
        relation = execution.register("given", pa.table({"a": [1, 2]}))
        found = [
            batch.column(0).to_pylist() for batch in execution.stream(f"SELECT a FROM {relation}")
        ]
        assert found == [[1, 2]]
    with pytest.raises(SqlError):
        rows(engine, "SELECT a FROM given")
