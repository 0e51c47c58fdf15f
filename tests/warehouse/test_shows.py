"""SHOW and DESC in the columns that clients read, and DDL whose results they show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.warehouse.sql.shows import ShowKind
from tests.support.statements import Client, client_in

OTHERS = {
    ShowKind.DATABASE_ID,
    ShowKind.GRANTS,
    ShowKind.LOAD_WARNINGS,
    ShowKind.PARTITION_ID,
    ShowKind.ROLES,
    ShowKind.TABLE_ID,
    ShowKind.TRANSACTION,
}
"""What handlers of users and loads show, and ids, which nothing has."""
TAILS = {
    ShowKind.COLUMNS: "FROM t",
    ShowKind.CREATE_CATALOG: "internal",
    ShowKind.CREATE_DATABASE: "db",
    ShowKind.CREATE_TABLE: "t",
    ShowKind.INDEX: "FROM t",
    ShowKind.PARTITIONS: "FROM t",
    ShowKind.PROC: "'/'",
    ShowKind.TABLETS: "FROM t",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_in(Path(tmp_path_factory.mktemp("shows"))) as made:
        made.do(
            "CREATE TABLE t (k INT NOT NULL COMMENT 'the key', d DATE, v BIGINT SUM DEFAULT '0',"
            " h HLL HLL_UNION) AGGREGATE KEY(k, d) COMMENT 'counts'"
            " PARTITION BY RANGE(d) (PARTITION p1 VALUES LESS THAN ('2024-01-01'),"
            " PARTITION p2 VALUES LESS THAN (MAXVALUE)) DISTRIBUTED BY HASH(k) BUCKETS 4",
            "INSERT INTO t SELECT 1, '2023-01-01', 5, hll_hash(1)",
            "INSERT INTO t SELECT 1, '2025-01-01', 5, hll_hash(1)",
            "CREATE TABLE users (id INT, s STRING) UNIQUE KEY(id) DISTRIBUTED BY HASH(id)",
        )
        yield made


def test_every_show_answers_with_columns(client: Client) -> None:
    client.do("CREATE TABLE IF NOT EXISTS last (k INT)", "INSERT INTO last VALUES (1)")
    for kind in ShowKind:
        if kind in OTHERS:
            continue
        if kind is ShowKind.CREATE_VIEW:
            assert client.refused("SHOW CREATE VIEW t").code == 1347
            continue
        names = client.names(f"SHOW {kind} {TAILS.get(kind, '')}")
        assert names, kind
        assert len(set(names)) == len(names), kind
    client.do("DROP TABLE last")


def test_databases_and_tables(client: Client) -> None:
    client.do("CREATE DATABASE `shop-1`", "CREATE TABLE `shop-1`.x (a INT)")
    assert client.column("SHOW DATABASES") == ["db", "information_schema", "shop-1"]
    assert client.column("SHOW SCHEMAS LIKE 'S%'") == ["shop-1"]
    assert client.column("SHOW DATABASES FROM internal LIKE 'd_'") == ["db"]
    assert client.refused("SHOW DATABASES FROM nope").code == 1105
    assert client.names("SHOW TABLES") == ["Tables_in_db"]
    assert client.rows("SHOW FULL TABLES") == [("t", "BASE TABLE"), ("users", "BASE TABLE")]
    assert client.rows("SHOW FULL TABLES WHERE Table_type = 'VIEW'") == []
    assert client.rows("SHOW TABLES FROM `shop-1` WHERE `Tables_in_shop-1` = 'x'") == [("x",)]
    assert client.refused("SHOW TABLES FROM nope").code == 1049
    assert client.rows("SHOW CREATE DATABASE `shop-1`") == [("shop-1", "CREATE DATABASE `shop-1`")]
    client.do("DROP DATABASE `shop-1` FORCE")
    assert "schemata" in client.column("SHOW TABLES FROM information_schema")


def test_desc_has_doriss_columns(client: Client) -> None:
    assert client.names("DESC t") == ["Field", "Type", "Null", "Key", "Default", "Extra"]
    assert client.rows("DESC t") == [
        ("k", "int", "No", "true", None, ""),
        ("d", "date", "Yes", "true", None, ""),
        ("v", "bigint", "Yes", "false", "0", "SUM"),
        ("h", "hll", "No", "false", None, "HLL_UNION"),
    ]
    assert client.rows("DESCRIBE users")[1] == ("s", "text", "Yes", "false", None, "REPLACE")
    assert client.rows("DESC t v") == [("v", "bigint", "Yes", "false", "0", "SUM")]
    assert client.refused("DESC t nope").code == 1054
    assert client.refused("DESC nope").code == 1146
    assert client.names("DESC t ALL")[:3] == ["IndexName", "IndexKeysType", "Field"]
    assert client.rows("DESC t ALL")[0][:3] == ("t", "AGG_KEYS", "k")
    assert client.rows("DESC information_schema.schemata")[1][0] == "SCHEMA_NAME"


def test_columns_have_mysqls_words(client: Client) -> None:
    assert client.rows("SHOW COLUMNS FROM t")[2] == ("v", "bigint", "YES", "NO", "0", "SUM")
    (first, *_) = client.dicts("SHOW FULL COLUMNS FROM t FROM db")
    assert first["Comment"] == "the key"
    assert first["Null"] == "NO"
    assert first["Privileges"] == "select,insert,update,references"
    assert client.column("SHOW COLUMNS FROM t LIKE 'H'") == ["h"]
    assert client.column("SHOW COLUMNS FROM t WHERE Type = 'int'") == ["k"]
    assert client.names("SHOW FULL COLUMNS FROM information_schema.tables")[2] == "Collation"


def test_show_create_table_can_be_run_again(client: Client) -> None:
    ((name, text),) = client.rows("SHOW CREATE TABLE t")
    assert name == "t"
    client.do(text.replace("`t`", "`copy`", 1))
    ((_, again),) = client.rows("SHOW CREATE TABLE copy")
    assert again.replace("`copy`", "`t`", 1) == text
    client.do("DROP TABLE copy")


def test_partitions_are_filtered_ordered_and_cut(client: Client) -> None:
    first, second = client.dicts("SHOW PARTITIONS FROM t")
    assert (first["PartitionName"], first["Buckets"], first["RowCount"]) == ("p1", 4, 1)
    assert first["PartitionKey"] == "d"
    assert first["Range"] == 'LESS THAN ("2024-01-01")'
    assert second["State"] == "NORMAL"
    name = client.names("SHOW PARTITIONS FROM t").index("PartitionName")
    shown = client.column("SHOW PARTITIONS FROM t ORDER BY PartitionName DESC LIMIT 1", name)
    assert shown == ["p2"]
    assert client.column(
        "SHOW PARTITIONS FROM t WHERE PartitionName = 'p1' AND Buckets = 4", name
    ) == ["p1"]
    assert client.column("SHOW PARTITIONS FROM t LIMIT 5 OFFSET 1", name) == ["p2"]
    assert client.column("SHOW PARTITIONS FROM users", name) == ["users"]
    assert client.refused("SHOW PARTITIONS FROM t ORDER BY nope").code == 1054
    assert client.refused("SHOW PARTITIONS FROM t WHERE nope = 1").code == 1054


def test_a_condition_of_show_reads_nothing_else(client: Client) -> None:
    for where in (
        "Variable_name IN (SELECT k FROM db.t)",
        "Value = read_text('/etc/hostname')",
        "1 = 1 UNION SELECT 1, 2",
    ):
        client.refused(f"SHOW VARIABLES WHERE {where}")


def test_sizes(client: Client) -> None:
    assert client.names("SHOW DATA") == ["TableName", "Size", "ReplicaCount"]
    rows = client.rows("SHOW DATA")
    assert [row[0] for row in rows] == ["t", "users", "Total", "Quota", "Left"]
    assert rows[0][2] == "2"
    assert rows[1][1] == "0.000 "
    assert client.rows("SHOW DATA FROM t")[0][4] == "2"
    status = client.dicts("SHOW TABLE STATUS LIKE 't'")[0]
    assert (status["Rows"], status["Comment"], status["Engine"]) == (2, "counts", "Doris")
    assert status["Update_time"].startswith("2023-")


def test_alters_are_finished_jobs(client: Client) -> None:
    client.do("CREATE TABLE a (k INT, v INT SUM) AGGREGATE KEY(k)")
    assert client.rows("SHOW ALTER TABLE COLUMN WHERE TableName = 'a'") == []
    client.do("ALTER TABLE a ADD COLUMN w INT SUM DEFAULT '0', ADD COLUMN x INT SUM DEFAULT '1'")
    client.do("ALTER TABLE a SET ('replication_num' = '1')")
    client.do("ALTER TABLE a RENAME COLUMN x y")
    text = "SHOW ALTER TABLE COLUMN FROM db WHERE TableName = 'a' ORDER BY CreateTime DESC LIMIT 1"
    (row,) = client.rows(text)
    assert row[9] == "FINISHED"
    assert len(client.rows("SHOW ALTER TABLE COLUMN LIKE 'a'")) == 2
    assert client.rows("SHOW ALTER TABLE ROLLUP") == []
    assert client.names("SHOW ALTER TABLE ROLLUP")[8] == "State"
    assert client.column("DESC a") == ["k", "v", "w", "y"]
    assert client.refused("ALTER TABLE a DROP COLUMN nope").code == 1105
    assert client.refused("ALTER TABLE nope DROP COLUMN k").code == 1146
    assert len(client.rows("SHOW ALTER TABLE COLUMN LIKE 'a'")) == 2
    assert len(client.rows("SHOW PROC '/jobs/db/schema_change'")) == len(
        client.rows("SHOW ALTER TABLE COLUMN")
    )
    client.do("DROP TABLE a")


def test_the_log_of_alters_keeps_the_newest(client: Client) -> None:
    client.do("CREATE TABLE b (k INT, v INT SUM) AGGREGATE KEY(k)")
    for number in range(limits.ALTER_JOBS_MAX + 1):
        client.do(f"ALTER TABLE b MODIFY COLUMN v COMMENT 'n{number}'")
    rows = client.rows("SHOW ALTER TABLE COLUMN")
    assert len(rows) == limits.ALTER_JOBS_MAX
    numbers = [int(row[0]) for row in rows]
    assert numbers == list(range(numbers[0], numbers[0] + limits.ALTER_JOBS_MAX))
    client.do("DROP TABLE b")


def test_tables_are_renamed_and_replaced(client: Client) -> None:
    client.do("CREATE TABLE one (a INT)", "INSERT INTO one VALUES (1)")
    client.do("CREATE TABLE two (b INT)", "INSERT INTO two VALUES (2)")
    client.do("ALTER TABLE one REPLACE WITH TABLE two")
    assert client.names("SELECT * FROM one") == ["b"]
    assert client.value("SELECT a FROM two") == 1
    client.do("ALTER TABLE one REPLACE WITH TABLE two PROPERTIES('swap' = 'false')")
    assert client.value("SELECT a FROM one") == 1
    assert client.refused("SELECT * FROM two").code == 1146
    client.do("ALTER TABLE one RENAME three")
    assert client.value("SELECT a FROM three") == 1
    assert client.refused("ALTER TABLE three RENAME t").code == 1050
    assert client.refused("ALTER TABLE three RENAME four, ADD COLUMN c INT").code in (1064, 1105)
    client.do("DROP TABLE three")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("CREATE DATABASE db", 1007),
        ("DROP DATABASE nope", 1008),
        ("CREATE TABLE t (a INT)", 1050),
        ("DROP TABLE nope", 1051),
        ("DROP TABLE nope.t", 1049),
        ("DROP VIEW t", 1347),
        ("DROP VIEW nope", 1051),
        ("CREATE TABLE nope.x (a INT)", 1049),
        ("CREATE TABLE x (a INT, A INT)", 1060),
        ("CREATE TABLE `a b` (a INT)", 1103),
        ("CREATE DATABASE information_schema", 1044),
        ("DROP TABLE information_schema.tables", 1044),
        ("ALTER DATABASE nope RENAME x", 1049),
    ],
)
def test_ddl_is_refused_with_mysqls_numbers(client: Client, text: str, code: int) -> None:
    assert client.refused(text).code == code


def test_if_exists_leaves_notes(client: Client) -> None:
    for text, code in (
        ("CREATE DATABASE IF NOT EXISTS db", 1007),
        ("DROP DATABASE IF EXISTS nope", 1008),
        ("CREATE TABLE IF NOT EXISTS t (a INT)", 1050),
        ("DROP TABLE IF EXISTS nope", 1051),
        ("DROP VIEW IF EXISTS nope", 1051),
    ):
        assert client.do(text).warnings == 1
        assert [row[:2] for row in client.rows("SHOW WARNINGS")] == [("Note", code)]


def test_dropping_several_tables_drops_those_that_are_there(client: Client) -> None:
    client.do("CREATE TABLE d1 (a INT)", "CREATE TABLE d2 (a INT)")
    assert client.refused("DROP TABLE d1, nope, d2").code == 1051
    assert client.rows("SHOW TABLES LIKE 'd_'") == []


def test_a_session_follows_its_database(client: Client) -> None:
    other = client.another()
    other.do("CREATE DATABASE going", "USE going", "ALTER DATABASE going RENAME gone")
    assert other.value("SELECT DATABASE()") == "gone"
    other.do("DROP DATABASE gone")
    assert other.value("SELECT DATABASE()") is None


def test_the_server_is_one_backend_and_one_frontend(client: Client) -> None:
    (backend,) = client.dicts("SHOW BACKENDS")
    assert len(backend) == 23
    assert backend["Alive"] == "true"
    (frontend,) = client.dicts("SHOW FRONTENDS")
    assert (frontend["IsMaster"], frontend["QueryPort"]) == ("true", "9030")
    assert client.rows('SHOW PROC "/brokers"') == client.rows("SHOW BROKER")
    (broker,) = client.dicts('SHOW PROC "/brokers"')
    assert (broker["Name"], broker["Alive"]) == ("local", "true")
    assert client.rows("SHOW PROC '/backends'") == client.rows("SHOW BACKENDS")


def test_proc_paths(client: Client) -> None:
    assert "dbs" in client.column("SHOW PROC '/'")
    ((number, name, count, *_),) = client.rows("SHOW PROC '/dbs'")
    assert (name, count) == ("db", "2")
    assert client.column("SHOW PROC '/dbs/db'", 1) == ["t", "users"]
    assert client.rows(f"SHOW PROC '/dbs/{number}'") == client.rows("SHOW PROC '/dbs/db/'")
    assert client.rows("SHOW PROC '/jobs'") == [(number, "db")]
    assert client.column("SHOW PROC '/jobs/db'") == ["schema_change", "rollup"]
    assert "doesn't exist" in client.refused("SHOW PROC '/nope'").message
    assert client.refused("SHOW PROC '/dbs/nope'").code == 1049


def test_processes_and_kill(client: Client) -> None:
    (row,) = client.dicts("SHOW PROCESSLIST")
    assert (row["Id"], row["User"], len(row["Info"])) == (7, "ada", 100)
    assert len(client.dicts("SHOW FULL PROCESSLIST")[0]["Info"]) > 100
    client.do("SELECT 1; KILL QUERY 7; KILL 8")
    assert client.processes.killed == [(7, "root", True), (8, "root", False)]
    assert dict(client.rows("SHOW STATUS"))["Threads_connected"] == "1"


def test_catalogs(client: Client) -> None:
    (row,) = client.dicts("SHOW CATALOGS")
    assert (row["CatalogName"], row["IsCurrent"]) == ("warehouse", "Yes")
    assert client.rows("SHOW CATALOGS LIKE 'nope'") == []
    assert client.refused("SHOW CREATE CATALOG nope").code == 1105


def test_what_has_nothing_to_do_is_done(client: Client) -> None:
    for text in ("LOCK TABLES t READ", "UNLOCK TABLES", "SYNC", "ANALYZE TABLE t"):
        assert client.do(text).warnings == 0
    assert client.do("ADMIN SET FRONTEND CONFIG ('a' = 'b')").warnings == 1
