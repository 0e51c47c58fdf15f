"""Reads of tables of many small loads, with folds, without, and beside a large base.

    python bench/reads.py [DIRECTORY] [--loads N] [--base N]

Loads one row N times into a table, and the same rows at once into another; prints how long both
take to read: with warm folds, after one more load, and with all folds lost. Then the same for a
base of many rows in one load and a few small loads upon it. Times are medians, or of the first read
where the next would find it done.
"""

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from anabranch.directory import Directory
from anabranch.kernel import limits
from anabranch.kernel.ids import Ref, RepositoryId
from anabranch.settings import Settings
from anabranch.storage.kv.base import Prepared, delete, scan_prefix
from anabranch.stores import Stores, SystemIds, open_stores
from anabranch.warehouse import keyspace
from anabranch.warehouse.catalog.labels import Labels
from anabranch.warehouse.catalog.publishing import Publication, Publisher, TableChange
from anabranch.warehouse.catalog.snapshots import Snapshots
from anabranch.warehouse.catalog.tables import Tables
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.results import Rows
from anabranch.warehouse.rowsets.writer import RowsetWriter
from anabranch.warehouse.schema import UNPARTITIONED
from anabranch.warehouse.session import SqlSession
from anabranch.warehousing import Warehousing, build_warehouse

RUNS = 9
AT_ONCE = 500  # loads of one publication: the time to publish is not what is measured
KEYS = 2_000
MODELS = {
    "unique": "CREATE TABLE {name} (k bigint, v bigint, w varchar(20)) UNIQUE KEY(k)",
    "aggregate": "CREATE TABLE {name} (k bigint, v bigint SUM, w varchar(20) REPLACE)"
    " AGGREGATE KEY(k)",
}
QUERY = "SELECT count(*), sum(v), max(w) FROM {name}"
POINT = "SELECT v, w FROM {name} WHERE k = 77"


class Bench:
    """A warehouse in a directory, and one session in it."""

    def __init__(self, directory: Path) -> None:
        place = Directory(directory)
        place.prepare()
        place.load_key()
        self.settings = Settings(data=directory)
        self.stores: Stores = open_stores(self.settings)
        self.warehousing: Warehousing = build_warehouse(self.settings, self.stores)
        lake = self.stores.lake
        self.tables = Tables(lake)
        self.snapshots = Snapshots(lake, self.tables)
        self.publisher = Publisher(lake, self.snapshots, Labels(lake))
        self.session: SqlSession = self.warehousing.statements.open("root", "127.0.0.1", None, 1)
        self.run("CREATE DATABASE bench")
        self.run("USE bench")

    def close(self) -> None:
        """End everything."""
        self.warehousing.close()
        self.stores.close()

    def run(self, text: str) -> list[tuple[object, ...]]:
        """Run a statement to its end; return its rows."""
        found: list[tuple[object, ...]] = []
        for result in self.warehousing.statements.run(self.session, text):
            if isinstance(result, Rows):
                for batch in result.batches:
                    columns = [column.to_pylist() for column in batch.columns]
                    found += zip(*columns, strict=True)
        return found

    def place(self, name: str) -> TablePlace:
        """Return the place of a table."""
        place = Place(RepositoryId(self.settings.catalog), Ref("main"))
        return DatabasePlace(place, "bench").table(name)

    def load(self, name: str, loads: Iterator[pa.RecordBatch]) -> None:
        """Publish each batch as one load; it is folded and in the order of its keys."""
        place = self.place(name)
        stored = self.tables.get(place)
        schema, lake = stored.schema, self.stores.lake
        repository = self.snapshots.read(place).repository
        ids = [column.id for column in schema.columns]
        changes: list[TableChange] = []
        for batch in loads:
            writer = RowsetWriter(lake.bodies, repository, SystemIds(), schema, UNPARTITIONED, ids)
            writer.write(batch.rename_columns([f"c{one}" for one in ids]))
            changes.append(TableChange(place, schema.id, stored.identity, (writer.finish(),)))
            if len(changes) == AT_ONCE:
                self.publisher.publish(Publication(tuple(changes)))
                changes = []
        if changes:
            self.publisher.publish(Publication(tuple(changes)))

    def build_folds(self, name: str) -> int:
        """Make all folds of a table that are due, here and now."""
        return self.warehousing.builder.build(self.place(name))

    def lose_folds(self) -> None:
        """Remove the index of all folds."""
        kv, writer = self.stores.kv, self.stores.writer
        for prefix in (keyspace.FOLDS, keyspace.FOLD_LISTS):
            rows = kv.read((), [scan_prefix(prefix, limit=limits.SCAN_ROWS_MAX)]).scans[0]
            writes = [delete(row.key) for row in rows]
            writer.submit_once(Prepared((), writes, lambda _verdict: None))


