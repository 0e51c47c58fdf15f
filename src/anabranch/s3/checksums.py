"""The checksums a client may send in headers and trailers: CRC32, CRC32C, CRC64NVME, SHA1, SHA256.

Values are base64 of the big-endian bytes. In an entry a checksum is `algorithm:value`, and of a
multipart object made of its parts' checksums `algorithm:value-N`.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Protocol

from anabranch.native import wire
from anabranch.s3.errors import Refused

HEADER_PREFIX = "x-amz-checksum-"
SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
"""Algorithm -> length of its value in bytes."""
CRCS = ("crc32", "crc32c", "crc64nvme")
_ELEMENTS = {name: f"Checksum{name.upper()}" for name in SIZES}
COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"


class Hasher(Protocol):
    """A checksum of bytes that come in pieces."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""
        ...

    def digest(self) -> bytes:
        """Return the value of all bytes so far."""
        ...


class _Crc:
    def __init__(self, name: str) -> None:
        self._name = name
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = wire.crc_update(self._name, self._value, data)

    def digest(self) -> bytes:
        return self._value.to_bytes(SIZES[self._name], "big")


def new_hasher(algorithm: str) -> Hasher:
    """Return a fresh hasher of one of SIZES."""
    if algorithm in CRCS:
        return _Crc(algorithm)
    if algorithm == "sha256":
        return hashlib.sha256()
    return hashlib.sha1(usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum as it is stored; `part_count` is 0 unless it was made of parts' checksums."""

    algorithm: str
    value: bytes
    part_count: int = 0

    def text(self) -> str:
        """Return the value as headers and XML write it."""
        encoded = base64.b64encode(self.value).decode()
        return f"{encoded}-{self.part_count}" if self.part_count else encoded

    def stored(self) -> str:
        """Return the text an entry keeps."""
        return f"{self.algorithm}:{self.text()}"

    @property
    def header(self) -> str:
        """Return the name of its header."""
        return HEADER_PREFIX + self.algorithm

    @property
    def element(self) -> str:
        """Return the name of its XML element."""
        return _ELEMENTS[self.algorithm]

    @property
    def type(self) -> str:
        """Return S3's name for what it covers."""
        return COMPOSITE if self.part_count else FULL_OBJECT


def parse_stored(text: str) -> Checksum | None:
    """Return the checksum an entry keeps; None when it has none that S3 knows."""
    algorithm, _, value = text.partition(":")
    if algorithm not in SIZES:
        return None
    encoded, _, count = value.partition("-")
    return Checksum(algorithm, base64.b64decode(encoded), int(count) if count else 0)


def parse_value(algorithm: str, text: str) -> Checksum:
    """Return the checksum of a header or trailer; raise InvalidRequest when it can not be one."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != SIZES[algorithm]:
        raise Refused("InvalidRequest", f"Value for {HEADER_PREFIX}{algorithm} header is invalid.")
    return Checksum(algorithm, value)


def parse_algorithm(text: str) -> str:
    """Return the algorithm of `x-amz-checksum-algorithm` and the like; raise InvalidRequest."""
    algorithm = text.strip().lower()
    if algorithm not in SIZES:
        raise Refused(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            "types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    return algorithm


def parse_headers(header: Callable[[str], str | None]) -> Checksum | None:
    """Return the one checksum that headers carry; raise InvalidRequest when there are more."""
    found = [
        parse_value(algorithm, value)
        for algorithm in SIZES
        if (value := header(HEADER_PREFIX + algorithm)) is not None
    ]
    if len(found) > 1:
        raise Refused(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple were sent."
        )
    return found[0] if found else None


def parse_trailer(text: str) -> str:
    """Return the algorithm that `x-amz-trailer` announces; raise InvalidRequest."""
    name = text.strip().lower()
    if not name.startswith(HEADER_PREFIX) or name[len(HEADER_PREFIX) :] not in SIZES:
        raise Refused(
            "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
        )
    return name[len(HEADER_PREFIX) :]


def parse_md5(text: str) -> bytes:
    """Return the 16 bytes of a Content-MD5 header; raise InvalidDigest."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise Refused("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return value


def require_equal(expected: Checksum, found: Checksum) -> None:
    """Raise BadDigest unless both are the same value."""
    if not compare_digest(expected.value, found.value):
        raise Refused(
            "BadDigest",
            f"The {expected.algorithm.upper()} you specified did not match the calculated checksum",
        )


def composite(algorithm: str, parts: Sequence[Checksum]) -> Checksum:
    """Return the checksum of the parts' checksums."""
    hasher = new_hasher(algorithm)
    for part in parts:
        hasher.update(part.value)
    return Checksum(algorithm, hasher.digest(), len(parts))


def full_object(algorithm: str, parts: Iterable[tuple[Checksum, int]]) -> Checksum:
    """Return the CRC of the joined parts from each part's CRC and size in bytes."""
    value = 0
    for part, size_bytes in parts:
        found = int.from_bytes(part.value, "big")
        value = wire.crc_combine(algorithm, value, found, size_bytes)
    return Checksum(algorithm, value.to_bytes(SIZES[algorithm], "big"))


def child_checksum(texts: Callable[[str], str | None]) -> Checksum | None:
    """Return the checksum among a part's XML elements; raise InvalidRequest when it is not one."""
    for algorithm, name in _ELEMENTS.items():
        value = texts(name)
        if value is not None:
            return parse_value(algorithm, value)
    return None
