"""Requests and answers as every HTTP surface sees them, over raw ASGI.

Works alike on uvicorn and granian: both give `raw_path` as sent and lower-case header names; the
port in `scope["server"]` is a number on one and text on the other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Query = list[tuple[str, str]]

_BODILESS = frozenset((204, 304))
_SMALL_DIGITS = len(str(limits.SMALL_OBJECT_BYTES_MAX))
_PIECES_UNWATCHED = 4
"""Pieces of a streamed answer after which the client is watched."""


class ClientGoneError(Exception):
    """The client closed the connection while its answer was being sent."""


def _text(data: bytes) -> str:
    """Return a header's value: UTF-8 where it is, else Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def unquote(data: bytes) -> str:
    """Return a percent-coded text; bytes that are not UTF-8 become surrogates.

    Whoever parses a name out of it refuses those.
    """
    if b"%" in data:
        data = unquote_to_bytes(data)
    return data.decode("utf-8", "surrogateescape")


def parse_query(query_string: bytes, *, is_plus_a_space: bool) -> Query:
    """Return the decoded pairs of a query in their order; a name without `=` has the value ``."""
    pairs: Query = []
    for part in query_string.split(b"&"):
        if part:
            if is_plus_a_space:
                part = part.replace(b"+", b" ")
            name, _, value = part.partition(b"=")
            pairs.append((unquote(name), unquote(value)))
    return pairs


class Request:
    """One HTTP request. Belongs to one task; nothing of its body is read before it is asked for.

    `raw_path` is the path as sent, percent-coded, without the query; `headers` has lower-case
    names in the order sent. `id` names the request in logs and answers; `surface` is set by whoever
    hands the request to one, for metrics and errors.
    """

    __slots__ = (
        "_by_name",
        "_is_body_finished",
        "_is_body_started",
        "_must_close",
        "_path",
        "_query",
        "_query_plain",
        "_receive",
        "client",
        "headers",
        "id",
        "method",
        "query_string",
        "raw_path",
        "scheme",
        "server_port",
        "surface",
    )

    def __init__(self, scope: Scope, receive: Receive, *, request_id: str = "") -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.query_string: bytes = scope["query_string"]
        headers = scope["headers"]
        self.headers: Headers = headers if isinstance(headers, list) else list(headers)
        self.scheme: str = scope["scheme"]
        client = scope.get("client")
        self.client: str = client[0] if client else ""
        server = scope.get("server")
        self.server_port: int = int(server[1]) if server and server[1] else 0
        self.id = request_id
        self.surface = ""
        self._receive = receive
        self._by_name: dict[bytes, bytes] | None = None
        self._path: str | None = None
        self._query: Query | None = None
        self._query_plain: Query | None = None
        self._is_body_started = False
        self._is_body_finished = False
        self._must_close = False

    @property
    def path(self) -> str:
        """Return the decoded path; bytes that are not UTF-8 are surrogates: parsers refuse them."""
        if self._path is None:
            self._path = unquote(self.raw_path)
        return self._path

    @property
    def query(self) -> Query:
        """Return the decoded query pairs in order; `+` is a plus (S3 and signatures)."""
        if self._query is None:
            self._query = parse_query(self.query_string, is_plus_a_space=False)
        return self._query

    @property
    def query_plain(self) -> Query:
        """Return the decoded query pairs in order; `+` is a space (REST, forms)."""
        if self._query_plain is None:
            self._query_plain = parse_query(self.query_string, is_plus_a_space=True)
        return self._query_plain

    def header(self, name: str) -> str | None:
        """Return the first value of a header (any case), None when it was not sent."""
        value = self.header_bytes(name.lower().encode())
        return None if value is None else _text(value)

    def header_bytes(self, name: bytes) -> bytes | None:
        """Return the first value of a header by its lower-case name, as sent."""
        if self._by_name is None:
            self._by_name = dict(reversed(self.headers))
        return self._by_name.get(name)

    @property
    def joined_headers(self) -> dict[bytes, bytes]:
        """Return the headers by name, not to be changed; a repeated one's values have commas."""
        if self._by_name is None:
            self._by_name = dict(reversed(self.headers))
        if len(self._by_name) == len(self.headers):
            return self._by_name
        joined: dict[bytes, bytes] = {}
        for name, value in self.headers:
            joined[name] = joined[name] + b"," + value if name in joined else value
        return joined

    @property
    def host(self) -> str:
        """Return the Host header with its port as sent; empty when there is none."""
        return self.header("host") or ""

    @property
    def content_length(self) -> int | None:
        """Return the declared length of the body; raise InvalidInput when it is no number."""
        value = self.header_bytes(b"content-length")
        if value is None:
            return None
        if not value.isdigit():
            raise InvalidInput(Kind.BODY, "Content-Length is not a number")
        return int(value)

    @property
    def has_body(self) -> bool:
        """Tell whether the client announced a body of at least one byte."""
        length = self.header_bytes(b"content-length")
        if length is not None:
            return length.strip(b"0") != b""
        return self.header_bytes(b"transfer-encoding") is not None

    @property
    def is_body_small(self) -> bool:
        """Tell whether the client sends, unasked, a body that is kept in memory."""
        value = self.header_bytes(b"content-length")
        return (
            value is not None
            and value.isdigit()
            and len(value) <= _SMALL_DIGITS
            and int(value) <= limits.SMALL_OBJECT_BYTES_MAX
            and not self.expects_continue
        )

    @property
    def is_body_started(self) -> bool:
        """Tell whether the body was asked for (a client that waits for 100 got it then)."""
        return self._is_body_started

    @property
    def is_body_finished(self) -> bool:
        """Tell whether the body was read to its end."""
        return self._is_body_finished

    @property
    def expects_continue(self) -> bool:
        """Tell whether the client waits for 100 Continue before it sends the body."""
        value = self.header_bytes(b"expect")
        return value is not None and value.lower() == b"100-continue"

    @property
    def must_close(self) -> bool:
        """Tell whether the connection can't be used again, because of an unread body."""
        return self._must_close

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they come; the first step sends 100 Continue if wanted.

        Raises InvalidInput(TRUNCATED) when the client went away or sent fewer bytes than it said,
        LimitExceeded(TIMEOUT) when it stops sending for BODY_IDLE_S.
        """
        if self._is_body_finished:
            return
        declared = self.content_length
        received = 0
        self._is_body_started = True
        if declared == 0:
            self._is_body_finished = True
            return
        is_more = True
        while is_more:
            message = await self._next()
            if message["type"] != "http.request":
                self._is_body_finished = self._must_close = True
                raise InvalidInput(Kind.TRUNCATED, "the client went away before the body's end")
            data: bytes = message.get("body", b"")
            is_more = message.get("more_body", False)
            self._is_body_finished = not is_more
            received += len(data)
            if not is_more and declared is not None and received != declared:
                self._must_close = True
                raise InvalidInput(
                    Kind.TRUNCATED, f"the body has {received} bytes, not {declared} as declared"
                )
            if data:
                yield data

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(limits.BODY_IDLE_S):
                return await self._receive()
        except TimeoutError:
            self._is_body_finished = self._must_close = True
            raise LimitExceeded(
                Kind.TIMEOUT, f"no byte of the body came for {limits.BODY_IDLE_S} s"
            ) from None

    async def body(self, limit: int) -> bytes:
        """Return the whole body; raise LimitExceeded(TOO_LARGE) above `limit` bytes.

        Other errors are those of `stream`, and LimitExceeded(TIMEOUT) after BODY_S in all.
        """
        declared = self.content_length
        if declared is not None and declared > limit:
            raise LimitExceeded(Kind.TOO_LARGE, f"a body here is at most {limit} bytes")
        parts: list[bytes] = []
        received = 0
        try:
            async with asyncio.timeout(limits.BODY_S):
                async for data in self.stream():
                    received += len(data)
                    if received > limit:
                        raise LimitExceeded(Kind.TOO_LARGE, f"a body here is at most {limit} bytes")
                    parts.append(data)
        except TimeoutError:
            self._must_close = True
            raise LimitExceeded(Kind.TIMEOUT, f"the body took over {limits.BODY_S} s") from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def wait_gone(self) -> None:
        """Return when the client has closed the connection; only after the body's end."""
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return

    async def drain(self) -> None:
        """Read and drop what is left of the body, so that the client sees an early answer.

        Bounded by DRAIN_BYTES_MAX and DRAIN_S; never asks a client for a body that waits for 100
        Continue. When something stays unread the connection is closed after the answer.
        """
        if self._is_body_finished or not self.has_body:
            return
        length = self.header_bytes(b"content-length")
        is_too_long = length is not None and (
            not length.isdigit() or int(length) > limits.DRAIN_BYTES_MAX
        )
        if is_too_long or (self.expects_continue and not self._is_body_started):
            self._must_close = True
            return
        self._is_body_started = True
        try:
            async with asyncio.timeout(limits.DRAIN_S):
                await self._drop(limits.DRAIN_BYTES_MAX)
        except TimeoutError:
            self._must_close = True

    async def _drop(self, bytes_max: int) -> None:
        dropped = 0
        while dropped <= bytes_max:
            message = await self._receive()
            if message["type"] != "http.request":
                break
            if not message.get("more_body", False):
                self._is_body_finished = True
                return
            dropped += len(message.get("body", b""))
        self._must_close = True


