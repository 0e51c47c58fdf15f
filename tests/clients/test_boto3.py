"""boto3 against a real server: gateway and raw store, over HTTP and HTTPS, which differ in form."""

import base64
import hashlib
import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.clients.boto3_session import Boto, boto_server

MIB = 1024 * 1024
CHECKSUMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
# botocore computes the first and the last two itself; the others need a package of their own.
OWN_CHECKSUMS = ["CRC32", "SHA1", "SHA256"]

pytestmark = pytest.mark.slow


@pytest.fixture(
    scope="module",
    params=[(False, False), (True, False), (False, True), (True, True)],
    ids=["http", "https", "raw-http", "raw-https"],
)
def boto(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Boto]:
    is_tls, is_raw = request.param
    with boto_server(tmp_path_factory.mktemp("boto"), is_tls=is_tls, is_raw=is_raw) as made:
        yield made


@pytest.fixture
def s3(boto: Boto) -> Any:
    return boto.client()


@pytest.fixture
def key(boto: Boto, request: pytest.FixtureRequest) -> str:
    """A key of its own for each test."""
    name = hashlib.md5(request.node.nodeid.encode()).hexdigest()[:8]
    return f"{boto.root}{name}/k"


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize("size_bytes", [0, 1, 65_537, 3 * MIB])
def test_put_get_head(boto: Boto, s3: Any, key: str, size_bytes: int) -> None:
    data = bytes(range(256)) * (size_bytes // 256 + 1)
    data = data[:size_bytes]
    put = s3.put_object(
        Bucket=boto.bucket, Key=key, Body=data, Metadata={"k": "v"}, ContentType="text/plain"
    )
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert put["ChecksumCRC32"]
    got = s3.get_object(Bucket=boto.bucket, Key=key)
    assert got["Body"].read() == data
    assert (got["Metadata"], got["ContentType"]) == ({"k": "v"}, "text/plain")
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
    head = s3.head_object(Bucket=boto.bucket, Key=key)
    assert (head["ContentLength"], head["ETag"]) == (size_bytes, put["ETag"])


@pytest.mark.parametrize("algorithm", OWN_CHECKSUMS)
def test_checksum_algorithms(boto: Boto, s3: Any, key: str, algorithm: str) -> None:
    s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x" * 70_000, ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=boto.bucket, Key=key, ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"]
    got = s3.get_object(Bucket=boto.bucket, Key=key)
    assert got["Body"].read() == b"x" * 70_000


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_wrong_checksum_is_refused(boto: Boto, s3: Any, key: str, algorithm: str) -> None:
    sizes = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
    wrong = base64.b64encode(b"\x01" * sizes[algorithm]).decode()
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x", **{f"Checksum{algorithm}": wrong})
    assert code_of(caught) == "BadDigest"
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=boto.bucket, Key=key)
    assert code_of(caught) == "404"


def test_without_checksums(boto: Boto, key: str) -> None:
    s3 = boto.client(
        request_checksum_calculation="when_required", response_checksum_validation="when_required"
    )
    s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x" * 100_000)
    got = s3.get_object(Bucket=boto.bucket, Key=key)
    assert "ChecksumCRC32" not in got
    assert got["Body"].read() == b"x" * 100_000


def test_unsigned_payloads(boto: Boto, key: str) -> None:
    s3 = boto.client(s3={"addressing_style": "path", "payload_signing_enabled": False})
    s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x" * 100_000)
    assert s3.get_object(Bucket=boto.bucket, Key=key)["Body"].read() == b"x" * 100_000


def test_a_stream_without_known_checksum(boto: Boto, s3: Any, key: str) -> None:
    s3.upload_fileobj(io.BytesIO(b"y" * 300_000), boto.bucket, key)
    assert s3.get_object(Bucket=boto.bucket, Key=key)["Body"].read() == b"y" * 300_000


def test_ranges_and_conditions(boto: Boto, s3: Any, key: str) -> None:
    etag = s3.put_object(Bucket=boto.bucket, Key=key, Body=b"0123456789")["ETag"]
    part = s3.get_object(Bucket=boto.bucket, Key=key, Range="bytes=2-4", IfMatch=etag)
    assert (part["Body"].read(), part["ContentRange"]) == (b"234", "bytes 2-4/10")
    assert s3.get_object(Bucket=boto.bucket, Key=key, Range="bytes=-3")["Body"].read() == b"789"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=boto.bucket, Key=key, Range="bytes=10-")
    assert code_of(caught) == "InvalidRange"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=boto.bucket, Key=key, IfNoneMatch=etag)
    assert code_of(caught) == "304"
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x", IfNoneMatch="*")
    assert code_of(caught) == "PreconditionFailed"


