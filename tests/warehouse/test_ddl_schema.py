"""CREATE TABLE to a schema and back, by Doris's rules and in its words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.schema import (
    COLUMN_ID_MIN,
    SEQUENCE_ID,
    UNPARTITIONED,
    KeyModel,
    Table,
    decode_table,
    encode_table,
    parse_database_name,
)
from anabranch.warehouse.schemas.creation import create_table
from anabranch.warehouse.schemas.text import create_table_text
from anabranch.warehouse.sql.parser import parse
from anabranch.warehouse.sql.statements import CreateTable

TABLE_ID = "0123456789abcdef0123456789abcdef"
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


def table_of(text: str) -> Table:
    (statement,) = parse(text)
    assert isinstance(statement, CreateTable)
    return create_table(statement, TABLE_ID)


def refusal(text: str) -> str:
    with pytest.raises(SqlError) as raised:
        table_of(text)
    return raised.value.message


def hll_load_table(key: str, partitions: str = "") -> str:
    """Return the statement of a table that has `key` first, and a sketch of each column."""
    columns = [f'{key} {VALUES[key]} COMMENT ""']
    columns += [
        f'{name} {kind} replace NULL COMMENT ""' for name, kind in VALUES.items() if name != key
    ]
    columns += ['k8 double max NULL COMMENT ""', 'k9 float sum NULL COMMENT ""']
    columns += [f'{name}_hll hll hll_union COMMENT ""' for name in [*VALUES, "k8", "k9"]]
    return (
        f"CREATE TABLE t ({', '.join(columns)}) ENGINE=OLAP {partitions} "
        f'DISTRIBUTED BY HASH({key}) BUCKETS 5 PROPERTIES ("storage_type" = "COLUMN");'
    )


@pytest.mark.parametrize("key", VALUES)
def test_a_table_without_a_key_clause_is_aggregate(key: str) -> None:
    table = table_of(hll_load_table(key))
    assert table.key_model is KeyModel.AGGREGATE
    assert [column.name for column in table.keys] == [key]
    assert len(table.columns) == 22
    sketch = table.find("K1_HLL")
    assert sketch is not None
    assert not sketch.is_nullable
    assert table.properties == ()


def test_partitions_below_bare_maxvalue() -> None:
    table = table_of(
        hll_load_table(
            "k1",
            'PARTITION BY RANGE(k1) (PARTITION p1 VALUES LESS THAN ("-100"),'
            ' PARTITION p2 VALUES LESS THAN ("0"), PARTITION p3 VALUES LESS THAN ("100"),'
            " PARTITION p4 VALUES LESS THAN MAXVALUE)",
        )
    )
    assert table.partitioning is not None
    bounds = [(found.bounds.lower, found.bounds.upper) for found in table.partitioning.partitions]
    assert bounds == [
        ((None,), ("-100",)),
        (("-100",), ("0",)),
        (("0",), ("100",)),
        (("100",), (None,)),
    ]
    ids = {found.id for found in table.partitioning.partitions}
    assert len(ids) == 4
    assert UNPARTITIONED not in ids


@pytest.mark.parametrize(
    "columns, keys",
    [
        ("a int, b int, c int, d int", ["a", "b", "c"]),
        ("a varchar(10), b int", ["a"]),
        ("a int, b double, c int", ["a"]),
        ("a int, b string", ["a"]),
        ("a char(40), b int", ["a", "b"]),
        ("a bigint, b largeint, c largeint", ["a", "b"]),
    ],
)
def test_a_table_without_anything_is_duplicate(columns: str, keys: list[str]) -> None:
    table = table_of(f"CREATE TABLE t ({columns}) DISTRIBUTED BY HASH(a) BUCKETS 1")
    assert table.key_model is KeyModel.DUPLICATE
    assert [column.name for column in table.keys] == keys


@pytest.mark.parametrize(
    "text, message",
    [
        ("(k int, v hll) AGGREGATE KEY(k)", "complex type have to use aggregate function: v"),
        (
            "(k int, v int) AGGREGATE KEY(k)",
            "should set aggregation type to non-key column in aggregate key table",
        ),
        ("(k int, v hll sum)", "Aggregate type SUM is not compatible with primitive type hll"),
        ("(k hll, v int) DUPLICATE KEY(k)", "Key column can not set complex type:k"),
        ("(k double, v int) DUPLICATE KEY(k)", "Float or double can not used as a key"),
        ("(k string, v int) UNIQUE KEY(k)", "String Type should not be used in key column[k]"),
        (
            "(k int, v hll hll_union NULL)",
            "complex type column must be not nullable, column:v",
        ),
        (
            '(k int, v hll hll_union DEFAULT "a")',
            "Hll type column can not set default value",
        ),
        ("(k int, v int sum) DUPLICATE KEY(k)", "DUP_KEYS table should not specify aggregate"),
        ("(a int, k int) DUPLICATE KEY(k)", "Key columns should be a ordered prefix of the schema"),
        ("(k int) DUPLICATE KEY(x)", "Key column[x] doesn't exist."),
        ("(k int, K int)", "Duplicate column name 'K'"),
        (
            "(k int, v int replace_if_not_null not null)",
            "REPLACE_IF_NOT_NULL column must be nullable",
        ),
        ('(k int) PROPERTIES ("nope" = "1")', "Unknown properties: {nope=1}"),
        ("(k int) DISTRIBUTED BY HASH(x) BUCKETS 1", "Distribution column(x) doesn't exist."),
        (
            "(k int, v int) UNIQUE KEY(k) DISTRIBUTED BY HASH(v)",
            "Distribution column[v] is not key column",
        ),
        ("(k int) UNIQUE KEY(k) DISTRIBUTED BY RANDOM", "should not contain random distribution"),
        ("(k int, v int sum) PARTITION BY RANGE(v) ()", "could not be aggregated column"),
        ("(k varchar(3)) PARTITION BY RANGE(k) ()", "cannot be a range partition key"),
        (
            "(k int)PARTITION BY RANGE(k)(PARTITION a VALUES[(1),(5)),PARTITION b VALUES[(3),(6)))",
            "is intersected with range",
        ),
        (
            "(k int) PARTITION BY LIST(k) (PARTITION a VALUES IN (5), PARTITION A VALUES IN (7))",
            "Duplicate partition name A",
        ),
        ('(k tinyint DEFAULT "300")', "Number out of range[300]"),
        ("(k int NOT NULL DEFAULT NULL)", "Can not set null default value"),
        ("(k int DEFAULT CURRENT_TIMESTAMP)", "cannot use current_timestamp"),
        ("(k variant)", "doesn't yet support"),
        ("(`__DORIS_X` int)", "Incorrect column name '__DORIS_X'"),
        ("(k double, v int)", "first column could not be float, double, string"),
    ],
)
def test_refusals_are_in_doriss_words(text: str, message: str) -> None:
    assert message in refusal(f"CREATE TABLE t {text}")


def test_a_schema_is_read_back() -> None:
    table = table_of(
        "CREATE TABLE t (k int, d date, s varchar(5) REPLACE DEFAULT 'é', "
        "ts datetime(3) REPLACE DEFAULT CURRENT_TIMESTAMP(3), a array<int> replace, "
        "b bitmap bitmap_union) AGGREGATE KEY(k, d) COMMENT 'ü' "
        "PARTITION BY LIST(d) (PARTITION p VALUES IN ('2020-1-2', '20200101', NULL)"
        " ('in_memory'='true')) DISTRIBUTED BY HASH(k) BUCKETS AUTO"
        " PROPERTIES ('replication_num'='1', 'compression'='LZ4')"
    )
    data = encode_table(table)
    assert decode_table(data) == table
    assert json.loads(data)["partitioning"]["partitions"][0]["values"] == [
        [None],
        ["2020-01-01"],
        ["2020-01-02"],
    ]
    assert table_of(create_table_text("t", table)) == table


@pytest.mark.parametrize("change", [b'"format":2', b'"key_model":"X"', b'"columns":null'])
def test_a_damaged_schema_is_refused(change: bytes) -> None:
    data = encode_table(table_of("CREATE TABLE t (k int)"))
    name = change.partition(b":")[0]
    old = {b'"format"': b'"format":1', b'"key_model"': b'"key_model":"DUPLICATE"'}.get(name)
    damaged = data.replace(old, change) if old else b"{" + change + b"}"
    with pytest.raises(Corrupted):
        decode_table(damaged)


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_are_corrupted(data: bytes) -> None:
    with pytest.raises(Corrupted):
        decode_table(data)


def test_column_ids_come_from_what_was_added() -> None:
    first = table_of("CREATE TABLE t (k int, v int)")
    assert first == table_of("CREATE TABLE t (k int, v int)")
    other = table_of("CREATE TABLE t (k int, v bigint)")
    assert first.columns[0].id == other.columns[0].id
    assert first.columns[1].id != other.columns[1].id
    assert all(COLUMN_ID_MIN <= column.id < 2**31 for column in first.columns)
    # Fixed for the format: a table's files are found by these.
    assert [column.id for column in first.columns] == [1300068758, 1437115136]


def test_the_sequence_column_of_a_unique_table() -> None:
    hidden = table_of(
        "CREATE TABLE t (k int, v int) UNIQUE KEY(k)"
        ' PROPERTIES ("function_column.sequence_type"="int")'
    )
    assert hidden.sequence_column == SEQUENCE_ID
    mapped = table_of(
        "CREATE TABLE t (k int, V int) UNIQUE KEY(k)"
        ' PROPERTIES ("function_column.sequence_col"="v")'
    )
    assert mapped.sequence_column == mapped.columns[1].id
    assert "only support UNIQUE_KEYS" in refusal(
        'CREATE TABLE t (k int, v int) PROPERTIES ("function_column.sequence_col"="v")'
    )


def test_intervals_make_partitions() -> None:
    table = table_of(
        "CREATE TABLE t (d date) PARTITION BY RANGE(d) "
        "(FROM ('2020-01-31') TO ('2020-05-01') INTERVAL 1 MONTH)"
    )
    assert table.partitioning is not None
    assert [(p.name, p.bounds.upper[0]) for p in table.partitioning.partitions] == [
        ("p_20200131", "2020-02-29"),
        ("p_20200229", "2020-03-31"),
        ("p_20200331", "2020-04-30"),
        ("p_20200430", "2020-05-01"),
    ]


def test_partitions_at_their_limit() -> None:
    text = "CREATE TABLE t (k int) PARTITION BY RANGE(k) (FROM (0) TO ({}) INTERVAL 1)"
    partitioning = table_of(text.format(limits.PARTITIONS_MAX)).partitioning
    assert partitioning is not None
    assert len(partitioning.partitions) == limits.PARTITIONS_MAX
    assert "at most 4096 partitions" in refusal(text.format(limits.PARTITIONS_MAX + 1))


def test_columns_at_their_limit() -> None:
    columns = [f"c{i} int" for i in range(limits.COLUMNS_MAX)]
    assert len(table_of(f"CREATE TABLE t ({', '.join(columns)})").columns) == limits.COLUMNS_MAX
    assert "at most 4096 columns" in refusal(f"CREATE TABLE t ({', '.join([*columns, 'x int'])})")


@pytest.mark.parametrize("name", ["1a", "", "a b", "a" * 65, "_x", "é"])
def test_names_that_are_no_database(name: str) -> None:
    with pytest.raises(SqlError) as raised:
        parse_database_name(name)
    assert raised.value.code == 1102


def test_the_longest_name() -> None:
    assert parse_database_name("a" * 64)


def test_a_comment_at_its_limit() -> None:
    longest = "x" * limits.COMMENT_LENGTH_MAX
    assert table_of(f"CREATE TABLE t (k int) COMMENT '{longest}'").comment == longest
    assert "a comment is at most" in refusal(
        f"CREATE TABLE t (k int) COMMENT '{'x' * (limits.COMMENT_LENGTH_MAX + 1)}'"
    )


kinds = st.sampled_from(
    ["tinyint", "int", "largeint", "decimal(9,3)", "date", "datetime(6)", "char(3)", "varchar(51)"]
)
aggregates = st.sampled_from(["REPLACE", "REPLACE_IF_NOT_NULL", "MIN", "MAX"])


@given(st.lists(kinds, min_size=1, max_size=4), st.lists(st.tuples(kinds, aggregates), max_size=4))
def test_show_create_table_makes_the_same_table(
    keys: list[str], values: list[tuple[str, str]]
) -> None:
    columns = [f"k{i} {kind} COMMENT 'a''\\\\b'" for i, kind in enumerate(keys)]
    columns += [f"`v {i}` {kind} {how}" for i, (kind, how) in enumerate(values)]
    table = table_of(f"CREATE TABLE t ({', '.join(columns)})")
    assert table_of(create_table_text("t", table)) == table
    assert decode_table(encode_table(table)) == table
