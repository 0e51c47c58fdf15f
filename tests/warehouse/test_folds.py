"""Folds of a real warehouse: made, found, used, extended, lost, and swept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.ids import Ref
from anabranch.warehouse.dispatch import Warehouse
from anabranch.warehouse.folds.builder import FoldBuilder
from anabranch.warehouse.folds.covers import Cover, Item, level_of
from anabranch.warehouse.folds.plans import FoldPlan, Folds
from anabranch.warehouse.parts import DEFAULT_CATALOG
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.rowsets.fold import Fold, FoldShape
from anabranch.warehouse.rowsets.rowset import Header, Rowset, RowsetKind, RowsetName
from tests.support.statements import Client, client_in, warehouse_of


@dataclass(frozen=True, slots=True)
class Folding:
    """A warehouse whose reads use folds, and who makes them."""

    client: Client
    folds: Folds
    builder: FoldBuilder
    noticed: list[TablePlace]

    def place(self, name: str = "t") -> TablePlace:
        return DatabasePlace(Place(DEFAULT_CATALOG, Ref("main")), "db").table(name)

    def plan(self, name: str = "t") -> FoldPlan:
        return self.folds.plan(self.client.parts.snapshots.read(self.place(name)))

    def build(self, name: str = "t") -> int:
        return self.builder.build(self.place(name))

    def rows(self, text: str) -> list[tuple[object, ...]]:
        return self.client.rows(text)

    def insert(self, amount: int, *, first: int = 0) -> None:
        for number in range(first, first + amount):
            self.client.do(f"INSERT INTO t VALUES ({number % 5}, {number})")


def joined(client: Client) -> Folding:
    """Return a client's warehouse with folds."""
    parts = client.parts
    folds = Folds(parts.lake, parts.snapshots, parts.footers)
    builder = FoldBuilder(
        parts.lake, parts.engine, parts.snapshots, folds, parts.footers, parts.ids
    )
    noticed: list[TablePlace] = []
    folds.join(noticed.append)
    with_folds = replace(parts, folds=folds)
    warehouse: Warehouse = warehouse_of(with_folds)
    session = warehouse.open("root", "127.0.0.1:1", "db", 8)
    changed = replace(client, warehouse=warehouse, parts=with_folds, session=session)
    return Folding(changed, folds, builder, noticed)


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Folding]:
    with client_in(tmp_path) as client:
        yield joined(client)


UNIQUE = "CREATE TABLE t (k int, v int) UNIQUE KEY(k)"
SUMMED = "CREATE TABLE t (k int, v int SUM) AGGREGATE KEY(k)"
WHOLE = "SELECT k, v FROM t ORDER BY k, v"


def test_a_tail_becomes_a_fold_that_reads_use(on: Folding) -> None:
    on.client.do(SUMMED)
    on.insert(limits.FOLD_TIER)
    on.rows(WHOLE)
    assert on.noticed == [], "a read of so few opens them"
    on.insert(1, first=limits.FOLD_TIER)
    before = on.rows(WHOLE)
    assert on.noticed == [on.place()]
    assert on.build() == 1
    plan = on.plan()
    assert (len(plan.stand_ins), plan.rowsets, plan.is_due) == (1, (), False)
    assert plan.stand_ins[0].fold.rows == 5
    assert on.rows(WHOLE) == before
    on.insert(1)
    assert len(on.plan().rowsets) == 1
    assert on.rows("SELECT sum(v) FROM t") == [(sum(range(limits.FOLD_TIER + 1)),)]


def test_folds_of_one_tier_become_one_of_the_next(on: Folding) -> None:
    on.client.do(UNIQUE)
    for _ in range(limits.FOLD_TIER):
        on.insert(limits.FOLD_TIER + 1)
        on.build()
    (item,) = on.plan().stand_ins
    assert (item.fold.level, item.fold.members) == (2, limits.FOLD_TIER * (limits.FOLD_TIER + 1))
    assert on.rows("SELECT count(*) FROM t") == [(5,)]


