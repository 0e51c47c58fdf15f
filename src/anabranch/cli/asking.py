"""Asking a server on this machine, by the endpoints its directory tells."""

import http.client
import json
import ssl
from typing import Any

from anabranch.kernel.errors import Kind, Unavailable

_TIMEOUT_S = 30


def ask(
    endpoint: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, bytes]:
    """Return status and body of an answer; raise Unavailable when there is none."""
    host, port = endpoint["host"], endpoint["port"]
    connection: http.client.HTTPConnection
    if endpoint.get("tls"):
        # Our own server on our own machine, by its address: there is no name to compare.
        context = ssl._create_unverified_context()  # noqa: S323  # loopback, by address
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {} if body is None else {"content-type": "application/json"},
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(Kind.BUSY, f"{host}:{port} does not answer: {error}") from None
    finally:
        connection.close()
