"""SHOW, sessions, users and rows as clients write them; every example of docs/sql parses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.schema import decode_table, encode_table
from anabranch.warehouse.schemas.creation import create_table
from anabranch.warehouse.sql.admin import (
    Call,
    Kill,
    Nothing,
    Scope,
    SetItem,
    SetNames,
    SetVariables,
    Use,
    ValueKind,
)
from anabranch.warehouse.sql.parser import Statement, parse
from anabranch.warehouse.sql.shows import Describe, Show, ShowKind
from anabranch.warehouse.sql.statements import (
    CreateTable,
    Delete,
    Explain,
    Insert,
    Query,
    TableName,
    Update,
)
from anabranch.warehouse.sql.users import (
    CreateUser,
    Grant,
    Password,
    SetPassword,
    UserIdentity,
)

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    pytest.param(text, id=f"{page.stem}-{at}")
    for page in sorted((DOCS / "sql").glob("*.md"))
    if page.stem in {"tables", "loads", "shows"}
    for at, text in enumerate(re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL))
]
T = TableName("t")


def one(text: str) -> Statement:
    (statement,) = parse(text)
    return statement


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_docs_parse(text: str) -> None:
    statements = parse(text)
    assert len(statements) == text.count(";\n")
    for statement in statements:
        if isinstance(statement, CreateTable) and statement.columns:
            table = create_table(statement, "0" * 32)
            assert decode_table(encode_table(table)) == table


def test_the_schema_of_the_format_page_is_what_is_written() -> None:
    page = (DOCS / "formats" / "rowset.md").read_text()
    statement = one(re.findall(r"```sql schema\n(.*?)```", page, re.DOTALL)[0])
    assert isinstance(statement, CreateTable)
    table = create_table(statement, "00112233445566778899aabbccddeeff")
    written = re.findall(r"```json schema\n(.*?)\n```", page, re.DOTALL)[0]
    assert encode_table(table).decode() == written


@pytest.mark.parametrize(
    "text, expected",
    [
        ("USE db", Use("db")),
        ("USE db@dev", Use("db", "dev")),
        ("use db@feature/x~3", Use("db", "feature/x~3")),
        ("USE `db/dev`", Use("db", "dev")),
        ("USE `db@dev`", Use("db", "dev")),
        ("USE db@'v1.2'", Use("db", "v1.2")),
        ("USE other.db@dev", Use("db", "dev", "other")),
        ("USE default_cluster:db", Use("db")),
        ("KILL 5", Kill(5)),
        ("KILL QUERY 5", Kill(5, is_query=True)),
        ("SET NAMES utf8", SetNames("utf8")),
        ("LOCK TABLES a READ", Nothing("LOCK TABLES")),
        ("CALL lake_merge('dev', NULL)", Call("lake_merge", ((None, "dev"), (None, None)))),
        ("DESC a.b ALL", Describe(TableName("b", "a"), is_all=True)),
        ("EXPLAIN VERBOSE select 1", Explain("select 1", "VERBOSE")),
        ("DESC verbose", Describe(TableName("verbose"))),
        ("SHOW schemas", Show(ShowKind.DATABASES)),
        ("SHOW PROC '/brokers'", Show(ShowKind.PROC, argument="/brokers")),
        (
            "SHOW PARTITIONS FROM default_cluster:db.t",
            Show(ShowKind.PARTITIONS, table=TableName("t", "db")),
        ),
        ("SHOW DELETE FROM default_cluster:db", Show(ShowKind.DELETE, "db")),
        ("/* c */ (SELECT 1)", Query("(SELECT 1)")),
        ("with a as (select 1) select * from a", Query("with a as (select 1) select * from a")),
        (
            "GRANT ALL ON *.* TO 'u'@'h'",
            Grant(("ALL",), ("*", "*"), UserIdentity("u", "h")),
        ),
        (
            "CREATE USER u IDENTIFIED BY 'p'",
            CreateUser(UserIdentity("u"), Password("p")),
        ),
        ("SET PASSWORD = PASSWORD('x')", SetPassword(Password("x"))),
        ("DELETE FROM t", Delete(T)),
        ("DELETE FROM t WHERE a = 1", Delete(T, "a = 1")),
        (
            "UPDATE t x SET x.a = a + 1, b = ',' WHERE c",
            Update(T, (("a", "a + 1"), ("b", "','")), "c", "x"),
        ),
    ],
)
def test_statements(text: str, expected: Statement) -> None:
    assert one(text) == expected


def test_what_set_takes() -> None:
    found = one(
        "SET AUTOCOMMIT = 0, GLOBAL a = ON, @v = 1 + 2, @@session.b = 'x', c = -1, d = default"
    )
    assert found == SetVariables(
        (
            SetItem(Scope.SESSION, "autocommit", ValueKind.NUMBER, "0"),
            SetItem(Scope.GLOBAL, "a", ValueKind.WORD, "ON"),
            SetItem(Scope.USER, "v", ValueKind.EXPRESSION, "1 + 2"),
            SetItem(Scope.SESSION, "b", ValueKind.STRING, "x"),
            SetItem(Scope.SESSION, "c", ValueKind.NUMBER, "-1"),
            SetItem(Scope.SESSION, "d", ValueKind.DEFAULT, ""),
        )
    )


def test_heads_of_insert() -> None:
    text = "INSERT INTO db.t PARTITION (p1) WITH LABEL l1 (a, b) VALUES (1, 'x;y'), (2, 3)"
    found = one(text)
    assert found == Insert(
        TableName("t", "db"),
        "VALUES (1, 'x;y'), (2, 3)",
        text.index("VALUES"),
        ("a", "b"),
        ("p1",),
        "l1",
    )
    assert one("INSERT OVERWRITE TABLE t SELECT 1") == Insert(T, "SELECT 1", 25, is_overwrite=True)
    branch = one("insert into t@branch(dev) (select 1)")
    assert isinstance(branch, Insert)
    assert (branch.table.ref, branch.body) == ("dev", "(select 1)")


def test_a_password_stays_out_of_texts() -> None:
    assert "secret" not in repr(one("CREATE USER u IDENTIFIED BY 'secret'"))


@pytest.mark.parametrize(
    "text, code",
    [
        ("selec 1", 1064),
        ("SHOW", 1064),
        ("SHOW NOPE", 1235),
        ("CREATE VIEW v AS SELECT 1", 1235),
        ("ALTER TABLE t ADD ROLLUP r (a)", 1235),
        ("BACKUP SNAPSHOT a", 1235),
        ("CREATE TABLE t", 1064),
        ("USE", 1064),
        ("USE db@a b", 1064),
        ("KILL x", 1064),
        ("INSERT INTO t", 1064),
        ("DROP TABLE t x", 1064),
        ("CREATE USER u IDENTIFIED BY PASSWORD 'x'", 1105),
        ("CREATE TABLE t (a int) ENGINE=x", 1105),
    ],
)
def test_refusals_have_mysqls_numbers(text: str, code: int) -> None:
    with pytest.raises(SqlError) as raised:
        parse(text)
    assert raised.value.code == code
