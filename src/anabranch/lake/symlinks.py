"""Symlink files: physical addresses by folder, as Hive's SymlinkTextInputFormat reads them.

The files lie at `<namespace>/_lakefs/symlinks/<repository>/<ref>/<folder>/symlink.txt`; each names
the objects right inside that folder, one URI a line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import Kind, NotFound
from anabranch.kernel.ids import Ref, RepositoryId
from anabranch.lake.listing import Listing
from anabranch.lake.resolve import Resolver
from anabranch.lake.values import CommonPrefix, Resolved, Stat, full_address
from anabranch.storage.blocks.base import Block, BlockStore, BlockWriter, split_address
from anabranch.storage.kv.base import Prepared, Writer

FILE_NAME = "symlink.txt"
FOLDER = "_lakefs/symlinks"
_BUFFER_BYTES = limits.SMALL_OBJECT_BYTES_MAX
_CONTENT_TYPE = "text/plain"


@dataclass(frozen=True, slots=True)
class Written:
    """Where symlink files lie: the root of all of a repository's, and how many were written."""

    location: str
    count: int


class _Open:
    """One symlink file being written: held in memory until it is worth a file of its own."""

    def __init__(self, folder: str, address: str, blocks: BlockStore) -> None:
        self.folder = folder
        self._address = address
        self._blocks = blocks
        self._writer: BlockWriter | None = None
        self._digest = md5(usedforsecurity=False)
        self._buffer = bytearray()

    def add(self, uri: str) -> None:
        """Append a line."""
        self._buffer += uri.encode() + b"\n"
        if len(self._buffer) >= _BUFFER_BYTES:
            if self._writer is None:
                self._writer = self._blocks.open_writer(self._address)
            self._write(self._writer)

    def finish(self, writer: Writer) -> None:
        """Make the file durable and visible."""
        if self._writer is not None:
            self._write(self._writer)
            whole = self._writer.finish(self._digest.hexdigest(), content_type=_CONTENT_TYPE)
            writer.submit(lambda: Prepared((), whole.writes, lambda _verdict: None, whole.windows))
            return
        data = bytes(self._buffer)
        etag = md5(data, usedforsecurity=False).hexdigest()

        def make() -> Prepared[None]:
            placed = self._blocks.put(self._address, data, etag=etag, content_type=_CONTENT_TYPE)
            return Prepared((), placed.writes, lambda _verdict: None, placed.windows)

        writer.submit(make)

    def abort(self) -> None:
        """Forget what was written."""
        if self._writer is not None:
            self._writer.abort()

    def _write(self, writer: BlockWriter) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        self._digest.update(data)
        writer.write(data)


class Symlinks:
    """Write symlink files of what a ref holds."""

    def __init__(
        self,
        writer: Writer,
        blocks: BlockStore,
        resolver: Resolver,
        listing: Listing,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._blocks = blocks
        self._resolver = resolver
        self._listing = listing

    def create(self, repository_id: RepositoryId, ref: Ref, folder: str = "") -> Written:
        """Write the files of a folder and all below it, anew; remove those of folders now empty.

        A page of the listing is one moment, the whole is not. Raises NotFound for the ref, and
        for a folder without objects.
        """
        folder = folder if not folder or folder.endswith("/") else f"{folder}/"
        resolved = self._resolver.resolve(repository_id, ref)
        base = f"{resolved.repository.namespace}/{FOLDER}"
        own = f"{base}/{repository_id}/{ref}/"
        begun_us = self._clock.now_ns() // 1_000
        opened: list[_Open] = []
        count = 0
        try:
            for stat in self._objects(resolved, folder):
                inside = stat.path[: stat.path.rfind("/") + 1]
                # Paths are sorted: what lies below a folder follows in one run, so that only the
                # folders above the present one are open.
                while opened and not inside.startswith(opened[-1].folder):
                    opened.pop().finish(self._writer)
                if not opened or opened[-1].folder != inside:
                    opened.append(_Open(inside, own + inside + FILE_NAME, self._blocks))
                    count += 1
                opened[-1].add(full_address(resolved.repository, stat.entry))
            while opened:
                opened.pop().finish(self._writer)
        finally:
            for one in opened:
                one.abort()
        if not count:
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object lies under {folder!r} of {ref!r}")
        self._remove_stale(own + folder, begun_us)
        return Written(base, count)

    def _objects(self, resolved: Resolved, folder: str) -> Iterator[Stat]:
        after = ""
        while True:
            page = self._listing.page(resolved, prefix=folder, after=after, amount=limits.PAGE_MAX)
            for item in page.items:
                assert not isinstance(item, CommonPrefix)
                if not item.path.endswith("/"):
                    yield item
            if page.next_after is None:
                return
            after = page.next_after

    def _remove_stale(self, prefix: str, begun_us: int) -> None:
        bucket, key = split_address(prefix)
        after = ""
        while True:
            page = self._blocks.list(bucket, prefix=key, after=after, amount=limits.PAGE_MAX)
            for block in page.items:
                if block.created_us < begun_us:
                    self._remove(block)
            if page.next_after is None:
                return
            after = page.next_after

    def _remove(self, block: Block) -> None:
        conditions, writes = self._blocks.removal(block)
        # Refused when somebody wrote it anew meanwhile, and then it is not stale.
        self._writer.submit_once(Prepared(conditions, writes, lambda _verdict: None))
