"""Brokers: names under which URL prefixes stand for places that are configured.

The setting `broker` is `name=prefix=target`, repeated; of a broker's prefixes the longest that a
URL begins with wins. What a statement says after WITH BROKER changes none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind
from anabranch.lake.local_files import LocalFiles
from anabranch.warehouse.errors import doris
from anabranch.warehouse.origins.base import REMOTE_SCHEMES, Roots

LOCAL = "local"
"""The broker of servers that configured none: it maps nothing."""
COLUMNS = ("Name", "Host", "Port", "Alive", "LastStartTime", "LastUpdateTime", "ErrMsg")
_OWN_SCHEMES = frozenset({"lakefs", "s3"})


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of the setting; both prefixes end with a slash."""

    broker: str
    prefix: str
    target: str


@dataclass(frozen=True, slots=True)
class Located:
    """Where the files of a URL are: `base` literally, then `pattern`.

    `shown` is what `base` was in the statement: users see their own URLs.
    """

    base: str
    pattern: str
    shown: str

    def url_of(self, found: str) -> str:
        """Return the URL of a file found, as the statement would have named it."""
        return self.shown + found[len(self.base) :] if self.base else found


class Brokers:
    """The configured brokers."""

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        self._mappings = sorted(mappings, key=lambda one: -len(one.prefix))
        self._names = list(dict.fromkeys(one.broker for one in mappings)) or [LOCAL]

    @property
    def names(self) -> list[str]:
        """Return the names in the order they were configured."""
        return list(self._names)

    def check(self, name: str) -> None:
        """Raise SqlError in Doris's words unless a broker is configured, or `local`."""
        if name not in self._names and name != LOCAL:
            raise doris(f"Unknown broker name({name})")

    def locate(self, url: str, name: str | None = None) -> Located:
        """Return where a URL's files are; by a broker's prefixes, or by all without a name."""
        for one in self._mappings:
            if (name is None or one.broker == name) and url.startswith(one.prefix):
                return Located(one.target, url[len(one.prefix) :], one.prefix)
        return Located("", url, "")


def parse_brokers(lines: Sequence[str], import_from: Sequence[str]) -> list[Mapping]:
    """Return the mappings of the setting.

    Raises InvalidInput for a line that is none, or whose target lies under no import root.
    """
    roots = Roots(import_from)
    files = LocalFiles(import_from)
    found: list[Mapping] = []
    for line in lines:
        name, _, rest = line.partition("=")
        prefix, _, target = rest.partition("=")
        if not name or "://" not in prefix or "://" not in target:
            raise InvalidInput(Kind.VALUE, f"broker: not name=prefix=target: {line!r}")
        one = Mapping(name.strip(), f"{prefix.rstrip('/')}/", f"{target.rstrip('/')}/")
        if any((other.broker, other.prefix) == (one.broker, one.prefix) for other in found):
            raise InvalidInput(Kind.VALUE, f"broker: {name} maps {prefix!r} twice")
        _check_target(one.target, roots, files)
        found.append(one)
    return found


def _check_target(target: str, roots: Roots, files: LocalFiles) -> None:
    scheme = target.partition("://")[0]
    try:
        if scheme in ("file", "local"):
            files.check(f"local://{target.partition('://')[2]}")
            return
        if scheme in REMOTE_SCHEMES:
            roots.check(target)
            return
    except AnabranchError as error:
        raise InvalidInput(Kind.VALUE, f"broker: {error.message}") from None
    if scheme not in _OWN_SCHEMES:
        raise InvalidInput(Kind.VALUE, f"broker: not a target: {target!r}")
