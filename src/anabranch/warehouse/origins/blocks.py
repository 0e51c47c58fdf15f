"""`s3://` of this server without an endpoint: objects of the raw store.

A bucket that is a repository's name is the repository, as on the S3 gateway: see opening.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.kernel import limits
from anabranch.lake.import_sources import ImportSource, ImportSources, SourceKind
from anabranch.storage.blocks.base import Block, BlockStore, split_address
from anabranch.warehouse.origins.base import OriginFile

_LAST = "\U0010ffff"


class BlockOrigin:
    """Reads raw objects that are no repository's data, as imports do."""

    def __init__(self, blocks: BlockStore, sources: ImportSources) -> None:
        self._blocks = blocks
        self._sources = sources

    def find(self, url: str) -> OriginFile | None:
        """Return the object at a URL; raise Forbidden when it belongs to a repository."""
        self._check(url)
        block = self._blocks.find(url)
        return None if block is None else self._file(url, block)

    def children(self, url: str) -> Iterator[OriginFile]:
        """Yield objects and common prefixes of a prefix that ends with a slash."""
        bucket, prefix = split_address(url)
        after = ""
        while True:
            page = self._blocks.list(bucket, prefix=prefix, after=after, amount=limits.ORIGIN_PAGE)
            for block in page.items:
                key = split_address(block.address)[1]
                if after and key <= after:
                    continue
                name, slash, _ = key[len(prefix) :].partition("/")
                if slash:
                    # Passing over what lies below: one seek and not a page for each 1,000 of it.
                    after = f"{prefix}{name}/{_LAST}"
                    yield OriginFile(f"{url}{name}/", is_folder=True)
                elif name:
                    after = key
                    self._check(f"{url}{name}")
                    yield self._file(f"{url}{name}", block)
            if page.next_after is None or not page.items:
                return
            after = max(after, page.next_after)

    def _check(self, url: str) -> None:
        self._sources.check([ImportSource(SourceKind.OBJECT, url, "object")])

    def _file(self, url: str, block: Block) -> OriginFile:
        return OriginFile(url, block.size_bytes, lambda: read_block(self._blocks, block))


def read_block(blocks: BlockStore, block: Block) -> Iterator[bytes]:
    """Yield the bytes of a block by windows."""
    for offset in range(0, block.size_bytes, limits.WINDOW_BYTES):
        length = min(limits.WINDOW_BYTES, block.size_bytes - offset)
        yield blocks.read(block, offset, length)
