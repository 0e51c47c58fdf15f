"""The HTTP server granian, embedded: one server for each port, all on the running loop."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]  # re-exported, unmarked
from granian.server.embed import Server

from anabranch.edge.listening import BACKLOG, CONNECTIONS_MAX, Port, listen
from anabranch.kernel import limits


class GranianServer:
    """Serves ports with granian. Stopping waits for open requests without end: bound it."""

    def __init__(self, ports: Sequence[Port], *, head_s: float = limits.HEADERS_S) -> None:
        self._servers = [_Listening(port, listen(port), head_s) for port in ports]

    async def serve(self, started: Callable[[], None]) -> None:
        """Serve until `stop`; see HttpServer."""
        running = [asyncio.ensure_future(server.serve()) for server in self._servers]
        # The sockets listen already: whoever connects from now on is answered.
        await asyncio.sleep(0)
        started()
        await asyncio.gather(*running)

    def stop(self) -> None:
        """Stop accepting, close idle connections, let running requests end."""
        for server in self._servers:
            server.stop()  # type: ignore[no-untyped-call]  # untyped there


class _Listening(Server):
    """granian on a socket that listens already."""

    def __init__(self, port: Port, listener: socket.socket, head_s: float) -> None:
        super().__init__(
            port.application,
            address=port.host,
            port=port.number,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=CONNECTIONS_MAX,
            http1_settings=HTTP1Settings(header_read_timeout=int(head_s * 1000)),
            log_enabled=False,
            ssl_cert=port.tls_cert,
            ssl_key=port.tls_key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # granian would bind a socket of its own, at a moment that nobody learns of.
        holder: Any = SocketHolder  # its stub leaves the constructor out
        self._ssp = None
        self._shd = holder(self._listener.detach(), False, BACKLOG)
