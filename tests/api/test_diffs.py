"""Differences of refs and of staging."""

from typing import Any

import pytest

from tests.api.rest import Rest, at


def diff(rest: Rest, path: str, **query: object) -> list[tuple[str, str]]:
    """Return type and path of each line of a diff."""
    reply = rest.get(at(path), **query)
    assert reply.status == 200, reply
    assert reply.json["pagination"]["results"] == len(reply.json["results"])
    return [(one["type"], one["path"]) for one in reply.json["results"]]


def test_diff_branch_shows_what_is_uncommitted(rest: Rest) -> None:
    rest.upload("kept")
    rest.upload("gone")
    rest.commit()
    assert diff(rest, "branches/main/diff") == []
    rest.upload("kept", b"other")
    rest.upload("new", b"12345")
    rest.delete(at("branches/main/objects"), path="gone")
    assert diff(rest, "branches/main/diff") == [
        ("removed", "gone"),
        ("changed", "kept"),
        ("added", "new"),
    ]
    line: dict[str, Any] = rest.get(at("branches/main/diff"), prefix="n").json["results"][0]
    assert line == {"path": "new", "path_type": "object", "size_bytes": 5, "type": "added"}


def test_diff_branch_ignores_equal_bytes_written_again(rest: Rest) -> None:
    rest.upload("a", b"same")
    rest.commit()
    rest.upload("a", b"same")
    assert diff(rest, "branches/main/diff") == []


def test_diff_branch_in_pages_and_rolled_up(rest: Rest) -> None:
    for path in ("a/1", "a/2", "b"):
        rest.upload(path)
    page = rest.get(at("branches/main/diff"), amount=1).json
    assert page["pagination"]["has_more"] is True
    assert diff(rest, "branches/main/diff", after=page["pagination"]["next_offset"]) == [
        ("added", "a/2"),
        ("added", "b"),
    ]
    rolled = rest.get(at("branches/main/diff"), delimiter="/").json["results"]
    assert [(one["path"], one["path_type"]) for one in rolled] == [
        ("a/", "common_prefix"),
        ("b", "object"),
    ]


def test_diff_branch_refuses(rest: Rest) -> None:
    assert rest.get(at("branches/missing/diff")).status == 404
    reply = rest.get(at("branches/main/diff"), amount="x")
    assert reply.status == 400
    assert "amount" in reply.message


def test_diff_refs_with_two_and_three_dots(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("on-main")
    rest.commit()
    rest.upload("on-dev", branch="dev")
    rest.commit(branch="dev")
    assert diff(rest, "refs/main/diff/dev") == [("added", "on-dev")]
    assert diff(rest, "refs/main/diff/dev", type="three_dot") == [("added", "on-dev")]
    assert diff(rest, "refs/main/diff/dev", type="two_dot") == [
        ("added", "on-dev"),
        ("removed", "on-main"),
    ]


def test_diff_refs_shows_the_right_side_when_asked(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("a", branch="dev", headers={"content-type": "text/plain"})
    rest.commit(branch="dev")
    plain = rest.get(at("refs/main/diff/dev")).json["results"][0]
    assert "right" not in plain
    line = rest.get(at("refs/main/diff/dev"), include_right_stats="True").json["results"][0]
    assert line["right"]["content_type"] == "text/plain"
    assert set(line["right"]) == {"checksum", "mtime", "content_type"}


def test_diff_refs_in_pages(rest: Rest) -> None:
    rest.branch("dev")
    names = ["a", "b/1", "b/2", 'c"ö\\']
    for name in names:
        rest.upload(name, branch="dev")
    rest.commit(branch="dev")
    seen, after = [], ""
    for _ in names:
        page = rest.get(at("refs/main/diff/dev"), amount=1, after=after).json
        after = page["pagination"]["next_offset"]
        seen += page["results"]
    assert page["pagination"] == {
        "has_more": False,
        "next_offset": "",
        "results": 1,
        "max_per_page": 1000,
    }
    assert seen == rest.get(at("refs/main/diff/dev"), amount=4).json["results"]
    assert [one["path"] for one in seen] == names
    assert diff(rest, "refs/main/diff/dev", prefix="b/") == [("added", "b/1"), ("added", "b/2")]
    assert diff(rest, "refs/main/diff/dev", amount=0) == []
    assert diff(rest, "refs/dev/diff/dev") == []
    assert diff(rest, "refs/main/diff/dev", delimiter="/")[1] == ("prefix_changed", "b/")


@pytest.mark.parametrize(
    "path, query, status, word",
    [
        ("refs/main/diff/missing", {}, 404, "missing"),
        ("refs/main/diff/main", {"type": "one_dot"}, 400, "type"),
        ("refs/main/diff/main", {"include_right_stats": "x"}, 400, "include_right_stats"),
        ("refs/main~x/diff/main", {}, 400, "ref"),
    ],
)
def test_diff_refs_refuses(
    rest: Rest, path: str, query: dict[str, str], status: int, word: str
) -> None:
    reply = rest.get(at(path), **query)
    assert reply.status == status
    assert word in reply.message
