"""ALTER TABLE by Doris's rules, and the merge of schemas that changed on two branches."""

from __future__ import annotations

import pytest

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.schema import Table, decode_table, encode_table
from anabranch.warehouse.schemas.creation import create_table
from anabranch.warehouse.schemas.evolution import alter_table
from anabranch.warehouse.schemas.merge import merge_schemas
from anabranch.warehouse.sql.parser import parse
from anabranch.warehouse.sql.statements import AlterTable, CreateTable

TABLE_ID = "0123456789abcdef0123456789abcdef"
AGGREGATE = "(k int, d date, s int SUM, r varchar(10) REPLACE) AGGREGATE KEY(k, d)"
UNIQUE = "(k int, v int, w varchar(5)) UNIQUE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 1"
PARTITIONED = (
    "(k int, v int SUM) AGGREGATE KEY(k) PARTITION BY RANGE(k) (PARTITION p0 VALUES LESS THAN (0))"
)


def table_of(text: str) -> Table:
    (statement,) = parse(f"CREATE TABLE t {text}")
    assert isinstance(statement, CreateTable)
    return create_table(statement, TABLE_ID)


def altered(table: Table, clauses: str) -> Table:
    (statement,) = parse(f"ALTER TABLE t {clauses}")
    assert isinstance(statement, AlterTable)
    changed = alter_table(table, statement.clauses, "t")
    assert decode_table(encode_table(changed)) == changed
    return changed


def names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def merged(start: str, ours: str, theirs: str) -> Table:
    """Merge both ways; both must agree on all but the order of what was added."""
    base = table_of(start)
    left, right = altered(base, ours), altered(base, theirs)
    there, back = merge_schemas(base, left, right), merge_schemas(base, right, left)
    assert there.conflicts == back.conflicts == ()
    assert sorted(map(repr, there.table.columns)) == sorted(map(repr, back.table.columns))
    assert decode_table(encode_table(there.table)) == there.table
    return there.table


def conflicts(start: str, ours: str, theirs: str) -> list[str]:
    base = table_of(start)
    found = merge_schemas(base, altered(base, ours), altered(base, theirs))
    assert merge_schemas(base, altered(base, theirs), altered(base, ours)).conflicts
    return [str(conflict) for conflict in found.conflicts]


@pytest.mark.parametrize(
    "clauses, expected",
    [
        ("ADD COLUMN n int SUM DEFAULT '0'", ["k", "d", "s", "r", "n"]),
        ("ADD COLUMN n int SUM DEFAULT '0' AFTER s", ["k", "d", "s", "n", "r"]),
        ("ADD COLUMN n int", ["k", "d", "n", "s", "r"]),
        ("ADD COLUMN n int KEY FIRST", ["n", "k", "d", "s", "r"]),
        ("ADD COLUMN h hll HLL_UNION", ["k", "d", "s", "r", "h"]),
        ("ADD COLUMN (a int SUM, b int MAX)", ["k", "d", "s", "r", "a", "b"]),
        ("DROP COLUMN s", ["k", "d", "r"]),
        ("DROP COLUMN r, DROP COLUMN d", ["k", "s"]),
        ("RENAME COLUMN s TO total", ["k", "d", "total", "r"]),
        ("ORDER BY (d, k, r, s)", ["d", "k", "r", "s"]),
        ("MODIFY COLUMN r varchar(20) REPLACE AFTER d", ["k", "d", "r", "s"]),
    ],
)
def test_columns_change(clauses: str, expected: list[str]) -> None:
    table = table_of(AGGREGATE)
    changed = altered(table, clauses)
    assert names(changed) == expected
    kept = {column.id for column in table.columns} & {column.id for column in changed.columns}
    gone = {column.id for column in changed.dropped_columns}
    assert kept | gone == {column.id for column in table.columns}


@pytest.mark.parametrize(
    "start, clauses, message",
    [
        (AGGREGATE, "ADD COLUMN S int SUM", "Can not add column which already exists"),
        (UNIQUE, "ADD COLUMN n int SUM", "Can not assign aggregation method on column in Unique"),
        (UNIQUE, "ADD COLUMN n hll", "can only be in Aggregation data model table: n"),
        (UNIQUE, "ADD COLUMN n int NOT NULL", "has no default value for existing rows"),
        (UNIQUE, "DROP COLUMN k", "cannot be dropped"),
        (AGGREGATE, "DROP COLUMN d", "Can not drop key column when table has value column with"),
        (AGGREGATE, "DROP COLUMN x", "Column does not exists: x"),
        (AGGREGATE, "ADD COLUMN n int SUM FIRST", "Invalid column order. value should be after"),
        (AGGREGATE, "MODIFY COLUMN s tinyint SUM", "Can not change INT to TINYINT"),
        (AGGREGATE, "MODIFY COLUMN r varchar(5) REPLACE", "Shorten type length is prohibited"),
        (AGGREGATE, "MODIFY COLUMN s int MAX", "Can not change aggregation type"),
        (UNIQUE, "MODIFY COLUMN v int NOT NULL", "Can not change from nullable to non-nullable"),
        (UNIQUE, "MODIFY COLUMN v int DEFAULT '3'", "Can not change default value"),
        (AGGREGATE, "RENAME COLUMN s TO R", "Column name[R] is already used"),
        (AGGREGATE, "ORDER BY (k, d, s)", "Reorder stmt should contains all columns"),
        (AGGREGATE, "ORDER BY (k, s, d, r)", "Invalid column order"),
        (AGGREGATE, "ADD PARTITION p VALUES LESS THAN (3)", "syntax"),
        (AGGREGATE, "ADD PARTITION p VALUES LESS THAN (3)", "Only support adding partition"),
        (PARTITIONED, "ADD PARTITION P0 VALUES LESS THAN (3)", "Duplicate partition name P0"),
        (PARTITIONED, "ADD PARTITION p VALUES [(-5), (5))", "is intersected with range"),
        (PARTITIONED, "DROP PARTITION x", "Error in list of partitions to DROP"),
    ],
)
def test_changes_that_cannot_be(start: str, clauses: str, message: str) -> None:
    if message == "syntax":
        with pytest.raises(SqlError) as raised:
            altered(table_of(start), clauses.replace("LESS", "MORE"))
        assert raised.value.code == 1064
        return
    with pytest.raises(SqlError) as raised:
        altered(table_of(start), clauses)
    assert message in raised.value.message


