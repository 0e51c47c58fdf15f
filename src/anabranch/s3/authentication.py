"""Who sent a request: SigV4 by header or presigned, SigV2 by header or presigned.

Everything is judged before the first byte of the body is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_to_bytes

from anabranch.edge.http import Request
from anabranch.kernel.clock import Clock
from anabranch.s3 import sigv2, sigv4
from anabranch.s3.addressing import Address
from anabranch.s3.chunked import ChunkSigning
from anabranch.s3.errors import Refused
from anabranch.s3.payload import PLAIN, PayloadForm, parse_form
from anabranch.s3.sigv4 import Headers, Pairs

_SHA256_HEADER = b"x-amz-content-sha256"


class Credential(Protocol):
    """An access key; `access` has them."""

    @property
    def secret(self) -> str:
        """Return the secret that signs."""
        ...

    @property
    def user(self) -> str:
        """Return whose key it is."""
        ...


FindCredential = Callable[[str], Credential | None]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request and how its body is to be read; `is_by_query` for presigned URLs."""

    user: str
    key_id: str
    form: PayloadForm
    is_by_query: bool


def parse_pairs(query_string: bytes) -> list[tuple[bytes, bytes]]:
    """Return a query's decoded pairs in order; a plus is a space, as S3 and clients mean it."""
    if not query_string:
        return []
    pairs = []
    for part in query_string.replace(b"+", b" ").split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return pairs


def join_headers(headers: list[tuple[bytes, bytes]]) -> Headers:
    """Return headers by name; the values of a repeated one are joined by commas."""
    joined: Headers = dict(headers)
    if len(joined) == len(headers):
        return joined
    joined.clear()
    for name, value in headers:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


class Authenticator:
    """Verifies signatures against the credentials of one surface."""

    def __init__(self, find_credential: FindCredential, clock: Clock) -> None:
        self._find = find_credential
        self._clock = clock
        self._keys = sigv4.SigningKeys()

    def authenticate(
        self, request: Request, headers: Headers, pairs: Pairs, address: Address
    ) -> Identity:
        """Return who sent the request; raise Refused with the code S3 has for the problem."""
        authorization = headers.get(b"authorization")
        names = {name for name, _ in pairs}
        is_v4_query = b"X-Amz-Signature" in names or b"X-Amz-Algorithm" in names
        is_v2_query = b"AWSAccessKeyId" in names
        if authorization is not None:
            if is_v4_query or is_v2_query:
                raise Refused(
                    "InvalidArgument",
                    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                    "Signature query string parameter or the Authorization header should be "
                    "specified",
                )
            if authorization.startswith(sigv4.ALGORITHM):
                return self._v4(request, headers, pairs, sigv4.parse_header(headers))
            if authorization.startswith(sigv2.PREFIX):
                return self._v2(request, headers, pairs, address, sigv2.parse_header(headers))
            raise Refused("InvalidArgument", "Unsupported Authorization Type")
        if is_v4_query:
            return self._v4(request, headers, pairs, sigv4.parse_presigned(pairs))
        if is_v2_query:
            return self._v2(request, headers, pairs, address, sigv2.parse_presigned(pairs))
        raise Refused("AccessDenied", "Access Denied: the request is not signed")

    def _credential(self, key_id: str) -> Credential:
        found = self._find(key_id)
        if found is None:
            raise Refused(
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                AWSAccessKeyId=key_id,
            )
        return found

    def _v4(self, request: Request, headers: Headers, pairs: Pairs, claim: sigv4.Claim) -> Identity:
        is_by_query = claim.expires_s is not None
        payload_hash = headers.get(_SHA256_HEADER)
        if is_by_query and payload_hash is None:
            # Presigned: the hash may stand in the query, and most do not name one.
            lower = {name.lower(): value for name, value in pairs}
            payload_hash = lower.get(_SHA256_HEADER, sigv4.UNSIGNED.encode())
        if payload_hash is None:
            raise Refused(
                "InvalidRequest",
                "Missing required header for this request: x-amz-content-sha256",
            )
        sigv4.check_time(claim, self._clock.now_ns() / 1e9)
        credential = self._credential(claim.key_id)
        key = self._keys.get(credential.secret, claim.scope)
        parts = sigv4.Parts(
            request.method.encode(),
            request.raw_path,
            request.query_string,
            pairs,
            headers,
            payload_hash,
        )
        sigv4.verify(claim, parts, key)
        form = parse_form(
            payload_hash.decode("latin-1"),
            lambda: ChunkSigning(key, claim.date, claim.scope, claim.signature),
        )
        return Identity(credential.user, claim.key_id, form, is_by_query)

    def _v2(
        self,
        request: Request,
        headers: Headers,
        pairs: Pairs,
        address: Address,
        claim: sigv2.Claim,
    ) -> Identity:
        sigv2.check_time(claim, headers, self._clock.now_ns() / 1e9)
        credential = self._credential(claim.key_id)
        resource = request.raw_path or b"/"
        if address.is_virtual_host:
            resource = b"/" + address.bucket.encode() + resource
        sigv2.verify(
            claim,
            credential.secret,
            method=request.method.encode(),
            resource=resource,
            query=pairs,
            headers=headers,
        )
        # Not covered by the signature, but a body framed this way has to be read this way.
        framing = headers.get(_SHA256_HEADER, b"").decode("latin-1")
        form = PLAIN
        if framing == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            form = PayloadForm(is_chunked=True, has_trailer=True)
        return Identity(credential.user, claim.key_id, form, claim.expires_s is not None)
