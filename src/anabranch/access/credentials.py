"""Access keys and their secrets: sealed at rest, cached for seconds, never shown."""

import base64
import re
from collections import OrderedDict
from dataclasses import dataclass, field

from anabranch.access import keyspace, records
from anabranch.access.principals import UserId
from anabranch.access.sealing import Sealer
from anabranch.kernel import limits
from anabranch.kernel.clock import Clock, IdSource
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.storage.kv.base import Condition, KVStore, Write, is_absent, put, scan_prefix

_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{3,128}")
_SECRET_LENGTH_MIN = 8
_SECRET_LENGTH_MAX = 256
_GENERATED_SECRET_BYTES = 30


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key; its secret is not part of its text form."""

    key_id: str
    secret: str = field(repr=False)
    user: UserId
    created_us: int = 0


@dataclass(frozen=True, slots=True)
class _Cached:
    credential: Credential
    version: int
    expires_ns: int


def generate_credential(ids: IdSource, user: UserId, created_us: int) -> Credential:
    """Return a new credential in AWS's form: a key id of 20, a secret of 40 characters."""
    key_id = "AKIA" + base64.b32encode(bytes.fromhex(ids.hex32())).decode()[:16]
    random = bytes.fromhex(ids.hex32() + ids.hex32())
    secret = base64.b64encode(random[:_GENERATED_SECRET_BYTES]).decode()
    return Credential(key_id, secret, user, created_us)


def check_credential(key_id: str, secret: str) -> None:
    """Raise InvalidInput when a chosen key id or secret is not usable."""
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidInput(Kind.VALUE, "an access key id is 3 to 128 letters, digits and _ . -")
    is_text = secret.isascii() and secret.isprintable() and " " not in secret
    if not _SECRET_LENGTH_MIN <= len(secret) <= _SECRET_LENGTH_MAX or not is_text:
        raise InvalidInput(
            Kind.VALUE,
            f"a secret access key is {_SECRET_LENGTH_MIN} to {_SECRET_LENGTH_MAX} printable ASCII "
            "characters without spaces",
        )


class Credentials:
    """The access keys of one kind: the lake's, or the raw store's.

    What was found is kept for CREDENTIAL_CACHE_S; then one read tells whether it still holds, so a
    key removed by another process stops within that time.
    """

    def __init__(self, kind: bytes, kv: KVStore, clock: Clock, sealer: Sealer) -> None:
        self._kind = kind
        self._kv = kv
        self._clock = clock
        self._sealer = sealer
        self._cached: OrderedDict[str, _Cached] = OrderedDict()

    def find_credential(self, key_id: str) -> Credential | None:
        """Return an access key with its secret, None when there is none.

        The caller compares in constant time. One read of the KV store at most.
        """
        now_ns = self._clock.now_ns()
        cached = self._cached.get(key_id)
        if cached is not None and now_ns < cached.expires_ns:
            return cached.credential
        if not _KEY_ID.fullmatch(key_id):
            return None
        (stored,) = self._kv.read([keyspace.credential(self._kind, key_id)]).values
        if stored is None:
            self._cached.pop(key_id, None)
            return None
        if cached is not None and cached.version == stored.version:
            credential = cached.credential
        else:
            credential = self._decode(key_id, stored.value)
        expires_ns = now_ns + limits.CREDENTIAL_CACHE_S * 1_000_000_000
        self._cached[key_id] = _Cached(credential, stored.version, expires_ns)
        self._cached.move_to_end(key_id)
        while len(self._cached) > limits.CREDENTIAL_CACHE_MAX:
            self._cached.popitem(last=False)
        return credential

    def list(self, *, limit: int) -> list[Credential]:
        """Return the first access keys by id, with their secrets: for the machine's owner alone."""
        (rows,) = self._kv.read([], [scan_prefix(self._kind, limit=limit)]).scans
        return [self._decode(row.key[len(self._kind) :].decode(), row.value) for row in rows]

    def creation(self, credential: Credential) -> tuple[Condition, Write]:
        """Return what a transaction needs to make an access key that does not exist."""
        key = keyspace.credential(self._kind, credential.key_id)
        fields = {
            "user": credential.user,
            "secret": self._sealer.seal(credential.secret, credential.key_id),
            "created_us": credential.created_us,
        }
        return is_absent(key), put(key, records.encode(fields))

    def _decode(self, key_id: str, data: bytes) -> Credential:
        fields = records.decode(data, "the record of an access key")
        secret = self._sealer.open(fields["secret"], key_id)
        return Credential(key_id, secret, UserId(fields["user"]), fields["created_us"])
