"""Statements about users: what they do, who may, and what is refused."""

from dataclasses import dataclass

import pytest

from anabranch.access import Access
from anabranch.access.sql_users import Level, SqlUsers, is_password
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.guarding import UserGuard, needed_level
from anabranch.warehouse.handlers.users import GRANT_COLUMNS, UserHandler
from anabranch.warehouse.results import Done, Rows
from anabranch.warehouse.sql.parser import parse_one
from tests.support.fakes import FakeClock, FakeIds


@dataclass
class FakeSession:
    """A session of one user."""

    user: str
    database: str | None = None
    connection_id: int = 1
    is_autocommit: bool = True
    is_in_transaction: bool = False
    timeout_s: float = 10.0

    def cancel(self) -> None:
        """Nothing runs."""


class Kit:
    """The handler over a store of its own."""

    def __init__(self) -> None:
        kv = MemoryKV()
        writer = GroupWriter(kv, lambda windows: None)
        access = Access(kv, writer, FakeClock(), FakeIds(), bytes(32))
        self.users: SqlUsers = access.sql_users
        self._handler = UserHandler(access.sql_users)

    def run(self, text: str, user: str = "root") -> list[tuple[object, ...]]:
        """Run a statement and return its rows."""
        (result,) = self._handler.run(FakeSession(user), parse_one(text))  # type: ignore[arg-type]  # the tests send nothing else
        if isinstance(result, Done):
            return []
        assert isinstance(result, Rows)
        return [tuple(row.values()) for batch in result.batches for row in batch.to_pylist()]

    def refused(self, text: str, user: str = "root") -> SqlError:
        """Return the error of a statement."""
        with pytest.raises(SqlError) as raised:
            self.run(text, user)
        return raised.value


@pytest.fixture
def kit() -> Kit:
    return Kit()


def test_users_come_change_and_go(kit: Kit) -> None:
    kit.run("CREATE USER 'ada'@'%' IDENTIFIED BY 'x' COMMENT 'one'")
    ada = kit.users.get("ada")
    assert is_password("x", ada.password)
    assert (ada.level, ada.comment) == (Level.READ, "one")
    kit.run("ALTER USER ada IDENTIFIED BY 'y'")
    assert is_password("y", kit.users.get("ada").password)
    kit.run("ALTER USER ada COMMENT 'two'")
    assert is_password("y", kit.users.get("ada").password)
    assert kit.users.get("ada").comment == "two"
    kit.run("DROP USER ada")
    assert kit.users.find_user("ada") is None


def test_what_exists_or_not_is_said_in_doris_words(kit: Kit) -> None:
    kit.run("CREATE USER ada")
    assert "User 'ada'@'%' already exist" in kit.refused("CREATE USER ada").message
    kit.run("CREATE USER IF NOT EXISTS ada IDENTIFIED BY 'z'")
    assert kit.users.get("ada").is_empty
    assert "User 'eve'@'%' does not exist" in kit.refused("DROP USER eve").message
    assert "does not exist" in kit.refused("ALTER USER eve COMMENT ''").message
    assert "does not exist" in kit.refused("GRANT ALL ON *.* TO eve").message
    assert "no user" in kit.refused("SET PASSWORD FOR eve = PASSWORD('x')").message
    kit.run("DROP USER IF EXISTS eve")
    kit.run("ALTER USER IF EXISTS eve COMMENT ''")
    assert "root" in kit.refused("DROP USER root").message


def test_passwords_are_set_by_oneself_and_by_administrators(kit: Kit) -> None:
    kit.run("CREATE USER ada IDENTIFIED BY 'x'")
    kit.run("CREATE USER eve IDENTIFIED BY 'x'")
    kit.run("SET PASSWORD = PASSWORD('mine')", user="ada")
    assert is_password("mine", kit.users.get("ada").password)
    kit.run("ALTER USER ada IDENTIFIED BY 'again'", user="ada")
    assert is_password("again", kit.users.get("ada").password)
    assert kit.refused("SET PASSWORD FOR ada = PASSWORD('hers')", user="eve").code == 1227
    assert kit.refused("ALTER USER ada COMMENT 'x'", user="ada").code == 1227
    kit.run("SET PASSWORD FOR 'ada'@'%' = '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'")
    assert is_password("password", kit.users.get("ada").password)


def test_grants_make_levels(kit: Kit) -> None:
    kit.run("CREATE USER ada")
    kit.run("GRANT SELECT_PRIV ON *.*.* TO 'ada'@'%'")
    assert kit.users.get("ada").level is Level.READ
    kit.run("GRANT ALL ON *.* TO ada")
    assert kit.users.get("ada").level is Level.FULL
    kit.run("GRANT SELECT_PRIV ON *.* TO ada")
    assert kit.users.get("ada").level is Level.FULL
    kit.run("GRANT ADMIN_PRIV ON *.*.* TO ada")
    assert kit.users.get("ada").level is Level.ADMIN
    kit.run("REVOKE ADMIN_PRIV ON *.*.* FROM ada")
    assert kit.users.get("ada").level is Level.FULL
    kit.run("REVOKE LOAD_PRIV, ALTER_PRIV, CREATE_PRIV, DROP_PRIV ON *.* FROM ada")
    assert kit.users.get("ada").level is Level.READ
    kit.run("GRANT 'admin' TO ada")
    assert kit.users.get("ada").level is Level.ADMIN


