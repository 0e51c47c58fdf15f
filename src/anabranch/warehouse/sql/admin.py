"""USE, SET, KILL, CALL, ADMIN and other statements about the session and the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from anabranch.warehouse.errors import not_supported
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.lexer import TokenKind
from anabranch.warehouse.sql.shows import Show, ShowKind
from anabranch.warehouse.sql.statements import Properties, TableName
from anabranch.warehouse.sql.users import SetPassword, parse_set_password


@dataclass(frozen=True, slots=True)
class Use:
    """USE [catalog.]database[@ref], and SWITCH catalog, which has no database."""

    database: str | None
    ref: str | None = None
    catalog: str | None = None


class Scope(StrEnum):
    """Whose variable is set."""

    SESSION = "SESSION"
    GLOBAL = "GLOBAL"
    USER = "USER"  # @name


class ValueKind(StrEnum):
    """How a variable's value was written."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    WORD = "WORD"  # ON, TRUE, utf8, NULL
    DEFAULT = "DEFAULT"
    EXPRESSION = "EXPRESSION"


@dataclass(frozen=True, slots=True)
class SetItem:
    """One assignment; `text` is the value without quotes, or of EXPRESSION as written."""

    scope: Scope
    name: str
    kind: ValueKind
    text: str


@dataclass(frozen=True, slots=True)
class SetVariables:
    """SET; names are in lower case. SET ref = 'dev' moves the session to a ref."""

    items: tuple[SetItem, ...]


@dataclass(frozen=True, slots=True)
class SetNames:
    """SET NAMES and SET CHARACTER SET."""

    charset: str
    collation: str | None = None


@dataclass(frozen=True, slots=True)
class SetTransaction:
    """SET TRANSACTION, kept for clients that send it."""

    scope: Scope
    text: str


