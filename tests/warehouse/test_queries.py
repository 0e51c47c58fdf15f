"""Queries over real tables: key models, refs, sketches, limits, schemas that move meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anabranch.warehouse.catalog.snapshots import Snapshots, TableSnapshot
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Rows
from anabranch.warehouse.types import SqlType
from tests.support.statements import Client, client_in, read


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_in(Path(tmp_path_factory.mktemp("queries"))) as made:
        made.do(
            "CREATE TABLE counts (k INT, v BIGINT SUM, s VARCHAR(9) REPLACE, h HLL HLL_UNION,"
            " b BITMAP BITMAP_UNION) AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)",
            "INSERT INTO counts SELECT 1, 5, 'a', hll_hash('x'), to_bitmap(1)",
            "INSERT INTO counts SELECT 1, 7, 'b', hll_hash('y'), to_bitmap(2)",
            "INSERT INTO counts SELECT 2, 1, NULL, hll_empty(), bitmap_empty()",
            "CREATE TABLE people (id INT, name VARCHAR(20)) UNIQUE KEY(id) DISTRIBUTED BY HASH(id)",
            "INSERT INTO people VALUES (1, 'ann'), (2, 'bob'), (3, NULL)",
            "INSERT INTO people VALUES (1, 'Ann')",
            "CREATE TABLE plain (k INT, v DECIMAL(9,2), t DATETIME, x LARGEINT)"
            " DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)",
            "INSERT INTO plain VALUES (1, 1.5, '2024-01-01 10:00:00', 170141183460469231731687303"
            "715884105727), (1, 1.5, NULL, -1)",
            "CREATE TABLE empty (k INT, v INT SUM) AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)",
        )
        yield made


def test_rows_are_folded_by_their_key_model(client: Client) -> None:
    assert client.rows("SELECT k, v, s FROM counts ORDER BY k") == [(1, 12, "b"), (2, 1, None)]
    assert client.rows("SELECT * FROM people ORDER BY id") == [
        (1, "Ann"),
        (2, "bob"),
        (3, None),
    ]
    assert client.value("SELECT count(*) FROM plain") == 2
    assert client.rows("SELECT * FROM empty") == []
    assert client.rows("SELECT count(*), sum(v) FROM empty") == [(0, None)]


def test_sketches_are_null_unless_asked_for_as_bytes(client: Client) -> None:
    assert client.rows("SELECT h, b, k FROM counts ORDER BY k") == [
        (None, None, 1),
        (None, None, 2),
    ]
    assert client.rows("SELECT k, hll_cardinality(h), bitmap_count(b) FROM counts ORDER BY k") == [
        (1, 2, 2),
        (2, 0, 0),
    ]
    assert client.value("SELECT hll_union_agg(h) FROM counts") == 2
    client.do("SET return_object_data_as_binary = true")
    ((sketch, bits), _) = client.rows("SELECT h, b FROM counts ORDER BY k")
    assert isinstance(sketch, bytes)
    assert isinstance(bits, bytes)
    client.do("SET return_object_data_as_binary = DEFAULT")
    assert client.value("SELECT h FROM counts WHERE k = 1") is None


def test_fields_tell_where_a_column_comes_from(client: Client) -> None:
    key, name, made = client.fields("SELECT p.id, p.name AS n, p.id + 1 FROM people p LIMIT 0")
    assert (key.name, key.original_name, key.table, key.database) == ("id", "id", "p", "db")
    assert (name.name, name.original_name) == ("n", "name")
    assert name.type.kind is SqlType.VARCHAR
    assert (made.table, made.type.kind) == ("", SqlType.BIGINT)


def test_values_keep_their_types(client: Client) -> None:
    kinds = [field.type.text for field in client.fields("SELECT * FROM plain")]
    assert kinds == ["INT", "DECIMAL(9,2)", "DATETIME", "LARGEINT"]
    ((k, v, moment, large), _) = client.rows("SELECT * FROM plain ORDER BY x DESC")
    assert (k, str(v), str(moment)) == (1, "1.50", "2024-01-01 10:00:00")
    assert int(large) == 2**127 - 1


def test_tables_join_across_databases_and_refs(client: Client) -> None:
    client.do("CREATE DATABASE IF NOT EXISTS other")
    client.do(
        "CREATE TABLE other.names (id INT, word VARCHAR(9)) DUPLICATE KEY(id)"
        " DISTRIBUTED BY HASH(id)",
        "INSERT INTO other.names VALUES (1, 'one'), (2, 'two')",
    )
    text = (
        "SELECT p.name, n.word FROM people p JOIN other.names n ON p.id = n.id"
        " WHERE p.id IN (SELECT k FROM counts) ORDER BY p.id"
    )
    assert client.rows(text) == [("Ann", "one"), ("bob", "two")]
    assert client.rows(
        "SELECT count(*) FROM db.people UNION ALL SELECT count(*) FROM warehouse.other.names"
    ) == [(3,), (2,)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT * FROM nope", 1146),
        ("SELECT * FROM nope.t", 1049),
        ("SELECT * FROM nowhere.db.t", 1049),
        ("SELECT nope FROM people", 1054),
        ("SELECT id FROM people GROUP BY name", 1105),
        ("SELECT (SELECT id FROM people)", 1242),
        ("SELECT read_text('/etc/hostname')", 1105),
        ("SELECT * FROM `db@nope`.people", 1049),
    ],
)
def test_what_cannot_be_read_is_refused_before_any_row(
    client: Client, text: str, code: int
) -> None:
    error = client.refused(text)
    assert error.code == code, error.message
    assert client.session._executions == []


def test_sql_select_limit_ends_a_result(client: Client) -> None:
    for limit, count in ((0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (-1, 3)):
        client.do(f"SET sql_select_limit = {limit}")
        assert len(client.rows("SELECT * FROM people")) == count
    client.do("SET sql_select_limit = 10000")
    text = "SELECT number FROM numbers('number'='50000')"
    assert len(client.rows(text)) == 10_000
    client.do("SET sql_select_limit = DEFAULT")
    assert len(client.rows(text)) == 50_000


def test_explain_shows_a_plan_in_lines(client: Client) -> None:
    (field,) = client.fields("EXPLAIN SELECT * FROM people")
    assert field.name == "Explain String(Nereids Planner)"
    assert len(client.rows("EXPLAIN VERBOSE SELECT k, sum(v) FROM counts GROUP BY k")) > 5
    assert len(client.rows("DESC SELECT 1")) > 0
    assert client.rows("EXPLAIN INSERT INTO people SELECT k, s FROM counts")
    assert client.refused("EXPLAIN DELETE FROM people WHERE id = 1").code == 1235
    assert client.refused("EXPLAIN SELECT nope FROM people").code == 1054


def test_a_plan_does_not_name_files(client: Client) -> None:
    shown = "\n".join(client.column("EXPLAIN SELECT * FROM people WHERE id = 1"))
    assert "/blocks/" not in shown


def test_a_changed_schema_is_seen_by_a_repeated_text(client: Client) -> None:
    text = "SELECT * FROM moving"
    client.do("CREATE TABLE moving (k INT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)")
    client.do("INSERT INTO moving VALUES (1)")
    assert client.rows(text) == [(1,)]
    client.do("ALTER TABLE moving ADD COLUMN v INT DEFAULT '7'")
    assert client.rows(text) == [(1, 7)]
    client.do("ALTER TABLE moving RENAME COLUMN v w")
    assert client.names(text) == ["k", "w"]
    client.do("DROP TABLE moving")
    assert client.refused(text).code == 1146
    client.do("CREATE TABLE moving (z INT) DUPLICATE KEY(z) DISTRIBUTED BY HASH(z)")
    assert client.names(text) == ["z"]


class Moving(Snapshots):
    """Snapshots of a table that is altered just before it is read, some times."""

    def __init__(self, inner: Snapshots, client: Client, times: int) -> None:
        self._inner = inner
        self._client = client
        self.left = times

    def read(self, place: TablePlace, **options: Any) -> TableSnapshot:
        if self.left:
            self.left -= 1
            self._client.another().do(f"ALTER TABLE {place.table} ADD COLUMN c{self.left} INT")
        return self._inner.read(place, **options)

    def paths(self, rowsets: Any) -> list[Path]:
        return self._inner.paths(rowsets)


@pytest.mark.parametrize("times", [1, 3])
def test_a_schema_that_moves_while_a_query_is_planned_is_planned_again(
    client: Client, times: int
) -> None:
    table = f"shifting{times}"
    client.do(f"CREATE TABLE {table} (k INT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)")
    moving = Moving(client.parts.snapshots, client, times)
    rows = Reader(replace(client.parts, snapshots=moving)).rows(
        client.session, f"SELECT * FROM {table}"
    )
    assert len(rows.fields) == 1 + times
    assert list(read(rows)) == []


def test_a_schema_that_never_rests_is_given_up(client: Client) -> None:
    client.do("CREATE TABLE restless (k INT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)")
    moving = Moving(client.parts.snapshots, client, 100)
    with pytest.raises(Exception, match="changed meanwhile"):
        Reader(replace(client.parts, snapshots=moving)).rows(
            client.session, "SELECT * FROM restless"
        )
    assert moving.left > 80


class Publishing(Snapshots):
    """Snapshots of tables of which one is loaded between two reads, once."""

    def __init__(self, inner: Snapshots, client: Client) -> None:
        self._inner = inner
        self._client = client
        self.reads = 0

    def read(self, place: TablePlace, **options: Any) -> TableSnapshot:
        self.reads += 1
        found = self._inner.read(place, **options)
        if self.reads == 1:
            self._client.another().do(
                "BEGIN", "INSERT INTO pair1 VALUES (1)", "INSERT INTO pair2 VALUES (1)", "COMMIT"
            )
        return found

    def paths(self, rowsets: Any) -> list[Path]:
        return self._inner.paths(rowsets)


def test_tables_of_one_query_are_of_one_moment(client: Client) -> None:
    for name in ("pair1", "pair2"):
        client.do(f"CREATE TABLE {name} (k INT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)")
    publishing = Publishing(client.parts.snapshots, client)
    rows = Reader(replace(client.parts, snapshots=publishing)).rows(
        client.session, "SELECT (SELECT count(*) FROM pair1), (SELECT count(*) FROM pair2)"
    )
    assert list(read(rows)) == [(1, 1)]
    assert publishing.reads > 2


def test_a_closed_result_gives_its_cursor_back(client: Client) -> None:
    results = client.warehouse.run(client.session, "SELECT * FROM people")
    rows = next(results)
    assert isinstance(rows, Rows)
    assert len(client.session._executions) == 1
    rows.close()
    rows.close()
    assert client.session._executions == []
    assert next(results, None) is None


def test_create_table_as_takes_names_types_and_rows(client: Client) -> None:
    done = client.do("CREATE TABLE made AS SELECT id, name AS word, 1.5 AS x FROM people")
    assert done.affected_rows == 3
    assert client.rows("SELECT word FROM made ORDER BY id") == [("Ann",), ("bob",), (None,)]
    assert [row[1] for row in client.rows("DESC made")] == ["int", "varchar(20)", "decimal(2,1)"]
    client.do("CREATE TABLE made2 (a, b) AS SELECT id, name FROM people WHERE id > 1")
    assert client.names("SELECT * FROM made2") == ["a", "b"]
    assert client.refused("CREATE TABLE made (a) AS SELECT 1").code == 1050
    assert client.do("CREATE TABLE IF NOT EXISTS made AS SELECT 1 AS a").warnings == 1
    assert client.refused("CREATE TABLE made3 (a, b) AS SELECT 1 AS x").code == 1353
    assert client.rows("SHOW TABLES LIKE 'made3'") == []


def test_create_table_like_is_a_table_of_its_own(client: Client) -> None:
    client.do("CREATE TABLE alike LIKE counts")
    assert client.rows("SELECT * FROM alike") == []
    first, second = (client.rows(f"SHOW CREATE TABLE {name}")[0][1] for name in ("counts", "alike"))
    assert first.replace("`counts`", "`alike`") == second
    ids = [
        client.parts.tables.get(client.session.database_place().table(name)).schema.id
        for name in ("counts", "alike")
    ]
    assert ids[0] != ids[1]
    assert client.refused("CREATE TABLE alike LIKE counts").code == 1050
    assert client.refused("CREATE TABLE x LIKE nope").code == 1146
