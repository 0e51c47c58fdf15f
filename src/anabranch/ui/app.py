"""Serves the page: static files of our own, a strict Content-Security-Policy, nothing else."""

import html
from pathlib import Path

from anabranch import __version__
from anabranch.edge.http import Headers, Request, Response

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
_HEADERS: Headers = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
]
_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
PREFIX = "/ui/"
"""Where files lie: shorter than any repository's name, so that none is hidden."""


class Page:
    """The page of one server; `raw_port` is shown in it."""

    def __init__(self, raw_port: int) -> None:
        self._raw_port = raw_port
        # Read once: they are small, few, and part of the program.
        self._files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in _STATIC.iterdir()
        }

    async def __call__(self, request: Request) -> Response:
        """Answer a browser's GET or HEAD."""
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "only GET and HEAD here", [(b"allow", b"GET, HEAD")])
        name = request.path.removeprefix(PREFIX) if request.path != "/" else "index.html"
        found = self._files.get(name)
        if found is None:
            return _plain(404, "no such page")
        data, media_type = found
        if name == "index.html":
            data = self._filled(data, request)
        return Response(200, [(b"content-type", media_type), *_HEADERS], data)

    def _filled(self, template: bytes, request: Request) -> bytes:
        host = request.host or "localhost"
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        values = {
            "{{origin}}": f"{request.scheme}://{host}",
            "{{raw}}": f"{request.scheme}://{name}:{self._raw_port}",
            "{{version}}": __version__,
        }
        text = template.decode()
        for mark, value in values.items():
            text = text.replace(mark, html.escape(value))
        return text.encode()


def _plain(status: int, message: str, headers: Headers | None = None) -> Response:
    media_type = (b"content-type", b"text/plain; charset=utf-8")
    return Response(status, [media_type, *_HEADERS, *(headers or ())], message.encode())