def test_a_column_added_again_is_another() -> None:
    table = altered(table_of(UNIQUE), "ADD COLUMN x int")
    again = altered(altered(table, "DROP COLUMN x"), "ADD COLUMN x int")
    first, second = table.find("x"), again.find("x")
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert second.earlier == 1


def test_a_partition_added_again_is_another() -> None:
    table = table_of(PARTITIONED)
    again = altered(altered(table, "DROP PARTITION p0"), "ADD PARTITION p0 VALUES LESS THAN (0)")
    first, second = table.find_partition("p0"), again.find_partition("p0")
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert (second.bounds, second.added) == (first.bounds, 1)


@pytest.mark.parametrize(
    "ours, theirs, expected",
    [
        ("ADD COLUMN a int SUM", "ADD COLUMN b int SUM", {"k", "d", "s", "r", "a", "b"}),
        ("ADD COLUMN a int SUM", "ADD COLUMN a int SUM", {"k", "d", "s", "r", "a"}),
        ("RENAME COLUMN s TO t", "MODIFY COLUMN s bigint SUM", {"k", "d", "t", "r"}),
        ("DROP COLUMN s", "ADD COLUMN b int SUM AFTER s", {"k", "d", "r", "b"}),
        ("DROP COLUMN s", "DROP COLUMN s", {"k", "d", "r"}),
        ("ORDER BY (d, k, r, s)", "ADD COLUMN b int SUM", {"k", "d", "s", "r", "b"}),
    ],
)
def test_changes_that_go_together(ours: str, theirs: str, expected: set[str]) -> None:
    assert set(names(merged(AGGREGATE, ours, theirs))) == expected


def test_a_reordering_is_kept() -> None:
    table = merged(AGGREGATE, "ADD COLUMN b int SUM AFTER s", "ORDER BY (d, k, r, s)")
    assert names(table) == ["d", "k", "r", "s", "b"]


@pytest.mark.parametrize(
    "start, ours, theirs, expected",
    [
        (AGGREGATE, "RENAME COLUMN s TO a", "RENAME COLUMN s TO b", "column s (name)"),
        (AGGREGATE, "ADD COLUMN a int SUM", "ADD COLUMN a bigint SUM", "column a"),
        (AGGREGATE, "ADD COLUMN a int SUM", "ADD COLUMN a int MAX", "column a"),
        (AGGREGATE, "DROP COLUMN s", "MODIFY COLUMN s bigint SUM", "column s"),
        (AGGREGATE, "ORDER BY (d,k,s,r)", "ORDER BY (k,d,r,s)", "column order"),
        (AGGREGATE, "RENAME COLUMN s TO x", "RENAME COLUMN r TO X", "column X"),
        (UNIQUE, "MODIFY COLUMN w varchar(6)", "MODIFY COLUMN w varchar(7)", "column w (type)"),
        (AGGREGATE, "MODIFY COMMENT 'a'", "MODIFY COMMENT 'b'", "comment"),
        (
            UNIQUE,
            "SET ('replication_num'='1')",
            "SET ('replication_num'='2')",
            "property replication_num",
        ),
        (
            PARTITIONED,
            "ADD PARTITION a VALUES LESS THAN (5)",
            "ADD PARTITION b VALUES LESS THAN (7)",
            "partition a",
        ),
        (
            PARTITIONED,
            "ADD PARTITION a VALUES [(1), (2))",
            "ADD PARTITION a VALUES [(3), (4))",
            "partition a",
        ),
    ],
)
def test_changes_that_conflict(start: str, ours: str, theirs: str, expected: str) -> None:
    assert any(found.startswith(expected) for found in conflicts(start, ours, theirs))


def test_equal_partitions_are_one_and_others_lie_side_by_side() -> None:
    table = merged(
        PARTITIONED,
        "ADD PARTITION a VALUES [(0), (5)), ADD PARTITION c VALUES [(9), (10))",
        "ADD PARTITION a VALUES [(0), (5)), ADD PARTITION b VALUES [(5), (9))",
    )
    assert table.partitioning is not None
    assert [found.name for found in table.partitioning.partitions] == ["p0", "a", "b", "c"]


def test_a_partition_dropped_on_one_side_goes() -> None:
    table = merged(PARTITIONED, "DROP PARTITION p0", "ADD PARTITION a VALUES [(0), (5))")
    assert table.partitioning is not None
    assert [found.name for found in table.partitioning.partitions] == ["a"]
    assert len(table.partitioning.dropped) == 1


def test_a_table_made_on_both_sides_is_a_conflict() -> None:
    ours, theirs = table_of(AGGREGATE), table_of(UNIQUE)
    assert [found.what for found in merge_schemas(None, ours, theirs).conflicts] == ["table"]
    assert merge_schemas(None, ours, ours).conflicts == ()
