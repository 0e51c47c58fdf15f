"""Sketches in a real DuckDB: SQL's answers are the reference's, whatever the plan."""

from __future__ import annotations

import base64
import datetime
import decimal
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.native import sketches
from anabranch.warehouse.extension import load_sketches, write_extension
from tests.support import reference_sketch as reference

BYTES_MAX = 1 << 32


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


def of_texts(*texts: str) -> bytes:
    return reference.of_values(text.encode() for text in texts).encode()


def memory(duck: duckdb.DuckDBPyConnection) -> int:
    return int(one(duck, "SELECT hll_memory()"))


def test_a_database_may_load_it_twice_and_another_one_too(tmp_path: Path) -> None:
    for _ in range(2):
        with duckdb.connect(config={"allow_unsigned_extensions": True}) as connection:
            for _ in range(2):
                load_sketches(connection, tmp_path, BYTES_MAX)
            assert one(connection, "SELECT hll_union_agg(hll_hash(i)) FROM range(9) t(i)") == 9
            assert one(connection.cursor(), "SELECT hll_cardinality(hll_hash('a'))") == 1


def test_a_path_with_a_quote_loads(tmp_path: Path) -> None:
    directory = tmp_path / "it's"
    directory.mkdir()
    with duckdb.connect(config={"allow_unsigned_extensions": True}) as connection:
        load_sketches(connection, directory, BYTES_MAX)
        assert [path.name for path in directory.iterdir()] == [
            "anabranch_sketches.duckdb_extension"
        ]


def test_another_platform_is_refused_by_duckdb(tmp_path: Path) -> None:
    path = write_extension(tmp_path, "osx_arm64")
    with (
        duckdb.connect(config={"allow_unsigned_extensions": True}) as connection,
        pytest.raises(duckdb.InvalidInputException, match="platform"),
    ):
        connection.execute(f"LOAD '{path}'")


def test_the_footer_has_534_bytes() -> None:
    assert len(sketches.extension(b"", "linux_amd64", "0.1.0")) == 534
    with pytest.raises(ValueError, match="32 bytes"):
        sketches.extension(b"", "x" * 33, "0.1.0")


def test_scalars(duck: duckdb.DuckDBPyConnection) -> None:
    assert one(duck, "SELECT hll_to_base64(hll_empty())") == "AA=="
    assert one(duck, "SELECT hll_to_base64(hll_hash('abc'))") == "AQEC5XSzrpDsdw=="
    assert one(duck, "SELECT hll_hash(NULL)") == b"\0"
    assert one(duck, "SELECT hll_hash(NULL::VARCHAR)") == b"\0"
    assert one(duck, "SELECT hll_hash('')") == of_texts("")
    assert one(duck, "SELECT hll_cardinality(NULL)") == 0
    assert one(duck, "SELECT hll_cardinality(hll_empty())") == 0
    assert one(duck, "SELECT hll_to_base64(NULL)") is None
    assert one(duck, "SELECT hll_from_base64(NULL)") is None
    assert one(duck, "SELECT hll_from_base64('AA=')") is None
    assert one(duck, "SELECT hll_from_base64('A*==')") is None
    assert one(duck, "SELECT hll_from_base64('AQEC5XSzrpDsdw==')") == of_texts("abc")


@pytest.mark.parametrize(
    "value, text",
    [
        ("5::TINYINT", "5"),
        ("(-5)::SMALLINT", "-5"),
        ("5::INTEGER", "5"),
        ("(-9223372036854775808)::BIGINT", "-9223372036854775808"),
        ("5::UTINYINT", "5"),
        ("5::USMALLINT", "5"),
        ("5::UINTEGER", "5"),
        ("18446744073709551615::UBIGINT", "18446744073709551615"),
        (
            "(-170141183460469231731687303715884105728)::HUGEINT",
            "-170141183460469231731687303715884105728",
        ),
        (
            "340282366920938463463374607431768211455::UHUGEINT",
            "340282366920938463463374607431768211455",
        ),
        ("(-0.5)::DECIMAL(4,2)", "-0.50"),
        ("12345.6::DECIMAL(9,3)", "12345.600"),
        ("12345.6::DECIMAL(18,3)", "12345.600"),
        ("12345.6::DECIMAL(38,3)", "12345.600"),
        ("7::DECIMAL(9,0)", "7"),
        ("'2024-02-29'::DATE", "2024-02-29"),
        ("'0000-01-01'::DATE", "0000-01-01"),
        ("'é'", "é"),
        ("'a text of more than twelve bytes'", "a text of more than twelve bytes"),
    ],
)
def test_a_value_is_hashed_by_its_text(
    duck: duckdb.DuckDBPyConnection, value: str, text: str
) -> None:
    assert one(duck, f"SELECT hll_hash({value})") == of_texts(text)


