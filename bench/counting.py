"""Merging stored sketches and counting distinct values, beside chdb, DataFusion and DuckDB.

Ours runs in a DuckDB with our functions, as the server's engine does. Stored sketches are one
Parquet file for us and one MergeTree table for chdb; values are a table in memory for each engine.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from anabranch.warehouse.extension import load_sketches
from bench.samples import Row, Sample, WrongAnswer, compare, load_average
from tests.support.environments import client_env, environment

SEEDS = 20
RMSE_MAX = 0.011
_ERROR_MAX = 0.05  # of one estimate of one engine: five sigmas of 16,384 registers and more
_VALUES_SMALL, _VALUES_FULL = 5, 6_000
Query = Callable[[], tuple[Sample, float]]


@dataclass(frozen=True, slots=True)
class Other:
    """An engine in a process of its own."""

    process: subprocess.Popen[str]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request; return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise WrongAnswer(f"an engine ended at {request}")
        found: dict[str, Any] = json.loads(line)
        return found

    def query(self, sql: str) -> Query:
        """Return what runs a query."""

        def run() -> tuple[Sample, float]:
            load = load_average()
            found = self.ask(query=sql)
            return Sample(found["clock_s"], found["processor_s"], load), float(found["value"])

        return run


@contextmanager
def open_other(engine: str, folder: Path, threads: int) -> Iterator[Other]:
    """Start an engine in the environment of `requirements/bench.txt`."""
    python = environment("bench").python
    script = Path(__file__).with_name("others.py")
    with subprocess.Popen(
        [str(python), str(script), str(folder), engine, str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=client_env(python, {}),
    ) as process:
        try:
            yield Other(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


@dataclass(frozen=True, slots=True)
class Engines:
    """All engines, over files in one folder."""

    folder: Path
    duck: Any
    chdb: Other
    fusion: Other

    def here(self, sql: str) -> Query:
        """Return what runs a query in DuckDB."""

        def run() -> tuple[Sample, float]:
            load, used, started = load_average(), time.process_time(), time.perf_counter()
            (value,) = self.duck.execute(sql).fetchone()
            clock = time.perf_counter() - started
            return Sample(clock, time.process_time() - used, load), float(value)

        return run


@contextmanager
def open_engines(folder: Path, threads: int) -> Iterator[Engines]:
    """Open every engine with as many threads."""
    config = {"threads": threads, "allow_unsigned_extensions": True}
    with (
        duckdb.connect(config=config) as duck,
        open_other("chdb", folder, threads) as chdb,
        open_other("datafusion", folder, threads) as fusion,
    ):
        load_sketches(duck, folder, 1 << 40)
        yield Engines(folder, duck, chdb, fusion)


def race(
    section: str,
    case: str,
    queries: dict[str, Query],
    exact: float,
    rounds: int,
    wanted: float,
    *,
    at_least: bool = False,
) -> Row:
    """Run all queries in turns; the first is ours. Every answer must be near `exact`."""
    samples: dict[str, list[Sample]] = {name: [] for name in queries}
    values: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in queries.items():
            sample, values[name] = run()
            samples[name].append(sample)
    for name, value in values.items():
        if abs(value / exact - 1) > _ERROR_MAX:
            raise WrongAnswer(f"{section}, {case}: {name} says {value}, not about {exact}")
    notes = {"answers": values, "exact": exact}
    return compare(section, case, samples, wanted, at_least=at_least, notes=notes)


def measure_merges(engines: Engines, *, small: int, full: int, rounds: int) -> list[Row]:
    """Measure the union of stored sketches: a million with few values, ten thousand full ones."""
    found: list[Row] = []
    for kind, count, values, wanted in (
        ("small", small, _VALUES_SMALL, 1.0),
        ("full", full, _VALUES_FULL, 0.9),
    ):
        path = engines.folder / f"{kind}.parquet"
        # Compressed as rowsets are: at level 3, DuckDB's own, registers take more bytes and time.
        engines.duck.execute(
            f"COPY (SELECT i % {count} AS k, hll_union(hll_hash(i)) AS h "
            f"FROM range({count * values}) t(i) GROUP BY 1) TO '{path}' "
            "(COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        )
        creation = (
            f"CREATE TABLE bench.{kind} ENGINE = MergeTree ORDER BY k AS "
            f"SELECT number % {count} AS k, uniqCombined64State(14)(number) AS h "
            f"FROM numbers({count * values}) GROUP BY k"
        )
        engines.chdb.ask(prepare=[creation, f"OPTIMIZE TABLE bench.{kind} FINAL"])
        queries = {
            "anabranch": engines.here(f"SELECT hll_union_agg(h) FROM '{path}'"),
            "chdb": engines.chdb.query(f"SELECT uniqCombined64Merge(14)(h) FROM bench.{kind}"),
        }
        case = f"{count:,} {kind} sketches"
        found.append(race("merge", case, queries, count * values, rounds, wanted, at_least=True))
        path.unlink()
    return found


def measure_distinct(engines: Engines, *, rows: int, rounds: int) -> list[Row]:
    """Measure counting distinct integers and texts: of all rows, in 1,000 groups, in a tenth."""
    tenth = rows // 10
    source = engines.folder / "v.parquet"
    engines.duck.execute(
        f"CREATE TABLE v AS SELECT (hash(i) % {rows})::BIGINT AS n, (i % 1000)::BIGINT AS g, "
        f"(i % {tenth})::BIGINT AS m, "
        f"'user-' || lpad((hash(i) % {rows})::VARCHAR, 15, '0') AS s FROM range({rows}) t(i)"
    )
    engines.duck.execute(f"COPY v TO '{source}' (COMPRESSION zstd)")
    not_null = ", ".join(
        f"assumeNotNull({name})::{kind} AS {name}"
        for name, kind in {"n": "Int64", "g": "Int64", "m": "Int64", "s": "String"}.items()
    )
    engines.chdb.ask(
        prepare=[f"CREATE TABLE bench.v ENGINE = Memory AS SELECT {not_null} FROM file('{source}')"]
    )
    engines.fusion.ask(
        prepare=[
            f"CREATE EXTERNAL TABLE stored STORED AS PARQUET LOCATION '{source}'",
            "CREATE TABLE v AS SELECT * FROM stored",
        ]
    )
    found: list[Row] = []
    for column, name in (("n", "ints"), ("s", "strings")):
        for groups, key in ((1, ""), (1_000, "g"), (tenth, "m")):
            by = f" GROUP BY {key}" if key else ""
            exact_sql = f"SELECT sum(c)::BIGINT FROM (SELECT count(DISTINCT {column}) c FROM v{by})"
            (exact,) = engines.duck.execute(exact_sql).fetchone()
            queries = {
                "anabranch": engines.here(
                    f"SELECT sum(c)::BIGINT FROM (SELECT ndv({column}) c FROM v{by})"
                ),
                "chdb": engines.chdb.query(
                    f"SELECT sum(c) FROM (SELECT uniqCombined64(14)({column}) AS c "
                    f"FROM bench.v{by})"
                ),
                "datafusion": engines.fusion.query(
                    f"SELECT sum(c) FROM (SELECT approx_distinct({column}) AS c FROM v{by})"
                ),
                "duckdb exact": engines.here(exact_sql),
            }
            case = f"{rows:,} {name}, {groups:,} groups"
            found.append(race("ndv", case, queries, exact, rounds, 1.5))
    return found


def measure_error(engines: Engines, *, distinct: int) -> Row:
    """Measure the root mean square of ndv's relative error over twenty sets of values."""
    (worst, square) = engines.duck.execute(
        f"SELECT max(abs(e)), sqrt(avg(e * e)) FROM (SELECT ndv(hash(i + {distinct} * seed)) "
        f"/ {distinct}::DOUBLE - 1 AS e FROM range({distinct}) t(i), range({SEEDS}) s(seed) "
        "GROUP BY seed)"
    ).fetchone()
    return Row(
        "ndv error",
        f"RMSE of {SEEDS} seeds, {distinct:,} values",
        "of 1",
        square,
        RMSE_MAX,
        load=load_average(),
        notes={"worst": worst},
    )
