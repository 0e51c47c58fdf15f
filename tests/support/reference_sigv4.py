"""Signature Version 4 in plain Python: what a request claims, and whether its signature holds.

`judge` says what becomes of a request: None when it is accepted, else the code of its refusal.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_from_bytes, unquote_to_bytes

from anabranch.kernel import limits
from anabranch.s3.errors import Refused

ALGORITHM = b"AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"

_DATE = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_SIGNATURE = re.compile(rb"[0-9a-f]{64}")
_HEADER_PART = re.compile(rb"\s*(Credential|SignedHeaders|Signature)=([^,\s]*)\s*")
_PRESIGN_NAMES = (
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    b"X-Amz-Date",
    b"X-Amz-Expires",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Signature",
)

Headers = dict[bytes, bytes]
"""Lower-case name -> value; values of a repeated header are joined by commas."""
Pairs = Sequence[tuple[bytes, bytes]]
"""A query's decoded pairs, in order."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its signature; nothing of it is verified.

    `scope` is `<date>/<region>/s3/aws4_request`; `date` is the time as sent, `time_s` in seconds
    since 1970; `expires_s` is given for a presigned request only.
    """

    key_id: str
    scope: bytes
    date: bytes
    time_s: int
    signed_headers: tuple[bytes, ...]
    signature: bytes
    expires_s: int | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a request is signed: path and query as sent, `query` as decoded pairs besides."""

    method: bytes
    raw_path: bytes
    raw_query: bytes
    query: Pairs
    headers: Headers
    payload_hash: bytes


def signing_key(secret: str, scope: bytes) -> bytes:
    """Return the key of `<date>/<region>/<service>/aws4_request`."""
    key = b"AWS4" + secret.encode()
    for part in scope.split(b"/"):
        key = hmac.digest(key, part, "sha256")
    return key


def parse_date(text: bytes) -> int:
    """Return seconds since 1970 of `YYYYMMDDTHHMMSSZ`; raise AccessDenied."""
    match = _DATE.fullmatch(text)
    if match is not None:
        try:
            # strptime would cost more than all else that verifying a signature takes.
            year, month, day, hour, minute, second = map(int, match.groups())
            return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
        except ValueError:
            pass
    raise Refused("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")


def parse_header(headers: Headers) -> Claim:
    """Return the claim of an Authorization header; raise AuthorizationHeaderMalformed."""
    value = headers[b"authorization"]
    parts: dict[bytes, bytes] = {}
    for part in value[len(ALGORITHM) :].split(b","):
        match = _HEADER_PART.fullmatch(part)
        if match is None or match.group(1) in parts:
            raise _malformed("The authorization header is malformed")
        parts[match.group(1)] = match.group(2)
    if len(parts) != 3:
        raise _malformed("The authorization header is malformed; a component is missing")
    date = headers.get(b"x-amz-date") or headers.get(b"date") or b""
    return _claim(
        parts[b"Credential"], date, parts[b"SignedHeaders"], parts[b"Signature"], _malformed
    )


def _malformed(message: str) -> Refused:
    return Refused("AuthorizationHeaderMalformed", message)


def _malformed_query(message: str) -> Refused:
    return Refused("AuthorizationQueryParametersError", message)


