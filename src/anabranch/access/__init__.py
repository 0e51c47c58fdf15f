"""Who may ask: setup, users, access keys, login tokens."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from anabranch.access import keyspace, records
from anabranch.access.credentials import (
    Credential,
    Credentials,
    check_credential,
    generate_credential,
)
from anabranch.access.principals import (
    Principal,
    User,
    UserId,
    Users,
    parse_user_id,
    user_creation,
)
from anabranch.access.sealing import Sealer
from anabranch.access.sql_users import SqlUsers
from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import Conflict, InvalidInput, Kind, Unauthenticated
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Verdict,
    Write,
    Writer,
    is_absent,
    is_as_seen,
    put,
)

_US = 1_000
_S = 1_000_000_000
_AUDIENCE = "login"


@dataclass(frozen=True, slots=True)
class Token:
    """A login token; `expires_s` in seconds since 1970 UTC. The text is not part of its repr."""

    text: str = field(repr=False)
    expires_s: int


class Access:
    """One principal store behind all surfaces. Blocking; reads are one KV read at most.

    `key` is the server's own 32 bytes: it seals secrets and signs tokens.
    """

    def __init__(
        self, kv: KVStore, writer: Writer, clock: Clock, ids: IdSource, key: bytes
    ) -> None:
        self._kv = kv
        self._writer = writer
        self._clock = clock
        self._ids = ids
        self._sealer = Sealer(key, ids)
        self._credentials = Credentials(keyspace.LAKE_CREDENTIALS, kv, clock, self._sealer)
        self.raw = Credentials(keyspace.RAW_CREDENTIALS, kv, clock, self._sealer)
        self.users = Users(kv)
        self.sql_users = SqlUsers(kv, writer, clock, self._sealer)

    @property
    def sealer(self) -> Sealer:
        """Return what seals other secrets with the server's key, each bound to its place."""
        return self._sealer

    def is_set_up(self) -> bool:
        """Tell whether the first user was made."""
        (stored,) = self._kv.read([keyspace.SETUP]).values
        return stored is not None

    def setup(
        self, user: str, *, key_id: str | None = None, secret: str | None = None
    ) -> Credential:
        """Make the first user with an access key, chosen or generated, and a raw-store key.

        Raises Conflict(SETUP_DONE) when it was done, InvalidInput for bad names or keys.
        """
        user_id = parse_user_id(user)
        if (key_id is None) != (secret is None):
            raise InvalidInput(Kind.VALUE, "give an access key id and its secret, or neither")
        now_us = self._clock.now_ns() // _US
        if key_id is None or secret is None:
            credential = generate_credential(self._ids, user_id, now_us)
        else:
            check_credential(key_id, secret)
            credential = Credential(key_id, secret, user_id, now_us)
        raw = generate_credential(self._ids, user_id, now_us)

        def make() -> Prepared[Credential]:
            if self.is_set_up():
                raise Conflict(Kind.SETUP_DONE, "this server has been set up")
            conditions, writes = self._first_user(credential, raw)
            return Prepared(conditions, writes, lambda _: credential)

        return self._writer.submit(make)

    def install(self, credential: Credential, raw: Credential) -> None:
        """Make a user and keys that are known beforehand (quickstart); what exists stays.

        Counts as the setup when there was none. Raises Conflict when an access key of that id
        has another secret.
        """
        for kept, wanted in (
            (self._credentials.find_credential(credential.key_id), credential),
            (self.raw.find_credential(raw.key_id), raw),
        ):
            if kept is not None and not hmac.compare_digest(kept.secret, wanted.secret):
                raise Conflict(
                    Kind.CONFLICT, f"access key {kept.key_id} exists with another secret"
                )

        def make() -> Prepared[None]:
            conditions, writes = self._missing(credential, raw)
            return Prepared(conditions, writes, _accepted)

        self._writer.submit(make)

    def find_credential(self, key_id: str) -> Credential | None:
        """Return an access key with its secret, None when there is none; compare in constant time.

        Cached for seconds.
        """
        return self._credentials.find_credential(key_id)

    def authenticate(self, key_id: str, secret: str) -> Principal:
        """Return who has this access key; raise Unauthenticated when nobody does."""
        credential = self._credentials.find_credential(key_id)
        # An unknown key takes the same comparison as a wrong secret.
        expected = "" if credential is None else credential.secret
        is_equal = hmac.compare_digest(expected.encode(), secret.encode("utf-8", "replace"))
        if credential is None or not is_equal:
            raise Unauthenticated(Kind.CREDENTIALS, "unknown access key or wrong secret")
        return Principal(credential.user)

    def login(self, key_id: str, secret: str) -> Token:
        """Return a token that stands for the access key's user; raise Unauthenticated."""
        principal = self.authenticate(key_id, secret)
        now_s = self._clock.now_ns() // _S
        expires_s = now_s + limits.LOGIN_TOKEN_S
        claims = {
            "aud": _AUDIENCE,
            "sub": principal.user,
            "iat": now_s,
            "exp": expires_s,
            "jti": self._ids.hex32(),
        }
        return Token(self._sealer.sign(claims), expires_s)

    def verify_token(self, text: str) -> Principal:
        """Return who a login token stands for; raise Unauthenticated when it is not valid now."""
        claims = self._sealer.find_claims(text)
        if claims is None or claims.get("aud") != _AUDIENCE:
            raise Unauthenticated(Kind.CREDENTIALS, "not a login token of this server")
        if self._clock.now_ns() // _S >= claims["exp"]:
            raise Unauthenticated(Kind.CREDENTIALS, "the login token has expired")
        user = self.users.find(UserId(claims["sub"]))
        if user is None:
            raise Unauthenticated(Kind.CREDENTIALS, "the login token's user does not exist")
        return Principal(user.id)

    def get_user(self, user: str) -> User:
        """Return a user; raise NotFound(USER_NOT_FOUND)."""
        return self.users.get(UserId(user))

    def _first_user(
        self, credential: Credential, raw: Credential
    ) -> tuple[Sequence[Condition], Sequence[Write]]:
        lake_condition, lake_write = self._credentials.creation(credential)
        raw_condition, raw_write = self.raw.creation(raw)
        conditions = [is_absent(keyspace.SETUP), lake_condition, raw_condition]
        setup = records.encode({"user": credential.user, "at_us": credential.created_us})
        user = User(credential.user, credential.created_us)
        return conditions, [put(keyspace.SETUP, setup), user_creation(user), lake_write, raw_write]

    def _missing(
        self, credential: Credential, raw: Credential
    ) -> tuple[Sequence[Condition], Sequence[Write]]:
        keys = (
            keyspace.SETUP,
            keyspace.user(credential.user),
            keyspace.credential(keyspace.LAKE_CREDENTIALS, credential.key_id),
            keyspace.credential(keyspace.RAW_CREDENTIALS, raw.key_id),
        )
        setup, user, lake_key, raw_key = self._kv.read(keys).values
        conditions: list[Condition] = []
        writes: list[Write] = []
        if setup is None:
            conditions.append(is_as_seen(keyspace.SETUP, setup))
            fields = {"user": credential.user, "at_us": credential.created_us}
            writes.append(put(keyspace.SETUP, records.encode(fields)))
        if user is None:
            conditions.append(is_as_seen(keyspace.user(credential.user), user))
            writes.append(user_creation(User(credential.user, credential.created_us)))
        for stored, kind, wanted in (
            (lake_key, self._credentials, credential),
            (raw_key, self.raw, raw),
        ):
            if stored is None:
                condition, write = kind.creation(wanted)
                conditions.append(condition)
                writes.append(write)
        return conditions, writes


def _accepted(_verdict: Verdict) -> None:
    return None
