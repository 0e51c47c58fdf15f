"""Bitmaps in a real DuckDB: SQL's answers are those of sets, whatever the plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel.errors import Kind
from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.extension import load_sketches, write_extension
from tests.support import reference_bitmap as reference

BYTES_MAX = 1 << 32
MIB = 1 << 20


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"allow_unsigned_extensions": True, "threads": 2}) as connection:
        load_sketches(connection, tmp_path_factory.mktemp("extension"), BYTES_MAX)
        yield connection


def rows(duck: duckdb.DuckDBPyConnection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    return duck.execute(sql, list(values)).fetchall()


def one(duck: duckdb.DuckDBPyConnection, sql: str, *values: object) -> Any:
    found = rows(duck, sql, *values)
    assert len(found) == 1
    return found[0][0] if len(found[0]) == 1 else found[0]


def memory(duck: duckdb.DuckDBPyConnection) -> int:
    return int(one(duck, "SELECT hll_memory()"))


@pytest.mark.parametrize(
    "value, number",
    [
        ("7::TINYINT", 7),
        ("7::SMALLINT", 7),
        ("7::INTEGER", 7),
        ("9223372036854775807::BIGINT", (1 << 63) - 1),
        ("18446744073709551615::HUGEINT", (1 << 64) - 1),
        ("18446744073709551616::HUGEINT", None),
        ("(-1)::TINYINT", None),
        ("(-1)::SMALLINT", None),
        ("(-1)::INTEGER", None),
        ("(-1)::BIGINT", None),
        ("true", 1),
        ("' 12 '", 12),
        ("'18446744073709551615'", (1 << 64) - 1),
        ("'18446744073709551616'", None),
        ("'+1'", None),
        ("'1.0'", None),
        ("''", None),
        ("NULL", None),
        ("NULL::VARCHAR", None),
    ],
)
def test_a_number_is_a_member_and_all_else_is_not(
    duck: duckdb.DuckDBPyConnection, value: str, number: int | None
) -> None:
    expected = reference.encode([] if number is None else [number])
    assert one(duck, f"SELECT to_bitmap({value})") == expected


@pytest.mark.slow
def test_aggregates_are_those_of_sets(duck: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random(5)
    source = [(rng.randrange(40), rng.choice([rng.randrange(200), rng.getrandbits(64)]))
              for _ in range(3_000)]  # fmt: skip
    duck.execute("CREATE OR REPLACE TEMP TABLE numbers (k INTEGER, v UBIGINT)")
    duck.executemany("INSERT INTO numbers VALUES (?, ?)", source)
    found = rows(
        duck,
        "SELECT k, bitmap_union(to_bitmap(v::VARCHAR)), bitmap_union_count(to_bitmap(v::VARCHAR)), "
        "bitmap_intersect(bitmap_or(to_bitmap(v::VARCHAR), to_bitmap(3))) "
        "FROM numbers GROUP BY k ORDER BY k",
    )
    assert len(found) == 40
    for key, union, count, intersection in found:
        members = {number for group, number in source if group == key}
        assert union == reference.encode(members)
        assert count == len(members)
        assert intersection == reference.encode({3})
    assert memory(duck) == 0


def test_nothing_is_the_empty_bitmap(duck: duckdb.DuckDBPyConnection) -> None:
    for name in ("bitmap_union", "bitmap_intersect"):
        assert one(duck, f"SELECT {name}(to_bitmap(i)) FROM range(0) t(i)") == b"\0"
        assert one(duck, f"SELECT {name}(NULL::BLOB) FROM range(9) t(i)") == b"\0"
    assert one(duck, "SELECT bitmap_union_count(NULL::BLOB) FROM range(9) t(i)") == 0
    assert one(duck, "SELECT bitmap_union_int(NULL::BIGINT) FROM range(9) t(i)") == 0


WINDOWS = [
    "OVER ()",
    "OVER (ORDER BY k)",
    "OVER (PARTITION BY k % 2 ORDER BY k)",
    "OVER (ORDER BY k ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
    "OVER (ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    "OVER (ORDER BY k ROWS BETWEEN 4 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW)",
]


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_are_those_of_exact_sets(duck: duckdb.DuckDBPyConnection, window: str) -> None:
    found = rows(
        duck,
        f"SELECT bitmap_union_count(b) {window}, bitmap_count(bitmap_union(b) {window}), "
        f"bitmap_union_int(v) {window}, bitmap_count(bitmap_agg(v) {window}), "
        f"count(DISTINCT v) {window} FROM (SELECT i AS k, i * 7 % 61 AS v, "
        f"to_bitmap(i * 7 % 61) AS b FROM range(300) t(i)) ORDER BY k",
    )
    assert len(found) == 300
    assert all(len(set(counts)) == 1 for counts in found)


def test_an_intersection_over_a_window(duck: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        duck,
        "SELECT bitmap_to_string(bitmap_intersect(b) OVER (ORDER BY i ROWS 1 PRECEDING)) FROM "
        "(SELECT i, bitmap_or(to_bitmap(i), to_bitmap(i + 1)) AS b FROM range(4) t(i)) ORDER BY i",
    )
    assert found == [("0,1",), ("1",), ("2",), ("3",)]


@pytest.mark.slow
def test_answers_do_not_depend_on_threads(tmp_path: Path) -> None:
    sql = """
        SELECT k, bitmap_union(to_bitmap(v)), bitmap_agg(v), bitmap_intersect(b)
        FROM (SELECT i % 7 AS k, (hash(i) % 200000)::BIGINT AS v,
              bitmap_or(to_bitmap(i % 2), to_bitmap(2)) AS b FROM range(300000) t(i))
        GROUP BY k ORDER BY k"""
    answers = []
    for threads in (1, 2, 4):
        config: dict[str, str | bool | int | float | list[str]] = {
            "allow_unsigned_extensions": True,
            "threads": threads,
        }
        with duckdb.connect(config=config) as connection:
            load_sketches(connection, tmp_path, BYTES_MAX)
            answers.append(rows(connection, sql))
            assert memory(connection) == 0
    assert answers[0] == answers[1] == answers[2]


def test_many_groups_are_exact(duck: duckdb.DuckDBPyConnection) -> None:
    found = one(
        duck,
        "SELECT count(*), min(n), max(n) FROM (SELECT bitmap_union_count(to_bitmap(i)) AS n "
        "FROM range(600000) t(i) GROUP BY i % 100000)",
    )
    assert found == (100_000, 6, 6)
    assert memory(duck) == 0


DENSE = {
    "sketches of values": "ndv(i)",
    "stored sketches": "hll_union_agg(hll_hash(i))",
    "unions": "octet_length(hll_union(hll_hash(i)))",
    "bitmaps": "bitmap_union_count(to_bitmap(i * 70001))",
    "bitmaps of numbers": "bitmap_union_int(i * 70001)",
}


@pytest.mark.parametrize("call", DENSE.values(), ids=DENSE.keys())
def test_dense_groups_fail_before_they_take_the_machine(tmp_path: Path, call: str) -> None:
    """What states may take is bounded by the engine's setting, for each kind of them."""
    with duckdb.connect() as connection:
        (platform,) = rows(connection, "PRAGMA platform")
    extension = write_extension(tmp_path, str(platform[0]))
    settings = EngineSettings(
        256 * MIB, 2, [tmp_path], tmp_path / "spill", extensions=[extension],
        state_bytes_max=8 * MIB,
    )  # fmt: skip
    engine = Engine(settings)
    try:
        sql = f"SELECT max(n) FROM (SELECT {call} AS n FROM range(%s) t(i) GROUP BY i %% 3000)"
        with engine.open() as execution:
            with pytest.raises(SqlError, match="MEM_LIMIT_EXCEEDED: sketches and") as caught:
                list(execution.stream(sql % 1_500_000))
            assert caught.value.kind is Kind.BUSY
        with engine.open() as execution:
            assert len(list(execution.stream(sql % 3_000))) == 1
            (left,) = execution.stream("SELECT hll_memory() AS n")
            assert left.column(0).to_pylist() == [0]
    finally:
        engine.close()


