"""`http://` and `https://`: single files of configured places; redirects only to such places."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

from anabranch.kernel import limits
from anabranch.kernel.errors import Forbidden, InvalidInput, Kind, NotFound, Unavailable
from anabranch.warehouse.origins.base import OriginFile, Roots, port_of, split_url

_MOVED = frozenset({301, 302, 303, 307, 308})
_ABSENT = frozenset({404, 410})


class HttpOrigin:
    """Reads files by GET. There are no listings, so that wildcards cannot be matched."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def find(self, url: str) -> OriginFile | None:
        """Return the file at a URL; raise Forbidden outside the roots."""
        try:
            with self._open("HEAD", url) as answer:
                size_bytes = int(answer.headers.get("Content-Length") or 0)
        except NotFound:
            return None
        return OriginFile(url, size_bytes, lambda: self._read(url))

    def children(self, url: str) -> Iterator[OriginFile]:
        """Refuse: a web server has no folders."""
        raise InvalidInput(Kind.IMPORT_SOURCE, f"{url!r}: wildcards do not work over HTTP")

    def _read(self, url: str) -> Iterator[bytes]:
        with self._open("GET", url) as answer:
            yield from windows(answer, url)

    @contextmanager
    def _open(self, method: str, url: str) -> Iterator[http.client.HTTPResponse]:
        at = url
        for _ in range(limits.ORIGIN_REDIRECTS_MAX + 1):
            self._roots.check(at)
            with ask(method, at) as answer:
                location = answer.headers.get("Location")
                if answer.status not in _MOVED or not location:
                    yield checked(answer, url)
                    return
                at = urljoin(at, location)
        raise Unavailable(Kind.STORE_FAILED, f"{url!r} is redirected too often")


@contextmanager
def ask(method: str, url: str, path: str | None = None) -> Iterator[http.client.HTTPResponse]:
    """Send a request and give its answer, whatever its status; `path` replaces the URL's.

    The caller has checked that the host is configured. Raises Unavailable when it cannot be
    reached.
    """
    parts = split_url(url)
    assert parts.hostname is not None
    is_secure = parts.scheme in ("https", "swebhdfs")
    make = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = make(parts.hostname, port_of(parts), timeout=limits.ORIGIN_CONNECT_S)
    target = path or (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        try:
            connection.connect()
            connection.sock.settimeout(limits.ORIGIN_READ_S)
            connection.request(
                method, target, headers={"Accept-Encoding": "identity", "User-Agent": "anabranch"}
            )
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(url, error) from error
        yield answer
    finally:
        connection.close()


def checked(answer: http.client.HTTPResponse, url: str) -> http.client.HTTPResponse:
    """Return an answer of status 200; raise NotFound, Forbidden or Unavailable for others."""
    if answer.status == 200:
        return answer
    text = f"{url!r} answers {answer.status} {answer.reason}"
    if answer.status in _ABSENT:
        raise NotFound(Kind.BLOCK_NOT_FOUND, text)
    if answer.status in (401, 403):
        raise Forbidden(Kind.IMPORT_SOURCE, text)
    raise Unavailable(Kind.STORE_FAILED, text)


def windows(answer: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Yield an answer's body by windows; raise Unavailable when it ends too early."""
    wanted = answer.length
    got = 0
    try:
        while data := answer.read(limits.WINDOW_BYTES):
            got += len(data)
            yield data
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error
    if wanted is not None and got != wanted:
        raise Unavailable(Kind.STORE_FAILED, f"{url!r} ended after {got} of {wanted} bytes")


def _unreachable(url: str, error: Exception) -> Unavailable:
    return Unavailable(
        Kind.STORE_FAILED, f"{url!r} cannot be read: {str(error) or type(error).__name__}"
    )
