"""The recording hands on every byte, takes down what was sent, and leaves out what is secret."""

import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import recording as module
from tests.support.recording import Tape, check_capture, recording

CHUNKED = (
    b"PUT /bucket/key HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
    b"x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n\r\n"
    b"3\r\n5\r\n\r\n2b\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n\r\n0\r\n\r\n"
)


class Echo(BaseHTTPRequestHandler):
    """Answers a PUT with the SHA-256 of its body, anything else with its own path."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self._answer(hashlib.sha256(self._read()).hexdigest().encode())

    def do_POST(self) -> None:
        self._read()
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.path.encode())

    def do_HEAD(self) -> None:
        self._answer(b"not sent")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _read(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, body: bytes) -> None:
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def echoing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def tape() -> Iterator[Tape]:
    with echoing() as url, recording(url, replaced={r"run-\d+": "<run>"}) as made:
        yield made


@contextmanager
def connected(tape: Tape) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(tape.url).netloc, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def test_bodies_pass_unchanged_and_requests_are_told_apart(tape: Tape) -> None:
    data = bytes(range(256)) * 4096
    with connected(tape) as connection, tape.step("all"):
        connection.request("PUT", "/bucket/a%20b", body=data, headers={"Expect": "100-continue"})
        assert connection.getresponse().read() == hashlib.sha256(data).hexdigest().encode()
        connection.request("HEAD", "/bucket/missing")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (404, b"")
        connection.request("GET", "/bucket?list-type=2&prefix=run-17")
        assert connection.getresponse().read() == b"/bucket?list-type=2&prefix=run-17"
    shapes = tape.steps()["all"]
    assert [(one["action"], one["target"], one["status"]) for one in shapes] == [
        ("PutObject", "/bucket/a%20b", 200),
        ("HeadObject", "/bucket/missing", 404),
        ("ListObjects", "/bucket?list-type=2&prefix=<run>", 200),
    ]
    assert shapes[0]["framing"] == f"length {len(data)}"
    assert "expect: 100-continue" in shapes[0]["headers"]
    assert "host" in shapes[0]["headers"]


def test_the_form_of_chunks_is_kept(tape: Tape) -> None:
    address = urlsplit(tape.url)
    assert address.port is not None
    with tape.step("put"), socket.create_connection(("127.0.0.1", address.port), 30) as client:
        client.sendall(CHUNKED)
        assert client.recv(100_000).startswith(b"HTTP/1.1 200")
    (shape,) = tape.steps()["put"]
    assert (shape["framing"], shape["chunk"]) == ("chunked", "5")
    assert shape["trailer"] == ["x-amz-checksum-crc32"]


def test_secrets_and_what_differs_from_run_to_run_are_replaced(tape: Tape) -> None:
    parts = '<Part><ETag>"{}"</ETag><ChecksumCRC32>{}</ChecksumCRC32></Part>'
    scope = "AKIAEXAMPLE/20260101/eu-west-1/s3/aws4_request"
    with connected(tape) as connection, tape.step("complete"):
        for number in range(2):
            digest = hashlib.sha256(b"%d" % number).hexdigest()
            connection.request(
                "POST",
                f"/bucket/key?uploadId={digest}",
                body=parts.format(digest[:32], digest[:8]),
                headers={
                    "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature={digest}",
                    "X-Amz-Security-Token": digest,
                },
            )
            connection.getresponse().read()
    (shape,) = tape.steps()["complete"]
    assert shape["target"] == "/bucket/key?uploadId=<upload-id>"
    assert shape["body"] == parts.format("<hash>", "<checksum>")
    assert (
        "authorization: AWS4-HMAC-SHA256 Credential=<key>/<date>/eu-west-1/s3/aws4_request, "
        "Signature=<signature>"
    ) in shape["headers"]
    assert "x-amz-security-token" in shape["headers"]


def test_a_capture_is_kept_and_compared(
    tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPTURES", tmp_path)
    with connected(tape) as connection:
        with tape.step("read"):
            connection.request("GET", "/bucket/one")
            connection.getresponse().read()
        with pytest.raises(pytest.skip.Exception, match=r"reader 1\.2 was not recorded"):
            check_capture(tape, "reader", "1.2")
        monkeypatch.setattr(module, "RECORD", True)
        check_capture(tape, "reader", "1.2")
        monkeypatch.setattr(module, "RECORD", False)
        check_capture(tape, "reader", "1.2")
        kept = json.loads((tmp_path / "reader-1.2.json").read_text())
        assert kept["schemes"]["http"]["read"][0]["target"] == "/bucket/one"
        with tape.step("read"):
            connection.request("GET", "/bucket/two")
            connection.getresponse().read()
    with pytest.raises(AssertionError, match=r"read: new: .*/bucket/two"):
        check_capture(tape, "reader", "1.2")
