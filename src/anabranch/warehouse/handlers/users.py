"""CREATE, ALTER and DROP USER, SET PASSWORD, GRANT, REVOKE, SHOW GRANTS.

A user may read, or do everything to tables, or manage users besides: privileges that amount to one
of these are taken, others are refused, so that nobody gets more or less than was said. A new user
may read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from anabranch.access.sql_users import (
    NO_PASSWORD,
    HashedPassword,
    Level,
    SqlUser,
    SqlUsers,
    hash_password,
    parse_native_hash,
)
from anabranch.kernel.errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
)
from anabranch.warehouse.errors import SqlError, doris, not_supported
from anabranch.warehouse.results import Done, Field, Result, Rows, Session
from anabranch.warehouse.sql.shows import Show
from anabranch.warehouse.sql.users import (
    AlterUser,
    CreateRole,
    CreateUser,
    DropRole,
    DropUser,
    Grant,
    Password,
    SetPassword,
    UserIdentity,
)
from anabranch.warehouse.types import ColumnType, SqlType

UserStatement = (
    CreateUser | AlterUser | DropUser | SetPassword | CreateRole | DropRole | Grant | Show
)
STATEMENTS = (CreateUser, AlterUser, DropUser, SetPassword, CreateRole, DropRole, Grant)
"""The classes of statements that are for `UserHandler`, and SHOW GRANTS."""

_ANYWHERE = "%"
_ADMIN_ROLES = frozenset(("admin", "operator"))
_WRITES = frozenset(("LOAD_PRIV", "ALTER_PRIV", "CREATE_PRIV", "DROP_PRIV"))
_READS = frozenset(("SELECT_PRIV", "USAGE_PRIV", "SHOW_VIEW_PRIV"))
_SHOWN = {
    Level.READ: "Select_priv",
    Level.FULL: "Select_priv,Load_priv,Alter_priv,Create_priv,Drop_priv",
    Level.ADMIN: "Admin_priv",
}
_GRANT_COLUMNS = """
    UserIdentity Comment Password Roles GlobalPrivs CatalogPrivs DatabasePrivs TablePrivs ColPrivs
    ResourcePrivs WorkloadGroupPrivs
