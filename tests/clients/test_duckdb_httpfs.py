"""DuckDB's httpfs against a real server, http and https."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Gateway
from tests.clients.examples import example
from tests.clients.programs import Done, Session
from tests.clients.test_environments import pinned
from tests.support.environments import environment
from tests.support.recording import Tape, check_capture

SCRIPT = Path(__file__).parent / "sessions" / "duckdb_httpfs.py"
ROOT = "s3://example3/main/duckdb"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Duck:
    """A connection before one gateway."""

    session: Session
    tape: Tape

    def run(self, statement: str) -> Done:
        return self.session.ask(statement)

    def rows(self, statement: str) -> Any:
        done = self.run(statement)
        assert done.code == 0, done
        return json.loads(done.out)

    def files(self, pattern: str) -> list[str]:
        found = self.rows(f"SELECT file FROM glob('{ROOT}/{pattern}') ORDER BY file")
        return [file.removeprefix(f"{ROOT}/") for (file,) in found]


@pytest.fixture(scope="module")
def duck(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duck]:
    folder = tmp_path_factory.mktemp("duckdb")
    with gateway.tape() as tape:
        session = Session(environment("duckdb-httpfs").python, SCRIPT, env={}, cwd=folder)
        made = Duck(session, tape)
        try:
            secret = example("DuckDB").replace("127.0.0.1:8000", tape.url.split("/")[-1])
            if gateway.ca_file:
                secret = secret.replace("USE_SSL false", "USE_SSL true")
                made.rows(f"SET ca_cert_file = '{gateway.ca_file}'")
                made.rows("SET enable_server_cert_verification = true")
            # One thread: the order of columns' pages, and so the sizes of files, stay the same.
            made.rows("SET threads = 1")
            made.rows("SET http_retries = 0")
            made.rows(secret)
            yield made
        finally:
            session.close()


def test_write_overwrite_and_read(duck: Duck) -> None:
    file = f"{ROOT}/w/a b+é=.csv"
    with duck.tape.step("write"):
        duck.rows(f"COPY (SELECT 1 AS a, 'first' AS b) TO '{file}'")
    with duck.tape.step("overwrite"):
        duck.rows(f"COPY (SELECT 2 AS a, 'second' AS b) TO '{file}'")
    with duck.tape.step("read"):
        assert duck.rows(f"FROM '{file}'") == [[2, "second"]]
    assert duck.rows(f"SELECT content FROM read_text('{file}')") == [["a,b\n2,second\n"]]


def test_ranges_of_parquet(duck: Duck) -> None:
    file = f"{ROOT}/ranges.parquet"
    wide = "SELECT i, hash(i) AS h, repeat(md5(i::text), 4) AS wide FROM range(40000) t(i)"
    with duck.tape.step("write Parquet"):
        duck.rows(f"COPY ({wide}) TO '{file}' (COMPRESSION uncompressed)")
    with duck.tape.step("read a column"):
        assert duck.rows(f"SELECT sum(i) FROM '{file}'") == [[40000 * 39999 // 2]]
    same = f"SELECT count(*) FROM (FROM '{file}' EXCEPT {wide})"
    assert duck.rows(same) == [[0]]


def test_list_partitions(duck: Duck) -> None:
    source = "SELECT i, i % 3 AS p FROM range(9) t(i)"
    with duck.tape.step("write partitions"):
        duck.rows(f"COPY ({source}) TO '{ROOT}/parts' (FORMAT parquet, PARTITION_BY p)")
    with duck.tape.step("list"):
        found = duck.files("parts/*/*.parquet")
    assert found == [f"parts/p={number}/data_0.parquet" for number in range(3)]
    with duck.tape.step("read a partition"):
        read = f"SELECT i FROM read_parquet('{ROOT}/parts/**', hive_partitioning = true)"
        assert duck.rows(f"{read} WHERE p = 1 ORDER BY i") == [[1], [4], [7]]


def test_overwriting_partitions_deletes_recursively(duck: Duck) -> None:
    for first, mode in ((0, ""), (10, ", OVERWRITE")):
        source = f"SELECT i, i AS p FROM range({first}, {first + 3}) t(i)"
        with duck.tape.step("overwrite partitions" if mode else "write more partitions"):
            duck.rows(f"COPY ({source}) TO '{ROOT}/old' (FORMAT parquet, PARTITION_BY p{mode})")
    assert duck.files("old/**") == [f"old/p={number}/data_0.parquet" for number in (10, 11, 12)]


def test_multipart(duck: Duck) -> None:
    # Parts of 5 MiB: the smallest that DuckDB makes.
    duck.rows("SET s3_uploader_max_filesize = '50GB'")
    file = f"{ROOT}/large.csv"
    lines = "SELECT i, repeat(md5(i::text), 16) AS wide FROM range(20000) t(i)"
    with duck.tape.step("multipart"):
        duck.rows(f"COPY ({lines}) TO '{file}' (HEADER false)")
    (size,) = duck.rows(f"SELECT size FROM read_blob('{file}')")[0]
    assert size > 10_000_000
    assert duck.rows(f"SELECT count(*) FROM (FROM '{file}' t(i, wide) EXCEPT {lines})") == [[0]]


def test_failures(duck: Duck) -> None:
    with duck.tape.step("unknown branch"):
        done = duck.run("COPY (SELECT 1) TO 's3://example3/nowhere/f.csv'")
    assert done.code == 1
    assert "Not Found (HTTP code 404) NoSuchKey: no branch 'nowhere' in 'example3'" in done.said
    with duck.tape.step("nothing there"):
        done = duck.run(f"FROM '{ROOT}/nothing.parquet'")
    assert done.code == 1
    assert "HTTP 404 Not Found" in done.said


def test_what_is_sent_was_recorded(duck: Duck) -> None:
    check_capture(duck.tape, "duckdb-httpfs", pinned("duckdb-httpfs", "duckdb-extension-httpfs"))
