"""Variables: what may be set, to what, for whom; every one can be read and shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.variables import (
    VARIABLES,
    GlobalVariables,
    Kind,
    SessionVariables,
    find_variable,
)
from tests.support.statements import Client, client_in, warehouse_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_in(Path(tmp_path_factory.mktemp("variables"))) as made:
        yield made


@pytest.fixture
def client(shared: Client) -> Client:
    """A session of its own, with no global variable left by another test."""
    return replace(shared, warehouse=warehouse_of(shared.parts)).another()


CONNECTOR_J = """
SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS
character_set_client, @@character_set_connection AS character_set_connection,
@@character_set_results AS character_set_results, @@character_set_server AS character_set_server,
@@collation_server AS collation_server, @@collation_connection AS collation_connection,
@@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license,
@@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet,
@@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema,
@@query_cache_size AS query_cache_size, @@query_cache_type AS query_cache_type, @@sql_mode AS
sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone,
@@tx_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout
"""


def test_what_clients_ask_at_connect_is_answered(client: Client) -> None:
    ((first, *rest),) = client.rows(CONNECTOR_J)
    assert first == 1
    assert len(rest) == 20
    assert "REPEATABLE-READ" in rest
    assert client.fields(CONNECTOR_J)[-1].name == "wait_timeout"
    for text in (
        "SET character_set_results = NULL",
        "SET autocommit=1",
        "SET sql_mode='STRICT_TRANS_TABLES'",
        "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
        "SET NAMES 'utf8'",
        "SET CHARACTER SET utf8",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET TRANSACTION READ ONLY",
        "SET SQL_SELECT_LIMIT=DEFAULT",
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_ZERO_DATE'), net_write_timeout = 700",
        "SET @@SESSION.max_execution_time = 0, @@autocommit = OFF",
        "SET exec_mem_limit = 8589934592, enable_profile = true, is_report_success = false",
        "/*!40101 SET character_set_client = utf8 */",
    ):
        client.results(text)
    assert client.value("SELECT @@transaction_isolation") == "READ-COMMITTED"
    assert client.value("SELECT @@sql_mode") == "STRICT_TRANS_TABLES,NO_ZERO_DATE"
    assert client.value("SELECT @@net_write_timeout") == 700
    assert client.value("SELECT @@character_set_client") == "utf8"


def test_every_variable_is_selected_and_shown(client: Client) -> None:
    shown = dict(client.rows("SHOW VARIABLES"))
    assert set(shown) == set(VARIABLES)
    assert list(shown) == sorted(shown)
    names = ", ".join(f"@@{name}" for name in VARIABLES)
    ((*values,),) = client.rows(f"SELECT {names}")
    assert len(values) == len(VARIABLES)


def test_a_global_value_is_told_apart_from_the_sessions(client: Client) -> None:
    client.do("SET GLOBAL net_write_timeout = 5", "SET net_write_timeout = 7")
    asked = "SELECT @@global.net_write_timeout, @@net_write_timeout, @@session.net_write_timeout"
    assert client.rows(asked) == [(5, 7, 7)]
    assert client.another().value("SELECT @@GLOBAL.net_write_timeout") == 5
    assert client.refused("SELECT @@global.nothing").message == "Unknown system variable 'nothing'"


def test_what_changes_rows_has_a_time_of_its_own(client: Client) -> None:
    session = client.session
    client.do("SET query_timeout = 30, insert_timeout = 60, max_execution_time = 10000")
    assert session.timeout_s == 10
    session.is_changing = True
    assert session.timeout_s == 60
    client.do("SET query_timeout = 90, max_execution_time = 0")
    session.is_changing = True
    assert session.timeout_s == 90


def test_a_default_is_a_value_of_its_own_variable() -> None:
    variables = SessionVariables(GlobalVariables(), lambda _: None)
    for variable in VARIABLES.values():
        if variable.kind in (Kind.FIXED, Kind.COMPUTED):
            continue
        variables.put(variable.name, str(variable.default))
        assert variables[variable.name] == variable.default, variable.name


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("SET nothing = 1", 1193, "Unknown system variable 'nothing'"),
        ("SELECT @@nothing", 1193, "Unknown system variable 'nothing'"),
        ("SET version = '8'", 1238, "read only"),
        ("SET version = DEFAULT", 1238, "read only"),
        ("SET warning_count = 0", 1238, "read only"),
        ("SET autocommit = 2", 1231, "can't be set to the value of '2'"),
        ("SET autocommit = NULL", 1231, "can't be set to the value of 'NULL'"),
        ("SET sql_mode = 'STRICT_TRANS_TABLES,NONSENSE'", 1231, "'NONSENSE'"),
        ("SET sql_mode = NULL", 1231, "'NULL'"),
        ("SET query_timeout = 0", 1231, "'0'"),
        ("SET query_timeout = 'soon'", 1232, "Incorrect argument type"),
        ("SET time_zone = 'Mars/Base'", 1298, "Unknown or incorrect time zone: 'Mars/Base'"),
        ("SET time_zone = '25'", 1298, "Unknown or incorrect time zone: '25'"),
        ("SET tx_isolation = 'NONE'", 1231, "'NONE'"),
        ("SET character_set_client = nope", 1115, "Unknown character set: 'nope'"),
        ("SET NAMES nope", 1115, "Unknown character set: 'nope'"),
    ],
)
def test_a_wrong_value_is_refused_in_mysqls_words(
    client: Client, text: str, code: int, words: str
) -> None:
    moving = "'timestamp', 'error_count', 'warning_count'"
    stays = f"SHOW VARIABLES WHERE Variable_name NOT IN ({moving})"
    before = client.rows(stays)
    error = client.refused(text)
    assert error.code == code
    assert words in error.message
    assert client.rows(stays) == before


def test_limits_of_a_timeout(client: Client) -> None:
    client.do(f"SET query_timeout = {limits.QUERY_TIMEOUT_S_MAX}")
    assert client.session.timeout_s == limits.QUERY_TIMEOUT_S_MAX
    assert client.refused(f"SET query_timeout = {limits.QUERY_TIMEOUT_S_MAX + 1}").code == 1231
    client.do("SET max_execution_time = 1500")
    assert client.session.timeout_s == 1.5
    client.do("SET max_execution_time = 0, query_timeout = DEFAULT")
    assert client.session.timeout_s == limits.QUERY_TIMEOUT_S


def test_a_global_variable_is_for_sessions_to_come_and_for_its_own(client: Client) -> None:
    before = client.another()
    client.do("SET GLOBAL time_zone = 'Asia/Shanghai'")
    assert client.value("SELECT @@time_zone") == "Asia/Shanghai"
    assert before.value("SELECT @@time_zone") == "UTC"
    after = client.another()
    assert after.value("SELECT @@time_zone") == "Asia/Shanghai"
    after.do("SET time_zone = '+01:00'")
    assert dict(after.rows("SHOW GLOBAL VARIABLES LIKE 'time_zone'")) == {
        "time_zone": "Asia/Shanghai"
    }
    after.do("SET time_zone = DEFAULT")
    assert after.value("SELECT @@time_zone") == "Asia/Shanghai"
    client.do("SET GLOBAL time_zone = DEFAULT")
    assert client.another().value("SELECT @@time_zone") == "UTC"


def test_user_variables_hold_values(client: Client) -> None:
    client.do("SET @a = 1, @b := 'x', @c = -2.5, @d = NULL, @e = TRUE, @`f g` = @a + 1")
    assert client.rows("SELECT @a, @b, @c, @d, @e, @never") == [(1, "x", -2.5, None, 1, None)]
    client.do("SET @a = (SELECT 40 + 2)")
    assert client.value("SELECT @a") == 42


def test_a_session_has_so_many_user_variables(client: Client) -> None:
    client.session.user_variables.clear()
    client.session.user_variables.update(
        {f"v{number}": number for number in range(limits.USER_VARIABLES_MAX - 1)}
    )
    client.do("SET @last = 1", "SET @last = 2")
    assert "at most" in client.refused("SET @more = 1").message
    assert client.value("SELECT @last") == 2


def test_system_time_zone_is_utc(client: Client) -> None:
    client.do("SET time_zone = SYSTEM")
    assert client.session.time_zone == "UTC"
    assert client.value("SELECT @@time_zone") == "SYSTEM"


def test_names_have_no_case_and_may_be_experimental() -> None:
    assert find_variable("Query_Timeout").name == "query_timeout"
    assert find_variable("experimental_enable_stats").name == "enable_stats"
    with pytest.raises(SqlError, match="Unknown system variable"):
        find_variable("experimental_nothing")
