"""Stream loads of what cannot be loaded: status, message and counts, nothing seen, label free."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from anabranch.kernel import limits
from tests.support.whole import Whole, open_whole

TABLE = (
    "CREATE TABLE {} (k INT NOT NULL, day DATE NOT NULL, name VARCHAR(4) REPLACE NULL, "
    "v INT SUM NOT NULL) AGGREGATE KEY(k, day) "
    'PARTITION BY RANGE(k) (PARTITION p VALUES LESS THAN ("100")) '
    "DISTRIBUTED BY HASH(k) BUCKETS 1"
)
GOOD = b"1\t2020-02-29\tabcd\t5\n"
TOO_MANY = "[DATA_QUALITY_ERROR]too many filtered rows"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with open_whole(tmp_path_factory.mktemp("bad-input") / "data") as opened:
        yield opened


@pytest.fixture
def table(whole: Whole) -> str:
    return whole.create(TABLE)


def counts(answer: dict[str, Any]) -> tuple[int, int, int, int]:
    names = ("Total", "Loaded", "Filtered", "Unselected")
    found = [answer[f"Number{name}Rows"] for name in names]
    return found[0], found[1], found[2], found[3]


def sum_of(whole: Whole, table: str) -> int | None:
    ((found,),) = whole.run(f"SELECT SUM(v) FROM {table}")
    return None if found is None else int(found)


def check_left(whole: Whole, table: str, label: str) -> None:
    """Nothing of a failed load is there, and its label may be used."""
    assert sum_of(whole, table) is None
    assert whole.load(table, GOOD, label=label)["Status"] == "Success"
    assert sum_of(whole, table) == 5


@dataclass(frozen=True)
class Bad:
    """A line that is no row of the table, and a part of the reason that the log gives."""

    line: bytes
    reason: str
    shown: str


BAD_ROWS = {
    "too few columns": Bad(
        b"1\t2020-01-01\tab\n",
        "actual column number in csv file is  less than  schema column number."
        "actual number: 3, schema column number: 4; "
        "line delimiter: [\\n], column separator: [\\t], ",
        "1\t2020-01-01\tab",
    ),
    "too many columns": Bad(
        b"1\t2020-01-01\tab\t1\t2\n",
        "actual column number in csv file is  more than  schema column number."
        "actual number: 5, schema column number: 4; ",
        "1\t2020-01-01\tab\t1\t2",
    ),
    "uncastable": Bad(
        b"1\t2020-01-01\tab\tfive\n",
        "column(v) values is null while columns is not nullable",
        "1\t2020-01-01\tab\tfive",
    ),
    "out of range": Bad(
        b"1\t2020-01-01\tab\t2147483648\n",
        "column(v) values is null while columns is not nullable",
        "1\t2020-01-01\tab\t2147483648",
    ),
    "over-long": Bad(
        b"1\t2020-01-01\tabcde\t1\n",
        "column_name[name], the length of input is too long than schema. first 32 bytes of "
        "input str: [abcde] schema length: 4; actual length: 5; ",
        "1\t2020-01-01\tabcde\t1",
    ),
    "over-long in bytes": Bad(
        "1\t2020-01-01\täää\t1\n".encode(),
        "schema length: 4; actual length: 6; ",
        "1\t2020-01-01\täää\t1",
    ),
    "no partition": Bad(
        b"100\t2020-01-01\tab\t1\n", "no partition for this tuple. tuple=", "100\t2020-01-01\tab\t1"
    ),
    "broken UTF-8": Bad(
        b"1\t2020-01-01\t\xff\xfe\t1\n",
        "Only support csv data in utf8 codec",
        "Unable to display.",
    ),
    "year 10000": Bad(
        b"1\t10000-01-01\tab\t1\n",
        "column(day) values is null while columns is not nullable",
        "1\t10000-01-01\tab\t1",
    ),
    "no such day": Bad(
        b"1\t2019-02-29\tab\t1\n",
        "column(day) values is null while columns is not nullable",
        "1\t2019-02-29\tab\t1",
    ),
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_fails_a_load_and_is_logged(whole: Whole, table: str, bad: Bad) -> None:
    answer = whole.load(table, GOOD + bad.line, label=f"bad-{table}")
    assert (answer["Status"], answer["Message"]) == ("Fail", TOO_MANY)
    assert counts(answer) == (2, 0, 1, 0)
    assert answer["TxnId"] > 0
    (logged,) = whole.error_log(answer["ErrorURL"]).splitlines()
    assert logged.startswith("Reason: ")
    assert bad.reason in logged
    assert f"src line: [{bad.shown}]" in logged
    check_left(whole, table, f"bad-{table}")


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_within_the_ratio_is_left_out(whole: Whole, table: str, bad: Bad) -> None:
    answer = whole.load(table, GOOD + bad.line, label=f"some-{table}", max_filter_ratio="0.5")
    assert (answer["Status"], answer["Message"]) == ("Success", "OK")
    assert counts(answer) == (2, 1, 1, 0)
    assert bad.reason in whole.error_log(answer["ErrorURL"])
    assert sum_of(whole, table) == 5


def test_strict_mode_names_what_does_not_cast(whole: Whole) -> None:
    table = whole.create(
        "CREATE TABLE {} (k INT, v INT SUM NULL) AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)"
    )
    body = b"1\t5\n2\tfive\n"
    answer = whole.load(table, body, label=f"strict-{table}", strict_mode="true")
    assert (answer["Status"], answer["Message"]) == ("Fail", TOO_MANY)
    assert counts(answer) == (2, 0, 1, 0)
    reason = "column(v) value is incorrect while strict mode is true, src value is five"
    assert reason in whole.error_log(answer["ErrorURL"])
    assert sum_of(whole, table) is None
    answer = whole.load(table, body, label=f"strict-{table}")
    assert (answer["Status"], counts(answer)) == ("Success", (2, 2, 0, 0))
    assert whole.run(f"SELECT k, v FROM {table} ORDER BY k") == [(1, 5), (2, None)]


def test_only_bad_or_unselected_rows_are_no_load(whole: Whole, table: str) -> None:
    answer = whole.load(table, GOOD, label=f"none-{table}", where="k > 1")
    assert answer["Status"] == "Fail"
    assert answer["Message"] == "all partitions have no load data"
    assert counts(answer) == (1, 0, 0, 1)
    answer = whole.load(table, b"x\n", label=f"none-{table}", max_filter_ratio="1")
    assert (answer["Status"], counts(answer)) == ("Fail", (1, 0, 1, 0))
    answer = whole.load(table, b"", label=f"none-{table}")
    assert (answer["Status"], counts(answer)) == ("Fail", (0, 0, 0, 0))
    check_left(whole, table, f"none-{table}")


ENVELOPE = "errCode = 2, detailMessage = "


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        pytest.param(
            gzip.compress(GOOD * 1_000)[:-9],
            {"compress_type": "gz"},
            f"{ENVELOPE}the gz stream is broken or ends too early: ",
            id="truncated gz",
        ),
        pytest.param(
            b"no gzip",
            {"compress_type": "gz"},
            f"{ENVELOPE}the gz stream is broken or ends too early: ",
            id="no gz",
        ),
        pytest.param(
            GOOD,
            {"columns": "k, day, name, w, v = nope + 1"},
            "Unknown column 'nope' in ",
            id="unknown column in SET",
        ),
        pytest.param(
            GOOD,
            {"columns": "k, day, name, w, nope = w"},
            "Unknown column 'nope' in ",
            id="unknown column assigned",
        ),
        pytest.param(GOOD, {"where": "nope = 1"}, "Unknown column 'nope' in ", id="where"),
        pytest.param(
            GOOD, {"partitions": "nope"}, "Unknown partition 'nope' in table ", id="partition"
        ),
        pytest.param(b"PAR1 is not enough", {"format": "parquet"}, "", id="broken Parquet"),
        pytest.param(
            b"1" * (limits.LOAD_LINE_BYTES_MAX + 1), {}, ENVELOPE, id="a line over the limit"
        ),
    ],
)
def test_what_breaks_a_load_frees_its_label(
    whole: Whole, table: str, body: bytes, headers: dict[str, str], message: str
) -> None:
    answer = whole.load(table, body, label=f"broken-{table}", **headers)
    assert answer["Status"] == "Fail"
    assert answer["Message"].startswith(message), answer["Message"]
    assert answer["Message"]
    assert "Traceback" not in answer["Message"]
    assert (counts(answer), answer["Label"]) == ((0, 0, 0, 0), f"broken-{table}")
    assert answer["TxnId"] > 0
    check_left(whole, table, f"broken-{table}")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"label": "a b"}, "Label format error"),
        ({"label": "x" * 129}, "Label format error"),
        ({"max_filter_ratio": "2"}, "Invalid max filter ratio: 2, must be between 0 and 1"),
        ({"timeout": "0"}, "Invalid timeout format, 1 to 259200 seconds: '0'"),
        ({"format": "xml"}, "This version doesn't yet support 'FORMAT AS xml'"),
        ({"compress_type": "rar"}, "This version doesn't yet support 'COMPRESS_TYPE rar'"),
        ({"column_separator": "\\x0"}, "Invalid column_separator: hex str format error: \\x0"),
        ({"timezone": "Nowhere/At_All"}, "Unknown or incorrect time zone: 'Nowhere/At_All'"),
        ({"two_phase_commit": "maybe"}, "Invalid two_phase_commit format."),
        ({"merge_type": "MERGE"}, "Excepted DELETE ON clause when merge type is MERGE."),
        ({"columns": "k, (", "label": "bad-columns"}, "Invalid columns: ("),
    ],
)
def test_a_bad_header_begins_nothing(
    whole: Whole, table: str, headers: dict[str, str], message: str
) -> None:
    answer = whole.load(table, GOOD, **headers)
    assert (answer["Status"], answer["TxnId"], counts(answer)) == ("Fail", -1, (0, 0, 0, 0))
    assert message in answer["Message"]
    check_left(whole, table, f"header-{table}")


def test_a_broken_json_document_is_one_bad_row(whole: Whole, table: str) -> None:
    answer = whole.load(table, b'{"k": 1,]', label=f"json-{table}", format="json")
    assert (answer["Status"], answer["Message"]) == ("Fail", TOO_MANY)
    assert counts(answer) == (1, 0, 1, 0)
    assert whole.error_log(answer["ErrorURL"]).startswith("Reason: ")
    check_left(whole, table, f"json-{table}")


def test_no_such_table_database_or_branch(whole: Whole) -> None:
    answer = whole.load("nope", GOOD, label="nowhere")
    assert (answer["Status"], answer["TxnId"]) == ("Fail", -1)
    assert answer["Message"] == "Table 'db.nope' doesn't exist"
    _, answer = whole.ask("PUT", "/api/nope/t/_stream_load", GOOD)
    assert (answer["Status"], answer["Message"]) == ("Fail", "Unknown database 'nope'")
    _, answer = whole.ask("PUT", "/api/db@nope/t0/_stream_load", GOOD)
    assert answer["Status"] == "Fail"
    assert "nope" in answer["Message"]


def test_a_wrong_password_begins_nothing(whole: Whole, table: str) -> None:
    for user in ("root:wrong", "nobody:", "nobody"):
        status, answer = whole.ask(
            "PUT", f"{table}/_stream_load", GOOD, user, label=f"denied-{table}"
        )
        assert (status, answer["code"], answer["msg"]) == (401, 401, "Unauthorized")
    check_left(whole, table, f"denied-{table}")


def test_a_label_is_taken_once(whole: Whole, table: str) -> None:
    label = f"once-{table}"
    first = whole.load(table, GOOD, label=label)
    again = whole.load(table, GOOD * 2, label=label)
    assert again["Status"] == "Label Already Exists"
    assert (again["ExistingJobStatus"], again["TxnId"]) == ("FINISHED", -1)
    assert again["Message"] == (
        f"[LABEL_ALREADY_EXISTS]{ENVELOPE}Label [{label}] has already been used, "
        f"relate to txn [{first['TxnId']}], status [VISIBLE]."
    )
    assert counts(again) == (0, 0, 0, 0)
    assert sum_of(whole, table) == 5


def test_a_label_of_a_prepared_load_is_taken(whole: Whole, table: str) -> None:
    label = f"kept-{table}"
    first = whole.load(table, GOOD, label=label, two_phase_commit="true")
    again = whole.load(table, GOOD, label=label)
    assert again["Status"] == "Label Already Exists"
    assert again["ExistingJobStatus"] == "PRECOMMITTED"
    assert sum_of(whole, table) is None
    _, ended = whole.ask("PUT", "_stream_load_2pc", txn_operation="abort", label=label)
    assert ended == {"status": "Success", "msg": f"label [{label}] abort successfully."}
    _, ended = whole.ask(
        "PUT", "_stream_load_2pc", txn_operation="commit", txn_id=str(first["TxnId"])
    )
    assert ended["status"] == "Fail"
    assert "is already ABORTED, not pre-committed." in ended["msg"]
    check_left(whole, table, label)


# Clients that do not send what they promised

LONG = f"Content-Length: {limits.DRAIN_BYTES_MAX + 1}"
"""Of a body whose rest is not waited for before the answer."""


@contextlib.contextmanager
def begun(whole: Whole, table: str, length: str, **headers: str) -> Iterator[socket.socket]:
    """Send the head of a stream load, which says how its body will come."""
    lines = [
        f"PUT /api/db/{table}/_stream_load HTTP/1.1",
        "Host: localhost",
        "Authorization: Basic " + b64encode(b"root:").decode(),
        length,
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    with socket.create_connection(("127.0.0.1", whole.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield connection


def answer_of(connection: socket.socket) -> dict[str, Any]:
    """Return the JSON of an answer."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        if end:
            (length,) = (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            if len(body) >= length:
                found: dict[str, Any] = json.loads(body[:length])
                return found
        more = connection.recv(65_536)
        assert more, data
        data += more


def wait_for_state(whole: Whole, label: str, state: str) -> None:
    for _ in range(500):
        _, answer = whole.ask("GET", f"get_load_state?label={label}")
        if answer["data"] == state:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"{label} is {answer}, not {state}")


