"""Logins: both methods, TLS, switches, refusals, and what may happen before one."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql import _auth

from anabranch.access.sql_users import hash_password, is_password
from anabranch.mysql import handshake, packets
from anabranch.mysql.connection import Bounds
from anabranch.mysql.packets import Capability
from tests.mysql.serving import SECRET, Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tls_folder=tmp_path_factory.mktemp("tls")) as found:
        yield found


def answer_of(client: Any) -> object:
    with client, client.cursor() as cursor:
        cursor.execute("select 42")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("user", ["ada", "native", "sha2", "root", "default_cluster:ada"])
def test_every_kind_of_user_logs_in(served: Served, user: str, is_tls: bool) -> None:
    options: dict[str, Any] = {"user": user, "password": b"" if user == "root" else SECRET.encode()}
    if is_tls:
        options["ssl"] = ssl.create_default_context(cafile=str(served.certificate))
    assert answer_of(served.connect(**options)) == 42


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("user", ["ada", "native", "sha2", "root", "nobody"])
def test_a_wrong_password_runs_nothing(served: Served, user: str, is_tls: bool) -> None:
    count = len(served.engine.sessions)
    for password in ("wrong", "" if user != "root" else "x"):
        options: dict[str, Any] = {"user": user, "password": password}
        if is_tls:
            options["ssl"] = ssl.create_default_context(cafile=str(served.certificate))
        with pytest.raises(pymysql.err.OperationalError) as failure:
            served.connect(**options)
        code, message = failure.value.args
        assert code == 1045
        said = "YES" if password else "NO"
        assert message == f"Access denied for user '{user}'@'127.0.0.1' (using password: {said})"
    assert len(served.engine.sessions) == count


class Raw:
    """A client that sends whatever a test likes."""

    def __init__(self, served: Served) -> None:
        self.socket = socket.create_connection(("127.0.0.1", served.port), timeout=10)
        self.file = self.socket.makefile("rb")

    def read(self) -> bytes | None:
        """Return the next payload, None when the server has closed."""
        try:
            head = self.file.read(4)
            if len(head) < 4:
                return None
            return self.file.read(int.from_bytes(head[:3], "little"))
        except ConnectionError:
            return None

    def send(self, payload: bytes, sequence: int) -> None:
        self.socket.sendall(packets.frame(payload, sequence)[0])

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


CAPABILITIES = (
    Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.CONNECT_ATTRS
    | Capability.CONNECT_WITH_DB
)


def login(
    user: str, answer: bytes, plugin: str, *, capabilities: Capability = CAPABILITIES
) -> bytes:
    """Return a client's answer to the greeting."""
    attributes = packets.encode_text("program_name") + packets.encode_text("test")
    return b"".join(
        (
            struct.pack("<IIB23x", int(capabilities), 1 << 24, 45),
            user.encode() + b"\0",
            packets.encode_sized(answer),
            b"test\0",
            plugin.encode() + b"\0",
            packets.encode_sized(attributes),
        )
    )


def error_of(payload: bytes | None) -> int:
    assert payload is not None
    assert payload[:1] == b"\xff"
    return int.from_bytes(payload[1:3], "little")


def test_the_full_road_of_caching_sha2_in_clear(served: Served) -> None:
    """A user of whom only the old hash is kept, and a client that knows only the new method."""
    for password, is_right in ((SECRET, True), ("wrong", False)):
        with Raw(served) as raw:
            greeting = raw.read()
            assert greeting is not None
            raw.send(login("native", b"x" * 32, "caching_sha2_password"), 1)
            assert raw.read() == b"\x01\x04"
            raw.send(b"\x02", 3)
            pem = raw.read()
            assert pem is not None
            assert pem.startswith(b"\x01-----BEGIN PUBLIC KEY-----")
            start = greeting.index(b"\0") + 5
            nonce = greeting[start : start + 8] + greeting[start + 27 : start + 39]
            raw.send(_auth.sha2_rsa_encrypt(password.encode(), nonce, pem[1:]), 5)
            last = raw.read()
            assert last is not None
            assert (last[:1] == b"\0") is is_right
            if not is_right:
                assert error_of(last) == 1045


def test_bytes_that_are_no_cipher_text_are_a_wrong_password(served: Served) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.send(login("native", b"x" * 32, "caching_sha2_password"), 1)
        assert raw.read() == b"\x01\x04"
        raw.send(SECRET.encode() + b"\0", 3)
        assert error_of(raw.read()) == 1045


def test_an_unknown_method_is_switched(served: Served) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.send(login("ada", b"whatever", "mysql_clear_password"), 1)
        request = raw.read()
        assert request is not None
        assert request.startswith(b"\xfemysql_native_password\0")
        raw.send(b"\0" * 20, 3)
        assert error_of(raw.read()) == 1045


def test_no_command_runs_before_a_login(served: Served) -> None:
    count = len(served.engine.sessions)
    with Raw(served) as raw:
        raw.read()
        raw.send(b"\x03insert 1", 1)
        assert error_of(raw.read()) in (1043, 1835)
        assert raw.read() is None
    assert len(served.engine.sessions) == count


