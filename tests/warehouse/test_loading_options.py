"""What statements and headers say of a load, and values that make no sense."""

from __future__ import annotations

import pytest

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.loading.options import (
    LoadOptions,
    of_description,
    of_headers,
    of_load_data,
    split_columns,
)
from anabranch.warehouse.sql.loads import LoadData, LoadLabel, MergeType
from anabranch.warehouse.sql.parser import parse


def test_a_data_description_and_its_job() -> None:
    (statement,) = parse(
        'LOAD LABEL l (MERGE DATA INFILE("x") INTO TABLE t PARTITION (p)'
        ' COLUMNS TERMINATED BY "\\\\x01" FORMAT AS "csv_with_names" COMPRESS_TYPE AS "gz" (a, b)'
        " COLUMNS FROM PATH AS (d) SET (c = a + 1) PRECEDING FILTER a > 1 WHERE b > 2"
        ' DELETE ON b = 3 ORDER BY a PROPERTIES ("skip_lines" = "3")) WITH BROKER "b"'
        ' PROPERTIES ("strict_mode" = "true", "max_filter_ratio" = "0.25")'
    )
    assert isinstance(statement, LoadLabel)
    found = of_description(statement.descriptions[0], dict(statement.properties), "+08:00")
    assert found == LoadOptions(
        column_separator="\x01",
        skip_lines=3,
        compression="gz",
        columns=("a", "b"),
        columns_from_path=("d",),
        assignments=(("c", "a + 1"),),
        preceding_filter="a > 1",
        where="b > 2",
        delete_on="b = 3",
        merge_type=MergeType.MERGE,
        sequence_column="a",
        partitions=("p",),
        max_filter_ratio=0.25,
        is_strict=True,
        time_zone="+08:00",
    )


def test_load_data() -> None:
    (statement,) = parse(
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE t FIELDS TERMINATED BY ',' ENCLOSED BY '\"'"
        " LINES TERMINATED BY '\\r\\n' IGNORE 2 LINES (a) SET b = a"
    )
    assert isinstance(statement, LoadData)
    assert of_load_data(statement, "UTC") == LoadOptions(
        column_separator=",",
        line_delimiter="\r\n",
        enclose='"',
        skip_lines=2,
        columns=("a",),
        assignments=(("b", "a"),),
    )


def test_headers() -> None:
    found = of_headers(
        {
            "label": "l",
            "format": "JSON",
            "jsonpaths": '["$.a", "$.\\"b c\\"[0]"]',
            "strip_outer_array": "true",
            "partitions": "p1, `p2`",
            "timezone": "Asia/Shanghai",
            "columns": "a, b, c = concat(a, ',', \"(\"), d = f(a, b)",
        }
    )
    assert found == LoadOptions(
        format="json",
        jsonpaths=("$.a", '$."b c"[0]'),
        strips_outer_array=True,
        partitions=("p1", "p2"),
        time_zone="Asia/Shanghai",
        columns=("a", "b"),
        assignments=(("c", "concat(a, ',', \"(\")"), ("d", "f(a, b)")),
    )


@pytest.mark.parametrize(
    ("written", "separator"),
    [
        ("\\x01", "\x01"),
        ("\\x01\\x02", "\x01\x02"),
        ("\\x0a0B", "\n\x0b"),
        ("0x7c", "|"),
        ("\\t", "\t"),
        ("||", "||"),
        ("é", "\xc3\xa9"),
    ],
)
def test_separators_are_bytes(written: str, separator: str) -> None:
    assert of_headers({"column_separator": written}).column_separator == separator


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("column_separator", "\\x0"),
        ("max_filter_ratio", "2"),
        ("max_filter_ratio", "nan"),
        ("max_filter_ratio", "x"),
        ("strict_mode", "perhaps"),
        ("skip_lines", "-1"),
        ("format", "orc"),
        ("compress_type", "lzo"),
        ("enclose", "ab"),
        ("jsonpaths", "$.a"),
        ("merge_type", "MERGE"),
        ("merge_type", "BOTH"),
        ("delete", "a = 1"),
        ("columns", "a b"),
    ],
)
def test_values_that_make_no_sense(name: str, text: str) -> None:
    with pytest.raises(SqlError):
        of_headers({name: text})


def test_columns_are_split_outside_of_calls_and_texts() -> None:
    assert split_columns("`a b`,c = if(d = 1, '=,', 2) ,e") == (
        ("a b", "e"),
        (("c", "if(d = 1, '=,', 2)"),),
    )
