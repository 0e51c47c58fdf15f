"""Multipart uploads in any order, their checksums, lists, copies of parts, and what is refused."""

import base64
import hashlib
from collections.abc import Sequence

import pytest

from anabranch.kernel import limits
from anabranch.s3 import checksums
from tests.support.s3 import Answer, S3Kit

PATH = "/example/main/big"
PART = bytes(range(256)) * (limits.PART_BYTES_MIN // 256)
LAST = b"the end"
NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def value_of(algorithm: str, data: bytes) -> bytes:
    hasher = checksums.new_hasher(algorithm)
    hasher.update(data)
    return hasher.digest()


def text_of(algorithm: str, data: bytes) -> str:
    return base64.b64encode(value_of(algorithm, data)).decode()


def create(kit: S3Kit, path: str = PATH, query: str = "uploads", **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = kit.call("POST", path, query, headers=named)
    assert answer.status == 200, answer.body
    assert answer.root.tag == "InitiateMultipartUploadResult"
    return answer.text("UploadId")


def send(
    kit: S3Kit, upload: str, number: int, data: bytes, path: str = PATH, **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    return kit.call("PUT", path, f"partNumber={number}&uploadId={upload}", data, named)


def complete(
    kit: S3Kit, upload: str, parts: Sequence[tuple[int, str]], path: str = PATH, **headers: str
) -> Answer:
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in parts
    )
    body = f"<CompleteMultipartUpload{NAMESPACE}>{listed}</CompleteMultipartUpload>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return kit.call("POST", path, f"uploadId={upload}", body.encode(), named)


def etag_of(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["etag"]


@pytest.mark.parametrize(
    "query, quote",
    [
        ("uploads", '"{}"'),
        ("uploads", "{}"),  # aws-sdk-java 1.11.1026
        ("uploads", "&quot;{}&quot;"),  # aws-sdk-java 2.35.4
        ("uploads=", "&#34;{}&#34;"),  # rclone 1.60.1
    ],
)
def test_parts_in_any_order_become_one_object(kit: S3Kit, query: str, quote: str) -> None:
    upload = create(kit, query=query, x_amz_meta_k="v", content_type="text/plain")
    last = etag_of(send(kit, upload, 7, LAST))
    first = etag_of(send(kit, upload, 2, PART))
    parts = [(2, quote.format(first.strip('"'))), (7, quote.format(last.strip('"')))]
    answer = complete(kit, upload, parts)
    assert answer.status == 200
    md5s = hashlib.md5(PART).digest() + hashlib.md5(LAST).digest()
    etag = f'"{hashlib.md5(md5s).hexdigest()}-2"'
    assert answer.text("ETag") == etag
    assert answer.text("Key") == "main/big"
    got = kit.get(PATH)
    assert got.body == PART + LAST
    assert (got.headers["etag"], got.headers["x-amz-meta-k"]) == (etag, "v")
    middle = kit.get(PATH, range=f"bytes={len(PART) - 3}-{len(PART) + 2}")
    assert middle.body == (PART + LAST)[len(PART) - 3 : len(PART) + 3]
    assert kit.call("GET", PATH, "partNumber=1").code == "NotImplemented"


def test_the_same_complete_again_gets_the_same_answer(kit: S3Kit) -> None:
    upload = create(kit)
    parts = [(1, etag_of(send(kit, upload, 1, LAST)))]
    first = complete(kit, upload, parts)
    again = complete(kit, upload, parts)
    assert (first.body, again.status) == (again.body, 200)
    assert complete(kit, upload, [(1, '"other"')]).code == "NoSuchUpload"
    assert send(kit, upload, 1, LAST).code == "NoSuchUpload"
    for method in ("GET", "DELETE"):
        assert kit.call(method, PATH, f"uploadId={upload}").code == "NoSuchUpload"


def test_a_part_sent_again_replaces_the_former(kit: S3Kit) -> None:
    upload = create(kit)
    old = etag_of(send(kit, upload, 1, b"old"))
    new = etag_of(send(kit, upload, 1, b"new"))
    assert complete(kit, upload, [(1, old)]).code == "InvalidPart"
    assert complete(kit, upload, [(1, new)]).status == 200
    assert kit.get(PATH).body == b"new"


def test_what_a_complete_may_not_be(kit: S3Kit) -> None:
    upload = create(kit)
    one, two = etag_of(send(kit, upload, 1, LAST)), etag_of(send(kit, upload, 2, LAST))
    cases = [
        ([(2, two), (1, one)], "InvalidPartOrder"),
        ([(1, one), (1, one)], "InvalidPartOrder"),
        ([(1, one), (2, two)], "EntityTooSmall"),
        ([(1, one), (3, two)], "InvalidPart"),
        ([(1, two.replace("0", "1"))], "InvalidPart"),
        ([], "MalformedXML"),
        ([(limits.PARTS_MAX + 1, one)], "InvalidPart"),
    ]
    for parts, code in cases:
        answer = complete(kit, upload, parts)
        assert (answer.status, answer.code) == (400, code), parts
    assert kit.get(PATH).status == 404
    for body in (b"", b"x", b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>"):
        answer = kit.call("POST", PATH, f"uploadId={upload}", body)
        assert (answer.status, answer.code) == (400, "MalformedXML")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "1.5"])
def test_a_part_number_is_1_to_10000(kit: S3Kit, number: str) -> None:
    upload = create(kit)
    answer = kit.call("PUT", PATH, f"partNumber={number}&uploadId={upload}", b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_the_largest_part_number_is_taken(kit: S3Kit) -> None:
    upload = create(kit)
    parts = [(limits.PARTS_MAX, etag_of(send(kit, upload, limits.PARTS_MAX, b"x")))]
    assert complete(kit, upload, parts).status == 200


def test_unknown_uploads(kit: S3Kit) -> None:
    upload = create(kit)
    for one in ("none", "", "0" * 32, "../x"):
        assert send(kit, one, 1, b"x").code == "NoSuchUpload"
        assert complete(kit, one, [(1, '"a"')]).code == "NoSuchUpload"
        assert kit.call("DELETE", PATH, f"uploadId={one}").code == "NoSuchUpload"
        assert kit.call("GET", PATH, f"uploadId={one}").code == "NoSuchUpload"
    # An upload belongs to its key.
    assert send(kit, upload, 1, b"x", "/example/main/other").code == "NoSuchUpload"
    assert send(kit, upload, 1, b"x", "/none/main/big").code == "NoSuchBucket"


def test_abort(kit: S3Kit) -> None:
    upload = create(kit)
    part = etag_of(send(kit, upload, 1, LAST))
    assert kit.call("DELETE", PATH, f"uploadId={upload}").status == 204
    assert kit.call("DELETE", PATH, f"uploadId={upload}").code == "NoSuchUpload"
    assert complete(kit, upload, [(1, part)]).code == "NoSuchUpload"
    assert kit.get(PATH).status == 404
    assert kit.call("GET", "/example", "uploads").texts("Upload/Key") == []


def test_conditional_complete(kit: S3Kit) -> None:
    kit.put(PATH, b"x")
    upload = create(kit)
    parts = [(1, etag_of(send(kit, upload, 1, LAST)))]
    answer = complete(kit, upload, parts, if_none_match="*")
    assert (answer.status, answer.code) == (412, "PreconditionFailed")
    assert kit.get(PATH).body == b"x"
    etag = kit.get(PATH).headers["etag"]
    assert complete(kit, upload, parts, if_match=etag).status == 200


def test_parts_are_listed_in_pages(kit: S3Kit) -> None:
    upload = create(kit)
    for number in (5, 1, 3):
        send(kit, upload, number, b"x" * number)
    whole = kit.call("GET", PATH, f"uploadId={upload}")
    assert whole.texts("Part/PartNumber") == ["1", "3", "5"]
    assert whole.texts("Part/Size") == ["1", "3", "5"]
    assert whole.text("IsTruncated") == "false"
    first = kit.call("GET", PATH, f"uploadId={upload}&max-parts=2")
    assert first.texts("Part/PartNumber") == ["1", "3"]
    assert (first.text("IsTruncated"), first.text("NextPartNumberMarker")) == ("true", "3")
    rest = kit.call("GET", PATH, f"uploadId={upload}&max-parts=2&part-number-marker=3")
    assert rest.texts("Part/PartNumber") == ["5"]


def test_uploads_are_listed_in_pages(kit: S3Kit) -> None:
    kit.lake.branch("dev")
    paths = ["/example/dev/x", "/example/main/a/1", "/example/main/a/2", "/example/main/b"]
    made = [(path.removeprefix("/example/"), create(kit, path)) for path in paths]
    made.append(("main/b", create(kit, "/example/main/b")))
    made.sort()
    found = []
    query = "uploads&max-uploads=2"
    while True:
        answer = kit.call("GET", "/example", query)
        keys, ids = answer.texts("Upload/Key"), answer.texts("Upload/UploadId")
        found += list(zip(keys, ids, strict=True))
        if answer.text("IsTruncated") == "false":
            break
        marker, after = answer.text("NextKeyMarker"), answer.text("NextUploadIdMarker")
        query = f"uploads&max-uploads=2&key-marker={marker}&upload-id-marker={after}"
    assert sorted(found) == made
    assert found == sorted(found)
    below = kit.call("GET", "/example", "uploads&prefix=main/&delimiter=/")
    assert below.texts("Upload/Key") == ["main/b", "main/b"]
    assert below.texts("CommonPrefixes/Prefix") == ["main/a/"]
    assert kit.call("GET", "/none", "uploads").code == "NoSuchBucket"


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "sha1", "sha256"])
def test_checksums_of_parts_make_a_composite_one(kit: S3Kit, algorithm: str) -> None:
    # boto3 1.44.5 (crc32 header per part), hadoop-aws 3.5.0 (crc32c)
    upload = create(kit, x_amz_checksum_algorithm=algorithm.upper())
    name = f"x-amz-checksum-{algorithm}"
    parts = []
    for number, data in ((1, PART), (2, LAST)):
        value = text_of(algorithm, data)
        answer = send(kit, upload, number, data, **{name: value})
        assert answer.headers[name] == value
        parts.append((number, answer.headers["etag"], value))
    element = f"Checksum{algorithm.upper()}"
    listed = "".join(
        f"<Part>\n <ETag>{etag}</ETag>\n <{element}>{value}</{element}>\n "
        f"<PartNumber>{number}</PartNumber>\n</Part>\n"
        for number, etag, value in parts
    )
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    wrong = body.replace(parts[1][2].encode(), text_of(algorithm, b"other").encode())
    assert kit.call("POST", PATH, f"uploadId={upload}", wrong).code == "InvalidPart"
    answer = kit.call("POST", PATH, f"uploadId={upload}", body)
    whole = value_of(algorithm, value_of(algorithm, PART) + value_of(algorithm, LAST))
    expected = base64.b64encode(whole).decode() + "-2"
    assert answer.text(element) == expected
    assert answer.text("ChecksumType") == "COMPOSITE"
    head = kit.call("HEAD", PATH, headers={"x-amz-checksum-mode": "ENABLED"})
    assert head.headers[name] == expected
    assert head.headers["x-amz-checksum-type"] == "COMPOSITE"
    shown = kit.call("GET", "/example", "list-type=2&prefix=main/").texts("Contents/ChecksumType")
    assert shown == ["COMPOSITE"]


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme"])
def test_crcs_can_cover_the_whole_object(kit: S3Kit, algorithm: str) -> None:
    upload = create(
        kit,
        x_amz_checksum_algorithm=algorithm.upper(),
        x_amz_checksum_type="FULL_OBJECT",
    )
    name, value = f"x-amz-checksum-{algorithm}", text_of(algorithm, PART + LAST)
    # The second part comes without a checksum: it is computed.
    parts = [
        (1, etag_of(send(kit, upload, 1, PART, **{name: text_of(algorithm, PART)}))),
        (2, etag_of(send(kit, upload, 2, LAST))),
    ]
    named = {"x-amz-checksum-type": "FULL_OBJECT", name: text_of(algorithm, b"other")}
    assert complete(kit, upload, parts, **named).code == "BadDigest"
    named[name] = value
    size = {"x-amz-mp-object-size": str(len(PART + LAST))}
    wrong_size = {"x-amz-mp-object-size": "5"}
    assert complete(kit, upload, parts, **named, **wrong_size).code == "InvalidRequest"
    assert complete(kit, upload, parts, **named, **size).status == 200
    got = kit.get(PATH, x_amz_checksum_mode="ENABLED")
    assert (got.headers[name], got.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")


def test_a_part_with_another_algorithm_than_its_upload_s_is_refused(kit: S3Kit) -> None:
    upload = create(kit, x_amz_checksum_algorithm="CRC32")
    headers = {"x-amz-checksum-sha256": text_of("sha256", b"x")}
    assert send(kit, upload, 1, b"x", **headers).code == "InvalidRequest"


@pytest.mark.parametrize(
    "algorithm, kind",
    [("CRC64NVME", "COMPOSITE"), ("SHA256", "FULL_OBJECT"), ("MD4", ""), ("", "FULL_OBJECT")],
)
def test_checksum_types_that_do_not_exist(kit: S3Kit, algorithm: str, kind: str) -> None:
    headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    named = {name: value for name, value in headers.items() if value}
    assert kit.call("POST", PATH, "uploads", headers=named).code == "InvalidRequest"


def test_a_wrong_checksum_of_a_part_keeps_nothing(kit: S3Kit) -> None:
    upload = create(kit)
    answer = send(kit, upload, 1, b"x", x_amz_checksum_crc32=text_of("crc32", b"y"))
    assert answer.code == "BadDigest"
    assert kit.call("GET", PATH, f"uploadId={upload}").texts("Part/PartNumber") == []


def test_parts_can_be_copied(kit: S3Kit) -> None:
    kit.put("/example/main/source", PART + LAST)
    upload = create(kit, x_amz_checksum_algorithm="CRC32")
    source = {"x-amz-copy-source": "/example/main/source"}
    ranged = {**source, "x-amz-copy-source-range": f"bytes=0-{len(PART) - 1}"}
    parts = []
    for number, headers in ((1, ranged), (2, source)):
        answer = kit.call("PUT", PATH, f"partNumber={number}&uploadId={upload}", b"", headers)
        assert answer.root.tag == "CopyPartResult"
        parts.append((number, answer.text("ETag")))
        assert len(answer.texts("ChecksumCRC32")) == 1
    assert complete(kit, upload, parts).status == 200
    assert kit.get(PATH).body == PART + PART + LAST
    for text in ("bytes=5-1", "bytes=0-", "0-1", f"bytes=0-{len(PART + LAST)}"):
        headers = {**source, "x-amz-copy-source-range": text}
        again = create(kit)
        answer = kit.call("PUT", PATH, f"partNumber=1&uploadId={again}", b"", headers)
        assert (answer.status, answer.code) == (400, "InvalidArgument"), text
    headers = {**source, "x-amz-copy-source-if-match": '"other"'}
    answer = kit.call("PUT", PATH, f"partNumber=1&uploadId={again}", b"", headers)
    assert answer.status == 412


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/example/none/a", 404, "NoSuchKey"),
        ("/none/main/a", 404, "NoSuchBucket"),
        ("/example/main/", 400, "InvalidArgument"),
        ("/example/v1/a", 403, "ErrWriteToProtectedBranch"),
    ],
)
def test_uploads_to_where_nothing_can_be_written(
    kit: S3Kit, path: str, status: int, code: str
) -> None:
    kit.put("/example/main/x", b"x")
    kit.lake.commit()
    kit.tag("v1")
    answer = kit.call("POST", path, "uploads")
    assert (answer.status, answer.code) == (status, code)
