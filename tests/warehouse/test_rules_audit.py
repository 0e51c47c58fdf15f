"""Rules of the warehouse through the whole SQL path: what no single module can prove by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError
from tests.support.joined import Joined, open_joined

TAIL = "DISTRIBUTED BY HASH(k)"
REFUSALS = frozenset((1049, 1054, 1064, 1105, 1146, 1193, 1235, 1248, 1305))


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    with open_joined(tmp_path_factory.mktemp("rules")) as made:
        made.do(
            "CREATE TABLE s (k int, h hll HLL_UNION, b bitmap BITMAP_UNION) "
            f"AGGREGATE KEY(k) {TAIL}"
        )
        made.do(
            "INSERT INTO s VALUES (1, hll_hash(1), to_bitmap(1)), (2, hll_hash(2), to_bitmap(2))"
        )
        yield made


def engine_functions(kinds: str) -> list[str]:
    """Return the names of DuckDB's functions of some types."""
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            f"WHERE function_type IN ({kinds})"
        )
        return sorted(str(name) for (name,) in found.fetchall())


def test_no_table_function_or_pragma_of_the_engine_is_reached(joined: Joined) -> None:
    names = engine_functions("'table', 'table_macro'")
    assert len(names) > 80
    # Both are Doris's too: they are functions of arrays and of a table function of our own.
    own = {"SELECT unnest", "SELECT range"}
    for name, arguments in itertools.product(names, ("()", "('/etc/hostname')")):
        for head in ("SELECT * FROM ", "SELECT "):
            if head + name in own:
                continue
            error = joined.refused(f"{head}{name}{arguments}")
            assert error.code in REFUSALS, (name, error.message)
    for name in (*engine_functions("'pragma'"), "database_list", "table_info"):
        for text in (f"PRAGMA {name}", f"PRAGMA {name}('x')", f"CALL {name}()"):
            assert joined.refused(text).code in REFUSALS, text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM '/etc/hostname'",
        'SELECT * FROM "/etc/hostname"',
        "SELECT * FROM `/etc/hostname`",
        "SELECT * FROM `/etc/x.parquet`",
        "SELECT * FROM duckdb_settings",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM main.x",
        "SELECT * FROM temp.x",
        "ATTACH '/etc/x.db'",
        "ATTACH DATABASE '/etc/x.db' AS y",
        "DETACH x",
        "COPY (SELECT 1) TO '/etc/x'",
        "COPY s FROM '/etc/x'",
        "EXPORT DATABASE '/etc/x'",
        "IMPORT DATABASE '/etc/x'",
        "LOAD httpfs",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = '/'",
        "SET lock_configuration = false",
        "RESET lock_configuration",
        "CHECKPOINT",
        "VACUUM",
        "CREATE MACRO f() AS 1",
        "CREATE TEMP TABLE x (k int)",
        "CREATE SECRET (TYPE S3)",
        "PREPARE a AS SELECT 1",
        "USE memory.main",
        "SELECT getenv('HOME')",
        "SELECT current_setting('home_directory')",
        "SELECT load_file('/etc/hostname')",
        "SELECT 1 INTO OUTFILE '/etc/x'",
        "SELECT 1 INTO DUMPFILE '/etc/x'",
        "DESCRIBE SELECT * FROM read_text('/etc/hostname')",
        "EXPLAIN SELECT * FROM read_text('/etc/hostname')",
        "INSERT INTO s SELECT content, NULL, NULL FROM read_text('/etc/hostname')",
        "DELETE FROM s WHERE k IN (SELECT 1 FROM read_text('/etc/hostname'))",
        "LOAD DATA INFILE '/etc/hostname' INTO TABLE s",
        "SELECT COLUMNS('.*') FROM s",
        "SUMMARIZE s",
        "FROM s",
    ],
)
def test_nothing_of_the_engine_is_reached_by_a_statement(joined: Joined, text: str) -> None:
    error = joined.refused(text)
    assert error.code in REFUSALS
    assert "99000000" not in error.message  # how literals are written while a text is parsed