def reason_of(whole: Whole, label: str) -> str:
    (row,) = whole.run(f"SHOW STREAM LOAD FROM db WHERE LABEL = '{label}'")
    return str(row[5])


def test_a_body_over_the_limit_is_not_read(whole: Whole, table: str) -> None:
    length = f"Content-Length: {limits.STREAM_LOAD_BYTES_MAX + 1}"
    with begun(whole, table, length, label=f"huge-{table}") as connection:
        answer = answer_of(connection)
    assert (answer["Status"], answer["TxnId"], answer["LoadBytes"]) == ("Fail", -1, 0)
    assert answer["Message"] == (
        f"The size of this batch exceed the max size [{limits.STREAM_LOAD_BYTES_MAX}] of data"
    )
    check_left(whole, table, f"huge-{table}")


@pytest.mark.parametrize(
    ("length", "part"),
    [
        ("Content-Length: 1000000", GOOD * 100),
        ("Content-Length: 1000000", b""),
        ("Transfer-Encoding: chunked", b"800\r\n" + GOOD * 97 + b"1" * 11 + b"\r\n"),
    ],
    ids=["half a body", "no body", "half of the chunks"],
)
@pytest.mark.parametrize("is_two_phase", ["false", "true"])
def test_a_client_that_is_gone_half_way(
    whole: Whole, table: str, length: str, part: bytes, is_two_phase: str
) -> None:
    label = f"gone-{table}"
    with begun(whole, table, length, label=label, two_phase_commit=is_two_phase) as connection:
        connection.sendall(part)
        wait_for_state(whole, label, "PREPARE")
    wait_for_state(whole, label, "ABORTED")
    assert reason_of(whole, label)
    check_left(whole, table, label)


