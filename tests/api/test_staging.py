"""Addresses for clients that write bytes themselves."""

import hashlib
from typing import Any

import pytest

from tests.api.rest import NAMESPACE, Rest, at

BACKING = at("branches/main/staging/backing")


def issued(rest: Rest, path: str = "a") -> str:
    """Return a fresh address for a path."""
    reply = rest.get(BACKING, path=path, presign="False")
    assert reply.status == 200
    assert set(reply.json) == {"physical_address"}
    return str(reply.json["physical_address"])


def write(rest: Rest, address: str, data: bytes) -> None:
    """Write bytes to an address as the raw store does."""
    body = rest.lake.bodies.open_at(address)
    body.write(data)
    body.finish()
    placed = body.place()

    def make() -> Any:
        from anabranch.storage.kv.base import Prepared  # noqa: PLC0415  # only this needs it

        return Prepared((), placed.writes, lambda _verdict: None, placed.windows)

    rest.writer.submit(make)


def link(address: str, data: bytes, **more: object) -> dict[str, object]:
    """Return the body of a link."""
    return {
        "staging": {"physical_address": address},
        "checksum": hashlib.md5(data).hexdigest(),
        "size_bytes": len(data),
        **more,
    }


def test_get_physical_address_lies_in_the_namespace(rest: Rest) -> None:
    address = issued(rest)
    head, _, name = address.rpartition("/")
    assert head == NAMESPACE
    assert len(name) == 32
    assert address != issued(rest)


def test_get_physical_address_refuses(rest: Rest) -> None:
    assert rest.get(BACKING).status == 400
    reply = rest.get(BACKING, path="a", presign="True")
    assert reply.status == 400
    assert "presign" in reply.message
    assert rest.get(at("branches/missing/staging/backing"), path="a").status == 404


def test_link_physical_address_makes_an_object(rest: Rest) -> None:
    address = issued(rest)
    write(rest, address, b"bytes")
    body = link(address, b"bytes", content_type="text/plain", user_metadata={"k": "v"})
    reply = rest.put(BACKING, body, path="a")
    assert reply.status == 200
    assert reply.json["physical_address"] == address
    assert reply.json["content_type"] == "text/plain"
    assert reply.json["metadata"] == {"k": "v"}
    assert rest.get(at("refs/main/objects"), path="a").body == b"bytes"


def test_link_physical_address_works_once(rest: Rest) -> None:
    address = issued(rest)
    write(rest, address, b"bytes")
    assert rest.put(BACKING, link(address, b"bytes"), path="a").status == 200
    assert rest.put(BACKING, link(address, b"bytes"), path="a").status == 400


@pytest.mark.parametrize(
    "path, more, word",
    [
        ("other", {}, "address"),
        ("a", {"checksum": "0" * 32}, ""),
        ("a", {"size_bytes": 99}, ""),
        ("a", {"size_bytes": "5"}, "size_bytes"),
        ("a", {"size_bytes": -1}, "size_bytes"),
        ("a", {"checksum": None}, "checksum"),
        ("a", {"staging": {}}, "physical_address"),
        ("a", {"staging": {"physical_address": "s3://example/" + "0" * 32}}, "address"),
        ("a", {"staging": {"physical_address": "nonsense"}}, "address"),
    ],
)
def test_link_physical_address_refuses(
    rest: Rest, path: str, more: dict[str, object], word: str
) -> None:
    address = issued(rest)
    write(rest, address, b"bytes")
    reply = rest.put(BACKING, link(address, b"bytes", **more), path=path)
    assert reply.status == 400
    assert word in reply.message
    assert rest.paths() == []


def test_link_of_an_address_nothing_was_written_to(rest: Rest) -> None:
    reply = rest.put(BACKING, link(issued(rest), b"bytes"), path="a")
    assert reply.status == 400
    assert "written" in reply.message


def test_link_only_if_absent(rest: Rest) -> None:
    rest.upload("a")
    address = issued(rest)
    write(rest, address, b"bytes")
    reply = rest.call(
        "PUT",
        BACKING,
        query={"path": "a"},
        body=link(address, b"bytes"),
        headers={"if-none-match": "*"},
    )
    assert reply.status == 412
