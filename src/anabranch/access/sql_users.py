"""Users of SQL and of Doris's HTTP: their passwords, and what they may do.

They are apart from the users of access keys: those clients know names and passwords, not keys.
`root` is there from the start, has no password, and may then log in from this machine alone.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

from anabranch.access import keyspace, records
from anabranch.access.sealing import Sealer
from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    Unauthenticated,
)
from anabranch.storage.kv.base import (
    KVStore,
    Prepared,
    Versioned,
    Writer,
    delete,
    is_absent,
    is_as_seen,
    put,
    scan_prefix,
)

ROOT = "root"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_US = 1_000
_SHA1_BYTES = 20


class Level(IntEnum):
    """What a user may do; each level includes those below it."""

    READ = 1
    """SELECT, SHOW, USE and SET."""
    FULL = 2
    """All that changes tables, besides."""
    ADMIN = 3
    """Users, and other users' statements, besides."""


class StoredPassword(Protocol):
    """What the server keeps of a user's password; a hash that is not kept is empty."""

    @property
    def is_empty(self) -> bool:
        """Tell whether the user logs in without a password, which loopback alone may."""
        ...

    @property
    def sha1(self) -> bytes:
        """Return SHA1(SHA1(password)), 20 bytes."""
        ...

    @property
    def sha256(self) -> bytes:
        """Return SHA256(SHA256(password)), 32 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class HashedPassword:
    """A password as hashes of hashes: SHA1(SHA1(x)), 20 bytes, and SHA256(SHA256(x)), 32.

    Enough to judge the answers of MySQL's two login methods. A hash that is not known is empty;
    both are when the password is.
    """

    is_empty: bool
    sha1: bytes = field(repr=False)
    sha256: bytes = field(repr=False)


NO_PASSWORD = HashedPassword(is_empty=True, sha1=b"", sha256=b"")


def hash_password(password: str) -> HashedPassword:
    """Return what is kept of a password; an empty one is no password."""
    if not password:
        return NO_PASSWORD
    data = password.encode()
    return HashedPassword(False, _sha1(_sha1(data)), _sha256(_sha256(data)))


def parse_native_hash(text: str) -> HashedPassword:
    """Return the password behind `*` and 40 hex digits, as mysql_native_password shows it.

    Empty text is no password. Raises InvalidInput for anything else.
    """
    if not text:
        return NO_PASSWORD
    try:
        digest = bytes.fromhex(text[1:])
    except ValueError:
        digest = b""
    if text[0] != "*" or len(digest) != _SHA1_BYTES:
        raise InvalidInput(Kind.VALUE, "Password hash should be a 41-digit hexadecimal number")
    return HashedPassword(False, digest, b"")


def is_password(password: str, kept: StoredPassword) -> bool:
    """Tell in constant time whether a password in clear is the one that is kept."""
    data = password.encode("utf-8", "surrogateescape")
    if kept.is_empty:
        return not data
    if kept.sha256:
        return hmac.compare_digest(_sha256(_sha256(data)), kept.sha256)
    return hmac.compare_digest(_sha1(_sha1(data)), kept.sha1)


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True, slots=True)
class SqlUser:
    """A user of SQL; `created_us` in microseconds since 1970 UTC, 0 for the built-in one."""

    name: str
    password: HashedPassword
    level: Level
    comment: str = ""
    created_us: int = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether the user has no password."""
        return self.password.is_empty

    @property
    def sha1(self) -> bytes:
        """Return SHA1(SHA1(password))."""
        return self.password.sha1

    @property
    def sha256(self) -> bytes:
        """Return SHA256(SHA256(password))."""
        return self.password.sha256


def parse_sql_user_name(text: str) -> str:
    """Return a user's name: letters, digits and `_ . @ + -`, at most USER_NAME_LENGTH_MAX."""
    if len(text) > limits.USER_NAME_LENGTH_MAX or not _NAME.fullmatch(text):
        raise InvalidInput(Kind.VALUE, f"not a user name: {text!r}")
    return text


