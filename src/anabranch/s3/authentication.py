"""Who sent a request: SigV4 by header or presigned, SigV2 by header or presigned.

Everything is judged before the first byte of the body is asked for.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from anabranch.edge.http import Request
from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.native.wire import SignatureClaim, SigningKeys
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


class Identity(NamedTuple):
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


class Authenticator:
    """Verifies signatures against the credentials of one surface."""

    def __init__(self, find_credential: FindCredential, clock: Clock) -> None:
        self._find = find_credential
        self._clock = clock
        self._keys = SigningKeys(limits.SIGNING_KEYS_CACHED_MAX)

    def authenticate(
        self, request: Request, headers: Headers, pairs: Pairs, address: Address
    ) -> Identity:
        """Return who sent the request; raise Refused with the code S3 has for the problem."""
        claim = sigv4.find_claim(request)
        if claim is not None:
            return self._v4(request, claim)
        authorization = headers.get(b"authorization")
        if authorization is not None:
            if authorization.startswith(sigv2.PREFIX):
                return self._v2(request, headers, pairs, address, sigv2.parse_header(headers))
            raise Refused("InvalidArgument", "Unsupported Authorization Type")
        if any(name == b"AWSAccessKeyId" for name, _ in pairs):
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

    def _v4(self, request: Request, claim: SignatureClaim) -> Identity:
        sigv4.check_time(claim, self._clock.now_ns() / 1e9)
        key_id = claim.key_id
        credential = self._credential(key_id)
        secret = credential.secret
        if not claim.is_signed_by(self._keys, secret, request.method, request.raw_path):
            raise sigv4.mismatch(claim, request.method, request.raw_path)
        form = parse_form(
            claim.payload_hash,
            lambda: ChunkSigning(
                self._keys.get(secret, claim.scope), claim.date, claim.scope, claim.signature
            ),
        )
        return Identity(credential.user, key_id, form, claim.expires_s is not None)

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
