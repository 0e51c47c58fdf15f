"""Merges, their conflicts and bases."""

import pytest

from tests.api.rest import Rest, at


def conflicting(rest: Rest, count: int = 1) -> None:
    """Change the same paths on `main` and `dev`."""
    rest.branch("dev")
    for number in range(count):
        rest.upload(f"p{number}", b"main")
        rest.upload(f"p{number}", b"dev", branch="dev")
    rest.commit()
    rest.commit(branch="dev")


def test_merge_answers_commit_and_summary(rest: Rest) -> None:
    rest.upload("old")
    rest.commit()
    rest.branch("dev")
    rest.upload("new", branch="dev")
    rest.delete(at("branches/dev/objects"), path="old")
    rest.commit(branch="dev")
    reply = rest.post(at("refs/dev/merge/main"), {"message": "merged", "metadata": {"k": "v"}})
    assert reply.status == 200
    assert reply.json["summary"] == {"added": 1, "changed": 0, "conflict": 0, "removed": 1}
    commit = rest.get(at("commits/main")).json
    assert commit["id"] == reply.json["reference"]
    assert (commit["message"], commit["metadata"]["k"]) == ("merged", "v")
    assert len(commit["parents"]) == 2
    assert rest.paths() == ["new"]


def test_merge_needs_no_body(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("new", branch="dev")
    rest.commit(branch="dev")
    reply = rest.call(
        "POST", at("refs/dev/merge/main"), headers={"content-type": "application/json"}
    )
    assert reply.status == 200


def test_merge_squashes(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("new", branch="dev")
    rest.commit(branch="dev")
    assert rest.post(at("refs/dev/merge/main"), {"squash_merge": True}).status == 200
    assert len(rest.get(at("commits/main")).json["parents"]) == 1


def test_merge_conflict_lists_all_paths(rest: Rest) -> None:
    conflicting(rest, 3)
    before = rest.get(at("branches/main")).json
    reply = rest.post(at("refs/dev/merge/main"))
    assert reply.status == 409
    body = reply.json
    assert body["message"] == "conflict found"
    assert body["reference"] == ""
    assert body["conflicts"]["pagination"]["results"] == 3
    assert [one["path"] for one in body["conflicts"]["results"]] == ["p0", "p1", "p2"]
    assert {one["type"] for one in body["conflicts"]["results"]} == {"both_added"}
    assert rest.get(at("branches/main")).json == before


@pytest.mark.parametrize("strategy, expected", [("source-wins", b"dev"), ("dest-wins", b"main")])
def test_merge_strategy_decides_conflicts(rest: Rest, strategy: str, expected: bytes) -> None:
    conflicting(rest)
    reply = rest.post(at("refs/dev/merge/main"), {"strategy": strategy})
    assert reply.status == 200
    assert rest.get(at("refs/main/objects"), path="p0").body == expected


def test_merge_refuses(rest: Rest) -> None:
    reply = rest.post(at("refs/main/merge/main"), {"strategy": "best"})
    assert reply.status == 400
    assert "strategy" in reply.message
    assert rest.post(at("refs/missing/merge/main")).status == 404
    assert rest.post(at("refs/main/merge/missing")).status == 404
    rest.branch("dev")
    nothing = rest.post(at("refs/dev/merge/main"))
    assert nothing.status == 400
    assert "no changes" in nothing.message
    assert rest.post(at("refs/dev/merge/main"), {"allow_empty": True}).status == 200


def test_merge_into_a_dirty_branch_is_refused(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("new", branch="dev")
    rest.commit(branch="dev")
    rest.upload("uncommitted")
    reply = rest.post(at("refs/dev/merge/main"))
    assert reply.status == 400
    assert "dirty" in reply.message


def test_list_merge_conflicts_in_pages(rest: Rest) -> None:
    conflicting(rest, 3)
    page = rest.get(at("refs/dev/merge/main/conflicts"), amount=2).json
    assert [one["path"] for one in page["results"]] == ["p0", "p1"]
    assert page["pagination"]["has_more"] is True
    page = rest.get(at("refs/dev/merge/main/conflicts"), after="p1").json
    assert [one["path"] for one in page["results"]] == ["p2"]
    assert page["pagination"]["has_more"] is False
    assert rest.get(at("refs/dev/merge/missing/conflicts")).status == 404
    assert rest.get(at("refs/dev/merge/main/conflicts"), amount="x").status == 400


def test_find_merge_base(rest: Rest) -> None:
    base = rest.branch("dev")
    rest.upload("a", branch="dev")
    dev = rest.commit(branch="dev")
    rest.upload("b")
    main = rest.commit()
    assert rest.get(at("refs/dev/merge/main")).json == {
        "source_commit_id": dev,
        "destination_commit_id": main,
        "base_commit_id": base,
    }
    assert rest.get(at("refs/missing/merge/main")).status == 404
    assert rest.get(at("refs/dev~x/merge/main")).status == 400