def parse_presigned(query: Pairs) -> Claim:
    """Return the claim of a presigned URL; raise AuthorizationQueryParametersError."""
    found: dict[bytes, bytes] = {}
    for name, value in query:
        if name in _PRESIGN_NAMES:
            if name in found:
                raise _malformed_query(f"{name.decode()} is given twice")
            found[name] = value
    for name in _PRESIGN_NAMES:
        if name not in found:
            raise _malformed_query(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, "
                "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
                "X-Amz-Expires parameters."
            )
    if found[b"X-Amz-Algorithm"] != ALGORITHM:
        raise _malformed_query('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    expires = found[b"X-Amz-Expires"]
    if not expires.isdigit() or not 0 < int(expires) <= limits.PRESIGN_S_MAX:
        raise _malformed_query(
            f"X-Amz-Expires must be a number of seconds from 1 to {limits.PRESIGN_S_MAX}"
        )
    date = found[b"X-Amz-Date"]
    if not _DATE.fullmatch(date):
        raise _malformed_query('X-Amz-Date must be in the ISO8601 Long Format "yyyyMMddTHHmmssZ"')
    return _claim(
        found[b"X-Amz-Credential"],
        date,
        found[b"X-Amz-SignedHeaders"],
        found[b"X-Amz-Signature"],
        _malformed_query,
        int(expires),
    )


def _claim(
    credential: bytes,
    date: bytes,
    signed_headers: bytes,
    signature: bytes,
    problem: Callable[[str], Refused],
    expires_s: int | None = None,
) -> Claim:
    parts = credential.rsplit(b"/", 4)
    if len(parts) != 5 or not parts[0]:
        raise problem(
            'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/'
            'aws4_request".'
        )
    key_id, day, _region, service, end = parts
    if day != date[:8]:
        raise problem("Invalid credential date; it is not the date of the request")
    if service != b"s3" or end != b"aws4_request":
        raise problem('the Credential must end in "/s3/aws4_request"')
    names = tuple(signed_headers.split(b";"))
    if b"host" not in names or any(name != name.lower() for name in names):
        raise problem("SignedHeaders must be lower-case and name the host")
    if not _SIGNATURE.fullmatch(signature):
        raise problem("the Signature is not 64 hex digits")
    return Claim(
        key_id.decode("utf-8", "replace"),
        credential[len(key_id) + 1 :],
        date,
        parse_date(date),
        names,
        signature,
        expires_s,
    )


def verify(claim: Claim, parts: Parts, key: bytes) -> None:
    """Raise SignatureDoesNotMatch unless the claim's signature is that of the request.

    Raises AccessDenied when an `x-amz-` header was sent that is not signed.
    """
    headers = parts.headers
    unsigned = [
        name for name in headers if name.startswith(b"x-amz-") and name not in claim.signed_headers
    ]
    if unsigned:
        raise Refused(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(name.decode("latin-1") for name in unsigned),
        )
    first = b""
    for canonical in _canonical_requests(claim, parts):
        text = string_to_sign(claim.date, claim.scope, canonical)
        expected = hmac.digest(key, text, "sha256").hex().encode()
        if hmac.compare_digest(expected, claim.signature):
            return
        first = first or canonical
    raise Refused(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        AWSAccessKeyId=claim.key_id,
        StringToSign=string_to_sign(claim.date, claim.scope, first).decode("latin-1"),
        SignatureProvided=claim.signature.decode("latin-1"),
        CanonicalRequest=first.decode("latin-1"),
    )


def string_to_sign(date: bytes, scope: bytes, canonical_request: bytes) -> bytes:
    """Return what the key signs."""
    hashed = hashlib.sha256(canonical_request).hexdigest().encode()
    return b"\n".join((ALGORITHM, date, scope, hashed))


def _canonical_requests(claim: Claim, parts: Parts) -> Iterator[bytes]:
    lines = []
    for name in claim.signed_headers:
        value = parts.headers.get(name)
        if value is None:
            # A server in between may drop a header that says nothing about an empty body.
            value = b"0" if name == b"content-length" else b""
        lines.append(name + b":" + b" ".join(value.split()) + b"\n")
    tail = b"\n".join((b"".join(lines), b";".join(claim.signed_headers), parts.payload_hash))
    path = parts.raw_path or b"/"
    query = canonical_query(parts.query)
    yield b"\n".join((parts.method, path, query, tail))
    # Some clients sign what they send, some what they should have sent.
    paths = dict.fromkeys((path, canonical_path(path)))
    queries = dict.fromkeys((query, sorted_query(parts.raw_query)))
    for one in paths:
        for other in queries:
            if (one, other) != (path, query):
                yield b"\n".join((parts.method, one, other, tail))


def canonical_path(raw_path: bytes) -> bytes:
    """Return a path percent-coded once by the book: all but unreserved characters and `/`."""
    return quote_from_bytes(unquote_to_bytes(raw_path), safe="/-._~").encode()


def canonical_query(pairs: Pairs) -> bytes:
    """Return a query coded by the book and sorted, without the signature itself."""
    if not pairs:
        return b""
    coded = sorted(
        (
            quote_from_bytes(name, safe="-._~").encode(),
            quote_from_bytes(value, safe="-._~").encode(),
        )
        for name, value in pairs
        if name != b"X-Amz-Signature"
    )
    return b"&".join(name + b"=" + value for name, value in coded)


def sorted_query(raw_query: bytes) -> bytes:
    """Return a query coded as it was sent, sorted, without the signature itself."""
    pairs = (part.partition(b"=") for part in raw_query.split(b"&") if part)
    coded = sorted((name, value) for name, _, value in pairs if name != b"X-Amz-Signature")
    return b"&".join(name + b"=" + value for name, value in coded)


def judge(
    method: str,
    raw_path: bytes,
    raw_query: bytes,
    headers: list[tuple[bytes, bytes]],
    secret: str,
) -> str | None:
    """Return the code a request is refused with, None when its signature is that of the secret.

    Neither the time nor the payload form is judged.
    """
    joined: Headers = {}
    for name, value in headers:
        joined[name] = joined[name] + b"," + value if name in joined else value
    parts = [part for part in raw_query.replace(b"+", b" ").split(b"&") if part]
    cut = [part.partition(b"=") for part in parts]
    pairs = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in cut]
    try:
        claim, payload_hash = _claim_of(joined, pairs)
        key = signing_key(secret, claim.scope)
        verify(claim, Parts(method.encode(), raw_path, raw_query, pairs, joined, payload_hash), key)
    except Refused as refusal:
        return refusal.code
    return None


def _claim_of(headers: Headers, pairs: Pairs) -> tuple[Claim, bytes]:
    names = {name for name, _ in pairs}
    is_by_query = b"X-Amz-Signature" in names or b"X-Amz-Algorithm" in names
    payload_hash = headers.get(b"x-amz-content-sha256")
    if b"authorization" in headers:
        if is_by_query or b"AWSAccessKeyId" in names:
            raise Refused("InvalidArgument", "only one of both")
        if not headers[b"authorization"].startswith(ALGORITHM):
            raise Refused("NotImplemented", "not version 4")
        claim = parse_header(headers)
        if payload_hash is None:
            raise Refused("InvalidRequest", "no x-amz-content-sha256")
        return claim, payload_hash
    if not is_by_query:
        raise Refused("NotImplemented", "not version 4")
    claim = parse_presigned(pairs)
    if payload_hash is None:
        lower = {name.lower(): value for name, value in pairs}
        payload_hash = lower.get(b"x-amz-content-sha256", UNSIGNED.encode())
    return claim, payload_hash
