"""CopyObject: metadata alone inside a repository, bytes between them; directives and conditions."""

import pytest

from tests.support.s3 import Answer, S3Kit

DATA = b"0123456789" * 20_000
SOURCE = "/example/main/a"


def copy(kit: S3Kit, target: str, source: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return kit.call("PUT", target, headers={"x-amz-copy-source": source, **named})


def address_of(kit: S3Kit, path: str, ref: str = "main", repository: str = "example") -> str:
    return kit.physical_address(repository, ref, path)


@pytest.mark.parametrize("source", ["/example/main/a%20b", "example/main/a%20b"])
def test_a_copy_inside_a_repository_moves_metadata_only(kit: S3Kit, source: str) -> None:
    kit.put("/example/main/a%20b", DATA, x_amz_meta_k="v", content_type="text/plain")
    kit.lake.branch("dev")
    before = len(kit.blocks("example"))
    answer = copy(kit, "/example/dev/b", source)
    assert answer.status == 200
    assert answer.root.tag == "CopyObjectResult"
    got = kit.get("/example/dev/b")
    assert got.body == DATA
    assert (got.headers["x-amz-meta-k"], got.headers["content-type"]) == ("v", "text/plain")
    assert answer.text("ETag") == got.headers["etag"]
    assert address_of(kit, "b", "dev") == address_of(kit, "a b")
    assert len(kit.blocks("example")) == before


def test_a_copy_between_repositories_moves_bytes(kit: S3Kit) -> None:
    kit.lake.repository("second")
    kit.put(SOURCE, DATA, x_amz_meta_k="v", x_amz_sdk_checksum_algorithm="SHA256")
    assert copy(kit, "/second/main/b", SOURCE).status == 200
    got = kit.get("/second/main/b", x_amz_checksum_mode="ENABLED")
    assert (got.body, got.headers["x-amz-meta-k"]) == (DATA, "v")
    assert got.headers["etag"] == kit.get(SOURCE).headers["etag"]
    assert "x-amz-checksum-sha256" in got.headers
    assert address_of(kit, "b", repository="second").startswith("s3://second/")


def test_metadata_can_be_replaced(kit: S3Kit) -> None:
    kit.put(SOURCE, b"x", x_amz_meta_k="v", content_type="text/plain")
    headers = {"x_amz_metadata_directive": "REPLACE", "x_amz_meta_n": "w"}
    assert copy(kit, "/example/main/b", SOURCE, **headers, content_type="a/b").status == 200
    got = kit.get("/example/main/b")
    assert got.headers["content-type"] == "a/b"
    assert got.headers["x-amz-meta-n"] == "w"
    assert "x-amz-meta-k" not in got.headers
    # Onto itself, as rclone changes an object's time.
    assert copy(kit, SOURCE, SOURCE, **headers).status == 200
    assert kit.get(SOURCE).headers["x-amz-meta-n"] == "w"


def test_a_copy_keeps_metadata_whatever_else_is_sent(kit: S3Kit) -> None:
    kit.put(SOURCE, b"x", x_amz_meta_k="v")
    headers = {"x_amz_metadata_directive": "COPY", "x_amz_meta_n": "w"}
    assert copy(kit, "/example/main/b", SOURCE, **headers).status == 200
    assert kit.get("/example/main/b").headers["x-amz-meta-k"] == "v"


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"x-amz-copy-source-if-match": "{etag}"}, 200),
        ({"x-amz-copy-source-if-match": '"{etag}"'}, 200),
        ({"x-amz-copy-source-if-match": '"other"'}, 412),
        ({"x-amz-copy-source-if-none-match": "{etag}"}, 412),
        ({"x-amz-copy-source-if-none-match": '"other"'}, 200),
        ({"x-amz-copy-source-if-modified-since": "Tue, 01 Jan 2019 00:00:00 GMT"}, 200),
        ({"x-amz-copy-source-if-modified-since": "Tue, 01 Jan 2030 00:00:00 GMT"}, 412),
        ({"x-amz-copy-source-if-unmodified-since": "Tue, 01 Jan 2019 00:00:00 GMT"}, 412),
        ({"if-none-match": "*"}, 200),
    ],
)
def test_conditions_on_the_source_and_the_target(
    kit: S3Kit, headers: dict[str, str], status: int
) -> None:
    etag = kit.put(SOURCE, b"x").headers["etag"].strip('"')
    named = {name: value.format(etag=etag) for name, value in headers.items()}
    answer = copy(kit, "/example/main/b", SOURCE, **named)
    assert answer.status == status
    assert (kit.get("/example/main/b").status == 200) == (status == 200)
    if "if-none-match" in headers:
        assert copy(kit, "/example/main/b", SOURCE, **named).code == "PreconditionFailed"


@pytest.mark.parametrize(
    "target, source, status, code",
    [
        ("/example/main/b", "/example/main/none", 404, "NoSuchKey"),
        ("/example/main/b", "/example/none/a", 404, "NoSuchKey"),
        ("/example/main/b", "/none/main/a", 404, "NoSuchBucket"),
        ("/example/main/b", "/example", 400, "InvalidArgument"),
        ("/example/main/b", "", 400, "InvalidArgument"),
        ("/example/main/b", "/example/main/%FF", 400, "InvalidArgument"),
        ("/example/main/b", "/example/main/a?versionId=3", 400, "InvalidArgument"),
        ("/example/main/b", "/Bad_One/main/a", 400, "InvalidBucketName"),
        ("/example/main/a", "/example/main/a", 400, "InvalidRequest"),
        ("/example/none/b", "/example/main/a", 404, "NoSuchKey"),
        ("/example/main/", "/example/main/a", 400, "InvalidArgument"),
        ("/example/v1/b", "/example/main/a", 403, "ErrWriteToProtectedBranch"),
    ],
)
def test_what_can_not_be_copied(
    kit: S3Kit, target: str, source: str, status: int, code: str
) -> None:
    kit.put(SOURCE, b"x")
    kit.lake.commit()
    kit.tag("v1")
    answer = copy(kit, target, source)
    assert (answer.status, answer.code) == (status, code)


def test_an_unknown_directive_is_refused(kit: S3Kit) -> None:
    kit.put(SOURCE, b"x")
    answer = copy(kit, "/example/main/b", SOURCE, x_amz_metadata_directive="MOVE")
    assert answer.code == "InvalidArgument"


def test_a_copy_from_a_commit(kit: S3Kit) -> None:
    kit.put(SOURCE, b"1")
    commit = kit.lake.commit()
    kit.put(SOURCE, b"2")
    assert copy(kit, "/example/main/old", f"/example/{commit}/a").status == 200
    assert kit.get("/example/main/old").body == b"1"


def test_a_rename_is_a_copy_and_a_delete(kit: S3Kit) -> None:
    # hadoop-aws 3.3.2 sends the Content-MD5 of the source and a Java date.
    etag = kit.put(SOURCE, DATA).headers["etag"].strip('"')
    answer = copy(
        kit,
        "/example/main/b",
        SOURCE,
        x_amz_metadata_directive="REPLACE",
        x_amz_copy_source_if_match=etag,
        content_md5="eB5eJF1ptWaXm4bijSPyxw==",
        last_modified="Wed Nov 16 10:00:00 UTC 2022",
    )
    assert answer.status == 200
    assert kit.call("DELETE", SOURCE).status == 204
    assert kit.get("/example/main/b").body == DATA
    assert kit.get(SOURCE).status == 404
