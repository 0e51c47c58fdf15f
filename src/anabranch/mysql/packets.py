"""Bytes <-> packets of MySQL's protocol 4.1: pure functions over payloads, without their heads."""

import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from anabranch.kernel import limits
from anabranch.mysql.errors import malformed

PROTOCOL_VERSION = 10
PACKET_PAYLOAD_MAX = 0xFF_FFFF
"""A payload this long goes on in the next packet."""
UTF8MB4 = 45
BINARY = 63


class Capability(IntFlag):
    """What client and server can do; the session uses what both said."""

    LONG_PASSWORD = 1
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    TRANSACTIONS = 1 << 13
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    DEPRECATE_EOF = 1 << 24


OFFERED = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.LOCAL_FILES
    | Capability.IGNORE_SPACE
    | Capability.PROTOCOL_41
    | Capability.INTERACTIVE
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.DEPRECATE_EOF
)
"""Everything but TLS, which is offered when there is a certificate."""


class Status(IntFlag):
    """Flags of a session in answers."""

    IN_TRANSACTION = 1
    AUTOCOMMIT = 2
    MORE_RESULTS = 8


class Command(IntEnum):
    """The first byte of a client's packet."""

    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    CHANGE_USER = 0x11
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    RESET_CONNECTION = 0x1F


class Reader:
    """Reads a payload from its start; whatever is not there raises the error 1835."""

    def __init__(self, payload: bytes, at: int = 0) -> None:
        self._payload = payload
        self._at = at

    @property
    def remaining(self) -> int:
        return len(self._payload) - self._at

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > self.remaining:
            raise malformed()
        self._at += count
        return self._payload[self._at - count : self._at]

    def rest(self) -> bytes:
        """Return what is left."""
        return self.take(self.remaining)

    def integer(self, size: int, *, is_signed: bool = False) -> int:
        """Return a little-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little", signed=is_signed)

    def length(self) -> int:
        """Return a length-encoded integer."""
        first = self.integer(1)
        if first < 0xFB:
            return first
        if first in _LENGTH_SIZES:
            return self.integer(_LENGTH_SIZES[first])
        raise malformed()

    def sized(self) -> bytes:
        """Return bytes that stand behind their length."""
        return self.take(self.length())

    def until_nul(self) -> bytes:
        """Return the bytes before the next NUL, or what is left when there is none."""
        end = self._payload.find(b"\0", self._at)
        if end < 0:
            return self.rest()
        found = self.take(end - self._at)
        self._at += 1
        return found


_LENGTH_SIZES = {0xFC: 2, 0xFD: 3, 0xFE: 8}


def encode_length(value: int) -> bytes:
    """Return a length-encoded integer."""
    if value < 0xFB:
        return bytes((value,))
    if value <= 0xFFFF:
        return b"\xfc" + value.to_bytes(2, "little")
    if value <= 0xFF_FFFF:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def encode_sized(value: bytes) -> bytes:
    """Return bytes behind their length."""
    return encode_length(len(value)) + value


def encode_text(value: str) -> bytes:
    """Return text as UTF-8 behind its length."""
    return encode_sized(value.encode(errors="replace"))


def frame(payload: bytes, sequence: int) -> tuple[bytes, int]:
    """Return a payload as packets, the first numbered `sequence`, and the next number."""
    parts = []
    at = 0
    while True:
        part = payload[at : at + PACKET_PAYLOAD_MAX]
        parts += [len(part).to_bytes(3, "little"), bytes((sequence,)), part]
        sequence = (sequence + 1) & 0xFF
        at += len(part)
        if len(part) < PACKET_PAYLOAD_MAX:
            return b"".join(parts), sequence


@dataclass(frozen=True, slots=True)
class TlsRequest:
    """A client that wants TLS before it says who it is."""

    capabilities: Capability


@dataclass(frozen=True, slots=True)
class Login:
    """A client's answer to the greeting, or its wish to become another user."""

    user: str
    answer: bytes = field(repr=False)
    database: str
    plugin: str
    attributes: dict[str, str]
    capabilities: Capability


def encode_greeting(
    version: str, connection_id: int, nonce: bytes, plugin: str, capabilities: Capability
) -> bytes:
    """Return the server's first packet (HandshakeV10); `nonce` has 20 bytes, none of them 0."""
    assert len(nonce) == 20
    bits = int(capabilities)
    return b"".join(
        (
            bytes((PROTOCOL_VERSION,)),
            version.encode() + b"\0",
            connection_id.to_bytes(4, "little"),
            nonce[:8] + b"\0",
            (bits & 0xFFFF).to_bytes(2, "little"),
            bytes((UTF8MB4,)),
            int(Status.AUTOCOMMIT).to_bytes(2, "little"),
            (bits >> 16).to_bytes(2, "little"),
            bytes((len(nonce) + 1,)) + bytes(10),
            nonce[8:] + b"\0",
            plugin.encode() + b"\0",
        )
    )


