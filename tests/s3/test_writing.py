"""PutObject: every payload form, every promise about the body, attributes and conditions."""

import base64
import hashlib
from collections.abc import Mapping

import pytest

from anabranch.kernel import limits
from anabranch.s3 import checksums
from anabranch.s3.chunked import ChunkSigning
from tests.support.chunks import chunked
from tests.support.reference_sigv4 import signing_key
from tests.support.s3 import SECRET, Answer, S3Kit, Sent, sign

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
PATH = "/example/main/a"
DATA = bytes(range(256)) * 1024  # 256 KiB: more than a small object, so threads take part


def value_of(algorithm: str, data: bytes) -> str:
    hasher = checksums.new_hasher(algorithm)
    hasher.update(data)
    return base64.b64encode(hasher.digest()).decode()


def md5_of(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def streaming(
    data: bytes,
    form: str = SIGNED,
    trailers: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int = 64 * 1024,
    **headers: str,
) -> Sent:
    """Return a request with a chunked body, signed or not as its form says."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("x-amz-decoded-content-length", str(len(data)))
    named["x-amz-content-sha256"] = form
    if trailers:
        named["x-amz-trailer"] = ",".join(trailers)
    sent = sign(Sent("PUT", PATH, headers=named))
    chunks = [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
    signing = None
    if form.startswith(SIGNED):
        date = sent.headers["x-amz-date"].encode()
        scope = date[:8] + b"/us-east-1/s3/aws4_request"
        seed = sent.headers["authorization"].rpartition("=")[2].encode()
        signing = ChunkSigning(signing_key(SECRET, scope), date, scope, seed)
    sent.body = chunked(chunks, signing, trailers)
    return sent


def refused(kit: S3Kit, answer: Answer, code: str, status: int = 400) -> None:
    assert (answer.status, answer.code) == (status, code)
    assert kit.get(PATH).status == 404


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 65_537, len(DATA)])
def test_a_body_comes_back_as_it_was(kit: S3Kit, size_bytes: int) -> None:
    data = DATA[:size_bytes]
    answer = kit.put(PATH, data)
    md5 = hashlib.md5(data).hexdigest()
    assert answer.headers["etag"] == f'"{md5}"'
    got = kit.get(PATH)
    assert got.body == data
    assert got.headers["etag"] == f'"{md5}"'
    assert got.headers["content-type"] == "application/octet-stream"
    assert "x-amz-version-id" not in got.headers


def test_unsigned_payloads_are_taken_as_they_are(kit: S3Kit) -> None:
    kit.put(PATH, DATA, x_amz_content_sha256="UNSIGNED-PAYLOAD")
    assert kit.get(PATH).body == DATA


@pytest.mark.parametrize("size_bytes", [0, 1, 65_537, len(DATA)])
@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
def test_signed_chunks(kit: S3Kit, size_bytes: int, piece_bytes: int) -> None:
    # aws-sdk-java 1.11.1026 sends no Content-Encoding and a Content-MD5.
    data = DATA[:size_bytes]
    sent = streaming(data, content_md5=md5_of(data))
    sent.piece_bytes = piece_bytes
    assert kit.send(sent).status == 200
    assert kit.get(PATH).body == data


@pytest.mark.parametrize("algorithm", sorted(checksums.SIZES))
@pytest.mark.parametrize("form", [SIGNED + "-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_trailing_checksums_are_verified_and_given_back(
    kit: S3Kit, form: str, algorithm: str
) -> None:
    name, value = checksums.HEADER_PREFIX + algorithm, value_of(algorithm, DATA)
    answer = kit.send(streaming(DATA, form, {name: value}, content_encoding="aws-chunked"))
    assert answer.status == 200
    assert answer.headers[name] == value
    assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    got = kit.get(PATH, x_amz_checksum_mode="ENABLED")
    assert (got.body, got.headers[name]) == (DATA, value)
    assert "content-encoding" not in got.headers
    assert name not in kit.get(PATH).headers
    assert name not in kit.get(PATH, x_amz_checksum_mode="ENABLED", range="bytes=0-1").headers


def test_http_chunks_need_no_content_length(kit: S3Kit) -> None:
    # pyarrow 26 and boto3 1.44.5 over https
    name, value = "x-amz-checksum-crc64nvme", value_of("crc64nvme", DATA)
    form = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    sent = streaming(DATA, form, {name: value}, transfer_encoding="chunked")
    assert kit.send(sent).status == 200
    assert kit.get(PATH).body == DATA


@pytest.mark.parametrize("algorithm", sorted(checksums.SIZES))
def test_checksums_in_headers(kit: S3Kit, algorithm: str) -> None:
    name, value = checksums.HEADER_PREFIX + algorithm, value_of(algorithm, DATA)
    answer = kit.put(PATH, DATA, **{name: value, "x-amz-sdk-checksum-algorithm": algorithm.upper()})
    assert answer.headers[name] == value
    head = kit.call("HEAD", PATH, headers={"x-amz-checksum-mode": "ENABLED"})
    assert head.headers[name] == value


@pytest.mark.parametrize("algorithm", sorted(checksums.SIZES))
def test_a_wrong_checksum_stores_nothing(kit: S3Kit, algorithm: str) -> None:
    name, value = checksums.HEADER_PREFIX + algorithm, value_of(algorithm, b"other")
    refused(kit, kit.call("PUT", PATH, body=DATA, headers={name: value}), "BadDigest")
    form = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    refused(kit, kit.send(streaming(DATA, form, {name: value})), "BadDigest")


def test_a_wrong_or_malformed_content_md5_stores_nothing(kit: S3Kit) -> None:
    wrong = kit.call("PUT", PATH, body=DATA, headers={"content-md5": md5_of(b"other")})
    refused(kit, wrong, "BadDigest")
    malformed = kit.call("PUT", PATH, body=DATA, headers={"content-md5": "nonsense"})
    refused(kit, malformed, "InvalidDigest")


def test_an_announced_trailer_that_does_not_come_stores_nothing(kit: S3Kit) -> None:
    name = "x-amz-checksum-crc32"
    sent = streaming(DATA, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", {name: value_of("crc32", DATA)})
    sent.body = chunked([DATA])
    refused(kit, kit.send(sent), "MalformedTrailerError")


def test_a_wrong_chunk_signature_stores_nothing(kit: S3Kit) -> None:
    sent = streaming(DATA)
    at = sent.body.index(b"\r\n") + 5
    sent.body = sent.body[:at] + b"!" + sent.body[at + 1 :]
    refused(kit, kit.send(sent), "SignatureDoesNotMatch", 403)


def test_a_wrong_trailer_signature_stores_nothing(kit: S3Kit) -> None:
    name = "x-amz-checksum-crc32"
    sent = streaming(DATA, SIGNED + "-TRAILER", {name: value_of("crc32", DATA)})
    sent.body = sent.body[:-6] + b"00" + sent.body[-4:]
    refused(kit, kit.send(sent), "SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("claimed", [len(DATA) - 1, len(DATA) + 1])
def test_a_decoded_length_that_is_not_the_body_s_stores_nothing(kit: S3Kit, claimed: int) -> None:
    sent = streaming(DATA, x_amz_decoded_content_length=str(claimed))
    refused(kit, kit.send(sent), "IncompleteBody")


@pytest.mark.parametrize("kept", [10, 70_000, 200_000])
def test_a_client_that_goes_away_half_way_stores_nothing(kit: S3Kit, kept: int) -> None:
    for sent in (sign(Sent("PUT", PATH, body=DATA)), streaming(DATA)):
        sent.headers["content-length"] = str(len(sent.body))
        sent.body, sent.is_cut = sent.body[:kept], True
        refused(kit, kit.send(sent), "IncompleteBody")


def test_a_body_without_any_length_is_refused(kit: S3Kit) -> None:
    sent = sign(Sent("PUT", PATH, body=b""))
    sent.method = "PUT"
    answer = kit.send_without_length(sent)
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_a_put_of_the_largest_size_is_taken_up_and_one_more_byte_is_not(kit: S3Kit) -> None:
    for size_bytes, code in (
        (limits.PUT_BYTES_MAX, "IncompleteBody"),
        (limits.PUT_BYTES_MAX + 1, "EntityTooLarge"),
    ):
        sent = sign(Sent("PUT", PATH, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}))
        sent.headers["content-length"] = str(size_bytes)
        sent.body, sent.is_cut = b"x", True
        answer = kit.send(sent)
        assert kit.last is not None
        assert kit.last.is_body_started == (code == "IncompleteBody")
        refused(kit, answer, code)


def test_attributes_come_back(kit: S3Kit) -> None:
    headers = {
        "content-type": "text/csv; charset=utf-8",
        "content-encoding": "gzip,aws-chunked",
        "cache-control": "no-cache",
        "content-disposition": 'attachment; filename="a"',
        "content-language": "de",
        "expires": "Wed, 21 Oct 2035 07:28:00 GMT",
        "x-amz-meta-content-encoding": "mine",
        "x-amz-meta-mtime": "1700000000.5",
    }
    kit.put(PATH, b"x", **headers)
    for answer in (kit.get(PATH), kit.call("HEAD", PATH)):
        for name, value in headers.items():
            assert answer.headers[name] == value.replace(",aws-chunked", ""), name


def test_metadata_of_the_largest_size_is_taken_and_one_more_byte_is_not(kit: S3Kit) -> None:
    room = limits.USER_METADATA_BYTES_MAX - 1
    kit.put(PATH, b"x", x_amz_meta_a="v" * room)
    answer = kit.call("PUT", PATH, body=b"y", headers={"x-amz-meta-a": "v" * (room + 1)})
    assert (answer.status, answer.code) == (400, "MetadataTooLarge")
    assert kit.get(PATH).body == b"x"


def test_conditional_writes(kit: S3Kit) -> None:
    create = {"if-none-match": "*"}
    assert kit.call("PUT", PATH, body=b"1", headers=create).status == 200
    again = kit.call("PUT", PATH, body=b"2", headers=create)
    assert (again.status, again.code) == (412, "PreconditionFailed")
    etag = kit.get(PATH).headers["etag"]
    for text in (etag, etag.strip('"')):
        assert kit.call("PUT", PATH, body=b"1", headers={"if-match": text}).status == 200
    sent = sign(Sent("PUT", PATH, headers={"if-match": '"no"'}, body=b"2"))
    assert kit.send(sent).status == 412
    assert kit.get(PATH).body == b"1"
    absent = kit.call("PUT", PATH + "bsent", body=b"2", headers={"if-match": '"no"'})
    assert (absent.status, absent.code) == (404, "NoSuchKey")


def test_a_condition_that_fails_already_spares_the_client_its_body(kit: S3Kit) -> None:
    kit.put(PATH, b"1")
    sent = sign(Sent("PUT", PATH, headers={"if-none-match": "*"}, body=b"2"))
    sent.headers["expect"] = "100-continue"
    assert kit.send(sent).status == 412
    assert kit.last is not None
    assert not kit.last.is_body_started


def test_a_put_of_a_ref_succeeds_and_stores_nothing(kit: S3Kit) -> None:
    # pyarrow 26: create_dir
    answer = kit.put("/example/main/", content_type="application/x-directory")
    assert answer.headers["etag"] == f'"{hashlib.md5(b"").hexdigest()}"'
    assert kit.keys("example", "list-type=2&prefix=main/") == []
    full = kit.call("PUT", "/example/main/", body=b"x")
    assert (full.status, full.code) == (400, "InvalidArgument")
    assert kit.call("PUT", "/example/nope/").code == "NoSuchKey"


def test_markers_are_ordinary_entries(kit: S3Kit) -> None:
    kit.put("/example/main/d/", content_type="application/x-directory")
    kit.put("/example/main/d/a", b"x")
    assert kit.keys("example", "list-type=2&prefix=main/d/") == ["main/d/", "main/d/a"]
    head = kit.call("HEAD", "/example/main/d/")
    assert head.headers["content-length"] == "0"
    assert head.headers["content-type"] == "application/x-directory"


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/nope/main/a", 404, "NoSuchBucket"),
        ("/example/nope/a", 404, "NoSuchKey"),
        ("/example/bad..name/a", 404, "NoSuchKey"),
        ("/example/a", 400, "InvalidArgument"),
        ("/example/main/" + "k" * 1_025, 400, "KeyTooLongError"),
        ("/example/main/a%00b", 400, "InvalidArgument"),
        ("/example/main/%FF", 400, "InvalidURI"),
        ("/example/main/%zz", 400, "InvalidURI"),
        ("/example/main/50%", 400, "InvalidURI"),
        ("/Bad_Bucket/main/a", 400, "InvalidBucketName"),
        ("/example/tagged/a", 403, "ErrWriteToProtectedBranch"),
        ("/example/main~1/a", 403, "ErrWriteToProtectedBranch"),
        ("/example/main%40/a", 403, "ErrWriteToProtectedBranch"),
    ],
)
def test_what_can_not_be_written_is_refused_before_the_body(
    kit: S3Kit, path: str, status: int, code: str
) -> None:
    kit.lake.put("x", b"1")
    kit.lake.commit()
    kit.tag("tagged")
    sent = sign(Sent("PUT", path, headers={}, body=b"x" * 10))
    sent.headers["expect"] = "100-continue"
    answer = kit.send(sent)
    assert (answer.status, answer.code) == (status, code)
    assert kit.last is not None
    assert not kit.last.is_body_started
    assert kit.last.must_close


def test_a_path_of_the_largest_size_is_taken(kit: S3Kit) -> None:
    kit.put("/example/main/" + "k" * limits.PATH_BYTES_MAX, b"x")
    assert len(kit.keys("example", "list-type=2&prefix=main/")) == 1


def test_an_early_error_drains_the_body_of_a_client_that_does_not_wait(kit: S3Kit) -> None:
    answer = kit.send(sign(Sent("PUT", "/example/nope/a", body=DATA)))
    assert answer.status == 404
    assert kit.last is not None
    assert kit.last.is_body_finished
    assert not kit.last.must_close


def test_promises_that_can_not_be_kept_are_refused(kit: S3Kit) -> None:
    for name in ("x-amz-server-side-encryption-customer-algorithm", "x-amz-tagging"):
        answer = kit.call("PUT", PATH, body=b"x", headers={name: "AES256"})
        assert (answer.status, answer.code) == (501, "NotImplemented")
    for headers in (
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="},
        {"x-amz-sdk-checksum-algorithm": "MD4"},
    ):
        assert kit.call("PUT", PATH, body=b"x", headers=headers).code == "InvalidRequest"
    assert kit.get(PATH).status == 404


def test_a_branch_with_a_slash_in_its_name_is_found(kit: S3Kit) -> None:
    kit.lake.branch("feature/x")
    kit.put("/example/feature/x/a/b", b"1")
    assert kit.get("/example/feature/x/a/b").body == b"1"
    assert kit.keys("example", "list-type=2&prefix=feature/x/a") == ["feature/x/a/b"]
    assert kit.get("/example/main/a/b").status == 404
    deepest = "/".join("abcd"[: limits.REF_SEGMENTS_MAX])
    for name in (deepest, f"too/{deepest}"):
        kit.lake.branch(name)
    kit.put(f"/example/{deepest}/x", b"1")
    assert kit.call("PUT", f"/example/too/{deepest}/x", body=b"1").code == "NoSuchKey"


def test_a_read_only_repository_refuses_writes(kit: S3Kit) -> None:
    kit.read_only_repository("fixed")
    answer = kit.call("PUT", "/fixed/main/a", body=b"x")
    assert (answer.status, answer.code) == (403, "ErrReadOnlyRepository")
