"""Heads of INSERT, DELETE and UPDATE, and transactions; what computes rows stays text."""

from __future__ import annotations

from anabranch.warehouse.errors import not_supported
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.ddl import parse_partition_names
from anabranch.warehouse.sql.lexer import TokenKind
from anabranch.warehouse.sql.loads import parse_label
from anabranch.warehouse.sql.statements import (
    Begin,
    Commit,
    Delete,
    Insert,
    Rollback,
    Update,
)


def parse_insert(cursor: Cursor) -> Insert:
    """Parse what follows INSERT."""
    if cursor.accept("IGNORE"):
        raise not_supported("INSERT IGNORE")
    is_overwrite = cursor.accept("OVERWRITE")
    if is_overwrite:
        cursor.accept("INTO")
        cursor.accept("TABLE")
    else:
        cursor.accept("INTO")
        cursor.accept("TABLE")
    table = cursor.table_name()
    partitions = parse_partition_names(cursor)
    label = _parse_with_label(cursor)
    columns: tuple[str, ...] = ()
    if cursor.is_word("(") and cursor.is_name(1) and not cursor.is_word("WITH", 1):
        columns = cursor.names()
    elif cursor.is_words("( )"):
        cursor.expect("( )")
    label = label or _parse_with_label(cursor)
    if cursor.accept("["):
        # [SHUFFLE] and [NOSHUFFLE] speak of the nodes of a cluster.
        cursor.expect_any("SHUFFLE", "NOSHUFFLE")
        cursor.expect("]")
    if cursor.is_word("SET"):
        raise not_supported("INSERT ... SET")
    position = cursor.position
    if cursor.is_word("VALUE") and cursor.is_word("(", 1):
        cursor.take()
        position = cursor.position
        return Insert(
            table, "VALUES " + cursor.rest(), position, columns, partitions, label, is_overwrite
        )
    if not any(cursor.is_word(word) for word in ("VALUES", "SELECT", "WITH", "(", "TABLE")):
        raise cursor.error("VALUES, SELECT")
    return Insert(table, cursor.rest(), position, columns, partitions, label, is_overwrite)


def _parse_with_label(cursor: Cursor) -> str | None:
    if not cursor.accept("WITH LABEL"):
        return None
    if cursor.peek().kind in (TokenKind.WORD, TokenKind.QUOTED, TokenKind.STRING):
        return parse_label(cursor.take().value)
    raise cursor.error("a label")


def parse_delete(cursor: Cursor) -> Delete:
    """Parse what follows DELETE."""
    cursor.expect("FROM")
    table = cursor.table_name()
    partitions = parse_partition_names(cursor)
    alias = _parse_alias(cursor)
    partitions = partitions or parse_partition_names(cursor)
    using = cursor.text_until("WHERE") if cursor.accept("USING") else None
    where = cursor.text_until(";", "LIMIT", "ORDER BY") if cursor.accept("WHERE") else None
    cursor.finish()
    return Delete(table, where, partitions, alias, using)


def _parse_alias(cursor: Cursor) -> str | None:
    if cursor.accept("AS"):
        return cursor.name("an alias")
    return cursor.name("an alias") if cursor.is_name() else None


def parse_update(cursor: Cursor) -> Update:
    """Parse what follows UPDATE."""
    table = cursor.table_name()
    alias = _parse_alias(cursor)
    cursor.expect("SET")
    assignments: list[tuple[str, str]] = []
    while True:
        name = cursor.name("a column")
        if cursor.accept("."):
            name = cursor.name("a column")  # the table's own name or alias came first
        cursor.expect("=")
        assignments.append((name, cursor.text_until(",", "WHERE", "FROM")))
        if not cursor.accept(","):
            break
    source = cursor.text_until("WHERE") if cursor.accept("FROM") else None
    where = cursor.text_until("LIMIT", "ORDER BY") if cursor.accept("WHERE") else None
    cursor.finish()
    return Update(table, tuple(assignments), where, alias, source)


def parse_begin(cursor: Cursor) -> Begin:
    """Parse what follows BEGIN or START."""
    cursor.accept_any("TRANSACTION", "WORK")
    label = _parse_with_label(cursor)
    while cursor.accept_any("WITH CONSISTENT SNAPSHOT", "READ ONLY", "READ WRITE", ","):
        pass
    cursor.finish()
    return Begin(label)


def parse_end(cursor: Cursor, is_commit: bool) -> Commit | Rollback:
    """Parse what follows COMMIT or ROLLBACK."""
    cursor.accept_any("TRANSACTION", "WORK")
    if cursor.is_word("TO"):
        raise not_supported("ROLLBACK TO SAVEPOINT")
    if cursor.accept("AND"):
        cursor.accept("NO")
        cursor.expect("CHAIN")
    if cursor.accept("NO RELEASE") or cursor.accept("RELEASE"):
        pass
    cursor.finish()
    return Commit() if is_commit else Rollback()
