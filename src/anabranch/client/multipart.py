"""Uploads in parts through the server's S3 gateway, which has what the REST API lacks.

Requests are signed by SigV4 with the same keys; bodies are not hashed for the signature, as their
MD5 comes back as the part's ETag and is compared.
"""

import hashlib
import hmac
import html
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from anabranch.client.transport import Transport, checked_type, metadata_headers
from anabranch.kernel.errors import (
    AnabranchError,
    Conflict,
    Forbidden,
    InvalidInput,
    Kind,
    NotFound,
    Unauthenticated,
    Unavailable,
)

_REGION = "us-east-1"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_OK = 200
_NO_CONTENT = 204
_PARTS_PAGE = 1_000
_ERRORS: dict[int, tuple[type[AnabranchError], Kind]] = {
    400: (InvalidInput, Kind.VALUE),
    401: (Unauthenticated, Kind.CREDENTIALS),
    403: (Forbidden, Kind.FORBIDDEN),
    404: (NotFound, Kind.UPLOAD_NOT_FOUND),
    409: (Conflict, Kind.CONFLICT),
    503: (Unavailable, Kind.BUSY),
}
_Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part the server holds: its size and the MD5 of its bytes, in hex."""

    size_bytes: int
    md5: str


class Multipart:
    """The open uploads of one object. Every method may raise what `Transport` does, and refusals.

    The key begins with the branch, so a branch whose name has a slash is not for this class.
    """

    def __init__(self, transport: Transport, repository: str, branch: str, path: str) -> None:
        assert "/" not in branch
        self._transport = transport
        self._bucket = f"/{repository}"
        self._key = f"{branch}/{path}"
        self._target = quote(f"{self._bucket}/{self._key}", safe="/-_.~")

    def find(self) -> list[str]:
        """Return the open uploads of the object, of at most the first page of its key's prefix."""
        query = (("encoding-type", "url"), ("prefix", self._key), ("uploads", ""))
        data = self._send("GET", self._bucket, query)
        return [
            _text(one, "UploadId")
            for one in re.findall(r"<Upload>.*?</Upload>", data, re.S)
            if unquote(_text(one, "Key")) == self._key
        ]

    def create(self, content_type: str, metadata: Mapping[str, str]) -> str:
        """Start an upload and return its id."""
        headers: dict[str, str | bytes] = {"content-type": checked_type(content_type)}
        headers |= metadata_headers(metadata, "x-amz-meta-")
        data = self._send("POST", self._target, (("uploads", ""),), headers)
        return _text(data, "UploadId")

    def parts(self, upload_id: str) -> dict[int, SentPart]:
        """Return the parts an upload has, by number."""
        found: dict[int, SentPart] = {}
        after = "0"
        while True:
            query = (
                ("max-parts", str(_PARTS_PAGE)),
                ("part-number-marker", after),
                ("uploadId", upload_id),
            )
            data = self._send("GET", self._target, query)
            for one in re.findall(r"<Part>.*?</Part>", data, re.S):
                part = SentPart(int(_text(one, "Size")), _text(one, "ETag").strip('"'))
                found[int(_text(one, "PartNumber"))] = part
            if _text(data, "IsTruncated") != "true":
                return found
            after = _text(data, "NextPartNumberMarker")

    def send_part(
        self, upload_id: str, number: int, body: Iterable[bytes], size_bytes: int
    ) -> None:
        """Store one part."""
        query = (("partNumber", str(number)), ("uploadId", upload_id))
        headers = {"content-length": str(size_bytes)}
        self._send("PUT", self._target, query, headers, body)

    def complete(self, upload_id: str, md5s: list[str]) -> str:
        """Make the object of all parts, whose MD5s the server compares; return its checksum."""
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{md5}</ETag></Part>"
            for number, md5 in enumerate(md5s, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        data = self._send("POST", self._target, (("uploadId", upload_id),), {}, body)
        return _text(data, "ETag").strip('"')

    def abort(self, upload_id: str) -> None:
        """End an upload without an object."""
        self._send("DELETE", self._target, (("uploadId", upload_id),))

    def _send(
        self,
        method: str,
        target: str,
        query: _Pairs = (),
        headers: Mapping[str, str | bytes] | None = None,
        body: bytes | Iterable[bytes] = b"",
    ) -> str:
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
        signed = self._sign(method, target, text, headers or {})
        status, data = self._transport.send(method, f"{target}?{text}", signed, body)
        answer = data.decode("utf-8", "replace")
        if status not in (_OK, _NO_CONTENT):
            raise self._refusal(status, answer, f"{method} {target}")
        return answer

    def _refusal(self, status: int, answer: str, asked: str) -> AnabranchError:
        base, kind = _ERRORS.get(status, (AnabranchError, Kind.STORE_FAILED))
        code, message = _text(answer, "Code"), _text(answer, "Message")
        said = f"{code}: {message}" if code else f"status {status}"
        return base(kind, said, asked=f"{asked} of {self._transport.server.url}")

    def _sign(
        self, method: str, target: str, query: str, headers: Mapping[str, str | bytes]
    ) -> dict[str, str | bytes]:
        server = self._transport.server
        # The server judges by the clock how old a signature is.
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sent: dict[str, str | bytes] = {
            **headers,
            "host": server.url.partition("://")[2],
            "x-amz-content-sha256": _UNSIGNED,
            "x-amz-date": now,
        }
        lines = {name.lower(): _header_text(value).strip() for name, value in sent.items()}
        names = ";".join(sorted(lines))
        canonical = "\n".join(
            (
                method,
                target,
                query,
                *(f"{name}:{lines[name]}" for name in sorted(lines)),
                "",
                names,
                _UNSIGNED,
            )
        )
        scope = f"{now[:8]}/{_REGION}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        wanted = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
        key = f"AWS4{server.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, wanted.encode(), "sha256").hex()
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={server.access_key}/{scope},"
            f"SignedHeaders={names},Signature={signature}"
        )
        return sent


def _header_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _text(document: str, name: str) -> str:
    """Return the text of the first element of a name; the server's documents have no attributes."""
    found = re.search(rf"<{name}>(.*?)</{name}>", document, re.S)
    return html.unescape(found[1]) if found else ""