@pytest.mark.parametrize(
    "name", ["a b", "a+b=c&d", "é/日本", "a//b/../c", "~!'()*@:,;$", "100%", "t/ ", "<&>'\""]
)
def test_keys_of_any_kind(boto: Boto, s3: Any, key: str, name: str) -> None:
    whole = f"{key}/{name}"
    s3.put_object(Bucket=boto.bucket, Key=whole, Body=name.encode())
    assert s3.get_object(Bucket=boto.bucket, Key=whole)["Body"].read() == name.encode()
    listed = s3.list_objects_v2(Bucket=boto.bucket, Prefix=whole)
    assert [one["Key"] for one in listed["Contents"]] == [whole]
    old = s3.list_objects(Bucket=boto.bucket, Prefix=f"{key}/")
    assert [one["Key"] for one in old["Contents"]] == [whole]
    s3.copy_object(
        Bucket=boto.bucket, Key=f"{key}-copy", CopySource={"Bucket": boto.bucket, "Key": whole}
    )
    assert s3.get_object(Bucket=boto.bucket, Key=f"{key}-copy")["Body"].read() == name.encode()
    s3.delete_object(Bucket=boto.bucket, Key=whole)
    assert s3.list_objects_v2(Bucket=boto.bucket, Prefix=whole)["KeyCount"] == 0


def test_listing(boto: Boto, s3: Any, key: str) -> None:
    names = [f"{key}/{one:02}/{two}" for one in range(4) for two in "ab"]
    for name in names:
        s3.put_object(Bucket=boto.bucket, Key=name, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=boto.bucket, Prefix=f"{key}/", PaginationConfig={"PageSize": 3}
    )
    assert [one["Key"] for page in pages for one in page["Contents"]] == names
    old = s3.get_paginator("list_objects").paginate(
        Bucket=boto.bucket, Prefix=f"{key}/", Delimiter="/", PaginationConfig={"PageSize": 3}
    )
    prefixes = [one["Prefix"] for page in old for one in page.get("CommonPrefixes", [])]
    assert prefixes == [f"{key}/{one:02}/" for one in range(4)]
    after = s3.list_objects_v2(Bucket=boto.bucket, Prefix=f"{key}/", StartAfter=names[-2])
    assert [one["Key"] for one in after["Contents"]] == names[-1:]


def test_the_resource_lists_by_version_1_and_deletes_in_bulk(boto: Boto, key: str) -> None:
    bucket = boto.resource().Bucket(boto.bucket)
    for number in range(5):
        bucket.put_object(Key=f"{key}/{number}", Body=b"x" * number)
    found = list(bucket.objects.filter(Prefix=f"{key}/"))
    assert [one.size for one in found] == [0, 1, 2, 3, 4]
    assert found[3].get()["Body"].read() == b"xxx"
    if not boto.root:
        assert {one.key for one in bucket.objects.all()} >= {one.key for one in found}
    (answer,) = bucket.objects.filter(Prefix=f"{key}/").delete()
    assert len(answer["Deleted"]) == 5
    assert list(bucket.objects.filter(Prefix=f"{key}/")) == []


def test_delete_objects(boto: Boto, s3: Any, key: str) -> None:
    s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x")
    names = [key, f"{key}/none", *([boto.root] if boto.root else [])]
    delete = {"Objects": [{"Key": name} for name in names]}
    answer = s3.delete_objects(Bucket=boto.bucket, Delete=delete)
    assert [one["Key"] for one in answer["Deleted"]] == names
    quiet = s3.delete_objects(Bucket=boto.bucket, Delete={**delete, "Quiet": True})
    assert "Deleted" not in quiet
    assert "Errors" not in quiet


def test_copies_with_directives(boto: Boto, s3: Any, key: str) -> None:
    s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x", Metadata={"a": "1"})
    source = {"Bucket": boto.bucket, "Key": key}
    s3.copy_object(Bucket=boto.bucket, Key=f"{key}2", CopySource=source)
    assert s3.head_object(Bucket=boto.bucket, Key=f"{key}2")["Metadata"] == {"a": "1"}
    s3.copy_object(
        Bucket=boto.bucket,
        Key=f"{key}2",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
    )
    assert s3.head_object(Bucket=boto.bucket, Key=f"{key}2")["Metadata"] == {"b": "2"}
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=boto.bucket, Key=key, CopySource=source, CopySourceIfMatch="nope")
    assert code_of(caught) in ("PreconditionFailed", "InvalidRequest")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(boto: Boto, key: str, version: str) -> None:
    s3 = boto.client(signature_version=version)
    url = s3.generate_presigned_url(
        "put_object", Params={"Bucket": boto.bucket, "Key": key}, ExpiresIn=100
    )
    assert ("AWSAccessKeyId=" in url) == (version == "s3")
    assert fetch(boto, url, "PUT", b"presigned") == b""
    url = s3.generate_presigned_url("get_object", Params={"Bucket": boto.bucket, "Key": key})
    assert fetch(boto, url) == b"presigned"
    with pytest.raises(urllib.request.HTTPError) as caught:
        fetch(boto, url.replace("Signature=", "Signature=0"))
    assert caught.value.code in (400, 403)
    caught.value.close()


