"""What an origin offers: the files of a URL's scheme, and which URLs may be read at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from anabranch.kernel.errors import Forbidden, InvalidInput, Kind

REMOTE_SCHEMES = frozenset({"http", "https", "webhdfs", "swebhdfs"})
"""Schemes whose hosts are named by import roots."""
_PORTS = {"http": 80, "https": 443, "webhdfs": 9870, "swebhdfs": 9871}

Options = Mapping[str, str]
"""Properties of a statement's WITH clause, names in lower case."""


def _nothing() -> Iterator[bytes]:
    return iter(())


@dataclass(frozen=True, slots=True)
class OriginFile:
    """A file, or a folder when `is_folder`: then only `url` counts, with a slash at its end.

    `read` yields the bytes from the start, anew in each call.
    """

    url: str
    size_bytes: int = 0
    read: Callable[[], Iterator[bytes]] = _nothing
    is_folder: bool = False

    @property
    def name(self) -> str:
        """Return the last part of its URL."""
        return self.url.rstrip("/").rpartition("/")[2]


class Origin(Protocol):
    """The files of one scheme. Raises Forbidden for what may not be read, Unavailable."""

    def find(self, url: str) -> OriginFile | None:
        """Return the file at a URL, None when there is none, or only a folder."""
        ...

    def children(self, url: str) -> Iterator[OriginFile]:
        """Yield what lies directly in a folder, whose URL ends with a slash; nothing if none."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    scheme: str
    host: str
    port: int
    path: str


class Roots:
    """The URL prefixes that loads may read from other machines: the setting `import_from`."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self._places = tuple(
            _place(prefix)
            for prefix in prefixes
            if prefix.partition("://")[0].lower() in REMOTE_SCHEMES
        )

    def allows(self, url: str) -> bool:
        """Tell whether a URL lies under a root: same scheme, host and port, below its path."""
        place = _place(url)
        return any(_is_below(place, root) for root in self._places)

    def check(self, url: str) -> None:
        """Raise Forbidden(IMPORT_SOURCE) unless a URL lies under a root."""
        if not self.allows(url):
            raise Forbidden(
                Kind.IMPORT_SOURCE, f"{url!r} lies under none of the places loads may read"
            )

    def has_host(self, url: str) -> bool:
        """Tell whether a root of any scheme names the URL's host and port."""
        place = _place(url)
        return any((root.host, root.port) == (place.host, place.port) for root in self._places)


def split_url(url: str) -> SplitResult:
    """Return a URL's parts; raise InvalidInput for one that two readers could take differently."""
    if any(ord(character) <= 0x20 or character in "\\\x7f" for character in url):
        raise InvalidInput(Kind.IMPORT_SOURCE, f"not a URL: {url!r}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(Kind.IMPORT_SOURCE, f"not a URL: {url!r}") from error
    steps = parts.path.replace("%2e", ".").replace("%2E", ".").split("/")
    if not parts.hostname or port == 0 or ".." in steps or "." in steps:
        raise InvalidInput(Kind.IMPORT_SOURCE, f"not a URL: {url!r}")
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port of a remote URL."""
    return parts.port or _PORTS.get(parts.scheme, 0)


def _place(url: str) -> _Place:
    parts = split_url(url)
    assert parts.hostname is not None
    return _Place(parts.scheme, parts.hostname.rstrip("."), port_of(parts), parts.path)


def _is_below(place: _Place, root: _Place) -> bool:
    if (place.scheme, place.host, place.port) != (root.scheme, root.host, root.port):
        return False
    folder = root.path.rstrip("/")
    return place.path == folder or place.path.startswith(f"{folder}/")
