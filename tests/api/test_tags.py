"""Tags."""

import pytest

from tests.api.rest import Rest, at


def test_create_tag_and_get_it(rest: Rest) -> None:
    rest.upload("a")
    head = rest.commit()
    reply = rest.post(at("tags"), {"id": "v1.0", "ref": "main"})
    assert reply.status == 201
    assert reply.json == {"id": "v1.0", "commit_id": head}
    assert rest.get(at("tags/v1.0")).json == reply.json
    assert rest.paths("v1.0") == ["a"]


def test_create_tag_that_exists_is_a_conflict(rest: Rest) -> None:
    assert rest.post(at("tags"), {"id": "v1", "ref": "main"}).status == 201
    reply = rest.post(at("tags"), {"id": "v1", "ref": "main"})
    assert reply.status == 409
    assert "v1" in reply.message


@pytest.mark.parametrize(
    "body, status, word",
    [
        ({"id": "v1"}, 400, "ref"),
        ({"id": "v 1", "ref": "main"}, 400, "tag name"),
        ({"id": "v1", "ref": "missing"}, 404, "missing"),
        ({"id": None, "ref": "main"}, 400, "id"),
    ],
)
def test_create_tag_refuses(rest: Rest, body: object, status: int, word: str) -> None:
    reply = rest.post(at("tags"), body)
    assert reply.status == status
    assert word in reply.message


def test_list_tags_in_pages(rest: Rest) -> None:
    for name in ("v1", "v2", "w1"):
        rest.post(at("tags"), {"id": name, "ref": "main"})
    page = rest.get(at("tags"), prefix="v", amount=1).json
    assert [one["id"] for one in page["results"]] == ["v1"]
    assert page["pagination"]["has_more"] is True
    page = rest.get(at("tags"), prefix="v", after="v1").json
    assert [one["id"] for one in page["results"]] == ["v2"]
    assert rest.get(at("tags"), amount="x").status == 400


def test_get_tag_that_does_not_exist(rest: Rest) -> None:
    reply = rest.get(at("tags/v9"))
    assert reply.status == 404
    assert "v9" in reply.message
    assert rest.get(at("tags/v%209")).status == 400


def test_delete_tag(rest: Rest) -> None:
    rest.post(at("tags"), {"id": "v1", "ref": "main"})
    assert rest.delete(at("tags/v1")).status == 204
    assert rest.get(at("tags/v1")).status == 404
    assert rest.delete(at("tags/v1")).status == 404


def test_nothing_is_written_to_a_tag(rest: Rest) -> None:
    rest.post(at("tags"), {"id": "v1", "ref": "main"})
    reply = rest.upload("a", branch="v1")
    assert reply.status == 403
    assert "not a branch" in reply.message
