"""Error logs: bounded, found by name or URL alone, and gone after their time."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.loading.writing import BadRow
from anabranch.warehousing import shown_host
from tests.support.fakes import FakeIds


@pytest.fixture
def logs(tmp_path: Path) -> ErrorLogs:
    return ErrorLogs(tmp_path / "load_errors", FakeIds(), lambda: "http://h:8030")


def test_a_log_is_found_by_name_and_url(logs: ErrorLogs) -> None:
    name = logs.write([BadRow("too long", "a\nb")])
    wanted = b"Reason: too long. src line: [a\\nb]; \n"
    assert logs.find(name) == logs.find(logs.url(name)) == wanted
    assert logs.url(name) == f"http://h:8030/api/_load_error_log?file={name}"


def test_without_errors_there_is_no_log(logs: ErrorLogs) -> None:
    assert logs.write([]) == ""


@pytest.mark.parametrize(
    "name",
    ["", "x", "../kv.db", "a" * 32, "http://h/?file=../../etc/passwd", "http://[/?file=x", "?x"],
)
def test_other_names_find_nothing(logs: ErrorLogs, name: str) -> None:
    assert logs.find(name) is None


def test_a_log_is_bounded(logs: ErrorLogs) -> None:
    for count in (limits.ERROR_LOG_ROWS_MAX, limits.ERROR_LOG_ROWS_MAX + 1):
        data = logs.find(logs.write([BadRow("r", "x")] * count))
        assert data is not None
        assert data.count(b"\n") == limits.ERROR_LOG_ROWS_MAX
    row = BadRow("r", "x" * (limits.ERROR_LOG_LINE_MAX + 1))
    data = logs.find(logs.write([row]))
    assert data is not None
    assert data.count(b"x") == limits.ERROR_LOG_LINE_MAX
    wide = BadRow("r", "\N{GRINNING FACE}" * limits.ERROR_LOG_LINE_MAX)
    data = logs.find(logs.write([wide] * limits.ERROR_LOG_ROWS_MAX))
    assert data is not None
    assert limits.ERROR_LOG_BYTES_MAX - len(data) < len(data.splitlines()[0]) + 2


def test_text_that_is_no_unicode_is_kept(logs: ErrorLogs) -> None:
    data = logs.find(logs.write([BadRow("r", "a\udcffb")]))
    assert data == b"Reason: r. src line: [a\\udcffb]; \n"


def test_old_logs_are_removed(logs: ErrorLogs, tmp_path: Path) -> None:
    old, young = (logs.write([BadRow("r", "x")]) for _ in range(2))
    now_s = 2_000_000_000
    os.utime(tmp_path / "load_errors" / old, (now_s, now_s - limits.LOAD_JOB_KEEP_S - 1))
    os.utime(tmp_path / "load_errors" / young, (now_s, now_s))
    assert logs.sweep(now_us=now_s * 1_000_000) == 1
    assert logs.find(old) is None
    assert logs.find(young) is not None


def test_a_place_that_cannot_be_written_loses_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    logs = ErrorLogs(tmp_path / "file", FakeIds(), lambda: "http://h")
    assert logs.write([BadRow("r", "x")]) == ""


def test_every_interface_is_told_as_this_machine() -> None:
    for host in ("0.0.0.0", "::"):
        assert shown_host(host) == socket.gethostname()
    for host in ("127.0.0.1", "::1", "lake.example.org"):
        assert shown_host(host) == host
