"""How a request's body is framed and what it must prove: its forms, and the sink that checks them.

`x-amz-content-sha256` says which form it is (not Content-Encoding: AWS's SDK for Java v1 sends
none). Checksums may come before the body, in headers, or after it, in a trailer.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from anabranch.edge.bodies import receive
from anabranch.edge.http import Request
from anabranch.kernel import limits
from anabranch.kernel.digests import feed
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded
from anabranch.kernel.ids import is_hex
from anabranch.s3 import checksums
from anabranch.s3.checksums import Checksum
from anabranch.s3.chunked import ChunkedDecoder, ChunkSigning
from anabranch.s3.errors import Refused
from anabranch.s3.sigv4 import EMPTY_SHA256, UNSIGNED

STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SHA256_DIGITS = 64

HeaderOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class PayloadForm:
    """How a body is framed and which signature covers it; `sha256` is hex, None for unsigned."""

    sha256: str | None = None
    is_chunked: bool = False
    has_trailer: bool = False
    signing: ChunkSigning | None = None


PLAIN = PayloadForm()
"""A body as it is, covered by nothing."""
_USUAL = {
    UNSIGNED.encode(): PLAIN,
    EMPTY_SHA256.encode(): PayloadForm(sha256=EMPTY_SHA256),
}


def parse_form(value: bytes, make_signing: Callable[[], ChunkSigning]) -> PayloadForm:
    """Return the form that `x-amz-content-sha256` names; raise InvalidArgument, NotImplemented."""
    usual = _USUAL.get(value)
    if usual is not None:
        return usual
    text = value.decode("latin-1")
    if text == STREAMING_SIGNED:
        return PayloadForm(is_chunked=True, signing=make_signing())
    if text == STREAMING_SIGNED_TRAILER:
        return PayloadForm(is_chunked=True, has_trailer=True, signing=make_signing())
    if text == STREAMING_UNSIGNED_TRAILER:
        return PayloadForm(is_chunked=True, has_trailer=True)
    lower = text.lower()
    if is_hex(lower, _SHA256_DIGITS):
        return PayloadForm(sha256=lower)
    if text.startswith("STREAMING-"):
        raise Refused("NotImplemented", f"The payload form {text} is not offered.")
    raise Refused(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a "
        "valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=text,
    )


class Body(Protocol):
    """Where a payload goes; `lake.bodies.Body` is one."""

    @property
    def etag(self) -> str:
        """Return the MD5 of the bytes so far, in hex."""
        ...

    @property
    def size_bytes(self) -> int:
        """Return how many bytes were written."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        ...

    def finish(self) -> object:
        """End the bytes."""
        ...

    def abort(self) -> None:
        """Forget the bytes; harmless a second time."""
        ...


class MemoryBody:
    """A small body kept in memory, for documents; raises LimitExceeded above its limit."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self.size_bytes += len(data)
        if self.size_bytes > self._bytes_max:
            raise LimitExceeded(Kind.TOO_LARGE, f"the body is at most {self._bytes_max} bytes")
        self._parts.append(bytes(data))

    def finish(self) -> None:
        """Do nothing: the bytes are there."""

    def abort(self) -> None:
        """Forget the bytes."""
        self._parts.clear()

    @property
    def data(self) -> bytes:
        """Return all bytes."""
        return b"".join(self._parts)

    @property
    def etag(self) -> str:
        """Return the MD5 in hex."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Promises:
    """What headers say the payload will be; `trailer` is the algorithm a trailer will give."""

    size_bytes: int | None = None
    md5: bytes | None = None
    checksum: Checksum | None = None
    trailer: str = ""
    asked: str = ""  # an algorithm to compute though nothing was promised

    def asking(self, algorithm: str) -> "Promises":
        """Return the same promises, with a checksum to compute besides."""
        return replace(self, asked=algorithm)


