"""Signature Version 4: AWS's published example, botocore's signatures, and what must be refused."""

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth

from anabranch.kernel import limits
from tests.support.reference_sigv4 import canonical_path
from tests.support.s3 import HOST, S3Kit, Sent, sign

PATHS = [
    "/example/main/a",
    "/example/main/a%20b",
    "/example/main/a%2Bb%3Dc",
    "/example/main/a//b/../c/./d",
    "/example/main//",
    "/example/main/%C3%A9t%C3%A9/%E6%97%A5",
    "/example/main/a=b,c@d!e'(f)*;~",
    "/example/main/100%25",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("region", ["us-east-1", "us-east-2", "moon-north-7"])
def test_what_botocore_signs_is_accepted_for_any_path_and_region(
    kit: S3Kit, path: str, region: str
) -> None:
    assert kit.call("PUT", path, body=b"x", region=region).status == 200
    assert kit.call("GET", path, region=region).body == b"x"


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_signed_by_the_book_may_be_sent_otherwise(kit: S3Kit, path: str) -> None:
    kit.put(path, b"x")
    sent = sign(Sent("GET", canonical_path(path.encode()).decode()))
    sent.path = path
    assert kit.send(sent).body == b"x"


@pytest.mark.parametrize(
    "query",
    [
        "list-type=2&prefix=main%2F&delimiter=%2F",
        "prefix=main/&delimiter=/",
        "prefix=main%2Fa%20b",
        "prefix=main%2F%2B&uploads",
        "uploads=",
        "versioning",
    ],
)
def test_queries_are_accepted_coded_or_not(kit: S3Kit, query: str) -> None:
    assert kit.call("GET", "/example", query).status == 200


def test_a_plus_in_a_query_is_a_space(kit: S3Kit) -> None:
    kit.put("/example/main/a%20b", b"x")
    sent = sign(Sent("GET", "/example", "list-type=2&prefix=main%2Fa%20b"))
    sent.query = sent.query.replace("%20", "+")
    assert kit.send(sent).texts("Contents/Key") == ["main/a b"]


def test_headers_of_any_name_are_signed_and_their_blanks_do_not_count(kit: S3Kit) -> None:
    headers = {
        "user-agent": "aws-sdk-java/1.11  Linux",
        "referer": "https://audit.example/op?x=1&y=%20",
        "x-amz-meta-a": "  two   words ",
        "content-type": "text/plain",
    }
    sent = sign(Sent("PUT", "/example/main/a", headers=headers, body=b"x"))
    sent.headers["x-amz-meta-a"] = " two words"
    assert kit.send(sent).status == 200
    assert kit.get("/example/main/a").headers["x-amz-meta-a"] == " two words"


def _mutants(sent: Sent) -> list[tuple[str, str]]:
    return [
        ("method", "DELETE"),
        ("path", sent.path + "x"),
        ("query", "prefix=a"),
        *(
            (name, value + "1")
            for name, value in sent.headers.items()
            if name not in ("authorization", "content-length")
        ),
    ]


def test_every_signed_part_counts(kit: S3Kit) -> None:
    headers = {"x-amz-meta-a": "b", "content-type": "text/plain"}
    for name, value in _mutants(sign(Sent("PUT", "/example/main/a", headers=headers, body=b"x"))):
        sent = sign(Sent("PUT", "/example/main/a", headers=dict(headers), body=b"x"))
        if name in sent.headers:
            sent.headers[name] = value
        else:
            setattr(sent, name, value)
        answer = kit.send(sent)
        assert answer.status in (400, 403), name
        assert answer.code in ("SignatureDoesNotMatch", "AccessDenied", "InvalidArgument"), name
    assert kit.keys("example", "list-type=2&prefix=main/") == []


def test_another_secret_or_an_unknown_key_is_refused(kit: S3Kit) -> None:
    wrong = kit.call("GET", "/example", secret="guess")
    assert (wrong.status, wrong.code) == (403, "SignatureDoesNotMatch")
    assert "GET\n/example" in wrong.text("CanonicalRequest")
    unknown = kit.call("GET", "/example", key_id="AKIANOBODY")
    assert (unknown.status, unknown.code) == (403, "InvalidAccessKeyId")


def test_a_secret_that_changed_is_not_answered_from_the_cache_of_keys(kit: S3Kit) -> None:
    assert kit.call("GET", "/example").status == 200
    kit.credentials.clear()
    assert kit.call("GET", "/example").code == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    "skew_s, status",
    [
        (limits.CLOCK_SKEW_S - 30, 200),
        (30 - limits.CLOCK_SKEW_S, 200),
        (limits.CLOCK_SKEW_S + 30, 403),
        (-limits.CLOCK_SKEW_S - 30, 403),
    ],
)
def test_a_clock_may_be_a_quarter_of_an_hour_off(kit: S3Kit, skew_s: int, status: int) -> None:
    kit.clock.skew_s = skew_s
    answer = kit.call("GET", "/example")
    assert answer.status == status
    if status == 403:
        assert answer.code == "RequestTimeTooSkewed"


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request",
        "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=xyz",
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/ec2/aws4_request, SignedHeaders=host, "
        "Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 what, is, this",
    ],
)
def test_malformed_authorization_says_so(kit: S3Kit, authorization: str) -> None:
    sent = Sent("GET", "/example", headers={"host": HOST, "x-amz-date": "20260101T000000Z"})
    sent.headers["authorization"] = authorization
    answer = kit.send(sent)
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")