def test_a_large_bitmap_is_weighed_as_it_comes(duck: duckdb.DuckDBPyConnection) -> None:
    """One chunk of rows may hold far more than the limit."""
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE large AS SELECT k, bitmap_agg(i * 3) AS b "
        "FROM range(40) g(k), range(100000) t(i) GROUP BY k"
    )
    try:
        one(duck, "SELECT hll_memory_max(?::BIGINT)", MIB)
        with pytest.raises(duckdb.InvalidInputException, match="more than the 1048576 bytes"):
            rows(duck, "SELECT k, bitmap_union(b) FROM large GROUP BY k")
    finally:
        one(duck, "SELECT hll_memory_max(?::BIGINT)", BYTES_MAX)
    assert one(duck, "SELECT bitmap_union_count(b) FROM large") == 100_000
    assert memory(duck) == 0


def test_texts_that_grow_too_long_are_refused(duck: duckdb.DuckDBPyConnection) -> None:
    """A bitmap of runs is a few bytes, its text one number after the other."""
    with pytest.raises(duckdb.InvalidInputException, match="longer than 16777216 bytes"):
        one(duck, "SELECT length(bitmap_to_string(bitmap_agg(i))) FROM range(3000000) t(i)")


READERS = [
    "bitmap_count(b)",
    "bitmap_to_base64(b)",
    "bitmap_and(b, bitmap_empty())",
    "bitmap_or(bitmap_empty(), b)",
    "bitmap_min(b)",
    "bitmap_contains(b, 1)",
    "bitmap_has_all(b, b)",
]