def batch(rows: list[tuple[int, int, str]]) -> pa.RecordBatch:
    """Return rows as a load has them."""
    keys, values, texts = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(keys, pa.int64()), pa.array(values, pa.int64()), pa.array(texts)],
        names=["k", "v", "w"],
    )


def row(number: int) -> tuple[int, int, str]:
    """Return one row of a load."""
    return number * 7919 % KEYS, number, f"text {number}"


def measured(call: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median time of a call in milliseconds."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1_000)
    return statistics.median(times)


def small_loads(bench: Bench, model: str, loads: int) -> None:
    """Print the rows of a table of many one-row loads."""
    many, once = f"{model}_many", f"{model}_once"
    for name in (many, once):
        bench.run(MODELS[model].format(name=name))
    rows = [row(number) for number in range(loads)]
    bench.load(many, (batch([one]) for one in rows))
    last = {one[0]: one for one in rows}
    sums = dict.fromkeys(last, 0)
    for key, value, _ in rows:
        sums[key] = value if model == "unique" else sums[key] + value
    whole = [(key, sums[key], last[key][2]) for key in sorted(last)]
    bench.load(once, iter([batch(whole)]))
    query, base_query = QUERY.format(name=many), QUERY.format(name=once)
    assert bench.run(base_query) == bench.run(query)
    base = measured(lambda: bench.run(base_query))
    lost = measured(lambda: bench.run(query), 1)
    began = time.perf_counter()
    made = bench.build_folds(many)
    built = time.perf_counter() - began
    assert bench.run(base_query) == bench.run(query)
    warm = measured(lambda: bench.run(query))
    bench.load(many, iter([batch([row(loads)])]))
    more = measured(lambda: bench.run(query), 1)
    point = measured(lambda: bench.run(POINT.format(name=many)))
    base_point = measured(lambda: bench.run(POINT.format(name=once)))
    bench.lose_folds()
    lost_again = measured(lambda: bench.run(query), 1)
    show(f"{model}: {loads} rows in one load", base)
    show("  warm folds", warm, 3 * base + 20)
    show("  after one more load", more, 3 * base + 50)
    show("  folds lost", lost_again, 5_000)
    show("  first read, nothing folded", lost)
    show("  one key, one load", base_point)
    show("  one key, warm folds", point)
    print(f"  {made} folds made in {built:.1f} s")


def large_base(bench: Bench, model: str, rows: int) -> None:
    """Print the rows of a table with a large load and a few small ones upon it."""
    name = f"{model}_base"
    bench.run(MODELS[model].format(name=name))
    numbers = pa.array(range(rows), pa.int64())
    texts = pa.array([f"text {number % 1000}" for number in range(rows)])
    whole = pa.RecordBatch.from_arrays([numbers, numbers, texts], names=["k", "v", "w"])
    bench.load(name, iter([whole]))
    query = QUERY.format(name=name)
    base = measured(lambda: bench.run(query))
    point = measured(lambda: bench.run(POINT.format(name=name)))
    for _ in range(5):
        bench.load(name, iter([batch([(key, 1, "x") for key in range(0, rows, rows // 1_000)])]))
    bench.run(query)
    show(f"{model}: {rows} rows in one load", base)
    show("  and 5 loads of 1,000 rows", measured(lambda: bench.run(query), 3))
    show("  one key, before", point)
    show("  one key, after", measured(lambda: bench.run(POINT.format(name=name))))


def show(what: str, found_ms: float, most_ms: float | None = None) -> None:
    """Print a line."""
    most = "" if most_ms is None else f"   (at most {most_ms:.0f})"
    print(f"{what:<44}{found_ms:>10.1f} ms{most}", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--loads", type=int, default=10_000)
    parser.add_argument("--base", type=int, default=2_000_000)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(dir=arguments.directory))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        bench = Bench(directory)
        stack.callback(bench.close)
        for model in MODELS:
            small_loads(bench, model, arguments.loads)
        for model in MODELS:
            large_base(bench, model, arguments.base)


if __name__ == "__main__":
    main()