def test_other_schemes_and_none_at_all_are_refused(kit: S3Kit) -> None:
    basic = kit.send(Sent("GET", "/example", headers={"authorization": "Basic YTpi", "host": HOST}))
    assert (basic.status, basic.code) == (400, "InvalidArgument")
    nothing = kit.send(Sent("GET", "/example", headers={"host": HOST}))
    assert (nothing.status, nothing.code) == (403, "AccessDenied")


def test_a_header_of_amazon_that_is_not_signed_is_refused(kit: S3Kit) -> None:
    sent = sign(Sent("PUT", "/example/main/a", body=b"x"))
    sent.headers["x-amz-copy-source"] = "example/main/secret"
    answer = kit.send(sent)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.text("HeadersNotSigned") == "x-amz-copy-source"


def test_a_missing_or_odd_payload_hash_is_refused(kit: S3Kit) -> None:
    sent = sign(Sent("GET", "/example"))
    del sent.headers["x-amz-content-sha256"]
    assert kit.send(sent).code == "InvalidRequest"
    odd = kit.call("GET", "/example", headers={"x-amz-content-sha256": "who knows"})
    assert (odd.status, odd.code) == (400, "InvalidArgument")
    other = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
    unknown = kit.call("GET", "/example", headers={"x-amz-content-sha256": other})
    assert (unknown.status, unknown.code) == (501, "NotImplemented")


def test_a_body_that_is_not_the_signed_one_stores_nothing(kit: S3Kit) -> None:
    sent = sign(Sent("PUT", "/example/main/a", body=b"x"))
    sent.body = b"y"
    answer = kit.send(sent)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert kit.get("/example/main/a").status == 404


def test_presigned_urls_work_until_they_expire(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x")
    sent = sign(Sent("GET", "/example/main/a"), kind=S3SigV4QueryAuth, expires=100)
    assert kit.send(sent).body == b"x"
    kit.clock.skew_s = 90
    assert kit.send(sent).status == 200
    kit.clock.skew_s = 110
    late = kit.send(sent)
    assert (late.status, late.code) == (403, "AccessDenied")
    kit.clock.skew_s = -limits.CLOCK_SKEW_S - 60
    assert kit.send(sent).code == "AccessDenied"


def test_a_presigned_put_takes_any_bytes(kit: S3Kit) -> None:
    sent = sign(Sent("PUT", "/example/main/a"), kind=S3SigV4QueryAuth)
    sent.body = b"whatever"
    assert kit.send(sent).status == 200
    assert kit.get("/example/main/a").body == b"whatever"


def test_headers_of_amazon_may_be_hoisted_into_a_presigned_query(kit: S3Kit) -> None:
    sent = sign(Sent("PUT", "/example/main/a", "x-amz-meta-k=v%20w"), kind=S3SigV4QueryAuth)
    sent.body = b"x"
    assert kit.send(sent).status == 200
    assert kit.get("/example/main/a").headers["x-amz-meta-k"] == "v w"


def test_every_part_of_a_presigned_url_counts(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x")
    good = sign(Sent("GET", "/example/main/a", "response-content-type=a"), kind=S3SigV4QueryAuth)
    for index, pair in enumerate(good.query.split("&")):
        parts = good.query.split("&")
        parts[index] = pair + "1"
        mutated = Sent("GET", good.path, "&".join(parts), dict(good.headers))
        assert kit.send(mutated).status in (400, 403), pair
        del parts[index]
        shortened = Sent("GET", good.path, "&".join(parts), dict(good.headers))
        assert kit.send(shortened).status in (400, 403), pair
    more = Sent("GET", good.path, good.query + "&response-expires=0", dict(good.headers))
    assert kit.send(more).code == "SignatureDoesNotMatch"
    twice = Sent("GET", good.path, good.query + "&X-Amz-Expires=9", dict(good.headers))
    assert kit.send(twice).code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize("expires", [0, limits.PRESIGN_S_MAX + 1])
def test_an_expiry_of_nothing_or_more_than_a_week_is_refused(kit: S3Kit, expires: int) -> None:
    sent = sign(Sent("GET", "/example/main/a"), kind=S3SigV4QueryAuth, expires=expires)
    assert kit.send(sent).code == "AuthorizationQueryParametersError"


def test_an_expiry_of_a_week_is_allowed(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x")
    expires = limits.PRESIGN_S_MAX
    sent = sign(Sent("GET", "/example/main/a"), kind=S3SigV4QueryAuth, expires=expires)
    assert kit.send(sent).status == 200


def test_two_kinds_of_authentication_at_once_are_refused(kit: S3Kit) -> None:
    sent = sign(Sent("GET", "/example/main/a"), kind=S3SigV4QueryAuth)
    sent.headers["authorization"] = "AWS a:b"
    assert kit.send(sent).code == "InvalidArgument"


def test_virtual_hosts_name_the_bucket(kit: S3Kit) -> None:
    hosted = S3Kit(domains=("s3.test",))
    host = "example.s3.test:8000"
    assert hosted.call("PUT", "/main/a", body=b"x", host=host).status == 200
    assert hosted.call("GET", "/example/main/a").body == b"x"
    assert hosted.call("GET", "/", "list-type=2&prefix=main/", host=host).text("KeyCount") == "1"


def test_botocore_s_signer_is_what_these_tests_think(kit: S3Kit) -> None:
    sent = sign(Sent("GET", "/example"), kind=S3SigV4Auth)
    assert sent.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA")