def test_what_follows_a_wish_for_tls_is_not_read_as_a_login(served: Served) -> None:
    wish = struct.pack("<IIB23x", int(CAPABILITIES | Capability.SSL), 1 << 24, 45)
    with Raw(served) as raw:
        raw.read()
        head = packets.frame(wish, 1)[0]
        raw.socket.sendall(head + packets.frame(login("root", b"", "mysql_native_password"), 2)[0])
        assert raw.read() is None


def test_tls_that_begins_with_the_wish_in_one_segment(served: Served) -> None:
    wish = struct.pack("<IIB23x", int(CAPABILITIES | Capability.SSL), 1 << 24, 45)
    context = ssl.create_default_context(cafile=str(served.certificate))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with Raw(served) as raw:
        raw.read()
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        raw.socket.sendall(packets.frame(wish, 1)[0] + outgoing.read())
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.socket.sendall(outgoing.read())
                incoming.write(raw.socket.recv(1 << 16))
        tls.write(packets.frame(login("root", b"", "mysql_native_password"), 2)[0])
        raw.socket.sendall(outgoing.read())
        while True:
            try:
                answer = tls.read(1 << 16)
                break
            except ssl.SSLWantReadError:
                incoming.write(raw.socket.recv(1 << 16))
        assert answer[4:5] == b"\0"


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        (b"\x05\0\0\x07hello", {1156}),
        (b"\xff\xff\xff\x01", {1153}),
        (b"\x01\0\x01\x01", {1153}),
        (b"\0\0\0\x01", {1043, 1835}),
        (b"GET / HTTP/1.1\r\n\r\n", {1156, 1153}),
    ],
)
def test_bad_bytes_before_a_login_are_answered(
    served: Served, sent: bytes, codes: set[int]
) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.socket.sendall(sent)
        assert error_of(raw.read()) in codes
        assert raw.read() is None


def test_a_client_that_says_nothing_is_given_up() -> None:
    with serving(bounds=Bounds(login_s=0.2)) as served, Raw(served) as raw:
        raw.read()
        raw.socket.sendall(b"\x20\0\0\x01half")
        assert error_of(raw.read()) == 1159
        assert raw.read() is None


def test_connections_before_a_login_are_bounded() -> None:
    with (
        serving(bounds=Bounds(logins_max=2)) as served,
        Raw(served) as first,
        Raw(served) as second,
    ):
        first.read()
        second.read()
        with Raw(served) as third:
            assert error_of(third.read()) == 1040
            assert third.read() is None
        first.send(login("root", b"", "mysql_native_password"), 1)
        assert first.read() == b"\0\0\0\2\0\0\0"
        assert answer_of(served.connect()) == 42


def test_connections_are_bounded() -> None:
    with (
        serving(bounds=Bounds(connections_max=2)) as served,
        served.connect(),
        served.connect(),
        pytest.raises(pymysql.err.OperationalError, match="Too many connections"),
    ):
        served.connect()


def test_loopback_addresses() -> None:
    assert handshake.is_loopback("127.0.0.1")
    assert handshake.is_loopback("127.8.0.1")
    assert handshake.is_loopback("::1")
    assert handshake.is_loopback("::ffff:127.0.0.1")
    assert handshake.is_loopback("")
    assert not handshake.is_loopback("10.0.0.1")
    assert not handshake.is_loopback("::ffff:10.0.0.1")
    assert not handshake.is_loopback("localhost.example")


def test_nonces_are_ascii_without_nul() -> None:
    nonces = {handshake.make_nonce() for _ in range(200)}
    assert len(nonces) == 200
    assert not any(0 in nonce or not nonce.isascii() or len(nonce) != 20 for nonce in nonces)


@given(
    password=st.text(min_size=1),
    other=st.text(min_size=1),
    nonce=st.binary(min_size=20, max_size=20),
)
def test_answers_prove_a_password(password: str, other: str, nonce: bytes) -> None:
    stored = hash_password(password)
    for said in (password, other):
        is_right = said == password
        native = _auth.scramble_native_password(said.encode(), nonce)
        assert handshake.is_native_answer(native, nonce, stored.sha1) is is_right
        sha2 = _auth.scramble_caching_sha2(said.encode(), nonce)
        assert handshake.is_sha2_answer(sha2, nonce, stored.sha256) is is_right
        assert is_password(said, stored) is is_right


@given(data=st.binary(max_size=200))
def test_random_bytes_after_the_greeting_never_hang(served: Served, data: bytes) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.socket.sendall(data)
        raw.socket.shutdown(socket.SHUT_WR)
        payload = raw.read()
        assert payload is None or payload[:1] in (b"\xff", b"\0", b"\xfe", b"\x01")


@given(data=st.binary(max_size=200))
def test_a_login_of_random_bytes_is_answered_or_closed(served: Served, data: bytes) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.send(struct.pack("<IIB23x", int(CAPABILITIES), 1 << 24, 45) + data, 1)
        payload = raw.read()
        assert payload is not None
        assert payload[:1] in (b"\xff", b"\xfe", b"\x01", b"\0")


def test_the_server_survives_all_of_it(served: Served) -> None:
    assert threading.active_count() < served.threads_before + 50
    assert answer_of(served.connect()) == 42
