"""Clients of MySQL's protocol against a real server: tables, answers, errors, first questions."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy

from tests.clients.first_statements import CLIENTS
from tests.support.environments import environment, jars
from tests.support.server import RunningServer, start_server

PROGRAMS = Path(__file__).parent / "mysql"
TIMEOUT_S = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CONNECTOR_J = """\
inserted 2
visits 1 2024-01-01 10 2
batch 3
things 1 naïve'1 12.341 2024-02-29 23:59:51.0 0.125 false 170141183460469231731687303715884105721
things 2 naïve'2 12.342 2024-02-29 23:59:52.0 0.25 true 170141183460469231731687303715884105722
things 3 null 12.343 2024-02-29 23:59:53.0 0.375 false 170141183460469231731687303715884105723
things 3 null 12.343 2024-02-29 23:59:53.0 0.375 false 170141183460469231731687303715884105723
product 5.7.99
table things
table visits
column id BIGINT
column name VARCHAR
column price DECIMAL
column at DATETIME
column ratio DOUBLE
column flag BOOLEAN
column big INT
type id java.lang.Long things
type price java.math.BigDecimal things
type at java.time.LocalDateTime things
error 1146 42S02
error 1064 42000
error 1054 42S22
error 1007 HY000
error 1049 42000
streamed 4999950000
cancelled MySQLTimeoutException
goes on 1
"""

PYMYSQL = [
    ["CREATE", [], 0],
    ["CREATE", [], 0],
    ["executemany", 2],
    ["INSERT", [], 1],
    ["SELECT", [[1, "later", 42], [2, None, 2]], 2],
    ["error", 1146],
    ["error", 1136],
    ["SELECT", [[2, 44]], 1],
    ["streamed", [2, 1]],
    ["named", [["pymysql_now"]]],
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server(tmp_path_factory.mktemp("mysql") / "data", has_sql=True) as running:
        yield running


@pytest.mark.parametrize(
    "options",
    ["&sslMode=DISABLED", "&sslMode=DISABLED&useServerPrepStmts=true&useCursorFetch=true"],
)
def test_connector_j(server: RunningServer, options: str) -> None:
    sql = server.endpoints["sql"]
    path = ":".join(map(str, jars("connectorj")))
    program = str(PROGRAMS / "Session.java")
    result = subprocess.run(
        ["java", "-cp", path, program, f"{sql['host']}:{sql['port']}", options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (result.stdout, result.stderr) == (CONNECTOR_J, "")


def test_the_present_pymysql(server: RunningServer) -> None:
    sql = server.endpoints["sql"]
    script = PROGRAMS / "pymysql_session.py"
    result = environment("mysql").run(script, sql["host"], str(sql["port"]))
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line) for line in result.stdout.splitlines()] == PYMYSQL


# SHOW CREATE TABLE has Doris's clauses, of which SQLAlchemy's dialect of MySQL knows nothing.
@pytest.mark.filterwarnings("ignore:Unknown schema content:sqlalchemy.exc.SAWarning")
def test_sqlalchemy(server: RunningServer) -> None:
    sql = server.endpoints["sql"]
    engine = sqlalchemy.create_engine(f"mysql+pymysql://root@{sql['host']}:{sql['port']}/")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("CREATE DATABASE alchemy"))
            connection.execute(
                sqlalchemy.text(
                    "CREATE TABLE alchemy.t (k INT, v VARCHAR(9)) DUPLICATE KEY(k) "
                    "DISTRIBUTED BY HASH(k) PROPERTIES ('replication_num' = '1')"
                )
            )
            for number in range(3):
                connection.execute(
                    sqlalchemy.text("INSERT INTO alchemy.t VALUES (:k, :v)"),
                    {"k": number, "v": f"é{number}"},
                )
        inspector = sqlalchemy.inspect(engine)
        assert "alchemy" in inspector.get_schema_names()
        assert inspector.get_table_names("alchemy") == ["t"]
        table = sqlalchemy.Table("t", sqlalchemy.MetaData(), schema="alchemy", autoload_with=engine)
        with engine.connect() as connection:
            chosen = sqlalchemy.select(table.c.v).where(table.c.k > 0).order_by(table.c.k)
            assert connection.execute(chosen).scalars().all() == ["é1", "é2"]
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def shop(server: RunningServer) -> RunningServer:
    """The server with a table that first statements ask about."""
    with connect(server) as connection, connection.cursor() as cursor:
        for text in (
            "CREATE DATABASE shop",
            (
                "CREATE TABLE shop.sales (k INT, day DATETIME, name VARCHAR(20) COMMENT 'who', "
                "amount DECIMAL(12,2)) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 1 "
                "PROPERTIES ('replication_num' = '1')"
            ),
            (
                "INSERT INTO shop.sales VALUES (1, '2024-02-01 10:00:00', 'a', 1.5), "
                "(2, '2024-03-01', 'b', 2.5)"
            ),
        ):
            cursor.execute(text)
    return server


def connect(server: RunningServer, **more: Any) -> Any:
    return pymysql.connect(host="127.0.0.1", port=server.sql_port, user="root", **more)


@pytest.mark.parametrize("client", CLIENTS)
def test_first_statements_are_answered(shop: RunningServer, client: str) -> None:
    refused = []
    with connect(shop, database="shop") as connection, connection.cursor() as cursor:
        for text in CLIENTS[client].strip().splitlines():
            try:
                cursor.execute(text)
                cursor.fetchall()
            except pymysql.err.MySQLError as error:
                refused.append((text, error.args))
    assert refused == []


def command_line(server: RunningServer, script: str, *options: str) -> tuple[str, str, int]:
    """Run a script in the command line client; return its output, its errors and its status."""
    command = shutil.which("mariadb") or shutil.which("mysql")
    if command is None:
        pytest.skip("no MySQL command line client on this machine")
    result = subprocess.run(
        [command, "--no-defaults", "-h127.0.0.1", f"-P{server.sql_port}", "-uroot", *options],
        input=script,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return result.stdout, result.stderr, result.returncode


def test_the_command_line_runs_a_script(shop: RunningServer) -> None:
    script = (
        "SHOW TABLES;\nSELECT k, name FROM sales ORDER BY k; SELECT 'a\\tb' AS `x y`, NULL;\n"
        "delimiter //\nSELECT 1; SELECT 2//\ndelimiter ;\n"
        "INSERT INTO sales VALUES (3, NULL, 'ü', 0);\nSELECT count(*) FROM sales;\n"
        "DELETE FROM sales WHERE k = 3;\n"
    )
    shown = (
        "Tables_in_shop\nsales\nk\tname\n1\ta\n2\tb\nx y\tNULL\na\\tb\tNULL\n"
        "1\n1\n2\n2\ncount(*)\n3\n"
    )
    assert command_line(shop, script, "--batch", "shop") == (shown, "", 0)
    # With auto-rehash the client first asks for the columns of every table.
    assert command_line(shop, script, "--batch", "--auto-rehash", "shop") == (shown, "", 0)


def test_the_command_line_shows_its_state(shop: RunningServer) -> None:
    out, errors, code = command_line(shop, "\\s\nUSE information_schema\n\\s\n", "shop")
    assert (errors, code) == ("", 0)
    for line in (
        r"Current database:\s+shop",
        r"Current database:\s+information_schema",
        r"Current user:\s+'root'@'%'",
        r"Server version:\s+5\.7\.99 Doris version doris-",
        r"Server characterset:\s+utf8mb4",
        r"Conn\.  characterset:\s+utf8",
        r"Uptime:\s+\d+ sec",
    ):
        assert re.search(line, out), line


def test_the_command_line_shows_tables_errors_and_warnings(shop: RunningServer) -> None:
    out, errors, code = command_line(shop, "SELECT k, name FROM sales WHERE k = 1;", "-t", "shop")
    row = "+------+------+\n"
    assert (out, errors, code) == (f"{row}| k    | name |\n{row}|    1 | a    |\n{row}", "", 0)
    script = "DROP TABLE IF EXISTS nothing;\nSELECT 7;\n"
    out, errors, code = command_line(shop, script, "--show-warnings", "-vv", "shop")
    assert re.search(r"Note \(Code 1051\): .*nothing", out), out
    assert "1 row in set" in out
    out, errors, code = command_line(shop, "SELECT 1; SELECT * FROM nothing; SELECT 3;", "shop")
    assert (out, code) == ("1\n1\n", 1)
    assert "ERROR 1146 (42S02) at line 1: " in errors
    out, errors, code = command_line(shop, "SELEC 1; SELECT 3;", "--force", "shop")
    assert (out, code) == ("3\n3\n", 0)
    assert "ERROR 1064 (42000) at line 1: " in errors
