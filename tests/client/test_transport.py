"""What becomes of answers that no good server gives: cut short, foreign, refused early, none."""

import contextlib
import hashlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anabranch.client.answers import ObjectStats
from anabranch.client.downloads import Downloads, WantedObject
from anabranch.client.rest import Client
from anabranch.client.transport import Server, Transport, Upload, parse_endpoint
from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AnabranchError,
    Corrupted,
    Forbidden,
    InvalidInput,
    Kind,
    Unavailable,
)

JSON = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
REPOSITORY = (
    b'{"id": "r", "storage_namespace": "s3://r", "default_branch": "main", "creation_date": 0}'
)


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer with a JSON body."""
    return JSON % (status, len(body), body)


@contextlib.contextmanager
def listening(*connections: list[bytes]) -> Iterator[Server]:
    """A server that says these bytes, whatever is asked: one list a connection.

    After each the client is read until it stops sending headers, and then the connection closes.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            for said in connections:
                with listener.accept()[0] as peer:
                    for data in said:
                        read_head(peer.recv)
                        peer.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Server("http", "127.0.0.1", port, "key", "secret", "the test")
        finally:
            thread.join(10)
            assert not thread.is_alive()


@contextlib.contextmanager
def speaking(*connections: list[bytes]) -> Iterator[Client]:
    """A client of a server that says these bytes."""
    with listening(*connections) as server:
        transport = Transport(server)
        try:
            yield Client(transport)
        finally:
            transport.close()


def read_head(receive: Callable[[int], bytes]) -> bytes:
    """Read a request up to the end of its headers."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = receive(65_536)
        if not data:
            break
        head += data
    return head


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    with speaking([answer(REPOSITORY)], [answer(REPOSITORY)]) as client:
        assert client.repository("r").id == "r"
        assert client.repository("r").id == "r"


def test_a_write_is_no_reason_to_lose_a_closed_connection() -> None:
    with speaking([answer(REPOSITORY)], [answer(b"", b"204 No Content")]) as client:
        client.repository("r")
        kept = client._transport._connection
        assert kept is not None
        select.select([kept.sock], [], [], 10)  # until its end has arrived
        client.delete_branch("r", "b")


def test_a_connection_that_was_silent_for_long_is_opened_again() -> None:
    with speaking([answer(REPOSITORY), answer(REPOSITORY), b""], [answer(REPOSITORY)]) as client:
        transport = client._transport
        for silent_s in (0, limits.COMMAND_KEEP_S - 5):
            transport._used_s -= silent_s
            before = transport._connection
            client.repository("r")
        assert transport._connection is before
        transport._used_s -= limits.COMMAND_KEEP_S
        client.repository("r")
        assert transport._connection is not before


def test_a_write_is_not_sent_twice() -> None:
    with speaking([answer(REPOSITORY), b""]) as client:
        client.repository("r")
        with pytest.raises(Unavailable):
            client.delete_branch("r", "b")


def test_no_answer_names_the_server_and_who_named_it() -> None:
    with speaking([]) as client, pytest.raises(Unavailable) as caught:
        client.repository("r")
    assert "(the test)" in caught.value.message
    assert "/repositories/r" in str(caught.value.details["asked"])


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (b"200 OK", b"<html>", InvalidInput),
        (b"200 OK", b"{}", InvalidInput),
        (b"404 Not Found", b"<Error/>", InvalidInput),
        (b"502 Bad Gateway", b"<html>", Unavailable),
        (b"503 Busy", b'{"message": "busy"}', Unavailable),
        (b"500 Failed", b'{"message": "internal error"}', AnabranchError),
    ],
)
def test_foreign_and_failed_answers(
    status: bytes, body: bytes, wanted: type[AnabranchError]
) -> None:
    with speaking([answer(body, status)]) as client, pytest.raises(wanted) as caught:
        client.repository("r")
    assert type(caught.value) is wanted


def test_bytes_cut_short_are_no_object() -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
    with (
        speaking([cut]) as client,
        client.read("r", "main", "p") as download,
        pytest.raises(Unavailable) as caught,
    ):
        list(download.data)
    assert caught.value.kind is Kind.TRUNCATED


def test_a_refusal_before_the_last_byte_is_heard() -> None:
    refused = answer(b'{"message": "no"}', b"403 Forbidden")
    with speaking([refused]) as client, pytest.raises((Forbidden, Unavailable)):
        client.write("r", "main", "p", Upload((b"x" * 65_536 for _ in range(400)), None))


def test_a_chunked_upload_ends_even_when_it_is_empty() -> None:
    stats = b'{"path": "p", "path_type": "object", "size_bytes": 0}'
    with speaking([answer(stats, b"201 Created")]) as client:
        assert client.write("r", "main", "p", Upload((), None)).size_bytes == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("http://a:81", ("http", "a", 81)),
        ("https://a/api/v1/", ("https", "a", 443)),
        ("localhost:8000", ("http", "localhost", 8000)),
        ("http://[::1]:8000/", ("http", "::1", 8000)),
    ],
)
def test_endpoints(text: str, wanted: tuple[str, str, int]) -> None:
    assert parse_endpoint(text) == wanted


@pytest.mark.parametrize(
    "text", ["ftp://a", "http://", "http://a:x", "http://u:p@a", "http://a/other", "http://a/?b=c"]
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_endpoint(text)


def test_an_address_of_six_is_shown_in_brackets(tmp_path: Path) -> None:
    assert Server("http", "::1", 1, "", "", "").url == "http://[::1]:1"
    assert "hidden" not in repr(Server("http", "a", 1, "key", "hidden", ""))


def test_bytes_that_arrive_damaged_are_no_file(tmp_path: Path) -> None:
    stats = ObjectStats("f", "object", 4, hashlib.md5(b"good").hexdigest())
    with listening([answer(b"evil")]) as server:
        downloads = Downloads(server, "r", "b", threads=1)
        with pytest.raises(Corrupted, match="another checksum"):
            list(downloads.run(iter([WantedObject(stats, tmp_path / "f")])))
    assert list(tmp_path.iterdir()) == []
