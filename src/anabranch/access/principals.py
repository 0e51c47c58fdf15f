"""Who may ask: users, and the principal a request acts as."""

import re
from dataclasses import dataclass
from typing import NewType

from anabranch.access import keyspace, records
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, NotFound
from anabranch.kernel.pages import Page
from anabranch.storage.kv.base import KVStore, Versioned, Write, put, scan_prefix

UserId = NewType("UserId", str)
"""Name of a user."""

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts as."""

    user: UserId


@dataclass(frozen=True, slots=True)
class User:
    """A user's record; `created_us` in microseconds since 1970 UTC."""

    id: UserId
    created_us: int


def parse_user_id(text: str) -> UserId:
    """Return a user's name: letters, digits and `_ . @ + -`, at most USER_NAME_LENGTH_MAX."""
    if len(text) > limits.USER_NAME_LENGTH_MAX or not _USER.fullmatch(text):
        raise InvalidInput(Kind.VALUE, f"not a user name: {text!r}")
    return UserId(text)


class Users:
    """Get and list users."""

    def __init__(self, kv: KVStore) -> None:
        self._kv = kv

    def find(self, user_id: UserId) -> User | None:
        """Return a user, None when there is none of that name."""
        (stored,) = self._kv.read([keyspace.user(user_id)]).values
        return None if stored is None else _decode(user_id, stored)

    def get(self, user_id: UserId) -> User:
        """Return a user; raise NotFound(USER_NOT_FOUND)."""
        user = self.find(user_id)
        if user is None:
            raise NotFound(Kind.USER_NOT_FOUND, f"no user {user_id!r}")
        return user

    def list(self, *, prefix: str = "", after: str = "", amount: int) -> Page[User]:
        """Return one page of users by name; `after` is an exclusive name."""
        scan = scan_prefix(keyspace.USERS + prefix.encode(), limit=amount + 1)
        if after:
            start = max(scan.start, keyspace.user(UserId(after)) + b"\x00")
            scan = scan._replace(start=start)
        (rows,) = self._kv.read([], [scan]).scans
        users = tuple(
            _decode(
                UserId(row.key[len(keyspace.USERS) :].decode()), Versioned(row.value, row.version)
            )
            for row in rows[:amount]
        )
        return Page(users, users[-1].id if users and len(rows) > amount else None)


def _decode(user_id: UserId, stored: Versioned) -> User:
    fields = records.decode(stored.value, f"the record of user {user_id!r}")
    return User(user_id, fields["created_us"])


def user_creation(user: User) -> Write:
    """Return the write that makes a user."""
    return put(keyspace.user(user.id), records.encode({"created_us": user.created_us}))