"""
GRANT_COLUMNS = tuple(_GRANT_COLUMNS.split())


class UserHandler:
    """Runs the statements about users; only administrators may, but for their own password."""

    def __init__(self, users: SqlUsers) -> None:
        self._users = users

    def run(self, session: Session, statement: UserStatement) -> Iterator[Result]:
        """Run one statement; raises SqlError for what the client did wrong."""
        try:
            if isinstance(statement, Show):
                yield self._show(session, statement)
                return
            self._change(session, statement)
        except NotFound as error:
            raise doris(error.message) from None
        except (AlreadyExists, InvalidInput, LimitExceeded) as error:
            raise doris(error.message) from None
        except Forbidden as error:
            raise doris(error.message) from None
        yield Done(0)

    def _change(self, session: Session, statement: UserStatement) -> None:
        match statement:
            case CreateUser():
                self._admit(session)
                self._create(statement)
            case AlterUser():
                if statement.user.name != session.user or statement.comment is not None:
                    self._admit(session)
                self._alter(statement)
            case DropUser():
                self._admit(session)
                self._drop(statement)
            case SetPassword():
                user = statement.user or UserIdentity(session.user)
                if user.name != session.user:
                    self._admit(session)
                password = _hashed(statement.password)
                self._users.set_password(_name_of(user), password)
            case Grant():
                self._admit(session)
                self._grant(statement)
            case _:
                raise not_supported("CREATE ROLE")

    def _admit(self, session: Session) -> None:
        if not self._users.may_administer(session.user):
            raise SqlError(
                1227,
                "42000",
                "Access denied; you need (at least one of) the (ADMIN) privilege(s) for this "
                "operation",
                Kind.FORBIDDEN,
            )

    def _create(self, statement: CreateUser) -> None:
        name = _name_of(statement.user)
        level = Level.READ
        if statement.role:
            if statement.role.lower() not in _ADMIN_ROLES:
                raise doris(f"role {statement.role} does not exist")
            level = Level.ADMIN
        if statement.if_not_exists and self._users.find_user(name) is not None:
            return
        password = _hashed(statement.password)
        try:
            self._users.create(name, password, level=level, comment=statement.comment)
        except AlreadyExists:
            # Somebody else made it since: as good.
            if not statement.if_not_exists:
                raise

    def _alter(self, statement: AlterUser) -> None:
        name = _name_of(statement.user)

        def change(user: SqlUser) -> SqlUser:
            if statement.password is not None:
                user = replace(user, password=_hashed(statement.password))
            if statement.comment is not None:
                user = replace(user, comment=statement.comment)
            return user

        try:
            self._users.change(name, change)
        except NotFound:
            if not statement.if_exists:
                raise doris(f"User {statement.user} does not exist") from None

    def _drop(self, statement: DropUser) -> None:
        for user in statement.users:
            try:
                self._users.drop(_name_of(user))
            except NotFound:
                if not statement.if_exists:
                    raise doris(f"User {user} does not exist") from None

    def _grant(self, statement: Grant) -> None:
        if statement.role:
            raise not_supported("GRANT TO ROLE")
        assert statement.user is not None, "a grant has a user or a role"
        name = _name_of(statement.user)
        user = self._users.find_user(name)
        if user is None:
            raise doris(f"user {statement.user} does not exist")
        if statement.roles:
            wanted = self._roles_level(statement)
        else:
            _check_scope(statement)
            wanted = _level_of(frozenset(statement.privileges))
        if not statement.is_revoke:
            self._users.change(name, lambda user: replace(user, level=max(user.level, wanted)))
            return
        if wanted is Level.READ:
            raise not_supported("REVOKE of SELECT_PRIV: every user may read; DROP USER instead")
        below = Level.FULL if wanted is Level.ADMIN and not statement.roles else Level.READ
        self._users.change(name, lambda user: replace(user, level=min(user.level, below)))

    def _roles_level(self, statement: Grant) -> Level:
        for role in statement.roles:
            if role.lower() not in _ADMIN_ROLES:
                raise doris(f"role {role} does not exist")
        return Level.ADMIN

    def _show(self, session: Session, statement: Show) -> Rows:
        """Show everybody's grants with ALL, else those of one user."""
        if statement.is_full:
            self._admit(session)
            shown = self._users.list()
        else:
            user = statement.user or UserIdentity(session.user)
            if user.name != session.user:
                self._admit(session)
            shown = [self._users.get(_name_of(user))]
        text = ColumnType(SqlType.STRING)
        fields = tuple(Field(name, text) for name in GRANT_COLUMNS)
        columns = zip(*(_grant_row(user) for user in shown), strict=True)
        arrays = [pa.array(column, pa.string()) for column in columns]
        return Rows(fields, iter([pa.record_batch(arrays, names=list(GRANT_COLUMNS))]))


def _grant_row(user: SqlUser) -> tuple[str | None, ...]:
    shown = str(UserIdentity(user.name))
    has_password = "No" if user.is_empty else "Yes"
    roles = "operator" if user.level is Level.ADMIN else ""
    return (shown, user.comment, has_password, roles, _SHOWN[user.level], *[None] * 6)


def _name_of(user: UserIdentity) -> str:
    if user.host != _ANYWHERE:
        raise not_supported(f"a user of one host: {user}; users are '{user.name}'@'%'")
    return user.name


def _hashed(password: Password | None) -> HashedPassword:
    if password is None:
        return NO_PASSWORD
    return parse_native_hash(password.text) if password.is_hashed else hash_password(password.text)


def _check_scope(statement: Grant) -> None:
    if any(part != "*" for part in statement.scope):
        scope = ".".join(statement.scope)
        raise not_supported(f"privileges on {scope}: they are for everything, ON *.*.*")


def _level_of(privileges: frozenset[str]) -> Level:
    """Return what privileges amount to; raise SqlError for those that lie between two levels."""
    known = _READS | _WRITES | {"ALL", "ADMIN_PRIV", "GRANT_PRIV", "NODE_PRIV"}
    unknown = sorted(privileges - known)
    if unknown:
        raise doris(f"Unknown privilege type '{unknown[0]}'")
    if "ADMIN_PRIV" in privileges:
        return Level.ADMIN
    if "ALL" in privileges or privileges >= _WRITES:
        return Level.FULL
    if privileges <= _READS:
        return Level.READ
    partial = ", ".join(sorted(privileges - _READS))
    raise not_supported(f"{partial} alone: grant SELECT_PRIV, ALL or ADMIN_PRIV")