def test_a_client_that_stalls_is_timed_out(whole: Whole, table: str) -> None:
    label = f"stalled-{table}"
    with begun(whole, table, LONG, label=label, timeout="1") as connection:
        connection.sendall(GOOD)
        answer = answer_of(connection)
    assert (answer["Status"], answer["Message"]) == ("Fail", "[TIMEOUT]the load took over 1 s")
    assert answer["TxnId"] > 0
    wait_for_state(whole, label, "ABORTED")
    check_left(whole, table, label)


def test_a_load_that_is_cancelled_ends_while_its_client_still_sends(
    whole: Whole, table: str
) -> None:
    label = f"cancelled-{table}"
    with begun(whole, table, LONG, label=label) as connection:
        connection.sendall(GOOD)
        wait_for_state(whole, label, "PREPARE")
        _, answer = whole.ask("POST", f"_cancel?label={label}")
        assert answer == {"msg": "OK", "status": "Success"}
        ended = answer_of(connection)
    assert (ended["Status"], ended["Message"]) == ("Fail", "User Abort")
    check_left(whole, table, label)


def test_a_load_that_computes_past_its_timeout_is_interrupted(whole: Whole) -> None:
    table = whole.create(
        "CREATE TABLE {} (k VARCHAR(10) NOT NULL, v BIGINT SUM) AGGREGATE KEY(k) "
        "DISTRIBUTED BY HASH(k) BUCKETS 1"
    )
    # Much to compute once the body is there, a little for each row: it ends between batches.
    slow = " + ".join(f"length(md5(repeat(concat(k, '{number}'), 2000)))" for number in range(9))
    body = b"".join(b"%d\n" % number for number in range(100_000, 400_000))
    label = f"slow-{table}"
    answer = whole.load(table, body, label=label, timeout="1", columns=f"k, v = {slow}")
    assert (answer["Status"], answer["Message"]) == ("Fail", "[TIMEOUT]the load took over 1 s")
    assert answer["LoadTimeMs"] < 8_000
    assert sum_of(whole, table) is None
    assert whole.load(table, b"a\t5\n", label=label)["Status"] == "Success"
