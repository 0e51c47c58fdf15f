"""AWS Signature Version 2 (HMAC-SHA1): by header and presigned, which boto3 does by default."""

import base64
import hmac
import re
from calendar import timegm
from dataclasses import dataclass
from email.utils import parsedate_tz
from urllib.parse import unquote_to_bytes

from anabranch.kernel import limits
from anabranch.s3.errors import Refused
from anabranch.s3.sigv4 import Headers, Pairs, too_skewed

PREFIX = b"AWS "
_AUTHORIZATION = re.compile(rb"AWS ([^:\s]+):([A-Za-z0-9+/=]+)")

# Query parameters that name what is asked for, and so are signed.
_SIGNED_NAMES = frozenset(
    b"accelerate acl analytics cors defaultObjectAcl delete encryption inventory lifecycle "
    b"location logging metrics notification object-lock ownershipControls partNumber policy "
    b"policyStatus "
    b"publicAccessBlock replication requestPayment response-cache-control "
    b"response-content-disposition response-content-encoding response-content-language "
    b"response-content-type response-expires restore select select-type storageClass tagging "
    b"torrent uploadId uploads versionId versioning versions website".split()
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its signature; `expires_s` is the time a URL ends, if it is one."""

    key_id: str
    signature: bytes
    expires_s: int | None = None


def parse_header(headers: Headers) -> Claim:
    """Return the claim of an Authorization header; raise AuthorizationHeaderMalformed."""
    match = _AUTHORIZATION.fullmatch(headers[b"authorization"].strip())
    if match is None:
        raise Refused("AuthorizationHeaderMalformed", "The authorization header is malformed")
    return Claim(match.group(1).decode("utf-8", "replace"), match.group(2))


def parse_presigned(query: Pairs) -> Claim:
    """Return the claim of a presigned URL; raise AccessDenied."""
    found = dict(query)
    expires = found.get(b"Expires", b"")
    if b"Signature" not in found or not expires.isdigit() or len(expires) > 12:
        raise Refused(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and "
            "AWSAccessKeyId parameters",
        )
    key_id = found[b"AWSAccessKeyId"].decode("utf-8", "replace")
    # A plus in a base64 value that was not percent-coded has become a space on its way.
    return Claim(key_id, found[b"Signature"].replace(b" ", b"+"), int(expires))


def check_time(claim: Claim, headers: Headers, now_s: float) -> None:
    """Raise RequestTimeTooSkewed, or AccessDenied for a presigned URL that expired."""
    if claim.expires_s is not None:
        if now_s > claim.expires_s:
            raise Refused("AccessDenied", "Request has expired", Expires=claim.expires_s)
        return
    text = (headers.get(b"x-amz-date") or headers.get(b"date") or b"").decode("latin-1")
    parsed = parsedate_tz(text)
    if parsed is None:
        raise Refused(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    try:
        signed_s = timegm(parsed[:9]) - (parsed[9] or 0)
    except (ValueError, OverflowError):
        raise Refused("AccessDenied", "the Date header is not a date") from None
    if abs(now_s - signed_s) > limits.CLOCK_SKEW_S:
        raise too_skewed(now_s)


def verify(
    claim: Claim, secret: str, *, method: bytes, resource: bytes, query: Pairs, headers: Headers
) -> None:
    """Raise SignatureDoesNotMatch unless the claim's signature is that of the request.

    `resource` is the path as sent, with `/bucket` in front when the bucket stood in the host name.
    In a presigned URL, `x-amz-` headers, Content-MD5 and Content-Type may stand in the query.
    """
    values = dict(headers)
    if claim.expires_s is not None:
        values[b"date"] = str(claim.expires_s).encode()
        for name, value in query:
            lower = name.lower()
            if lower.startswith(b"x-amz-") or lower in (b"content-md5", b"content-type"):
                values.setdefault(lower, value)
    first = b""
    for path in dict.fromkeys((resource, unquote_to_bytes(resource))):
        text = string_to_sign(method, path, query, values)
        expected = sign(secret, text)
        if hmac.compare_digest(expected, claim.signature):
            return
        first = first or text
    raise Refused(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        AWSAccessKeyId=claim.key_id,
        StringToSign=first.decode("latin-1"),
        SignatureProvided=claim.signature.decode("latin-1"),
    )


def sign(secret: str, text: bytes) -> bytes:
    """Return the signature of a string."""
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1"))


def string_to_sign(method: bytes, path: bytes, query: Pairs, values: Headers) -> bytes:
    """Return what the secret signs."""
    amz = sorted(name for name in values if name.startswith(b"x-amz-"))
    lines = [name + b":" + b" ".join(values[name].split()) + b"\n" for name in amz]
    date = b"" if b"x-amz-date" in amz else values.get(b"date", b"")
    signed = sorted((name, value) for name, value in query if name in _SIGNED_NAMES)
    asked = b"&".join(name + b"=" + value if value else name for name, value in signed)
    head = b"\n".join(
        (method, values.get(b"content-md5", b""), values.get(b"content-type", b""), date)
    )
    return head + b"\n" + b"".join(lines) + path + (b"?" + asked if asked else b"")