@pytest.mark.parametrize(
    "text",
    [
        "GRANT ALL ON db.* TO ada",
        "GRANT SELECT_PRIV ON internal.db.t TO ada",
        "GRANT LOAD_PRIV ON *.* TO ada",
        "GRANT GRANT_PRIV ON *.* TO ada",
        "REVOKE SELECT_PRIV ON *.* FROM ada",
        "GRANT ALL ON *.* TO ROLE r",
        "CREATE ROLE r",
        "DROP ROLE r",
        "CREATE USER 'bob'@'10.0.0.1'",
    ],
)
def test_what_lies_between_the_levels_is_refused(kit: Kit, text: str) -> None:
    kit.run("CREATE USER ada")
    assert kit.refused(text).code == 1235
    assert kit.users.get("ada").level is Level.READ
    assert kit.users.find_user("bob") is None


def test_roles_that_do_not_exist_are_said_so(kit: Kit) -> None:
    kit.run("CREATE USER ada")
    assert "role r does not exist" in kit.refused("GRANT 'r' TO ada").message
    assert "role r does not exist" in kit.refused("CREATE USER bob DEFAULT ROLE 'r'").message
    kit.run("CREATE USER bob DEFAULT ROLE 'admin'")
    assert kit.users.may_administer("bob")


@pytest.mark.parametrize(
    "text",
    [
        "CREATE USER bob",
        "DROP USER ada",
        "GRANT ALL ON *.* TO eve",
        "REVOKE ALL ON *.* FROM ada",
        "SHOW ALL GRANTS",
        "SHOW GRANTS FOR root",
    ],
)
def test_only_administrators_manage_users(kit: Kit, text: str) -> None:
    kit.run("CREATE USER ada")
    kit.run("CREATE USER eve")
    kit.run("GRANT ALL ON *.* TO eve")
    assert kit.refused(text, user="eve").code == 1227
    assert kit.users.get("eve").level is Level.FULL


def test_grants_are_shown(kit: Kit) -> None:
    kit.run("CREATE USER ada IDENTIFIED BY 'x' COMMENT 'c'")
    (row,) = kit.run("SHOW GRANTS", user="ada")
    assert row == ("'ada'@'%'", "c", "Yes", "", "Select_priv", *[None] * 6)
    assert len(row) == len(GRANT_COLUMNS)
    (row,) = kit.run("SHOW GRANTS FOR root")
    assert row[:5] == ("'root'@'%'", "", "No", "operator", "Admin_priv")
    assert [row[0] for row in kit.run("SHOW ALL GRANTS")] == ["'ada'@'%'", "'root'@'%'"]
    assert "no user" in kit.refused("SHOW GRANTS FOR eve").message


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("SELECT 1", Level.READ),
        ("SHOW TABLES", Level.READ),
        ("SHOW LOAD", Level.READ),
        ("DESC t", Level.READ),
        ("USE d", Level.READ),
        ("SET time_zone = 'UTC'", Level.READ),
        ("SET NAMES utf8mb4", Level.READ),
        ("BEGIN", Level.READ),
        ("EXPLAIN SELECT 1", Level.READ),
        ("SET GLOBAL time_zone = 'UTC'", Level.ADMIN),
        ("CREATE USER a", Level.ADMIN),
        ("INSERT INTO t VALUES (1)", Level.FULL),
        ("DELETE FROM t WHERE a = 1", Level.FULL),
        ("UPDATE t SET a = 1 WHERE a = 2", Level.FULL),
        ("TRUNCATE TABLE t", Level.FULL),
        ("CREATE DATABASE d", Level.FULL),
        ("DROP TABLE t", Level.FULL),
        ("ALTER TABLE t DROP COLUMN a", Level.FULL),
        ("CALL lake_commit('x')", Level.FULL),
        ("CANCEL LOAD WHERE LABEL = 'x'", Level.FULL),
    ],
)
def test_statements_take_their_level(kit: Kit, text: str, level: Level) -> None:
    statement = parse_one(text)
    assert needed_level(statement) is level
    guard = UserGuard(kit.users)
    kit.run("CREATE USER ada")
    for has in Level:
        kit.users.set_level("ada", has)
        if has >= level:
            guard.check(FakeSession("ada"), statement)
        else:
            with pytest.raises(SqlError) as raised:
                guard.check(FakeSession("ada"), statement)
            assert raised.value.code == 1227
    kit.users.drop("ada")
    with pytest.raises(SqlError):
        guard.check(FakeSession("ada"), statement)
    with pytest.raises(SqlError) as raised:
        guard.check_database("ada", "d")
    assert raised.value.code == 1044
