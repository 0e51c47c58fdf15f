"""A stream load of CSV into an AGGREGATE table with two HLL columns, beside DuckDB's own reading.

DuckDB reads the same file into a table of a database file, with as many threads, and keeps every
row; the load folds rows by key while it reads them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb

from anabranch.warehouse.extension import load_sketches
from bench.samples import Row, Sample, compare, load_average
from bench.servers import Server, expect, open_server

_COLUMNS = {
    "k": "BIGINT",
    "seen": "TIMESTAMP",
    "amount": "BIGINT",
    "reader": "VARCHAR",
    "page": "VARCHAR",
}
_TABLE = (
    "CREATE TABLE {table} (k BIGINT, seen DATETIME MAX, amount BIGINT SUM, "
    "readers HLL HLL_UNION, pages HLL HLL_UNION) "
    "AGGREGATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 1"
)
_HEADERS = {
    "format": "csv",
    "column_separator": ",",
    "timeout": "7200",
    "columns": "k,seen,amount,reader,page,readers=hll_hash(reader),pages=hll_hash(page)",
}
_PAGES = 50_000
_STRIDE = 6_700_417  # a prime: keys come in no order, each as often as the others


def measure(folder: Path, *, rows: int, keys: list[int], rounds: int, threads: int) -> list[Row]:
    """Measure loads of `rows` rows for each number of keys; about 100 bytes a row."""
    found: list[Row] = []
    with open_server(folder / "bulk", "--sql-threads", str(threads)) as server:
        for count, wanted in zip(keys, (3.0, 8.0), strict=True):
            file = folder / f"{count}.csv"
            _write(file, rows, count)
            found.append(_race(server, folder, file, rows, count, rounds, threads, wanted))
            file.unlink()
    return found


def _write(file: Path, rows: int, keys: int) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT i * {_STRIDE} % {keys} AS k, "
            "TIMESTAMP '2026-01-01' + INTERVAL (i % 31536000) SECOND AS seen, "
            "hash(i) % 1000000 AS amount, "
            f"'reader-' || lpad((hash(i + 1) % {rows})::VARCHAR, 18, '0') AS reader, "
            f"'https://pages.example/sections/' || lpad((hash(i + 2) % {_PAGES})::VARCHAR, 9, '0') "
            f"AS page FROM range({rows}) t(i)) TO '{file}' (FORMAT csv, HEADER false)"
        )


def _race(
    server: Server,
    folder: Path,
    file: Path,
    rows: int,
    keys: int,
    rounds: int,
    threads: int,
    wanted: float,
) -> Row:
    ours: list[Sample] = []
    theirs: list[Sample] = []
    right: tuple[Any, ...] = ()
    for number in range(rounds):
        sample, answer = _read(folder, file, threads, answers=number == 0)
        theirs.append(sample)
        right = right or answer
        table = f"bulk_{keys}_{number}"
        server.run(_TABLE.format(table=table))
        sample, _ = server.timed(lambda table=table: server.load(table, file, _HEADERS))
        ours.append(sample)
        expect(_asked(server, table), right, f"{table} against DuckDB")
        server.run(f"DROP TABLE {table} FORCE")
    return compare(
        "stream load",
        f"{rows:,} rows, {keys:,} keys",
        {"anabranch": ours, "duckdb": theirs},
        wanted,
        notes={"file_bytes": file.stat().st_size, "threads": threads},
    )


def _asked(server: Server, table: str) -> tuple[Any, ...]:
    """Return rows, sums and estimates of a loaded table."""
    ((count, amount, seen, readers, pages, each),) = server.run(
        "SELECT count(*), sum(amount), max(seen), hll_union_agg(readers), hll_union_agg(pages), "
        f"sum(hll_cardinality(readers) + hll_cardinality(pages)) FROM {table}"
    )
    return int(count), int(amount), seen, int(readers), int(pages), int(each)


def _read(
    folder: Path, file: Path, threads: int, *, answers: bool
) -> tuple[Sample, tuple[Any, ...]]:
    """Read the file into a table of DuckDB's; return the cost, and what a load has to give."""
    path = folder / "theirs.duckdb"
    declared = ", ".join(f"'{name}': '{kind}'" for name, kind in _COLUMNS.items())
    config = {"threads": threads, "allow_unsigned_extensions": True}
    found: tuple[Any, ...] = ()
    with duckdb.connect(str(path), config=config) as connection:
        load, used, started = load_average(), time.process_time(), time.perf_counter()
        connection.execute(
            f"CREATE TABLE t AS FROM read_csv('{file}', header = false, delim = ',', "
            f"auto_detect = false, columns = {{{declared}}})"
        )
        connection.execute("CHECKPOINT")
        sample = Sample(time.perf_counter() - started, time.process_time() - used, load)
        if answers:
            load_sketches(connection, folder, 1 << 40)
            found = connection.execute(
                "WITH folded AS (SELECT k, sum(amount) AS amount, max(seen) AS seen, "
                "hll_union(hll_hash(reader)) AS r, hll_union(hll_hash(page)) AS p FROM t "
                "GROUP BY k) "
                "SELECT count(*), sum(amount)::BIGINT, max(seen), hll_union_agg(r)::BIGINT, "
                "hll_union_agg(p)::BIGINT, sum(hll_cardinality(r) + hll_cardinality(p))::BIGINT "
                "FROM folded"
            ).fetchone()
    path.unlink()
    return sample, found
