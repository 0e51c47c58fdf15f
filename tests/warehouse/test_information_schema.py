"""information_schema: real tables for any SELECT, as clients send them, at a bounded cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anabranch.warehouse.catalog.snapshots import Snapshots, TableSnapshot
from anabranch.warehouse.catalog.tables import Stored, Tables
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.places import DatabasePlace, TablePlace
from anabranch.warehouse.reading import Reader
from tests.support.statements import Client, client_in

CLIENTS = """
SELECT TABLE_SCHEMA, NULL, TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'db' ORDER BY ORDINAL_POSITION
SELECT SCHEMA_NAME FROM INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = 'db'
SELECT * FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME
SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'VIEW')
SELECT k.COLUMN_NAME, t.CONSTRAINT_TYPE FROM information_schema.table_constraints t LEFT JOIN information_schema.key_column_usage k USING (CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME) WHERE t.CONSTRAINT_TYPE = 'PRIMARY KEY' AND t.TABLE_SCHEMA = 'db'
SELECT cc.CONSTRAINT_NAME, cc.CHECK_CLAUSE, tc.TABLE_NAME FROM INFORMATION_SCHEMA.CHECK_CONSTRAINTS cc, INFORMATION_SCHEMA.TABLE_CONSTRAINTS tc WHERE tc.CONSTRAINT_TYPE = 'CHECK'
SELECT * FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'db' ORDER BY ROUTINE_NAME
SELECT * FROM information_schema.TRIGGERS AS t WHERE t.EVENT_OBJECT_SCHEMA = 'db'
SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'db'
SELECT WORD FROM INFORMATION_SCHEMA.KEYWORDS WHERE RESERVED = 1 ORDER BY WORD
SELECT c.TABLE_NAME, group_concat(c.COLUMN_NAME) FROM information_schema.columns c GROUP BY c.TABLE_NAME
SELECT ENGINE, SUPPORT FROM information_schema.engines WHERE SUPPORT IN ('DEFAULT', 'YES')
SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'db'
SELECT event_schema FROM information_schema.events
SELECT VARIABLE_VALUE FROM information_schema.session_variables WHERE VARIABLE_NAME = 'sql_mode'
SELECT ID, INFO FROM information_schema.processlist WHERE COMMAND <> 'Sleep'
SELECT DISTINCT CHARACTER_SET_NAME FROM information_schema.collations
"""  # noqa: E501 - one statement a line


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_in(Path(tmp_path_factory.mktemp("information"))) as made:
        made.do(
            "CREATE TABLE t (k INT NOT NULL, name VARCHAR(20) DEFAULT 'x' COMMENT 'c',"
            " v DECIMAL(9,2), at DATETIME(3)) DUPLICATE KEY(k)"
            " PARTITION BY RANGE(k) (PARTITION p1 VALUES LESS THAN ('10'))"
            " DISTRIBUTED BY HASH(k)",
            "INSERT INTO t VALUES (1, 'a', 1.5, '2024-01-01'), (2, 'b', 2.5, NULL)",
            "CREATE TABLE u (id INT, part INT, v INT) UNIQUE KEY(id, part) DISTRIBUTED BY HASH(id)",
        )
        yield made


@pytest.mark.parametrize("text", CLIENTS.strip().splitlines())
def test_what_clients_select_is_answered(client: Client, text: str) -> None:
    client.rows(text)


@pytest.mark.parametrize("table", information_schema.TABLE_NAMES)
def test_every_table_is_selected_whole_and_counted(client: Client, table: str) -> None:
    rows = client.rows(f"SELECT * FROM information_schema.{table.lower()}")
    assert client.value(f"SELECT count(*) FROM information_schema.{table}") == len(rows)
    assert client.names(f"SELECT * FROM information_schema.{table}") == [
        column.name for column in information_schema.describe(table).columns
    ]


def test_columns_tell_types(client: Client) -> None:
    rows = client.rows(
        "SELECT column_name, ordinal_position, column_default, is_nullable, data_type,"
        " character_maximum_length, numeric_precision, numeric_scale, datetime_precision,"
        " column_type, column_key, column_comment"
        " FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position"
    )
    assert rows == [
        ("k", 1, None, "NO", "int", None, 10, 0, None, "int", "DUP", ""),
        ("name", 2, "x", "YES", "varchar", 20, None, None, None, "varchar(20)", "", "c"),
        ("v", 3, None, "YES", "decimal", None, 9, 2, None, "decimal(9,2)", "", ""),
        ("at", 4, None, "YES", "datetime", None, None, None, 3, "datetime(3)", "", ""),
    ]


def test_tables_tell_sizes_and_times(client: Client) -> None:
    ((rows, size, made, engine),) = client.rows(
        "SELECT table_rows, data_length, update_time, engine FROM information_schema.tables"
        " WHERE table_schema = 'db' AND table_name = 't'"
    )
    assert (rows, engine) == (2, "Doris")
    assert size > 100
    assert made.year == 2023


def test_partitions_and_keys(client: Client) -> None:
    assert client.rows(
        "SELECT table_name, partition_name, partition_method, partition_expression,"
        " partition_description, table_rows FROM information_schema.partitions"
    ) == [("t", "p1", "RANGE", "k", 'LESS THAN ("10")', 2)]
    assert client.rows(
        "SELECT table_name, column_name, seq_in_index FROM information_schema.statistics"
    ) == [("u", "id", 1), ("u", "part", 2)]
    assert client.value(
        "SELECT group_concat(column_name) FROM information_schema.key_column_usage"
        " WHERE constraint_name = 'PRIMARY'"
    ) in ("id, part", "id,part", "part, id", "part,id")


def test_it_is_about_the_sessions_ref(client: Client) -> None:
    client.rows("CALL lake_commit('tables')")
    client.rows("CALL lake_branch('dev')")
    other = client.another(database="db@dev")
    other.do("CREATE TABLE only_dev (a INT)")
    text = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'only_dev'"
    assert (other.value(text), client.value(text)) == (1, 0)


def test_unknown_tables_and_writes_are_refused(client: Client) -> None:
    assert client.refused("SELECT * FROM information_schema.nope").code == 1146
    assert client.refused("SELECT nope FROM information_schema.tables").code == 1054
    client.refused("INSERT INTO information_schema.tables VALUES (1)")
    client.refused("DELETE FROM information_schema.tables WHERE TABLE_NAME = 't'")
    client.refused("DROP DATABASE information_schema")


class Unread(Snapshots):
    """Snapshots that must not be read."""

    def __init__(self) -> None:
        pass

    def read(self, place: TablePlace, **options: Any) -> TableSnapshot:
        raise AssertionError(place)


def test_rowsets_are_counted_only_when_asked_for(client: Client) -> None:
    parts = replace(client.parts, snapshots=Unread())
    for table in ("TABLES", "PARTITIONS", "COLUMNS", "STATISTICS"):
        assert information_schema.rows(parts, client.session, table, ["TABLE_NAME"]).num_rows
    with pytest.raises(AssertionError):
        information_schema.rows(parts, client.session, "TABLES", ["table_rows"])


def test_a_table_dropped_meanwhile_is_left_out(client: Client) -> None:
    other = client.another()
    other.do("CREATE TABLE a1 (a INT)", "CREATE TABLE zz (a INT)")
    found = information_schema.list_tables(client.parts, client.session.database_place())
    assert next(found)[0].table == "a1"
    other.do("DROP TABLE zz", "DROP TABLE a1")
    assert [place.table for place, _ in found] == ["t", "u"]


def test_what_one_query_looks_at_is_bounded(client: Client) -> None:
    args = (client.parts, client.session, "TABLES", ["TABLE_NAME"])
    assert information_schema.rows(*args, tables_max=2).num_rows > 2
    with pytest.raises(SqlError, match="shows at most 1 tables"):
        information_schema.rows(*args, tables_max=1)


class Few(Tables):
    """Tables of which one alone may be read."""

    def __init__(self, inner: Tables, name: str) -> None:
        self._inner = inner
        self._name = name

    def list(self, within: DatabasePlace) -> list[str]:
        assert within.database == "db"
        return self._inner.list(within)

    def get(self, place: TablePlace) -> Stored:
        assert place.table == self._name
        return self._inner.get(place)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("table_schema = 'db' AND table_name = 'u'", 1),
        ("'u' = tables.TABLE_NAME AND (TABLE_SCHEMA IN ('db', 'nope'))", 1),
        ("table_schema = DATABASE() AND table_name = 'u' AND 1 = 1", 1),
        ("table_schema = 'db' AND table_name = 'nope'", 0),
        ("table_schema = 'db' AND table_name = 'u' AND table_name = 't'", 0),
    ],
)
def test_only_the_tables_that_a_query_wants_are_read(
    client: Client, where: str, wanted: int
) -> None:
    client.another().do("CREATE DATABASE IF NOT EXISTS elsewhere")
    parts = replace(client.parts, tables=Few(client.parts.tables, "u"))
    reader = Reader(parts)
    text = f"SELECT count(*) FROM information_schema.tables WHERE {where}"
    rows = reader.rows(client.session, text)
    assert [batch.column(0).to_pylist() for batch in rows.batches] == [[wanted]]


@pytest.mark.parametrize(
    "where",
    [
        "table_name = 't' OR table_name = 'u'",
        "NOT table_name = 'tables'",
        "CASE WHEN table_name = 'u' THEN 1 ELSE 1 END",
        "table_name IN (SELECT 't' UNION SELECT 'u')",
        "table_name IN ('t', concat('u', ''))",
        "table_name = table_name",
    ],
)
def test_a_condition_that_wants_no_names_reads_all(client: Client, where: str) -> None:
    text = f"SELECT table_name FROM information_schema.tables WHERE table_schema = 'db' AND {where}"
    assert client.rows(f"{text} ORDER BY 1") == [("t",), ("u",)]


def test_outer_joins_keep_what_they_add(client: Client) -> None:
    text = (
        "SELECT s.schema_name, t.table_name FROM information_schema.schemata s LEFT JOIN"
        " information_schema.tables t ON t.table_schema = s.schema_name AND t.table_name = 'u'"
        " WHERE s.schema_name IN ('db', 'information_schema') ORDER BY 1"
    )
    assert client.rows(text) == [("db", "u"), ("information_schema", None)]
    assert client.rows(f"SELECT * FROM ({text}) x WHERE table_name = 'u'") == [("db", "u")]
