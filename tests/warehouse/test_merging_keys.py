"""Which rowsets may hold the same keys: told by ranges of keys and by what they write."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.merging.keys import (
    ChangedRowset,
    has_row_conflicts,
    hull,
    judged_columns,
    meet,
    overlapping,
    ranges_of,
)
from anabranch.warehouse.rowsets.rowset import Footer, Header, RowsetKind
from anabranch.warehouse.schema import DELETE_SIGN_ID, KeyModel, Table
from tests.support.table_model import id_of, make_table

COLUMNS = [
    ("k", "INT", "KEY", None),
    ("t", "VARCHAR(9)", "KEY", None),
    ("a", "INT", "", None),
    ("b", "INT", "", None),
]
UNIQUE = make_table(KeyModel.UNIQUE, COLUMNS)
AGGREGATE = make_table(
    KeyModel.AGGREGATE,
    [("k", "INT", "KEY", None), ("s", "BIGINT", "SUM", None), ("r", "INT", "REPLACE", None)],
)
Bounds = tuple[str | None, str | None]


class Files:
    """Footers of rowsets that are made up."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.footers: dict[str, Footer] = {}

    def made(
        self,
        columns: Sequence[str],
        k: Bounds,
        *,
        partition: str = "00000000",
        kind: RowsetKind = RowsetKind.ROWS,
        is_added: bool = True,
        t: Bounds | None = None,
        deletes: bool = False,
    ) -> ChangedRowset:
        ids = {column.id for column in self.table.keys}
        ids |= {id_of(self.table, name) for name in columns}
        ids |= {DELETE_SIGN_ID} if deletes else set()
        header = Header("t", kind, tuple(sorted(ids)), tuple(sorted(ids)), 1)
        keys = {id_of(self.table, "k"): k}
        if t is not None:
            keys[id_of(self.table, "t")] = t
        path = f"r{len(self.footers)}"
        self.footers[path] = Footer(header, partition, 1, keys=keys)
        return ChangedRowset(path, partition, header, is_added)

    def meeting(
        self, ours: Sequence[ChangedRowset], theirs: Sequence[ChangedRowset]
    ) -> dict[str, tuple[list[str], list[str]]]:
        return overlapping(self.table, ours, theirs, self.footers.__getitem__)


def test_only_last_values_can_conflict() -> None:
    assert has_row_conflicts(UNIQUE)
    assert judged_columns(UNIQUE) == (id_of(UNIQUE, "a"), id_of(UNIQUE, "b"))
    assert judged_columns(AGGREGATE) == (id_of(AGGREGATE, "r"),)
    assert not has_row_conflicts(make_table(KeyModel.DUPLICATE, COLUMNS))
    sums = make_table(KeyModel.AGGREGATE, [("k", "INT", "KEY", None), ("s", "INT", "SUM", None)])
    assert not has_row_conflicts(sums)


def test_keys_that_are_apart_do_not_meet() -> None:
    files = Files(UNIQUE)
    ours = [files.made("a", ("1", "5")), files.made("a", ("9", "9"))]
    theirs = [files.made("a", ("6", "10"), t=("a", "c")), files.made("a", ("10", "12"))]
    assert files.meeting(ours, theirs) == {"00000000": (["r1"], ["r2"])}
    assert files.meeting(ours[:1], theirs) == {}


def test_each_key_column_may_keep_rowsets_apart() -> None:
    files = Files(UNIQUE)
    one = files.made("a", ("1", "5"), t=(None, "b"))
    assert files.meeting([one], [files.made("a", ("1", "5"), t=("c", "d"))]) == {}
    assert files.meeting([one], [files.made("a", ("1", "5"), t=(None, None))])
    assert files.meeting([one], [files.made("a", ("1", "5"), t=("b", "b"))])


def test_other_columns_do_not_meet_unless_a_row_is_deleted() -> None:
    files = Files(UNIQUE)
    key = ("1", "1")
    one = files.made("a", key)
    assert files.meeting([one], [files.made("b", key)]) == {}
    assert files.meeting([one], [files.made("b", key, deletes=True)])
    assert files.meeting([one], [files.made("b", key, is_added=False)])
    sums = Files(AGGREGATE)
    assert sums.meeting([sums.made("s", key)], [sums.made(["s", "r"], key)]) == {}
    assert sums.meeting([sums.made("r", key)], [sums.made(["s", "r"], key)])


def test_partitions_and_deletes_by_condition_are_apart() -> None:
    files = Files(UNIQUE)
    one = files.made("a", ("1", "1"))
    assert files.meeting([one], [files.made("a", ("1", "1"), partition="00000001")]) == {}
    assert files.meeting([one], [files.made("a", ("1", "1"), kind=RowsetKind.DELETE)]) == {}


def test_what_is_not_known_may_be_anything() -> None:
    strange = Footer(
        Header("t", RowsetKind.ROWS, (), (), 1), "0", 1, keys={id_of(UNIQUE, "k"): ("x", "y")}
    )
    assert ranges_of(UNIQUE, strange) == {}
    assert meet({}, {7: ((True, 1), (True, 2))})
    assert hull(
        [{7: ((True, 1), (True, 2))}, {7: ((False, 0), (True, 1)), 8: ((True, 1),) * 2}]
    ) == {7: ((False, 0), (True, 2))}


@pytest.mark.parametrize("most", [4, 3])
def test_many_pairs_are_judged_by_hulls(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(limits, "MERGE_ROWSET_PAIRS_MAX", most)
    files = Files(UNIQUE)
    ours = [files.made("a", ("1", "1")), files.made("a", ("3", "3"))]
    theirs = [files.made("a", ("2", "2")), files.made("a", ("3", "4"))]
    exact = {"00000000": (["r1"], ["r3"])}
    coarse = {"00000000": (["r1"], ["r2", "r3"])}
    assert files.meeting(ours, theirs) == (exact if most == 4 else coarse)
