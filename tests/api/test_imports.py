"""Imports without copying."""

import threading
from typing import Any

import pytest

from tests.api.rest import Rest, at
from tests.api.test_staging import write

IMPORT = at("branches/main/import")


def source(rest: Rest, *names: str) -> None:
    """Put objects into the bucket `source` of the raw store."""

    def make() -> Any:
        from anabranch.storage.kv.base import Prepared  # noqa: PLC0415  # only this needs it

        conditions, writes = rest.lake.blocks.bucket_creation("source")
        return Prepared(conditions, writes, lambda _verdict: None)

    rest.writer.submit(make)
    for name in names:
        write(rest, f"s3://source/{name}", name.encode())


def body(path: str, destination: str, kind: str = "common_prefix") -> dict[str, Any]:
    """Return the body of an import."""
    location = {"type": kind, "path": path, "destination": destination}
    return {"paths": [location], "commit": {"message": "imported", "metadata": {"k": "v"}}}


def finished(rest: Rest, import_id: str) -> dict[str, Any]:
    """Return the status of an import when it is over."""
    for _ in range(500):
        reply = rest.get(IMPORT, id=import_id)
        assert reply.status == 200, reply
        if reply.json["completed"] or "error" in reply.json:
            found: dict[str, Any] = reply.json
            return found
        threading.Event().wait(0.01)
    raise AssertionError("the import does not end")


def test_import_of_a_prefix_becomes_a_commit(rest: Rest) -> None:
    source(rest, "data/1", "data/2", "other/3")
    reply = rest.post(IMPORT, body("s3://source/data/", "in/"))
    assert reply.status == 202
    assert set(reply.json) == {"id"}
    status = finished(rest, reply.json["id"])
    assert status["completed"] is True
    assert status["ingested_objects"] == 2
    assert status["update_time"].endswith("Z")
    assert status["commit"]["message"] == "imported"
    assert status["commit"]["metadata"]["k"] == "v"
    assert status["metarange_id"] == status["commit"]["meta_range_id"]
    assert rest.paths() == ["in/1", "in/2"]
    assert rest.get(at("branches/main")).json["commit_id"] == status["commit"]["id"]
    found = rest.get(at("refs/main/objects/stat"), path="in/1").json
    assert found["physical_address"] == "s3://source/data/1"
    assert rest.get(at("refs/main/objects"), path="in/1").body == b"data/1"


def test_import_of_one_object(rest: Rest) -> None:
    source(rest, "data/1")
    reply = rest.post(IMPORT, body("s3://source/data/1", "one", "object"))
    assert finished(rest, reply.json["id"])["completed"] is True
    assert rest.paths() == ["one"]


@pytest.mark.parametrize(
    "wanted, word",
    [
        ({"paths": [], "commit": {"message": "m"}}, "paths"),
        ({"paths": [{"type": "object"}], "commit": {"message": "m"}}, "path"),
        ({"paths": [{"type": "x", "path": "s3://source/", "destination": ""}]}, "type"),
        ({**body("s3://source/data/", "in/"), "commit": {}}, "message"),
        (body("ftp://source/data/", "in/"), ""),
    ],
)
def test_import_refuses(rest: Rest, wanted: object, word: str) -> None:
    source(rest)
    reply = rest.post(IMPORT, wanted)
    assert reply.status == 400
    assert word in reply.message


def test_import_from_a_repository_is_forbidden(rest: Rest) -> None:
    reply = rest.post(IMPORT, body("s3://example/", "in/"))
    assert reply.status == 403
    assert rest.post(at("branches/missing/import"), body("s3://source/", "in/")).status == 404


def test_import_status_of_an_unknown_import(rest: Rest) -> None:
    assert rest.get(IMPORT, id="0" * 32).status == 404
    reply = rest.get(IMPORT)
    assert reply.status == 400
    assert "id" in reply.message


def test_import_cancel_ends_a_running_import(rest: Rest) -> None:
    source(rest, "data/1")
    head = rest.get(at("branches/main")).json["commit_id"]
    rest.blocks.is_listing_free.clear()
    import_id = rest.post(IMPORT, body("s3://source/data/", "in/")).json["id"]
    assert rest.get(IMPORT, id=import_id).json["completed"] is False
    assert rest.delete(IMPORT, id=import_id).status == 204
    rest.blocks.is_listing_free.set()
    status = finished(rest, import_id)
    assert status["completed"] is False
    assert "cancel" in status["error"]["message"]
    assert rest.get(at("branches/main")).json["commit_id"] == head


def test_import_cancel_refuses(rest: Rest) -> None:
    source(rest, "data/1")
    assert rest.delete(IMPORT, id="0" * 32).status == 404
    assert rest.delete(IMPORT).status == 400
    import_id = rest.post(IMPORT, body("s3://source/data/", "in/")).json["id"]
    finished(rest, import_id)
    reply = rest.delete(IMPORT, id=import_id)
    assert reply.status == 409
    assert "over" in reply.message
