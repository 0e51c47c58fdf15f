"""Bucket and key of a request, and which action it is."""

import pytest

from anabranch.s3.actions import action_of
from anabranch.s3.addressing import KEY_BYTES_MAX, Address, parse_address, split_key
from anabranch.s3.errors import Refused

DOMAINS = ("s3.test", "other.example")


@pytest.mark.parametrize(
    "host, path, expected",
    [
        ("h", "/", Address("", "")),
        ("h", "/b", Address("b", "")),
        ("h", "/b/", Address("b", "")),
        ("h", "/b/k", Address("b", "k")),
        ("h", "/b//k/../x/", Address("b", "/k/../x/")),
        ("s3.test", "/b/k", Address("b", "k")),
        ("b.s3.test", "/k/x", Address("b", "k/x", True)),
        ("b.s3.test:8000", "/", Address("b", "", True)),
        ("B.S3.Test", "//k", Address("b", "/k", True)),
        ("a.b.other.example", "/k", Address("a.b", "k", True)),
        ("[::1]:8000", "/b/k", Address("b", "k")),
        ("xs3.test", "/b/k", Address("b", "k")),
    ],
)
def test_bucket_and_key(host: str, path: str, expected: Address) -> None:
    assert parse_address(host, path, DOMAINS) == expected


def test_a_key_of_the_largest_size_is_taken_and_one_more_byte_is_not() -> None:
    assert parse_address("h", "/b/" + "k" * KEY_BYTES_MAX, ()).key == "k" * KEY_BYTES_MAX
    for key in ("k" * (KEY_BYTES_MAX + 1), "é" * (KEY_BYTES_MAX // 2 + 1)):
        with pytest.raises(Refused) as caught:
            parse_address("h", "/b/" + key, ())
        assert caught.value.code == "KeyTooLongError"


def test_a_path_that_is_not_utf8_is_an_invalid_uri() -> None:
    with pytest.raises(Refused) as caught:
        parse_address("h", "/b/\udcff", ())
    assert caught.value.code == "InvalidURI"


def test_a_lake_s_key_is_a_ref_and_a_path() -> None:
    assert split_key("main/a/b") == ("main", "a/b")
    assert split_key("main/") == ("main", "")
    assert split_key("main") == ("main", None)
    assert split_key("/a") == ("", "a")


@pytest.mark.parametrize(
    "method, path, query, expected",
    [
        ("GET", "", "", "ListBuckets"),
        ("GET", "b", "", "ListObjects"),
        ("GET", "b", "list-type prefix", "ListObjects"),
        ("GET", "b", "uploads", "ListMultipartUploads"),
        ("GET", "b", "versions", "ListObjectVersions"),
        ("GET", "b", "policy", "GetBucketPolicy"),
        ("PUT", "b", "policy", "PutBucketPolicy"),
        ("DELETE", "b", "lifecycle", "DeleteBucketLifecycle"),
        ("PUT", "b", "versioning", "PutBucketVersioning"),
        ("HEAD", "b", "", "HeadBucket"),
        ("PUT", "b", "", "CreateBucket"),
        ("DELETE", "b", "", "DeleteBucket"),
        ("POST", "b", "delete", "DeleteObjects"),
        ("POST", "b", "", "PostObject"),
        ("GET", "bk", "", "GetObject"),
        ("GET", "bk", "x-id", "GetObject"),
        ("GET", "bk", "tagging", "GetObjectTagging"),
        ("PUT", "bk", "tagging", "PutObjectTagging"),
        ("GET", "bk", "attributes", "GetObjectAttributes"),
        ("PUT", "bk", "retention", "PutObjectRetention"),
        ("PUT", "bk", "", "PutObject"),
        ("PUT", "bkc", "", "CopyObject"),
        ("PUT", "bk", "uploadId partNumber", "UploadPart"),
        ("PUT", "bkc", "uploadId partNumber", "UploadPartCopy"),
        ("POST", "bk", "uploads", "CreateMultipartUpload"),
        ("POST", "bk", "uploadId", "CompleteMultipartUpload"),
        ("DELETE", "bk", "uploadId", "AbortMultipartUpload"),
        ("GET", "bk", "uploadId", "ListParts"),
        ("POST", "bk", "restore", "RestoreObject"),
        ("POST", "bk", "select select-type", "SelectObjectContent"),
        ("HEAD", "bk", "", "HeadObject"),
        ("DELETE", "bk", "", "DeleteObject"),
    ],
)
def test_each_request_is_one_action(method: str, path: str, query: str, expected: str) -> None:
    found = action_of(
        method,
        has_bucket="b" in path,
        has_key="k" in path,
        names=frozenset(query.split()),
        is_copy="c" in path,
    )
    assert found == expected


@pytest.mark.parametrize("method, path", [("PUT", ""), ("PATCH", "b"), ("POST", "bk")])
def test_a_method_without_action_is_not_allowed(method: str, path: str) -> None:
    with pytest.raises(Refused) as caught:
        action_of(
            method,
            has_bucket="b" in path,
            has_key="k" in path,
            names=frozenset(),
            is_copy=False,
        )
    assert caught.value.code == "MethodNotAllowed"
