"""A session: where it stands, what it remembers, what an error leaves; docs/sql/session.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.warehouse.results import Done
from anabranch.warehouse.session import DatabaseName, parse_database_text
from tests.support.statements import Client, client_in

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with client_in(tmp_path) as made:
        yield made


@pytest.fixture
def branched(client: Client) -> Client:
    """A table with one row on main and two on dev."""
    client.do("CREATE TABLE t (k INT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)")
    client.do("INSERT INTO t VALUES (1)")
    client.rows("CALL lake_commit('one row')")
    client.rows("CALL lake_branch('dev')")
    client.do("USE db@dev", "INSERT INTO t VALUES (2)", "USE db@main")
    return client


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("db", DatabaseName("db")),
        ("default_cluster:db", DatabaseName("db")),
        ("db@dev", DatabaseName("db", "dev")),
        ("db/dev/x", DatabaseName("db", "dev/x")),
        ("lake.db", DatabaseName("db", None, "lake")),
        ("lake.default_cluster:db@v1.2~3", DatabaseName("db", "v1.2~3", "lake")),
        ("db@", DatabaseName("db")),
        ("", DatabaseName("")),
    ],
)
def test_a_databases_name_has_catalog_and_ref(text: str, parts: DatabaseName) -> None:
    assert parse_database_text(text) == parts


def test_use_moves_to_database_and_ref(branched: Client) -> None:
    assert branched.rows("SELECT DATABASE(), @@ref, @@catalog") == [("db", "main", "warehouse")]
    for text, count in (
        ("USE db@dev", 2),
        ("USE `db/main`", 1),
        ("USE `db@dev`", 2),
        ("USE db@main~1", None),
        ("USE db@main", 1),
        ("SET ref = 'dev'", 2),
        ("USE db", 2),
        ("SET ref = DEFAULT", 1),
        ("CALL lake_checkout('dev')", 2),
        ("USE internal.db@main", 1),
        ("USE warehouse.db", 1),
    ):
        if count is None:
            assert branched.refused(text).code == 1049, text  # the first commit has no database
            continue
        branched.results(text)
        assert branched.value("SELECT count(*) FROM t") == count, text


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("USE nope", 1049, "Unknown database 'nope'"),
        ("USE db@nope", 1105, "Unknown ref 'nope'"),
        ("SET ref = 'a b'", 1105, "Unknown ref 'a b'"),
        ("USE nope.db", 1105, "Unknown catalog 'nope'"),
        ("SWITCH nope", 1105, "Unknown catalog 'nope'"),
        ("SET GLOBAL ref = 'dev'", 1228, "SESSION variable"),
    ],
)
def test_a_move_to_nowhere_is_refused_and_changes_nothing(
    client: Client, text: str, code: int, words: str
) -> None:
    error = client.refused(text)
    assert error.code == code
    assert words in error.message
    assert client.rows("SELECT DATABASE(), @@ref") == [("db", "main")]


def test_switch_leaves_the_database(client: Client) -> None:
    client.do("SWITCH internal")
    assert client.value("SELECT DATABASE()") is None
    assert client.refused("SHOW TABLES").code == 1046
    assert client.refused("SELECT * FROM t").code == 1046
    client.do("USE db")
    assert client.rows("SHOW TABLES") == []


def test_information_schema_may_be_used_in_any_case(client: Client) -> None:
    client.do("USE INFORMATION_SCHEMA")
    assert client.value("SELECT DATABASE()") == "information_schema"
    assert client.value("SELECT count(*) FROM schemata") == 2
    assert "tables" in client.column("SHOW TABLES")
    assert client.refused("CREATE TABLE x (a INT)").code == 1044


def test_a_table_is_read_at_other_refs(branched: Client) -> None:
    for name, count in (
        ("t", 1),
        ("db.t", 1),
        ("warehouse.db.t", 1),
        ("internal.db.t", 1),
        ("`default_cluster:db`.t", 1),
        ("t@branch(dev)", 2),
        ("`db@dev`.t", 2),
        ("`db/dev`.t", 2),
        ("t FOR VERSION AS OF 'dev'", 2),
        ("t FOR VERSION AS OF 'main'", 1),
        ("t FOR TIME AS OF '2030-01-01 00:00:00'", 1),
    ):
        assert branched.value(f"SELECT count(*) FROM {name}") == count, name
    assert branched.rows(
        "SELECT a.k, b.k FROM t a RIGHT JOIN t@branch(dev) b ON a.k = b.k ORDER BY b.k"
    ) == [(1, 1), (None, 2)]
    assert branched.refused("SELECT * FROM t FOR VERSION AS OF 'nope'").code in (1105, 1049)
    assert branched.refused("SELECT * FROM t FOR TIME AS OF 'noon'").code == 1525
    assert branched.refused("SELECT * FROM t FOR TIME AS OF '1999-01-01'").code == 1105


def test_a_time_is_of_the_sessions_zone(branched: Client) -> None:
    branched.clock.advance(3_600)
    branched.do("INSERT INTO t VALUES (3)")
    branched.rows("CALL lake_commit('later')")
    at = branched.value("SELECT date_add(now(), INTERVAL -30 MINUTE)")
    branched.do("SET time_zone = '+08:00'")
    shown = branched.value("SELECT date_add(now(), INTERVAL -30 MINUTE)")
    assert (shown - at).total_seconds() == pytest.approx(8 * 3_600, abs=5)
    assert branched.value(f"SELECT count(*) FROM t FOR TIME AS OF '{shown:%Y-%m-%d %H:%M:%S}'") == 1
    assert branched.value("SELECT count(*) FROM t FOR TIME AS OF '2040-01-01 00:00:00'") == 2


def test_a_ref_that_is_no_branch_is_only_read(branched: Client) -> None:
    branched.rows("CALL lake_tag('v1')")
    branched.do("USE db@v1")
    assert branched.value("SELECT count(*) FROM t") == 1
    error = branched.refused("INSERT INTO t VALUES (9)")
    assert error.code == 1290
    assert "branch" in error.message
    branched.refused("CREATE TABLE x (a INT)")
    assert "not a branch" in branched.refused("CALL lake_commit('x')").message


def test_connecting_with_a_database_goes_there(branched: Client) -> None:
    other = branched.another(database="db@dev")
    assert other.value("SELECT count(*) FROM t") == 2
    assert branched.another(database="internal.db/dev").value("SELECT @@ref") == "dev"
    assert branched.another(database=None).value("SELECT DATABASE()") is None
    with pytest.raises(Exception, match="Unknown database 'nope'"):
        branched.another(database="nope")


def test_lake_procedures_answer_with_rows(branched: Client) -> None:
    assert branched.names("CALL lake_log('main', 1)")[:2] == ["commit_id", "committer"]
    assert branched.column("CALL lake_branches()") == ["dev", "main"]
    branched.do("USE db@dev")
    assert len(branched.rows("CALL lake_status()")) == 1
    (commit,) = branched.column("CALL lake_commit(message => 'two rows')")
    assert branched.column("CALL lake_log(amount => 1)") == [commit]
    branched.do("USE db@main")
    ((merged, added, changed, removed),) = branched.rows("CALL lake_merge('dev')")
    assert (added, changed, removed) == (1, 0, 0)
    assert branched.column("CALL lake_log()")[0] == merged
    assert branched.value("SELECT count(*) FROM t") == 2
    branched.do("INSERT INTO t VALUES (5)")
    branched.rows("CALL lake_reset()")
    assert branched.value("SELECT count(*) FROM t") == 2
    branched.rows("CALL lake_delete_branch('dev')")
    assert branched.column("CALL lake_branches()") == ["main"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("CALL nothing()", 1305, "does not exist"),
        ("CALL lake_commit()", 1105, "needs message"),
        ("CALL lake_commit('a', 'b')", 1318, "at most 1"),
        ("CALL lake_commit(text => 'a')", 1105, "takes message"),
        ("CALL lake_log('main', 'many')", 1105, "amount"),
        ("CALL lake_branch('main')", 1105, "main"),
        ("CALL lake_branch('a b')", 1105, "branch"),
        ("CALL lake_merge('dev', strategy => 'mine')", 1105, "strategy is one of"),
        ("CALL lake_delete_branch('main')", 1105, "session is at"),
        ("CALL lake_checkout('nope')", 1105, "Unknown ref"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(client: Client, text: str, code: int, words: str) -> None:
    error = client.refused(text)
    assert error.code == code
    assert words in error.message


def test_a_transaction_keeps_a_session_where_it_is(branched: Client) -> None:
    assert not branched.session.is_in_transaction
    branched.do("BEGIN")
    for text in (
        "USE db@dev",
        "SET ref = 'dev'",
        "SWITCH internal",
        "CREATE TABLE x (a INT)",
        "DROP TABLE t",
        "ALTER TABLE t ADD COLUMN v INT",
        "TRUNCATE TABLE t",
        "CREATE DATABASE x",
        "CALL lake_commit('x')",
    ):
        assert "only insert, update, delete, commit, rollback" in branched.refused(text).message
    branched.do("INSERT INTO t VALUES (7)")
    assert branched.value("SELECT count(*) FROM t") == 1
    branched.do("COMMIT")
    assert not branched.session.is_in_transaction
    assert branched.value("SELECT count(*) FROM t") == 2


def test_closing_a_session_rolls_back(branched: Client) -> None:
    other = branched.another()
    other.do("BEGIN", "INSERT INTO t VALUES (8)")
    other.warehouse.close(other.session)
    assert not other.session.is_in_transaction
    assert branched.value("SELECT count(*) FROM t") == 1


def test_autocommit_is_remembered_and_begins_nothing(branched: Client) -> None:
    branched.do("SET AUTOCOMMIT = 0")
    assert not branched.session.is_autocommit
    assert not branched.session.is_in_transaction
    branched.do("INSERT INTO t VALUES (4)")
    assert branched.another().value("SELECT count(*) FROM t") == 2
    branched.do("SET autocommit = ON")
    assert branched.session.is_autocommit


def test_a_session_is_as_before_after_each_error(branched: Client) -> None:
    for text in (
        "SELECT nothing FROM t",
        "SELECT * FROM nothing",
        "SELECT",
        "nonsense",
        "SELECT 'open",
        "SELECT (SELECT k FROM t UNION ALL SELECT 2)",
        "INSERT INTO t VALUES ('x', 2)",
        "USE nope",
    ):
        branched.refused(text)
        assert branched.value("SELECT count(*) FROM t") == 1, text


def test_the_examples_of_the_docs_answer_as_shown(client: Client) -> None:
    page = (DOCS / "sql" / "session.md").read_text()
    blocks = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        for example in block.split("> ")[1:]:
            text, _, expected = example.partition("\n")
            shown: list[str] = []
            for result in client.results(text):
                if isinstance(result, Done):
                    continue
                shown += ["\t".join(map(str, row)) for row in result]
            assert shown == expected.split("\n")[:-1], text
