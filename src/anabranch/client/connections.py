"""Connections to one server that threads share: each request has one for itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anabranch.client.rest import Client
from anabranch.client.transport import Server, Transport
from anabranch.kernel.errors import AnabranchError

T = TypeVar("T")


class Connections:
    """Clients of one server, lent to one caller at a time and kept for the next."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._idle: list[Transport] = []

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Lend a client while the block lasts."""
        with self._lock:
            transport = self._idle.pop() if self._idle else Transport(self.server)
        try:
            yield Client(transport)
        except (AnabranchError, GeneratorExit):
            raise
        except BaseException:
            # Interrupted in the middle of an answer, the connection is of no use any more.
            transport.close()
            raise
        finally:
            with self._lock:
                self._idle.append(transport)

    def pages(self, ask: Callable[[Client], Iterator[list[T]]]) -> Iterator[list[T]]:
        """Yield the pages of a list; the client is lent until the last, or until nobody asks."""
        with self.client() as client:
            yield from ask(client)

    def close(self) -> None:
        """Close what is kept; a later request connects again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for transport in idle:
            transport.close()

    def __del__(self) -> None:
        """Close what is kept."""
        self.close()
