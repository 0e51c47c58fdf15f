"""Files to rows of published tables: the tables of Doris's own test of sketches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from anabranch.warehouse.catalog.publishing import Publication, TableChange
from anabranch.warehouse.engine import Engine
from anabranch.warehouse.loading.load import Loaded, Loader, LoadTask
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.loading.sources import Source
from anabranch.warehouse.loading.writing import OpenRowset
from anabranch.warehouse.rowsets.folding import relation
from anabranch.warehouse.rowsets.writer import RowsetWriter
from anabranch.warehouse.schema import Table
from tests.support.loading import engine_in
from tests.support.warehouses import Catalog, open_catalog

VALUES = {
    "k1": "tinyint(4)",
    "k2": "smallint(6)",
    "k3": "int(11)",
    "k4": "bigint(20)",
    "k5": "decimal(9,3)",
    "k6": "char(11)",
    "k10": "date",
    "k11": "datetime",
    "k7": "varchar(51)",
}
NAMES = (*VALUES, "k8", "k9")
# Rows like those of Doris's baseall: bounds of types, signed zeros, far dates, empty text.
ROWS = b"""\
1\t1989\t1001\t11011902\t123.123\ttrue\t1989-03-21\t1989-03-21 13:00:00\twangjuoo4\t0.1\t6.333
2\t1986\t1001\t11011903\t1243.500\tfalse\t1901-12-31\t1989-03-21 13:00:00\twangynnsf\t20.268\t789.25
3\t1989\t1002\t11011905\t24453.325\tfalse\t2012-03-14\t2000-01-01 00:00:00\tyunlj8@nk\t78945\t3654.0
-127\t-32767\t-2147483647\t-9223372036854775807\t-0.000\ttrue\t9999-12-12\
\t9999-11-11 12:12:00\t\t-0.0\t0
3\t32767\t2147483647\t9223372036854775807\t0.000\tfalse\t3124-10-10\t2015-04-02 00:00:00\t \t0.0\t-1
"""
PARTITIONS = {
    "k1": "PARTITION BY RANGE(k1) (PARTITION p1 VALUES LESS THAN ('0'),"
    " PARTITION p2 VALUES LESS THAN MAXVALUE)",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine_in(tmp_path_factory.mktemp("engine"), Path("/")) as made:
        yield made


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(tmp_path) as made:
        yield made


def sketch_table(key: str, null: str = "NULL") -> str:
    """Return the table whose other columns are replaced, with a sketch of each column."""
    columns = [f"{key} {VALUES[key]}"]
    columns += [f"{name} {kind} replace {null}" for name, kind in VALUES.items() if name != key]
    columns += [f"k8 double max {null}", f"k9 float sum {null}"]
    columns += [f"{name}_hll hll hll_union" for name in NAMES]
    rest = f"{PARTITIONS.get(key, '')} DISTRIBUTED BY HASH({key}) BUCKETS 5"
    return f"CREATE TABLE x ({', '.join(columns)}) ENGINE=OLAP {rest}"


def load(catalog: Catalog, engine: Engine, name: str, options: LoadOptions, data: bytes) -> Loaded:
    lake = catalog.on.lake
    stored = catalog.tables.get(catalog.table(name))
    source = Source("a", lambda: io.BytesIO(data))

    def open_for(table: Table, written: Sequence[int]) -> OpenRowset:
        return lambda partition: RowsetWriter(
            lake.bodies, catalog.on.repository, lake.ids, table, partition, written
        )

    with engine.open() as execution:
        loaded = Loader(catalog.on.clock, Path("unused")).run(
            LoadTask(stored.schema, name, [source], options),
            execution,
            open_for,
        )
    change = TableChange(catalog.table(name), stored.schema.id, stored.identity, loaded.rowsets)
    catalog.publisher.publish(Publication((change,)))
    return loaded


def rows(catalog: Catalog, engine: Engine, name: str, select: str) -> list[tuple[Any, ...]]:
    snapshot = catalog.read(name)
    paths = catalog.snapshots.paths(snapshot.rowsets)
    files = {one.path: path for one, path in zip(snapshot.rowsets, paths, strict=True)}
    with engine.open() as execution:
        sql = select.format(t=relation(snapshot.schema, snapshot.rowsets, files, None))
        batches = list(execution.stream(sql))
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("key", VALUES)
def test_two_loads_fold_by_key(catalog: Catalog, engine: Engine, key: str) -> None:
    null = "NOT NULL" if key == "k3" else "NULL"
    catalog.create("x", ddl=sketch_table(key, null))
    sketches = tuple((f"{name}_hll", f"hll_hash({name})") for name in NAMES)
    options = LoadOptions(columns=NAMES, assignments=sketches)
    for _ in range(2):
        loaded = load(catalog, engine, "x", options, ROWS)
        assert (loaded.loaded_rows, loaded.filtered_rows, loaded.unselected_rows) == (5, 0, 0)
        assert len(loaded.rowsets) == (2 if key == "k1" else 1)
    place = NAMES.index(key)
    texts = [line.split(b"\t")[place] for line in ROWS.splitlines()]
    keys = {float(text) if key == "k5" else text for text in texts}
    count = f"SELECT count(*), hll_union_agg({key}_hll) FROM {{t}}"
    assert rows(catalog, engine, "x", count) == [(len(keys), len(set(texts)))]
    if key == "k1":
        summed = rows(catalog, engine, "x", "SELECT k9, k7, k8 FROM {t} WHERE k1 = 3")
        assert summed == [(7306.0, " ", 78945.0)]
