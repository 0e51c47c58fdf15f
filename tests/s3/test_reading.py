"""GetObject and HeadObject: ranges, conditions, overrides, and what is not there."""

import pytest

from anabranch.kernel import limits
from tests.support.s3 import S3Kit

PATH = "/example/main/a"
DATA = bytes(range(256)) * 8192  # 2 MiB: more than one piece of a streamed answer


@pytest.mark.parametrize(
    "text, expected",
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=10-", (10, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=0-99", (0, 100)),
    ],
)
def test_ranges(kit: S3Kit, text: str, expected: tuple[int, int]) -> None:
    data = DATA[:100]
    kit.put(PATH, data)
    first, end = expected
    got = kit.get(PATH, range=text)
    assert (got.status, got.body) == (206, data[first:end])
    assert got.headers["content-range"] == f"bytes {first}-{end - 1}/100"
    assert got.headers["content-length"] == str(end - first)
    head = kit.call("HEAD", PATH, headers={"range": text})
    assert (head.status, head.headers["content-length"]) == (206, str(end - first))


@pytest.mark.parametrize("text", ["bytes=5-2", "bytes=a-b", "rows=0-1", "bytes=0-1,5-6", "bytes=-"])
def test_what_is_not_one_range_is_passed_over(kit: S3Kit, text: str) -> None:
    kit.put(PATH, DATA[:100])
    got = kit.get(PATH, range=text)
    assert (got.status, got.body) == (200, DATA[:100])


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(kit: S3Kit, text: str) -> None:
    kit.put(PATH, DATA[:100])
    got = kit.get(PATH, range=text)
    assert (got.status, got.code) == (416, "InvalidRange")
    assert got.headers["content-range"] == "bytes */100"
    assert got.text("ActualObjectSize") == "100"
    assert kit.call("HEAD", PATH, headers={"range": text}).status == 416


def test_an_empty_object_has_no_range(kit: S3Kit) -> None:
    kit.put(PATH)
    assert kit.get(PATH).body == b""
    assert kit.get(PATH, range="bytes=0-").status == 416
    assert kit.get(PATH, range="bytes=-5").status == 416


def test_a_large_object_is_streamed_whole_and_in_ranges(kit: S3Kit) -> None:
    kit.put(PATH, DATA)
    assert kit.get(PATH).body == DATA
    middle = kit.get(PATH, range=f"bytes=1000-{limits.INLINE_READ_BYTES_MAX + 2000}")
    assert middle.body == DATA[1000 : limits.INLINE_READ_BYTES_MAX + 2001]


def test_conditions(kit: S3Kit) -> None:
    etag = kit.put(PATH, b"x").headers["etag"]
    modified = kit.get(PATH).headers["last-modified"]
    old = "Tue, 01 Jan 2019 00:00:00 GMT"
    for text in (etag, etag.strip('"'), "*", f'"other", {etag}'):
        # aws-sdk-java v1 sends ETags without quotes.
        assert kit.get(PATH, if_match=text).status == 200
        same = kit.get(PATH, if_none_match=text)
        assert (same.status, same.body) == (304, b"")
        assert same.headers["etag"] == etag
    other = kit.get(PATH, if_match='"other"')
    assert (other.status, other.code) == (412, "PreconditionFailed")
    assert kit.get(PATH, if_none_match='"other"').status == 200
    assert kit.get(PATH, if_modified_since=modified).status == 304
    assert kit.get(PATH, if_modified_since=old).status == 200
    assert kit.get(PATH, if_unmodified_since=modified).status == 200
    assert kit.get(PATH, if_unmodified_since=old).status == 412
    assert kit.get(PATH, if_unmodified_since="nonsense").status == 200
    # An ETag outweighs a date (RFC 9110, section 13.2.2).
    assert kit.get(PATH, if_match=etag, if_unmodified_since=old).status == 200
    assert kit.get(PATH, if_none_match='"other"', if_modified_since=modified).status == 200


def test_an_answer_s_headers_can_be_overridden(kit: S3Kit) -> None:
    kit.put(PATH, b"x", content_type="text/plain")
    query = "response-content-type=text%2Fhtml&response-content-disposition=attachment"
    got = kit.call("GET", PATH, query + "&response-expires=0")
    assert got.headers["content-type"] == "text/html"
    assert got.headers["content-disposition"] == "attachment"
    assert got.headers["expires"] == "0"
    split = kit.call("GET", PATH, "response-content-type=a%0D%0Ax-evil%3A1")
    assert "\n" not in split.headers["content-type"]


@pytest.mark.parametrize(
    "path, code",
    [
        ("/example/main/b", "NoSuchKey"),
        ("/example/main/", "NoSuchKey"),
        ("/example/main", "NoSuchKey"),
        ("/example/nope/a", "NoSuchKey"),
        ("/example/main~9/a", "NoSuchKey"),
        ("/example/bad~x/a", "NoSuchKey"),
        ("/example//a", "NoSuchKey"),
        ("/nope/main/a", "NoSuchBucket"),
        ("/nope", "NoSuchBucket"),
    ],
)
def test_what_is_not_there_is_404(kit: S3Kit, path: str, code: str) -> None:
    got = kit.get(path)
    assert (got.status, got.code) == (404, code)
    assert got.text("RequestId") == got.headers["x-amz-request-id"]
    head = kit.call("HEAD", path)
    assert (head.status, head.body) == (404, b"")