def native(value: object, kind: str) -> bytes:
    """Return the bytes that Doris keeps of a value."""
    match value:
        case datetime.datetime():
            high = value.year << 46 | value.month << 42 | value.day << 37 | value.hour << 32
            low = value.minute << 26 | value.second << 20 | value.microsecond
            return (high | low).to_bytes(8, "little")
        case datetime.date():
            return (value.year << 9 | value.month << 5 | value.day).to_bytes(4, "little")
        case decimal.Decimal():
            width = {"DECIMAL(4,2)": 4, "DECIMAL(9,2)": 4, "DECIMAL(18,2)": 8}.get(kind, 16)
            return int(value.scaleb(2)).to_bytes(width, "little", signed=True)
        case str():
            return value.encode()
        case float():
            return struct.pack("<d" if kind == "DOUBLE" else "<f", value)
        case bool():
            return bytes([value])
        case int():
            width = {"TINYINT": 1, "SMALLINT": 2, "INTEGER": 4, "BIGINT": 8}.get(kind, 16)
            return int(value).to_bytes(width, "little", signed=True)
    raise AssertionError(value)


MONEY = st.integers(-9_999, 9_999).map(lambda cents: decimal.Decimal(cents).scaleb(-2))
TYPED = {
    "TINYINT": st.integers(-128, 127),
    "SMALLINT": st.integers(-(1 << 15), (1 << 15) - 1),
    "INTEGER": st.integers(-(1 << 31), (1 << 31) - 1),
    "BIGINT": st.integers(-(1 << 63), (1 << 63) - 1),
    "HUGEINT": st.integers(-(1 << 127) + 1, (1 << 127) - 1),
    "BOOLEAN": st.booleans(),
    "FLOAT": st.floats(width=32, allow_nan=False).map(lambda value: value + 0.0),
    "DOUBLE": st.floats(allow_nan=False).map(lambda value: value + 0.0),
    "DATE": st.dates(),
    "TIMESTAMP": st.datetimes(),
    "VARCHAR": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
    "DECIMAL(4,2)": MONEY,
    "DECIMAL(9,2)": MONEY,
    "DECIMAL(18,2)": MONEY,
    "DECIMAL(38,2)": MONEY,
}


@pytest.mark.parametrize("kind", TYPED)
@settings(max_examples=15)
@given(data=st.data())
def test_ndv_hashes_the_bytes_that_doris_keeps(
    duck: duckdb.DuckDBPyConnection, kind: str, data: st.DataObject
) -> None:
    """The hashes are equal when a count above 160 is: it depends on each of them."""
    seen = data.draw(st.lists(st.none() | TYPED[kind], max_size=5))
    values = [value for value in seen if value is not None]
    rng = random.Random(len(values))
    if kind in {"BIGINT", "HUGEINT", "INTEGER"}:
        values += [rng.randrange(1 << 31) for _ in range(3_000)]
    expected = reference.of_values(native(value, kind) for value in values)
    duck.execute(f"CREATE OR REPLACE TEMP TABLE typed (v {kind})")
    if seen:
        places = ", ".join(["(?)"] * len(seen))
        duck.execute(f"INSERT INTO typed VALUES {places}", seen)
    if more := values[len([value for value in seen if value is not None]) :]:
        duck.execute("INSERT INTO typed SELECT unnest(?)", [more])
    assert one(duck, "SELECT ndv(v) FROM typed") == expected.estimate()
    assert one(duck, "SELECT ndv(DISTINCT v) FROM typed") == expected.estimate()


