"""Headers of stream loads: what each means, and which values are refused."""

import pytest

from anabranch.doris.options import StreamOptions, parse_options
from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.sql.loads import MergeType


def test_no_headers_mean_csv_in_the_order_of_the_table() -> None:
    found = parse_options({"host": "a", "expect": "100-continue", "content-length": "3"})
    assert found == StreamOptions(rows=LoadOptions())
    assert found.timeout_s == limits.STREAM_LOAD_TIMEOUT_S


def test_every_header_has_its_meaning() -> None:
    found = parse_options(
        {
            "label": "a-b:1",
            "column_separator": "\\x01",
            "line_delimiter": "\\r\\n",
            "columns": "k1, `k 2`, tmp, v = f(tmp, 1), w = if(k1 = 2, 'a,b', null)",
            "where": "k1 > 3 and w like 'x%'",
            "max_filter_ratio": "0.2",
            "partitions": "p1, p2",
            "timeout": "30",
            "strict_mode": "TRUE",
            "timezone": "Asia/Shanghai",
            "format": "CSV_with_names",
            "merge_type": "MERGE",
            "delete": "k1 = 1",
            "function_column.sequence_col": "s",
            "compress_type": "GZ",
            "skip_lines": "2",
            "enclose": '"',
            "escape": "\\",
            "trim_double_quotes": "true",
            "partial_columns": "false",
            "two_phase_commit": "true",
            "negative": "false",
            "comment": "why",
            "exec_mem_limit": "100",
        },
    )
    rows = found.rows
    assert (found.label, found.is_two_phase, found.comment) == ("a-b:1", True, "why")
    assert found.timeout_s == 30
    assert (rows.column_separator, rows.line_delimiter) == ("\x01", "\r\n")
    assert rows.columns == ("k1", "k 2", "tmp")
    assert rows.assignments == (("v", "f(tmp, 1)"), ("w", "if(k1 = 2, 'a,b', null)"))
    assert rows.where == "k1 > 3 and w like 'x%'"
    assert rows.partitions == ("p1", "p2")
    assert (rows.merge_type, rows.delete_on) == (MergeType.MERGE, "k1 = 1")
    assert (rows.format, rows.compression, rows.sequence_column) == ("csv", "gz", "s")
    assert (rows.enclose, rows.escape, rows.trims_quotes, rows.skip_lines) == ('"', "\\", True, 2)
    assert (rows.max_filter_ratio, rows.is_strict, rows.is_partial) == (0.2, True, False)
    assert rows.time_zone == "Asia/Shanghai"


@pytest.mark.parametrize(
    "headers",
    [
        {"label": "a b"},
        {"label": "a" * 129},
        {"format": "xml"},
        {"compress_type": "rar"},
        {"merge_type": "upsert"},
        {"merge_type": "merge"},
        {"delete": "k = 1"},
        {"strict_mode": "perhaps"},
        {"two_phase_commit": "2"},
        {"timeout": "0"},
        {"timeout": "-1"},
        {"timeout": "259201"},
        {"timeout": "1e3"},
        {"max_filter_ratio": "1.1"},
        {"max_filter_ratio": "-0.1"},
        {"max_filter_ratio": "nan"},
        {"max_filter_ratio": "x"},
        {"timezone": "Mars/Base"},
        {"timezone": "../../etc/passwd"},
        {"columns": "k1 k2"},
        {"enclose": "''"},
        {"escape": "é"},
        {"skip_lines": "x"},
        {"hidden_columns": "__DORIS_DELETE_SIGN__"},
        {"temporary_partitions": "tp"},
        {"group_commit": "maybe"},
        {"group_commit": "sync_mode", "label": "a"},
        {"group_commit": "sync_mode", "two_phase_commit": "true"},
        {"comment": "c" * 2_049},
    ],
)
def test_bad_values_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SqlError):
        parse_options(headers)


def test_limits_are_inclusive() -> None:
    assert parse_options({"timeout": "259200"}).timeout_s == 259_200
    assert parse_options({"label": "a" * 128}).label == "a" * 128
    assert parse_options({"max_filter_ratio": "1"}).rows.max_filter_ratio == 1.0
    assert len(parse_options({"comment": "c" * 2_048}).comment) == 2_048
    assert parse_options({"timezone": "+08:00"}).rows.time_zone == "+08:00"
    assert parse_options({"group_commit": "async_mode"}).is_group_commit
