"""Tables merged by REST on a real server: workers judge, and ask the SQL process about rows."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.support.server import RunningServer, pause, start_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def call(server: RunningServer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Make a REST call; return its status and what it answers."""
    secret = base64.b64encode(f"{server.access_key}:{server.secret_key}".encode()).decode()
    request = urllib.request.Request(
        f"{server.api_url}/api/v1/repositories/warehouse/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Basic {secret}", "Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def sql(server: RunningServer, ref: str, *texts: str) -> list[tuple[Any, ...]]:
    """Run statements at a ref; return the rows of the last one."""
    with pymysql.connect(
        host="127.0.0.1", port=server.sql_port, user="root", database=f"shop@{ref}"
    ) as connection:
        cursor = connection.cursor()
        for text in texts:
            cursor.execute(text)
        return list(cursor.fetchall())


def sql_process(server: RunningServer) -> int:
    """Return the id of the SQL process."""
    for pid in server.processes():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"anabranch.sql" in command:
            return pid
    raise AssertionError("no SQL process")


def merge(server: RunningServer, source: str, dest: str, **options: str) -> tuple[int, Any]:
    """Merge by REST; return the status and the answer."""
    return call(server, "POST", f"refs/{source}/merge/{dest}", options)


def begin(server: RunningServer) -> None:
    """Make two tables, and load both on two branches."""
    with pymysql.connect(host="127.0.0.1", port=server.sql_port, user="root") as connection:
        connection.cursor().execute("CREATE DATABASE shop")
    sql(
        server,
        "main",
        "CREATE TABLE visits (day int, clicks bigint SUM DEFAULT '0', users hll HLL_UNION) "
        "AGGREGATE KEY(day) DISTRIBUTED BY HASH(day)",
        "CREATE TABLE stock (id int, n int, at int) UNIQUE KEY(id) DISTRIBUTED BY HASH(id)",
        "INSERT INTO visits VALUES (1, 1, hll_hash('ann'))",
        "INSERT INTO stock VALUES (1, 1, 1), (2, 2, 2)",
        "CALL lake_commit('base')",
        "CALL lake_branch('dev')",
        "INSERT INTO visits VALUES (1, 10, hll_hash('bob')), (2, 1, hll_hash('ann'))",
        "CALL lake_commit('ours')",
    )
    sql(
        server,
        "dev",
        "INSERT INTO visits VALUES (1, 100, hll_hash('bob')), (1, 1000, hll_hash('eve'))",
        "UPDATE stock SET n = 20 WHERE id = 1",
        "CALL lake_commit('theirs')",
    )


def patient(work: Callable[[], Any]) -> Any:
    """Return what work gives as soon as the SQL process answers again."""
    for _ in range(500):
        try:
            return work()
        except pymysql.err.OperationalError:
            pause(0.05)
    return work()


def test_tables_are_merged_by_rest(tmp_path: Path) -> None:
    with start_server(tmp_path / "data", has_sql=True) as server:
        begin(server)
        status, answer = merge(server, "dev", "main")
        assert status == 200, answer
        query = "SELECT day, clicks, hll_cardinality(users) FROM visits ORDER BY day"
        assert sql(server, "main", query) == [(1, 1111, 3), (2, 1, 1)]
        assert merge(server, "main", "dev")[0] == 200
        assert sql(server, "dev", query) == [(1, 1111, 3), (2, 1, 1)]

        for ref, n in (("main", 30), ("dev", 40)):
            change = f"UPDATE stock SET n = {n} WHERE id = 1"
            sql(server, ref, change, "CALL lake_commit('more')")
        assert merge(server, "dev", "main")[0] == 409
        status, listed = call(server, "GET", "refs/dev/merge/main/conflicts")
        assert status == 200
        (one,) = listed["results"]
        assert one["path"] == "shop/stock/rowsets/00000000#id=1: n"

        # Without the SQL process the merge is refused; the next one answers it.
        os.kill(sql_process(server), signal.SIGKILL)
        status, answer = merge(server, "dev", "main", strategy="source-wins")
        for _ in range(500):
            if status != 503:
                break
            pause(0.05)
            status, answer = merge(server, "dev", "main", strategy="source-wins")
        assert status == 200, answer
        found = patient(lambda: sql(server, "main", "SELECT * FROM stock ORDER BY id"))
        assert found == [(1, 40, 1), (2, 2, 2)]


def test_a_worker_has_no_engine() -> None:
    code = (
        "import sys, anabranch.worker, anabranch.jobs\n"
        "print([name for name in ('duckdb', 'sqlglot') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
