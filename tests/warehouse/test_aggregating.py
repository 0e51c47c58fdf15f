"""Each aggregate in the engine: exact, independent of order, and named where it overflows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from anabranch.warehouse.extension import load_sketches
from anabranch.warehouse.rowsets.aggregating import Contributions, fold_contributions, fold_sql
from anabranch.warehouse.schema import Aggregate, Column, Default, DefaultKind
from anabranch.warehouse.types import parse_type, to_duckdb


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"allow_unsigned_extensions": True, "threads": 2}) as connection:
        load_sketches(connection, tmp_path_factory.mktemp("extension"), 1 << 32)
        yield connection


def column(kind: str, aggregate: str, default: str | None = None) -> Column:
    made = None if default is None else Default(DefaultKind.TEXT, default)
    return Column(20, "v", parse_type(kind), aggregate=Aggregate(aggregate), default=made)


def folded(duck: duckdb.DuckDBPyConnection, of: Column, values: list[str]) -> Any:
    kind = to_duckdb(of.type)
    places = ", ".join(f"({value}::{kind}, {at})" for at, value in enumerate(values))
    sql = f"SELECT {fold_sql(of, 'v', 'o', 'db/t')} FROM (VALUES {places}) t(v, o)"
    found = duck.execute(sql).fetchone()
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    "kind, bits", [("TINYINT", 8), ("SMALLINT", 16), ("INT", 32), ("BIGINT", 64), ("LARGEINT", 128)]
)
def test_integer_sums_are_modulo_the_size_of_the_type(
    duck: duckdb.DuckDBPyConnection, kind: str, bits: int
) -> None:
    high = (1 << (bits - 1)) - 1
    sums = column(kind, "SUM")
    assert folded(duck, sums, [f"'{high}'", "1"]) == -high - 1
    assert folded(duck, sums, [f"'{-high - 1}'", "-1"]) == high
    assert folded(duck, sums, [f"'{high}'"] * 3 + ["NULL"]) == high - 2
    assert folded(duck, sums, [f"'{high}'", f"'{-high}'", "5"]) == 5
    assert folded(duck, sums, ["NULL", "NULL"]) is None


def test_sums_of_decimals_have_38_digits_and_say_whose_they_are_past_them(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    assert folded(duck, column("DECIMAL(4,2)", "SUM"), ["99.99"] * 3) == Decimal("299.97")
    wide = column("DECIMAL(38,2)", "SUM")
    most = "999999999999999999999999999999999999.99"
    assert folded(duck, wide, [f"'{most}'", "'1.00'", "'-1.00'"]) == Decimal(most)
    assert folded(duck, wide, ["NULL"]) is None
    with pytest.raises(duckdb.InvalidInputException, match=r"SUM of column db/t\.v does not fit"):
        folded(duck, wide, [f"'{most}'", "'0.01'"])
    with pytest.raises(duckdb.InvalidInputException, match="overflow"):
        folded(duck, wide, [f"'{most}'"] * 9)
    with pytest.raises(duckdb.InvalidInputException, match="overflow"):
        folded(duck, wide, [f"'-{most}'"] * 2)


def test_a_default_that_finds_no_room_is_the_same_error(duck: duckdb.DuckDBPyConnection) -> None:
    most = "9" * 38
    for default, value in (("1", most), ("-1", f"-{most}")):
        rows = Contributions("v", "o", "w", "u")
        sql = fold_contributions(column("DECIMAL(38,0)", "SUM", default), rows)
        values = f"('{value}'::DECIMAL(38,0), 1, true, false), (NULL, 2, false, true)"
        with pytest.raises(duckdb.InvalidInputException, match="overflow"):
            duck.execute(f"SELECT {sql} FROM (VALUES {values}) t(v, o, w, u)").fetchall()


def test_sums_of_floats_go_to_infinity_and_never_fail(duck: duckdb.DuckDBPyConnection) -> None:
    assert folded(duck, column("FLOAT", "SUM"), ["3e38"] * 2) == math.inf
    assert folded(duck, column("FLOAT", "SUM"), ["-3e38"] * 2) == -math.inf
    assert folded(duck, column("FLOAT", "SUM"), ["3e38", "3e38", "-3e38"]) == pytest.approx(3e38)
    assert folded(duck, column("DOUBLE", "SUM"), ["1e308"] * 2) == math.inf
    assert math.isnan(folded(duck, column("FLOAT", "SUM"), ["'nan'", "1"]))
    assert folded(duck, column("FLOAT", "SUM"), ["NULL"]) is None


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
def test_extremes_of_floats_follow_the_total_order(
    duck: duckdb.DuckDBPyConnection, kind: str
) -> None:
    name = to_duckdb(parse_type(kind))
    negative = f"(-(0.0::{name}))"
    for values in itertools.permutations(["0.0", negative, "NULL"]):
        assert repr(folded(duck, column(kind, "MIN"), list(values))) == "-0.0"
        assert repr(folded(duck, column(kind, "MAX"), list(values))) == "0.0"
    assert math.isnan(folded(duck, column(kind, "MAX"), ["1", "'nan'", "'inf'"]))
    assert folded(duck, column(kind, "MIN"), ["1", "'nan'", "2"]) == 1


def test_replace_takes_null_and_replace_if_not_null_does_not(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    assert folded(duck, column("INT", "REPLACE"), ["1", "2", "NULL"]) is None
    assert folded(duck, column("INT", ""), ["1", "NULL", "3"]) == 3
    assert folded(duck, column("INT", "REPLACE_IF_NOT_NULL"), ["1", "2", "NULL"]) == 2
    assert folded(duck, column("INT", "REPLACE_IF_NOT_NULL"), ["NULL"]) is None
    assert folded(duck, column("ARRAY<INT>", "REPLACE"), ["[1]", "[2, NULL]"]) == [2, None]


@pytest.mark.parametrize("value", [0, 1, -1, 10**38, -(1 << 127), (1 << 127) - 1, None])
def test_largeint_in_files_is_16_bytes_that_sort(
    duck: duckdb.DuckDBPyConnection, value: int | None
) -> None:
    sql = "SELECT largeint_encode(?::HUGEINT), largeint_decode(largeint_encode(?::HUGEINT))"
    stored, back = duck.execute(sql, [value, value]).fetchone() or (b"", 0)
    assert back == value
    assert stored == (None if value is None else (value + (1 << 127)).to_bytes(16, "big"))


def test_bytes_that_are_no_largeint_are_refused(duck: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="16 bytes"):
        duck.execute("SELECT largeint_decode('x'::BLOB)").fetchall()


def test_sums_of_many_groups_and_windows(duck: duckdb.DuckDBPyConnection) -> None:
    """Threads combine states, and windows ask for a state more than once."""
    found = duck.execute(
        "SELECT count(*) FROM (SELECT i % 5000 AS g, largeint_sum(i) AS a, sum(i) AS b,"
        " decimal_sum_2(i::DECIMAL(38,2)) AS c FROM range(400000) t(i) GROUP BY g)"
        " WHERE a = b AND c = b"
    ).fetchall()
    assert found == [(5000,)]
    running = duck.execute(
        "SELECT largeint_sum(i) OVER (ORDER BY i ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)"
        " FROM range(5) t(i) ORDER BY i"
    ).fetchall()
    assert running == [(1,), (3,), (6,), (10,), (9,)]
