"""Signature Version 2, by header and presigned, against botocore's signers and AWS's example."""

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth

from anabranch.kernel import limits
from anabranch.s3 import sigv2
from tests.support.s3 import HOST, S3Kit, Sent, sign


def test_the_published_example_of_aws_for_get_object() -> None:
    text = sigv2.string_to_sign(
        b"GET",
        b"/awsexamplebucket1/photos/puppy.jpg",
        (),
        {b"date": b"Tue, 27 Mar 2007 19:36:42 +0000"},
    )
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert sigv2.sign(secret, text) == b"qgk2+6Sv9/oM7G3qLEjTH1a1l1g="


@pytest.mark.parametrize("path", ["/example/main/a", "/example/main/a%20b%2Bc", "/example/main//x"])
def test_what_botocore_signs_is_accepted(kit: S3Kit, path: str) -> None:
    put = sign(
        Sent("PUT", path, headers={"content-type": "text/plain"}, body=b"x"), kind=HmacV1Auth
    )
    assert kit.send(put).status == 200
    assert kit.send(sign(Sent("GET", path), kind=HmacV1Auth)).body == b"x"


@pytest.mark.parametrize(
    "query", ["versioning", "uploads", "uploads&prefix=main%2F", "prefix=main"]
)
def test_sub_resources_are_signed_and_other_parameters_are_not(kit: S3Kit, query: str) -> None:
    assert kit.send(sign(Sent("GET", "/example", query), kind=HmacV1Auth)).status == 200


@pytest.mark.parametrize(
    "name, value",
    [
        ("method", "DELETE"),
        ("path", "/example/main/b"),
        ("query", "acl"),
        ("x-amz-meta-a", "c"),
        ("content-type", "text/html"),
        ("date", "Tue, 27 Mar 2007 19:36:42 +0000"),
        ("authorization", "AWS AKIAIOSFODNN7EXAMPLE:AAAA"),
        ("authorization", "AWS nobody:AAAA"),
        ("authorization", "AWS malformed"),
    ],
)
def test_every_signed_part_counts(kit: S3Kit, name: str, value: str) -> None:
    headers = {"x-amz-meta-a": "b", "content-type": "text/plain"}
    sent = sign(Sent("PUT", "/example/main/a", headers=headers, body=b"x"), kind=HmacV1Auth)
    if name in sent.headers:
        sent.headers[name] = value
    else:
        setattr(sent, name, value)
    assert kit.send(sent).status in (400, 403)


def test_the_date_of_a_signed_header_may_not_be_far_off(kit: S3Kit) -> None:
    kit.clock.skew_s = limits.CLOCK_SKEW_S + 30
    answer = kit.send(sign(Sent("GET", "/example"), kind=HmacV1Auth))
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    sent = sign(Sent("GET", "/example"), kind=HmacV1Auth)
    sent.headers["date"] = "yesterday"
    assert kit.send(sent).code == "AccessDenied"


def test_presigned_urls_work_until_they_expire(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x")
    sent = sign(Sent("GET", "/example/main/a"), kind=HmacV1QueryAuth, expires=100)
    assert "AWSAccessKeyId=" in sent.query
    assert kit.send(sent).body == b"x"
    kit.clock.skew_s = 101
    late = kit.send(sent)
    assert (late.status, late.code) == (403, "AccessDenied")


def test_a_presigned_put_keeps_the_headers_that_went_into_its_query(kit: S3Kit) -> None:
    headers = {"x-amz-meta-k": "v", "content-type": "text/plain"}
    sent = sign(Sent("PUT", "/example/main/a", headers=headers), kind=HmacV1QueryAuth)
    assert "x-amz-meta-k=v" in sent.query
    sent.headers, sent.body = {"host": HOST}, b"x"
    assert kit.send(sent).status == 200
    got = kit.get("/example/main/a")
    assert (got.headers["x-amz-meta-k"], got.headers["content-type"]) == ("v", "text/plain")


def test_every_part_of_a_presigned_url_counts(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x")
    good = sign(Sent("GET", "/example/main/a", "response-content-type=a"), kind=HmacV1QueryAuth)
    assert kit.send(good).status == 200
    for index, pair in enumerate(good.query.split("&")):
        parts = good.query.split("&")
        parts[index] = pair.replace("=", "=1")
        assert kit.send(Sent("GET", good.path, "&".join(parts), {"host": HOST})).status == 403, pair
    added = Sent("GET", good.path, good.query + "&x-amz-meta-a=b", {"host": HOST})
    assert kit.send(added).code == "SignatureDoesNotMatch"
    other = Sent("GET", "/example/main/b", good.query, {"host": HOST})
    assert kit.send(other).code == "SignatureDoesNotMatch"


def test_a_bucket_in_the_host_name_is_part_of_what_is_signed() -> None:
    kit = S3Kit(domains=("s3.test",))
    kit.put("/example/main/a", b"x")
    # The signer knows path style only: sign that, send the other.
    sent = sign(Sent("GET", "/example/main/a"), kind=HmacV1Auth)
    sent.path, sent.headers["host"] = "/main/a", "example.s3.test"
    assert kit.send(sent).body == b"x"
