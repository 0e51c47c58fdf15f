"""DeleteObject and DeleteObjects."""

import base64
import hashlib

import pytest

from anabranch.kernel import limits
from tests.support.s3 import Answer, S3Kit

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def multi(kit: S3Kit, body: str | bytes, bucket: str = "example", **headers: str) -> Answer:
    data = body.encode() if isinstance(body, str) else body
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    return kit.call("POST", f"/{bucket}", "delete", data, {"content-md5": md5, **headers})


def keys_of(*keys: str) -> str:
    return "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)


def test_a_delete_is_204_whatever_was_there(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x")
    for _ in range(2):
        assert kit.call("DELETE", "/example/main/a").status == 204
    assert kit.get("/example/main/a").status == 404
    for path in ("/example/main/", "/example/main", "/example/main/never"):
        assert kit.call("DELETE", path).status == 204


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/example/none/a", 404, "NoSuchKey"),
        ("/none/main/a", 404, "NoSuchBucket"),
        ("/example/v1/a", 403, "ErrWriteToProtectedBranch"),
    ],
)
def test_a_delete_where_nothing_can_be_written(
    kit: S3Kit, path: str, status: int, code: str
) -> None:
    kit.put("/example/main/a", b"x")
    kit.lake.commit()
    kit.tag("v1")
    answer = kit.call("DELETE", path)
    assert (answer.status, answer.code) == (status, code)


def test_many_keys_at_once(kit: S3Kit) -> None:
    kit.lake.branch("dev")
    for path in ("main/a", "main/b", "dev/c"):
        kit.put(f"/example/{path}", b"x")
    body = f"<Delete{NAMESPACE}>{keys_of('main/a', 'dev/c', 'main/none', 'main/')}</Delete>"
    answer = multi(kit, body)
    assert answer.status == 200
    assert answer.texts("Deleted/Key") == ["main/a", "dev/c", "main/none", "main/"]
    assert kit.keys("example", "prefix=main/") == ["main/b"]
    assert kit.keys("example", "prefix=dev/") == []


@pytest.mark.parametrize(
    "body",
    [
        "<Delete><Quiet>true</Quiet>{keys}</Delete>",  # aws-sdk-java 1.11.1026
        "<Delete{namespace}>{keys}<Quiet>true</Quiet></Delete>",  # aws-sdk-java 2.35.4
    ],
)
def test_quiet_tells_only_what_failed(kit: S3Kit, body: str) -> None:
    kit.put("/example/main/a", b"x")
    keys = keys_of("main/a", "main/_temporary/", "main/")
    answer = multi(kit, body.format(keys=keys, namespace=NAMESPACE))
    assert answer.status == 200
    assert list(answer.root) == []
    assert kit.keys("example", "prefix=main/") == []
    failing = multi(kit, body.format(keys=keys_of("none/a", "main/b"), namespace=NAMESPACE))
    assert failing.texts("Error/Key") == ["none/a"]
    assert failing.texts("Error/Code") == ["NoSuchKey"]


def test_checksums_in_headers_instead_of_content_md5(kit: S3Kit) -> None:
    # boto3 1.44.5: crc32, pyarrow 26: crc64nvme, obstore 0.12.1: sha256
    kit.put("/example/main/a", b"x")
    body = f"<Delete>{keys_of('main/a')}</Delete>".encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = {"x-amz-checksum-sha256": digest}
    assert kit.call("POST", "/example", "delete", body, headers).status == 200
    headers = {"x-amz-checksum-sha256": base64.b64encode(b"0" * 32).decode()}
    assert kit.call("POST", "/example", "delete", body, headers).code == "BadDigest"


@pytest.mark.parametrize("count", [limits.INLINE_KEYS_MAX, limits.INLINE_KEYS_MAX + 1])
def test_few_and_many_keys_are_deleted_alike(kit: S3Kit, count: int) -> None:
    for number in range(count):
        kit.lake.put(str(number), b"x")
    keys = [f"main/{number}" for number in range(count)]
    assert multi(kit, f"<Delete>{keys_of(*keys)}</Delete>").texts("Deleted/Key") == keys
    assert kit.keys("example", "prefix=main/") == []


def test_the_largest_number_of_keys_and_one_more(kit: S3Kit) -> None:
    keys = [f"main/{number}" for number in range(limits.DELETE_PATHS_MAX + 1)]
    assert multi(kit, f"<Delete>{keys_of(*keys[1:])}</Delete>").status == 200
    answer = multi(kit, f"<Delete>{keys_of(*keys)}</Delete>")
    assert (answer.status, answer.code) == (400, "MalformedXML")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not xml",
        "<Delete></Delete>",
        "<Delete><Object></Object></Delete>",
        "<Delete><Object><Key></Key></Object></Delete>",
        "<Delete><Quiet>perhaps</Quiet><Object><Key>main/a</Key></Object></Delete>",
        "<Remove><Object><Key>main/a</Key></Object></Remove>",
        '<!DOCTYPE d [<!ENTITY a "main/a">]><Delete><Object><Key>&a;</Key></Object></Delete>',
    ],
)
def test_malformed_documents_delete_nothing(kit: S3Kit, body: str) -> None:
    kit.put("/example/main/a", b"x")
    answer = multi(kit, body)
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert kit.get("/example/main/a").status == 200


def test_a_document_that_is_too_large_is_refused(kit: S3Kit) -> None:
    fits = b"<Delete>" + keys_of("main/a").encode() + b"</Delete>"
    fits += b" " * (limits.XML_BODY_BYTES_MAX - len(fits))
    assert multi(kit, fits).status == 200
    answer = multi(kit, fits + b" ")
    assert (answer.status, answer.code) == (400, "MaxMessageLengthExceeded")


def test_versions_can_not_be_deleted(kit: S3Kit) -> None:
    body = "<Delete><Object><Key>main/a</Key><VersionId>3</VersionId></Object></Delete>"
    assert multi(kit, body).code == "NotImplemented"


def test_an_unknown_bucket(kit: S3Kit) -> None:
    answer = multi(kit, f"<Delete>{keys_of('main/a')}</Delete>", bucket="none")
    assert (answer.status, answer.code) == (404, "NoSuchBucket")