@dataclass(frozen=True, slots=True)
class Kill:
    """KILL; `is_query` ends the statement and keeps the connection."""

    connection_id: int
    is_query: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """CALL of a procedure; an argument is (name or None, value or None for NULL)."""

    procedure: str
    arguments: tuple[tuple[str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class AdminSetConfig:
    """ADMIN SET FRONTEND CONFIG."""

    properties: Properties


@dataclass(frozen=True, slots=True)
class AdminShow:
    """ADMIN SHOW REPLICA STATUS | DISTRIBUTION FROM a table."""

    what: str
    table: TableName


@dataclass(frozen=True, slots=True)
class Nothing:
    """A statement that clients send and that has nothing to do here: LOCK TABLES, SYNC, ANALYZE."""

    what: str


_REF = re.compile(r"[^\s;`'\"@]+")


def parse_use(cursor: Cursor) -> Use:
    """Parse what follows USE.

    The ref after `@` is written as it is or quoted; a quoted name may hold `db/ref` or `db@ref`.
    """
    first = cursor.peek()
    catalog = None
    if first.kind is TokenKind.STRING:
        database = cursor.string()
    else:
        parts = cursor.database_parts()
        database, catalog = parts[-1], parts[-2] if len(parts) > 1 else None
    ref: str | None = None
    if cursor.is_word("@"):
        at = cursor.take().end
        if cursor.peek().kind in (TokenKind.QUOTED, TokenKind.STRING):
            ref = cursor.take().value
            cursor.finish()
        else:
            ref = _take_bare_ref(cursor, at)
    elif cursor.is_word("/"):
        ref = _take_bare_ref(cursor, cursor.take().end)
    else:
        cursor.finish()
        for mark in "@/":
            if mark in database:
                database, _, ref = database.partition(mark)
                break
    return Use(database, ref, catalog)


def _take_bare_ref(cursor: Cursor, at: int) -> str:
    text = cursor.text[at:].strip()
    if not _REF.fullmatch(text):
        raise cursor.error("a ref")
    cursor.rest()
    return text


def parse_switch(cursor: Cursor) -> Use:
    """Parse what follows SWITCH."""
    catalog = cursor.name("a catalog")
    cursor.finish()
    return Use(None, catalog=catalog)


SetStatement = SetVariables | SetNames | SetTransaction | SetPassword


def parse_set(cursor: Cursor) -> SetStatement:
    """Parse what follows SET."""
    if cursor.is_word("PASSWORD") and (cursor.is_word("=", 1) or cursor.is_word("FOR", 1)):
        cursor.take()
        return parse_set_password(cursor)
    if cursor.accept_any("NAMES", "CHARACTER SET", "CHARSET"):
        charset = cursor.name_or_string("a character set")
        collation = cursor.name_or_string("a collation") if cursor.accept("COLLATE") else None
        cursor.finish()
        return SetNames(charset, collation)
    scope = Scope.SESSION
    for words, found in (("GLOBAL", Scope.GLOBAL), ("SESSION", scope), ("LOCAL", scope)):
        if cursor.is_words(f"{words} TRANSACTION"):
            cursor.take()
            scope = found
            break
    if cursor.is_word("TRANSACTION"):
        cursor.take()
        return SetTransaction(scope, cursor.rest().upper())
    for words in ("PROPERTY", "ROLE", "DEFAULT", "RESOURCE"):
        if cursor.is_word(words) and not cursor.is_word("=", 1):
            raise not_supported(f"SET {words}")
    items = [_parse_item(cursor)]
    while cursor.accept(","):
        items.append(_parse_item(cursor))
    cursor.finish()
    return SetVariables(tuple(items))


def _parse_item(cursor: Cursor) -> SetItem:
    scope = Scope.SESSION
    if cursor.accept("@@"):
        if cursor.is_word(".", 1):
            scope = _scope_of(cursor.accept_any("GLOBAL", "PERSIST", "SESSION", "LOCAL"))
            cursor.expect(".")
    elif cursor.accept("@"):
        scope = Scope.USER
    elif found := cursor.accept_any("GLOBAL", "SESSION", "LOCAL"):
        scope = _scope_of(found)
        cursor.accept("@@")
    name = cursor.name("a variable") if scope is not Scope.USER else cursor.name_or_string()
    while cursor.accept("."):
        name += "." + cursor.name("a variable")
    cursor.expect_any("=", ":=")
    token = cursor.peek()
    text = cursor.text_until(",")
    if cursor.last_end != token.end and token.value not in ("-", "+"):
        return SetItem(scope, name.lower(), ValueKind.EXPRESSION, text)
    match token.kind:
        case TokenKind.STRING:
            return SetItem(scope, name.lower(), ValueKind.STRING, token.value)
        case TokenKind.INTEGER | TokenKind.NUMBER:
            return SetItem(scope, name.lower(), ValueKind.NUMBER, token.value)
        case TokenKind.WORD if token.value.upper() == "DEFAULT":
            return SetItem(scope, name.lower(), ValueKind.DEFAULT, "")
        case TokenKind.WORD | TokenKind.QUOTED:
            return SetItem(scope, name.lower(), ValueKind.WORD, token.value)
    if re.fullmatch(r"[+-]\s*\d+(\.\d+)?", text):
        return SetItem(scope, name.lower(), ValueKind.NUMBER, "".join(text.split()).lstrip("+"))
    return SetItem(scope, name.lower(), ValueKind.EXPRESSION, text)


def _scope_of(word: str) -> Scope:
    return Scope.GLOBAL if word in ("GLOBAL", "PERSIST") else Scope.SESSION


def parse_kill(cursor: Cursor) -> Kill:
    """Parse what follows KILL."""
    kind = cursor.accept_any("CONNECTION", "QUERY")
    connection_id = cursor.integer("a connection's id")
    cursor.finish()
    return Kill(connection_id, kind == "QUERY")


def parse_call(cursor: Cursor) -> Call:
    """Parse what follows CALL."""
    parts = [cursor.name("a procedure")]
    while cursor.accept("."):
        parts.append(cursor.name("a procedure"))
    arguments: list[tuple[str | None, str | None]] = []
    if cursor.accept("("):
        while not cursor.is_word(")"):
            name = None
            if cursor.is_name() and (cursor.is_word("=>", 1) or cursor.is_word("=", 1)):
                name = cursor.name()
                cursor.take()
            arguments.append((name, cursor.literal()))
            if not cursor.accept(","):
                break
        cursor.expect(")")
    cursor.finish()
    return Call(".".join(parts).lower(), tuple(arguments))


def parse_admin(cursor: Cursor) -> Show | AdminSetConfig | AdminShow:
    """Parse what follows ADMIN."""
    if cursor.accept("SHOW"):
        if cursor.accept("FRONTEND CONFIG"):
            like = cursor.string("a pattern") if cursor.accept("LIKE") else None
            cursor.finish()
            return Show(ShowKind.FRONTEND_CONFIG, like=like)
        what = cursor.accept_any("REPLICA STATUS", "REPLICA DISTRIBUTION", "TABLET STORAGE FORMAT")
        if what.startswith("REPLICA"):
            cursor.expect("FROM")
            table = cursor.table_name()
            cursor.rest()
            return AdminShow(what, table)
        raise not_supported(f"ADMIN SHOW {cursor.peek().value.upper()[:40]}".rstrip())
    if cursor.accept_any("SET FRONTEND CONFIG", "SET ALL FRONTENDS CONFIG"):
        properties = cursor.properties()
        cursor.finish()
        return AdminSetConfig(properties)
    raise not_supported(f"ADMIN {cursor.peek().value.upper()[:40]}".rstrip())


def parse_nothing(cursor: Cursor, what: str) -> Nothing:
    """Take the rest of a statement that has no effect."""
    cursor.rest()
    return Nothing(what)
