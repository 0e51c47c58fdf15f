"""Requests and answers over a hand-made ASGI: no server needed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from anabranch.edge.http import Request, Response, header_value, parse_query, send_response
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded
from tests.support.jumping import run_jumping

DISCONNECT = {"type": "http.disconnect"}


class Wire:
    """The client's side: messages that will come, and those that were sent."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.coming = list(messages)
        self.sent: list[dict[str, Any]] = []
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        return self.coming.pop(0) if self.coming else DISCONNECT

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def body(*parts: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]


def request(wire: Wire, *headers: tuple[bytes, bytes], **changed: Any) -> Request:
    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/a/b",
        "raw_path": b"/a%2Fb",
        "query_string": b"x=1+2&y=%2B&flag",
        "headers": list(headers),
        "scheme": "http",
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", "8000"),
    }
    return Request({**scope, **changed}, wire.receive)


def run(awaitable: Any) -> Any:
    return asyncio.run(awaitable)


async def all_of(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [data async for data in stream]


def test_the_values_of_a_repeated_header_are_joined_or_the_first_is_taken() -> None:
    sent = request(Wire(), (b"a", b"1"), (b"b", b"2"), (b"a", b"3"))
    assert sent.joined_headers == {b"a": b"1,3", b"b": b"2"}
    assert sent.header("A") == "1"
    once = request(Wire(), (b"a", b"1"), (b"b", b"2"))
    assert once.joined_headers == {b"a": b"1", b"b": b"2"}


def test_path_query_and_headers_are_as_sent() -> None:
    found = request(Wire(), (b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", "é".encode()))
    assert (found.raw_path, found.path, found.server_port) == (b"/a%2Fb", "/a/b", 8000)
    assert found.query == [("x", "1+2"), ("y", "+"), ("flag", "")]
    assert found.query_plain == [("x", "1 2"), ("y", "+"), ("flag", "")]
    assert (found.header("X-A"), found.header("x-b"), found.header("x-c")) == ("1", "é", None)


def test_a_path_that_is_not_utf8_is_kept_apart_from_any_name() -> None:
    found = request(Wire(), raw_path=b"/%ff")
    with pytest.raises(UnicodeEncodeError):
        found.path.encode()


def test_query_pairs_keep_their_order_and_empty_parts_are_dropped() -> None:
    pairs = parse_query(b"b=2&&a=%20&b=", is_plus_a_space=False)
    assert pairs == [("b", "2"), ("a", " "), ("b", "")]


def test_the_body_streams_and_is_asked_for_only_then() -> None:
    wire = Wire(*body(b"ab", b"", b"c"))
    found = request(wire, (b"content-length", b"3"))
    assert wire.received == 0
    assert not found.is_body_started
    assert run(all_of(found.stream())) == [b"ab", b"c"]
    assert found.is_body_finished


@pytest.mark.parametrize(
    "messages",
    [[*body(b"ab")], [*body(b"a", b"b")[:1], DISCONNECT], [*body(b"abcd")]],
    ids=["short", "gone", "long"],
)
def test_a_body_of_another_length_is_truncated_input(messages: list[dict[str, Any]]) -> None:
    found = request(Wire(*messages), (b"content-length", b"3"))
    with pytest.raises(InvalidInput) as caught:
        run(all_of(found.stream()))
    assert caught.value.kind is Kind.TRUNCATED
    assert found.must_close


def test_a_whole_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert run(request(Wire(*body(b"ab", b"c"))).body(3)) == b"abc"
    with pytest.raises(LimitExceeded):
        run(request(Wire(*body(b"ab", b"cd"))).body(3))
    wire = Wire(*body(b"abcd"))
    with pytest.raises(LimitExceeded):
        run(request(wire, (b"content-length", b"4")).body(3))
    assert wire.received == 0


def test_a_content_length_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidInput):
        _ = request(Wire(), (b"content-length", b"-1")).content_length


def test_drain_reads_what_is_left() -> None:
    wire = Wire(*body(b"ab", b"cd", b"e"))
    found = request(wire, (b"content-length", b"5"))
    run(found.drain())
    assert found.is_body_finished
    assert not found.must_close


def test_drain_never_asks_for_a_body_that_waits_for_100() -> None:
    wire = Wire(*body(b"ab"))
    found = request(wire, (b"content-length", b"2"), (b"expect", b"100-Continue"))
    run(found.drain())
    assert wire.received == 0
    assert found.must_close


@pytest.mark.parametrize(("extra", "reads"), [(0, True), (1, False)])
def test_drain_gives_up_on_a_body_above_its_limit(extra: int, reads: bool) -> None:
    wire = Wire(*body(b"x"))
    length = b"%d" % (limits.DRAIN_BYTES_MAX + extra)
    found = request(wire, (b"content-length", length))
    run(found.drain())
    assert (wire.received > 0) is reads
    assert found.must_close is not reads


def test_drain_of_an_endless_body_stops_at_its_limit() -> None:
    piece = {"type": "http.request", "body": b"x" * limits.MIB, "more_body": True}
    wire = Wire(*[piece] * 40)
    found = request(wire, (b"transfer-encoding", b"chunked"))
    run(found.drain())
    assert found.must_close
    assert wire.received <= limits.DRAIN_BYTES_MAX // limits.MIB + 1


def test_an_answer_gets_its_length_and_head_gets_no_body() -> None:
    wire = Wire()
    run(send_response(Response(200, [], b"abc"), wire.send, request(wire)))
    assert wire.sent[0]["headers"] == [(b"content-length", b"3")]
    assert wire.sent[1]["body"] == b"abc"
    wire = Wire()
    answer = Response(200, [(b"content-length", b"9")], b"")
    run(send_response(answer, wire.send, request(wire, method="HEAD")))
    assert wire.sent[0]["headers"] == [(b"content-length", b"9")]
    assert wire.sent[1]["body"] == b""


def test_an_empty_status_has_no_length() -> None:
    wire = Wire()
    run(send_response(Response(204), wire.send, request(wire)))
    assert wire.sent[0]["headers"] == []


def test_an_unread_body_closes_the_connection() -> None:
    wire = Wire(*body(b"ab"))
    found = request(wire, (b"content-length", b"2"), (b"expect", b"100-continue"))

    async def answer() -> None:
        await found.drain()
        await send_response(Response(403, [], b""), wire.send, found)

    run(answer())
    assert (b"connection", b"close") in wire.sent[0]["headers"]


def test_a_streamed_answer_is_closed_when_sending_fails() -> None:
    closed = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    async def send(message: Any) -> None:
        if message.get("body") == b"b":
            raise ConnectionError

    with pytest.raises(ConnectionError):
        run(send_response(Response(200, [], pieces()), send, request(Wire())))
    assert closed


def test_header_values_cannot_end_the_header() -> None:
    assert header_value("a\r\nx: y") == b"a  x: y"
    assert header_value("é\x00") == "é ".encode()


class Slow(Wire):
    """A client that sends one byte every so many seconds, for ever."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self.every_s = every_s

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        await asyncio.sleep(self.every_s)
        return {"type": "http.request", "body": b"x", "more_body": True}


@pytest.mark.parametrize(("extra_s", "fails"), [(-1, False), (1, True)])
def test_a_client_may_pause_for_as_long_as_the_limit(extra_s: float, fails: bool) -> None:
    found = request(Slow(limits.BODY_IDLE_S + extra_s))

    async def first() -> bytes | None:
        try:
            return await anext(found.stream())
        except LimitExceeded:
            return None

    data, _ = run_jumping(first())
    assert (data is None) is fails
    assert found.must_close is fails


def test_a_whole_body_takes_no_longer_than_its_limit() -> None:
    async def body_of_drops() -> None:
        with pytest.raises(LimitExceeded) as caught:
            await request(Slow(1)).body(1_000_000)
        assert caught.value.kind is Kind.TIMEOUT

    _, took_s = run_jumping(body_of_drops())
    assert took_s == pytest.approx(limits.BODY_S, abs=1)


def test_a_drain_takes_no_longer_than_its_limit() -> None:
    found = request(Slow(1), (b"transfer-encoding", b"chunked"))
    _, took_s = run_jumping(found.drain())
    assert found.must_close
    assert took_s == pytest.approx(limits.DRAIN_S, abs=1)
