"""Who may run which statement: by the level of the session's user, as it is now."""

from __future__ import annotations

from anabranch.access.sql_users import Level, SqlUsers
from anabranch.kernel.errors import Kind
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.results import Session
from anabranch.warehouse.sql import admin, loads, shows, statements, users

# What is not listed changes something, and wants more: a new statement is refused until it is here.
_READING = (
    statements.Query,
    statements.Explain,
    statements.Begin,
    statements.Commit,
    statements.Rollback,
    shows.Show,
    shows.Describe,
    loads.ShowLoad,
    admin.Use,
    admin.SetVariables,
    admin.SetNames,
    admin.SetTransaction,
    admin.Kill,
    admin.AdminShow,
    admin.Nothing,
    # One's own password, and grants: their handler knows whose they are.
    users.SetPassword,
    users.AlterUser,
)
_ADMINISTERING = (
    admin.AdminSetConfig,
    users.CreateUser,
    users.DropUser,
    users.CreateRole,
    users.DropRole,
    users.Grant,
)


def needed_level(statement: object) -> Level:
    """Return what a statement takes."""
    if isinstance(statement, admin.SetVariables):
        is_global = any(item.scope is admin.Scope.GLOBAL for item in statement.items)
        return Level.ADMIN if is_global else Level.READ
    if isinstance(statement, _READING):
        return Level.READ
    return Level.ADMIN if isinstance(statement, _ADMINISTERING) else Level.FULL


class UserGuard:
    """Asks the users' records at each statement, so that a REVOKE works at once."""

    def __init__(self, users: SqlUsers) -> None:
        self._users = users

    def check(self, session: Session, statement: object) -> None:
        """Raise SqlError 1227 when the session's user may not run a statement, or is gone."""
        self.check_level(session.user, needed_level(statement))

    def check_database(self, user: str, database: str) -> None:
        """Raise SqlError 1044 when a user is gone: all others may read every database."""
        if self._users.find_user(user) is None:
            raise SqlError(
                1044,
                "42000",
                f"Access denied for user '{user}'@'%' to database '{database}'",
                Kind.FORBIDDEN,
            )

    def check_level(self, user: str, needed: Level) -> None:
        """Raise SqlError 1227 unless a user has a level."""
        found = self._users.find_user(user)
        if found is None or found.level < needed:
            name = "ADMIN" if needed is Level.ADMIN else "LOAD"
            raise SqlError(
                1227,
                "42000",
                f"Access denied; you need (at least one of) the ({name}) privilege(s) for this "
                "operation",
                Kind.FORBIDDEN,
            )