@pytest.mark.parametrize(
    "value",
    [
        "repeat('abc', 1000000000)",
        "repeat(repeat('a', 10000), 10000)",
        "lpad('a', 1000000000, 'b')",
        "rpad('a', 1000000000, 'b')",
        "space(1000000000)",
        "replace(repeat('a', 1000000), 'a', repeat('b', 1000))",
        "concat(repeat('a', 9000000), repeat('a', 9000000))",
        "concat_ws(repeat('x', 9000000), 'a', 'b', 'c')",
        "array_join(array_repeat(repeat('a', 1000), 100000), ',')",
        "array_range(0, 100000000)",
        "sequence(1, 100000000)",
        "array_repeat(1, 100000000)",
    ],
)
def test_no_function_makes_a_value_past_its_limit(joined: Joined, value: str) -> None:
    message = joined.refused(f"SELECT {value}").message
    texts, elements = limits.GROWN_TEXT_BYTES_MAX, limits.GROWN_ELEMENTS_MAX
    assert message.endswith((f"exceeds {texts} bytes", f"exceeds {elements} elements"))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(DISTINCT h, k) FROM s",
        "SELECT count(DISTINCT k, b) FROM s",
        "SELECT group_concat(h) FROM s",
        "SELECT group_concat(cast(k AS string), h) FROM s",
        "SELECT max_by(k, h) FROM s",
        "SELECT collect_list(h) FROM s",
        "SELECT array_agg(b) FROM s",
        "SELECT array(h) FROM s",
        "SELECT json_object('a', h) FROM s",
        "SELECT json_array(b) FROM s",
        "SELECT k FROM s UNION SELECT h FROM s",
        "SELECT k FROM s UNION ALL SELECT h FROM s",
        "SELECT CASE WHEN k = 1 THEN h ELSE 'a' END FROM s",
        "SELECT cast(h AS string) FROM s",
    ],
)
def test_sketches_are_not_values_like_others(joined: Joined, text: str) -> None:
    message = joined.refused(text).message
    words = ("must use with specific function", "can not cast from", "unsupported sub-type")
    assert any(each in message for each in words), message


def test_sketches_are_hidden_at_the_top_of_every_query(joined: Joined) -> None:
    for text in (
        "SELECT h, b FROM s",
        "(SELECT h, b FROM s) LIMIT 2",
        "SELECT h, b FROM s WHERE k = 1 UNION ALL SELECT h, b FROM s WHERE k = 2",
        "SELECT * FROM (SELECT h, b FROM s) t",
        "SELECT hll_union(h), bitmap_union(b) FROM s GROUP BY k",
    ):
        assert joined.rows(text) == [(None, None)] * 2, text
    # What is hidden is computed all the same.
    for name in ("hll_from_base64", "bitmap_from_base64"):
        assert f"{name} decode failed" in joined.refused(f"SELECT {name}('////')").message
        assert joined.rows(f"SELECT {name}('bad')") == [(None,)]


def test_largeints_are_whole_to_their_edges(joined: Joined) -> None:
    low, high = -(2**127), 2**127 - 1
    joined.do(f"CREATE TABLE big (k largeint, v largeint SUM) AGGREGATE KEY(k) {TAIL}")
    joined.do(f"INSERT INTO big VALUES ({high}, 1), ({low}, -1), (100000000000000000001, 5)")
    joined.do(f"INSERT INTO big VALUES ({low}, {high})")
    assert joined.rows("SELECT k, v FROM big ORDER BY k") == [
        (Decimal(low), Decimal(high - 1)),
        (Decimal(100000000000000000001), Decimal(5)),
        (Decimal(high), Decimal(1)),
    ]


def test_dates_reach_from_year_0_to_9999(joined: Joined) -> None:
    joined.do(f"CREATE TABLE days (k date, t datetime(6)) DUPLICATE KEY(k) {TAIL}")
    joined.do(
        "INSERT INTO days VALUES ('0000-01-01', '0000-01-01 00:00:00'), "
        "('9999-12-31', '9999-12-31 23:59:59.999999')"
    )
    assert "incorrect" in joined.refused("INSERT INTO days VALUES ('10000-01-01', NULL)").message
    shown = "cast(k AS string), cast(t AS string), year(k)"
    assert joined.rows(f"SELECT {shown} FROM days ORDER BY k") == [
        ("0000-01-01", "0000-01-01 00:00:00.000000", 0),
        ("9999-12-31", "9999-12-31 23:59:59.999999", 9999),
    ]
    assert joined.rows("SELECT count(*) FROM days WHERE k < '0001-01-01'") == [(1,)]


def test_a_time_of_writing_has_the_digits_asked_for(joined: Joined) -> None:
    digits = "date_format(now({0}), '%f') = rpad(left(date_format(now(6), '%f'), {0}), 6, '0')"
    each = ", ".join(digits.format(number) for number in range(7))
    assert joined.rows(f"SELECT {each}") == [(True,) * 7]


def test_rows_that_were_there_have_the_time_when_a_column_was_added(joined: Joined) -> None:
    joined.do(f"CREATE TABLE aged (k int, v int) UNIQUE KEY(k) {TAIL}")
    joined.do("INSERT INTO aged VALUES (1, 1)", "SET time_zone = '+08:00'")
    joined.do("ALTER TABLE aged ADD COLUMN t datetime(3) DEFAULT CURRENT_TIMESTAMP(3)")
    joined.do("SET time_zone = 'UTC'")
    text = "SELECT t, timestampdiff(MINUTE, now(), t) BETWEEN 478 AND 481 FROM aged WHERE k = 1"
    (before,) = joined.rows(text)
    assert before[1] is True
    joined.do("UPDATE aged SET v = 2 WHERE k = 1", "INSERT INTO aged (k, v) VALUES (2, 2)")
    assert joined.rows(text) == [before]
    assert joined.rows("SELECT t <= now(6) FROM aged WHERE k = 2") == [(True,)]
    joined.do("ALTER TABLE aged MODIFY COLUMN t datetime(6) DEFAULT CURRENT_TIMESTAMP(3)")
    assert joined.rows(text) == [before]


