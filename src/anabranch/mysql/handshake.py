"""Logins: mysql_native_password and caching_sha2_password, against hashes of hashes.

A stored password is SHA1(SHA1(password)) and SHA256(SHA256(password)): enough to judge either
method's answer, not enough to log in with. An unknown user takes the same road as a known one.
"""

import hashlib
import hmac
import ipaddress
import secrets
import ssl
import threading
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from anabranch.access.sql_users import StoredPassword, hash_password, is_password
from anabranch.edge.blocking import call_local, call_thread
from anabranch.kernel import limits
from anabranch.mysql import packets
from anabranch.mysql.errors import malformed
from anabranch.mysql.packets import Capability, Login, TlsRequest
from anabranch.mysql.stream import Stream
from anabranch.warehouse.errors import access_denied

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
NONCE_BYTES = 20
_KEY_REQUEST = b"\x02"
_FAST_OK = b"\x03"
_FULL_WANTED = b"\x04"
_RSA_BITS = 2048
_CLUSTER = "default_cluster:"


class Users(Protocol):
    """The users who may log in."""

    def find_user(self, name: str) -> StoredPassword | None:
        """Return the password of a user, None when there is no such user. May block."""
        ...

    def may_administer(self, name: str) -> bool:
        """Tell whether a user may end other users' statements. May block."""
        ...


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A client whose password was right."""

    user: str
    database: str | None
    capabilities: Capability
    attributes: dict[str, str]


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def is_native_answer(answer: bytes, nonce: bytes, stored: bytes) -> bool:
    """Tell whether an answer proves SHA1(password), given SHA1 of that."""
    if len(answer) != len(stored) or not stored:
        return False
    candidate = _xor(answer, _sha1(nonce + stored))
    return hmac.compare_digest(_sha1(candidate), stored)


def is_sha2_answer(answer: bytes, nonce: bytes, stored: bytes) -> bool:
    """Tell whether an answer proves SHA256(password), given SHA256 of that."""
    if len(answer) != len(stored) or not stored:
        return False
    candidate = _xor(answer, _sha256(stored + nonce))
    return hmac.compare_digest(_sha256(candidate), stored)


def _clear(data: bytes) -> str:
    """Return a password in clear, which may end with a NUL; bytes that are no UTF-8 are kept."""
    return data.removesuffix(b"\0").decode("utf-8", "surrogateescape")


def make_nonce() -> bytes:
    """Return 20 random bytes of ASCII without NUL, since Connector/J reads them as text."""
    return bytes(secrets.randbelow(127) + 1 for _ in range(NONCE_BYTES))


class Keys:
    """The key pair that passwords are encrypted for without TLS; made when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: rsa.RSAPrivateKey | None = None

    def _get(self) -> rsa.RSAPrivateKey:
        with self._lock:
            if self._key is None:
                self._key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
            return self._key

    def public_pem(self) -> bytes:
        """Return the public key; the first call takes a second."""
        return (
            self._get()
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def decrypt(self, data: bytes) -> bytes | None:
        """Return what was encrypted for us (OAEP with SHA-1), None when it was not."""
        algorithm = hashes.SHA1()  # noqa: S303 - the protocol's
        oaep = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
        try:
            return self._get().decrypt(data, oaep)
        except ValueError:
            return None


class Handshake:
    """The login of one connection; raises LinkError, or SqlError 1045 for a wrong password."""

    def __init__(
        self, stream: Stream, users: Users, keys: Keys, tls: ssl.SSLContext | None
    ) -> None:
        self._stream = stream
        self._users = users
        self._keys = keys
        self._tls = tls
        self._packets = 0

    async def greet(self, version: str, connection_id: int) -> LoggedIn:
        """Log in a new connection."""
        offered = packets.OFFERED
        if self._tls is not None:
            offered |= Capability.SSL
        nonce = make_nonce()
        stream = self._stream
        stream.write(packets.encode_greeting(version, connection_id, nonce, NATIVE, offered))
        request = packets.decode_login(await self._read(), offered)
        if isinstance(request, TlsRequest):
            assert self._tls is not None
            await stream.start_tls(self._tls)
            request = packets.decode_login(await self._read(), offered)
            if isinstance(request, TlsRequest):
                raise malformed(handshake=True)
        elif request.capabilities & Capability.SSL:
            raise malformed(handshake=True)
        return await self._judge(request, nonce)

    async def change(self, request: Login) -> LoggedIn:
        """Log in a connection that is to become another user's, with a fresh nonce."""
        return await self._judge(request, None)

    async def _read(self) -> bytes:
        self._packets += 1
        if self._packets > limits.MYSQL_LOGIN_PACKETS_MAX:
            raise malformed(handshake=True)
        return await self._stream.read(limits.MYSQL_LOGIN_BYTES_MAX, idle_s=limits.MYSQL_LOGIN_S)

    async def _judge(self, request: Login, nonce: bytes | None) -> LoggedIn:
        user = request.user.removeprefix(_CLUSTER)
        stored = await call_local(self._users.find_user, user)
        is_known = stored is not None
        if stored is None:
            stored = hash_password(secrets.token_hex(16))
        if stored.is_empty and not is_loopback(self._stream.peer):
            is_known = False
        is_right, has_password = await self._prove(request, nonce, stored)
        if not (is_right and is_known):
            raise access_denied(user, self._stream.peer, has_password)
        database = request.database.removeprefix(_CLUSTER) or None
        return LoggedIn(user, database, request.capabilities, request.attributes)

    async def _prove(
        self, request: Login, nonce: bytes | None, stored: StoredPassword
    ) -> tuple[bool, bool]:
        """Return whether the password is right, and whether the client had one."""
        plugin, answer = request.plugin or NATIVE, request.answer
        can_native = plugin == NATIVE and (stored.is_empty or bool(stored.sha1))
        # Whoever knows only the new method shows the whole password where its hash is missing.
        can_sha2 = plugin == CACHING_SHA2
        if nonce is None or not (can_native or can_sha2):
            wanted = CACHING_SHA2 if can_sha2 or not (stored.sha1 or stored.is_empty) else NATIVE
            plugin, nonce, answer = await self._switch(wanted)
        if plugin == NATIVE:
            if not answer:
                return stored.is_empty, False
            return not stored.is_empty and is_native_answer(answer, nonce, stored.sha1), True
        return await self._prove_sha2(answer, nonce, stored)

    async def _switch(self, plugin: str) -> tuple[str, bytes, bytes]:
        nonce = make_nonce()
        self._stream.write(packets.encode_auth_switch(plugin, nonce))
        answer = await self._read()
        # A client without a password may send a lone NUL.
        return plugin, nonce, b"" if answer == b"\0" else answer

    async def _prove_sha2(
        self, answer: bytes, nonce: bytes, stored: StoredPassword
    ) -> tuple[bool, bool]:
        if answer in (b"", b"\0"):
            return stored.is_empty, False
        if stored.is_empty:
            return False, True
        if is_sha2_answer(answer, nonce, stored.sha256):
            self._stream.write(packets.encode_auth_more(_FAST_OK))
            return True, True
        # As MySQL does: PyMySQL mixes a switch's nonce with the NUL behind it, and depends on it.
        self._stream.write(packets.encode_auth_more(_FULL_WANTED))
        data = await self._read()
        if self._stream.is_encrypted:
            return is_password(_clear(data), stored), True
        if data == _KEY_REQUEST:
            pem = await call_thread(self._keys.public_pem)
            self._stream.write(packets.encode_auth_more(pem))
            data = await self._read()
        return await call_thread(self._is_encrypted_password, data, nonce, stored), True

    def _is_encrypted_password(self, data: bytes, nonce: bytes, stored: StoredPassword) -> bool:
        mixed = self._keys.decrypt(data)
        if mixed is None:
            return False
        repeated = nonce * (len(mixed) // len(nonce) + 1)
        password = _xor(mixed, repeated[: len(mixed)])
        return is_password(_clear(password), stored)


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own; an empty one (a Unix socket) is."""
    if not address:
        return True
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