@given(st.integers(0, 1 << 32), st.binary(max_size=6))
def test_damaged_bytes_are_errors_of_the_statement(
    duck: duckdb.DuckDBPyConnection, seed: int, tail: bytes
) -> None:
    rng = random.Random(seed)
    numbers = [rng.getrandbits(rng.choice([7, 17, 33, 64])) for _ in range(rng.randrange(60))]
    stored = bytearray(reference.encode(numbers))
    place = rng.randrange(len(stored))
    stored[place : place + rng.randrange(5)] = tail
    data = bytes(stored)
    try:
        expected = reference.decode(data)
    except ValueError:
        for reader in READERS:
            with pytest.raises(duckdb.InvalidInputException, match="not a bitmap"):
                one(duck, f"SELECT {reader} FROM (SELECT ?::BLOB AS b)", data)
        for aggregate in ("bitmap_union", "bitmap_intersect", "bitmap_union_count"):
            with pytest.raises(duckdb.InvalidInputException, match="not a bitmap"):
                one(duck, f"SELECT {aggregate}(?::BLOB)", data)
        return
    assert one(duck, "SELECT bitmap_union(?::BLOB)", data) == reference.encode(expected)
    assert one(duck, "SELECT bitmap_count(?::BLOB)", data) == len(expected)


@pytest.mark.slow
def test_many_groups_spill(tmp_path: Path) -> None:
    config: dict[str, str | bool | int | float | list[str]] = {
        "allow_unsigned_extensions": True,
        "threads": 2,
        "memory_limit": "150MB",
        "temp_directory": str(tmp_path / "spill"),
    }
    with duckdb.connect(config=config) as connection:
        load_sketches(connection, tmp_path, BYTES_MAX)
        found = one(
            connection,
            "SELECT count(*), min(n), max(n) FROM (SELECT bitmap_union_int(i) AS n "
            "FROM range(4000000) t(i) GROUP BY i % 2000000)",
        )
        assert found == (2_000_000, 2, 2)
        assert memory(connection) == 0
