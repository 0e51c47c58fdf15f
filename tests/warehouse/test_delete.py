"""DELETE by key model, and that a kept condition means the same in every session."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.predicates import bound_predicate
from anabranch.warehouse.rowsets.footers import open_rowset
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.sql.transforms.conditions import Names, fixed_condition
from anabranch.warehouse.sql.transforms.scopes import ScopeColumn
from anabranch.warehouse.types import parse_type
from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES('replication_num' = '1')"
ROWS = "VALUES (1, 'a', 10), (2, 'b', 20), (11, 'c', 30), (12, NULL, 40)"


@pytest.fixture(scope="module")
def module_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("delete")) as made:
        parts = (
            "PARTITION BY RANGE(k) (PARTITION p1 VALUES LESS THAN ('10'), "
            "PARTITION p2 VALUES LESS THAN ('20'))"
        )
        columns = "k int, v varchar(5), n int"
        made.do(f"CREATE TABLE d ({columns}) DUPLICATE KEY(k) {parts} {TAIL}")
        made.do(f"CREATE TABLE u ({columns}) UNIQUE KEY(k) {parts} {TAIL}")
        made.do(
            f"CREATE TABLE a (k int, v varchar(5) MAX, n int SUM) AGGREGATE KEY(k) {parts} {TAIL}"
        )
        yield made


@pytest.fixture
def client(module_client: Client) -> Client:
    for name in "dua":
        module_client.do(f"TRUNCATE TABLE {name}")
        module_client.do(f"INSERT INTO {name} {ROWS}")
    return module_client


def keys(client: Client, table: str) -> list[Any]:
    return [key for (key,) in client.rows(f"SELECT k FROM {table} ORDER BY k")]


@pytest.mark.parametrize("table", ["d", "u", "a"])
def test_rows_found_by_key_are_gone(client: Client, table: str) -> None:
    done = client.do(f"DELETE FROM {table} WHERE k IN (1, 12, 99)")
    assert done.affected_rows == 2
    assert done.info.startswith("{'label':'delete_")
    assert keys(client, table) == [2, 11]
    client.do(f"INSERT INTO {table} VALUES (1, 'z', 5)")
    assert client.rows(f"SELECT v, n FROM {table} WHERE k = 1") == [("z", 5)]


def test_a_regular_expression_is_kept(client: Client) -> None:
    assert client.do("DELETE FROM d WHERE v REGEXP '^[ab]$' AND NOT v RLIKE 'b'").affected_rows == 1
    assert keys(client, "d") == [2, 11, 12]


@pytest.mark.parametrize("table", ["d", "u"])
def test_any_column_may_be_asked(client: Client, table: str) -> None:
    client.do(f"DELETE FROM {table} WHERE v IS NULL OR n + 5 > 34")
    assert keys(client, table) == [1, 2]
    client.do(f"DELETE FROM {table} AS t WHERE t.v LIKE 'a%'")
    assert keys(client, table) == [2]


@pytest.mark.parametrize("table", ["d", "u", "a"])
def test_only_the_partitions_named_are_touched(client: Client, table: str) -> None:
    assert client.do(f"DELETE FROM {table} PARTITION p2 WHERE k > 1").affected_rows == 2
    assert keys(client, table) == [1, 2]
    assert client.refused(f"DELETE FROM {table} PARTITION p9 WHERE k = 1").code == 1735


@pytest.mark.parametrize("table", ["d", "u", "a"])
def test_without_a_condition_every_row_goes(client: Client, table: str) -> None:
    assert client.do(f"DELETE FROM {table}").affected_rows == 4
    assert keys(client, table) == []


@pytest.mark.parametrize("table", ["d", "u", "a"])
def test_a_delete_that_finds_nothing_writes_nothing(client: Client, table: str) -> None:
    before = client.catalog.sequences(table)
    assert client.do(f"DELETE FROM {table} WHERE k = 77").affected_rows == 0
    assert client.catalog.sequences(table) == before


def test_using_joins_other_tables(client: Client) -> None:
    client.do("DELETE FROM u USING d WHERE u.k = d.k AND d.n > 25")
    assert keys(client, "u") == [1, 2]
    client.do("DELETE FROM u WHERE k = (SELECT min(k) FROM d)")
    assert keys(client, "u") == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DELETE FROM a WHERE n = 10", "delete predicate on value column only"),
        ("DELETE FROM d USING u WHERE d.k = u.k", "only supports unique key model"),
        ("DELETE FROM d WHERE k IN (SELECT k FROM u)", "a sub-query in this place"),
        ("DELETE FROM d WHERE k = (SELECT 1)", "a sub-query in this place"),
        ("DELETE FROM d WHERE rand() > 0.5", "rand() in the condition of DELETE"),
        ("DELETE FROM d WHERE from_unixtime(k) > '2020'", "depends on the session"),
        ("DELETE FROM d WHERE z = 1", "Unknown column 'z'"),
        ("DELETE FROM d WHERE count(k) > 1", "Invalid use of group function"),
        ("DELETE FROM none WHERE k = 1", "Table 'db.none' doesn't exist"),
    ],
)  # fmt: skip
def test_what_cannot_be_deleted_is_refused(client: Client, text: str, message: str) -> None:
    assert message in client.refused(text).message
    assert keys(client, "d") == [1, 2, 11, 12]


def test_a_delete_reaches_only_what_it_saw(client: Client) -> None:
    client.do("DELETE FROM d WHERE n >= 10")
    client.do(f"INSERT INTO d {ROWS}")
    assert keys(client, "d") == [1, 2, 11, 12]
    client.do("ALTER TABLE d RENAME COLUMN n TO m")
    assert keys(client, "d") == [1, 2, 11, 12]
    client.do("ALTER TABLE d RENAME COLUMN m TO n")


def test_the_condition_is_kept_with_its_constants(client: Client) -> None:
    client.do("DELETE FROM d WHERE v = 'it''s' OR k < 5 AND now() > '2000-01-01 00:00:00'")
    snapshot = client.catalog.read("d")
    files = client.catalog.snapshots.paths(snapshot.rowsets[-1:])
    footer = open_rowset(snapshot.rowsets[-1].path, files[0]).footer
    ids = {column.name: column.id for column in snapshot.schema.columns}
    assert footer.predicate is not None
    assert footer.predicate.startswith(
        f"(`c{ids['v']}` = 'it''s' OR `c{ids['k']}` < 5 AND CAST('20"
    )


COLUMNS = [
    ScopeColumn(name, f"c{number}", parse_type(kind))
    for number, (name, kind) in enumerate(
        [("k", "INT"), ("d", "DATETIME"), ("name", "VARCHAR(20)"), ("x y", "DECIMAL(9,2)")], 17
    )
]
CONTEXT = Context(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "Asia/Shanghai", database="db")


def fixed(text: str) -> str:
    written = {column.name.lower(): column.sql for column in COLUMNS}
    answers = {"now": "2026-01-02 11:04:05", "db": "db"}

    def evaluate(sql: str) -> str | None:
        return answers["now" if "TIMESTAMP" in sql else "db"]

    return fixed_condition(text, Names(COLUMNS, "t"), written, CONTEXT, evaluate)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("t.K = 1", "(`c17` = 1)"),
        ("d < now() - interval 3 day",
         "(`c18` < CAST('2026-01-02 11:04:05' AS DATETIME) - INTERVAL 3 DAY)"),
        ("name = database()", "(`c19` = 'db')"),
        ("name LIKE 'a\\\\_%'", "(`c19` LIKE 'a\\\\_%')"),
        ("name = '990000000'", "(`c19` = '990000000')"),
        ("timestampdiff(day, d, '2020-01-01') > 3",
         "(TIMESTAMPDIFF(`day`, `c18`, '2020-01-01') > 3)"),
    ],
)  # fmt: skip
def test_conditions_are_written_as_doris_sql(text: str, kept: str) -> None:
    assert fixed(text) == kept


@pytest.mark.parametrize("text", ["k = 1) OR (k = 2", "k = 1, 2", "k = 1 AS x", "k = 1 FROM t", ""])
def test_a_condition_is_one_expression(text: str) -> None:
    with pytest.raises(SqlError):
        fixed(text)


@pytest.mark.parametrize(
    "text", ["read_text('/etc/hostname') = ''", "(SELECT 1) = 1", "nothing = 1", "1; DROP TABLE t"]
)
def test_a_condition_in_a_file_goes_through_the_allow_list(client: Client, text: str) -> None:
    with pytest.raises(SqlError):
        bound_predicate(text, client.catalog.read("d").schema)
