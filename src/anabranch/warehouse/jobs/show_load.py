"""Loads as SHOW LOAD, SHOW STREAM LOAD and SHOW TRANSACTION print them: texts, and NULL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, tzinfo

import pyarrow as pa

from anabranch.warehouse.errors import doris, unknown_column
from anabranch.warehouse.jobs.load_records import LoadKind, LoadRecord, LoadState
from anabranch.warehouse.results import Field, Rows
from anabranch.warehouse.sql.loads import LoadFilter, ShowLoad
from anabranch.warehouse.types import ColumnType, SqlType

Cells = tuple[str | None, ...]
LOAD_COLUMNS = (
    "JobId", "Label", "State", "Progress", "Type", "EtlInfo", "TaskInfo", "ErrorMsg", "CreateTime",
    "EtlStartTime", "EtlFinishTime", "LoadStartTime", "LoadFinishTime", "URL", "JobDetails",
    "TransactionId", "ErrorTablets", "User", "Comment",
)  # fmt: skip  # nineteen words read better in three lines
STREAM_COLUMNS = (
    "Label", "Db", "Table", "ClientIp", "Status", "Message", "Url", "TotalRows", "LoadedRows",
    "FilteredRows", "UnselectedRows", "LoadBytes", "StartTime", "FinishTime", "User", "Comment",
)  # fmt: skip
TRANSACTION_COLUMNS = (
    "TransactionId", "Label", "Coordinator", "TransactionStatus", "LoadJobSourceType",
    "PrepareTime", "PreCommitTime", "CommitTime", "PublishTime", "FinishTime", "Reason",
    "ErrorReplicasCount", "ListenerId", "TimeoutMs", "ErrMsg",
)  # fmt: skip
WARNING_COLUMNS = ("JobId", "Label", "ErrorMsgDetail")
_NUMBERS = frozenset(
    {"jobid", "transactionid", "totalrows", "loadedrows", "filteredrows", "loadbytes"}
)
_NAMED = re.compile(
    r"""\s*`?(id|job_?id|label)`?\s*=\s*(?:(\d+)|'([^']*)'|"([^"]*)")\s*;?\s*""", re.IGNORECASE
)
_SOURCES = {
    LoadKind.BROKER: "BATCH_LOAD_JOB",
    LoadKind.INSERT: "INSERT_STREAMING",
    LoadKind.STREAM: "BACKEND_STREAMING",
}


def load_row(record: LoadRecord, percent: int, zone: tzinfo, url: str) -> Cells:
    """Return a row of SHOW LOAD; `url` is of its error log, empty when it has none."""
    started = record.etl_started_us or (record.created_us if record.ended_us else 0)
    loading = record.load_started_us or started
    counts = record.counts
    has_counts = record.state.is_final and (counts.scanned or counts.loaded or counts.filtered)
    return (
        str(record.id),
        record.label,
        str(record.state),
        _progress(record.state, percent),
        str(record.kind),
        f"unselected.rows={counts.unselected}; dpp.abnorm.ALL={counts.filtered}; "
        f"dpp.norm.ALL={counts.loaded}"
        if has_counts
        else None,
        f"cluster:N/A; timeout(s):{record.timeout_s}; max_filter_ratio:{record.max_filter_ratio}",
        f"type:{record.failure}; msg:{record.message}" if record.failure else None,
        show_time(record.created_us, zone),
        show_time(started, zone),
        show_time(loading, zone),
        show_time(loading, zone),
        show_time(record.ended_us, zone),
        url or None,
        _details(record),
        str(record.transaction_id),
        "{}",
        record.user,
        record.comment,
    )


def _progress(state: LoadState, percent: int) -> str:
    match state:
        case LoadState.PENDING:
            return "ETL:0%; LOAD:0%"
        case LoadState.ETL:
            return f"ETL:{percent}%; LOAD:0%"
        case LoadState.CANCELLED:
            return "ETL:N/A; LOAD:N/A"
        case LoadState.FINISHED:
            return "ETL:100%; LOAD:100%"
    return f"ETL:100%; LOAD:{percent}%"


def _details(record: LoadRecord) -> str:
    counts = record.counts
    return json.dumps(
        {
            "Unfinished backends": {},
            "ScannedRows": counts.scanned,
            "TaskNumber": len(record.tables) if record.etl_started_us else 0,
            "LoadBytes": counts.bytes,
            "All backends": {},
            "FileNumber": counts.files,
            "FileSize": counts.file_bytes,
        },
        separators=(",", ":"),
    )


