"""HDFS by WebHDFS: `webhdfs://[user@]host[:port]/path`, and `swebhdfs://` over TLS.

Statements say `hdfs://`; the setting `broker` says which name node that is. The name node sends a
reader on to a data node, which must be configured too and may not send it further.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from anabranch.kernel import limits
from anabranch.kernel.errors import Forbidden, Kind, LimitExceeded, NotFound, Unavailable
from anabranch.warehouse.origins.base import OriginFile, Roots, split_url
from anabranch.warehouse.origins.http import ask, checked, windows

_REDIRECT = 307


class HdfsOrigin:
    """Reads files of configured name nodes."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def find(self, url: str) -> OriginFile | None:
        """Return the file at a URL; raise Forbidden outside the roots."""
        try:
            status = self._get(url, "GETFILESTATUS").get("FileStatus", {})
        except NotFound:
            return None
        return self._file(url, status) if status.get("type") == "FILE" else None

    def children(self, url: str) -> Iterator[OriginFile]:
        """Yield what lies in a folder; nothing when there is none."""
        try:
            listed = self._get(url, "LISTSTATUS")
        except NotFound:
            return
        for status in listed.get("FileStatuses", {}).get("FileStatus", []):
            name = str(status.get("pathSuffix", ""))
            if not name or "/" in name:
                continue  # a file answers its own listing, with no name in it
            if status.get("type") == "DIRECTORY":
                yield OriginFile(f"{url}{name}/", is_folder=True)
            elif status.get("type") == "FILE":
                yield self._file(f"{url}{name}", status)

    def _file(self, url: str, status: dict[str, Any]) -> OriginFile:
        return OriginFile(url, int(status.get("length", 0)), lambda: self._read(url))

    def _get(self, url: str, operation: str) -> dict[str, Any]:
        self._roots.check(url)
        with ask("GET", url, _request(url, operation)) as answer:
            data = checked(answer, url).read(limits.ORIGIN_ANSWER_BYTES_MAX + 1)
        if len(data) > limits.ORIGIN_ANSWER_BYTES_MAX:
            raise LimitExceeded(Kind.TOO_LARGE, f"the listing of {url!r} is too large")
        try:
            found = json.loads(data)
        except ValueError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{url!r} does not answer JSON") from error
        return found if isinstance(found, dict) else {}

    def _read(self, url: str) -> Iterator[bytes]:
        self._roots.check(url)
        with ask("GET", url, _request(url, "OPEN")) as answer:
            if answer.status != _REDIRECT:
                yield from windows(checked(answer, url), url)
                return
            node = answer.headers.get("Location", "")
        split_url(node)
        if urlsplit(node).scheme not in ("http", "https") or not self._roots.has_host(node):
            raise Forbidden(
                Kind.IMPORT_SOURCE, f"{url!r} leads to {node!r}, which is not configured"
            )
        with ask("GET", node) as answer:
            yield from windows(checked(answer, node), node)


def _request(url: str, operation: str) -> str:
    parts = urlsplit(url)
    query = {"op": operation}
    if parts.username:
        query["user.name"] = parts.username
    path = quote(parts.path.rstrip("/") or "/", safe="/")
    return f"/webhdfs/v1{path}?{urlencode(query)}"
