"""What an import reads: objects of the raw store, or local files, as entries in path order.

Bytes are not read: entries keep the source's URI (docs/protocol.md 2.12).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from anabranch.kernel import limits
from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Entry, encode_entry
from anabranch.kernel.errors import Forbidden, InvalidInput, Kind, NotFound
from anabranch.kernel.ids import Address, Namespace, parse_path
from anabranch.kernel.pages import prefix_end
from anabranch.kernel.ranges import NO_ENTRIES, Interval
from anabranch.lake import keyspace
from anabranch.lake.local_files import LocalFiles, is_file
from anabranch.lake.repositories import namespaces_above
from anabranch.native import ranges as native
from anabranch.native.ranges import Entries
from anabranch.storage.blocks.base import Block, BlockStore, split_address
from anabranch.storage.kv.base import Condition, KVStore, is_as_seen, scan_prefix

Row = tuple[str, Entry]
_PORTION = 1_000


class SourceKind(StrEnum):
    """Whether a source is one object or all under a prefix, in lakeFS's words."""

    COMMON_PREFIX = "common_prefix"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class ImportSource:
    """What to import, and where to: a path, or the prefix that relative paths follow."""

    kind: SourceKind
    uri: str
    destination: str

    @property
    def prefix(self) -> str:
        """Return the destination of a common prefix: empty, or with a slash at its end."""
        text = self.destination
        return text if not text or text.endswith("/") else f"{text}/"

    @property
    def replaced(self) -> Interval:
        """Return the paths whose entries the import replaces."""
        if self.kind is SourceKind.OBJECT:
            return Interval(self.destination, f"{self.destination}\x00")
        return Interval(self.prefix, prefix_end(self.prefix))


class ImportSources:
    """Reads sources, of the raw store and of allowed local directories."""

    def __init__(self, kv: KVStore, blocks: BlockStore, files: LocalFiles) -> None:
        self._kv = kv
        self._blocks = blocks
        self._files = files

    def check(self, sources: Sequence[ImportSource]) -> None:
        """Raise InvalidInput or Forbidden(IMPORT_SOURCE) for sources that may not be read."""
        if not 1 <= len(sources) <= limits.IMPORT_PATHS_MAX:
            raise InvalidInput(
                Kind.IMPORT_SOURCE, f"an import has 1 to {limits.IMPORT_PATHS_MAX} sources"
            )
        for source in sources:
            if source.kind is SourceKind.OBJECT or source.destination:
                parse_path(source.destination)
            if is_file(source.uri):
                self._files.check(source.uri)
        self.conditions(sources)

    def conditions(self, sources: Sequence[ImportSource]) -> list[Condition]:
        """Return the conditions that no source holds a repository's data (docs/protocol.md 3.5).

        Raises Forbidden when one does, InvalidInput for a bucket that does not exist.
        """
        found = [self._outside(source) for source in sources if not is_file(source.uri)]
        return sorted(set(found))

    def batches(self, sources: Sequence[ImportSource]) -> Iterator[Entries]:
        """Yield the rows of all sources in path order, each path once.

        Of sources that name the same path the last one listed wins.
        """
        streams = [
            self._files_of(source) if is_file(source.uri) else self._objects_of(source)
            for source in sources
        ]
        return streams[0] if len(streams) == 1 else _woven(streams)

    def _objects_of(self, source: ImportSource) -> Iterator[Entries]:
        paths: list[bytes] = []
        values: list[bytes] = []
        for path, entry in self._blocks_of(source):
            paths.append(parse_path(path).encode())
            values.append(encode_entry(entry))
            if len(paths) == _PORTION:
                yield native.staging_rows(paths, values)
                paths, values = [], []
        if paths:
            yield native.staging_rows(paths, values)

    def _blocks_of(self, source: ImportSource) -> Iterator[Row]:
        bucket, key = split_address(source.uri)
        if source.kind is SourceKind.OBJECT:
            block = self._blocks.find(source.uri)
            if block is None:
                raise NotFound(Kind.IMPORT_SOURCE, f"no object at {source.uri!r}")
            yield source.destination, _entry_of(block)
            return
        # Without a slash at its end the last part is a prefix of names, and belongs to the path.
        cut = key.rfind("/") + 1
        after = ""
        while True:
            page = self._blocks.list(bucket, prefix=key, after=after, amount=_PORTION)
            for block in page.items:
                relative = split_address(block.address)[1][cut:]
                if relative:
                    yield source.prefix + relative, _entry_of(block)
            if page.next_after is None:
                return
            after = page.next_after

    def _files_of(self, source: ImportSource) -> Iterator[Entries]:
        is_object = source.kind is SourceKind.OBJECT
        for run in self._files.walk(source.uri):
            if is_object and not run.is_single:
                raise NotFound(Kind.IMPORT_SOURCE, f"{source.uri!r} is a directory")
            if is_object:
                # The path need not end as the file's name does.
                values = [encode_entry(_entry_of(self._found(source.uri)))]
                yield native.staging_rows([parse_path(source.destination).encode()], values)
                return
            yield run.rows(source.prefix)

    def _found(self, uri: str) -> Block:
        block = self._files.find(uri)
        if block is None:
            raise NotFound(Kind.IMPORT_SOURCE, f"no file {uri!r}")
        return block

    def _outside(self, source: ImportSource) -> Condition:
        if not source.uri.startswith(("s3://", "local://")):
            raise InvalidInput(Kind.IMPORT_SOURCE, f"not a source of imports: {source.uri!r}")
        place = Namespace(source.uri)
        bucket, _ = split_address(source.uri)
        if not self._blocks.has_bucket(bucket):
            raise InvalidInput(Kind.IMPORT_SOURCE, f"no bucket {bucket!r}")
        key = keyspace.namespace_bucket(place)
        above = [keyspace.namespace(one) for one in namespaces_above(place)]
        named = keyspace.namespace(place)
        # What follows is part of the name: `b/data` also names `b/data2/`; a bucket's name ends.
        is_bucket = place.partition("://")[2] == bucket
        inside = scan_prefix(named if is_bucket else named[:-1], limit=1)
        snapshot = self._kv.read([key, *above], [inside])
        claimed = any(row is not None for row in snapshot.values[1:])
        if claimed or (snapshot.scans[0] and source.kind is SourceKind.COMMON_PREFIX):
            raise Forbidden(
                Kind.IMPORT_SOURCE,
                f"{source.uri!r} holds data of a repository; copy it through the repository",
            )
        return is_as_seen(key, snapshot.values[0])


def _entry_of(block: Block) -> Entry:
    return Entry(
        Address(block.address),
        block.etag,
        block.size_bytes,
        block.created_us,
        block.content_type or DEFAULT_CONTENT_TYPE,
        block.metadata,
    )


def _woven(streams: Sequence[Iterator[Entries]]) -> Iterator[Entries]:
    """Yield the rows of sorted streams in path order; of equal paths the last stream's row."""
    fronts = [NO_ENTRIES for _ in streams]
    while True:
        fronts = [
            front if len(front) else next(stream, NO_ENTRIES)
            for front, stream in zip(fronts, streams, strict=True)
        ]
        lasts = [front.path(len(front) - 1) for front in fronts if len(front)]
        if not lasts:
            return
        bound = min(lasts)
        taken = NO_ENTRIES
        for at, front in enumerate(fronts):
            stop = front.upper_bound(bound)
            if stop:
                taken = native.merge_many([(taken, front.slice(0, stop), False)])[0][0]
                fronts[at] = front.slice(stop, len(front))
        yield taken
