"""The HTTP server uvicorn (httptools): one server for each port, all on the running loop.

uvicorn bounds neither the size of a request's head nor the time it takes: the protocol here does.
"""

import asyncio
import math
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server

from anabranch.edge.listening import BACKLOG, CONNECTIONS_MAX, Port, listen
from anabranch.kernel import limits

_HEAD_BYTES_MAX = limits.HEADER_BYTES_MAX + limits.URL_BYTES_MAX


class UvicornServer:
    """Serves ports with uvicorn. Stopping waits for open requests without end: bound it."""

    def __init__(self, ports: Sequence[Port], *, head_s: float = limits.HEADERS_S) -> None:
        protocol = partial(_BoundedProtocol, head_s=head_s)
        self._servers = [(_server(port, protocol), listen(port)) for port in ports]

    async def serve(self, started: Callable[[], None]) -> None:
        """Serve until `stop`; see HttpServer."""
        running = [
            asyncio.ensure_future(server.run_on(listener)) for server, listener in self._servers
        ]
        try:
            while not all(server.started for server, _ in self._servers):
                done, _ = await asyncio.wait(running, timeout=0.01)
                if done:
                    break
            else:
                started()
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()

    def stop(self) -> None:
        """Stop accepting, close idle connections, let running requests end."""
        for server, _ in self._servers:
            server.should_exit = True


class _Serving(Server):
    """A uvicorn server that leaves signals to the worker."""

    async def run_on(self, listener: socket.socket) -> None:
        await self._serve([listener])


def _server(port: Port, protocol: Any) -> _Serving:
    config = Config(
        cast("Any", port.application),
        http=protocol,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        ssl_certfile=port.tls_cert,
        ssl_keyfile=port.tls_key,
    )
    return _Serving(config)


class _BoundedProtocol(HttpToolsProtocol):
    """One connection whose request heads are bounded in bytes and in time."""

    def __init__(self, *args: Any, head_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = math.ceil(head_s)
        self._head_s = head_s
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_head()

    def on_headers_complete(self) -> None:
        self._end_timer()
        self._is_in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            # Pieces of a body may be counted with the head they follow, never the other way
            # round: only what came before the head's last piece can refuse a request.
            if self._head_bytes > _HEAD_BYTES_MAX:
                self._refuse_head()
                return
            self._head_bytes += len(data)
        super().data_received(data)

    def _refuse_head(self) -> None:
        self._end_timer()
        message = b"the request's headers are too large"
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
            b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(message), message)
        )
        self.transport.close()

    def _start_head(self) -> None:
        self._end_timer()
        self._is_in_head = True
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self._head_s, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _end_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
