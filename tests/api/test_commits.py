"""Commits: commit, get, log."""

import pytest

from tests.api.rest import USER, Rest, at


def test_commit_answers_what_the_sdk_prints(rest: Rest) -> None:
    parent = rest.get(at("branches/main")).json["commit_id"]
    rest.upload("a")
    reply = rest.post(at("branches/main/commits"), {"message": "hello", "metadata": {"k": "v"}})
    assert reply.status == 201
    commit = reply.json
    assert commit == {
        "id": commit["id"],
        "parents": [parent],
        "committer": USER,
        "message": "hello",
        "creation_date": commit["creation_date"],
        "meta_range_id": "",
        "metadata": {"k": "v"},
    }
    assert type(commit["creation_date"]) is int
    assert rest.get(at("branches/main")).json["commit_id"] == commit["id"]
    shown = rest.get(at(f"commits/{commit['id']}")).json
    assert len(shown.pop("meta_range_id")) == 64
    assert shown == {key: value for key, value in commit.items() if key != "meta_range_id"}


def test_commit_without_metadata_has_an_empty_one(rest: Rest) -> None:
    rest.upload("a")
    assert rest.post(at("branches/main/commits"), {"message": "m"}).json["metadata"] == {}


def test_commit_at_a_given_date(rest: Rest) -> None:
    rest.upload("a")
    reply = rest.post(at("branches/main/commits"), {"message": "m", "date": 86_400})
    assert reply.json["creation_date"] == 86_400


def test_commit_of_nothing_is_refused_unless_allowed(rest: Rest) -> None:
    reply = rest.post(at("branches/main/commits"), {"message": "m"})
    assert reply.status == 400
    assert "no changes" in reply.message
    body = {"message": "m", "allow_empty": True}
    assert rest.post(at("branches/main/commits"), body).status == 201


@pytest.mark.parametrize(
    "body, word",
    [
        ({}, "message"),
        ({"message": 1}, "message"),
        ({"message": "m", "metadata": ["a"]}, "metadata"),
        ({"message": "m", "metadata": {"a": 1}}, "metadata"),
        ({"message": "m", "date": "now"}, "date"),
        ({"message": "m", "date": -1}, "date"),
        ({"message": "x" * 70_000}, "message"),
    ],
)
def test_commit_names_the_wrong_field(rest: Rest, body: object, word: str) -> None:
    rest.upload("a")
    reply = rest.post(at("branches/main/commits"), body)
    assert reply.status == 400
    assert word in reply.message


def test_commit_wants_json(rest: Rest) -> None:
    for data in (b"", b"{", b"\xff", b"[" * 100_000):
        reply = rest.call("POST", at("branches/main/commits"), body=data)
        assert reply.status == 400, data[:10]
        assert "body" in reply.message
    assert rest.post(at("branches/missing/commits"), {"message": "m"}).status == 404


def test_commit_of_another_metarange(rest: Rest) -> None:
    rest.upload("a")
    rest.commit()
    metarange = rest.get(at("commits/main")).json["meta_range_id"]
    rest.upload("b")
    rest.commit()
    reply = rest.post(at("branches/main/commits"), {"message": "m"}, source_metarange=metarange)
    assert reply.status == 201
    assert rest.paths() == ["a"]
    bad = rest.post(at("branches/main/commits"), {"message": "m"}, source_metarange="x")
    assert bad.status == 400
    assert "source_metarange" in bad.message


def test_get_commit_by_any_ref(rest: Rest) -> None:
    rest.upload("a")
    head = rest.commit("the message")
    for ref in (head, head[:10], "main", "main@"):
        assert rest.get(at(f"commits/{ref}")).json["id"] == head
    assert rest.get(at("commits/main~1")).json["parents"] == []


def test_get_commit_that_does_not_exist(rest: Rest) -> None:
    reply = rest.get(at("commits/" + "0" * 64))
    assert reply.status == 404
    assert rest.get(at("commits/main~99")).status == 404
    assert rest.get(at("commits/main~x")).status == 400


def log(rest: Rest, ref: str = "main", **query: object) -> list[str]:
    """Return the messages of one page of a log."""
    reply = rest.get(at(f"refs/{ref}/commits"), **query)
    assert reply.status == 200, reply
    return [one["message"] for one in reply.json["results"]]


def test_log_newest_first_in_pages(rest: Rest) -> None:
    ids = []
    for name in ("one", "two", "three"):
        rest.upload(name)
        ids.append(rest.commit(name))
    page = rest.get(at("refs/main/commits"), amount=2).json
    assert [one["id"] for one in page["results"]] == [ids[2], ids[1]]
    assert page["pagination"]["has_more"] is True
    assert page["pagination"]["next_offset"] == ids[1]
    assert log(rest, after=ids[1])[0] == "one"
    assert log(rest, amount=2, limit="True") == ["three", "two"]
    assert log(rest, stop_at=ids[1]) == ["three", "two"]


def test_log_of_objects_and_prefixes(rest: Rest) -> None:
    for path in ("a/1", "b/1", "a/2"):
        rest.upload(path)
        rest.commit(path)
    assert log(rest, objects="a/1") == ["a/1"]
    assert log(rest, prefixes="a/") == ["a/2", "a/1"]
    reply = rest.call(
        "GET", at("refs/main/commits"), query=[("objects", "a/1"), ("objects", "b/1")]
    )
    assert [one["message"] for one in reply.json["results"]] == ["b/1", "a/1"]


def test_log_since_a_time(rest: Rest) -> None:
    for number, path in enumerate(("a", "b", "c"), 1):
        rest.upload(path)
        rest.commit(path, date=number * 86_400)
    assert log(rest, since=2 * 86_400)[:2] == ["c", "b"]
    assert "a" not in log(rest, since="1970-01-03T00:00:00Z")
    assert "a" not in log(rest, since="1970-01-03T02:00:00+02:00")
    assert "a" in log(rest, since="1970-01-02T00:00:00")


def test_log_of_first_parents(rest: Rest) -> None:
    rest.branch("dev")
    rest.upload("a", branch="dev")
    rest.commit("on dev", branch="dev")
    rest.upload("b")
    rest.commit("on main")
    rest.post(at("refs/dev/merge/main"), {"message": "merged"})
    assert "on dev" in log(rest)
    assert "on dev" not in log(rest, first_parent="True")


@pytest.mark.parametrize(
    "query, status, word",
    [
        ({"since": "yesterday"}, 400, "since"),
        ({"after": "main"}, 400, "after"),
        ({"limit": "2"}, 400, "limit"),
        ({"stop_at": "missing"}, 404, "missing"),
        ({"amount": "-5"}, 400, "amount"),
    ],
)
def test_log_refuses(rest: Rest, query: dict[str, str], status: int, word: str) -> None:
    reply = rest.get(at("refs/main/commits"), **query)
    assert reply.status == status
    assert word in reply.message
    assert rest.get(at("refs/missing/commits")).status == 404
