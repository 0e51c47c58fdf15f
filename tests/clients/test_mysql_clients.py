"""Clients of MySQL's protocol against a real server: tables, answers, errors, first questions."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

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
column flag TINYINT
column big LARGEINT
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
    ["SELECT", [[2, "44"]], 1],
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
