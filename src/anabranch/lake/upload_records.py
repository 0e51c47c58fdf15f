"""Values and KV records of multipart uploads.

docs/formats/records.md lists the fields in their order.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.entries import Metadata, decode_metadata, encode_metadata
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded, NotFound
from anabranch.kernel.ids import BranchId, RepositoryId, UploadId
from anabranch.lake import records
from anabranch.storage.blocks.base import Extent


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completed upload became; `parts` names the list of parts that was completed."""

    parts: bytes
    etag: str
    size_bytes: int
    mtime_us: int
    checksum2: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload, of the lake (with `repository` and `branch`) or of the raw store.

    `scope` is the repository's incarnation, or the raw bucket. `address` is where the object will
    be; `version` is the record's, which moves only when the upload is over.
    """

    id: UploadId
    scope: str
    repository: RepositoryId | None
    branch: BranchId | None
    path: str
    address: str
    content_type: str
    metadata: Metadata
    checksum_algorithm: str
    created_us: int
    completed: Completed | None = None
    version: int = 0

    @property
    def key(self) -> str:
        """Return the S3 key that the upload is listed under."""
        return self.path if self.branch is None else f"{self.branch}/{self.path}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an upload; `etag` is the MD5 in hex; `version` is its key's."""

    number: int
    etag: str
    size_bytes: int
    mtime_us: int
    checksum2: str
    extents: tuple[Extent, ...]
    version: int = 0


class _CompletedRow(msgspec.Struct, array_like=True):
    parts: bytes
    etag: str
    size_bytes: int
    mtime_us: int
    checksum2: str


class _UploadRow(msgspec.Struct, array_like=True):
    scope: str
    repository: str
    branch: str
    path: str
    address: str
    content_type: str
    metadata: str
    checksum_algorithm: str
    created_us: int
    completed: _CompletedRow | None


class _PartRow(msgspec.Struct, array_like=True):
    etag: str
    size_bytes: int
    mtime_us: int
    checksum2: str
    extents: list[tuple[str, int, int]]


def encode_upload(upload: Upload) -> bytes:
    """Return the record of an upload."""
    done = upload.completed
    return records.encode_record(
        _UploadRow(
            upload.scope,
            upload.repository or "",
            upload.branch or "",
            upload.path,
            upload.address,
            upload.content_type,
            encode_metadata(upload.metadata),
            upload.checksum_algorithm,
            upload.created_us,
            None
            if done is None
            else _CompletedRow(
                done.parts, done.etag, done.size_bytes, done.mtime_us, done.checksum2
            ),
        )
    )


def decode_upload(upload_id: UploadId, data: bytes, version: int) -> Upload:
    """Return the upload of a record."""
    row = records.decode_record(data, _UploadRow)
    done = row.completed
    return Upload(
        upload_id,
        row.scope,
        RepositoryId(row.repository) if row.repository else None,
        BranchId(row.branch) if row.branch else None,
        row.path,
        row.address,
        row.content_type,
        decode_metadata(row.metadata),
        row.checksum_algorithm,
        row.created_us,
        None
        if done is None
        else Completed(done.parts, done.etag, done.size_bytes, done.mtime_us, done.checksum2),
        version,
    )


def encode_part(part: Part) -> bytes:
    """Return the record of a part."""
    extents = [(one.file, one.offset, one.length) for one in part.extents]
    return records.encode_record(
        _PartRow(part.etag, part.size_bytes, part.mtime_us, part.checksum2, extents)
    )


def decode_part(number: int, data: bytes, version: int) -> Part:
    """Return the part of a record."""
    row = records.decode_record(data, _PartRow)
    extents = tuple(Extent(*one) for one in row.extents)
    return Part(number, row.etag, row.size_bytes, row.mtime_us, row.checksum2, extents, version)


def digest_of_parts(parts: Sequence[tuple[int, str]]) -> bytes:
    """Return 16 bytes that name a list of parts, so that the same complete is known again."""
    text = "\n".join(f"{number} {etag}" for number, etag in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def multipart_etag(etags: Sequence[str]) -> str:
    """Return S3's ETag of an object of parts: the MD5 of their MD5s, and how many they are."""
    whole = hashlib.md5(usedforsecurity=False)
    for etag in etags:
        whole.update(bytes.fromhex(etag))
    return f"{whole.hexdigest()}-{len(etags)}"


def check_order(parts: Sequence[tuple[int, str]]) -> None:
    """Raise InvalidInput or LimitExceeded unless numbers ascend, each once, and there are some."""
    if not parts:
        raise InvalidInput(Kind.PART_MISSING, "an upload is completed with at least one part")
    if len(parts) > limits.PARTS_MAX:
        raise LimitExceeded(Kind.TOO_MANY, f"at most {limits.PARTS_MAX} parts, not {len(parts)}")
    last = 0
    for number, _ in parts:
        if number <= last:
            raise InvalidInput(Kind.PART_ORDER, "parts are listed in ascending order, each once")
        last = number


def check_parts(parts: Sequence[tuple[int, str]], found: Sequence[Part]) -> None:
    """Raise InvalidInput unless ETags agree and all parts but the last are large enough."""
    for (number, etag), part in zip(parts, found, strict=True):
        if part.etag != etag:
            raise part_missing(number)
    for part in found[:-1]:
        if part.size_bytes < limits.PART_BYTES_MIN:
            raise InvalidInput(
                Kind.PART_TOO_SMALL,
                f"part {part.number} has {part.size_bytes} bytes; every part but the last has at"
                f" least {limits.PART_BYTES_MIN}",
            )


def part_missing(number: int) -> InvalidInput:
    """Return the error for a part that is not there, or not the one listed."""
    return InvalidInput(
        Kind.PART_MISSING, f"part {number} was not uploaded, or has another ETag", part=number
    )


def upload_over(upload_id: UploadId) -> NotFound:
    """Return the error for an upload that is not open."""
    return NotFound(
        Kind.UPLOAD_NOT_FOUND, f"no upload {upload_id!r}: it never was, was aborted, or is complete"
    )
