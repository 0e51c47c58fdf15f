"""The commit value, its canonical bytes and its id. docs/formats/commit.md describes the bytes."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anabranch.kernel import limits
from anabranch.kernel.entries import Metadata, decode_metadata, encode_metadata
from anabranch.kernel.errors import Corrupted, InvalidInput, Kind
from anabranch.kernel.ids import CommitId, MetarangeId
from anabranch.native import ranges as native

FORMAT_VERSION = 1
_NUMBERS = struct.Struct("<BqqI")
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Commit:
    """One immutable point of history; `created_us` in microseconds since 1970 UTC.

    `generation` is 1 for a commit without parents, else one more than the highest parent's.
    """

    id: CommitId
    metarange: MetarangeId
    parents: tuple[CommitId, ...]
    committer: str
    message: str
    metadata: Metadata
    created_us: int
    generation: int


def new_commit(
    *,
    metarange: MetarangeId,
    parents: Iterable["Commit"],
    committer: str,
    message: str,
    metadata: Metadata,
    created_us: int,
) -> Commit:
    """Return a commit on its parents, with its id and generation."""
    above = tuple(parents)
    draft = Commit(
        CommitId(""),
        metarange,
        tuple(parent.id for parent in above),
        committer,
        message,
        metadata,
        created_us,
        1 + max((parent.generation for parent in above), default=0),
    )
    data = encode_commit(draft)
    return decode_commit(commit_id_of(data), data)


def commit_id_of(data: bytes) -> CommitId:
    """Return the id of a commit's canonical bytes."""
    return CommitId(native.blake3(data).hex())


def encode_commit(commit: Commit) -> bytes:
    """Return the canonical bytes: the id is their hash, so it is not in them."""
    parts = [
        _NUMBERS.pack(FORMAT_VERSION, commit.created_us, commit.generation, len(commit.parents))
    ]
    parts += [bytes.fromhex(parent) for parent in commit.parents]
    texts = (
        commit.metarange,
        commit.committer,
        commit.message,
        encode_metadata(commit.metadata),
    )
    for text in texts:
        data = text.encode()
        parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)


def decode_commit(commit_id: CommitId, data: bytes) -> Commit:
    """Return the commit of canonical bytes; raise Corrupted when they do not hash to its id."""
    if commit_id_of(data) != commit_id:
        raise Corrupted(Kind.RECORD_FORMAT, f"commit {commit_id} does not hash to its id")
    version, created_us, generation, parent_count = _NUMBERS.unpack_from(data)
    if version != FORMAT_VERSION:
        raise Corrupted(Kind.RECORD_FORMAT, f"commit {commit_id} has format {version}")
    at = _NUMBERS.size
    parents = []
    for _ in range(parent_count):
        parents.append(CommitId(data[at : at + 32].hex()))
        at += 32
    texts = []
    for _ in range(4):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        texts.append(data[at : at + length].decode())
        at += length
    metarange, committer, message, metadata = texts
    return Commit(
        commit_id,
        MetarangeId(metarange),
        tuple(parents),
        committer,
        message,
        decode_metadata(metadata),
        created_us,
        generation,
    )


def parse_message(text: str) -> str:
    """Return a commit message; raise InvalidInput past 64 KiB."""
    if len(text.encode("utf-8", "surrogatepass")) > limits.MESSAGE_BYTES_MAX:
        raise InvalidInput(Kind.MESSAGE, f"a message is at most {limits.MESSAGE_BYTES_MAX} bytes")
    return text


def parse_commit_metadata(pairs: Mapping[str, str]) -> Metadata:
    """Return commit metadata sorted by key; raise InvalidInput past its limits."""
    size_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in pairs.items())
    if len(pairs) > limits.METADATA_PAIRS_MAX or size_bytes > limits.METADATA_BYTES_MAX:
        raise InvalidInput(Kind.METADATA, "commit metadata has too many pairs or bytes")
    return tuple(sorted(pairs.items()))
