"""Sketches: merging stored ones, and counting distinct values, beside other engines.

    python bench/sketches.py [merge] [distinct] [--rows N] [--small N] [--full N] [--rounds N]

Stored sketches are one Parquet file for us and one MergeTree table for chdb (when installed), both
read from the page cache by two threads. Rounds alternate between the engines; the best counts, by
the clock and in processor seconds, which neighbours on the machine disturb less. The two ratios are
our time and our processor seconds as multiples of the other's (below 1: we are faster).
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from anabranch.warehouse.extension import load_sketches

try:
    from chdb.session import Session
except ImportError:
    Session = None

THREADS = 2
Query = tuple[str, Callable[[], Any]]
"""The engine's name, and what runs the query and returns its answer."""


def race(title: str, queries: list[Query], rounds: int, rows: int) -> None:
    """Print the best time of each query; the first is ours."""
    clock = dict.fromkeys((name for name, _ in queries), float("inf"))
    processor = dict(clock)
    answers: dict[str, Any] = {}
    for _ in range(rounds):
        for name, run in queries:
            start, used = time.perf_counter(), time.process_time()
            answers[name] = run()
            processor[name] = min(processor[name], time.process_time() - used)
            clock[name] = min(clock[name], time.perf_counter() - start)
    ours = queries[0][0]
    for name, _ in queries:
        print(
            f"{title:36} {name:24} {clock[name]:7.3f} s {processor[name]:7.3f} cpu s "
            f"{rows / clock[name]:13,.0f} rows/s   ours/its {clock[ours] / clock[name]:5.2f} "
            f"{processor[ours] / processor[name]:5.2f} cpu   {answers[name]}",
            flush=True,
        )


class Engines:
    """A DuckDB with our functions, and a chdb session where there is one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.duck = duckdb.connect(config={"allow_unsigned_extensions": True, "threads": THREADS})
        load_sketches(self.duck, directory, 1 << 40)
        self.house = Session(str(directory / "chdb")) if Session else None
        if self.house:
            self.house.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")

    def ours(self, sql: str) -> Query:
        """Return a query of our functions, in DuckDB."""
        return "anabranch", lambda: self.duck.execute(sql).fetchone()

    def theirs(self, name: str, sql: str) -> Query:
        """Return a query of DuckDB's own functions."""
        return name, lambda: self.duck.execute(sql).fetchone()

    def chdb(self, sql: str) -> list[Query]:
        """Return a query of chdb's uniqCombined64(14), or none without it."""
        if self.house is None:
            return []
        house, limited = self.house, f"{sql} SETTINGS max_threads = {THREADS}"
        return [("chdb uniqCombined64(14)", lambda: str(house.query(limited)).strip())]


def merge(engines: Engines, kind: str, count: int, values: int, rounds: int) -> None:
    """Race the union of `count` stored sketches with `values` values each, all and by group."""
    path = engines.directory / f"{kind}.parquet"
    rows = f"range({count * values}) t(i)"
    engines.duck.execute(
        f"COPY (SELECT i % {count} AS k, hll_union(hll_hash(i)) AS h FROM {rows} GROUP BY 1) "
        f"TO '{path}' (COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    if engines.house:
        engines.house.query(
            f"CREATE TABLE bench.{kind} ENGINE = MergeTree ORDER BY k AS SELECT number % {count} "
            f"AS k, uniqCombined64State(14)(number) AS h FROM numbers({count * values}) GROUP BY k"
        )
        engines.house.query(f"OPTIMIZE TABLE bench.{kind} FINAL")
    race(
        f"merge {count:,} {kind}",
        [
            engines.ours(f"SELECT hll_union_agg(h) FROM '{path}'"),
            *engines.chdb(f"SELECT uniqCombined64Merge(14)(h) FROM bench.{kind}"),
        ],
        rounds,
        count,
    )
    groups = max(count // 1_000, 100)
    race(
        f"merge {count:,} {kind}, {groups} groups",
        [
            engines.ours(
                f"SELECT sum(n)::BIGINT FROM (SELECT hll_union_agg(h) AS n FROM '{path}' "
                f"GROUP BY k % {groups})"
            ),
            *engines.chdb(
                f"SELECT sum(n) FROM (SELECT uniqCombined64Merge(14)(h) AS n FROM bench.{kind} "
                f"GROUP BY k % {groups})"
            ),
        ],
        rounds,
        count,
    )


def distinct(engines: Engines, rows: int, rounds: int) -> None:
    """Race counting distinct integers and texts: one group, a thousand, a tenth of the rows."""
    tenth = rows // 10
    engines.duck.execute(
        f"CREATE TABLE v AS SELECT (hash(i) % {rows})::BIGINT AS n, i % 1000 AS g, "
        f"i % {tenth} AS m, 'user-' || lpad(((hash(i) % {rows})::VARCHAR), 15, '0') AS s "
        f"FROM range({rows}) t(i)"
    )
    if engines.house:
        source = engines.directory / "v.parquet"
        engines.duck.execute(f"COPY v TO '{source}' (COMPRESSION zstd)")
        engines.house.query(
            "CREATE TABLE bench.v ENGINE = Memory AS SELECT assumeNotNull(n)::Int64 AS n, "
            "assumeNotNull(g)::Int64 AS g, assumeNotNull(m)::Int64 AS m, "
            f"assumeNotNull(s)::String AS s FROM file('{source}')"
        )
    for column in "ns":
        for groups, key in ((1, "0"), (1_000, "g"), (tenth, "m")):
            inner = f"FROM v GROUP BY {key}" if groups > 1 else "FROM v"
            house = inner.replace("FROM v", "FROM bench.v")
            race(
                f"distinct {'integers' if column == 'n' else 'texts'}, {groups:,} groups",
                [
                    engines.ours(f"SELECT sum(c)::BIGINT FROM (SELECT ndv({column}) c {inner})"),
                    engines.theirs(
                        "duckdb approximate",
                        f"SELECT sum(c)::BIGINT FROM "
                        f"(SELECT approx_count_distinct({column}) c {inner})",
                    ),
                    engines.theirs(
                        "duckdb exact",
                        f"SELECT sum(c)::BIGINT FROM (SELECT count(DISTINCT {column}) c {inner})",
                    ),
                    *engines.chdb(
                        f"SELECT sum(c) FROM (SELECT uniqCombined64(14)({column}) AS c {house})"
                    ),
                ],
                rounds,
                rows,
            )


def main() -> None:
    """Run all races."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["merge", "distinct"], default=[])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=1_000_000)
    parser.add_argument("--full", type=int, default=10_000)
    parser.add_argument("--values", type=int, default=6_000, help="values of a full sketch")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        engines = Engines(Path(directory))
        if "merge" in (options.parts or ["merge"]):
            merge(engines, "small", options.small, 5, options.rounds)
            merge(engines, "full", options.full, options.values, options.rounds)
        if "distinct" in (options.parts or ["distinct"]):
            distinct(engines, options.rows, options.rounds)


if __name__ == "__main__":
    main()
