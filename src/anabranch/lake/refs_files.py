"""Files of a dump of refs, by docs/formats/refs-dump.md: written and read part by part.

A list is an index file, which names parts; each part holds lines of JSON. Both are named by the
hash of their bytes and lie where ranges lie, so a dump that is read is the dump that was written.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from hashlib import md5
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded, NotFound
from anabranch.kernel.ids import Namespace
from anabranch.native.ranges import blake3
from anabranch.storage.blocks.base import BlockStore
from anabranch.storage.kv.base import Prepared, Writer

T = TypeVar("T", bound=msgspec.Struct)

FORMAT_VERSION = 1
MANIFEST = "refs_manifest.json"
"""The file that names the newest dump of a namespace."""
_ID = re.compile(r"[0-9a-f]{64}")
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Count = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class ListKind(StrEnum):
    """What the lines of a list are."""

    COMMITS = "commits"
    TAGS = "tags"
    BRANCHES = "branches"


class CommitLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A commit, as docs/formats/commit.md lists its fields."""

    id: str
    metarange: str
    parents: list[str]
    committer: str
    message: str
    metadata: dict[str, str]
    created_us: _Int64
    generation: _Count
    is_expired: bool = False


class RefLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A branch's head, or what a tag names; tags are never hidden."""

    id: str
    commit_id: str
    is_hidden: bool = False


class RefsDump(msgspec.Struct, frozen=True):
    """The ids of a dump's three lists, by lakeFS's names."""

    commits_meta_range_id: str
    tags_meta_range_id: str
    branches_meta_range_id: str


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    count: _Count
    size_bytes: _Count


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    kind: ListKind
    parts: list[_Part]


def bad_dump(why: str) -> InvalidInput:
    """Return the error of a dump that is none, or not one of this namespace."""
    return InvalidInput(Kind.DUMP, f"not a dump that can be restored: {why}")


def is_id(text: str) -> bool:
    """Tell whether a text may name a file, a commit or a metarange."""
    return _ID.fullmatch(text) is not None


class RefsFiles:
    """Lists of a dump in the block store; one part is held at a time."""

    def __init__(
        self,
        blocks: BlockStore,
        writer: Writer,
        *,
        part_bytes: int = limits.DUMP_PART_BYTES,
        parts_max: int = limits.DUMP_PARTS_MAX,
    ) -> None:
        self._blocks = blocks
        self._writer = writer
        self._part_bytes = part_bytes
        self._parts_max = parts_max

    def write(
        self,
        namespace: Namespace,
        kind: ListKind,
        lines: Iterable[msgspec.Struct],
        beat: Callable[[], None],
    ) -> str:
        """Write a list and return its id; `beat` is called after each part.

        Raises LimitExceeded for more parts than a reader takes.
        """
        parts: list[_Part] = []
        data, count = bytearray(), 0
        encoder = msgspec.json.Encoder(order="deterministic")

        def flush() -> None:
            nonlocal count
            if len(parts) == self._parts_max:
                raise LimitExceeded(Kind.TOO_LARGE, f"more {kind} than a dump may hold")
            parts.append(_Part(self._put_hashed(namespace, bytes(data)), count, len(data)))
            data.clear()
            count = 0
            beat()

        for line in lines:
            data += encoder.encode(line)
            data += b"\n"
            count += 1
            if len(data) >= self._part_bytes:
                flush()
        if data:
            flush()
        index = _Index(FORMAT_VERSION, kind, parts)
        return self._put_hashed(namespace, encoder.encode(index) + b"\n")

    def write_manifest(self, namespace: Namespace, dump: RefsDump) -> None:
        """Note a dump as the newest of a namespace."""
        self._put(f"{namespace}/_lakefs/{MANIFEST}", msgspec.json.encode(dump) + b"\n")

    def check(self, namespace: Namespace, kind: ListKind, list_id: str) -> None:
        """Raise InvalidInput(DUMP) for a list that is none, NotFound when it is not here."""
        self._index(namespace, kind, list_id)

    def read(
        self, namespace: Namespace, kind: ListKind, list_id: str, form: type[T]
    ) -> Iterator[list[T]]:
        """Yield a list's lines, part by part; raise as `check`, and for a part that is wrong."""
        decoder = msgspec.json.Decoder(form)
        for part in self._index(namespace, kind, list_id).parts:
            if part.size_bytes > limits.DUMP_PART_BYTES_MAX:
                raise bad_dump(f"part {part.id} of {kind} is too large")
            data = self._get(namespace, part.id, limits.DUMP_PART_BYTES_MAX)
            if data is None:
                raise bad_dump(f"part {part.id} of {kind} is missing")
            try:
                lines = decoder.decode_lines(data)
            except (msgspec.DecodeError, RecursionError) as error:
                raise bad_dump(f"part {part.id} of {kind}: {error}") from None
            if len(lines) != part.count or len(data) != part.size_bytes:
                raise bad_dump(f"part {part.id} of {kind} is not as the index says")
            yield lines

    def _index(self, namespace: Namespace, kind: ListKind, list_id: str) -> _Index:
        data = self._get(namespace, list_id, limits.DUMP_INDEX_BYTES_MAX)
        if data is None:
            raise NotFound(Kind.DUMP_NOT_FOUND, f"no list of {kind} {list_id!r} in {namespace}")
        try:
            index = msgspec.json.decode(data, type=_Index)
        except (msgspec.DecodeError, RecursionError) as error:
            raise bad_dump(f"list of {kind}: {error}") from None
        if index.format != FORMAT_VERSION or index.kind != kind:
            raise bad_dump(f"{list_id} is a list of {index.kind} of format {index.format}")
        if len(index.parts) > self._parts_max:
            raise bad_dump(f"list of {kind}: too many parts")
        return index

    def _get(self, namespace: Namespace, name: str, bytes_max: int) -> bytes | None:
        """Return a file whose bytes hash to its name, None when there is none."""
        if not is_id(name):
            raise bad_dump(f"{name[:100]!r} is no id of a list or part")
        block = self._blocks.find(f"{namespace}/_lakefs/{name}")
        if block is None:
            return None
        if block.size_bytes > bytes_max:
            raise bad_dump(f"{name} has {block.size_bytes} bytes")
        data = self._blocks.read(block, 0, block.size_bytes)
        if blake3(data).hex() != name:
            raise bad_dump(f"{name} does not hash to its name")
        return data

    def _put_hashed(self, namespace: Namespace, data: bytes) -> str:
        name = blake3(data).hex()
        self._put(f"{namespace}/_lakefs/{name}", data)
        return name

    def _put(self, address: str, data: bytes) -> None:
        etag = md5(data, usedforsecurity=False).hexdigest()

        def make() -> Prepared[None]:
            placed = self._blocks.put(address, data, etag=etag, own_file=True)
            return Prepared((), placed.writes, lambda _verdict: None, placed.windows)

        self._writer.submit(make)
