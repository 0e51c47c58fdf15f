"""Heads of requests, ready to send: S3's with Signature Version 4, REST's with a Basic header."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import quote

from tests.support.server import ACCESS_KEY, SECRET_KEY

UNSIGNED = "UNSIGNED-PAYLOAD"
_NOTHING = hashlib.sha256().hexdigest()
_REGION = "us-east-1"
_SIGNED = "host;x-amz-content-sha256;x-amz-date"


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one server at one moment; a signature is good for a quarter of an hour."""

    address: str
    stamp: str
    key: bytes
    access_key: str

    @classmethod
    def now(
        cls, address: str, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY
    ) -> Signer:
        """Return one for this moment."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        key = _keyed(f"AWS4{secret_key}".encode(), stamp[:8])
        for part in (_REGION, "s3", "aws4_request"):
            key = _keyed(key, part)
        return cls(address, stamp, key, access_key)

    def head(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        length: int | None = None,
        payload: str = "",
    ) -> bytes:
        """Return a signed head; `payload` is the body's SHA-256 or UNSIGNED."""
        target = quote(path)
        asked = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in sorted((query or {}).items())
        )
        digest = payload or _NOTHING
        canonical = (
            f"{method}\n{target}\n{asked}\nhost:{self.address}\n"
            f"x-amz-content-sha256:{digest}\nx-amz-date:{self.stamp}\n\n{_SIGNED}\n{digest}"
        )
        scope = f"{self.stamp[:8]}/{_REGION}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.stamp}\n{scope}\n{hashed}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        sized = "" if length is None else f"content-length: {length}\r\n"
        return (
            f"{method} {target}{'?' if asked else ''}{asked} HTTP/1.1\r\nhost: {self.address}\r\n"
            f"x-amz-content-sha256: {digest}\r\nx-amz-date: {self.stamp}\r\n"
            f"authorization: AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
            f"SignedHeaders={_SIGNED}, Signature={signature}\r\n{sized}\r\n"
        ).encode()


def rest_head(
    address: str,
    method: str,
    path: str,
    *,
    length: int | None = None,
    content_type: str = "application/octet-stream",
) -> bytes:
    """Return the head of a REST request; `path` follows the API's base path, already coded."""
    token = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
    sized = ""
    if length is not None:
        sized = f"content-length: {length}\r\ncontent-type: {content_type}\r\n"
    return (
        f"{method} /api/v1{path} HTTP/1.1\r\nhost: {address}\r\n"
        f"authorization: Basic {token}\r\n{sized}\r\n"
    ).encode()
