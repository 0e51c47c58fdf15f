"""LOAD, CANCEL and SHOW LOAD as clients write them."""

from __future__ import annotations

import pytest

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.sql.loads import (
    CancelLoad,
    DataDescription,
    LoadData,
    LoadFilter,
    LoadLabel,
    MergeType,
    ShowLoad,
)
from anabranch.warehouse.sql.parser import Statement, parse
from anabranch.warehouse.sql.statements import TableName


def one(text: str) -> Statement:
    (statement,) = parse(text)
    return statement


def refusal(text: str) -> SqlError:
    with pytest.raises(SqlError) as raised:
        parse(text)
    return raised.value


def test_a_broker_load_in_one_line() -> None:
    assert one(
        'LOAD LABEL db.label_1 (  DATA INFILE("hdfs://host/data/a.txt") INTO TABLE `t_pull` '
        "(`k1`, `k2`) SET(k1_hll = hll_hash(k1), k2_hll = hll_hash(k2))) "
        'WITH BROKER "hdfs" ( "username" = "root",  "password" = "")'
    ) == LoadLabel(
        "label_1",
        "db",
        (
            DataDescription(
                ("hdfs://host/data/a.txt",),
                "t_pull",
                columns=("k1", "k2"),
                assignments=(("k1_hll", "hll_hash(k1)"), ("k2_hll", "hll_hash(k2)")),
            ),
        ),
        "BROKER",
        "hdfs",
        (("username", "root"), ("password", "")),
    )


def test_every_clause_of_a_load() -> None:
    load = one(
        """LOAD LABEL `default_cluster:d`.l (
          MERGE DATA INFILE("s3://b/x=1/*.csv", "s3://b/x=2/*.csv") NEGATIVE INTO TABLE t
            PARTITION (p1, p2) COLUMNS TERMINATED BY "\\t" LINES TERMINATED BY "\\n"
            FORMAT AS "csv" COMPRESS_TYPE AS "gz" (a, b) COLUMNS FROM PATH AS (x)
            SET (c = if(a > 1, b, "x,y)"), d = 3) PRECEDING FILTER a > 0
            WHERE (b IN (1, 2)) AND c < 5 DELETE ON d = 1 ORDER BY x
            PROPERTIES ("skip_lines" = "1"),
          DATA INFILE("s3://b/u.parquet") INTO TABLE u FORMAT AS parquet)
        WITH S3 ("AWS_ACCESS_KEY" = "x") PROPERTIES ("max_filter_ratio" = "0.1", "timeout" = "60")
        COMMENT "why" """
    )
    assert isinstance(load, LoadLabel)
    assert (load.database, load.source, load.comment) == ("d", "S3", "why")
    first, second = load.descriptions
    assert first.merge_type is MergeType.MERGE
    assert first.is_negative
    assert first.partitions == ("p1", "p2")
    assert (first.column_separator, first.line_delimiter) == ("\t", "\n")
    assert (first.format, first.compression) == ("csv", "gz")
    assert first.columns_from_path == ("x",)
    assert first.assignments == (("c", 'if(a > 1, b, "x,y)")'), ("d", "3"))
    assert first.preceding_filter == "a > 0"
    assert first.where == "(b IN (1, 2)) AND c < 5"
    assert (first.delete_on, first.sequence_column) == ("d = 1", "x")
    assert second.format == "parquet"


@pytest.mark.parametrize("source", ["HDFS", "LOCAL"])
def test_other_sources(source: str) -> None:
    load = one(f'LOAD LABEL l (DATA INFILE("f") INTO TABLE t) WITH {source} ("a" = "b")')
    assert isinstance(load, LoadLabel)
    assert load.source == source


@pytest.mark.parametrize(
    "text, message",
    [
        ('LOAD LABEL `a b` (DATA INFILE("f") INTO TABLE t) WITH S3 ()', "Label format error"),
        (f'LOAD LABEL {"x" * 129} (DATA INFILE("f") INTO TABLE t) WITH S3 ()', "Label format"),
        ('LOAD LABEL l (MERGE DATA INFILE("f") INTO TABLE t) WITH S3 ()', "DELETE ON"),
        (
            'LOAD LABEL l (DATA INFILE("f") INTO TABLE t) WITH S3 () PROPERTIES ("x" = "y")',
            "Unknown properties: {x=y}",
        ),
        ('LOAD LABEL l (DATA INFILE("f") INTO TABLE t)', "Expected: WITH BROKER"),
        ('LOAD LABEL l (DATA INFILE("f") INTO TABLE t WHERE) WITH S3 ()', "an expression"),
    ],
)
def test_loads_that_cannot_be(text: str, message: str) -> None:
    assert message in refusal(text).message


def test_the_longest_label() -> None:
    load = one(f'LOAD LABEL {"x" * 128} (DATA INFILE("f") INTO TABLE t) WITH S3 ()')
    assert isinstance(load, LoadLabel)


def test_load_data_of_the_client() -> None:
    assert one(
        "LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE db.t PARTITION (p) FIELDS TERMINATED BY ',' "
        "ENCLOSED BY '\"' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' IGNORE 2 LINES (a, b) "
        "SET c = a + 1, d = 2 PROPERTIES ('strict_mode' = 'true')"
    ) == LoadData(
        "a.csv",
        TableName("t", "db"),
        is_local=True,
        partitions=("p",),
        column_separator=",",
        enclose='"',
        escape="\\",
        line_delimiter="\n",
        skip_lines=2,
        columns=("a", "b"),
        assignments=(("c", "a + 1"), ("d", "2")),
        properties=(("strict_mode", "true"),),
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("SHOW LOAD", ShowLoad()),
        ("SHOW LOAD FROM default_cluster:db", ShowLoad("db")),
        (
            'SHOW LOAD FROM db WHERE LABEL = "x" AND STATE = "finished"',
            ShowLoad("db", LoadFilter("x", None, "FINISHED")),
        ),
        (
            'SHOW LOAD WHERE LABEL LIKE "x%" ORDER BY JobId DESC, Label LIMIT 5, 10',
            ShowLoad(None, LoadFilter(None, "x%"), (("JobId", True), ("Label", False)), 10, 5),
        ),
        ("SHOW STREAM LOAD LIMIT 3", ShowLoad(limit=3, is_stream=True)),
        ('CANCEL LOAD FROM db WHERE LABEL = "x"', CancelLoad("db", LoadFilter("x"))),
    ],
)
def test_show_and_cancel(text: str, expected: Statement) -> None:
    assert one(text) == expected


@pytest.mark.parametrize(
    "where, message",
    [
        ("x = 1", "Where clause should looks like"),
        ("STATE = 'NOPE'", "Where clause should looks like"),
        ("STATE LIKE 'FINISHED'", "Where clause should looks like"),
        ("LABEL = 'a' OR LABEL = 'b'", "Only allow compound predicate with operator AND"),
        ("LABEL = ''", "Where clause should looks like"),
        ("", "Where clause should looks like"),
    ],
)
def test_a_where_of_show_load_has_one_form(where: str, message: str) -> None:
    assert message in refusal(f"SHOW LOAD WHERE {where}").message
