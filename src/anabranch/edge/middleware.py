"""What happens around every request: its id, limits before anything is read, metrics, access log.

One plain function call around the handler; there are no layers.
"""

import time
from typing import Protocol

from anabranch.edge.http import (
    ClientGoneError,
    Handler,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    send_response,
)
from anabranch.kernel import limits
from anabranch.telemetry import Metrics, logger, redact_query

SLOW_S = 10.0
"""Requests that take longer are logged whatever the settings say."""
_FAILURES = 500
REQUEST_ID = b"x-request-id"


class Failure(Protocol):
    """Makes the answer to a request that no handler answers, in the words of its surface."""

    def __call__(self, request: Request, status: int, message: str) -> Response:
        """Return an answer with that status (414, 431, 500) and a text for people."""
        ...


class Edge:
    """An ASGI application around one handler.

    `id_prefix` makes this process's request ids unlike any other's.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        failure: Failure,
        metrics: Metrics,
        id_prefix: str,
        has_access_log: bool,
    ) -> None:
        self._handler = handler
        self._failure = failure
        self._metrics = metrics
        self._id_prefix = id_prefix
        self._has_access_log = has_access_log
        self._served = 0
        self._log = logger("http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        self._served += 1
        request = Request(scope, receive, request_id=f"{self._id_prefix}{self._served:08X}")
        response: Response | None = None
        try:
            response = self._refusal(request) or await self._answer(request)
            if not request.is_body_finished and request.has_body:
                await request.drain()
            # The list may be shared by many answers.
            response.headers = [*response.headers, (REQUEST_ID, request.id.encode())]
            await send_response(response, send, request)
        except ClientGoneError:
            # Nobody is left to be answered; the server closes what remains of the connection.
            pass
        except Exception:
            # The answer had begun: all that is left is to cut it, which the server does.
            self._log.exception("an answer was cut short", request_id=request.id)
            raise
        finally:
            self._note(request, response, time.perf_counter() - started)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except Exception:  # noqa: BLE001 - the boundary of the program: a defect is an answer too
            self._log.exception("a request failed", request_id=request.id, method=request.method)
            return self._failure(request, 500, "internal error")

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request whose head is too long, before any of it is parsed."""
        if len(request.raw_path) + len(request.query_string) > limits.URL_BYTES_MAX:
            return self._failure(
                request, 414, f"the URL is longer than {limits.URL_BYTES_MAX} bytes"
            )
        headers = request.headers
        size_bytes = 0
        for name, value in headers:
            size_bytes += len(name) + len(value)
        if size_bytes > limits.HEADER_BYTES_MAX or len(headers) > limits.HEADERS_MAX:
            return self._failure(
                request,
                431,
                f"the headers have more than {limits.HEADER_BYTES_MAX} bytes"
                f" or {limits.HEADERS_MAX} lines",
            )
        return None

    def _note(self, request: Request, response: Response | None, seconds: float) -> None:
        status = response.status if response is not None else 499
        surface = request.surface or "none"
        self._metrics.count_request(surface, request.method, status, seconds)
        if not (self._has_access_log or seconds > SLOW_S or status >= _FAILURES):
            return
        query = redact_query(request.query_string.decode("latin-1"))
        self._log.info(
            "request",
            request_id=request.id,
            surface=surface,
            method=request.method,
            path=request.raw_path.decode("latin-1"),
            query=query,
            status=status,
            ms=round(seconds * 1000, 1),
            client=request.client,
        )
