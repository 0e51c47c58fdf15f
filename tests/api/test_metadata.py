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
