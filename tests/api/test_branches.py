"""Branches: create, list, delete, reset, revert, cherry-pick."""

import pytest

from tests.api.rest import REPOSITORY, Rest, at


def test_create_branch_answers_the_commit_id_as_text(rest: Rest) -> None:
    head = rest.get(at("branches/main")).json["commit_id"]
    reply = rest.post(at("branches"), {"name": "dev", "source": "main"})
    assert reply.status == 201
    assert reply.header("content-type") == "text/html"
    assert reply.body.decode() == head
    assert rest.get(at("branches/dev")).json == {"id": "dev", "commit_id": head}


def test_create_branch_from_any_ref(rest: Rest) -> None:
    rest.upload("a")
    first = rest.commit()
    rest.upload("b")
    rest.commit()
    assert rest.branch("old", "main~1") == first
    assert rest.branch("older", first[:12]) == first


def test_create_branch_that_exists_is_a_conflict(rest: Rest) -> None:
    reply = rest.post(at("branches"), {"name": "main", "source": "main"})
    assert reply.status == 409
    assert "main" in reply.message


@pytest.mark.parametrize(
    "body, status, word",
    [
        ({"name": "dev"}, 400, "source"),
        ({"name": "a..b", "source": "main"}, 400, "branch name"),
        ({"name": "dev", "source": "missing"}, 404, "missing"),
        ({"name": "dev", "source": "~"}, 400, "ref"),
        ({"name": "dev", "source": "main", "hidden": "no"}, 400, "hidden"),
        ([], 400, "object"),
    ],
)
def test_create_branch_refuses(rest: Rest, body: object, status: int, word: str) -> None:
    reply = rest.post(at("branches"), body)
    assert reply.status == status
    assert word in reply.message


def test_branch_names_with_a_slash_are_one_segment(rest: Rest) -> None:
    rest.branch("feature/one")
    assert rest.get(at("branches/feature%2Fone")).json["id"] == "feature/one"
    assert rest.get(at("branches/feature%2fone/diff")).status == 200
    assert rest.get(at("branches/feature/one")).status == 404
    rest.upload("a", branch="feature/one")
    assert rest.paths("feature/one") == ["a"]


def test_list_branches_in_pages_without_hidden_ones(rest: Rest) -> None:
    for name in ("dev", "dev2"):
        rest.branch(name)
    hidden = {"name": "tx-1", "source": "main", "hidden": True}
    assert rest.post(at("branches"), hidden).status == 201
    page = rest.get(at("branches"), amount=2).json
    assert [one["id"] for one in page["results"]] == ["dev", "dev2"]
    assert page["pagination"]["has_more"] is True
    page = rest.get(at("branches"), after=page["pagination"]["next_offset"]).json
    assert [one["id"] for one in page["results"]] == ["main"]
    assert page["pagination"]["has_more"] is False
    every = rest.get(at("branches"), show_hidden="True", prefix="t").json
    assert [one["id"] for one in every["results"]] == ["tx-1"]


def test_list_branches_of_a_missing_repository(rest: Rest) -> None:
    assert rest.get(at("branches", "missing")).status == 404
    assert rest.get(at("branches"), show_hidden="perhaps").status == 400


def test_get_branch_that_does_not_exist(rest: Rest) -> None:
    reply = rest.get(at("branches/missing"))
    assert reply.status == 404
    assert "missing" in reply.message
    assert rest.get(at("branches/a%00b")).status == 400
    assert rest.get(at("branches/%ff")).status == 400


def test_delete_branch(rest: Rest) -> None:
    rest.branch("dev")
    assert rest.delete(at("branches/dev")).status == 204
    assert rest.get(at("branches/dev")).status == 404
    assert rest.delete(at("branches/dev")).status == 404


def test_delete_of_the_default_branch_is_refused(rest: Rest) -> None:
    reply = rest.delete(at("branches/main"))
    assert reply.status == 400
    assert "default branch" in reply.message


def test_reset_of_all_a_prefix_and_an_object(rest: Rest) -> None:
    for path in ("a/1", "a/2", "b/1", "b/2"):
        rest.upload(path)
    assert rest.put(at("branches/main"), {"type": "object", "path": "a/1"}).status == 204
    assert rest.paths() == ["a/2", "b/1", "b/2"]
    assert rest.put(at("branches/main"), {"type": "common_prefix", "path": "b/"}).status == 204
    assert rest.paths() == ["a/2"]
    assert rest.put(at("branches/main"), {"type": "reset"}).status == 204
    assert rest.paths() == []