def fetch(boto: Boto, url: str, method: str = "GET", data: bytes | None = None) -> bytes:
    """Ask for a URL without any header of Amazon's."""
    import ssl

    context = ssl.create_default_context(cafile=boto.ca_file) if boto.ca_file else None
    request = urllib.request.Request(url, data=data, method=method)
    if data is not None:
        request.add_header("Content-Type", "")
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return bytes(answer.read())


def test_the_transfer_manager(boto: Boto, s3: Any, key: str, tmp_path: Path) -> None:
    data = bytes(range(251)) * (17 * MIB // 251)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.upload_file(str(source), boto.bucket, key, Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    head = s3.head_object(Bucket=boto.bucket, Key=key, ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-4"')
    assert head["Metadata"] == {"a": "b"}
    assert head["ContentLength"] == len(data)
    if boto.root:
        # An object of the raw store that came in parts has no field for their checksum.
        assert head["ChecksumType"] == "COMPOSITE"
    s3.download_file(boto.bucket, key, str(target), Config=config)
    assert target.read_bytes() == data
    s3.copy({"Bucket": boto.bucket, "Key": key}, boto.bucket, f"{key}-copy", Config=config)
    copied = s3.get_object(Bucket=boto.bucket, Key=f"{key}-copy")
    assert hashlib.md5(copied["Body"].read()).digest() == hashlib.md5(data).digest()


@pytest.mark.parametrize("algorithm", OWN_CHECKSUMS)
def test_multipart_with_checksums(boto: Boto, s3: Any, key: str, algorithm: str) -> None:
    where = {"Bucket": boto.bucket, "Key": key}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm=algorithm)["UploadId"]
    bodies = {2: b"b" * 1000, 1: b"a" * (5 * MIB)}
    parts = []
    for number, body in bodies.items():
        part = s3.upload_part(
            **where,
            UploadId=upload,
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm=algorithm,
        )
        name = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    shown = s3.list_parts(**where, UploadId=upload)
    assert [one["PartNumber"] for one in shown["Parts"]] == [1, 2]
    prefix = key.rpartition("/")[0]
    open_uploads = s3.list_multipart_uploads(Bucket=boto.bucket, Prefix=prefix)
    assert [one["UploadId"] for one in open_uploads["Uploads"]] == [upload]
    done = s3.complete_multipart_upload(
        **where, UploadId=upload, MultipartUpload={"Parts": parts[::-1]}
    )
    assert done[f"Checksum{algorithm}"].endswith("-2")
    body = s3.get_object(**where)["Body"].read()
    assert body == bodies[1] + bodies[2]


def test_abort(boto: Boto, s3: Any, key: str) -> None:
    where = {"Bucket": boto.bucket, "Key": key}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**where, UploadId=upload)
    with pytest.raises(ClientError) as caught:
        s3.list_parts(**where, UploadId=upload)
    assert code_of(caught) == "NoSuchUpload"


def test_small_answers(boto: Boto, s3: Any) -> None:
    names = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert boto.bucket in names
    assert s3.head_bucket(Bucket=boto.bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=boto.bucket)["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket=boto.bucket)
    assert s3.get_bucket_acl(Bucket=boto.bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert s3.create_bucket(Bucket=boto.bucket)["Location"] == f"/{boto.bucket}"
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_policy(Bucket=boto.bucket)
    assert code_of(caught) == "NotImplemented"


def test_refusals(boto: Boto, s3: Any, key: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=boto.bucket, Key=f"{key}/none")
    assert code_of(caught) == "NoSuchKey"
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket="no-such-bucket")
    assert code_of(caught) == "NoSuchBucket"
    stranger = Boto(boto.server, boto.url, boto.access_key, "wrong", "b", "", boto.ca_file).client()
    with pytest.raises(ClientError) as caught:
        stranger.put_object(Bucket=boto.bucket, Key=key, Body=b"x" * (10 * MIB))
    assert code_of(caught) == "SignatureDoesNotMatch"
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="no-such-bucket", Key=key, Body=b"x" * (10 * MIB))
    assert code_of(caught) == "NoSuchBucket"


def test_another_region(boto: Boto, key: str) -> None:
    s3 = boto.client(region_name="eu-central-1")
    s3.put_object(Bucket=boto.bucket, Key=key, Body=b"x")
    assert s3.get_object(Bucket=boto.bucket, Key=key)["Body"].read() == b"x"
