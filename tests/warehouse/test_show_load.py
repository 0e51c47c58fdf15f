"""SHOW LOAD and its relatives: the cells that clients parse, and which rows a WHERE takes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC

import pytest

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.jobs.load_records import Counts, LoadKind, LoadRecord, LoadState, Scope
from anabranch.warehouse.jobs.show_load import (
    LOAD_COLUMNS,
    STREAM_COLUMNS,
    TRANSACTION_COLUMNS,
    arranged,
    load_row,
    matcher,
    rows_of,
    stream_row,
    transaction_id_of,
    transaction_row,
)
from anabranch.warehouse.sql.loads import LoadFilter, ShowLoad
from anabranch.warehouse.sql.transforms.rendering import zone_of

NOON_US = 1_767_268_800_000_000  # 2026-01-01 12:00:00 UTC
PENDING = LoadRecord(
    id=10_000,
    transaction_id=10_007,
    label="label_1",
    kind=LoadKind.BROKER,
    state=LoadState.PENDING,
    scope=Scope("i", "main", "d", "warehouse", "db"),
    user="root",
    created_us=NOON_US,
    tables=("t",),
)
RUNNING = replace(
    PENDING,
    state=LoadState.LOADING,
    etl_started_us=NOON_US + 1_000_000,
    load_started_us=NOON_US + 2_000_000,
)
COUNTS = Counts(scanned=16, loaded=15, filtered=1, bytes=1_408, files=2, file_bytes=1_408)
FINISHED = RUNNING.published(COUNTS, NOON_US + 3_000_000)


def cells(record: LoadRecord, percent: int = 0, url: str = "") -> dict[str, str | None]:
    return dict(zip(LOAD_COLUMNS, load_row(record, percent, UTC, url), strict=True))


def test_a_finished_job() -> None:
    row = cells(FINISHED, 100)
    details = row.pop("JobDetails")
    assert row == {
        "JobId": "10000",
        "Label": "label_1",
        "State": "FINISHED",
        "Progress": "ETL:100%; LOAD:100%",
        "Type": "BROKER",
        "EtlInfo": "unselected.rows=0; dpp.abnorm.ALL=1; dpp.norm.ALL=15",
        "TaskInfo": "cluster:N/A; timeout(s):14400; max_filter_ratio:0.0",
        "ErrorMsg": None,
        "CreateTime": "2026-01-01 12:00:00",
        "EtlStartTime": "2026-01-01 12:00:01",
        "EtlFinishTime": "2026-01-01 12:00:02",
        "LoadStartTime": "2026-01-01 12:00:02",
        "LoadFinishTime": "2026-01-01 12:00:03",
        "URL": None,
        "TransactionId": "10007",
        "ErrorTablets": "{}",
        "User": "root",
        "Comment": "",
    }
    assert json.loads(details or "") == {
        "Unfinished backends": {},
        "ScannedRows": 16,
        "TaskNumber": 1,
        "LoadBytes": 1408,
        "All backends": {},
        "FileNumber": 2,
        "FileSize": 1408,
    }


@pytest.mark.parametrize(
    ("record", "percent", "progress"),
    [
        (PENDING, 0, "ETL:0%; LOAD:0%"),
        (replace(RUNNING, state=LoadState.ETL), 0, "ETL:0%; LOAD:0%"),
        (RUNNING, 40, "ETL:100%; LOAD:40%"),
        (RUNNING.failed("USER_CANCEL", "user cancel", NOON_US), 0, "ETL:N/A; LOAD:N/A"),
    ],
)
def test_progress(record: LoadRecord, percent: int, progress: str) -> None:
    assert cells(record, percent)["Progress"] == progress


def test_a_cancelled_job_says_why() -> None:
    row = cells(RUNNING.failed("LOAD_RUN_FAIL", "no such file", NOON_US), url="http://h/x")
    assert row["ErrorMsg"] == "type:LOAD_RUN_FAIL; msg:no such file"
    assert (row["EtlInfo"], row["URL"]) == (None, "http://h/x")


def test_a_job_that_waits_has_no_times_yet() -> None:
    row = cells(PENDING)
    names = ("EtlStartTime", "EtlFinishTime", "LoadStartTime", "LoadFinishTime", "EtlInfo")
    assert [row[name] for name in names] == [None] * 5


def test_times_are_of_the_session() -> None:
    row = load_row(FINISHED, 100, zone_of("+08:00"), "")
    assert row[LOAD_COLUMNS.index("CreateTime")] == "2026-01-01 20:00:00"


def test_stream_loads_and_transactions() -> None:
    stream = replace(PENDING, kind=LoadKind.STREAM, state=LoadState.PREPARE)
    done = stream.published(COUNTS, NOON_US)
    row = dict(zip(STREAM_COLUMNS, stream_row(done, UTC, ""), strict=True))
    assert (row["Status"], row["Message"], row["Url"]) == ("Success", "OK", "N/A")
    assert (row["TotalRows"], row["FilteredRows"]) == ("16", "1")
    shown = dict(zip(TRANSACTION_COLUMNS, transaction_row(done, UTC, "h"), strict=True))
    assert (shown["TransactionStatus"], shown["LoadJobSourceType"]) == (
        "VISIBLE",
        "BACKEND_STREAMING",
    )
    states = {
        RUNNING: "PREPARE",
        FINISHED: "VISIBLE",
        RUNNING.failed("TIMEOUT", "late", NOON_US): "ABORTED",
    }
    for record, state in states.items():
        found = dict(zip(TRANSACTION_COLUMNS, transaction_row(record, UTC, "h"), strict=True))
        assert found["TransactionStatus"] == state


@pytest.mark.parametrize(
    ("where", "is_taken"),
    [
        (LoadFilter(), True),
        (LoadFilter(label="label_1"), True),
        (LoadFilter(label="LABEL_1"), False),
        (LoadFilter(label_pattern="abel"), True),
        (LoadFilter(label_pattern="lab%"), True),
        (LoadFilter(label_pattern="%_1"), True),
        (LoadFilter(label_pattern="abel%"), False),
        (LoadFilter(label_pattern="%%%%%%%%%%2"), False),
        (LoadFilter(state="PENDING"), True),
        (LoadFilter(label="label_1", state="FINISHED"), False),
    ],
)
def test_filters(where: LoadFilter, is_taken: bool) -> None:
    assert matcher(where)(PENDING) is is_taken


def test_order_and_limit() -> None:
    rows = [
        load_row(replace(PENDING, id=number, label=label), 0, UTC, "")
        for number, label in ((9, "b"), (10, "a"), (11, "b"))
    ]

    def ids(**options: object) -> list[str | None]:
        show = ShowLoad(**options)  # type: ignore[arg-type]  # as the test names them
        return [row[0] for row in arranged(LOAD_COLUMNS, rows, show)]

    assert ids() == ["9", "10", "11"]
    assert ids(order=(("jobid", True),)) == ["11", "10", "9"]
    assert ids(order=(("Label", False), ("JobId", True))) == ["10", "11", "9"]
    assert ids(limit=1, offset=1) == ["10"]
    with pytest.raises(SqlError, match="Unknown column 'x'"):
        ids(order=(("x", False),))


def test_rows_are_texts() -> None:
    rows = rows_of(("a", "b"), [("1", None)])
    (batch,) = rows.batches
    assert batch.to_pydict() == {"a": ["1"], "b": [None]}
    assert [field.name for field in rows.fields] == ["a", "b"]
    assert [batch.num_rows for batch in rows_of(("a",), []).batches] == [0]


@pytest.mark.parametrize(
    ("where", "found"),
    [("ID = 17", 17), ("id=17", 17), ("label = 'x y'", "x y"), ('`LABEL` = "7"', "7")],
)
def test_where_of_show_transaction(where: str, found: int | str) -> None:
    assert transaction_id_of(where) == found


@pytest.mark.parametrize("where", [None, "", "id > 1", "id = 'x'", "id = 1 and label = 'x'"])
def test_where_that_show_transaction_refuses(where: str | None) -> None:
    with pytest.raises(SqlError, match="Where clause should looks like"):
        transaction_id_of(where)