@pytest.mark.parametrize(
    "body, status, word",
    [
        ({"type": "everything"}, 400, "type"),
        ({"type": "object"}, 400, "path"),
        ({"type": "common_prefix"}, 400, "path"),
        ({"type": "object", "path": "missing"}, 404, "missing"),
    ],
)
def test_reset_refuses(rest: Rest, body: object, status: int, word: str) -> None:
    reply = rest.put(at("branches/main"), body)
    assert reply.status == status
    assert word in reply.message


def test_hard_reset_moves_the_branch(rest: Rest) -> None:
    rest.upload("a")
    first = rest.commit()
    rest.upload("b")
    rest.commit()
    assert rest.put(at("branches/main/hard_reset"), ref="main~1").status == 204
    assert rest.get(at("branches/main")).json["commit_id"] == first
    assert rest.paths() == ["a"]


def test_hard_reset_refuses(rest: Rest) -> None:
    reply = rest.put(at("branches/main/hard_reset"))
    assert reply.status == 400
    assert "ref" in reply.message
    assert rest.put(at("branches/main/hard_reset"), ref="missing").status == 404
    rest.upload("a")
    assert rest.put(at("branches/main/hard_reset"), ref="main").status == 400


def test_revert_undoes_a_commit(rest: Rest) -> None:
    rest.upload("a")
    rest.commit("adds a")
    rest.upload("b")
    rest.commit("adds b")
    overrides = {"message": "takes a back", "metadata": {"why": "test"}}
    body = {"ref": "main~1", "parent_number": 0, "commit_overrides": overrides}
    reply = rest.post(at("branches/main/revert"), body)
    assert (reply.status, reply.body) == (204, b"")
    assert rest.paths() == ["b"]
    newest = rest.get(at("commits/main")).json
    assert newest["message"] == "takes a back"
    assert newest["metadata"] == {"why": "test"}


def test_revert_refuses(rest: Rest) -> None:
    rest.upload("a")
    rest.commit()
    reply = rest.post(at("branches/main/revert"), {"ref": "main"})
    assert reply.status == 400
    assert "parent_number" in reply.message
    assert rest.post(at("branches/main/revert"), {"ref": "x", "parent_number": 0}).status == 404
    body = {"ref": "main", "parent_number": 7}
    assert rest.post(at("branches/main/revert"), body).status == 400
    rest.upload("b")
    body = {"ref": "main", "parent_number": 0}
    reply = rest.post(at("branches/main/revert"), body)
    assert reply.status == 400
    assert "dirty" in reply.message


def test_cherry_pick_repeats_a_commit(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("a", branch="dev")
    rest.commit("first", branch="dev")
    rest.upload("b", branch="dev")
    picked = rest.commit("second", branch="dev", metadata={"k": "v"})
    reply = rest.post(at("branches/main/cherry-pick"), {"ref": "dev"})
    assert reply.status == 201
    assert reply.json["message"] == "second"
    assert reply.json["metadata"]["k"] == "v"
    assert reply.json["metadata"]["cherry-pick-origin"] == picked
    assert rest.paths() == ["b"]


def test_cherry_pick_refuses(rest: Rest) -> None:
    reply = rest.post(at("branches/main/cherry-pick"), {})
    assert reply.status == 400
    assert "ref" in reply.message
    assert rest.post(at("branches/main/cherry-pick"), {"ref": "missing"}).status == 404
    assert rest.post(at("branches/missing/cherry-pick"), {"ref": "main"}).status == 404
    body = {"ref": "main", "commit_overrides": {"message": "another"}}
    assert rest.post(at("branches/main/cherry-pick"), body).status == 501


def test_read_only_repository_refuses_new_branches(rest: Rest) -> None:
    rest.create("frozen", "s3://frozen", read_only=True)
    reply = rest.post(at("branches", "frozen"), {"name": "dev", "source": "main"})
    assert reply.status == 403
    assert "read-only" in reply.message
    assert rest.post(at("branches", REPOSITORY), {"name": "dev", "source": "main"}).status == 201
