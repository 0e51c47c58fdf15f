"""The gateway on its socket: what only shows in bytes and connections."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.kernel import limits
from tests.support.s3 import Sent, sign
from tests.support.server import RunningServer, start_server

MIB = 1024 * 1024
PATH = "/example3/main/wire"

DOMAIN = ("--s3-domain", "s3.test")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server; both HTTP servers must behave alike."""
    folder = tmp_path_factory.mktemp("wire")
    with start_server(folder / "data", "--http-server", request.param, *DOMAIN) as made:
        yield made


class Wire:
    """One connection."""

    def __init__(self, server: RunningServer) -> None:
        self.host = server.api_url.removeprefix("http://")
        name, _, port = self.host.partition(":")
        self.socket = socket.create_connection((name, int(port)), timeout=30)
        self._file = self.socket.makefile("rb")

    def start(self, sent: Sent) -> None:
        """Send a request's head."""
        target = sent.path + (f"?{sent.query}" if sent.query else "")
        lines = [f"{sent.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in sent.headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def sign(self, method: str, path: str = PATH, body: bytes = b"", **headers: str) -> Sent:
        """Return a signed request with a length."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = sign(Sent(method, path, headers=named, body=body), host=self.host)
        sent.headers["content-length"] = str(len(body))
        return sent

    def line(self) -> bytes:
        """Return the next line that comes."""
        return self._file.readline()

    def head(self) -> tuple[int, dict[str, str]]:
        """Return status and headers of the next answer."""
        status = int(self.line().split()[1])
        headers = http.client.parse_headers(self._file)
        return status, {name.lower(): value for name, value in headers.items()}

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next answer."""
        status, headers = self.head()
        size_bytes = int(headers.get("content-length", "0"))
        is_bodiless = status in (204, 304)
        return status, headers, b"" if is_bodiless else self._file.read(size_bytes)

    def call(self, sent: Sent) -> tuple[int, dict[str, str], bytes]:
        """Send a whole request and return its answer."""
        self.start(sent)
        self.socket.sendall(sent.body)
        return self.answer()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()


@pytest.fixture
def wire(server: RunningServer) -> Iterator[Wire]:
    made = Wire(server)
    yield made
    made.close()


def test_a_client_that_waits_is_told_to_go_on(wire: Wire) -> None:
    sent = wire.sign("PUT", body=b"waited", expect="100-continue")
    wire.start(sent)
    assert b" 100 " in wire.line()
    assert wire.line() == b"\r\n"
    wire.socket.sendall(sent.body)
    assert wire.answer()[0] == 200
    assert wire.call(wire.sign("GET"))[2] == b"waited"


def test_a_client_that_waits_is_refused_before_it_sends(server: RunningServer) -> None:
    for path, code in (("/example3/none/a", b"NoSuchKey"), ("/none/main/a", b"NoSuchBucket")):
        wire = Wire(server)
        wire.start(wire.sign("PUT", path, body=b"x" * MIB, expect="100-continue"))
        status, _, body = wire.answer()
        wire.close()
        assert status == 404
        assert code in body


def test_an_early_refusal_leaves_the_connection_usable(wire: Wire) -> None:
    sent = wire.sign("PUT", body=b"x" * (10 * MIB))
    sent.headers["x-amz-date"] = "20200101T000000Z"
    status, _, body = wire.call(sent)
    assert status in (400, 403)
    assert b"<Code>" in body
    assert wire.call(wire.sign("PUT", body=b"next"))[0] == 200


def test_answers_to_head_have_no_body(wire: Wire) -> None:
    for path in ("/example3/main/none", "/example3/none/none", "/none"):
        wire.start(wire.sign("HEAD", path))
        assert wire.head()[0] == 404
    assert wire.call(wire.sign("PUT", body=b"after"))[0] == 200


def test_a_body_that_ends_too_early_becomes_no_object(server: RunningServer, wire: Wire) -> None:
    for size_bytes in (10, 100_000, 3 * MIB):
        path = f"/example3/main/cut-{size_bytes}"
        sent = wire.sign("PUT", path, body=b"x" * (4 * MIB))
        broken = Wire(server)
        broken.start(sent)
        broken.socket.sendall(sent.body[:size_bytes])
        broken.close()
        wire.start(wire.sign("HEAD", path))
        assert wire.head()[0] == 404


@pytest.mark.parametrize("extra", [limits.HEADER_BYTES_MAX, limits.URL_BYTES_MAX])
def test_oversized_heads_are_400(wire: Wire, extra: int) -> None:
    if extra == limits.HEADER_BYTES_MAX:
        sent = wire.sign("GET", x_amz_meta_a="v" * extra)
    else:
        sent = sign(Sent("GET", "/example3", "prefix=" + "a" * extra), host=wire.host)
    # A server may hang up on what it will not read.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        status, _, body = wire.call(sent)
        assert status == 400
        assert b"<Code>" in body


def test_odd_requests_get_an_answer_of_s3(wire: Wire) -> None:
    cases = [
        Sent("GET", "/example3", headers={"host": wire.host}),
        Sent("GET", "/", headers={"host": wire.host, "authorization": "AWS4-HMAC-SHA256 x"}),
        Sent("PUT", PATH, headers={"host": wire.host, "authorization": "AWS a:b"}),
        wire.sign("POST", PATH),
        wire.sign("GET", "/example3/main/%FF"),
        wire.sign("GET", "/example3/main/%zz"),
        wire.sign("PROPFIND", "/example3"),
    ]
    for sent in cases:
        sent.headers.setdefault("content-length", "0")
        status, headers, body = wire.call(sent)
        assert 400 <= status < 500
        assert b"<Code>" in body
        assert "x-amz-request-id" in headers


def test_a_bucket_may_stand_in_the_host_name(wire: Wire) -> None:
    assert wire.call(wire.sign("PUT", "/example3/main/hosted", body=b"x"))[0] == 200
    wire.host = "example3.s3.test"
    assert wire.call(wire.sign("GET", "/main/hosted"))[2] == b"x"
    assert b"NoSuchKey" in wire.call(wire.sign("GET", "/example3/main/hosted"))[2]
    plain = Sent("GET", "/main/hosted", headers={"host": wire.host})
    assert b"AccessDenied" in wire.call(plain)[2]


def test_many_clients_at_once(server: RunningServer) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        wire = Wire(server)
        try:
            for turn in range(10):
                path = f"/example3/main/many/{number}/{turn}"
                data = bytes([number]) * (turn * 20_000)
                answers = [wire.call(wire.sign("PUT", path, body=data))[0]]
                status, _, body = wire.call(wire.sign("GET", path))
                if answers != [200] or status != 200 or body != data:
                    failures.append((number, turn, answers, status))
        finally:
            wire.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_large_upload_is_never_in_memory(server: RunningServer, wire: Wire) -> None:
    piece = b"x" * MIB
    total = 192
    sent = wire.sign("PUT", x_amz_content_sha256="UNSIGNED-PAYLOAD")
    sent.headers["content-length"] = str(total * MIB)
    before = _memory_kib(server)
    wire.start(sent)
    peak = before
    for number in range(total):
        wire.socket.sendall(piece)
        if number % 16 == 0:
            peak = max(peak, _memory_kib(server))
    assert wire.answer()[0] == 200
    assert peak - before < total * 1024 // 2


def _memory_kib(server: RunningServer) -> int:
    """Return the memory of the server's processes together."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == server.pid:
                for line in (entry / "status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        total += int(line.split()[1])
    return total