def test_zeros_of_both_signs_are_two_values_until_sql_compares_them(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    source = "FROM (VALUES (0.0::DOUBLE), (-0.0::DOUBLE)) t(v)"
    assert one(duck, f"SELECT ndv(v), ndv(DISTINCT v) {source}") == (2, 1)


@pytest.mark.parametrize(
    "kind, pack", [("DATE", "DATE '1970-01-01' + i::INTEGER"), ("TIMESTAMP", "epoch_ms(i * 777)")]
)
def test_ndv_of_many_days_is_that_of_the_reference(
    duck: duckdb.DuckDBPyConnection, kind: str, pack: str
) -> None:
    duck.execute(f"CREATE OR REPLACE TEMP TABLE days AS SELECT {pack} AS v FROM range(5000) t(i)")
    expected = reference.of_values(native(v, kind) for (v,) in rows(duck, "SELECT v FROM days"))
    assert one(duck, "SELECT ndv(v) FROM days") == expected.estimate()


@pytest.mark.parametrize(
    "sql, text",
    [
        ("SELECT ndv([1, 2])", "ndv takes no value"),
        ("SELECT ndv('x'::BLOB)", "ndv takes no value"),
        ("SELECT ndv(TIME '10:00:00')", "ndv takes no value"),
        ("SELECT ndv(DATE 'infinity')", "year"),
        ("SELECT ndv(DATE '10000-01-01')", "year 10000"),
        ("SELECT ndv(TIMESTAMP '0044-03-15 (BC) 00:00:00')", "year -43"),
        ("SELECT hll_hash(1.5::DOUBLE)", "cast it to VARCHAR"),
        ("SELECT hll_hash(TIMESTAMP '2024-01-01 00:00:00')", "cast it to VARCHAR"),
        ("SELECT hll_hash('x'::BLOB)", "cast it to VARCHAR"),
        ("SELECT hll_hash(DATE '10000-01-01')", "year 10000"),
        ("SELECT hll_from_base64('BA==')", "hll_from_base64 decode failed: base64: BA=="),
        ("SELECT hll_from_base64('')", "hll_from_base64 decode failed"),
        ("SELECT hll_memory_max(-1)", "number of bytes"),
        ("SELECT hll_cardinality(''::BLOB)", "no bytes"),
    ],
)
def test_what_is_refused_is_an_error_of_the_statement(
    duck: duckdb.DuckDBPyConnection, sql: str, text: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=text):
        rows(duck, sql)
    assert one(duck, "SELECT ndv(1)") == 1


@pytest.mark.parametrize(
    "call",
    [
        "hll_cardinality(h)",
        "hll_to_base64(h)",
        "hll_union_agg(h)",
        "hll_union(h)",
        "hll_raw_agg(h)",
        "hll_union_agg(h) OVER ()",
    ],
)
def test_damaged_sketches_are_errors_and_leave_nothing_behind(
    duck: duckdb.DuckDBPyConnection, call: str
) -> None:
    rng = random.Random(call)
    before = memory(duck)
    stored = [of_texts(*map(str, range(count))) for count in (0, 1, 5, 200, 6_000)]
    for _ in range(60):
        data = bytearray(rng.choice(stored))
        data[rng.randrange(min(len(data), 8))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            data = data[: rng.randrange(len(data) + 1)]
        try:
            reference.decode(bytes(data))
            refused = False
        except ValueError:
            refused = True
        sql = f"SELECT {call} FROM (VALUES (?::BLOB), (?::BLOB)) t(h)"
        if refused:
            with pytest.raises(duckdb.InvalidInputException, match="not a sketch"):
                rows(duck, sql, stored[3], bytes(data))
        else:
            rows(duck, sql, stored[3], bytes(data))
    assert memory(duck) == before


def test_no_rows_and_nulls(duck: duckdb.DuckDBPyConnection) -> None:
    nothing = "FROM range(5) t(i) WHERE i > 9"
    sql = "SELECT hll_union_agg(hll_hash(i)), ndv(i), hll_union(hll_hash(i)) "
    assert one(duck, sql + nothing) == (0, 0, b"\0")
    nulls = "SELECT hll_union_agg(NULL), ndv(NULL), ndv(NULL::INTEGER), hll_raw_agg(NULL)"
    assert one(duck, nulls) == (0, 0, 0, b"\0")
    mixed = "FROM (SELECT CASE WHEN i % 3 = 0 THEN i END AS v FROM range(3000) t(i))"
    expected = reference.of_values(i.to_bytes(8, "little") for i in range(0, 3_000, 3))
    assert one(duck, f"SELECT ndv(v) {mixed}") == expected.estimate()
    texts = of_texts(*map(str, range(0, 3_000, 3)))
    assert one(duck, f"SELECT hll_union(hll_hash(v)) {mixed}") == texts


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 400), st.integers(0, 300)),
        max_size=40,
    )
)
def test_groups_are_those_of_the_reference(
    duck: duckdb.DuckDBPyConnection, parts: list[tuple[int, int | None, int]]
) -> None:
    """Groups of runs of numbers: `start` for `length`, or a null sketch."""
    expected: dict[int, reference.Sketch] = {}
    duck.execute("CREATE OR REPLACE TEMP TABLE parts (g INTEGER, h BLOB)")
    for group, start, length in parts:
        sketch = expected.setdefault(group, reference.Sketch())
        stored = None
        if start is not None:
            part = reference.of_values(b"%d" % n for n in range(start, start + length))
            stored = part.encode()
            sketch.merge(part)
        duck.execute("INSERT INTO parts VALUES (?, ?)", [group, stored])
    found = rows(
        duck,
        "SELECT g, hll_union(h), hll_union_agg(h), hll_cardinality(hll_raw_agg(h)) "
        "FROM parts GROUP BY g",
    )
    assert {row[0]: row[1:] for row in found} == {
        group: (sketch.encode(), sketch.estimate(), sketch.estimate())
        for group, sketch in expected.items()
    }


