"""SHOW and DESCRIBE: one value for all of them, told apart by `ShowKind`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from anabranch.warehouse.errors import not_supported
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.lexer import TokenKind
from anabranch.warehouse.sql.loads import ShowLoad, parse_limit, parse_order, parse_show_load
from anabranch.warehouse.sql.statements import Explain, TableName
from anabranch.warehouse.sql.users import UserIdentity, parse_user


class ShowKind(StrEnum):
    """What is shown."""

    ALTER_COLUMN = "ALTER TABLE COLUMN"
    ALTER_MATERIALIZED_VIEW = "ALTER TABLE MATERIALIZED VIEW"
    ALTER_ROLLUP = "ALTER TABLE ROLLUP"
    AUTHORS = "AUTHORS"
    BACKENDS = "BACKENDS"
    BROKER = "BROKER"
    CATALOGS = "CATALOGS"
    CHARSET = "CHARSET"
    COLLATION = "COLLATION"
    COLUMNS = "COLUMNS"
    COUNT_ERRORS = "COUNT(*) ERRORS"
    COUNT_WARNINGS = "COUNT(*) WARNINGS"
    CREATE_CATALOG = "CREATE CATALOG"
    CREATE_DATABASE = "CREATE DATABASE"
    CREATE_TABLE = "CREATE TABLE"
    CREATE_VIEW = "CREATE VIEW"
    DATA = "DATA"
    DATABASES = "DATABASES"
    DATABASE_ID = "DATABASE"
    DELETE = "DELETE"
    DYNAMIC_PARTITION_TABLES = "DYNAMIC PARTITION TABLES"
    ENGINES = "ENGINES"
    ERRORS = "ERRORS"
    EVENTS = "EVENTS"
    EXPORT = "EXPORT"
    FRONTENDS = "FRONTENDS"
    FRONTEND_CONFIG = "FRONTEND CONFIG"
    FUNCTIONS = "FUNCTIONS"
    FUNCTION_STATUS = "FUNCTION STATUS"
    GRANTS = "GRANTS"
    INDEX = "INDEX"
    LAST_INSERT = "LAST INSERT"
    LOAD_PROFILE = "LOAD PROFILE"
    LOAD_WARNINGS = "LOAD WARNINGS"
    OPEN_TABLES = "OPEN TABLES"
    PARTITIONS = "PARTITIONS"
    PARTITION_ID = "PARTITION"
    PLUGINS = "PLUGINS"
    PRIVILEGES = "PRIVILEGES"
    PROC = "PROC"
    PROCEDURE_STATUS = "PROCEDURE STATUS"
    PROCESSLIST = "PROCESSLIST"
    QUERY_PROFILE = "QUERY PROFILE"
    REPOSITORIES = "REPOSITORIES"
    RESOURCES = "RESOURCES"
    ROLES = "ROLES"
    ROUTINE_LOAD = "ROUTINE LOAD"
    STATUS = "STATUS"
    TABLES = "TABLES"
    TABLETS = "TABLETS"
    TABLE_ID = "TABLE"
    TABLE_STATUS = "TABLE STATUS"
    TRANSACTION = "TRANSACTION"
    TRIGGERS = "TRIGGERS"
    VARIABLES = "VARIABLES"
    VIEWS = "VIEWS"
    WARNINGS = "WARNINGS"


@dataclass(frozen=True, slots=True)
class Show:
    """SHOW of anything but loads.

    `argument` is the path of PROC, the URL of LOAD WARNINGS, an id. `where` is text over the
    columns shown. `is_full` is FULL, and ALL of GRANTS and DESC; `user` is of GRANTS FOR.
    """

    kind: ShowKind
    database: str | None = None
    table: TableName | None = None
    argument: str = ""
    like: str | None = None
    where: str | None = None
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0
    is_full: bool = False
    is_global: bool = False
    user: UserIdentity | None = None


@dataclass(frozen=True, slots=True)
class Describe:
    """DESC of a table; `is_all` with its rollups, `column` of MySQL's form."""

    table: TableName
    is_all: bool = False
    column: str | None = None


