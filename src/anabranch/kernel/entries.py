"""What a path means: the entry, its identity, and its bytes in a staging row.

docs/formats/entry.md describes the bytes.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, InvalidInput, Kind
from anabranch.kernel.ids import Address
from anabranch.native import ranges as native

Metadata = tuple[tuple[str, str], ...]
"""User metadata: pairs sorted by key, each key once."""

IDENTITY_BYTES = 20
DEFAULT_CONTENT_TYPE = "application/octet-stream"

_TOMBSTONE = 0
_ENTRY = 1
_HEADER = struct.Struct("<B20sqqHHHHI")
_TOMBSTONE_BYTES = bytes([_TOMBSTONE])


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an object's bytes are and what they are; times in microseconds since 1970 UTC.

    `address` is 32 hex digits under the repository's namespace, or a full URI of imported bytes.
    `checksum` is the ETag without quotes. `checksum2` is a second checksum a client sent
    (`sha256:<base64>` and the like) or empty. `identity` follows from the rest.
    """

    address: Address
    checksum: str
    size_bytes: int
    mtime_us: int
    content_type: str = DEFAULT_CONTENT_TYPE
    metadata: Metadata = ()
    checksum2: str = ""
    identity: bytes = field(default=b"", compare=False)

    def __post_init__(self) -> None:
        if not self.identity:
            object.__setattr__(self, "identity", identity_of(self))

    def is_same_as(self, other: "Entry") -> bool:
        """Tell whether both stand for equal content: neither address nor mtime matter.

        Second checksums take part when both have one by the same algorithm (docs/protocol.md 3.6).
        """
        if self.identity != other.identity:
            return False
        ours, theirs = self.checksum2, other.checksum2
        return (
            ours == theirs or not ours or not theirs or ours.split(":")[0] != theirs.split(":")[0]
        )


def encode_metadata(metadata: Metadata) -> str:
    """Return metadata as canonical JSON text: sorted keys, no spaces; empty when there is none."""
    if not metadata:
        return ""
    return json.dumps(dict(metadata), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode_metadata(text: str) -> Metadata:
    """Return the pairs of canonical JSON text."""
    if not text:
        return ()
    return tuple(sorted(json.loads(text).items()))


def parse_metadata(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Metadata:
    """Return user metadata sorted by key; raise InvalidInput past 2 KiB in all, as S3 does."""
    items = dict(pairs)
    size_bytes = 0
    for key, value in items.items():
        try:
            size_bytes += len(key.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise InvalidInput(Kind.METADATA, "metadata must be valid UTF-8") from None
    if size_bytes > limits.USER_METADATA_BYTES_MAX:
        raise InvalidInput(
            Kind.METADATA,
            f"user metadata is at most {limits.USER_METADATA_BYTES_MAX} bytes, not {size_bytes}",
        )
    return tuple(sorted(items.items()))


def identity_of(entry: Entry) -> bytes:
    """Return the 20 bytes that name an entry's content: size, checksum, content type, metadata."""
    return native.identity(
        entry.size_bytes, entry.checksum, entry.content_type, encode_metadata(entry.metadata)
    )


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes of a staging row that holds an entry."""
    address = entry.address.encode()
    checksum = entry.checksum.encode()
    content_type = entry.content_type.encode()
    checksum2 = entry.checksum2.encode()
    metadata = encode_metadata(entry.metadata).encode()
    header = _HEADER.pack(
        _ENTRY,
        entry.identity,
        entry.size_bytes,
        entry.mtime_us,
        len(address),
        len(checksum),
        len(content_type),
        len(checksum2),
        len(metadata),
    )
    return b"".join((header, address, checksum, content_type, checksum2, metadata))


def encode_tombstone() -> bytes:
    """Return the bytes of a staging row that hides what lies below it."""
    return _TOMBSTONE_BYTES


def is_tombstone(data: bytes) -> bool:
    """Tell whether a staging row is a tombstone."""
    return data == _TOMBSTONE_BYTES


def decode_entry(data: bytes) -> Entry | None:
    """Return the entry of a staging row, None for a tombstone; raise Corrupted otherwise."""
    if data == _TOMBSTONE_BYTES:
        return None
    if len(data) < _HEADER.size or data[0] != _ENTRY:
        raise Corrupted(Kind.RECORD_FORMAT, "staging row has an unknown format")
    _, identity, size_bytes, mtime_us, *lengths = _HEADER.unpack_from(data)
    at = _HEADER.size
    if at + sum(lengths) != len(data):
        raise Corrupted(Kind.RECORD_FORMAT, "staging row has a wrong length")
    texts: list[str] = []
    for length in lengths:
        texts.append(data[at : at + length].decode())
        at += length
    address, checksum, content_type, checksum2, metadata = texts
    return Entry(
        Address(address),
        checksum,
        size_bytes,
        mtime_us,
        content_type,
        decode_metadata(metadata),
        checksum2,
        identity,
    )