class SqlUsers:
    """Find, make, change and remove users of SQL. Blocking; finding is one KV read."""

    def __init__(self, kv: KVStore, writer: Writer, clock: Clock, sealer: Sealer) -> None:
        self._kv = kv
        self._writer = writer
        self._clock = clock
        self._sealer = sealer
        # An unknown name costs the same comparison as a known one with a wrong password.
        self._nobody = hash_password(secrets.token_hex(16))

    def find_user(self, name: str) -> SqlUser | None:
        """Return a user, None when there is none of that name."""
        if not _NAME.fullmatch(name):
            return None
        (stored,) = self._kv.read([keyspace.sql_user(name)]).values
        return self._decode(name, stored)

    def get(self, name: str) -> SqlUser:
        """Return a user; raise NotFound(USER_NOT_FOUND)."""
        user = self.find_user(name)
        if user is None:
            raise NotFound(Kind.USER_NOT_FOUND, f"no user {name!r}")
        return user

    def list(self) -> list[SqlUser]:
        """Return all users by name; there are at most SQL_USERS_MAX."""
        prefix = keyspace.SQL_USERS
        scan = scan_prefix(prefix, limit=limits.SQL_USERS_MAX + 1)
        (rows,) = self._kv.read([], [scan]).scans
        found = {ROOT: SqlUser(ROOT, NO_PASSWORD, Level.ADMIN)}
        for row in rows:
            name = row.key[len(prefix) :].decode()
            user = self._decode(name, Versioned(row.value, row.version))
            assert user is not None, "it has a record"
            found[name] = user
        return [found[name] for name in sorted(found)]

    def authenticate(self, name: str, password: str, *, is_from_loopback: bool) -> SqlUser:
        """Return who shows a password in clear; raise Unauthenticated.

        A user without a password is known from this machine alone.
        """
        user = self.find_user(name)
        is_right = is_password(password, self._nobody if user is None else user.password)
        if user is None or not is_right or (user.is_empty and not is_from_loopback):
            raise Unauthenticated(Kind.CREDENTIALS, f"Access denied for user '{name}'")
        return user

    def may_write(self, name: str) -> bool:
        """Tell whether a user may do more than SELECT, SHOW, USE and SET; nobody unknown may."""
        user = self.find_user(name)
        return user is not None and user.level >= Level.FULL

    def may_administer(self, name: str) -> bool:
        """Tell whether a user may manage users and other users' statements."""
        user = self.find_user(name)
        return user is not None and user.level >= Level.ADMIN

    def create(
        self, name: str, password: HashedPassword, *, level: Level = Level.READ, comment: str = ""
    ) -> SqlUser:
        """Make a user; raise AlreadyExists, InvalidInput for a bad name, LimitExceeded."""
        name = parse_sql_user_name(name)
        if len(comment) > limits.COMMENT_LENGTH_MAX:
            raise LimitExceeded(
                Kind.TOO_LARGE, f"a comment has at most {limits.COMMENT_LENGTH_MAX} characters"
            )
        created_us = self._clock.now_ns() // _US
        user = SqlUser(name, password, level, comment, created_us)
        key = keyspace.sql_user(name)

        def make() -> Prepared[SqlUser]:
            if self.find_user(name) is not None:
                raise AlreadyExists(Kind.CONFLICT, f"User '{name}'@'%' already exist")
            if len(self.list()) >= limits.SQL_USERS_MAX:
                raise LimitExceeded(
                    Kind.TOO_MANY, f"there are at most {limits.SQL_USERS_MAX} users"
                )
            return Prepared([is_absent(key)], [put(key, self._encode(user))], lambda _: user)

        return self._writer.submit(make)

    def change(self, name: str, change: Callable[[SqlUser], SqlUser]) -> SqlUser:
        """Replace a user by what `change` makes of it, which may be called again.

        Raises NotFound(USER_NOT_FOUND), Forbidden when root would lose its level.
        """

        def make() -> Prepared[SqlUser]:
            key = keyspace.sql_user(name)
            (stored,) = self._kv.read([key]).values
            user = self._decode(name, stored)
            if user is None:
                raise NotFound(Kind.USER_NOT_FOUND, f"no user {name!r}")
            changed = change(user)
            if name == ROOT and changed.level is not Level.ADMIN:
                raise Forbidden(Kind.FORBIDDEN, "root keeps all privileges")
            writes = [put(key, self._encode(changed))]
            return Prepared([is_as_seen(key, stored)], writes, lambda _: changed)

        return self._writer.submit(make)

    def set_password(self, name: str, password: HashedPassword) -> None:
        """Give a user another password; raise NotFound(USER_NOT_FOUND)."""
        self.change(name, lambda user: replace(user, password=password))

    def set_level(self, name: str, level: Level) -> None:
        """Say what a user may do from now on; raise NotFound(USER_NOT_FOUND), Forbidden."""
        self.change(name, lambda user: replace(user, level=level))

    def drop(self, name: str) -> None:
        """Remove a user; raise NotFound(USER_NOT_FOUND), and Forbidden for root."""
        if name == ROOT:
            raise Forbidden(Kind.FORBIDDEN, "Can not drop root user")

        def make() -> Prepared[None]:
            key = keyspace.sql_user(name)
            (stored,) = self._kv.read([key]).values
            if stored is None:
                raise NotFound(Kind.USER_NOT_FOUND, f"no user {name!r}")
            return Prepared([is_as_seen(key, stored)], [delete(key)], lambda _: None)

        self._writer.submit(make)

    def _encode(self, user: SqlUser) -> bytes:
        password = user.password
        hashes = f"{password.sha1.hex()}:{password.sha256.hex()}"
        fields = {
            "level": user.level.name.lower(),
            # Hashes of this kind are guessed by the billion a second: a copied store tells none.
            "password": None if password.is_empty else self._sealer.seal(hashes, _bound(user.name)),
            "comment": user.comment,
            "created_us": user.created_us,
        }
        return records.encode(fields)

    def _decode(self, name: str, stored: Versioned | None) -> SqlUser | None:
        if stored is None:
            return SqlUser(ROOT, NO_PASSWORD, Level.ADMIN) if name == ROOT else None
        fields = records.decode(stored.value, f"the record of SQL user {name!r}")
        password = NO_PASSWORD
        if fields["password"] is not None:
            opened = self._sealer.open(fields["password"], _bound(name))
            sha1, _, sha256 = opened.partition(":")
            password = HashedPassword(False, bytes.fromhex(sha1), bytes.fromhex(sha256))
        level = Level[fields["level"].upper()]
        return SqlUser(name, password, level, fields["comment"], fields["created_us"])


def _bound(name: str) -> str:
    return f"sql user {name}"