# Longest first where one begins another.
_HEADS: tuple[tuple[str, ShowKind], ...] = (
    ("ALTER TABLE MATERIALIZED VIEW", ShowKind.ALTER_MATERIALIZED_VIEW),
    ("ALTER TABLE COLUMN", ShowKind.ALTER_COLUMN),
    ("ALTER TABLE ROLLUP", ShowKind.ALTER_ROLLUP),
    ("DYNAMIC PARTITION TABLES", ShowKind.DYNAMIC_PARTITION_TABLES),
    ("COUNT ( * ) WARNINGS", ShowKind.COUNT_WARNINGS),
    ("COUNT ( * ) ERRORS", ShowKind.COUNT_ERRORS),
    ("CREATE CATALOG", ShowKind.CREATE_CATALOG),
    ("CREATE DATABASE", ShowKind.CREATE_DATABASE),
    ("CREATE SCHEMA", ShowKind.CREATE_DATABASE),
    ("CREATE TABLE", ShowKind.CREATE_TABLE),
    ("CREATE VIEW", ShowKind.CREATE_VIEW),
    ("CHARACTER SET", ShowKind.CHARSET),
    ("FRONTEND CONFIG", ShowKind.FRONTEND_CONFIG),
    ("FUNCTION STATUS", ShowKind.FUNCTION_STATUS),
    ("PROCEDURE STATUS", ShowKind.PROCEDURE_STATUS),
    ("LAST INSERT", ShowKind.LAST_INSERT),
    ("LOAD WARNINGS", ShowKind.LOAD_WARNINGS),
    ("LOAD ERRORS", ShowKind.LOAD_WARNINGS),
    ("LOAD PROFILE", ShowKind.LOAD_PROFILE),
    ("OPEN TABLES", ShowKind.OPEN_TABLES),
    ("QUERY PROFILE", ShowKind.QUERY_PROFILE),
    ("ROUTINE LOAD", ShowKind.ROUTINE_LOAD),
    ("STORAGE ENGINES", ShowKind.ENGINES),
    ("TABLE STATUS", ShowKind.TABLE_STATUS),
    ("SCHEMAS", ShowKind.DATABASES),
    ("FIELDS", ShowKind.COLUMNS),
    ("INDEXES", ShowKind.INDEX),
    ("KEYS", ShowKind.INDEX),
    ("KEY", ShowKind.INDEX),
    ("BROKERS", ShowKind.BROKER),
    ("TABLET", ShowKind.TABLETS),
    ("CHAR SET", ShowKind.CHARSET),
    ("MATERIALIZED VIEWS", ShowKind.VIEWS),
    *((kind.value, kind) for kind in ShowKind if kind.value.isalpha()),
)
_OF_TABLE = frozenset(
    {
        ShowKind.COLUMNS,
        ShowKind.INDEX,
        ShowKind.PARTITIONS,
        ShowKind.TABLETS,
    }
)
_NAMES_TABLE = frozenset({ShowKind.CREATE_TABLE, ShowKind.CREATE_VIEW})
_NAMES_DATABASE = frozenset({ShowKind.CREATE_DATABASE, ShowKind.CREATE_CATALOG})
_TAKES_ID = frozenset({ShowKind.DATABASE_ID, ShowKind.TABLE_ID, ShowKind.PARTITION_ID})


def parse_show(cursor: Cursor) -> Show | ShowLoad:
    """Parse what follows SHOW."""
    if cursor.is_word("LOAD") and not (
        cursor.is_word("WARNINGS", 1) or cursor.is_word("PROFILE", 1)
    ):
        cursor.take()
        if not cursor.is_word("ERRORS"):
            return parse_show_load(cursor, is_stream=False)
        raise not_supported("SHOW LOAD ERRORS")
    if cursor.accept("STREAM LOAD"):
        return parse_show_load(cursor, is_stream=True)
    modifiers: set[str] = set()
    while found := cursor.accept_any(
        "FULL", "EXTENDED", "GLOBAL", "SESSION", "LOCAL", "ALL", "TEMPORARY"
    ):
        modifiers.add(found)
    kind = next((kind for head, kind in _HEADS if cursor.accept(head)), None)
    if kind is None:
        if cursor.at_end():
            raise cursor.error("what to show")
        if cursor.is_name():
            raise not_supported(f"SHOW {cursor.peek().value.upper()[:40]}")
        raise cursor.error("what to show")
    show = _parse_object(cursor, kind, modifiers)
    cursor.finish()
    return show