@dataclass(slots=True)
class Response:
    """One answer. `body` is bytes, or an iterator of pieces whose length a header may state.

    For HEAD, give the headers GET would have (Content-Length too) and any body: none is sent.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""


Handler = Callable[[Request], Awaitable[Response]]


def header_value(text: str) -> bytes:
    """Return text as a header's value: control characters, which would end it, become spaces."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(" " if ord(char) < 32 or ord(char) == 127 else char for char in text).encode()


async def send_response(response: Response, send: Send, request: Request) -> None:
    """Send an answer: adds Content-Length where it is known, and Connection: close where due.

    An iterator is closed also when the client goes away half way.
    """
    body = response.body
    headers = response.headers
    is_bodiless = response.status in _BODILESS or request.method == "HEAD"
    if isinstance(body, bytes) and response.status not in _BODILESS:
        for name, _ in headers:
            if name == b"content-length":
                break
        else:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
    if request.must_close:
        headers = [*headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": b"" if is_bodiless else body})
        return
    try:
        if not is_bodiless:
            await _send_pieces(body, send, request)
        await send({"type": "http.response.body", "body": b""})
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()


async def _send_pieces(body: AsyncIterator[bytes], send: Send, request: Request) -> None:
    # Servers drop what is sent to a client that has gone, and say so only to who receives. Long
    # answers ask, so that nobody reads the rest of a large object for nothing.
    gone: asyncio.Future[None] | None = None
    sent = 0
    try:
        async for piece in body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += 1
            if sent == _PIECES_UNWATCHED and (request.is_body_finished or not request.has_body):
                gone = asyncio.ensure_future(request.wait_gone())
            if gone is not None:
                # Sending to nobody never waits: the loop must get a turn all the same.
                await asyncio.sleep(0)
                if gone.done():
                    gone.result()
                    raise ClientGoneError
    finally:
        if gone is not None:
            gone.cancel()
