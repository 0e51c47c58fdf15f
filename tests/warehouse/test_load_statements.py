"""LOAD LABEL to rows of a table: files found, loaded, published, shown, cancelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.access.sealing import Sealer
from anabranch.warehouse.dispatch import Warehouse
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.handlers.loads import SHOWS, STATEMENTS, Loads
from anabranch.warehouse.handlers.standard import standard_handlers
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.load_jobs import LoadJobs
from anabranch.warehouse.jobs.load_records import LoadRecords
from anabranch.warehouse.jobs.load_running import LoadRunner, path_value
from anabranch.warehouse.jobs.show_load import LOAD_COLUMNS, WARNING_COLUMNS
from anabranch.warehouse.loading.load import Loader
from anabranch.warehouse.origins.brokers import Brokers, parse_brokers
from anabranch.warehouse.origins.opening import Origins
from anabranch.warehouse.registry import Registry
from anabranch.warehouse.results import Done, FileRequest
from tests.support.sql_clients import Client, open_client

TABLE = (
    "CREATE TABLE t (k int NOT NULL, day varchar(20) REPLACE NULL, v bigint SUM DEFAULT '0') "
    "AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)"
)


@dataclass
class Bench:
    """A client whose statements include loads of the files in `folder`."""

    client: Client
    jobs: LoadJobs
    folder: Path

    def put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def load(self, inside: str, *, label: str = "a", more: str = "") -> dict[str, str | None]:
        self.client.do(
            f'LOAD LABEL db.{label} ({inside}) WITH BROKER "hdfs" ("username" = "x") {more}'
        )
        assert self.jobs.wait(60)
        return self.shown()[-1]

    def shown(self, where: str = "") -> list[dict[str, str | None]]:
        rows = self.client.rows(f"SHOW LOAD FROM db {where}")
        return [dict(zip(LOAD_COLUMNS, row, strict=True)) for row in rows]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / "files"
    folder.mkdir()
    own = tmp_path / "own"
    own.mkdir()
    with open_client(own) as client:
        parts = client.parts
        root = f"local://{folder}"
        brokers = Brokers(parse_brokers([f"hdfs=hdfs://xxxxxxxx/data={root}"], [root]))
        spool = own / "engine" / "spool"
        spool.mkdir()
        loader = Loader(parts.clock, spool)
        parts = replace(parts, loader=loader)
        runner = LoadRunner(
            parts.lake,
            parts.engine,
            parts.tables,
            loader,
            brokers,
            Origins(parts.lake, [root]),
        )
        jobs = LoadJobs(
            LoadRecords(parts.lake, parts.labels),
            runner,
            parts.publisher,
            parts.databases,
            ErrorLogs(own / "load_errors", parts.ids, lambda: "http://127.0.0.1:8030"),
            parts.clock,
            parts.ids,
            Sealer(b"k" * 32, parts.ids),
        )
        loads = Loads(parts, jobs)
        own_handlers = Registry(dict.fromkeys(STATEMENTS, loads), dict.fromkeys(SHOWS, loads))
        warehouse = Warehouse(parts, standard_handlers(parts).joined(own_handlers))
        try:
            client.do(TABLE)
            yield Bench(replace(client, warehouse=warehouse, parts=parts), jobs, folder)
        finally:
            jobs.close()


def test_files_of_a_broker(bench: Bench) -> None:
    bench.put("day=1/a.txt", "1\t10\n2\t20\n")
    bench.put("day=2/b.txt", "2\t5\n")
    row = bench.load(
        'DATA INFILE("hdfs://xxxxxxxx/data/day=*/*.txt") INTO TABLE t (k, v) '
        "COLUMNS FROM PATH AS (day)"
    )
    assert (row["State"], row["ErrorMsg"]) == ("FINISHED", None)
    assert row["EtlInfo"] == "unselected.rows=0; dpp.abnorm.ALL=0; dpp.norm.ALL=3"
    details = json.loads(row["JobDetails"] or "")
    assert (details["FileNumber"], details["FileSize"], details["LoadBytes"]) == (2, 14, 14)
    assert details["ScannedRows"] == 3
    assert bench.client.rows("SELECT * FROM t ORDER BY k") == [(1, "1", 10), (2, "2", 25)]


def test_parquet(bench: Bench) -> None:
    rows = pa.table({"k": pa.array([1, 2], pa.int32()), "v": [10, 20], "day": ["a", "b"]})
    pq.write_table(rows, bench.folder / "a.parquet")
    row = bench.load(
        'DATA INFILE("hdfs://xxxxxxxx/data/*.parquet") INTO TABLE t FORMAT AS "parquet" (k, day, v)'
    )
    assert (row["State"], row["ErrorMsg"]) == ("FINISHED", None)
    assert bench.client.rows("SELECT * FROM t ORDER BY k") == [(1, "a", 10), (2, "b", 20)]


def test_bad_rows_are_kept_for_the_reader(bench: Bench) -> None:
    bench.put("a.txt", "1\tx\t1\nnone\tx\t2\n")
    inside = 'DATA INFILE("hdfs://xxxxxxxx/data/a.txt") INTO TABLE t'
    row = bench.load(inside)
    assert row["ErrorMsg"] == (
        "type:ETL_QUALITY_UNSATISFIED; msg:quality not good enough to cancel"
    )
    (warning,) = bench.client.rows(f'SHOW LOAD WARNINGS ON "{row["URL"]}"')
    assert "none" in dict(zip(WARNING_COLUMNS, warning, strict=True))["ErrorMsgDetail"]
    (warning,) = bench.client.rows('SHOW LOAD WARNINGS FROM db WHERE LABEL = "a"')
    assert warning[:2] == (row["JobId"], "a")
    row = bench.load(inside, more='PROPERTIES("max_filter_ratio" = "0.5")')
    assert row["State"] == "FINISHED"
    assert bench.client.rows("SELECT count(*) FROM t") == [(1,)]


def test_several_files_and_descriptions_are_one_transaction(bench: Bench) -> None:
    bench.put("a.txt", "1\tx\t1\n")
    bench.put("b.txt", "1\ty\t2\n")
    bench.put("bad.txt", "1\ty\n")
    good = 'DATA INFILE("hdfs://xxxxxxxx/data/{a,b}.txt") INTO TABLE t'
    bad = 'DATA INFILE("hdfs://xxxxxxxx/data/bad.txt") INTO TABLE t'
    assert bench.load(f"{good}, {bad}")["State"] == "CANCELLED"
    assert bench.client.rows("SELECT count(*) FROM t") == [(0,)]
    assert bench.load(f"{good}, {good}")["State"] == "FINISHED"
    assert bench.client.rows("SELECT v FROM t") == [(6,)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hdfs://xxxxxxxx/data/none.txt", "No source file in this table(t)."),
        ("hdfs://xxxxxxxx/data/folder", "No source file in this table(t)."),
        ("hdfs://other/a.txt", "no broker maps"),
        ("file:///etc/hostname", "none of the places"),
        ("http://169.254.169.254/latest", "none of the places"),
    ],
)
def test_files_that_are_not_there_or_not_allowed(bench: Bench, url: str, message: str) -> None:
    bench.put("folder/a.txt", "1\tx\t1\n")
    row = bench.load(f'DATA INFILE("{url}") INTO TABLE t')
    assert row["State"] == "CANCELLED"
    assert (row["ErrorMsg"] or "").startswith("type:ETL_RUN_FAIL; msg:")
    assert message in (row["ErrorMsg"] or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('LOAD LABEL db.a (DATA INFILE("file:///x") INTO TABLE u) WITH BROKER hdfs', "u' doesn't"),
        ('LOAD LABEL no.a (DATA INFILE("file:///x") INTO TABLE t) WITH BROKER hdfs', "database"),
        ('LOAD LABEL db.a (DATA INFILE("file:///x") INTO TABLE t) WITH BROKER b', "broker name(b)"),
        ('CANCEL LOAD FROM db WHERE LABEL = "a"', "Load job does not exist"),
        ('SHOW LOAD WARNINGS ON "http://h/api/_load_error_log?file=../kv.db"', "no error log"),
        ("SHOW TRANSACTION FROM db WHERE ID = 5", "transaction with id 5 does not exist"),
    ],
)
def test_statements_that_fail_at_once(bench: Bench, text: str, message: str) -> None:
    assert message in bench.client.refused(text).message
    assert bench.shown() == []


def test_jobs_are_shown_in_the_order_of_their_ids(bench: Bench) -> None:
    bench.put("a.txt", "1\tx\t1\n")
    for label in ("one", "two", "three"):
        bench.load('DATA INFILE("hdfs://xxxxxxxx/data/a.txt") INTO TABLE t', label=label)
    assert [row["Label"] for row in bench.shown()] == ["one", "two", "three"]
    assert [row["Label"] for row in bench.shown('WHERE LABEL LIKE "t" LIMIT 1')] == ["two"]
    number = bench.shown()[0]["TransactionId"]
    (row,) = bench.client.rows(f"SHOW TRANSACTION FROM db WHERE ID = {number}")
    assert row[1:4] == ("one", "FE: 127.0.0.1", "VISIBLE")
    assert bench.client.rows("SHOW STREAM LOAD FROM db") == []


def send(bench: Bench, text: str, data: bytes) -> Done:
    """Run LOAD DATA as a client that has the file does."""
    results = bench.client.warehouse.run(bench.client.session, text)
    request = next(results)
    assert isinstance(request, FileRequest)
    assert request.file_name == "x.csv"
    for at in range(0, len(data), 5):
        request.write(data[at : at + 5])
    done = next(results)
    assert isinstance(done, Done)
    assert next(results, None) is None
    return done


def test_a_file_of_the_client(bench: Bench) -> None:
    text = (
        'LOAD DATA LOCAL INFILE "x.csv" INTO TABLE t COLUMNS TERMINATED BY "," IGNORE 1 LINES '
        '(k, day, v) PROPERTIES ("max_filter_ratio" = "0.5")'
    )
    done = send(bench, text, b"k,day,v\n1,a,10\n2,b,20\nx,c,30\n")
    assert (done.affected_rows, done.info) == (
        2,
        "Records: 3  Deleted: 0  Skipped: 1  Warnings: 0",
    )
    assert bench.client.rows("SELECT * FROM t ORDER BY k") == [(1, "a", 10), (2, "b", 20)]
    (row,) = bench.shown()
    assert (row["Type"], row["State"]) == ("INSERT", "FINISHED")


def test_a_file_of_the_client_with_too_many_bad_rows(bench: Bench) -> None:
    with pytest.raises(SqlError, match=r"too many filtered rows.* url: http://127\.0\.0\.1:8030/"):
        send(bench, 'LOAD DATA LOCAL INFILE "x.csv" INTO TABLE t', b"x\ty\t1\n")
    assert bench.client.rows("SELECT count(*) FROM t") == [(0,)]


def test_files_of_the_server_are_no_load_data(bench: Bench) -> None:
    refused = bench.client.refused('LOAD DATA INFILE "/etc/hostname" INTO TABLE t')
    assert "is not enabled" in refused.message


def test_the_seeds_load(bench: Bench, shared: Path) -> None:
    (bench.folder / "qe").mkdir()
    data = (shared / "data" / "doris" / "baseall.txt").read_bytes()
    (bench.folder / "qe" / "baseall.txt").write_bytes(data)
    names = ["k1", "k2", "k3", "k4", "k5", "k6", "k10", "k11", "k7", "k8", "k9"]
    types = {
        "k1": "tinyint(4)", "k2": "smallint(6) replace NULL", "k3": "int(11) replace NULL",
        "k4": "bigint(20) replace NULL", "k5": "decimal(9,3) replace NULL",
        "k6": "char(11) replace NULL", "k10": "date replace NULL", "k11": "datetime replace NULL",
        "k7": "varchar(51) replace NULL", "k8": "double max", "k9": "float sum",
    }  # fmt: skip
    columns = [f"{name} {types[name]}" for name in names]
    columns += [f"{name}_hll hll hll_union" for name in names]
    bench.client.do(
        f"CREATE TABLE b ({', '.join(columns)}) ENGINE=OLAP DISTRIBUTED BY HASH(k1) BUCKETS 5"
    )
    quoted = ", ".join(f"`{name}`" for name in names)
    ordered = sorted(names, key=lambda name: int(name[1:]))
    made = ", ".join(f"{name}_hll = hll_hash({name})" for name in ordered)
    row = bench.load(
        f'DATA INFILE("hdfs://xxxxxxxx/data/qe/baseall.txt") INTO TABLE `b` ({quoted}) SET({made})'
    )
    assert (row["State"], row["ErrorMsg"]) == ("FINISHED", None)
    assert bench.client.rows("SELECT count(*) FROM b") == [(15,)]
    found = bench.client.rows("SELECT hll_union_agg(k1_hll), hll_union_agg(k7_hll) FROM b")
    assert found == [(15, 12)]


def test_columns_of_paths() -> None:
    assert path_value("hdfs://h/day=1/hour=2/a=b.txt", "HOUR") == "2"
    assert path_value("hdfs://h/day=__HIVE_DEFAULT_PARTITION__/a", "day") is None
    with pytest.raises(Exception, match=r"Fail to parse columnsFromPath, expected: \[a\]"):
        path_value("hdfs://h/day=1/a=b.txt", "a")
