"""Signature Version 4, natively: AWS's examples, and the reference's judgement of any request."""

import hashlib
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4QueryAuth
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.native.wire import SignatureClaim, SigningKeys, signature_claim
from anabranch.s3.sigv4 import _PROBLEMS
from tests.support import reference_sigv4 as reference
from tests.support.s3 import SECRET, Sent, sign

SCOPE = b"20130524/us-east-1/s3/aws4_request"
EMPTY = hashlib.sha256().hexdigest().encode()
KEYS = SigningKeys(limits.SIGNING_KEYS_CACHED_MAX)

Pairs = list[tuple[bytes, bytes]]


def judge(
    method: str, raw_path: bytes, raw_query: bytes, headers: Pairs, secret: str = SECRET
) -> str | None:
    """Return what the gateway refuses a request with, None when its signature holds."""
    claim = signature_claim(headers, raw_query, limits.PRESIGN_S_MAX)
    if not isinstance(claim, SignatureClaim):
        return _PROBLEMS[claim][0] if claim else "NotImplemented"
    if claim.is_signed_by(KEYS, secret, method, raw_path):
        return None
    return "AccessDenied" if claim.unsigned() else "SignatureDoesNotMatch"


def test_the_published_example_of_aws_for_get_object() -> None:
    authorization = (
        b"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/" + SCOPE + b",SignedHeaders="
        b"host;range;x-amz-content-sha256;x-amz-date,Signature="
        b"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    headers = [
        (b"authorization", authorization),
        (b"host", b"examplebucket.s3.amazonaws.com"),
        (b"range", b"bytes=0-9"),
        (b"x-amz-content-sha256", EMPTY),
        (b"x-amz-date", b"20130524T000000Z"),
    ]
    claim = signature_claim(headers, b"", limits.PRESIGN_S_MAX)
    assert isinstance(claim, SignatureClaim)
    assert (claim.key_id, claim.scope) == ("AKIAIOSFODNN7EXAMPLE", SCOPE)
    assert (claim.date, claim.time_s) == (b"20130524T000000Z", 1_369_353_600)
    assert claim.expires_s is None
    assert judge("GET", b"/test.txt", b"", headers) is None
    assert judge("GET", b"/test.txt", b"", headers, "guess") == "SignatureDoesNotMatch"


def test_the_published_example_of_aws_for_a_presigned_url() -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
        + quote(f"AKIAIOSFODNN7EXAMPLE/{SCOPE.decode()}", safe="")
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    ).encode()
    headers = [(b"host", b"examplebucket.s3.amazonaws.com")]
    claim = signature_claim(headers, query, limits.PRESIGN_S_MAX)
    assert isinstance(claim, SignatureClaim)
    assert (claim.expires_s, claim.payload_hash) == (86_400, b"UNSIGNED-PAYLOAD")
    assert judge("GET", b"/test.txt", query, headers) is None


@pytest.mark.parametrize("expires", ["0", "604801", "9" * 40, "000000001" + "9" * 9, "", "1.0"])
def test_an_expiry_out_of_bounds_is_refused_whatever_its_length(expires: str) -> None:
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/{SCOPE.decode()}"
        f"&X-Amz-Date=20130524T000000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={'0' * 64}"
    ).encode()
    headers = [(b"host", b"h")]
    assert judge("GET", b"/", query, headers) == "AuthorizationQueryParametersError"
    assert reference.judge("GET", b"/", query, headers, SECRET) == (
        "AuthorizationQueryParametersError"
    )


def test_keys_are_those_of_the_reference_and_bounded_in_number() -> None:
    keys = SigningKeys(2)
    for scope in (b"a/b", b"c", SCOPE, b"a/b"):
        assert keys.get(SECRET, scope) == reference.signing_key(SECRET, scope)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
_NAMES = st.sampled_from(["prefix", "list-type", "a b", "uploads", "X-Amz-Meta-K", "response-x"])


@st.composite
def signed_requests(draw: st.DrawFn) -> tuple[str, bytes, bytes, Pairs]:
    """Return a request that botocore signed."""
    path = "/" + quote(draw(_TEXTS), safe=draw(st.sampled_from(["/", "/=,@", ""])))
    query = "&".join(
        f"{quote(name)}={quote(value, safe=draw(st.sampled_from(['', '/'])))}"
        for name, value in draw(st.dictionaries(_NAMES, _TEXTS, max_size=3)).items()
    )
    headers = {"x-amz-meta-a": draw(st.sampled_from(["", " a  b ", "c"])), "range": "bytes=0-1"}
    sent = Sent(draw(st.sampled_from(["GET", "PUT"])), path, query, headers)
    kinds: dict[str, object] = {"kind": S3SigV4QueryAuth} if draw(st.booleans()) else {}
    sent = sign(sent, **kinds)  # type: ignore[arg-type]  # botocore's signers are untyped
    pairs = [(name.encode(), value.encode()) for name, value in sent.headers.items()]
    return sent.method, sent.path.encode(), sent.query.encode(), pairs


def _changed(data: bytes, how: str, at: int, byte: int) -> bytes:
    """Return bytes with one left out, put in or replaced."""
    at %= len(data) + 1
    put = b"" if how == "cut" else bytes([byte])
    return data[:at] + put + data[at + (how != "put") :]


_BYTES = st.sampled_from(b'a0Z/%+&=;, \t.-~?_:"\xc3')


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes, bytes, Pairs]:
    """Return a signed request with up to three changes, of single bytes or whole headers."""
    method, path, query, headers = draw(signed_requests())
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.sampled_from(["path", "query", "value", "drop", "twice", "name", "add"]))
        at, byte = draw(st.integers(0, 400)), draw(_BYTES)
        how = draw(st.sampled_from(["cut", "put", "set"]))
        if where == "path":
            path = b"/" + _changed(path[1:], how, at, byte)
        elif where == "query":
            query = _changed(query, how, at, byte)
        elif headers:
            row = at % len(headers)
            name, value = headers[row]
            if where == "value":
                headers[row] = name, _changed(value, how, at, byte)
            elif where == "name":
                headers[row] = _changed(name, how, at, byte).lower(), value
            elif where == "drop":
                del headers[row]
            elif where == "twice":
                headers.append((name, _changed(value, how, at, byte)))
            else:
                headers.append((b"x-amz-meta-more", b"1"))
    return method, path, query, headers


@settings(max_examples=400, deadline=None)
@given(mutants())
def test_any_request_is_judged_as_the_reference_judges_it(
    request: tuple[str, bytes, bytes, Pairs],
) -> None:
    assert judge(*request) == reference.judge(*request, SECRET)


@given(signed_requests())
def test_what_botocore_signs_is_accepted(request: tuple[str, bytes, bytes, Pairs]) -> None:
    assert judge(*request) is None
