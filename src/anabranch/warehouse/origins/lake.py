"""`lakefs://repository/ref/path`, and `s3://` of the same: objects of a repository at a ref."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.ids import Ref, parse_path, parse_repository_id
from anabranch.lake.listing import Listing
from anabranch.lake.objects import Objects
from anabranch.lake.resolve import Resolver
from anabranch.lake.values import Resolved, Stat
from anabranch.storage.blocks.base import BlockStore
from anabranch.warehouse.origins.base import OriginFile
from anabranch.warehouse.origins.blocks import read_block


class LakeOrigin:
    """Reads objects as a listing and a read of them show them, staging included."""

    def __init__(
        self, resolver: Resolver, objects: Objects, listing: Listing, blocks: BlockStore
    ) -> None:
        self._resolver = resolver
        self._objects = objects
        self._listing = listing
        self._blocks = blocks

    def find(self, url: str) -> OriginFile | None:
        """Return the object at a URL; raise NotFound for its repository or ref."""
        resolved, path = self._resolve(url)
        if not path:
            return None
        found = self._objects.find(resolved, parse_path(path))
        return None if found is None else self._file(url, found)

    def children(self, url: str) -> Iterator[OriginFile]:
        """Yield objects and common prefixes of a prefix that ends with a slash."""
        resolved, prefix = self._resolve(url)
        after = ""
        while True:
            page = self._listing.page(
                resolved, prefix=prefix, after=after, amount=limits.ORIGIN_PAGE, delimiter="/"
            )
            for item in page.items:
                name = item.path[len(prefix) :]
                if isinstance(item, Stat):
                    if name:
                        yield self._file(f"{url}{name}", item)
                else:
                    yield OriginFile(f"{url}{name}", is_folder=True)
            if page.next_after is None:
                return
            after = page.next_after

    def _resolve(self, url: str) -> tuple[Resolved, str]:
        repository, _, rest = url.partition("://")[2].partition("/")
        ref, _, path = rest.partition("/")
        if not ref:
            raise InvalidInput(Kind.IMPORT_SOURCE, f"no ref in {url!r}")
        # A slash in a branch's name is written %2F, since it would end the ref otherwise.
        return self._resolver.resolve(parse_repository_id(repository), Ref(unquote(ref))), path

    def _file(self, url: str, found: Stat) -> OriginFile:
        def read() -> Iterator[bytes]:
            return read_block(self._blocks, self._objects.block(found))

        return OriginFile(url, found.entry.size_bytes, read)
