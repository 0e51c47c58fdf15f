"""Uploads and downloads."""

import hashlib

import pytest

from anabranch.kernel.ids import BranchId, Namespace, RepositoryId
from anabranch.lake import Lake
from tests.api.rest import REPOSITORY, Rest, at

MIB = 1024**2


def form(data: bytes, *, name: str = "content", boundary: str = "xyz") -> tuple[str, bytes]:
    """Return the content type and the body of a form with one file."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="a.bin"'
    head = f"--{boundary}\r\n{disposition}\r\nContent-Type: text/csv\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", head + data + tail


def test_upload_of_a_raw_body(rest: Rest) -> None:
    reply = rest.upload("a", b"hello", headers={"content-type": "text/plain"})
    assert reply.status == 201
    assert reply.json["path"] == "a"
    assert reply.json["size_bytes"] == 5
    assert reply.json["content_type"] == "text/plain"
    assert reply.json["checksum"] == hashlib.md5(b"hello").hexdigest()
    assert reply.header("etag") == f'"{reply.json["checksum"]}"'
    assert rest.get(at("refs/main/objects"), path="a").body == b"hello"


def test_upload_of_a_form(rest: Rest) -> None:
    content_type, body = form(b"a,b\r\n--xy\r\n1,2")
    reply = rest.upload("a", body, headers={"content-type": content_type})
    assert reply.status == 201
    assert reply.json["content_type"] == "text/csv"
    assert rest.get(at("refs/main/objects"), path="a").body == b"a,b\r\n--xy\r\n1,2"


@pytest.mark.parametrize("size_bytes", [0, 1, 64 * 1024, 64 * 1024 + 1, 3 * MIB + 17])
@pytest.mark.parametrize("is_form", [False, True])
def test_upload_of_any_size_in_pieces(rest: Rest, size_bytes: int, is_form: bool) -> None:
    data = bytes(range(251)) * (size_bytes // 251 + 1)
    data = data[:size_bytes]
    content_type, body = form(data) if is_form else ("text/csv", data)
    chunks = [body[at_ : at_ + 70_001] for at_ in range(0, len(body), 70_001)] or [b""]
    reply = rest.call(
        "POST",
        at("branches/main/objects"),
        query={"path": "a"},
        headers={"content-type": content_type},
        chunks=chunks,
    )
    assert reply.status == 201, reply
    assert reply.json["size_bytes"] == size_bytes
    assert reply.json["checksum"] == hashlib.md5(data).hexdigest()
    assert rest.get(at("refs/main/objects"), path="a").body == data


@pytest.mark.parametrize(
    "content_type, body, word",
    [
        ("multipart/form-data", b"x", "boundary"),
        ("multipart/form-data; boundary=xyz", form(b"1", name="other")[1], "content"),
        ("multipart/form-data; boundary=xyz", form(b"1234")[1][:-12], "boundary"),
        ("multipart/form-data; boundary=xyz", b"", "boundary"),
        ("text/" + "x" * 300, b"data", "content type"),
    ],
)
def test_upload_of_a_broken_body_stores_nothing(
    rest: Rest, content_type: str, body: bytes, word: str
) -> None:
    reply = rest.upload("a", body, headers={"content-type": content_type})
    assert reply.status == 400
    assert word in reply.message
    assert rest.paths() == []


def test_upload_cut_short_stores_nothing(rest: Rest) -> None:
    reply = rest.upload("a", b"short", headers={"content-length": "100"})
    assert reply.status == 400
    assert rest.paths() == []


def test_upload_with_metadata_headers(rest: Rest) -> None:
    reply = rest.upload("a", headers={"X-Lakefs-Meta-One": "1", "x-lakefs-meta-two": "zwölf"})
    assert reply.json["metadata"] == {"one": "1", "two": "zwölf"}
    reply = rest.upload("b", headers={"x-lakefs-meta-k": "v" * 2_100})
    assert reply.status == 400
    assert "metadata" in reply.message


def test_upload_only_if_absent(rest: Rest) -> None:
    assert rest.upload("a", b"1", headers={"if-none-match": "*"}).status == 201
    reply = rest.upload("a", b"2", headers={"if-none-match": "*"})
    assert reply.status == 412
    assert rest.get(at("refs/main/objects"), path="a").body == b"1"


def test_upload_only_over_a_known_object(rest: Rest) -> None:
    etag = rest.upload("a", b"1").header("etag") or ""
    assert rest.upload("a", b"2", headers={"if-match": etag}).status == 201
    assert rest.upload("a", b"3", headers={"if-match": etag}).status == 412
    assert rest.upload("new", b"3", headers={"if-match": "*"}).status == 412


def test_upload_refuses(rest: Rest) -> None:
    assert rest.call("POST", at("branches/main/objects"), body=b"x").status == 400
    reply = rest.upload("a", branch="missing")
    assert reply.status == 404
    assert "missing" in reply.message
    rest.create("frozen", "s3://frozen", read_only=True)
    path = at("branches/main/objects", "frozen")
    reply = rest.call("POST", path, query={"path": "a"}, body=b"x")
    assert reply.status == 403


def test_get_object_with_its_headers(rest: Rest) -> None:
    rest.upload("a", b"hello", headers={"content-type": "text/html"})
    reply = rest.get(at("refs/main/objects"), path="a")
    assert reply.status == 200
    assert reply.body == b"hello"
    assert reply.header("content-length") == "5"
    assert reply.header("content-type") == "text/html"
    assert reply.header("etag") == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert reply.header("accept-ranges") == "bytes"
    assert (reply.header("last-modified") or "").endswith("GMT")
    # An uploaded page must not run as one of ours.
    assert "sandbox" in (reply.header("content-security-policy") or "")
    assert reply.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(
    "asked, content_range, body",
    [
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=8-", "bytes 8-9/10", b"89"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=-99", "bytes 0-9/10", b"0123456789"),
        ("bytes=5-99", "bytes 5-9/10", b"56789"),
    ],
)
def test_get_object_in_part(rest: Rest, asked: str, content_range: str, body: bytes) -> None:
    rest.upload("a", b"0123456789")
    for method in ("GET", "HEAD"):
        reply = rest.call(
            method, at("refs/main/objects"), query={"path": "a"}, headers={"range": asked}
        )
        assert reply.status == 206
        assert reply.header("content-range") == content_range
        assert reply.header("content-length") == str(len(body))
        assert reply.body == (body if method == "GET" else b"")


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_get_object_of_no_byte(rest: Rest, asked: str) -> None:
    rest.upload("a", b"0123456789")
    reply = rest.call("GET", at("refs/main/objects"), query={"path": "a"}, headers={"range": asked})
    assert reply.status == 416
    assert reply.header("content-range") == "bytes */10"
    assert "range" in reply.message


@pytest.mark.parametrize(
    "asked", ["bytes=3-1", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes="]
)
def test_get_object_ignores_ranges_it_does_not_know(rest: Rest, asked: str) -> None:
    rest.upload("a", b"0123456789")
    reply = rest.call("GET", at("refs/main/objects"), query={"path": "a"}, headers={"range": asked})
    assert (reply.status, reply.body) == (200, b"0123456789")


def test_get_object_only_if_changed(rest: Rest) -> None:
    etag = rest.upload("a").header("etag") or ""
    path, query = at("refs/main/objects"), {"path": "a"}
    reply = rest.call("GET", path, query=query, headers={"if-none-match": etag})
    assert (reply.status, reply.body) == (304, b"")
    assert rest.call("GET", path, query=query, headers={"if-none-match": '"x"'}).status == 200
    assert rest.call("GET", path, query=query, headers={"if-match": '"x"'}).status == 412


def test_get_object_refuses(rest: Rest) -> None:
    assert rest.get(at("refs/main/objects")).status == 400
    reply = rest.get(at("refs/main/objects"), path="missing")
    assert reply.status == 404
    assert "missing" in reply.message
    rest.upload("a")
    assert rest.get(at("refs/main/objects"), path="a", presign="False").status == 200
    assert rest.get(at("refs/main/objects"), path="a", presign="True").status == 400


def test_head_object_has_the_headers_alone(rest: Rest) -> None:
    rest.upload("a", b"hello")
    reply = rest.call("HEAD", at("refs/main/objects"), query={"path": "a"})
    assert (reply.status, reply.body) == (200, b"")
    assert reply.header("content-length") == "5"
    assert reply.header("etag") == f'"{hashlib.md5(b"hello").hexdigest()}"'


def test_head_object_refuses(rest: Rest) -> None:
    for query, status in (({"path": "b"}, 404), ({}, 400)):
        reply = rest.call("HEAD", at("refs/main/objects"), query=query)
        assert (reply.status, reply.body) == (status, b"")


def test_an_empty_object_has_no_range(rest: Rest) -> None:
    rest.upload("a", b"")
    assert rest.get(at("refs/main/objects"), path="a").body == b""
    reply = rest.call(
        "HEAD", at("refs/main/objects"), query={"path": "a"}, headers={"range": "bytes=0-0"}
    )
    assert reply.status == 416
    assert reply.header("content-range") == "bytes */0"


def test_a_small_upload_finds_a_repository_that_was_made_again(rest: Rest) -> None:
    assert rest.upload("before", b"1").status == 201
    other = Lake(rest.kv, rest.blocks, rest.writer, clock=rest.clock, ids=rest.ids)
    other.repositories.delete(RepositoryId(REPOSITORY))
    assert rest.upload("a", b"x").status == 404
    other.repositories.create(
        RepositoryId(REPOSITORY), Namespace("s3://elsewhere"), committer="tester"
    )
    other.close()
    reply = rest.upload("a", b"x")
    assert reply.status == 201
    assert reply.json["physical_address"].startswith("s3://elsewhere/")
    assert rest.get(at("refs/main/objects"), path="a").body == b"x"
    assert rest.get(at("refs/main/objects"), path="before").status == 404


def test_a_small_upload_to_a_branch_that_was_deleted_elsewhere_is_refused(rest: Rest) -> None:
    assert rest.post(at("branches"), {"name": "dev", "source": "main"}).status == 201
    assert rest.upload("before", b"1", branch="dev").status == 201
    other = Lake(rest.kv, rest.blocks, rest.writer, clock=rest.clock, ids=rest.ids)
    other.branches.delete(RepositoryId(REPOSITORY), BranchId("dev"))
    other.close()
    reply = rest.upload("a", b"x", branch="dev")
    assert (reply.status, "dev" in reply.message) == (404, True)