def decode_login(payload: bytes, offered: Capability) -> TlsRequest | Login:
    """Return a client's answer to the greeting (HandshakeResponse41); errors 1043, 1835."""
    reader = Reader(payload)
    # Bits that nobody offered are dropped, so that a field they announce is not read.
    capabilities = Capability(reader.integer(4) & int(offered))
    if not capabilities & Capability.PROTOCOL_41:
        raise malformed(handshake=True)
    reader.take(28)  # the client's largest packet, its character set, and 23 bytes of nothing
    if capabilities & Capability.SSL and reader.remaining == 0:
        return TlsRequest(capabilities)
    user = _text(reader.until_nul())
    if capabilities & Capability.PLUGIN_AUTH_LENENC:
        answer = reader.sized()
    elif capabilities & Capability.SECURE_CONNECTION:
        answer = reader.take(reader.integer(1))
    else:
        answer = reader.until_nul()
    database = ""
    if capabilities & Capability.CONNECT_WITH_DB:
        database = _text(reader.until_nul())
    plugin = ""
    if capabilities & Capability.PLUGIN_AUTH:
        plugin = _text(reader.until_nul())
    return Login(user, answer, database, plugin, _attributes(reader, capabilities), capabilities)


def decode_change_user(payload: bytes, capabilities: Capability) -> Login:
    """Return what COM_CHANGE_USER asks for; `payload` has no command byte."""
    reader = Reader(payload)
    user = _text(reader.until_nul())
    answer = reader.take(reader.integer(1))
    database = _text(reader.until_nul())
    plugin = ""
    if reader.remaining >= 2:
        reader.take(2)  # the character set
        if capabilities & Capability.PLUGIN_AUTH:
            plugin = _text(reader.until_nul())
    return Login(user, answer, database, plugin, _attributes(reader, capabilities), capabilities)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise malformed(handshake=True) from None


def _attributes(reader: Reader, capabilities: Capability) -> dict[str, str]:
    found: dict[str, str] = {}
    if not capabilities & Capability.CONNECT_ATTRS or reader.remaining == 0:
        return found
    inner = Reader(reader.sized())
    while inner.remaining and len(found) < limits.MYSQL_ATTRIBUTES_MAX:
        name = inner.sized().decode(errors="replace")
        found[name] = inner.sized().decode(errors="replace")
    return found


def encode_ok(
    status: Status,
    *,
    affected_rows: int = 0,
    last_insert_id: int = 0,
    warnings: int = 0,
    info: str = "",
    is_end_of_rows: bool = False,
) -> bytes:
    """Return an OK packet; at the end of rows it has EOF's head (DEPRECATE_EOF)."""
    return b"".join(
        (
            b"\xfe" if is_end_of_rows else b"\x00",
            encode_length(affected_rows),
            encode_length(last_insert_id),
            struct.pack("<HH", int(status), min(warnings, 0xFFFF)),
            # Servers write its length, whatever the manual says, and clients want it.
            encode_text(info) if info else b"",
        )
    )


def encode_eof(status: Status, warnings: int = 0) -> bytes:
    """Return an EOF packet."""
    return struct.pack("<BHH", 0xFE, min(warnings, 0xFFFF), int(status))


def encode_error(code: int, state: str, message: str) -> bytes:
    """Return an ERR packet; a long message is cut."""
    text = message.encode(errors="replace")[: limits.MYSQL_ERROR_BYTES_MAX]
    text = text.decode(errors="ignore").encode()
    return b"\xff" + code.to_bytes(2, "little") + b"#" + state.encode()[:5] + text


def encode_auth_switch(plugin: str, nonce: bytes) -> bytes:
    """Return the wish to log in by another method, with a fresh nonce."""
    return b"\xfe" + plugin.encode() + b"\0" + nonce + b"\0"


def encode_auth_more(data: bytes) -> bytes:
    """Return one more step of a login."""
    return b"\x01" + data


def encode_prepared(statement_id: int, columns: int, parameters: int) -> bytes:
    """Return the head of the answer to COM_STMT_PREPARE."""
    return struct.pack("<BIHHBH", 0, statement_id, columns, parameters, 0, 0)


def encode_file_request(name: str) -> bytes:
    """Return the wish for a file of the client's (LOCAL INFILE)."""
    return b"\xfb" + name.encode(errors="replace")
