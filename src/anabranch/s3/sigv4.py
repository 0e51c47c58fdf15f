"""AWS Signature Version 4, by header and presigned, for any region: the native library verifies.

Works on bytes as they were sent. S3's canonical URI is the path percent-coded once, with no
normalisation of `//` or `..`; clients differ in which characters they code, so a signature is
compared for the path as sent and, when that fails, for the path coded by the book.
"""

import hashlib
from collections.abc import Sequence
from time import gmtime, strftime

from anabranch.edge.http import Request
from anabranch.kernel import limits
from anabranch.native import wire
from anabranch.native.wire import SignatureClaim
from anabranch.s3.errors import Refused

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256().hexdigest()

Headers = dict[bytes, bytes]
"""Lower-case name -> value; values of a repeated header are joined by commas."""
Pairs = Sequence[tuple[bytes, bytes]]
"""A query's decoded pairs, in order."""

_MALFORMED = "AuthorizationHeaderMalformed"
_MALFORMED_QUERY = "AuthorizationQueryParametersError"
_CREDENTIAL = (
    'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
)
_DAY = "Invalid credential date; it is not the date of the request"
_SCOPE = 'the Credential must end in "/s3/aws4_request"'
_NAMES = "SignedHeaders must be lower-case and name the host"
_SIGNATURE = "the Signature is not 64 hex digits"
_PROBLEMS = {
    wire.TWO_MECHANISMS: (
        "InvalidArgument",
        (
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
            "query string parameter or the Authorization header should be specified"
        ),
    ),
    2: ("InvalidRequest", "Missing required header for this request: x-amz-content-sha256"),
    3: ("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"),
    4: (_MALFORMED, "The authorization header is malformed"),
    5: (_MALFORMED, "The authorization header is malformed; a component is missing"),
    6: (_MALFORMED, _CREDENTIAL),
    7: (_MALFORMED, _DAY),
    8: (_MALFORMED, _SCOPE),
    9: (_MALFORMED, _NAMES),
    10: (_MALFORMED, _SIGNATURE),
    14: (_MALFORMED_QUERY, "A parameter of the signature is given twice"),
    15: (
        _MALFORMED_QUERY,
        (
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        ),
    ),
    16: (_MALFORMED_QUERY, _CREDENTIAL),
    17: (_MALFORMED_QUERY, _DAY),
    18: (_MALFORMED_QUERY, _SCOPE),
    19: (_MALFORMED_QUERY, _NAMES),
    20: (_MALFORMED_QUERY, _SIGNATURE),
    21: (_MALFORMED_QUERY, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"'),
    22: (
        _MALFORMED_QUERY,
        f"X-Amz-Expires must be a number of seconds from 1 to {limits.PRESIGN_S_MAX}",
    ),
    23: (_MALFORMED_QUERY, 'X-Amz-Date must be in the ISO8601 Long Format "yyyyMMddTHHmmssZ"'),
}
"""The native library's number of what is wrong with a claim -> S3's code and text."""


def find_claim(request: Request) -> SignatureClaim | None:
    """Return what a request claims, None when it is not signed with version 4.

    Raises Refused for a claim that can't be judged, and when there are two.
    """
    found = wire.signature_claim(request.headers, request.query_string, limits.PRESIGN_S_MAX)
    if isinstance(found, SignatureClaim):
        return found
    if found == wire.NOT_VERSION_4:
        return None
    raise Refused(*_PROBLEMS[found])


def check_time(claim: SignatureClaim, now_s: float) -> None:
    """Raise RequestTimeTooSkewed, or AccessDenied for a presigned URL that expired."""
    signed_s, expires_s = claim.time_s, claim.expires_s
    if expires_s is None:
        if abs(now_s - signed_s) > limits.CLOCK_SKEW_S:
            raise too_skewed(now_s)
        return
    if signed_s - now_s > limits.CLOCK_SKEW_S:
        raise Refused("AccessDenied", "Request is not valid yet")
    if now_s > signed_s + expires_s:
        raise Refused("AccessDenied", "Request has expired", Expires=signed_s + expires_s)


def too_skewed(now_s: float) -> Refused:
    """Return the error of a request whose time is too far from ours."""
    return Refused(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        ServerTime=strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now_s)),
        MaxAllowedSkewMilliseconds=limits.CLOCK_SKEW_S * 1000,
    )


def mismatch(claim: SignatureClaim, method: str, raw_path: bytes) -> Refused:
    """Return the error of a request that is not signed as it claims.

    AccessDenied when an `x-amz-` header was sent that is not signed, else SignatureDoesNotMatch.
    """
    unsigned = claim.unsigned()
    if unsigned:
        return Refused(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(name.decode("latin-1") for name in unsigned),
        )
    canonical, text = claim.texts(method, raw_path)
    return Refused(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        AWSAccessKeyId=claim.key_id,
        StringToSign=text.decode("latin-1"),
        SignatureProvided=claim.signature.decode("latin-1"),
        CanonicalRequest=canonical.decode("latin-1"),
    )