def stream_row(record: LoadRecord, zone: tzinfo, url: str) -> Cells:
    """Return a row of SHOW STREAM LOAD."""
    counts = record.counts
    return (
        record.label,
        record.scope.database,
        ",".join(record.tables),
        record.client,
        "Success" if record.state is LoadState.VISIBLE else "Fail",
        record.message or "OK",
        url or "N/A",
        str(counts.scanned),
        str(counts.loaded),
        str(counts.filtered),
        str(counts.unselected),
        str(counts.bytes),
        show_time(record.created_us, zone),
        show_time(record.ended_us, zone),
        record.user,
        record.comment,
    )


def transaction_row(record: LoadRecord, zone: tzinfo, host: str) -> Cells:
    """Return a row of SHOW TRANSACTION."""
    state = record.state.transaction
    ended = show_time(record.ended_us, zone)
    is_visible = state is LoadState.VISIBLE
    return (
        str(record.transaction_id),
        record.label,
        f"FE: {host}",
        str(state),
        _SOURCES[record.kind],
        show_time(record.created_us, zone),
        show_time(record.load_started_us, zone) if record.prepared else None,
        ended if is_visible else None,
        ended if is_visible else None,
        ended,
        record.message,
        "0",
        "-1",
        str(record.timeout_s * 1_000),
        record.message,
    )


def show_time(time_us: int, zone: tzinfo) -> str | None:
    """Return a time as text, None for one that has not come."""
    if not time_us:
        return None
    return datetime.fromtimestamp(time_us // 1_000_000, zone).strftime("%Y-%m-%d %H:%M:%S")


def matcher(filter_: LoadFilter) -> Callable[[LoadRecord], bool]:
    """Return what tells whether a WHERE takes a record."""
    pattern = None
    if filter_.label_pattern is not None:
        pattern = _like(filter_.label_pattern)

    def matches(record: LoadRecord) -> bool:
        return (
            (filter_.label is None or record.label == filter_.label)
            and (pattern is None or pattern.search(record.label) is not None)
            and (filter_.state is None or record.state == filter_.state)
        )

    return matches


def _like(pattern: str) -> re.Pattern[str]:
    """Return LIKE as an expression to search for; without `%` it is a part of the label."""
    if "%" not in pattern:
        return re.compile(re.escape(pattern))
    found: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "%":
            if found[-1:] != [".*"]:
                found.append(".*")
        elif character == "_":
            found.append(".")
        else:
            if character == "\\" and at + 1 < len(pattern):
                at += 1
            found.append(re.escape(pattern[at]))
        at += 1
    return re.compile(rf"\A{''.join(found)}\Z", re.DOTALL)


def arranged(columns: Sequence[str], rows: Iterable[Cells], show: ShowLoad) -> list[Cells]:
    """Return rows in the order and within the limits that a statement asks for.

    Raises SqlError 1054 for a column that is none.
    """
    found = list(rows)
    names = [column.lower() for column in columns]
    for name, is_descending in reversed(show.order):
        if name.lower() not in names:
            raise unknown_column(name, "order clause")
        index = names.index(name.lower())
        is_number = name.lower() in _NUMBERS

        def key(row: Cells, index: int = index, is_number: bool = is_number) -> tuple[bool, object]:
            cell = row[index]
            return (cell is not None, int(cell or 0) if is_number else cell or "")

        found.sort(key=key, reverse=is_descending)
    end = None if show.limit is None else show.offset + show.limit
    return found[show.offset : end]


def rows_of(columns: Sequence[str], rows: Sequence[Cells]) -> Rows:
    """Return rows of texts as a result."""
    fields = tuple(Field(name, ColumnType(SqlType.STRING)) for name in columns)
    arrays = [pa.array([row[index] for row in rows], pa.string()) for index in range(len(columns))]
    batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
    return Rows(fields, iter([batch]))


def transaction_id_of(where: str | None) -> int | str:
    """Return the id or the label that a WHERE names, as SHOW TRANSACTION's; raise SqlError."""
    found = _NAMED.fullmatch(where or "")
    if found is None:
        raise doris("Where clause should looks like one of them: id = 123 or label = 'xxx'")
    name, number, *texts = found.groups()
    text = number or next((one for one in texts if one is not None), "")
    if name.lower() == "label":
        return text
    if not text.isdecimal():
        raise doris("Where clause should looks like one of them: id = 123 or label = 'xxx'")
    return int(text)
