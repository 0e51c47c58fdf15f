"""Where committed metadata lies."""

import pytest

from tests.api.rest import NAMESPACE, Rest, at


def test_meta_range_lies_under_the_namespace(rest: Rest) -> None:
    rest.upload("a")
    rest.commit()
    metarange = rest.get(at("commits/main")).json["meta_range_id"]
    reply = rest.get(at(f"metadata/meta_range/{metarange}"))
    assert (reply.status, reply.json) == (200, {"location": f"{NAMESPACE}/_lakefs/{metarange}"})


def test_range_lies_under_the_namespace(rest: Rest) -> None:
    rest.upload("a")
    rest.commit()
    metarange = rest.get(at("commits/main")).json["meta_range_id"]
    page = rest.lake.blocks.list("example", prefix="_lakefs/", after="", amount=10)
    names = {block.address.rpartition("/")[2] for block in page.items}
    (range_id,) = names - {metarange}
    reply = rest.get(at(f"metadata/range/{range_id}"))
    assert (reply.status, reply.json) == (200, {"location": f"{NAMESPACE}/_lakefs/{range_id}"})


@pytest.mark.parametrize("kind", ["meta_range", "range"])
@pytest.mark.parametrize("name", ["0" * 64, "x", "..%2Fdummy"])
def test_unknown_metadata(rest: Rest, kind: str, name: str) -> None:
    reply = rest.get(at(f"metadata/{kind}/{name}"))
    assert reply.status == 404
    assert kind in reply.message
    assert rest.get(at(f"metadata/{kind}/{'0' * 64}", "missing")).status == 404


@pytest.mark.parametrize("lost", ["range", "metarange"])
def test_lost_metadata_of_a_commit_is_a_fault_of_the_server(rest: Rest, lost: str) -> None:
    rest.upload("a")
    rest.upload("c")
    rest.commit()
    metarange = rest.get(at("commits/main")).json["meta_range_id"]
    for block in rest.lake.blocks.list("example", prefix="_lakefs/", after="", amount=10).items:
        name = block.address.rpartition("/")[2]
        if (name == metarange) == (lost == "metarange"):
            rest.forget_bytes(block.address)
            kind = "meta_range" if name == metarange else "range"
            assert rest.get(at(f"metadata/{kind}/{name}")).status == 404, "an id of the caller's"
    rest.reopen()
    for path in ("a", "b"):
        reply = rest.get(at("refs/main/objects"), path=path)
        assert reply.status == 500, path
        assert "gone" in reply.message
    assert rest.get(at("refs/main/objects/ls")).status == 500
    assert rest.get(at("commits/main")).status == 200
    unknown = rest.post(at("branches/main/commits"), {"message": "m"}, source_metarange="0" * 64)
    assert unknown.status == 404