def test_answers_do_not_depend_on_threads(tmp_path: Path) -> None:
    sql = """
        SELECT k, hll_union(h), hll_union_agg(h), ndv(i), hll_to_base64(hll_union(hll_hash(i)))
        FROM (SELECT i, i % 7 AS k, hll_hash(hash(i) % 20000) AS h FROM range(400000) t(i))
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
    assert base64.b64decode(answers[0][0][4])[0] == 3


def test_tables_of_hashes_count_as_memory(duck: duckdb.DuckDBPyConnection) -> None:
    """A group of 8 to 12 values takes 128 bytes."""
    sql = "SELECT count(n) FROM (SELECT ndv(i) AS n FROM range(80000) t(i) GROUP BY i % 10000)"
    try:
        one(duck, "SELECT hll_memory_max(?::BIGINT)", 100 * 128)
        with pytest.raises(duckdb.InvalidInputException, match="more than the 12800 bytes"):
            one(duck, sql)
    finally:
        one(duck, "SELECT hll_memory_max(?::BIGINT)", BYTES_MAX)
    assert one(duck, sql) == 10_000
    assert memory(duck) == 0


def test_many_groups_are_exact(duck: duckdb.DuckDBPyConnection) -> None:
    found = one(
        duck,
        "SELECT count(*), min(n), max(n) FROM (SELECT ndv(i) AS n FROM range(1000000) t(i) "
        "GROUP BY i % 250000)",
    )
    assert found == (250_000, 4, 4)


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
    """Up to 160 values a count is exact, so DuckDB's own is the reference."""
    found = rows(
        duck,
        f"SELECT k, hll_union_agg(h) {window}, hll_cardinality(hll_union(h) {window}), "
        f"ndv(v) {window}, count(DISTINCT v) {window} FROM (SELECT i AS k, i * 7 % 61 AS v, "
        f"hll_hash(i * 7 % 61) AS h FROM range(300) t(i)) ORDER BY k",
    )
    assert len(found) == 300
    for _, union, raw, values, exact in found:
        assert (union, raw, values) == (exact, exact, exact)


def test_running_counts_as_in_the_documentation_of_doris(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        duck,
        "SELECT hour, hll_union_agg(pv) OVER (ORDER BY hour) AS uv FROM (SELECT i % 24 AS hour, "
        "hll_raw_agg(hll_hash(i)) AS pv FROM range(24000) t(i) GROUP BY 1) ORDER BY hour",
    )
    union = reference.Sketch()
    for hour, count in found:
        union.merge(reference.of_values(b"%d" % i for i in range(hour, 24_000, 24)))
        assert count == union.estimate()


def test_distinct_order_filter_and_rollup(duck: duckdb.DuckDBPyConnection) -> None:
    source = "FROM (SELECT i % 3 AS g, i % 50 AS v, hll_hash(i % 50) AS h FROM range(999) t(i))"
    for sql in (
        "hll_union_agg(DISTINCT h)",
        "hll_union_agg(h ORDER BY v)",
        "ndv(DISTINCT v)",
        "ndv(v ORDER BY v DESC)",
        "ndv(v) FILTER (v < 50)",
        "list_aggregate(list(v), 'ndv')",
    ):
        assert one(duck, f"SELECT {sql} {source}") == 50
    assert rows(duck, f"SELECT g, ndv(v) {source} GROUP BY ROLLUP (g) ORDER BY g") == [
        (0, 50),
        (1, 50),
        (2, 50),
        (None, 50),
    ]
    assert one(duck, f"SELECT count(DISTINCT h) {source}") == 50


def test_dense_groups_are_counted_bounded_and_freed(duck: duckdb.DuckDBPyConnection) -> None:
    """A group above 160 values takes 16 KiB, and past the bound the statement fails."""
    assert memory(duck) == 0
    sql = "SELECT count(n) FROM (SELECT ndv(i) AS n FROM range(100000) t(i) GROUP BY i % 500)"
    try:
        one(duck, "SELECT hll_memory_max(?::BIGINT)", 500 * 16_384 // 8)
        with pytest.raises(duckdb.InvalidInputException, match="more than the 1024000 bytes"):
            one(duck, sql)
        assert memory(duck) == 0
    finally:
        one(duck, "SELECT hll_memory_max(?::BIGINT)", BYTES_MAX)
    assert one(duck, sql) == 500
    assert memory(duck) == 0


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
            "SELECT count(*), min(n), max(n) FROM (SELECT ndv(i) AS n FROM range(4000000) t(i) "
            "GROUP BY i % 2000000)",
        )
        assert found == (2_000_000, 2, 2)
