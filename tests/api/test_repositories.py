"""Repositories and their metadata."""

import pytest

from tests.api.rest import NAMESPACE, REPOSITORY, Rest, at


def test_create_repository_answers_it(rest: Rest) -> None:
    reply = rest.create("second", "local://bucket/prefix", default_branch="trunk")
    assert reply.json == {
        "id": "second",
        "creation_date": reply.json["creation_date"],
        "default_branch": "trunk",
        "storage_namespace": "local://bucket/prefix",
        "read_only": False,
    }
    assert type(reply.json["creation_date"]) is int
    assert rest.get("/repositories/second").json == reply.json
    assert rest.get("/repositories/second/branches/trunk").status == 200


@pytest.mark.parametrize(
    "body, field",
    [
        ({"storage_namespace": "s3://b"}, "name"),
        ({"name": "second"}, "storage_namespace"),
        ({"name": "Second", "storage_namespace": "s3://b"}, "repository name"),
        ({"name": "second", "storage_namespace": "ftp://b"}, "storage namespace"),
        ({"name": "second", "storage_namespace": 5}, "storage_namespace"),
        ({"name": "second", "storage_namespace": "s3://b", "default_branch": "a b"}, "branch"),
        ({"name": "second", "storage_namespace": "s3://b", "read_only": "yes"}, "read_only"),
    ],
)
def test_create_repository_names_the_wrong_field(
    rest: Rest, body: dict[str, object], field: str
) -> None:
    reply = rest.post("/repositories", body)
    assert reply.status == 400
    assert field in reply.message


def test_create_repository_refuses_a_second_of_its_name(rest: Rest) -> None:
    reply = rest.post("/repositories", {"name": REPOSITORY, "storage_namespace": "s3://other"})
    assert reply.status == 409
    assert REPOSITORY in reply.message


def test_create_repository_refuses_a_namespace_in_use(rest: Rest) -> None:
    reply = rest.post("/repositories", {"name": "second", "storage_namespace": NAMESPACE})
    assert reply.status == 400
    assert "namespace" in reply.message


def test_create_repository_says_what_it_does_not_offer(rest: Rest) -> None:
    body = {"name": "second", "storage_namespace": "s3://second"}
    assert rest.post("/repositories", {**body, "sample_data": True}).status == 501
    assert rest.get("/repositories/second").status == 404


def test_list_repositories_in_pages(rest: Rest) -> None:
    for name in ("alpha", "beta", "beta-two"):
        rest.create(name, f"s3://{name}")
    first = rest.get("/repositories", amount=2).json
    assert [one["id"] for one in first["results"]] == ["alpha", "beta"]
    assert first["pagination"] == {
        "has_more": True,
        "next_offset": "beta",
        "results": 2,
        "max_per_page": 1000,
    }
    rest_of = rest.get("/repositories", after="beta").json
    assert [one["id"] for one in rest_of["results"]] == ["beta-two", REPOSITORY]
    assert rest_of["pagination"]["next_offset"] == ""
    assert [one["id"] for one in rest.get("/repositories", prefix="bet").json["results"]] == [
        "beta",
        "beta-two",
    ]


def test_list_repositories_searches_inside_names(rest: Rest) -> None:
    for name in ("alpha", "beta", "gamma"):
        rest.create(name, f"s3://{name}")
    found = rest.get("/repositories", search="a", amount=3).json
    assert [one["id"] for one in found["results"]] == ["alpha", "beta", REPOSITORY]
    more = rest.get("/repositories", search="a", after=found["pagination"]["next_offset"]).json
    assert [one["id"] for one in more["results"]] == ["gamma"]


@pytest.mark.parametrize("amount", ["-2", "many", "1.5", "9" * 30])
def test_list_repositories_refuses_a_bad_amount(rest: Rest, amount: str) -> None:
    reply = rest.get("/repositories", amount=amount)
    assert reply.status == 400
    assert "amount" in reply.message


def test_get_repository_that_does_not_exist(rest: Rest) -> None:
    reply = rest.get("/repositories/missing")
    assert reply.status == 404
    assert "missing" in reply.message


def test_delete_repository(rest: Rest) -> None:
    reply = rest.delete(f"/repositories/{REPOSITORY}")
    assert (reply.status, reply.body) == (204, b"")
    assert rest.get(f"/repositories/{REPOSITORY}").status == 404
    assert rest.delete(f"/repositories/{REPOSITORY}").status == 404


def test_read_only_repository_is_deleted_only_by_force(rest: Rest) -> None:
    rest.create("frozen", "s3://frozen", read_only=True)
    assert rest.get("/repositories/frozen").json["read_only"] is True
    assert rest.delete("/repositories/frozen").status == 403
    assert rest.delete("/repositories/frozen", force="True").status == 204


def test_repository_metadata_is_set_and_removed(rest: Rest) -> None:
    assert rest.get(at("metadata")).json == {}
    assert rest.post(at("metadata"), {"metadata": {"a": "1", "b": "2"}}).status == 204
    assert rest.post(at("metadata"), {"metadata": {"b": "3"}}).status == 204
    assert rest.get(at("metadata")).json == {"a": "1", "b": "3"}
    assert rest.delete(at("metadata"), {"keys": ["a", "missing"]}).status == 204
    assert rest.get(at("metadata")).json == {"b": "3"}


def test_repository_metadata_wants_texts(rest: Rest) -> None:
    reply = rest.post(at("metadata"), {"metadata": {"a": 1}})
    assert reply.status == 400
    assert "metadata" in reply.message
    assert rest.delete(at("metadata"), {"keys": "a"}).status == 400
    assert rest.get(at("metadata", "missing")).status == 404
