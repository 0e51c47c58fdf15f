"""The `aws-chunked` body: chunks with or without signatures, and a trailer.

A push parser: bytes go in as they come, slices of the payload come out, without copies. A chunk's
signature is judged when the chunk has passed through; whoever keeps the slices must drop them when
a later call raises, so nothing becomes visible before `close`.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.s3.errors import Refused
from anabranch.s3.sigv4 import EMPTY_SHA256

_SIGNED_HEADER = re.compile(rb"([0-9a-fA-F]{1,12});chunk-signature=([0-9a-f]{64})")
_PLAIN_HEADER = re.compile(rb"([0-9a-fA-F]{1,12})(?:;[^\x00-\x1f]*)?")
_TRAILER = re.compile(rb"([A-Za-z0-9-]+)[ \t]*:[ \t]*([^\x00-\x08\x0a-\x1f]*?)[ \t\n]*")
_SIGNATURE_TRAILER = "x-amz-trailer-signature"


@dataclass(frozen=True, slots=True)
class ChunkSigning:
    """What chunk signatures hang on: the request's key, date, scope and its own signature."""

    key: bytes
    date: bytes
    scope: bytes
    seed: bytes

    def sign_chunk(self, previous: bytes, payload_hash: str) -> bytes:
        """Return a chunk's signature, given the one before it."""
        parts = (
            b"AWS4-HMAC-SHA256-PAYLOAD",
            self.date,
            self.scope,
            previous,
            EMPTY_SHA256.encode(),
            payload_hash.encode(),
        )
        return hmac.digest(self.key, b"\n".join(parts), "sha256").hex().encode()

    def sign_trailer(self, previous: bytes, trailer: bytes) -> bytes:
        """Return the signature of the trailing headers, written `name:value` with newlines."""
        hashed = hashlib.sha256(trailer).hexdigest().encode()
        parts = (b"AWS4-HMAC-SHA256-TRAILER", self.date, self.scope, previous, hashed)
        return hmac.digest(self.key, b"\n".join(parts), "sha256").hex().encode()


class _At(Enum):
    HEADER = 1
    DATA = 2
    DATA_END = 3
    TRAILER = 4
    DONE = 5


class ChunkedDecoder:
    """Decodes one body; `trailers` (lower-case names) are complete after `close`.

    `signing` None takes unsigned chunks. `has_trailer` says that the request announced one: a
    signed one then needs its own signature.
    """

    def __init__(self, signing: ChunkSigning | None, *, has_trailer: bool) -> None:
        self.trailers: dict[str, str] = {}
        self.size_bytes = 0
        self._signing = signing
        self._has_trailer = has_trailer
        self._previous = signing.seed if signing else b""
        self._claimed = b""
        self._hasher = hashlib.sha256()
        self._at = _At.HEADER
        self._left = 0  # bytes of the chunk still to come
        self._is_last = False
        self._line = b""  # the beginning of a line whose end has not come
        self._trailer_lines: list[bytes] = []

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """Yield the payload in `data`; the slices live as long as `data`.

        Raises InvalidInput for a malformed body, SignatureDoesNotMatch for a wrong signature.
        """
        view = memoryview(data)
        at, end = 0, len(view)
        while at < end:
            if self._at is _At.DATA:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self.size_bytes += len(piece)
                if self._signing is not None:
                    self._hasher.update(piece)
                yield piece
                if not self._left:
                    self._end_chunk()
                    self._at = _At.DATA_END
            elif self._at is _At.DONE:
                raise _malformed("there are bytes after the last chunk")
            else:
                at = self._take_line(view, at)

    def close(self) -> None:
        """Raise InvalidInput(TRUNCATED) unless the last chunk and its trailer were seen."""
        if self._at is not _At.DONE:
            raise InvalidInput(Kind.TRUNCATED, "the body ends before its last chunk")

    def _take_line(self, view: memoryview, at: int) -> int:
        """Take one line, or the rest of `view` into an unfinished one; return the place after."""
        piece = bytes(view[at : at + limits.CHUNK_HEADER_BYTES_MAX + 2])
        line = self._line + piece
        # The CR may be the last byte of what came before.
        found = line.find(b"\r\n", max(0, len(self._line) - 1))
        if found < 0:
            if len(line) > limits.CHUNK_HEADER_BYTES_MAX + 1:
                raise _malformed("a chunk's header is too long")
            self._line = line
            return at + len(piece)
        if found > limits.CHUNK_HEADER_BYTES_MAX:
            raise _malformed("a chunk's header is too long")
        at += found + 2 - len(self._line)
        self._line = b""
        self._end_line(line[:found])
        return at

    def _end_line(self, line: bytes) -> None:
        if self._at is _At.HEADER:
            self._start_chunk(line)
        elif self._at is _At.DATA_END:
            if line:
                raise _malformed("a chunk is longer than its header says")
            self._at = _At.HEADER
        elif line:
            self._add_trailer(line)
        else:
            self._end_trailer()
            self._at = _At.DONE

    def _start_chunk(self, line: bytes) -> None:
        pattern = _PLAIN_HEADER if self._signing is None else _SIGNED_HEADER
        match = pattern.fullmatch(line)
        if match is None:
            raise _malformed("a chunk's header is malformed")
        self._left = int(match.group(1), 16)
        if self._signing is not None:
            self._claimed = match.group(2)
            if self._left > limits.CHUNK_BYTES_MAX:
                raise _malformed(f"a signed chunk is at most {limits.CHUNK_BYTES_MAX} bytes")
        if self._left:
            self._at = _At.DATA
            return
        self._end_chunk()
        self._at = _At.TRAILER

    def _end_chunk(self) -> None:
        if self._signing is None:
            return
        expected = self._signing.sign_chunk(self._previous, self._hasher.hexdigest())
        if not hmac.compare_digest(expected, self._claimed):
            raise Refused("SignatureDoesNotMatch", "A chunk's signature does not match its bytes.")
        self._previous = expected
        self._hasher = hashlib.sha256()

    def _add_trailer(self, line: bytes) -> None:
        match = _TRAILER.fullmatch(line)
        if match is None or not self._has_trailer or len(self.trailers) >= limits.TRAILERS_MAX:
            raise Refused("MalformedTrailerError", "The request's trailing headers are malformed.")
        name = match.group(1).decode().lower()
        if name in self.trailers:
            raise Refused("MalformedTrailerError", f"The trailing header {name} is given twice.")
        self.trailers[name] = match.group(2).decode("latin-1")
        if name != _SIGNATURE_TRAILER:
            self._trailer_lines.append(name.encode() + b":" + match.group(2) + b"\n")

    def _end_trailer(self) -> None:
        if self._signing is None or not self._has_trailer:
            return
        claimed = self.trailers.pop(_SIGNATURE_TRAILER, "").encode("latin-1")
        expected = self._signing.sign_trailer(self._previous, b"".join(self._trailer_lines))
        if not hmac.compare_digest(expected, claimed):
            raise Refused("SignatureDoesNotMatch", "The trailer's signature does not match.")


def _malformed(message: str) -> Refused:
    return Refused("InvalidRequest", f"The chunked body is malformed: {message}.")
