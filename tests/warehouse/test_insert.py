"""INSERT: what is written, what is refused and in which words, what the client is told."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.session import LastInsert
from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES('replication_num' = '1'"


@pytest.fixture(scope="module")
def module_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("insert")) as made:
        made.do(
            "CREATE TABLE plain (k int NOT NULL, v varchar(5), d decimal(6,2) DEFAULT '1.5', "
            f"t datetime DEFAULT CURRENT_TIMESTAMP) DUPLICATE KEY(k) {TAIL})"
        )
        made.do(
            "CREATE TABLE parts (k int, v varchar(5)) DUPLICATE KEY(k) PARTITION BY RANGE(k) "
            "(PARTITION p1 VALUES LESS THAN ('10'), PARTITION p2 VALUES LESS THAN ('20')) "
            f"{TAIL})"
        )
        made.do(
            "CREATE TABLE totals (k int, s bigint SUM DEFAULT '0', h hll HLL_UNION, "
            f"b bitmap BITMAP_UNION) AGGREGATE KEY(k) {TAIL})"
        )
        yield made


@pytest.fixture
def client(module_client: Client) -> Client:
    for name in ("plain", "parts", "totals"):
        module_client.do(f"TRUNCATE TABLE {name}")
    return module_client


def test_literals_expressions_and_defaults(client: Client) -> None:
    client.do("INSERT INTO plain (k, v) VALUES (1, 'a'), (2, NULL)")
    client.do("INSERT INTO plain (v, k, d) VALUES (concat('x', 'y'), 1 + 2, DEFAULT)")
    client.do("INSERT INTO plain VALUES (-4, DEFAULT, '2.25', '2024-01-02 03:04:05')")
    rows = client.rows("SELECT k, v, d FROM plain ORDER BY k")
    assert rows == [
        (-4, None, Decimal("2.25")),
        (1, "a", Decimal("1.50")),
        (2, None, Decimal("1.50")),
        (3, "xy", Decimal("1.50")),
    ]
    assert client.rows("SELECT count(*) FROM plain WHERE t IS NULL") == [(0,)]


def test_rows_of_a_query(client: Client) -> None:
    client.do("INSERT INTO plain (k, v) SELECT 1, 'a' UNION ALL SELECT 2, 'b'")
    done = client.do("INSERT INTO plain (k, v) SELECT k + 10, v FROM plain WHERE k > 1")
    assert done.affected_rows == 1
    assert client.rows("SELECT k, v FROM plain ORDER BY k") == [(1, "a"), (2, "b"), (12, "b")]
    assert client.do("INSERT INTO plain (k) SELECT k FROM plain WHERE false").affected_rows == 0


def test_rows_are_folded_by_their_keys(client: Client) -> None:
    client.do("INSERT INTO totals (k, s) VALUES (1, 2), (1, 3), (2, 4)")
    client.do("INSERT INTO totals VALUES (1, 5, hll_hash('a'), to_bitmap(7))")
    client.do("INSERT INTO totals SELECT 1, 0, hll_hash('b'), to_bitmap(8)")
    text = "SELECT k, s, hll_cardinality(h), bitmap_count(b) FROM totals ORDER BY k"
    assert client.rows(text) == [(1, 10, 2, 2), (2, 4, 0, 0)]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("INSERT INTO plain VALUES (1, 'a')", 1136, "doesn't match value count at row 1"),
        ("INSERT INTO plain (k, v) VALUES (1, 'a'), (2)", 1136, "at row 2"),
        ("INSERT INTO plain (k) SELECT 1, 2", 1105, "should be corresponding to the query output"),
        ("INSERT INTO plain (k, z) VALUES (1, 2)", 1054, "Unknown column 'z' in 'plain'"),
        ("INSERT INTO plain (k, K) VALUES (1, 2)", 1110, "Column 'K' specified twice"),
        ("INSERT INTO plain (v) VALUES ('a')", 1105, "Column has no default value, column=k"),
        ("INSERT INTO none VALUES (1)", 1146, "Table 'db.none' doesn't exist"),
        ("INSERT INTO plain (k) VALUES (NULL)", 1105, "column(k) values is null"),
        ("INSERT INTO plain (k) VALUES ('x')", 1105, "value is incorrect while strict mode"),
        ("INSERT INTO plain (k, v) VALUES (1, 'abcdef')", 1105, "length of input is too long"),
        ("INSERT INTO plain (k, d) VALUES (1, 123456)", 1105, "decimal value is not valid"),
        ("INSERT INTO plain (k) VALUES (12345678901)", 1105, "value is incorrect"),
        ("INSERT INTO parts (k) VALUES (20)", 1105, "no partition for this tuple"),
        ("INSERT INTO parts PARTITION(p1) (k) VALUES (10)", 1105, "no partition for this tuple"),
        ("INSERT INTO parts PARTITION(p9) (k) VALUES (1)", 1735, "Unknown partition 'p9'"),
        ("INSERT INTO totals (k, h) VALUES (1, 'a')", 1105, "to target type=HLL"),
        ("INSERT INTO totals (k, b) VALUES (1, 5)", 1105, "to target type=BITMAP"),
        ("INSERT INTO totals (k, h) SELECT 1, v FROM plain", 1105, "to target type=HLL"),
        ("INSERT INTO plain (k) VALUES (no_such(1))", 1105, "Can not found function 'no_such'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_known_words(
    client: Client, text: str, code: int, message: str
) -> None:
    error = client.refused(text)
    assert error.code == code
    assert message in error.message
    assert client.rows("SELECT count(*) FROM plain") == [(0,)]


def test_strict_is_a_variable(client: Client) -> None:
    text = "INSERT INTO plain (k, v, d) VALUES (1, 'abcdef', 1), (NULL, 'a', 1), (3, 'b', 'x')"
    assert "Insert has filtered data in strict mode" in client.refused(text).message
    client.do("SET enable_insert_strict = false")
    try:
        done = client.do(text)
        assert (done.affected_rows, done.warnings) == (1, 1)
        assert "'err':" in done.info
        assert client.rows("SELECT k, v, d FROM plain") == [(3, "b", None)]
    finally:
        client.do("SET enable_insert_strict = true")


def test_the_client_is_told_label_status_and_number(client: Client) -> None:
    first, second = (client.do(f"INSERT INTO plain (k) VALUES ({at})") for at in (1, 2))
    assert first.info != second.info
    assert first.info.startswith("{'label':'label_")
    assert "'status':'VISIBLE', 'txnId':'" in first.info
    last = client.session.last_insert
    assert isinstance(last, LastInsert)
    assert (last.table, last.loaded_rows, last.status) == ("plain", 1, "VISIBLE")


def test_a_label_is_used_once(client: Client) -> None:
    text = "INSERT INTO plain WITH LABEL once (k) VALUES (1)"
    done = client.do(text)
    assert done.info.startswith("{'label':'once', 'status':'VISIBLE'")
    assert "Label [once] has already been used" in client.refused(text).message
    assert client.rows("SELECT count(*) FROM plain") == [(1,)]
    refused = client.refused("INSERT INTO plain WITH LABEL free (k) VALUES (NULL)")
    assert "null" in refused.message
    client.do("INSERT INTO plain WITH LABEL free (k) VALUES (1)")


def test_rows_go_to_their_partitions(client: Client) -> None:
    client.do("INSERT INTO parts VALUES (15, 'a'), (5, 'b'), (NULL, 'c')")
    client.do("INSERT INTO parts PARTITION(p2) SELECT 10 + 1, concat('d', '')")
    rowsets = client.catalog.read("parts").rowsets
    table = client.catalog.tables.get(client.catalog.table("parts")).schema
    ids = {name: found.id for name in ("p1", "p2") if (found := table.find_partition(name))}
    assert sorted(each.partition for each in rowsets) == sorted([ids["p1"], ids["p2"], ids["p2"]])
    rows = client.rows("SELECT k, v FROM parts ORDER BY k")
    assert rows == [(None, "c"), (5, "b"), (11, "d"), (15, "a")]


@pytest.mark.parametrize("count", [1, 2, limits.PLAIN_ROWS_MAX, limits.PLAIN_ROWS_MAX + 1])
def test_few_rows_and_many_are_written_alike(client: Client, count: int) -> None:
    rows = ", ".join(f"({at % 10}, 'v{at % 7}')" for at in range(count))
    assert client.do(f"INSERT INTO parts VALUES {rows}").affected_rows == count
    wanted = sorted((at % 10, f"v{at % 7}") for at in range(count))
    assert sorted(client.rows("SELECT k, v FROM parts")) == wanted


def test_rows_of_different_types_keep_their_values(client: Client) -> None:
    client.do("INSERT INTO plain (k, d) VALUES (1, 0.1 + 0), (2, '0.25'), (3, 1e1), (4, NULL)")
    found = client.rows("SELECT k, d FROM plain ORDER BY k")
    assert found == [(1, Decimal("0.10")), (2, Decimal("0.25")), (3, Decimal(10)), (4, None)]


def test_a_sequence_column_decides(tmp_path: Path) -> None:
    with open_client(tmp_path) as client:
        client.do(
            f"CREATE TABLE q (k int, v int) UNIQUE KEY(k) {TAIL}, "
            "'function_column.sequence_type' = 'int')"
        )
        refused = client.refused("INSERT INTO q VALUES (1, 1)")
        assert "need to specify the sequence column" in refused.message
        into = "INSERT INTO q (k, v, __DORIS_SEQUENCE_COL__) VALUES"
        client.do(f"{into} (1, 10, 5), (1, 11, 4)")
        client.do(f"{into} (1, 12, 3)")
        assert client.rows("SELECT * FROM q") == [(1, 10)]
        client.do("UPDATE q SET v = v + 1")
        client.do(f"{into} (1, 99, 4)")
        assert client.rows("SELECT * FROM q") == [(1, 11)]
        client.do("DELETE FROM q WHERE k = 1")
        client.do(f"{into} (1, 13, 4)")
        assert client.rows("SELECT * FROM q") == []
        client.do(f"{into} (1, 14, 5)")
        assert client.rows("SELECT * FROM q") == [(1, 14)]
        client.do(
            "INSERT INTO q (k, __DORIS_SEQUENCE_COL__, __DORIS_DELETE_SIGN__) VALUES (1, 6, 1)"
        )
        assert client.rows("SELECT * FROM q") == []


def test_another_branch_is_written_by_name(client: Client) -> None:
    client.catalog.on.commit()
    client.catalog.on.branch("dev")
    done: Any = client.do("INSERT INTO `db@dev`.plain (k) VALUES (1)")
    assert done.affected_rows == 1
    assert client.rows("SELECT count(*) FROM plain") == [(0,)]
    assert client.rows("SELECT count(*) FROM `db@dev`.plain") == [(1,)]
