"""Holding ports for workers that bind beside: nobody else gets them, nothing connects to them."""

import contextlib
import socket

from anabranch.kernel.errors import InvalidInput, Kind, Unavailable


def resolve_host(host: str) -> str:
    """Return the numeric address of a host; raise InvalidInput when it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InvalidInput(Kind.VALUE, f"cannot listen on {host}: {error.strerror}") from None
    return str(found[0][4][0])


class HeldPort:
    """A port that is ours: a socket with SO_REUSEPORT that never listens.

    Workers of the same user bind beside it with SO_REUSEPORT; another server's probe is refused.
    """

    def __init__(self, host: str, number: int) -> None:
        """Probe and hold; 0 takes a free port. Raises Unavailable when somebody has it."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if number:
            _probe(family, host, number)
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind((host, number))
        except OSError as error:
            self._socket.close()
            raise _refused(host, number, error) from None
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Let the port go."""
        self._socket.close()


def _probe(family: socket.AddressFamily, host: str, number: int) -> None:
    # SO_REUSEADDR alone: refused while anyone listens or holds, allowed over TIME_WAIT.
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            raise _refused(host, number, error) from None


def _refused(host: str, number: int, error: OSError) -> Unavailable:
    return Unavailable(
        Kind.BUSY, f"cannot listen on {host} port {number}: {(error.strerror or '').lower()}"
    )
