"""`file://` and `local://`: files of this machine under the import roots."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.lake.local_files import SCHEME, LocalFiles
from anabranch.storage.blocks.base import Block
from anabranch.warehouse.origins.base import OriginFile


class FileOrigin:
    """Reads what `LocalFiles` may: nothing outside the roots, through links, or of the server's."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files

    def find(self, url: str) -> OriginFile | None:
        """Return the file at a URL."""
        block = self._files.find(_local(url))
        if block is None:
            return None
        return OriginFile(url, block.size_bytes, lambda: self._read(block))

    def children(self, url: str) -> Iterator[OriginFile]:
        """Yield what lies in a folder; symbolic links are passed over."""
        for name, is_folder in self._files.names(_local(url)):
            child = f"{url}{name}"
            if is_folder:
                yield OriginFile(f"{child}/", is_folder=True)
                continue
            found = self.find(child)
            if found is not None:
                yield found

    def _read(self, block: Block) -> Iterator[bytes]:
        for offset in range(0, block.size_bytes, limits.WINDOW_BYTES):
            length = min(limits.WINDOW_BYTES, block.size_bytes - offset)
            yield self._files.read(block, offset, length)


def _local(url: str) -> str:
    """Return the URI of an import for one of `file:///x`, `file://localhost/x`, `local:///x`."""
    scheme, _, rest = url.partition("://")
    if rest.startswith("localhost/") and scheme == "file":
        rest = rest[len("localhost") :]
    if not rest.startswith("/"):
        raise InvalidInput(Kind.IMPORT_SOURCE, f"not the URL of a local file: {url!r}")
    return SCHEME + rest.lstrip("/")
