"""Requests to a server's REST API over http.client: one kept connection, bodies streamed both ways.

Errors are of our tree: a refusal by its status, Unavailable when no answer came. Each says in its
details what was asked.
"""

import base64
import http.client
import re
import select
import socket
import ssl
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from anabranch import __version__
from anabranch.client.refusals import KIND_HEADER, refusal
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind, Unavailable

BASE = "/api/v1"
_FIRST_FAILURE = 300
_PORTS = {"http": 80, "https": 443}

Query = Mapping[str, str | int | bool | Iterable[str]]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server answers, and as whom it is asked; `source` says who told where it is."""

    scheme: str
    host: str
    port: int
    access_key: str
    secret_key: str = field(repr=False)
    source: str
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """Return the server's URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes to send; `size_bytes` is None when nobody knows how many they are.

    `if_match` is the checksum that must be there before; `if_none_match` may be `*`: nothing is.
    """

    data: Iterable[bytes]
    size_bytes: int | None
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    if_match: str = ""
    if_none_match: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """Bytes that come in windows; iterating raises Unavailable when they end early."""

    data: Iterator[bytes]
    size_bytes: int | None
    content_type: str
    etag: str = ""


def parse_endpoint(text: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a server's URL; it may end with the API's base path."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if (
        parts.scheme not in _PORTS
        or not parts.hostname
        or port == -1
        or parts.username is not None
        or parts.path.rstrip("/") not in ("", BASE)
        or parts.query
    ):
        raise InvalidInput(
            Kind.VALUE, f"not a server's URL: {text!r}", hint="write it as http://127.0.0.1:8000"
        )
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


class Transport:
    """Sends requests to one server, one at a time; streams have connections of their own."""

    def __init__(self, server: Server, *, timeout_s: float | None = None) -> None:
        """Ask `server`; `timeout_s` bounds connecting and each wait for bytes."""
        self.server = server
        self._connect_s = timeout_s or limits.COMMAND_CONNECT_S
        self._answer_s = timeout_s or limits.COMMAND_ANSWER_S
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abort(self) -> None:
        """End what is under way, from any thread: its caller gets Unavailable."""
        for open_socket in list(self._sockets):
            # It may have been closed meanwhile, which is what is wanted.
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def call(
        self,
        method: str,
        segments: tuple[str, ...],
        query: Query | None = None,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        accepted: tuple[int, ...] = (),
    ) -> tuple[int, bytes]:
        """Return status and body of an answer; a refusal not in `accepted` is raised."""
        target = _target(segments, query)
        sent = {} if body is None else {"content-type": "application/json"}
        with self._reached(method, segments):
            answer = self._ask(method, target, body, {**sent, **(headers or {})})
            data = answer.read()
            self._used_s = time.monotonic()
        self._check(answer, data, method, segments, query, accepted)
        return answer.status, data

    def upload(self, segments: tuple[str, ...], query: Query, upload: Upload) -> bytes:
        """Send bytes by POST; return the body of the answer."""
        headers: dict[str, str | bytes] = {"content-type": checked_type(upload.content_type)}
        headers |= metadata_headers(upload.metadata, "x-lakefs-meta-")
        if upload.if_match:
            headers["if-match"] = f'"{upload.if_match}"'
        if upload.if_none_match:
            headers["if-none-match"] = upload.if_none_match
        is_chunked = upload.size_bytes is None
        if is_chunked:
            headers["transfer-encoding"] = "chunked"
        else:
            headers["content-length"] = str(upload.size_bytes)
        with self._reached("POST", segments):
            connection = self._connect()
            try:
                # The server may refuse before it has read all: its answer is then there.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(
                        "POST",
                        _target(segments, query),
                        iter(upload.data),
                        {**self._headers(), **headers},
                        encode_chunked=is_chunked,
                    )
                answer = connection.getresponse()
                data = answer.read()
            finally:
                connection.close()
        self._check(answer, data, "POST", segments, query)
        return data

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | bytes],
        body: bytes | Iterable[bytes] = b"",
    ) -> tuple[int, bytes]:
        """Return status and body of the answer to a request signed by the caller.

        It goes to any surface of the server, on a connection of its own; no status is an error.
        """
        with self._reached(method, target):
            connection = self._connect()
            try:
                with suppress(BrokenPipeError, ConnectionResetError):
                    sent = body if isinstance(body, bytes) else iter(body)
                    connection.request(method, target, sent, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

    @contextmanager
    def download(
        self, segments: tuple[str, ...], query: Query, headers: Mapping[str, str] | None = None
    ) -> Iterator[Download]:
        """Give the bytes that a GET answers, while the block lasts."""
        with self._reached("GET", segments):
            connection = self._connect()
            sent = {**self._headers(), **(headers or {})}
            connection.request("GET", _target(segments, query), headers=sent)
            answer = connection.getresponse()
        try:
            if answer.status >= _FIRST_FAILURE:
                self._check(answer, answer.read(), "GET", segments, query)
            size_bytes = answer.length
            yield Download(
                self._windows(answer, size_bytes, segments),
                size_bytes,
                answer.getheader("content-type", ""),
                answer.getheader("etag", "").strip('"'),
            )
        finally:
            connection.close()

    def _windows(
        self, answer: http.client.HTTPResponse, size_bytes: int | None, segments: tuple[str, ...]
    ) -> Iterator[bytes]:
        received = 0
        with self._reached("GET", segments):
            while data := answer.read(limits.WINDOW_BYTES):
                received += len(data)
                yield data
        if size_bytes is not None and received != size_bytes:
            raise Unavailable(
                Kind.TRUNCATED,
                f"the bytes ended after {received} of {size_bytes}",
                asked=self._asked("GET", segments),
                hint="try again",
            )

    def _ask(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        if self._connection is not None and self._is_stale(self._connection):
            self.close()
        is_kept = self._connection is not None
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.request(method, target, body, {**self._headers(), **headers})
            return self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            self.close()
            # A kept connection may have been closed meanwhile; asking again changes nothing.
            if not is_kept or method != "GET":
                raise
            return self._ask(method, target, body, headers)

    def _is_stale(self, connection: http.client.HTTPConnection) -> bool:
        """Tell whether the server has closed a kept connection, or is about to."""
        if connection.sock is None or time.monotonic() - self._used_s > limits.COMMAND_KEEP_S:
            return True
        # Nothing was asked: what can be read is the end, or what no answer begins with.
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def _connect(self) -> http.client.HTTPConnection:
        server = self.server
        connection: http.client.HTTPConnection
        if server.scheme == "https":
            connection = http.client.HTTPSConnection(
                server.host, server.port, timeout=self._connect_s, context=server.tls
            )
        else:
            connection = http.client.HTTPConnection(
                server.host, server.port, timeout=self._connect_s
            )
        connection.connect()
        self._sockets.add(connection.sock)
        connection.sock.settimeout(self._answer_s)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _headers(self) -> dict[str, str]:
        pair = f"{self.server.access_key}:{self.server.secret_key}".encode()
        return {
            "authorization": f"Basic {base64.b64encode(pair).decode()}",
            "user-agent": f"anabranch/{__version__}",
        }

    @contextmanager
    def _reached(self, method: str, asked: tuple[str, ...] | str) -> Iterator[None]:
        """Turn failures of the connection into Unavailable."""
        try:
            yield
        # A host whose name cannot be coded is a UnicodeError.
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            self.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            hint = "start it with `anabranch serve`, or check the endpoint"
            if isinstance(error, ssl.SSLCertVerificationError):
                why, hint = error.verify_message, "--ca-cert names the certificate to trust"
            elif isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
                why, hint = "it does not speak https", "check the endpoint: http:// perhaps"
            raise Unavailable(
                Kind.BUSY,
                f"no answer from {self.server.url} ({self.server.source}): {why}",
                asked=f"{method} {self.server.url}{asked}"
                if isinstance(asked, str)
                else self._asked(method, asked),
                hint=hint,
            ) from None

    def _check(
        self,
        answer: http.client.HTTPResponse,
        body: bytes,
        method: str,
        segments: tuple[str, ...],
        query: Query | None,
        accepted: tuple[int, ...] = (),
    ) -> None:
        if answer.status >= _FIRST_FAILURE and answer.status not in accepted:
            kind = answer.headers.get(KIND_HEADER, "")
            raise self.refused(answer.status, body, method, segments, query, kind)

    def refused(
        self,
        status: int,
        body: bytes,
        method: str,
        segments: tuple[str, ...],
        query: Query | None = None,
        kind: str = "",
    ) -> AnabranchError:
        """Return the error of a refusal; `kind` is what the answer's header says."""
        asked = self._asked(method, segments, query)
        return refusal(status, body, kind, asked=asked, segments=segments)

    def _asked(self, method: str, segments: tuple[str, ...], query: Query | None = None) -> str:
        # What pages and defaults add is no part of what somebody wanted.
        told = {name: value for name, value in (query or {}).items() if value and name != "amount"}
        return f"{method} {self.server.url}{_target(segments, told)}"

    def foreign(self, method: str, segments: tuple[str, ...]) -> AnabranchError:
        """Return the error of an answer that no Anabranch gives."""
        return InvalidInput(
            Kind.BODY,
            f"{self.server.url} does not answer as Anabranch does",
            asked=self._asked(method, segments),
            hint="check the endpoint: it is the port of REST, S3 and the page",
        )


def _target(segments: tuple[str, ...], query: Query | None) -> str:
    path = BASE + "".join(f"/{quote(segment, safe='')}" for segment in segments)
    pairs: list[tuple[str, Any]] = []
    for name, value in (query or {}).items():
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, (str, int)):
            pairs.append((name, value))
        else:
            pairs += [(name, each) for each in value]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def checked_type(text: str) -> str:
    """Return the content type of an upload; raise InvalidInput for one no header can hold."""
    if not re.fullmatch(r"[\x20-\x7e]*", text):
        raise InvalidInput(Kind.VALUE, f"not a content type: {text!r}")
    return text or "application/octet-stream"


def metadata_headers(metadata: Mapping[str, str], prefix: str) -> dict[str, bytes]:
    """Return an object's metadata as headers; raise InvalidInput for what no header can hold."""
    headers: dict[str, bytes] = {}
    for key, value in metadata.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", key):
            raise InvalidInput(Kind.METADATA, f"not a key of an object's metadata: {key!r}")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise InvalidInput(Kind.METADATA, f"the metadata of {key!r} has control characters")
        headers[prefix + key] = value.encode()
    return headers
