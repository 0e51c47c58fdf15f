"""Texts of several statements, parameters, preparing, cancelling, permissions, absent handlers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.dispatch import Warehouse, literal_text, with_literals
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.registry import Registry
from anabranch.warehouse.results import Done, Rows
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.admin import SetVariables
from anabranch.warehouse.sql.statements import DropTable, Query
from tests.support.statements import Client, client_in, parts_in, read


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_in(Path(tmp_path_factory.mktemp("dispatch"))) as made:
        made.do(
            "CREATE TABLE t (k INT, s VARCHAR(20), d DATE) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)",
            "INSERT INTO t VALUES (1, 'a', '2024-01-01'), (2, 'it''s', '2024-02-01')",
        )
        yield made


def test_statements_of_a_text_run_one_after_the_other(client: Client) -> None:
    found = client.results("SET @x = 3; SELECT @x;; /* nothing */ SELECT 'a;b', 1 -- end\n;")
    assert [type(each) for each in found] == [Done, list, list]
    assert found[1:] == [[(3,)], [("a;b", 1)]]


def test_what_ran_before_an_error_stays(client: Client) -> None:
    assert client.refused("SET @y = 1; SELECT nothing; SET @y = 2").code == 1054
    assert client.value("SELECT @y") == 1


def test_going_on_ends_a_result_that_was_not_read(client: Client) -> None:
    results = client.warehouse.run(client.session, "SELECT 1; SELECT 2")
    first, second = next(results), next(results)
    assert isinstance(first, Rows)
    assert isinstance(second, Rows)
    assert list(first.batches) == []
    assert list(read(second)) == [(2,)]
    assert next(results, None) is None
    assert client.session._executions == []


@pytest.mark.parametrize("text", ["", "  ", ";;", "/* only */", "-- only"])
def test_an_empty_text_is_an_error(client: Client, text: str) -> None:
    assert client.refused(text).code == 1065


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", 1064),
        ("SELECT FROM WHERE", 1064),
        ("SELECT 'open", 1064),
        ("CREATE TABLE", 1064),
        ("HANDLER t OPEN", 1064),
        ("REPAIR TABLE t", 1064),
        ("BACKUP SNAPSHOT a", 1235),
        ("LOAD LABEL db.x (DATA INFILE('a') INTO TABLE t) WITH BROKER 'b'", 1235),
        ("SHOW GRANTS", 1235),
        ("SHOW NONSENSE", 1235),
    ],
)
def test_what_cannot_run_is_an_error_of_its_own(client: Client, text: str, code: int) -> None:
    assert client.refused(text).code == code


def test_a_prepared_query_takes_values_of_every_kind(client: Client) -> None:
    assert client.rows("SELECT k FROM t WHERE s = ? AND d = ?", ["it's", date(2024, 2, 1)]) == [
        (2,)
    ]
    assert client.rows("SELECT k FROM t ORDER BY k LIMIT ?", [1]) == [(1,)]
    ((*row,),) = client.rows(
        "SELECT ?, ?, ?, ?, ?, ?",
        [None, True, 2**70, Decimal("1.50"), b"bytes", datetime(2024, 1, 1, 10)],  # noqa: DTZ001 - clients send no zone
    )
    assert row[0] is None
    assert int(row[1]) == 1
    assert row[2:] == [2**70, Decimal("1.50"), "bytes", "2024-01-01 10:00:00"]


def test_other_statements_take_parameters_too(client: Client) -> None:
    client.results("INSERT INTO t VALUES (?, ?, ?)", [3, "quo'te\\ ?", date(2024, 3, 1)])
    assert client.rows("SELECT s FROM t WHERE k = ?", [3]) == [("quo'te\\ ?",)]
    assert client.rows("SHOW TABLES LIKE ?", ["t%"]) == [("t",)]
    client.results("SET @p = ?", [5])
    assert client.value("SELECT @p") == 5
    client.results("DELETE FROM t WHERE k = ?", [3])
    assert client.value("SELECT count(*) FROM t") == 2


def test_parameters_must_fit_in_number(client: Client) -> None:
    assert client.refused("SHOW TABLES LIKE ?", []).code == 1210
    assert client.refused("SHOW TABLES LIKE ?", ["a", "b"]).code == 1210
    assert client.refused("SELECT ?", []).code == 1105
    assert client.refused("SELECT ?; SELECT 2", [1]).code == 1235


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (-5, "-5"),
        (1.5e300, "1.5e+300"),
        (Decimal("1E+3"), "1000"),
        ("a'b\\c", "'a\\'b\\\\c'"),
        (timedelta(hours=1), "'1:00:00'"),
    ],
)
def test_literals_of_parameters(value: object, text: str) -> None:
    found = literal_text(value)
    assert found.replace('"', "'").replace("''", "\\'") in (text, text.replace("\\'", "'"))


def test_marks_in_texts_and_comments_are_no_parameters() -> None:
    text = "SHOW TABLES /* ? */ LIKE ? -- ?\n"
    assert with_literals(text, [1]) == "SHOW TABLES /* ? */ LIKE 1 -- ?\n"
    assert with_literals("SET @a = '?', @`?` = ?", [2]) == "SET @a = '?', @`?` = 2"


@pytest.mark.parametrize(
    ("text", "count", "names"),
    [
        ("SELECT k, s AS x FROM t WHERE k = ?", 1, ["k", "x"]),
        ("SELECT k FROM t ORDER BY k LIMIT ?", 1, ["k"]),
        ("SELECT 1", 0, ["1"]),
        ("(SELECT k FROM t WHERE d > ? AND s LIKE ?)", 2, ["k"]),
        ("INSERT INTO t VALUES (?, ?, ?)", 3, []),
        ("SHOW TABLES LIKE ?", 1, []),
        ("SET @a = 1", 0, []),
    ],
)
def test_preparing_counts_parameters_and_names_columns(
    client: Client, text: str, count: int, names: list[str]
) -> None:
    found = client.warehouse.prepare(client.session, text)
    assert found.parameter_count == count
    assert [field.name for field in found.fields] == names


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT nothing FROM t WHERE k = ?", 1054),
        ("SELECT * FROM nothing WHERE k = ?", 1146),
        ("SELECT FROM ?", 1064),
        ("nonsense ?", 1064),
        ("", 1065),
        ("SELECT 1; SELECT 2", 1065),
    ],
)
def test_preparing_refuses_what_cannot_run(client: Client, text: str, code: int) -> None:
    with pytest.raises(SqlError) as raised:
        client.warehouse.prepare(client.session, text)
    assert raised.value.code == code


def test_cancel_ends_what_runs_and_nothing_later(client: Client) -> None:
    timer = threading.Timer(0.3, client.session.cancel)
    timer.start()
    error = client.refused(
        "SELECT count(*) FROM numbers('number'='100000000') a"
        " CROSS JOIN numbers('number'='100000000') b WHERE a.number * b.number = 7"
    )
    timer.join()
    assert error.code == 1317
    assert client.value("SELECT 1") == 1


def test_cancel_between_statements_ends_the_rest_of_a_text(client: Client) -> None:
    results = client.warehouse.run(client.session, "SET @z = 1; SET @z = 2")
    next(results)
    client.session.cancel()
    with pytest.raises(SqlError) as raised:
        next(results)
    assert raised.value.code == 1317
    assert client.value("SELECT @z") == 1


def test_rows_come_before_the_last_is_computed(client: Client) -> None:
    for result in client.warehouse.run(
        client.session, "SELECT number FROM numbers('number'='100000000')"
    ):
        assert isinstance(result, Rows)
        assert 0 < next(result.batches).num_rows <= limits.RESULT_BATCH_ROWS
        break
    client.session.cancel()
    assert client.value("SELECT 1") == 1
    assert client.session._executions == []


def test_warnings_are_of_the_last_statement(client: Client) -> None:
    client.do("DROP TABLE IF EXISTS nope")
    assert client.rows("SHOW WARNINGS") == [("Note", 1051, "Unknown table 'nope'")]
    assert client.value("SHOW COUNT(*) WARNINGS") == 1
    assert client.value("SHOW COUNT(*) ERRORS") == 0
    client.refused("SELECT nothing")
    assert client.rows("SHOW ERRORS") == client.rows("SHOW WARNINGS")
    assert client.value("SHOW COUNT(*) ERRORS") == 1
    client.value("SELECT 1")
    assert client.rows("SHOW WARNINGS") == []


def test_a_session_keeps_so_many_warnings(client: Client) -> None:
    missing = ", ".join(f"nope{number}" for number in range(limits.SESSION_WARNINGS_MAX + 1))
    client.do(f"DROP TABLE IF EXISTS {missing}")
    assert len(client.rows("SHOW WARNINGS")) == limits.SESSION_WARNINGS_MAX


class Guarding:
    """Lets `reader` read."""

    def check(self, session: SqlSession, statement: object) -> None:
        if session.user == "reader" and not isinstance(statement, (Query, SetVariables)):
            raise SqlError(1227, "42000", "Access denied")

    def check_database(self, user: str, database: str) -> None:
        if user == "nobody":
            raise SqlError(1044, "42000", f"Access denied to database '{database}'")


def test_a_guard_sees_each_statement_first(tmp_path: Path) -> None:
    with client_in(tmp_path, guard=Guarding()) as made:
        reader = made.another("reader")
        assert reader.value("SELECT 1") == 1
        assert reader.refused("DROP DATABASE db").code == 1227
        assert reader.refused("SET @a = 1; CREATE DATABASE x").code == 1227
        with pytest.raises(SqlError, match="Access denied to database 'db'"):
            made.another("nobody")
        assert made.rows("SHOW DATABASES LIKE 'd%'") == [("db",)]


def test_an_absent_handler_is_a_statement_not_offered(tmp_path: Path) -> None:
    with parts_in(tmp_path) as (parts, _):
        warehouse = Warehouse(parts, Registry())
        session = warehouse.open("root", "", None, 1)
        for text, name in (("DROP TABLE t", "DROP TABLE"), ("SHOW TABLES", "SHOW TABLES")):
            with pytest.raises(SqlError, match=f"doesn't yet support '{name}'"):
                list(warehouse.run(session, text))

        class Dropping:
            def run(self, session: SqlSession, statement: Any) -> Iterator[Done]:
                assert isinstance(statement, DropTable)
                yield Done(7)

        both = Registry().joined(Registry({DropTable: Dropping()}))
        assert list(Warehouse(parts, both).run(session, "DROP TABLE t")) == [Done(7)]
