"""Load jobs of what cannot be loaded: state, message and counts, nothing seen, label free."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.jobs.show_load import LOAD_COLUMNS
from tests.support.whole import Whole, open_whole

TABLE = (
    "CREATE TABLE {} (k INT NOT NULL, day DATE NOT NULL, name VARCHAR(4) REPLACE NULL, "
    "v INT SUM NOT NULL) AGGREGATE KEY(k, day) "
    'PARTITION BY RANGE(k) (PARTITION p VALUES LESS THAN ("100")) '
    "DISTRIBUTED BY HASH(k) BUCKETS 1"
)
GOOD = b"1\t2020-02-29\tabcd\t5\n"
WAIT_S = 60


@dataclass
class Bench:
    """A warehouse whose broker `hdfs` reads `folder`, and a table for one test."""

    whole: Whole
    folder: Path
    table: str

    @property
    def label(self) -> str:
        return f"load_{self.table}"

    def statement(self, url: str = "", inside: str = "", more: str = "") -> str:
        url = url or f"hdfs://far/{self.table}"
        return (
            f'LOAD LABEL {self.label} (DATA INFILE("{url}") INTO TABLE {self.table} {inside}) '
            f'WITH BROKER "hdfs" {more}'
        )

    def load(
        self, body: bytes | None = None, *, url: str = "", inside: str = "", more: str = ""
    ) -> dict[str, str | None]:
        """Load a file and return its job as SHOW LOAD says it when it is over."""
        if body is not None:
            (self.folder / self.table).write_bytes(body)
        self.whole.run(self.statement(url, inside, more))
        assert self.whole.warehousing.jobs.wait(WAIT_S)
        rows = self.whole.run(f"SHOW LOAD WHERE LABEL = '{self.label}' ORDER BY JobId")
        return dict(zip(LOAD_COLUMNS, rows[-1], strict=True))

    def sum(self) -> int | None:
        ((found,),) = self.whole.run(f"SELECT SUM(v) FROM {self.table}")
        return None if found is None else int(found)

    def check_left(self) -> None:
        """Nothing of a failed job is there, and its label may be used."""
        assert self.sum() is None
        assert self.load(GOOD)["State"] == "FINISHED"
        assert self.sum() == 5


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Whole, Path]]:
    directory = tmp_path_factory.mktemp("bad-loads")
    folder = directory / "files"
    folder.mkdir()
    with open_whole(directory / "data", [folder]) as whole:
        yield whole, folder


@pytest.fixture
def bench(joined: tuple[Whole, Path]) -> Bench:
    whole, folder = joined
    return Bench(whole, folder, whole.create(TABLE))


BAD_ROWS = {
    "too few columns": (b"1\t2020-01-01\tab\n", "is  less than  schema column number.actual"),
    "too many columns": (
        b"1\t2020-01-01\tab\t1\t2\n",
        "is  more than  schema column number.actual",
    ),
    "uncastable": (b"x\t2020-01-01\tab\t1\n", "column(k) values is null while columns is not"),
    "over-long": (b"1\t2020-01-01\tabcde\t1\n", "schema length: 4; actual length: 5; "),
    "no partition": (b"100\t2020-01-01\tab\t1\n", "no partition for this tuple. tuple="),
    "broken UTF-8": (b"1\t2020-01-01\t\xc3\t1\n", "Only support csv data in utf8 codec"),
    "year 10000": (b"1\t10000-01-01\tab\t1\n", "column(day) values is null while columns is not"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_cancels_a_job_and_is_logged(bench: Bench, line: bytes, reason: str) -> None:
    job = bench.load(GOOD + line)
    assert (job["State"], job["ErrorMsg"]) == (
        "CANCELLED",
        "type:ETL_QUALITY_UNSATISFIED; msg:quality not good enough to cancel",
    )
    assert job["EtlInfo"] == "unselected.rows=0; dpp.abnorm.ALL=1; dpp.norm.ALL=1"
    assert reason in bench.whole.error_log(str(job["URL"]))
    warnings = bench.whole.run(f'SHOW LOAD WARNINGS ON "{job["URL"]}"')
    assert len(warnings) == 1
    assert reason in warnings[0][2]
    bench.check_left()


@pytest.mark.parametrize(("line", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_within_the_ratio_is_left_out(bench: Bench, line: bytes, reason: str) -> None:
    job = bench.load(GOOD + line, more='PROPERTIES ("max_filter_ratio" = "0.5")')
    assert (job["State"], job["ErrorMsg"]) == ("FINISHED", None)
    assert job["EtlInfo"] == "unselected.rows=0; dpp.abnorm.ALL=1; dpp.norm.ALL=1"
    assert reason in bench.whole.error_log(str(job["URL"]))
    assert bench.sum() == 5


@pytest.mark.parametrize(
    ("body", "inside", "message"),
    [
        pytest.param(
            gzip.compress(GOOD * 1_000)[:-9],
            'COMPRESS_TYPE AS "gz"',
            r"type:LOAD_RUN_FAIL; msg:errCode = 2, detailMessage = "
            r"the gz stream is broken or ends too early: .*",
            id="truncated gz",
        ),
        pytest.param(
            GOOD,
            "(k, day, name, w) SET (v = nope + 1)",
            r"type:LOAD_RUN_FAIL; msg:Unknown column 'nope' in '.*'",
            id="unknown column in SET",
        ),
        pytest.param(
            GOOD,
            "(k, day, name, w) SET (nope = w)",
            r"type:LOAD_RUN_FAIL; msg:Unknown column 'nope' in '.*'",
            id="unknown column assigned",
        ),
        pytest.param(
            GOOD,
            "WHERE nope = 1",
            r"type:LOAD_RUN_FAIL; msg:Unknown column 'nope' in '.*'",
            id="unknown column in WHERE",
        ),
        pytest.param(
            GOOD,
            "WHERE k > 1",
            r"type:LOAD_RUN_FAIL; msg:all partitions have no load data",
            id="no rows",
        ),
        pytest.param(
            b"PAR1 is not enough",
            'FORMAT AS "parquet"',
            r"type:LOAD_RUN_FAIL; msg:.+",
            id="broken Parquet",
        ),
    ],
)
def test_what_breaks_a_job(bench: Bench, body: bytes, inside: str, message: str) -> None:
    job = bench.load(body, inside=inside)
    assert job["State"] == "CANCELLED"
    assert re.fullmatch(message, str(job["ErrorMsg"])), job["ErrorMsg"]
    assert (job["URL"], job["Progress"]) == (None, "ETL:N/A; LOAD:N/A")
    bench.check_left()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hdfs://far/nope", "No source file in this table({table})."),
        ("hdfs://far/nope*", "No source file in this table({table})."),
        ("hdfs://elsewhere/nope", ""),
        ("file:///etc/passwd", ""),
        ("hdfs://far/../../etc/passwd", ""),
    ],
)
def test_a_missing_file_and_one_that_may_not_be_read(bench: Bench, url: str, message: str) -> None:
    job = bench.load(url=url)
    assert job["State"] == "CANCELLED"
    told = str(job["ErrorMsg"])
    assert told.startswith("type:ETL_RUN_FAIL; msg:")
    assert message.format(table=bench.table) in told
    assert "root:" not in told
    assert job["EtlInfo"] is None
    bench.check_left()


def test_the_paths_of_a_description_together_must_find_a_file(bench: Bench) -> None:
    (bench.folder / "there").write_bytes(GOOD)
    job = bench.load(url='hdfs://far/there", "hdfs://far/gone')
    assert (job["State"], bench.sum()) == ("FINISHED", 5)


def test_an_unknown_broker_table_and_property_are_told_at_once(bench: Bench) -> None:
    text = bench.statement()
    cases = {
        text.replace('BROKER "hdfs"', 'BROKER "nope"'): (
            1105, "errCode = 2, detailMessage = Unknown broker name(nope)"
        ),
        text.replace(f"TABLE {bench.table}", "TABLE nope"): (
            1146, "Table 'db.nope' doesn't exist"
        ),
        text.replace("LABEL ", "LABEL nope."): (1049, "Unknown database 'nope'"),
        text + 'PROPERTIES ("nope" = "1")': (
            1105, "errCode = 2, detailMessage = Unknown properties: {nope=1}"
        ),
        text + 'PROPERTIES ("max_filter_ratio" = "2")': (1105, None),
        text + 'PROPERTIES ("timeout" = "0")': (1105, None),
    }  # fmt: skip
    for statement, (code, message) in cases.items():
        error = bench.whole.refused(statement)
        assert error.code == code, (statement, error.message)
        assert message in (None, error.message)
    assert not bench.whole.run(f"SHOW LOAD WHERE LABEL = '{bench.label}'")
    bench.check_left()


def test_an_unknown_partition_is_told_with_its_table(bench: Bench) -> None:
    answer = bench.whole.load(bench.table, GOOD, label=bench.label, partitions="p9")
    assert (answer["Status"], answer["Message"]) == (
        "Fail",
        f"Unknown partition 'p9' in table '{bench.table}'",
    )


def test_a_label_is_taken_once(bench: Bench) -> None:
    first = bench.load(GOOD)
    error = bench.whole.refused(bench.statement())
    assert (error.code, error.message) == (
        1105,
        (
            f"errCode = 2, detailMessage = Label [{bench.label}] has already been used, "
            f"relate to txn [{first['TransactionId']}], status [VISIBLE]."
        ),
    )
    answer = bench.whole.load(bench.table, GOOD, label=bench.label)
    assert answer["Status"] == "Label Already Exists"
    assert answer["ExistingJobStatus"] == "FINISHED"
    assert bench.sum() == 5


def test_a_label_is_no_label(bench: Bench) -> None:
    text = bench.statement()
    for label in ("`a b`", "`" + "x" * (limits.LABEL_LENGTH_MAX + 1) + "`", "`é`"):
        assert bench.whole.refused(text.replace(bench.label, label)).code in (1105, 1064)


def test_a_statement_over_the_limit(bench: Bench) -> None:
    long = "x" * limits.LOAD_STATEMENT_BYTES_MAX
    error = bench.whole.refused(bench.statement(url=f"hdfs://far/{long}"))
    assert error.message == (
        f"errCode = 2, detailMessage = the LOAD is longer than {limits.LOAD_STATEMENT_BYTES_MAX} "
        "bytes"
    )
    bench.check_left()


def test_one_bad_table_leaves_the_others_empty(bench: Bench) -> None:
    other = bench.whole.create(TABLE)
    (bench.folder / bench.table).write_bytes(GOOD)
    (bench.folder / other).write_bytes(GOOD + b"x\n")
    both = (
        f'LOAD LABEL {bench.label} (DATA INFILE("hdfs://far/{bench.table}") INTO TABLE '
        f'{bench.table}, DATA INFILE("hdfs://far/{other}") INTO TABLE {other}) WITH BROKER hdfs'
    )
    bench.whole.run(both)
    assert bench.whole.warehousing.jobs.wait(WAIT_S)
    ((state, info),) = (
        (row[2], row[5]) for row in bench.whole.run(f"SHOW LOAD WHERE LABEL = '{bench.label}'")
    )
    assert (state, info) == ("CANCELLED", "unselected.rows=0; dpp.abnorm.ALL=1; dpp.norm.ALL=2")
    assert bench.whole.run(f"SELECT COUNT(*) FROM {other}") == [(0,)]
    bench.check_left()
