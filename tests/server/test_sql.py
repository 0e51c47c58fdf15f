"""The SQL process of a real server: its ports, its users, its end and its return."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.server.test_supervisor import children, wait_for_other
from tests.support.server import RunningServer, start_server

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def connect(server: RunningServer, **options: Any) -> Iterator[Any]:
    """Open a connection with autocommit, and a cursor of it."""
    options = {"user": "root", "password": "", "autocommit": True} | options
    connection = pymysql.connect(host="127.0.0.1", port=server.sql_port, **options)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def rows(cursor: Any, text: str) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    cursor.execute(text)
    return list(cursor.fetchall())


def load(server: RunningServer, file: Path, path: str, *options: str) -> dict[str, Any]:
    """Stream a file into a table as Doris's own scripts do; return the answer."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "30", "--location-trusted", "-u", "root:", *options]
        + ["-H", "Expect: 100-continue", "-T", str(file), f"{server.doris_url}/api/{path}"],
        capture_output=True,
        check=True,
        timeout=40,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


TABLE = "CREATE TABLE d.t (k INT, v BIGINT SUM) AGGREGATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 1"


def test_statements_loads_and_restarts_of_one_server(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b"".join(b"%d\t%d\n" % (number % 10, number) for number in range(1_000)))
    with start_server(tmp_path / "data", has_sql=True) as server:
        assert set(server.endpoints) == {"api", "raw", "sql", "doris", "pid"}
        with connect(server) as cursor:
            assert rows(cursor, "SELECT 1 + 1") == [(2,)]
            cursor.execute("CREATE DATABASE d")
            cursor.execute(TABLE)
            cursor.execute("INSERT INTO d.t VALUES (1, 5), (1, 6), (2, 7)")
            assert rows(cursor, "SELECT k, v FROM d.t ORDER BY k") == [(1, 11), (2, 7)]
            cursor.execute("TRUNCATE TABLE d.t")
            answer = load(server, file, "d/t/_stream_load", "-H", "label: one")
            assert (answer["Status"], answer["NumberLoadedRows"]) == ("Success", 1_000), answer
            assert rows(cursor, "SELECT count(*), sum(v) FROM d.t") == [(10, 499_500)]
            again = load(server, file, "d/t/_stream_load", "-H", "label: one")
            assert again["Status"] == "Label Already Exists"
            assert again["ExistingJobStatus"] == "FINISHED"
            assert rows(cursor, "SELECT sum(v) FROM d.t") == [(499_500,)]
        (old,) = children(server, "anabranch.sql")
        os.kill(old, signal.SIGKILL)
        wait_for_other(server, "anabranch.sql", old)
        with connect_again(server) as cursor:
            assert rows(cursor, "SELECT sum(v) FROM d.t") == [(499_500,)]
        assert server.stop() == 0
    with start_server(tmp_path / "data", has_sql=True) as server, connect(server) as cursor:
        assert rows(cursor, "SELECT sum(v) FROM d.t") == [(499_500,)]


@contextlib.contextmanager
def connect_again(server: RunningServer, timeout_s: float = 20) -> Iterator[Any]:
    """Connect to a server whose SQL process is only starting."""
    for _ in range(int(timeout_s / 0.05)):
        with contextlib.suppress(pymysql.err.OperationalError), connect(server) as cursor:
            yield cursor
            return
        with contextlib.suppress(TimeoutError):
            signal.sigtimedwait([], 0.05)
    raise AssertionError(f"SQL did not come back\n{server.read_log()}")


