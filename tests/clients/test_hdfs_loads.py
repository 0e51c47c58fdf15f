"""LOAD LABEL from a real HDFS: files and wildcards through WebHDFS, and which hosts are asked."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.support.hdfs import Hdfs, start_hdfs
from tests.support.server import RunningServer, pause, start_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TABLE = (
    "CREATE TABLE {} (k INT, day VARCHAR(20), v BIGINT SUM) AGGREGATE KEY(k, day) "
    "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES ('replication_num' = '1')"
)
FILES = {
    "one.csv": b"1\t2024-01-01\t10\n2\t2024-01-01\t20\n",
    "two.csv": b"1\t2024-01-01\t1\n3\t2024-01-02\t30\n",
    "three.csv.gz": gzip.compress(b"4\t2024-01-03\t40\n", mtime=0),
    "big.csv": b"".join(b"%d\t2024-02-01\t1\n" % number for number in range(300_000)),
}
LOADS_S = 60.0  # more than any load here takes on a shared machine


@dataclass
class Session:
    """A connection in a database of its own, and the cluster."""

    connection: Any
    hdfs: Hdfs

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def load(self, label: str, path: str, tail: str = 'WITH BROKER "hdfs"') -> dict[str, str]:
        """Load a path into a new table of the label's name; return the job when it has ended."""
        self.rows(TABLE.format(label))
        self.rows(f'LOAD LABEL hd.{label} (DATA INFILE("{path}") INTO TABLE `{label}`) {tail}')
        for _ in range(int(LOADS_S / 0.05)):
            with self.connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(f"SHOW LOAD FROM hd WHERE LABEL = '{label}'")
                (job,) = cursor.fetchall()
            if job["State"] in ("FINISHED", "CANCELLED"):
                return dict(job)
            pause(0.05)
        raise AssertionError(f"{label} is still {job['State']}")


def begin(server: RunningServer, hdfs: Hdfs) -> Session:
    """Return a session in a new database."""
    connection = pymysql.connect(host="127.0.0.1", port=server.sql_port, user="root")
    session = Session(connection, hdfs)
    session.rows("CREATE DATABASE hd")
    session.rows("USE hd")
    return session


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    folder = tmp_path_factory.mktemp("hdfs")
    placed = {}
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
        placed[folder / name] = f"/data/qe/day=1/{name}"
    with start_hdfs(folder / "cluster", placed) as running:
        yield running


def options(hdfs: Hdfs, *, has_data_node: bool) -> list[str]:
    """Return the settings that let loads read the cluster, or its name node alone."""
    name_node = f"webhdfs://127.0.0.1:{hdfs.port}/"
    closed = "webhdfs://127.0.0.1:9/"  # discard: nothing listens there
    roots = [name_node, closed]
    roots += [f"webhdfs://127.0.0.1:{hdfs.data_port}/"] if has_data_node else []
    brokers = [
        f"hdfs=hdfs://cluster/=webhdfs://reader@127.0.0.1:{hdfs.port}/data/",
        f"away=hdfs://away/={closed}",
    ]
    found = [text for root in roots for text in ("--import-from", root)]
    return found + [text for broker in brokers for text in ("--broker", broker)]


@pytest.fixture(scope="module")
def session(hdfs: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    data = tmp_path_factory.mktemp("loads") / "data"
    with start_server(data, *options(hdfs, has_data_node=True), has_sql=True) as server:
        made = begin(server, hdfs)
        yield made
        made.connection.close()


def test_a_file(session: Session) -> None:
    job = session.load("one", "hdfs://cluster/qe/day=1/one.csv")
    assert (job["State"], job["Progress"]) == ("FINISHED", "ETL:100%; LOAD:100%")
    assert session.rows("SELECT * FROM one ORDER BY k") == [
        (1, "2024-01-01", 10),
        (2, "2024-01-01", 20),
    ]


def test_wildcards_and_a_compressed_file(session: Session) -> None:
    job = session.load("several", "hdfs://cluster/q?/day=*/{o,t}*.csv*")
    assert job["State"] == "FINISHED", job["ErrorMsg"]
    assert session.rows("SELECT k, v FROM several ORDER BY k") == [
        (1, 11),
        (2, 20),
        (3, 30),
        (4, 40),
    ]


def test_columns_from_the_path_with_hdfs(session: Session) -> None:
    tail = 'WITH HDFS ("fs.defaultFS" = "hdfs://cluster", "hadoop.username" = "reader")'
    session.rows(TABLE.format("named"))
    session.rows(
        'LOAD LABEL hd.by_path (DATA INFILE("hdfs://cluster/qe/*/two.csv") INTO TABLE `named` '
        f"(k, x, v) COLUMNS FROM PATH AS (day)) {tail}"
    )
    job = session.load("with_hdfs", "hdfs://cluster/qe/*/t*.csv", tail)
    assert job["State"] == "FINISHED", job["ErrorMsg"]
    assert session.rows("SELECT k, v FROM with_hdfs ORDER BY k") == [(1, 1), (3, 30)]
    for _ in range(100):
        if session.rows("SELECT count(*) FROM named") == [(2,)]:
            break
        pause(0.05)
    assert session.rows("SELECT k, day, v FROM named ORDER BY k") == [(1, "1", 1), (3, "1", 30)]


def test_a_file_of_many_windows(session: Session) -> None:
    job = session.load("many", "hdfs://cluster/qe/day=1/big.csv")
    assert job["State"] == "FINISHED", job["ErrorMsg"]
    assert session.rows("SELECT count(*), sum(v), max(k) FROM many") == [
        (300_000, 300_000, 299_999)
    ]


@pytest.mark.parametrize(
    ("label", "path", "tail", "words"),
    [
        (
            "gone",
            "hdfs://cluster/qe/day=1/gone.csv",
            'WITH BROKER "hdfs"',
            "No source file in this table(gone)",
        ),
        ("folder", "hdfs://cluster/qe/day=1", 'WITH BROKER "hdfs"', "No source file"),
        ("none", "hdfs://cluster/qe/*/x*.csv", 'WITH BROKER "hdfs"', "No source file"),
        ("nowhere", "hdfs://elsewhere/one.csv", 'WITH BROKER "hdfs"', "no broker maps"),
        ("others", "hdfs://cluster/qe/day=1/one.csv", 'WITH BROKER "away"', "no broker maps"),
        ("closed", "hdfs://away/one.csv", 'WITH BROKER "away"', "cannot be read"),
        ("plain", "webhdfs://localhost:1/one.csv", 'WITH BROKER "hdfs"', "lies under none"),
    ],
)
def test_what_is_not_there_or_not_allowed(
    session: Session, label: str, path: str, tail: str, words: str
) -> None:
    job = session.load(label, path, tail)
    assert job["State"] == "CANCELLED"
    assert job["ErrorMsg"].startswith("type:ETL_RUN_FAIL; msg:")
    assert words in job["ErrorMsg"]
    assert session.rows(f"SELECT count(*) FROM {label}") == [(0,)]


def test_redirects_lead_to_configured_hosts_alone(hdfs: Hdfs, tmp_path: Path) -> None:
    with start_server(
        tmp_path / "data", *options(hdfs, has_data_node=False), has_sql=True
    ) as server:
        session = begin(server, hdfs)
        job = session.load("astray", "hdfs://cluster/qe/day=1/one.csv")
        session.connection.close()
    assert job["State"] == "CANCELLED"
    assert f"127.0.0.1:{hdfs.data_port}" in job["ErrorMsg"]
    assert "not configured" in job["ErrorMsg"]
