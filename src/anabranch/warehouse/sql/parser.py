"""Text to statements: finds the head of each and hands it to the parser of its family."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, not_supported
from anabranch.warehouse.sql.admin import (
    AdminSetConfig,
    AdminShow,
    Call,
    Kill,
    Nothing,
    SetStatement,
    Use,
    parse_admin,
    parse_call,
    parse_kill,
    parse_nothing,
    parse_set,
    parse_switch,
    parse_use,
)
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.ddl import parse_alter, parse_create, parse_drop, parse_truncate
from anabranch.warehouse.sql.dml import (
    parse_begin,
    parse_delete,
    parse_end,
    parse_insert,
    parse_update,
)
from anabranch.warehouse.sql.lexer import split
from anabranch.warehouse.sql.loads import (
    CancelLoad,
    LoadData,
    LoadLabel,
    ShowLoad,
    parse_cancel,
    parse_load,
)
from anabranch.warehouse.sql.shows import Describe, Show, parse_describe, parse_show
from anabranch.warehouse.sql.statements import (
    AlterTable,
    Begin,
    Commit,
    CreateDatabase,
    CreateTable,
    CreateTableLike,
    Delete,
    DropDatabase,
    DropTable,
    Explain,
    Insert,
    Query,
    RenameDatabase,
    Rollback,
    TruncateTable,
    Update,
)
from anabranch.warehouse.sql.users import (
    AlterUser,
    CreateRole,
    CreateUser,
    DropRole,
    DropUser,
    Grant,
    parse_alter_user,
    parse_create_user,
    parse_drop_user,
    parse_grant,
    parse_role,
)

Statement = (
    Query
    | Explain
    | Insert
    | Delete
    | Update
    | Begin
    | Commit
    | Rollback
    | CreateDatabase
    | DropDatabase
    | RenameDatabase
    | CreateTable
    | CreateTableLike
    | DropTable
    | TruncateTable
    | AlterTable
    | LoadLabel
    | LoadData
    | CancelLoad
    | ShowLoad
    | Show
    | Describe
    | Use
    | SetStatement
    | Kill
    | Call
    | AdminSetConfig
    | AdminShow
    | Nothing
    | CreateUser
    | AlterUser
    | DropUser
    | CreateRole
    | DropRole
    | Grant
)


def parse(text: str) -> list[Statement]:
    """Return the statements of a text; raise SqlError for the first that is none."""
    return [parse_one(part) for part in split(text)]


def parse_one(text: str) -> Statement:
    """Return the statement of a text that `split` returned."""
    head = _INSERT_HEAD.match(text)
    if head is None:
        return _parse_one(text)
    # One INSERT differs from the next in its rows alone, and those stay text.
    try:
        found = _insert_head(head.group())
    except SqlError:
        return _parse_one(text)  # for the error of this very text
    return replace(found, body=text[found.body_position :].rstrip())


# Without anything that could hide the word VALUES: a string, a quoted name, a comment, a label.
_INSERT_HEAD = re.compile(r"\s*INSERT\s[^'\"`#/\-?\[]{0,2000}?\bVALUES(?=\s*\()", re.IGNORECASE)


@functools.lru_cache(limits.INSERT_HEADS_CACHED_MAX)
def _insert_head(text: str) -> Insert:
    found = _parse_one(text + " (1)")
    assert isinstance(found, Insert)
    return found


def _parse_one(text: str) -> Statement:
    cursor = Cursor(text)
    if cursor.is_word("("):
        return _query(cursor)
    head = cursor.peek()
    parser = _HEADS.get(head.value.upper()) if cursor.is_word(head.value.upper()) else None
    if parser is None:
        raise cursor.error(", ".join(sorted(_HEADS)))
    return parser(cursor)


def _query(cursor: Cursor) -> Query:
    return Query(cursor.rest())


def _create(cursor: Cursor) -> Statement:
    cursor.take()
    if cursor.accept("USER"):
        return parse_create_user(cursor)
    if cursor.accept("ROLE"):
        return parse_role(cursor, is_drop=False)
    return parse_create(cursor)


def _drop(cursor: Cursor) -> Statement:
    cursor.take()
    if cursor.accept("USER"):
        return parse_drop_user(cursor)
    if cursor.accept("ROLE"):
        return parse_role(cursor, is_drop=True)
    return parse_drop(cursor)


def _alter(cursor: Cursor) -> Statement:
    cursor.take()
    return parse_alter_user(cursor) if cursor.accept("USER") else parse_alter(cursor)


def _start(cursor: Cursor) -> Statement:
    cursor.take()
    cursor.expect("TRANSACTION")
    return parse_begin(cursor)


def _after(parse_rest: Callable[[Cursor], Statement]) -> Callable[[Cursor], Statement]:
    def take_and_parse(cursor: Cursor) -> Statement:
        cursor.take()
        return parse_rest(cursor)

    return take_and_parse


def _refused(what: str) -> Callable[[Cursor], Statement]:
    def refuse(_: Cursor) -> Statement:
        raise not_supported(what)

    return refuse


def _nothing(what: str) -> Callable[[Cursor], Statement]:
    return lambda cursor: parse_nothing(cursor, what)


_HEADS: dict[str, Callable[[Cursor], Statement]] = {
    "SELECT": _query,
    "WITH": _query,
    "VALUES": _query,
    "EXPLAIN": _after(parse_describe),
    "DESC": _after(parse_describe),
    "DESCRIBE": _after(parse_describe),
    "INSERT": _after(parse_insert),
    "DELETE": _after(parse_delete),
    "UPDATE": _after(parse_update),
    "BEGIN": _after(parse_begin),
    "START": _start,
    "COMMIT": _after(lambda cursor: parse_end(cursor, is_commit=True)),
    "ROLLBACK": _after(lambda cursor: parse_end(cursor, is_commit=False)),
    "CREATE": _create,
    "DROP": _drop,
    "ALTER": _alter,
    "TRUNCATE": _after(parse_truncate),
    "LOAD": _after(parse_load),
    "CANCEL": _after(parse_cancel),
    "SHOW": _after(parse_show),
    "USE": _after(parse_use),
    "SWITCH": _after(parse_switch),
    "SET": _after(parse_set),
    "KILL": _after(parse_kill),
    "CALL": _after(parse_call),
    "ADMIN": _after(parse_admin),
    "GRANT": _after(lambda cursor: parse_grant(cursor, is_revoke=False)),
    "REVOKE": _after(lambda cursor: parse_grant(cursor, is_revoke=True)),
    "SYNC": _nothing("SYNC"),
    "ANALYZE": _nothing("ANALYZE"),
    "LOCK": _nothing("LOCK TABLES"),
    "UNLOCK": _nothing("UNLOCK TABLES"),
    "EXPORT": _refused("EXPORT"),
    "BACKUP": _refused("BACKUP"),
    "RESTORE": _refused("RESTORE"),
    "RECOVER": _refused("RECOVER"),
    "REFRESH": _refused("REFRESH"),
    "REPLACE": _refused("REPLACE"),
    "PAUSE": _refused("PAUSE"),
    "RESUME": _refused("RESUME"),
    "STOP": _refused("STOP"),
    "COPY": _refused("COPY"),
    "HELP": _refused("HELP"),
    "PREPARE": _refused("PREPARE"),
    "EXECUTE": _refused("EXECUTE"),
    "DEALLOCATE": _refused("DEALLOCATE"),
    "SAVEPOINT": _refused("SAVEPOINT"),
}
