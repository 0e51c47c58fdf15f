"""What a worker asks of an HTTP server: several ports in one process, on one loop.

docs/design/001-http-server.md says which servers there are and why.
"""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anabranch.edge.http import Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BACKLOG = 1_024
CONNECTIONS_MAX = 4_096
"""Open connections of one port of one worker; more wait in the kernel."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port to serve: `host` is a numeric address; TLS when both files are given."""

    application: Application
    host: str
    number: int
    tls_cert: Path | None = None
    tls_key: Path | None = None


class HttpServer(Protocol):
    """Serves its ports from `serve` until `stop`."""

    async def serve(self, started: Callable[[], None]) -> None:
        """Bind every port beside other processes (SO_REUSEPORT), call `started`, serve.

        Returns when, after `stop`, the requests that ran have ended.
        """
        ...

    def stop(self) -> None:
        """Accept nothing more, close idle connections, let running requests end."""
        ...


def listen(port: Port) -> socket.socket:
    """Return a listening socket for a port; see `listen_on`."""
    return listen_on(port.host, port.number)


def listen_on(host: str, number: int) -> socket.socket:
    """Return a listening socket of this process's own, beside those of others (SO_REUSEPORT).

    `host` is a numeric address. Raises OSError when it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, number))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
