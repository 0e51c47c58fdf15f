"""CREATE, ALTER and DROP USER and ROLE, GRANT and REVOKE."""

from __future__ import annotations

from dataclasses import dataclass, replace

from anabranch.warehouse.errors import doris, not_supported
from anabranch.warehouse.sql.cursor import Cursor
from anabranch.warehouse.sql.lexer import TokenKind


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """`'name'@'host'`."""

    name: str
    host: str = "%"

    def __str__(self) -> str:
        """Return it as Doris prints it."""
        return f"'{self.name}'@'{self.host}'"


@dataclass(frozen=True, slots=True)
class Password:
    """A password, or with `is_hashed` the `*HEX` form of mysql_native_password."""

    text: str
    is_hashed: bool = False

    def __repr__(self) -> str:
        """Keep it out of logs."""
        return "Password(...)"


@dataclass(frozen=True, slots=True)
class CreateUser:
    """CREATE USER."""

    user: UserIdentity
    password: Password | None = None
    role: str = ""
    comment: str = ""
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterUser:
    """ALTER USER; None leaves as it is."""

    user: UserIdentity
    password: Password | None = None
    comment: str | None = None
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropUser:
    """DROP USER."""

    users: tuple[UserIdentity, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class SetPassword:
    """SET PASSWORD; no user means the session's own."""

    password: Password
    user: UserIdentity | None = None


@dataclass(frozen=True, slots=True)
class CreateRole:
    """CREATE ROLE."""

    name: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropRole:
    """DROP ROLE."""

    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """GRANT or REVOKE of privileges on `scope`, parts of `catalog.database.table` with `*`.

    With `roles` it is about roles and has no scope. `user` or `role` receives.
    """

    privileges: tuple[str, ...]
    scope: tuple[str, ...]
    user: UserIdentity | None
    role: str = ""
    roles: tuple[str, ...] = ()
    is_revoke: bool = False


_PRIVILEGES = """
    NODE_PRIV ADMIN_PRIV GRANT_PRIV SELECT_PRIV LOAD_PRIV ALTER_PRIV CREATE_PRIV DROP_PRIV
    USAGE_PRIV SHOW_VIEW_PRIV
"""
PRIVILEGES = frozenset(_PRIVILEGES.split())
_SHORT = {
    "ALL": "ALL",
    "ALL PRIVILEGES": "ALL",
    "SELECT": "SELECT_PRIV",
    "INSERT": "LOAD_PRIV",
    "UPDATE": "LOAD_PRIV",
    "DELETE": "LOAD_PRIV",
    "ALTER": "ALTER_PRIV",
    "CREATE": "CREATE_PRIV",
    "DROP": "DROP_PRIV",
    "SHOW VIEW": "SHOW_VIEW_PRIV",
    "USAGE": "USAGE_PRIV",
}


def parse_user(cursor: Cursor) -> UserIdentity:
    """Take `'name'[@'host']`."""
    name = cursor.name_or_string("a user")
    if not cursor.accept("@"):
        return UserIdentity(name)
    if cursor.accept("("):
        raise not_supported("a user of a domain")
    if cursor.accept("%"):
        return UserIdentity(name)
    return UserIdentity(name, cursor.name_or_string("a host"))


def _parse_identified(cursor: Cursor) -> Password | None:
    if not cursor.accept("IDENTIFIED"):
        return None
    if cursor.accept("WITH"):
        plugin = cursor.name_or_string("a plugin")
        if plugin.lower() not in ("mysql_native_password", "caching_sha2_password"):
            raise not_supported(f"IDENTIFIED WITH {plugin}")
    cursor.expect("BY")
    is_hashed = cursor.accept("PASSWORD")
    return make_password(cursor.string("a password"), is_hashed)


def make_password(text: str, is_hashed: bool) -> Password:
    """Return a password; raise SqlError if it is no `*` and 40 hex digits where it must be."""
    if is_hashed:
        digits = text[1:]
        is_hex = all(digit in "0123456789abcdefABCDEF" for digit in digits)
        if text and (text[0] != "*" or len(text) != 41 or not is_hex):
            raise doris("Password hash should be a 41-digit hexadecimal number")
    return Password(text, is_hashed)


def parse_create_user(cursor: Cursor) -> CreateUser:
    """Parse what follows CREATE USER."""
    if_not_exists = cursor.accept("IF NOT EXISTS")
    made = CreateUser(parse_user(cursor), _parse_identified(cursor), if_not_exists=if_not_exists)
    if cursor.accept("SUPERUSER"):
        raise not_supported("SUPERUSER")
    if cursor.accept("DEFAULT ROLE"):
        made = replace(made, role=cursor.name_or_string("a role"))
    _refuse_policies(cursor)
    if cursor.accept("COMMENT"):
        made = replace(made, comment=cursor.string("a comment"))
    cursor.finish()
    return made


_POLICIES = """
    PASSWORD_HISTORY PASSWORD_EXPIRE PASSWORD_REUSE FAILED_LOGIN_ATTEMPTS PASSWORD_LOCK_TIME
    ACCOUNT_LOCK ACCOUNT_UNLOCK REQUIRE
"""


def _refuse_policies(cursor: Cursor) -> None:
    for word in _POLICIES.split():
        if cursor.is_word(word):
            raise not_supported(word)


def parse_alter_user(cursor: Cursor) -> AlterUser:
    """Parse what follows ALTER USER."""
    if_exists = cursor.accept("IF EXISTS")
    user = parse_user(cursor)
    password = _parse_identified(cursor)
    _refuse_policies(cursor)
    comment = cursor.string("a comment") if cursor.accept("COMMENT") else None
    if password is None and comment is None:
        raise cursor.error("IDENTIFIED BY")
    cursor.finish()
    return AlterUser(user, password, comment, if_exists)


def parse_drop_user(cursor: Cursor) -> DropUser:
    """Parse what follows DROP USER."""
    if_exists = cursor.accept("IF EXISTS")
    users = [parse_user(cursor)]
    while cursor.accept(","):
        users.append(parse_user(cursor))
    cursor.finish()
    return DropUser(tuple(users), if_exists)


def parse_set_password(cursor: Cursor) -> SetPassword:
    """Parse what follows SET PASSWORD."""
    user = parse_user(cursor) if cursor.accept("FOR") else None
    cursor.expect("=")
    if cursor.accept("PASSWORD ("):
        password = make_password(cursor.string("a password"), is_hashed=False)
        cursor.expect(")")
    else:
        password = make_password(cursor.string("a password"), is_hashed=True)
    cursor.finish()
    return SetPassword(password, user)


def parse_role(cursor: Cursor, is_drop: bool) -> CreateRole | DropRole:
    """Parse what follows CREATE ROLE or DROP ROLE."""
    condition = cursor.accept("IF EXISTS" if is_drop else "IF NOT EXISTS")
    name = cursor.name_or_string("a role")
    cursor.finish()
    return DropRole(name, condition) if is_drop else CreateRole(name, condition)


def parse_grant(cursor: Cursor, is_revoke: bool) -> Grant:
    """Parse what follows GRANT or REVOKE."""
    privileges: list[str] = []
    roles: list[str] = []
    while True:
        if cursor.peek().kind is TokenKind.STRING:
            roles.append(cursor.string())
        else:
            privileges.append(_parse_privilege(cursor))
        if not cursor.accept(","):
            break
    scope: tuple[str, ...] = ()
    if cursor.accept("ON"):
        if cursor.is_word("RESOURCE") or cursor.is_word("WORKLOAD"):
            raise not_supported(f"GRANT ON {cursor.peek().value.upper()}")
        scope = _parse_scope(cursor)
    else:
        # Names without quotes may be roles: nothing else has no scope.
        roles.extend(privileges)
        privileges.clear()
    cursor.expect("FROM" if is_revoke else "TO")
    user, role = None, ""
    if cursor.accept("ROLE"):
        role = cursor.name_or_string("a role")
    else:
        user = parse_user(cursor)
    cursor.accept("WITH GRANT OPTION")
    cursor.finish()
    if scope and roles:
        raise doris("a role has no scope")
    return Grant(tuple(privileges), scope, user, role, tuple(roles), is_revoke)


def _parse_privilege(cursor: Cursor) -> str:
    found = cursor.accept_any(*sorted(_SHORT, key=len, reverse=True))
    if found:
        return _SHORT[found]
    name = cursor.name("a privilege")
    if cursor.is_word("("):
        raise not_supported("GRANT on columns")
    return name.upper() if name.upper() in PRIVILEGES else name


def _parse_scope(cursor: Cursor) -> tuple[str, ...]:
    parts: list[str] = []
    while len(parts) < 3:
        parts.append("*" if cursor.accept("*") else cursor.name("a table or *"))
        if not cursor.accept("."):
            break
    return tuple(parts)
