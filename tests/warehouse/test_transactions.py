"""BEGIN, COMMIT, ROLLBACK: all statements become visible at once, or none."""

from collections.abc import Iterator
from typing import Any

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.changes.transactions import Transaction
from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES('replication_num' = '1')"
ONLY = "This is in a transaction, only insert, update, delete, commit, rollback is acceptable."


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("transactions")) as made:
        made.do(f"CREATE TABLE u (k int, n bigint) UNIQUE KEY(k) {TAIL}")
        made.do(f"CREATE TABLE d (k int, n bigint) DUPLICATE KEY(k) {TAIL}")
        made.do("INSERT INTO u VALUES (1, 10), (2, 20)")
        yield made


def rows(client: Client, table: str = "u") -> list[tuple[Any, ...]]:
    return client.rows(f"SELECT k, n FROM {table} ORDER BY k")


def test_statements_become_visible_together(client: Client) -> None:
    begun = client.do("BEGIN")
    assert "'status':'PREPARE'" in begun.info
    is_open = client.session.is_in_transaction
    assert is_open
    done = client.do("INSERT INTO u VALUES (3, 30)")
    assert done.affected_rows == 1
    assert "'status':'PREPARE'" in done.info
    client.do("INSERT INTO d SELECT k, n FROM u")
    client.do("UPDATE u SET n = 0 WHERE k = 1")
    client.do("DELETE FROM u WHERE k = 2")
    assert rows(client) == [(1, 10), (2, 20)]
    assert rows(client.another(), "d") == []
    committed = client.do("COMMIT")
    assert "'status':'VISIBLE'" in committed.info
    assert begun.info.split(",")[0] == committed.info.split(",")[0]
    assert not client.session.is_in_transaction
    assert rows(client) == [(1, 0), (3, 30)]
    assert rows(client, "d") == [(1, 10), (2, 20)]


def test_each_statement_has_a_sequence_of_its_own(client: Client) -> None:
    client.run("BEGIN; INSERT INTO u VALUES (5, 1); INSERT INTO u VALUES (5, 2); COMMIT")
    assert rows(client)[-1] == (5, 2)
    sequences = client.catalog.sequences("u")
    assert len(set(sequences)) == len(sequences) == 3


def test_rollback_and_the_end_of_the_session_leave_nothing(client: Client) -> None:
    client.run("START TRANSACTION; INSERT INTO u VALUES (3, 30)")
    assert "'status':'ABORTED'" in client.do("ROLLBACK").info
    other = client.another()
    other.run("BEGIN; DELETE FROM u WHERE k = 1")
    other.warehouse.close(other.session)
    assert rows(client) == [(1, 10), (2, 20)]
    assert client.do("INSERT INTO u VALUES (4, 40)").affected_rows == 1


def test_an_end_without_a_beginning_is_nothing(client: Client) -> None:
    assert client.do("COMMIT").info == ""
    assert client.do("ROLLBACK").info == ""
    client.do("SET autocommit = 0")
    client.do("INSERT INTO u VALUES (3, 30)")
    assert len(rows(client.another())) == 3


def test_a_second_begin_changes_nothing(client: Client) -> None:
    first = client.do("BEGIN")
    client.do("INSERT INTO u VALUES (3, 30)")
    assert client.do("BEGIN").info == first.info
    client.do("COMMIT")
    assert len(rows(client)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "USE `db@dev`",
        "SET ref = 'dev'",
        "CREATE TABLE x (k int)",
        "DROP TABLE u",
        "ALTER TABLE u ADD COLUMN x int",
        "TRUNCATE TABLE u",
        "INSERT OVERWRITE TABLE u VALUES (1, 1)",
        "CALL lake_commit('x')",
    ],
)
def test_the_ref_is_pinned_and_only_rows_change(client: Client, text: str) -> None:
    client.do("BEGIN")
    assert ONLY in client.refused(text).message
    client.do("INSERT INTO u VALUES (3, 30)")
    client.do("COMMIT")
    assert len(rows(client)) == 3


def test_a_statement_that_fails_is_left_out(client: Client) -> None:
    client.run("BEGIN; INSERT INTO u VALUES (3, 30)")
    assert "value is incorrect" in client.refused("INSERT INTO u VALUES ('x', 1)").message
    client.do("COMMIT")
    assert rows(client) == [(1, 10), (2, 20), (3, 30)]


def test_what_others_published_meanwhile_is_seen_when_committing(client: Client) -> None:
    client.run("BEGIN; UPDATE u SET n = n + 1 WHERE k = 1; INSERT INTO u VALUES (3, 30)")
    client.another().do("UPDATE u SET n = n + 100 WHERE k = 1")
    client.do("COMMIT")
    assert rows(client) == [(1, 111), (2, 20), (3, 30)]


def test_a_table_that_is_gone_fails_the_whole_transaction(client: Client) -> None:
    client.run("BEGIN; INSERT INTO d VALUES (1, 1); INSERT INTO u VALUES (3, 30)")
    client.another().do("DROP TABLE d")
    assert client.refused("COMMIT").code == 1146
    assert not client.session.is_in_transaction
    assert rows(client) == [(1, 10), (2, 20)]


def test_a_label_of_a_transaction_is_used_by_its_commit(client: Client) -> None:
    client.run("BEGIN WITH LABEL once; INSERT INTO u VALUES (3, 30); ROLLBACK")
    client.run("BEGIN WITH LABEL once; INSERT INTO u VALUES (3, 30)")
    assert client.do("COMMIT").info.startswith("{'label':'once', 'status':'VISIBLE'")
    client.run("BEGIN WITH LABEL once; INSERT INTO u VALUES (4, 40)")
    assert "has already been used" in client.refused("COMMIT").message
    assert len(rows(client)) == 3


def test_a_transaction_has_at_most_so_many_statements(client: Client) -> None:
    client.do("BEGIN")
    begun = client.session.transaction
    assert isinstance(begun, Transaction)
    client.do("INSERT INTO u VALUES (3, 30)")
    begun.steps *= limits.TRANSACTION_STATEMENTS_MAX - 1
    client.do("INSERT INTO u VALUES (3, 30)")
    assert "at most" in client.refused("INSERT INTO u VALUES (3, 30)").message
    begun.steps = begun.steps[-1:]
    client.do("COMMIT")


def test_a_transaction_writes_to_one_branch(client: Client) -> None:
    client.catalog.on.commit()
    client.catalog.on.branch("dev")
    client.run("BEGIN; INSERT INTO u VALUES (3, 30)")
    assert "one branch" in client.refused("INSERT INTO `db@dev`.u VALUES (3, 30)").message
    client.do("COMMIT")
    assert len(client.rows("SELECT * FROM `db@dev`.u")) == 2