def _parse_object(cursor: Cursor, kind: ShowKind, modifiers: set[str]) -> Show:
    is_full = bool(modifiers & {"FULL", "ALL"})
    database = None
    table: TableName | None = None
    argument = ""
    user = None
    if kind is ShowKind.GRANTS:
        user = parse_user(cursor) if cursor.accept("FOR") else None
    elif kind is ShowKind.PROC:
        argument = cursor.string("a path")
    elif kind is ShowKind.LOAD_WARNINGS and cursor.accept("ON"):
        argument = cursor.string("a URL")
    elif kind in (ShowKind.LOAD_PROFILE, ShowKind.QUERY_PROFILE):
        if cursor.peek().kind is TokenKind.STRING:
            argument = cursor.string()
    elif kind in _NAMES_TABLE:
        cursor.accept("IF NOT EXISTS")
        table = cursor.table_name()
    elif kind in _NAMES_DATABASE:
        cursor.accept("IF NOT EXISTS")
        database = cursor.database_name()
    elif kind in _TAKES_ID:
        argument = str(cursor.integer("an id"))
    elif kind is ShowKind.TABLETS and cursor.peek().kind is TokenKind.INTEGER:
        argument = str(cursor.integer())
    elif kind is ShowKind.ENGINES or not cursor.accept_any("FROM", "IN"):
        if kind in _OF_TABLE:
            raise cursor.error("FROM")
    elif kind is ShowKind.DATA or kind in _OF_TABLE:
        table = cursor.table_name()
        if kind is not ShowKind.DATA and cursor.accept_any("FROM", "IN"):
            table = TableName(table.table, cursor.database_name())
    else:
        database = cursor.database_name()
    like = cursor.string("a pattern") if cursor.accept("LIKE") else None
    where = None
    if like is None and cursor.accept("WHERE"):
        where = cursor.text_until("ORDER BY", "LIMIT")
    order = parse_order(cursor)
    limit, offset = parse_limit(cursor)
    return Show(
        kind,
        database,
        table,
        argument,
        like,
        where,
        order,
        limit,
        offset,
        is_full=is_full,
        is_global="GLOBAL" in modifiers,
        user=user,
    )


_EXPLAINED = ("SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE", "VALUES", "TABLE")
_LEVELS = (
    "SHAPE PLAN", "PARSED PLAN", "ANALYZED PLAN", "REWRITTEN PLAN", "LOGICAL PLAN",
    "OPTIMIZED PLAN", "PHYSICAL PLAN", "MEMO PLAN", "DISTRIBUTED PLAN", "ALL PLAN",
    "VERBOSE", "GRAPH", "TREE", "ANALYZE", "PLAN", "DUMP",
)  # fmt: skip  # sixteen words read better in three lines


def parse_describe(cursor: Cursor) -> Describe | Explain:
    """Parse what follows DESC, DESCRIBE or EXPLAIN."""
    cursor.accept("EXTENDED")
    level = ""
    if any(cursor.is_words(choice) for choice in _LEVELS):
        choice = next(choice for choice in _LEVELS if cursor.is_words(choice))
        if any(cursor.is_word(word, len(choice.split())) for word in _EXPLAINED):
            cursor.accept(choice)
            level = choice
    if cursor.accept("FORMAT ="):
        level = f"FORMAT={cursor.name_or_string('a format').upper()}"
    if any(cursor.is_word(word) for word in _EXPLAINED):
        return Explain(cursor.rest(), level)
    cursor.accept("TABLE")
    table = cursor.table_name()
    is_all = cursor.accept("ALL")
    column = None
    if not is_all and not cursor.at_end():
        column = cursor.name_or_string("a column")
    cursor.finish()
    return Describe(table, is_all, column)