def test_two_phases_bad_rows_and_branches_over_http(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"1\t1\n2\t2\n")
    bad.write_bytes(b"1\t1\nx\ty\nz\n")
    with start_server(tmp_path / "data", has_sql=True) as server, connect(server) as cursor:
        cursor.execute("CREATE DATABASE d")
        cursor.execute(TABLE)
        answer = load(server, good, "d/t/_stream_load", "-H", "two_phase_commit: true")
        assert (answer["Status"], answer["TwoPhaseCommit"]) == ("Success", "true"), answer
        assert rows(cursor, "SELECT count(*) FROM d.t") == [(0,)]
        end = [f"txn_id: {answer['TxnId']}", "txn_operation: commit"]
        told = load(server, Path("/dev/null"), "d/_stream_load_2pc", "-H", end[0], "-H", end[1])
        assert told["status"] == "Success", told
        assert rows(cursor, "SELECT sum(v) FROM d.t") == [(3,)]
        told = load(server, Path("/dev/null"), "d/_stream_load_2pc", "-H", end[0], "-H", end[1])
        assert "already visible" in told["msg"]

        answer = load(server, bad, "d/t/_stream_load", "-H", "strict_mode: true")
        assert answer["Status"] == "Fail", answer
        assert "too many filtered rows" in answer["Message"]
        assert answer["NumberFilteredRows"] == 2
        log = subprocess.run(["curl", "-sS", answer["ErrorURL"]], capture_output=True, check=True)
        assert log.stdout.count(b"Reason:") == 2
        answer = load(server, bad, "d/t/_stream_load", "-H", "max_filter_ratio: 0.7")
        assert (answer["Status"], answer["NumberLoadedRows"]) == ("Success", 2), answer
        assert rows(cursor, "SELECT sum(v) FROM d.t") == [(4,)]

        cursor.execute("CALL lake_commit('base')")
        cursor.execute("CALL lake_branch('dev', 'main')")
        answer = load(server, good, "d@dev/t/_stream_load")
        assert answer["Status"] == "Success", answer
        assert rows(cursor, "SELECT sum(v) FROM d.t") == [(4,)]
        cursor.execute("USE d@dev")
        assert rows(cursor, "SELECT sum(v) FROM t") == [(7,)]
        answer = load(server, good, "d@nope/t/_stream_load")
        assert (answer["Status"], answer["TxnId"]) == ("Fail", -1)
        answer = load(server, good, "d/nope/_stream_load")
        assert "nope" in answer["Message"]


def test_users_may_do_what_was_granted(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b"1\t1\n")
    with start_server(tmp_path / "data", has_sql=True) as server, connect(server) as root:
        root.execute("CREATE DATABASE d")
        root.execute(TABLE)
        root.execute("CREATE USER ada IDENTIFIED BY 'x'")
        as_ada = ("-u", "ada:x")
        with connect(server, user="ada", password="x") as ada:
            assert rows(ada, "SELECT count(*) FROM d.t") == [(0,)]
            with pytest.raises(pymysql.err.MySQLError) as raised:
                ada.execute("INSERT INTO d.t VALUES (1, 1)")
            assert raised.value.args[0] == 1227
            answer = load(server, file, "d/t/_stream_load", *as_ada)
            assert answer["Status"] == "Fail"
            root.execute("GRANT ALL ON *.* TO ada")
            ada.execute("INSERT INTO d.t VALUES (1, 1)")
            answer = load(server, file, "d/t/_stream_load", *as_ada)
            assert answer["Status"] == "Success"
            root.execute("REVOKE ALL ON *.* FROM ada")
            with pytest.raises(pymysql.err.MySQLError):
                ada.execute("TRUNCATE TABLE d.t")
        with pytest.raises(pymysql.err.OperationalError) as refused, connect(server, user="eve"):
            pass
        assert refused.value.args[0] == 1045
        root.execute("SET PASSWORD = PASSWORD('secret')")
        with pytest.raises(pymysql.err.OperationalError), connect(server):
            pass
        with connect(server, password="secret") as again:
            assert rows(again, "SHOW GRANTS")[0][2] == "Yes"


SLOW = "SELECT sum(length(c0.column_name) + length(c5.column_name)) FROM " + ", ".join(
    f"information_schema.columns c{number}" for number in range(6)
)
CLIENT = """
import pymysql, sys
connection = pymysql.connect(host="127.0.0.1", port=int(sys.argv[1]), user="root")
connection.cursor().execute(sys.argv[2])
"""


def test_sigterm_ends_a_running_query_in_time(tmp_path: Path) -> None:
    with (
        start_server(tmp_path / "data", has_sql=True) as server,
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(server.sql_port), SLOW],
            stderr=subprocess.PIPE,
            text=True,
        ) as client,
    ):
        with connect(server) as cursor:
            wait_running(cursor, "c5.column_name")
        assert server.stop() == 0
        _, told = client.communicate(timeout=10)
        assert "pymysql.err." in told


def wait_running(cursor: Any, text: str, timeout_s: float = 20) -> None:
    """Wait until somebody's statement with a text runs."""
    for _ in range(int(timeout_s / 0.05)):
        shown = rows(cursor, "SHOW FULL PROCESSLIST")
        if any(text in str(cell) for row in shown for cell in row):
            return
        with contextlib.suppress(TimeoutError):
            signal.sigtimedwait([], 0.05)
    raise AssertionError(f"{text} does not run: {shown}")


def test_a_bad_broker_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    command = ["--data", str(tmp_path / "data"), "--broker", "x"]
    ports = ["--port", "0", "--raw-port", "0", "--sql-port", "0", "--doris-port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "anabranch", "serve", *command, *ports],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "broker" in done.stderr + done.stdout
