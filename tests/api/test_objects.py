"""Objects: stat, list, delete, copy, metadata."""

import hashlib
from typing import Any

import pytest

from tests.api.rest import NAMESPACE, Rest, at


def stat(rest: Rest, path: str, ref: str = "main", **query: object) -> dict[str, Any]:
    """Return what the server knows of an object."""
    reply = rest.get(at(f"refs/{ref}/objects/stat"), path=path, **query)
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def test_stat_object_omits_what_is_not_there(rest: Rest) -> None:
    rest.upload("a b/c", b"data")
    found = stat(rest, "a b/c")
    address = found.pop("physical_address")
    assert found == {
        "path": "a b/c",
        "path_type": "object",
        "checksum": hashlib.md5(b"data").hexdigest(),
        "mtime": found["mtime"],
        "size_bytes": 4,
        "content_type": "application/octet-stream",
    }
    assert type(found["mtime"]) is int
    head, _, name = address.rpartition("/")
    assert head == NAMESPACE
    assert len(name) == 32


def test_stat_object_with_and_without_metadata(rest: Rest) -> None:
    rest.upload("a", headers={"x-lakefs-meta-Colour": "blue"})
    assert stat(rest, "a")["metadata"] == {"colour": "blue"}
    assert "metadata" not in stat(rest, "a", user_metadata="False")


def test_stat_object_at_refs(rest: Rest) -> None:
    rest.upload("a", b"1")
    rest.commit()
    rest.upload("a", b"22")
    assert stat(rest, "a")["size_bytes"] == 2
    assert stat(rest, "a", "main@")["size_bytes"] == 1
    assert stat(rest, "a", "main$")["size_bytes"] == 2
    rest.commit()
    assert stat(rest, "a", "main~1")["size_bytes"] == 1


@pytest.mark.parametrize(
    "ref, query, status, word",
    [
        ("main", {}, 400, "path"),
        ("main", {"path": ""}, 400, "path"),
        ("main", {"path": "x" * 1_025}, 400, "path"),
        ("main", {"path": "a\x00b"}, 400, "path"),
        ("main", {"path": "missing"}, 404, "missing"),
        ("missing", {"path": "a"}, 404, "missing"),
        ("main~~x", {"path": "a"}, 400, "ref"),
        ("main", {"path": "a", "presign": "True"}, 400, "presign"),
        ("main", {"path": "a", "user_metadata": "x"}, 400, "user_metadata"),
    ],
)
def test_stat_object_refuses(
    rest: Rest, ref: str, query: dict[str, str], status: int, word: str
) -> None:
    reply = rest.get(at(f"refs/{ref}/objects/stat"), **query)
    assert reply.status == status
    assert word in reply.message


def test_a_path_of_1024_bytes_is_allowed(rest: Rest) -> None:
    path = "é" * 512
    assert rest.upload(path).status == 201
    assert stat(rest, path)["path"] == path


def test_list_objects_recursively_sorted_and_paged(rest: Rest) -> None:
    for path in ("b/2", "a", "b/1", "c", "é"):
        rest.upload(path)
    rest.commit()
    rest.upload("b/3")
    assert rest.paths() == ["a", "b/1", "b/2", "b/3", "c", "é"]
    page = rest.get(at("refs/main/objects/ls"), amount=2).json
    assert [one["path"] for one in page["results"]] == ["a", "b/1"]
    assert page["pagination"]["next_offset"] == "b/1"
    assert rest.paths(after="b/1", amount=2) == ["b/2", "b/3"]
    assert rest.paths(prefix="b/") == ["b/1", "b/2", "b/3"]
    assert rest.paths(prefix="b/", after="b/1") == ["b/2", "b/3"]


def test_list_objects_rolled_up_at_a_delimiter(rest: Rest) -> None:
    for path in ("a", "b/1", "b/2/x", "c/1"):
        rest.upload(path)
    page = rest.get(at("refs/main/objects/ls"), delimiter="/").json
    assert [(one["path"], one["path_type"]) for one in page["results"]] == [
        ("a", "object"),
        ("b/", "common_prefix"),
        ("c/", "common_prefix"),
    ]
    assert page["results"][1] == {
        "path": "b/",
        "path_type": "common_prefix",
        "physical_address": "",
        "checksum": "",
        "mtime": 0,
    }
    assert rest.paths(delimiter="/", prefix="b/") == ["b/1", "b/2/"]
    assert rest.paths(delimiter="", prefix="b/") == ["b/1", "b/2/x"]
    assert rest.paths(delimiter="/", after="b/") == ["c/"]


def test_list_objects_leaves_metadata_out_when_told(rest: Rest) -> None:
    rest.upload("a", headers={"x-lakefs-meta-k": "v"})
    with_it, without = (
        rest.get(at("refs/main/objects/ls"), user_metadata=flag).json["results"][0]
        for flag in ("true", "FALSE")
    )
    assert with_it["metadata"] == {"k": "v"}
    assert "metadata" not in without


@pytest.mark.parametrize(
    "ref, query, status, word",
    [
        ("missing", {}, 404, "missing"),
        ("main", {"amount": "-3"}, 400, "amount"),
        ("main", {"presign": "true"}, 400, "presign"),
        ("main", {"prefix": "\x00"}, 400, "prefix"),
    ],
)
def test_list_objects_refuses(
    rest: Rest, ref: str, query: dict[str, str], status: int, word: str
) -> None:
    reply = rest.get(at(f"refs/{ref}/objects/ls"), **query)
    assert reply.status == status
    assert word in reply.message