def test_a_transaction_reads_a_table_as_it_first_saw_it(joined: Joined) -> None:
    joined.do(f"CREATE TABLE seen (k int) DUPLICATE KEY(k) {TAIL}", "INSERT INTO seen VALUES (1)")
    other = joined.another()
    count = "SELECT count(*) FROM seen"
    joined.do("BEGIN")
    assert joined.rows(count) == [(1,)]
    other.do("INSERT INTO seen VALUES (2)")
    joined.do("INSERT INTO seen VALUES (3)")
    assert joined.rows(count) == [(1,)]
    assert other.rows(count) == [(2,)]
    joined.do("COMMIT")
    assert joined.rows(count) == [(3,)]
    joined.do("BEGIN")
    assert joined.rows(count) == [(3,)]
    other.do("ALTER TABLE seen ADD COLUMN v int DEFAULT '7'")
    assert joined.rows("SELECT max(v) FROM seen") == [(7,)]  # its rows as they were are no longer
    joined.do("ROLLBACK")


def test_what_is_not_allowed_in_a_transaction(joined: Joined) -> None:
    joined.do("BEGIN")
    for text in ("USE db@main", "SET ref = 'main'", f"CREATE TABLE z (k int) {TAIL}",
                 "CALL lake_commit('x')", "TRUNCATE TABLE s", "DROP TABLE s"):  # fmt: skip
        assert "only insert, update, delete, commit, rollback" in joined.refused(text).message
    joined.do("ROLLBACK")


def test_ids_are_told_by_name(joined: Joined) -> None:
    joined.do(
        "CREATE TABLE parts (k int) DUPLICATE KEY(k) PARTITION BY RANGE(k) "
        f"(PARTITION p1 VALUES LESS THAN ('1'), PARTITION p2 VALUES LESS THAN MAXVALUE) {TAIL}"
    )
    (database,) = [row[0] for row in joined.rows("SHOW PROC '/dbs'") if row[1] == "db"]
    assert joined.rows(f"SHOW DATABASE {database}") == [("db",)]
    tables = {row[1]: row[0] for row in joined.rows("SHOW PROC '/dbs/db'")}
    assert joined.rows(f"SHOW TABLE {tables['parts']}") == [("db", "parts", database)]
    for row in joined.rows("SHOW PARTITIONS FROM parts"):
        shown = joined.rows(f"SHOW PARTITION {row[0]}")
        assert shown == [("db", "parts", row[1], database, tables["parts"])]
    assert "Can not find table by id 5" in joined.refused("SHOW TABLE 5").message


def test_a_restart_keeps_global_variables_and_each_broker_is_one_row(tmp_path: Path) -> None:
    root = f"local://{tmp_path}/files"
    (tmp_path / "files").mkdir()
    settings = {
        "import_from": (root,),
        "broker": (
            f"hdfs=hdfs://a/={root}/a",
            f"hdfs=hdfs://b/={root}/b",
            f"other=hdfs://c/={root}",
        ),
    }
    with open_joined(tmp_path, **settings) as first:
        first.do(
            "SET GLOBAL query_timeout = 77, GLOBAL time_zone = '+08:00', "
            "GLOBAL enable_insert_strict = false"
        )
        assert [row[0] for row in first.rows("SHOW BROKER")] == ["hdfs", "other"]
        brokers = first.dicts('SHOW PROC "/brokers"')
        assert list(brokers[0])[:4] == ["Name", "Host", "Port", "Alive"]
    with open_joined(tmp_path) as again:
        shown = "SELECT @@query_timeout, @@time_zone, @@enable_insert_strict, @@max_execution_time"
        assert again.rows(shown) == [(77, "+08:00", 0, 0)]
        again.do("SET GLOBAL query_timeout = DEFAULT")
    with open_joined(tmp_path) as third:
        assert third.rows("SELECT @@query_timeout") == [(limits.QUERY_TIMEOUT_S,)]


def test_a_time_is_answered_by_commits_alone(joined: Joined) -> None:
    joined.do(f"CREATE TABLE past (k int) DUPLICATE KEY(k) {TAIL}", "INSERT INTO past VALUES (1)")
    joined.rows("CALL lake_commit('one row')")
    joined.do("INSERT INTO past VALUES (2)")
    later = "SELECT count(*) FROM past FOR TIME AS OF '2999-01-01 00:00:00'"
    assert joined.rows(later) == [(1,)]
    assert "no commit" in joined.refused(later.replace("2999", "1999")).message
    assert joined.rows("SELECT @@collation_connection, 'a' = 'A'") == [("utf8mb4_bin", False)]


def test_the_session_is_usable_after_each_error(joined: Joined) -> None:
    for text in ("selec", "SELECT nope", "SELECT hll_from_base64('////')", "DROP TABLE nope"):
        with pytest.raises(SqlError):
            joined.run(text)
        assert joined.rows("SELECT 1") == [(1,)]
