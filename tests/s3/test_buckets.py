"""Buckets: what there is, what a put of one means, and the small answers about them."""

import pytest

from anabranch.kernel import limits
from anabranch.s3.lake_bucket import LakeBuckets
from tests.support.s3 import S3Kit


def test_buckets_are_the_repositories(kit: S3Kit) -> None:
    for name in ("third", "second"):
        kit.lake.repository(name)
    answer = kit.call("GET", "/")
    assert answer.root.tag == "ListAllMyBucketsResult"
    assert answer.texts("Buckets/Bucket/Name") == ["example", "second", "third"]
    assert answer.texts("Buckets/Bucket/CreationDate")[0].startswith("2023-11-14T")
    first = kit.call("GET", "/", "max-buckets=2")
    assert first.texts("Buckets/Bucket/Name") == ["example", "second"]
    token = first.text("ContinuationToken")
    rest = kit.call("GET", "/", f"max-buckets=2&continuation-token={token}")
    assert rest.texts("Buckets/Bucket/Name") == ["third"]
    assert rest.texts("ContinuationToken") == []
    some = kit.call("GET", "/", "prefix=s")
    assert some.texts("Buckets/Bucket/Name") == ["second"]


@pytest.mark.parametrize("amount", [limits.BUCKETS_PAGE_MAX, limits.BUCKETS_PAGE_MAX + 1])
def test_a_page_of_buckets_may_be_asked_for_in_any_size(kit: S3Kit, amount: int) -> None:
    answer = kit.call("GET", "/", f"max-buckets={amount}")
    assert answer.texts("Buckets/Bucket/Name") == ["example"]


@pytest.mark.parametrize("path", ["/example", "/example/"])
def test_a_bucket_is_there_or_not(kit: S3Kit, path: str) -> None:
    assert kit.call("HEAD", path).status == 200
    assert kit.call("HEAD", path.replace("example", "none")).status == 404


@pytest.mark.parametrize("path", ["/example", "/example/"])
def test_a_put_of_an_existing_repository_is_200(kit: S3Kit, path: str) -> None:
    body = b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint>"
    assert kit.call("PUT", path, body=body + b"</CreateBucketConfiguration>").status == 200
    assert kit.call("PUT", path).status == 200


def test_a_put_of_an_unknown_repository_needs_a_namespace_prefix(kit: S3Kit) -> None:
    answer = kit.call("PUT", "/fresh")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    kit.use(LakeBuckets(kit.lake.lake, namespace_prefix="s3://all/"))
    for _ in range(2):
        assert kit.call("PUT", "/fresh").status == 200
    kit.put("/fresh/main/a", b"x")
    assert kit.physical_address("fresh", "main", "a").startswith("s3://all/fresh/")
    assert kit.call("PUT", "/Bad_Name").code == "InvalidBucketName"


def test_small_answers(kit: S3Kit) -> None:
    assert kit.call("GET", "/example", "location").root.tag == "LocationConstraint"
    assert list(kit.call("GET", "/example", "versioning").root) == []
    assert kit.call("GET", "/example", "acl").root.tag == "AccessControlPolicy"
    assert kit.call("GET", "/example", "tagging").code == "NoSuchTagSet"
    for query in ("location", "versioning", "acl", "tagging", "uploads"):
        assert kit.call("GET", "/none", query).code == "NoSuchBucket"


@pytest.mark.parametrize(
    "method, query, action",
    [
        ("GET", "policy", "GetBucketPolicy"),
        ("PUT", "policy", "PutBucketPolicy"),
        ("GET", "cors", "GetBucketCors"),
        ("PUT", "versioning", "PutBucketVersioning"),
        ("PUT", "acl", "PutBucketAcl"),
        ("GET", "versions", "ListObjectVersions"),
        ("DELETE", "lifecycle", "DeleteBucketLifecycle"),
        ("GET", "object-lock", "GetObjectLockConfiguration"),
        ("GET", "session", "CreateSession"),
        ("DELETE", "", "DeleteBucket"),
        ("POST", "", "PostObject"),
    ],
)
def test_actions_that_are_not_offered_say_which(
    kit: S3Kit, method: str, query: str, action: str
) -> None:
    answer = kit.call(method, "/example", query)
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert action in answer.text("Message")


def test_the_service_itself_has_no_other_method(kit: S3Kit) -> None:
    assert kit.call("PUT", "/").code == "MethodNotAllowed"


def test_every_answer_has_a_request_id(kit: S3Kit) -> None:
    for path in ("/", "/example", "/example/main/none", "/none"):
        assert kit.call("GET", path).headers["x-amz-request-id"]