def test_another_server_finds_them_and_a_lost_file_costs_time_only(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    before = on.rows(WHOLE)
    on.build()
    other = joined(on.client)
    (item,) = other.plan().stand_ins
    item.file.unlink()
    assert on.rows(WHOLE) == other.rows(WHOLE) == before
    assert other.plan().stand_ins == on.plan().stand_ins == ()
    assert other.build() == 1
    assert on.plan().stand_ins != (), "it is made again"
    assert on.rows(WHOLE) == before


def test_a_damaged_file_is_not_read(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    before = on.rows(WHOLE)
    on.build()
    other = joined(on.client)
    (item,) = on.plan().stand_ins
    item.file.chmod(0o600)
    item.file.write_bytes(item.file.read_bytes()[:-100])
    assert other.rows(WHOLE) == before
    assert [fold.hash for fold in other.plan().lost] == [item.fold.hash]


def test_a_fold_of_another_schema_is_left_alone(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    on.build()
    on.client.do("ALTER TABLE t ADD COLUMN w int DEFAULT '7'")
    assert on.plan().stand_ins == ()
    assert on.rows("SELECT DISTINCT w FROM t") == [(7,)]
    assert on.build() == 1
    assert on.rows("SELECT DISTINCT w FROM t") == [(7,)]


def test_deletes_apply_to_folds_and_within_them(on: Folding) -> None:
    on.client.do(SUMMED)
    on.insert(17)
    on.build()
    on.client.do("DELETE FROM t WHERE k = 1")
    assert len(on.plan().stand_ins) == 1
    assert on.rows("SELECT k FROM t ORDER BY k") == [(0,), (2,), (3,), (4,)]
    on.insert(17)
    before = on.rows(WHOLE)
    assert on.build() == 1
    assert on.rows(WHOLE) == before


def test_only_one_server_folds_a_partition_at_a_time(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    snapshot = on.client.parts.snapshots.read(on.place())
    index, at = on.folds.index, (snapshot.repository, snapshot.schema.id, "00000000")
    assert index.lease(*at, "another")
    assert on.build() == 0
    index.release(*at, "another")
    assert on.build() == 1


def test_a_killed_holder_delays_others_by_the_lease_alone(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    snapshot = on.client.parts.snapshots.read(on.place())
    assert on.folds.index.lease(snapshot.repository, snapshot.schema.id, "00000000", "another")
    on.client.clock.advance(limits.LEASE_S)
    assert on.build() == 1


def test_the_thread_builds_what_reads_notice(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    on.builder.start()
    on.rows(WHOLE)
    while not on.plan().stand_ins:
        on.builder.idle()
    on.builder.close()


def test_what_nobody_reads_is_swept(on: Folding) -> None:
    on.client.do(UNIQUE)
    on.insert(20)
    on.build()
    clock, index = on.client.clock, on.folds.index

    def sweep() -> int:
        assert index.sweep_unread(now_us=clock.now_ns() // 1_000, after=b"") is None
        return len(on.plan().stand_ins)

    clock.advance(limits.FOLD_KEEP_S - 10)
    assert sweep() == 1
    on.noticed.clear()
    on.rows(WHOLE)
    assert on.noticed == [on.place()], "that it is read must be kept"
    on.build()
    clock.advance(20)
    assert sweep() == 1
    clock.advance(limits.FOLD_KEEP_S)
    assert sweep() == 0
    assert len(on.rows(WHOLE)) == 5


def rowset(number: int, size_bytes: int = 1) -> Rowset:
    name = RowsetName(number, f"{number:032x}")
    header = Header("t", RowsetKind.ROWS, (), (), 1)
    return Rowset(f"db/t/rowsets/0/{name}.parquet", "0", name, header, str(number), size_bytes)


def fold_item(number: int, level: int) -> Item:
    fold = Fold(str(number), "t", "0", "s", "", 1, (), FoldShape((), ()), 1, 1, level, "", 0)
    return Item((rowset(number),), fold)


def test_what_is_due() -> None:
    small = tuple(Item((rowset(number),)) for number in range(17))
    assert Cover({"0": small[:16]}).due() == []
    (run,) = Cover({"0": small}).due()
    assert (len(run.items), run.level) == (17, 1)
    half = limits.FOLD_TAIL_BYTES // 2
    assert Cover({"0": tuple(Item((rowset(n, half),)) for n in (1, 2))}).due() == []
    (run,) = Cover({"0": tuple(Item((rowset(n, half + 1),)) for n in (1, 2))}).due()
    assert len(run.items) == 2
    large = Item((rowset(0, limits.GIB),))
    assert Cover({"0": (large, *small[:16])}).due() == [], "a large load is not folded again"
    (run,) = Cover({"0": (large, *small)}).due()
    assert large not in run.items


def test_tiers_are_extended_not_rebuilt() -> None:
    top, tier = fold_item(0, 3), tuple(fold_item(n, 1) for n in range(1, 17))
    assert Cover({"0": (top, *tier[:15])}).due() == []
    (run,) = Cover({"0": (top, *tier)}).due()
    assert (run.items, run.level) == (tier, 2)
    assert [level_of(1, 1), level_of(17, 1), level_of(18, 1), level_of(289, 1)] == [0, 1, 2, 2]


def test_a_fold_is_made_of_no_more_bytes_than_one_may_have() -> None:
    size = limits.FOLD_TAIL_BYTES
    items = tuple(Item((rowset(n, size),)) for n in range(limits.FOLD_BYTES_MAX // size + 1))
    (run,) = Cover({"0": items}).due()
    assert len(run.items) == len(items) - 1