def test_underlying_properties_of_local_blocks(rest: Rest) -> None:
    rest.upload("a")
    reply = rest.get(at("refs/main/objects/underlyingProperties"), path="a")
    assert (reply.status, reply.json) == (200, {})


def test_underlying_properties_refuse(rest: Rest) -> None:
    assert rest.get(at("refs/main/objects/underlyingProperties"), path="b").status == 404
    assert rest.get(at("refs/main/objects/underlyingProperties")).status == 400


def test_delete_object(rest: Rest) -> None:
    rest.upload("a")
    rest.commit()
    rest.upload("b")
    for path in ("a", "b", "missing"):
        reply = rest.delete(at("branches/main/objects"), path=path)
        assert (reply.status, reply.body) == (204, b"")
    assert rest.paths() == []


def test_delete_object_refuses(rest: Rest) -> None:
    assert rest.delete(at("branches/main/objects")).status == 400
    reply = rest.delete(at("branches/missing/objects"), path="a")
    assert reply.status == 404
    assert "missing" in reply.message
    rest.create("frozen", "s3://frozen", read_only=True)
    assert rest.delete(at("branches/main/objects", "frozen"), path="a").status == 403


def test_delete_objects_answers_what_it_could_not_do(rest: Rest) -> None:
    for path in ("a", "b", "c"):
        rest.upload(path)
    reply = rest.post(at("branches/main/objects/delete"), {"paths": ["a", "b", "missing", "a"]})
    assert (reply.status, reply.json) == (200, {"errors": []})
    assert rest.paths() == ["c"]
    reply = rest.post(at("branches/main/objects/delete"), {"paths": ["c", "", "x" * 2_000]})
    assert reply.status == 200
    assert [one["status_code"] for one in reply.json["errors"]] == [400, 400]
    assert [one["path"] for one in reply.json["errors"]] == ["", "x" * 2_000]
    assert rest.paths() == []


def test_delete_objects_takes_1000_paths_and_no_more(rest: Rest) -> None:
    paths = [f"p{number}" for number in range(1_000)]
    assert rest.post(at("branches/main/objects/delete"), {"paths": paths}).status == 200
    reply = rest.post(at("branches/main/objects/delete"), {"paths": [*paths, "one more"]})
    assert reply.status == 400
    assert "paths" in reply.message


def test_delete_objects_refuses(rest: Rest) -> None:
    reply = rest.post(at("branches/main/objects/delete"), {"paths": "a"})
    assert reply.status == 400
    assert "paths" in reply.message
    assert rest.post(at("branches/missing/objects/delete"), {"paths": ["a"]}).status == 404


def test_copy_object_shares_the_bytes(rest: Rest) -> None:
    rest.upload("a", headers={"content-type": "text/plain", "x-lakefs-meta-k": "v"})
    source = stat(rest, "a")
    reply = rest.post(at("branches/main/objects/copy"), {"src_path": "a"}, dest_path="b/c")
    assert reply.status == 201
    assert reply.json == {**source, "path": "b/c", "mtime": reply.json["mtime"]}
    assert rest.paths() == ["a", "b/c"]


def test_copy_object_from_another_ref(rest: Rest) -> None:
    rest.upload("a", b"old")
    rest.commit()
    rest.upload("a", b"new")
    rest.commit()
    body = {"src_path": "a", "src_ref": "main~1", "shallow": True, "force": False}
    assert rest.post(at("branches/main/objects/copy"), body, dest_path="b").status == 201
    assert rest.get(at("refs/main/objects"), path="b").body == b"old"


@pytest.mark.parametrize(
    "branch, body, query, status, word",
    [
        ("main", {"src_path": "a"}, {}, 400, "dest_path"),
        ("main", {}, {"dest_path": "b"}, 400, "src_path"),
        ("main", {"src_path": "missing"}, {"dest_path": "b"}, 404, "missing"),
        ("main", {"src_path": "a", "src_ref": "gone"}, {"dest_path": "b"}, 404, "gone"),
        ("missing", {"src_path": "a"}, {"dest_path": "b"}, 404, "missing"),
    ],
)
def test_copy_object_refuses(
    rest: Rest, branch: str, body: object, query: dict[str, str], status: int, word: str
) -> None:
    rest.upload("a")
    reply = rest.post(at(f"branches/{branch}/objects/copy"), body, **query)
    assert reply.status == status
    assert word in reply.message


def test_update_user_metadata_replaces_it(rest: Rest) -> None:
    rest.upload("a", headers={"x-lakefs-meta-k": "v"})
    path = at("branches/main/objects/stat/user_metadata")
    assert rest.put(path, {"set": {"other": "1"}}, path="a").status == 201
    assert stat(rest, "a")["metadata"] == {"other": "1"}
    rest.commit()
    assert rest.put(path, {"set": {}}, path="a").status == 201
    assert "metadata" not in stat(rest, "a")


def test_update_user_metadata_refuses(rest: Rest) -> None:
    rest.upload("a")
    path = at("branches/main/objects/stat/user_metadata")
    assert rest.put(path, {"set": {"k": 1}}, path="a").status == 400
    assert rest.put(path, {"set": {"k": "v" * 2_100}}, path="a").status == 400
    assert rest.put(path, {"set": {}}, path="missing").status == 404
    assert rest.put(path, {"set": {}}).status == 400
