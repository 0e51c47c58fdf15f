"""Dump and restore of refs, symlink files: what they answer, and what to bad input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.rest import NAMESPACE, Rest, at

IDS = ("commits_meta_range_id", "tags_meta_range_id", "branches_meta_range_id")


def dumped(rest: Rest) -> dict[str, Any]:
    """Commit something and dump it."""
    rest.upload("a", b"one")
    rest.commit("first")
    rest.post(at("tags"), {"id": "v1", "ref": "main"})
    reply = rest.put(at("refs/dump"))
    assert reply.status == 201
    assert set(reply.json) == set(IDS)
    return dict(reply.json)


def succeed(rest: Rest, name: str = "second") -> None:
    """Delete the repository and make a bare one in its place."""
    assert rest.delete(at("").rstrip("/")).status == 204
    body = {"name": name, "storage_namespace": NAMESPACE}
    assert rest.post("/repositories", body, bare="true").status == 201


def test_a_dump_is_restored_into_a_bare_repository(rest: Rest) -> None:
    dump = dumped(rest)
    log = rest.get(at("refs/main/commits")).json
    succeed(rest)
    assert rest.get(at("branches", "second")).json["results"] == []
    assert rest.get(at("refs/main/commits", "second")).status == 404
    reply = rest.put(at("refs/restore", "second"), dump)
    assert (reply.status, reply.body) == (200, b"")
    assert rest.get(at("refs/main/commits", "second")).json == log
    assert rest.get(at("refs/v1/objects", "second"), path="a").body == b"one"


def test_dump_and_restore_in_the_background(rest: Rest) -> None:
    rest.upload("a", b"one")
    rest.commit("first")
    submitted = rest.post(at("dump"))
    assert submitted.status == 202
    rest.lake.refs_tasks.wait()
    status = rest.get(at("dump"), task_id=submitted.json["id"])
    assert status.status == 200
    assert status.json["done"] is True
    assert status.json["id"] == submitted.json["id"]
    assert "error" not in status.json
    dump = status.json["refs"]
    succeed(rest)
    submitted = rest.post(at("restore", "second"), dump)
    assert submitted.status == 202
    rest.lake.refs_tasks.wait()
    status = rest.get(at("restore", "second"), task_id=submitted.json["id"])
    assert set(status.json) == {"id", "done", "update_time"}
    assert rest.get(at("refs/main/objects", "second"), path="a").body == b"one"


def test_a_restore_that_fails_says_why(rest: Rest) -> None:
    dump = dumped(rest)
    address = f"{NAMESPACE}/_lakefs/{rest.get(at('commits/main')).json['meta_range_id']}"
    succeed(rest)
    rest.forget_bytes(address)
    submitted = rest.post(at("restore", "second"), dump)
    rest.lake.refs_tasks.wait()
    status = rest.get(at("restore", "second"), task_id=submitted.json["id"]).json
    assert status["done"] is True
    assert "not a dump" in status["error"]
    assert rest.put(at("refs/restore", "second"), dump).status == 400


def test_restore_refuses(rest: Rest) -> None:
    dump = dumped(rest)
    for method, path in (("PUT", "refs/restore"), ("POST", "restore")):
        reply = rest.call(method, at(path), body=dump)
        assert reply.status == 400
        assert reply.message == "can only restore into a bare repository"
        assert rest.call(method, at(path, "nothing"), body=dump).status == 404
        assert rest.call(method, at(path)).status == 400
        assert rest.call(method, at(path), body={**dump, IDS[0]: 1}).status == 400
        missing = {key: value for key, value in dump.items() if key != IDS[1]}
        assert rest.call(method, at(path), body=missing).status == 400
        assert rest.call(method, at(path), is_anonymous=True, body=dump).status == 401
    succeed(rest)
    for method, path in (("PUT", "refs/restore"), ("POST", "restore")):
        for bad, status in (("0" * 64, 404), ("../x", 400), ("", 400), (dump[IDS[1]], 400)):
            body = {**dump, IDS[0]: bad}
            assert rest.call(method, at(path, "second"), body=body).status == status, bad


def test_restore_into_a_read_only_repository_wants_force(rest: Rest) -> None:
    dump = dumped(rest)
    rest.delete(at("").rstrip("/"))
    body = {"name": "second", "storage_namespace": NAMESPACE, "read_only": True}
    rest.post("/repositories", body, bare="true")
    assert rest.put(at("refs/restore", "second"), dump).status == 403
    assert rest.put(at("refs/restore", "second"), {**dump, "force": True}).status == 200


def test_dump_refuses(rest: Rest) -> None:
    assert rest.put(at("refs/dump", "nothing")).status == 404
    assert rest.post(at("dump", "nothing")).status == 404
    assert rest.get(at("dump")).status == 400
    for path in ("dump", "restore"):
        reply = rest.get(at(path), task_id="nothing")
        assert reply.status == 404
        assert reply.header("x-anabranch-kind") == "task_not_found"


def test_symlink_files_are_written(rest: Rest) -> None:
    rest.upload("t/a/1")
    rest.upload("t/2")
    reply = rest.post(at("refs/main/symlink"), location="t")
    assert reply.status == 201
    location = reply.json["location"]
    assert location == f"{NAMESPACE}/_lakefs/symlinks"
    for folder, path in (("t", "t/2"), ("t/a", "t/a/1")):
        block = rest.lake.blocks.get(f"{location}/example/main/{folder}/symlink.txt")
        text = rest.lake.blocks.read(block, 0, block.size_bytes).decode()
        stat = rest.get(at("refs/main/objects/stat"), path=path).json
        assert text == stat["physical_address"] + "\n"
    assert rest.post(at("refs/main/symlink")).status == 201


@pytest.mark.parametrize(
    ("path", "location", "status"),
    [
        ("refs/nothing/symlink", "t", 404),
        ("refs/main/symlink", "no", 404),
        ("refs/main/symlink", "/t", 400),
        ("refs/main/symlink", "x" * 1_025, 400),
        ("refs/main/symlink", "a\x00b", 400),
        ("refs/main~~~x/symlink", "t", 400),
    ],
)
def test_symlink_refuses(rest: Rest, path: str, location: str, status: int) -> None:
    rest.upload("t/1")
    assert rest.post(at(path), location=location).status == status