def test_a_bucket_name_that_no_bucket_has(kit: S3Kit) -> None:
    # pyarrow 26 looks for a bucket of this kind once.
    assert kit.call("HEAD", "/$extremelyunlikelytoexist$").status == 400
    assert kit.get("/UPPER/main/a").code == "InvalidBucketName"


def test_any_ref_can_be_read(kit: S3Kit) -> None:
    kit.put(PATH, b"1")
    commit = kit.lake.commit()
    kit.tag("v1")
    kit.put(PATH, b"2")
    for ref in (commit, commit[:12], "v1", "main%40", "main@"):
        assert kit.get(f"/example/{ref}/a").body == b"1", ref
    for ref in ("main", "main$"):
        assert kit.get(f"/example/{ref}/a").body == b"2", ref


def test_headers_that_only_ask_for_comfort_are_passed_over(kit: S3Kit) -> None:
    # aws-sdk-java 2.35.4 with checksums on
    kit.put(PATH, b"x")
    got = kit.get(PATH, x_amz_checksum_crc32="AAAAAA==", x_amz_te="append-md5")
    assert got.body == b"x"


def test_parts_of_an_object_that_has_none(kit: S3Kit) -> None:
    kit.put(PATH, b"x")
    assert kit.call("GET", PATH, "partNumber=1").status == 206
    assert kit.call("GET", PATH, "partNumber=2").code == "InvalidPartNumber"


def test_versions_are_refused_but_null(kit: S3Kit) -> None:
    kit.put(PATH, b"x")
    assert kit.call("GET", PATH, "versionId=null").body == b"x"
    assert kit.call("GET", PATH, "versionId=abc").code == "InvalidArgument"


def test_small_answers_about_an_object(kit: S3Kit) -> None:
    kit.put(PATH, b"x")
    assert kit.call("GET", PATH, "tagging").root.tag == "Tagging"
    acl = kit.call("GET", PATH, "acl")
    assert acl.text("AccessControlList/Grant/Permission") == "FULL_CONTROL"
    for query in ("tagging", "acl"):
        assert kit.call("GET", "/example/main/b", query).code == "NoSuchKey"


@pytest.mark.parametrize(
    "method, query, action",
    [
        ("GET", "attributes", "GetObjectAttributes"),
        ("PUT", "acl", "PutObjectAcl"),
        ("PUT", "tagging", "PutObjectTagging"),
        ("DELETE", "tagging", "DeleteObjectTagging"),
        ("GET", "legal-hold", "GetObjectLegalHold"),
        ("GET", "retention", "GetObjectRetention"),
        ("GET", "torrent", "GetObjectTorrent"),
        ("POST", "restore", "RestoreObject"),
        ("POST", "select&select-type=2", "SelectObjectContent"),
        ("PUT", "renameObject", "RenameObject"),
    ],
)
def test_actions_that_are_not_offered_say_which(
    kit: S3Kit, method: str, query: str, action: str
) -> None:
    kit.put(PATH, b"x")
    got = kit.call(method, PATH, query)
    assert (got.status, got.code) == (501, "NotImplemented")
    assert action in got.text("Message")
    assert kit.get(PATH).body == b"x"


def test_methods_that_do_not_exist_are_not_allowed(kit: S3Kit) -> None:
    got = kit.call("PATCH", PATH)
    assert (got.status, got.code) == (405, "MethodNotAllowed")


def test_an_object_whose_bytes_are_gone_is_410(kit: S3Kit) -> None:
    kit.put(PATH, b"x")
    kit.put("/example/main/empty")
    kit.forget_bytes(kit.physical_address("example", "main", "a"))
    got = kit.get(PATH)
    assert (got.status, got.code) == (410, "Gone")
    assert kit.get(PATH, range="bytes=0-0").status == 410
    assert kit.get("/example/main/empty").status == 200
    assert kit.get("/example/main/absent").status == 404
    kit.lake.repository("other")
    source = {"x-amz-copy-source": "/example/main/a"}
    copy = kit.call("PUT", "/other/main/copy", headers=source)
    assert (copy.status, copy.code) == (410, "Gone")
    upload = kit.call("POST", "/other/main/copy", "uploads").text("UploadId")
    query = f"partNumber=1&uploadId={upload}"
    part = kit.call("PUT", "/other/main/copy", query, headers=source)
    assert (part.status, part.code) == (410, "Gone")


@pytest.mark.parametrize("lost", ["range", "metarange"])
def test_lost_metadata_of_a_commit_is_an_internal_error(kit: S3Kit, lost: str) -> None:
    """Else a reader takes it for an object that is not there."""
    kit.put(PATH, b"x")
    kit.put("/example/main/c", b"x")
    kit.lake.commit()
    commits = [commit.metarange for commit in kit.commits("example", "main")]
    names = [one for one in kit.blocks("example") if "/_lakefs/" in one]
    for address in names:
        if (address.rpartition("/")[2] in commits) == (lost == "metarange"):
            kit.forget_bytes(address)
    kit.reopen()
    for path in (PATH, "/example/main/b"):
        got = kit.get(path)
        assert (got.status, got.code) == (500, "InternalError"), path
    assert kit.call("GET", "/example", "list-type=2&prefix=main%2F").status == 500
