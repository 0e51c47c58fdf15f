"""The raw store: the same operations on plain buckets; a repository's data can only be read."""

import pytest

from anabranch.kernel.errors import NotFound
from anabranch.s3.errors import code_of
from anabranch.s3.raw_bucket import RawBuckets
from tests.support.s3 import S3Kit


@pytest.fixture
def plain(raw: S3Kit) -> S3Kit:
    assert raw.call("PUT", "/plain").status == 200
    return raw


def test_objects_come_and_go(plain: S3Kit) -> None:
    answer = plain.put("/plain/a/b", b"hello", x_amz_meta_k="v", content_type="text/plain")
    got = plain.get("/plain/a/b")
    assert got.body == b"hello"
    assert got.headers["etag"] == answer.headers["etag"]
    assert (got.headers["x-amz-meta-k"], got.headers["content-type"]) == ("v", "text/plain")
    assert plain.get("/plain/a/b", range="bytes=1-2").body == b"el"
    plain.put("/plain/a/b", b"again")
    assert plain.get("/plain/a/b").body == b"again"
    assert plain.call("DELETE", "/plain/a/b").status == 204
    assert plain.call("DELETE", "/plain/a/b").status == 204
    assert plain.get("/plain/a/b").code == "NoSuchKey"


def test_checksums_are_kept_out_of_sight(plain: S3Kit) -> None:
    plain.put("/plain/a", b"x", x_amz_sdk_checksum_algorithm="CRC32C")
    got = plain.get("/plain/a", x_amz_checksum_mode="ENABLED")
    assert "x-amz-checksum-crc32c" in got.headers
    assert not [name for name in got.headers if name.startswith("x-amz-meta-")]


def test_conditional_writes(plain: S3Kit) -> None:
    create = {"if-none-match": "*"}
    assert plain.call("PUT", "/plain/a", body=b"1", headers=create).status == 200
    assert plain.call("PUT", "/plain/a", body=b"2", headers=create).status == 412
    assert plain.call("PUT", "/plain/a", body=b"2", headers={"if-match": '"no"'}).status == 412


def test_a_copy_copies_bytes(plain: S3Kit) -> None:
    plain.put("/plain/a", b"x" * 100_000, x_amz_meta_k="v")
    source = {"x-amz-copy-source": "/plain/a"}
    assert plain.call("PUT", "/plain/b", headers=source).status == 200
    plain.call("DELETE", "/plain/a")
    got = plain.get("/plain/b")
    assert (got.body, got.headers["x-amz-meta-k"]) == (b"x" * 100_000, "v")


def test_multipart(plain: S3Kit) -> None:
    upload = plain.call("POST", "/plain/big", "uploads").text("UploadId")
    part = plain.call("PUT", "/plain/big", f"partNumber=1&uploadId={upload}", b"data")
    body = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
    )
    assert plain.call("GET", "/plain", "uploads").texts("Upload/Key") == ["big"]
    assert plain.keys("plain") == []
    answer = plain.call("POST", "/plain/big", f"uploadId={upload}", body.encode())
    assert answer.status == 200
    assert plain.get("/plain/big").body == b"data"
    assert plain.keys("plain") == ["big"]


def test_many_keys_are_deleted_at_once(raw: S3Kit, plain: S3Kit) -> None:
    raw.lake.put("a", b"x")
    address = raw.physical_address("example", "main", "a").removeprefix("s3://example/")
    plain.put("/plain/a", b"x")
    body = "<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>"
    answer = plain.call("POST", "/plain", "delete", body.encode())
    assert answer.texts("Deleted/Key") == ["a", "none"]
    body = f"<Delete><Object><Key>{address}</Key></Object></Delete>"
    refused = raw.call("POST", "/example", "delete", body.encode())
    assert refused.texts("Error/Code") == ["AccessDenied"]
    assert raw.get(f"/example/{address}").body == b"x"


def test_a_repository_s_data_is_seen_but_not_touched(raw: S3Kit) -> None:
    raw.lake.put("a", b"1")
    assert raw.call("GET", "/").texts("Buckets/Bucket/Name") == ["example"]
    address = raw.physical_address("example", "main", "a").removeprefix("s3://example/")
    assert sorted(raw.keys("example")) == sorted(["dummy", address])
    raw.lake.commit()
    assert len([key for key in raw.keys("example") if key.startswith("_lakefs/")]) == 2
    for method in ("PUT", "DELETE"):
        for key in (address, "dummy", "_lakefs/" + "0" * 64):
            answer = raw.call(method, f"/example/{key}", body=b"x" if method == "PUT" else b"")
            assert (answer.status, answer.code) == (403, "AccessDenied"), key
    upload = raw.call("POST", f"/example/{address}", "uploads")
    assert upload.code == "AccessDenied"
    assert raw.get(f"/example/{address}").body == b"1"
    raw.put("/example/notes.txt", b"free")
    assert raw.call("DELETE", "/example/notes.txt").status == 204


def test_an_issued_address_takes_one_put(raw: S3Kit) -> None:
    address = raw.issue_address("example", "main", "linked")
    path = "/" + address.removeprefix("s3://")
    assert raw.call("PUT", path, body=b"x").status == 200
    again = raw.call("PUT", path, body=b"y")
    assert (again.status, again.code) == (403, "AccessDenied")
    assert raw.get(path).body == b"x"


@pytest.mark.parametrize(
    "path, code",
    [
        ("/none/a", "NoSuchBucket"),
        ("/example/none", "NoSuchKey"),
        ("/Bad/a", "InvalidBucketName"),
        ("/a..b/a", "InvalidBucketName"),
        ("/ab/a", "InvalidBucketName"),
    ],
)
def test_what_is_not_there(raw: S3Kit, path: str, code: str) -> None:
    assert raw.get(path).code == code
    if code != "NoSuchKey":
        assert raw.call("PUT", path, body=b"x").code == code


def test_a_bucket_is_made_once(plain: S3Kit) -> None:
    assert plain.call("PUT", "/plain").status == 200
    assert plain.call("HEAD", "/plain").status == 200
    assert plain.call("HEAD", "/other").status == 404
    assert plain.call("GET", "/").texts("Buckets/Bucket/Name") == ["example", "plain"]


def test_an_object_that_goes_while_it_is_asked_for_is_absent(plain: S3Kit) -> None:
    plain.put("/plain/a", b"x")
    lake = plain.lake.lake
    bucket = RawBuckets(lake, plain.clock).open("plain")
    found = bucket.stat("a")
    plain.forget_bytes("s3://plain/a")
    with pytest.raises(NotFound) as raised:
        bucket.block(found)
    assert code_of(raised.value) == "NoSuchKey"
    got = plain.get("/plain/a")
    assert (got.status, got.code) == (404, "NoSuchKey")