def parse_promises(header: HeaderOf, form: PayloadForm, *, bytes_max: int) -> Promises:
    """Return what headers promise; raise for what contradicts itself or is larger than allowed."""
    size_name = "x-amz-decoded-content-length" if form.is_chunked else "content-length"
    size_text = header(size_name)
    size_bytes = None
    if size_text is not None:
        if not size_text.isascii() or not size_text.isdigit():
            raise Refused("InvalidArgument", f"{size_name} is not a number")
        size_bytes = int(size_text[:20])
    elif header("transfer-encoding") is None and header("content-length") is None:
        raise Refused("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if size_bytes is not None and size_bytes > bytes_max:
        raise Refused(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            ProposedSize=size_bytes,
            MaxSizeAllowed=bytes_max,
        )
    md5_text = header("content-md5")
    trailer_text = header("x-amz-trailer") if form.has_trailer else None
    checksum = checksums.parse_headers(header)
    trailer = checksums.parse_trailer(trailer_text) if trailer_text else ""
    if checksum is not None and trailer:
        raise Refused("InvalidRequest", "A checksum is either a header or a trailer, not both.")
    # An algorithm named without a value anywhere: computed and kept, as S3 does.
    algorithm = header("x-amz-sdk-checksum-algorithm") or header("x-amz-checksum-algorithm")
    asked = ""
    if algorithm and checksum is None and not trailer:
        asked = checksums.parse_algorithm(algorithm)
    return Promises(
        size_bytes,
        checksums.parse_md5(md5_text) if md5_text is not None else None,
        checksum,
        trailer,
        asked,
    )


class CheckedBody:
    """A sink between the network and a body: unframes the payload and holds it to its promises.

    `finish` raises when a promise is broken, and whoever writes then aborts it: nothing of the
    body becomes visible. After it, `checksum` is the payload's, if one was promised or asked for.
    """

    def __init__(
        self,
        body: Body,
        form: PayloadForm,
        promises: Promises,
        *,
        bytes_max: int = limits.PUT_BYTES_MAX,
    ) -> None:
        self._body = body
        self._promises = promises
        self._bytes_max = bytes_max
        self._decoder = (
            ChunkedDecoder(form.signing, has_trailer=form.has_trailer) if form.is_chunked else None
        )
        self._expected_sha256 = form.sha256
        self._sha256 = hashlib.sha256() if form.sha256 else None
        wanted = promises.checksum.algorithm if promises.checksum else ""
        self._algorithm = wanted or promises.trailer or promises.asked
        self._hasher = checksums.new_hasher(self._algorithm) if self._algorithm else None
        self._size_bytes = 0
        self.checksum: Checksum | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes as the network gives them."""
        if self._decoder is None:
            self._take(data)
            return
        for piece in self._decoder.feed(data):
            self._take(piece)

    def _take(self, data: bytes | memoryview) -> None:
        self._size_bytes += len(data)
        if self._size_bytes > self._bytes_max:
            raise Refused("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        if self._sha256 is not None:
            feed(self._sha256, data)
        if self._hasher is not None:
            self._hasher.update(data)
        self._body.write(data)

    def finish(self) -> None:
        """Judge everything that was promised, then finish the body."""
        if self._decoder is not None:
            self._decoder.close()
        size_bytes = self._promises.size_bytes
        if size_bytes is not None and size_bytes != self._size_bytes:
            raise InvalidInput(
                Kind.TRUNCATED,
                f"You did not provide the number of bytes specified: {self._size_bytes} came "
                f"of {size_bytes}",
            )
        if self._sha256 is not None and self._expected_sha256 is not None:
            found = self._sha256.hexdigest()
            if not hmac.compare_digest(found, self._expected_sha256):
                raise Refused(
                    "XAmzContentSHA256Mismatch",
                    "The provided 'x-amz-content-sha256' header does not match what was computed.",
                    ClientComputedContentSHA256=self._expected_sha256,
                    S3ComputedContentSHA256=found,
                )
        self._judge_checksum()
        md5 = self._promises.md5
        if md5 is not None and not hmac.compare_digest(md5.hex(), self._body.etag):
            raise Refused(
                "BadDigest", "The Content-MD5 you specified did not match what we received."
            )
        self._body.finish()

    def _judge_checksum(self) -> None:
        if self._hasher is None:
            return
        found = Checksum(self._algorithm, self._hasher.digest())
        if self._promises.checksum is not None:
            checksums.require_equal(self._promises.checksum, found)
        if self._promises.trailer:
            assert self._decoder is not None
            text = self._decoder.trailers.get(checksums.HEADER_PREFIX + self._algorithm)
            if text is None:
                raise Refused(
                    "MalformedTrailerError", "The trailing header that was announced did not come."
                )
            checksums.require_equal(checksums.parse_value(self._algorithm, text), found)
        self.checksum = found

    def abort(self) -> None:
        """Forget the bytes."""
        self._body.abort()


async def receive_document(request: Request, header: HeaderOf, form: PayloadForm) -> bytes:
    """Return a body of at most XML_BODY_BYTES_MAX; raise MaxMessageLengthExceeded above."""
    bytes_max = limits.XML_BODY_BYTES_MAX
    body = MemoryBody(bytes_max)
    promises = parse_promises(header, form, bytes_max=limits.PUT_BYTES_MAX)
    try:
        if promises.size_bytes is not None and promises.size_bytes > bytes_max:
            raise LimitExceeded(Kind.TOO_LARGE, f"the body is at most {bytes_max} bytes")
        await receive(request, CheckedBody(body, form, promises))
    except LimitExceeded as problem:
        if problem.kind is not Kind.TOO_LARGE:
            raise
        raise Refused("MaxMessageLengthExceeded", "Your request was too big.") from None
    return body.data
