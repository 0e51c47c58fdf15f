"""Both HTTP servers, on real sockets: what the design page says they have in common."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from anabranch.edge.granian_server import GranianServer
from anabranch.edge.http import (
    ClientGoneError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    send_response,
)
from anabranch.edge.listening import HttpServer, Port
from anabranch.edge.uvicorn_server import UvicornServer
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput

Kind = type[GranianServer] | type[UvicornServer]
PIECE = b"p" * limits.MIB
PIECES = 100
ENDLESS_PIECES = 100_000  # more than a server can hand over before it learns that nobody is left
both = pytest.mark.parametrize("kind", [GranianServer, UvicornServer])


class Application:
    """Says what it saw; notes what went wrong with bodies."""

    def __init__(self) -> None:
        self.truncated = threading.Event()
        self.slow_started = threading.Event()
        self.slow_released = threading.Event()
        self.long_ended = threading.Event()
        self.pieces = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        if not request.is_body_finished:
            await request.drain()
        with suppress(ClientGoneError):
            await send_response(response, send, request)

    async def _pieces(self, count: int) -> AsyncIterator[bytes]:
        try:
            for _ in range(count):
                yield PIECE
                self.pieces += 1
        finally:
            self.long_ended.set()

    async def _answer(self, request: Request) -> Response:
        if request.raw_path == b"/early":
            return Response(403, [], b"<Error/>")
        if request.raw_path in (b"/long", b"/endless"):
            count = PIECES if request.raw_path == b"/long" else ENDLESS_PIECES
            length = b"%d" % (count * len(PIECE))
            return Response(200, [(b"content-length", length)], self._pieces(count))
        if request.raw_path == b"/slow":
            self.slow_started.set()
            await asyncio.to_thread(self.slow_released.wait, 10)
            return Response(200, [], b"slow")
        if request.method == "PUT":
            try:
                received = [data async for data in request.stream()]
            except InvalidInput:
                self.truncated.set()
                return Response(400)
            return Response(200, [], b"%d" % sum(map(len, received)))
        seen = (request.method, request.raw_path, request.query_string, request.server_port)
        return Response(200, [], repr(seen).encode())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A server in a thread of its own."""

    def __init__(self, server: HttpServer, application: Application, ports: list[int]) -> None:
        self.application = application
        self.ports = ports
        self._server = server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._started.wait(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(self._started.set)

    def stop(self) -> None:
        assert self._loop is not None
        # A test that stopped it may have seen the loop's end already.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._server.stop)

    def wait(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def connect(self, port: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[port]), timeout=10)

    def ask(self, data: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)


@contextmanager
def running(kind: Kind, *, head_s: float = limits.HEADERS_S) -> Iterator[Running]:
    application = Application()
    ports = [free_port(), free_port()]
    server = kind([Port(application, "127.0.0.1", port) for port in ports], head_s=head_s)
    found = Running(server, application, ports)
    try:
        yield found
    finally:
        application.slow_released.set()
        found.stop()
        found.wait()


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def read_until(connection: socket.socket, is_enough: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not is_enough(data):
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return data


CLOSE = b"Host: x\r\nConnection: close\r\n"


@both
def test_paths_are_raw_and_ports_told_apart(kind: Kind) -> None:
    with running(kind) as server:
        for index, port in enumerate(server.ports):
            with server.connect(index) as connection:
                connection.sendall(b"GET /a%2Fb//../c?x=1+2&y=%2B HTTP/1.1\r\n" + CLOSE + b"\r\n")
                answer = read_all(connection)
            assert repr(("GET", b"/a%2Fb//../c", b"x=1+2&y=%2B", port)).encode() in answer


@both
def test_connections_are_kept_and_requests_may_be_pipelined(kind: Kind) -> None:
    with running(kind) as server:
        one = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = server.ask(one + one + b"GET /x HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert answers.count(b"200 OK") == 3


@both
def test_100_continue_is_sent_when_the_body_is_asked_for(kind: Kind) -> None:
    with running(kind) as server, server.connect() as connection:
        head = b"PUT /p HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" + CLOSE
        connection.sendall(head + b"\r\n")
        assert read_until(connection, lambda data: b"\r\n\r\n" in data).startswith(
            b"HTTP/1.1 100 Continue"
        )
        connection.sendall(b"abc")
        assert read_all(connection).endswith(b"\r\n\r\n3")


@both
def test_an_early_answer_asks_for_no_body_and_closes(kind: Kind) -> None:
    with running(kind) as server:
        head = b"PUT /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
        answer = server.ask(head + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"connection: close" in answer


@both
def test_an_early_answer_drains_a_body_that_comes(kind: Kind) -> None:
    with running(kind) as server, server.connect() as connection:
        head = b"PUT /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
        connection.sendall(head + b"x" * 3_000_000)
        answer = read_until(connection, lambda data: data.endswith(b"<Error/>"))
        assert answer.startswith(b"HTTP/1.1 403")
        connection.sendall(b"GET /again HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert b"/again" in read_all(connection)


@both
@pytest.mark.parametrize(
    "body", [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_a_client_that_goes_away_is_a_truncated_body(kind: Kind, body: bytes) -> None:
    with running(kind) as server:
        with server.connect() as connection:
            connection.sendall(b"PUT /p HTTP/1.1\r\nHost: x\r\n" + body)
        assert server.application.truncated.wait(10)


@both
@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 600_000 + b"\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"X-A: abcdefgh\r\n" * 40_000 + b"\r\n",
    ],
    ids=["garbage", "not ascii", "long header", "many headers"],
)
def test_bad_heads_are_answered_with_4xx_and_closed(kind: Kind, data: bytes) -> None:
    with running(kind) as server:
        with server.connect() as connection:
            try:
                connection.sendall(data)
                answer = read_all(connection)
            except (BrokenPipeError, ConnectionResetError):
                # Refused before all of it was sent: the answer was lost, the server was not.
                answer = b"HTTP/1.1 4"
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"/after" in server.ask(b"GET /after HTTP/1.1\r\n" + CLOSE + b"\r\n")


@both
@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_slow_heads_and_idle_connections_are_closed_in_time(kind: Kind, sent: bytes) -> None:
    with running(kind, head_s=0.5) as server, server.connect() as connection:
        connection.sendall(sent)
        # An end of the connection within the socket's own time-out is what is wanted.
        read_all(connection)


@both
def test_stopping_ends_idle_connections_and_finishes_running_requests(kind: Kind) -> None:
    with running(kind) as server, server.connect() as idle, server.connect(1) as slow:
        idle.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(idle, lambda data: b"/x" in data)
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert server.application.slow_started.wait(10)
        server.stop()
        assert read_all(idle) == b""
        server.application.slow_released.set()
        assert read_all(slow).endswith(b"slow")


@both
def test_a_long_answer_ends_early_when_nobody_is_left(kind: Kind) -> None:
    with running(kind) as server:
        with server.connect() as connection:
            connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1000)
        assert server.application.long_ended.wait(10)
        assert server.application.pieces < ENDLESS_PIECES


@both
def test_a_long_answer_is_whole(kind: Kind) -> None:
    with running(kind) as server:
        answer = server.ask(b"GET /long HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert len(answer.partition(b"\r\n\r\n")[2]) == PIECES * len(PIECE)


@both
def test_an_address_in_use_is_told_at_once(kind: Kind) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            kind([Port(Application(), "127.0.0.1", taken.getsockname()[1])])
