"""UPDATE: of UNIQUE tables alone, assigned columns alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from anabranch.warehouse.errors import SqlError
from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES('replication_num' = '1')"


@pytest.fixture(scope="module")
def module_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("update")) as made:
        columns = "k int, v varchar(5) NOT NULL DEFAULT 'new', n bigint"
        made.do(f"CREATE TABLE u ({columns}) UNIQUE KEY(k) {TAIL}")
        made.do(f"CREATE TABLE d ({columns}) DUPLICATE KEY(k) {TAIL}")
        yield made


@pytest.fixture
def client(module_client: Client) -> Client:
    for name in "ud":
        module_client.do(f"TRUNCATE TABLE {name}")
        module_client.do(f"INSERT INTO {name} VALUES (1, 'a', 10), (2, 'b', NULL), (3, 'c', 30)")
    return module_client


def rows(client: Client) -> list[tuple[Any, ...]]:
    return client.rows("SELECT * FROM u ORDER BY k")


def test_assigned_columns_change_and_others_stay(client: Client) -> None:
    done = client.do("UPDATE u SET n = n + k WHERE k >= 2")
    assert done.affected_rows == 2
    assert done.info.startswith("{'label':'update_")
    assert rows(client) == [(1, "a", 10), (2, "b", None), (3, "c", 33)]
    client.do("UPDATE u AS t SET t.v = upper(t.v), n = DEFAULT")
    assert rows(client) == [(1, "A", None), (2, "B", None), (3, "C", None)]
    client.do("UPDATE u SET v = DEFAULT WHERE k = 1")
    assert rows(client)[0] == (1, "new", None)


def test_the_rowset_writes_keys_and_assigned_columns(client: Client) -> None:
    client.do("UPDATE u SET n = 1 WHERE k = 1")
    snapshot = client.catalog.read("u")
    ids = {column.name: column.id for column in snapshot.schema.columns}
    header = snapshot.rowsets[-1].header
    assert header is not None
    assert header.written == tuple(sorted([ids["k"], ids["n"]]))
    assert header.known == snapshot.schema.column_ids


def test_values_come_from_other_tables(client: Client) -> None:
    client.do("UPDATE u SET n = d.n * 2 FROM d WHERE u.k = d.k AND d.n > 10")
    client.do("UPDATE u SET n = (SELECT max(n) FROM d) WHERE k = 1")
    assert rows(client) == [(1, "a", 30), (2, "b", None), (3, "c", 60)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("UPDATE d SET n = 1", "Only unique table could be updated."),
        ("UPDATE u SET k = 1", "Only value columns of unique table could be updated"),
        ("UPDATE u SET z = 1", "Unknown column 'z' in 'u'"),
        ("UPDATE u SET n = 1, N = 2", "Duplicate column name in update"),
        ("UPDATE u SET v = NULL", "column(v) values is null"),
        ("UPDATE u SET v = 'abcdef'", "length of input is too long"),
        ("UPDATE u SET n = 'x'", "value is incorrect while strict mode"),
        ("UPDATE none SET n = 1", "Table 'db.none' doesn't exist"),
        ("UPDATE u SET n = 1 WHERE z = 1", "Unknown column 'z'"),
    ],
)
def test_what_cannot_be_updated_is_refused(client: Client, text: str, message: str) -> None:
    assert message in client.refused(text).message
    assert rows(client) == [(1, "a", 10), (2, "b", None), (3, "c", 30)]


def test_an_update_that_finds_nothing_writes_nothing(client: Client) -> None:
    before = client.catalog.sequences("u")
    assert client.do("UPDATE u SET n = 1 WHERE k = 9").affected_rows == 0
    assert client.catalog.sequences("u") == before


def test_no_increment_is_lost(client: Client) -> None:
    """Statements that meet run again; one that meets others ten times says so."""

    def increments(other: Client) -> int:
        done = 0
        for _ in range(6):
            try:
                done += other.do("UPDATE u SET n = n + 1 WHERE k = 1").affected_rows
            except SqlError as error:
                if "transaction conflict" not in error.message:
                    raise
        return done

    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(increments, [client.another() for _ in range(3)]))
    assert sum(counts) >= 10
    assert rows(client)[0] == (1, "a", 10 + sum(counts))
