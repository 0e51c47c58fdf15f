"""Tags: fixed names for commits."""

from collections.abc import Iterator

import pytest

from anabranch.kernel.commits import Commit
from anabranch.kernel.errors import AlreadyExists, Forbidden, Gone, Kind, NotFound
from anabranch.kernel.ids import CommitId, Namespace, Ref, RepositoryId, TagId
from anabranch.lake import keyspace, records
from anabranch.storage.kv.base import Request, put
from tests.support.lakes import REPOSITORY, TestLake, open_lake

V1 = TagId("v1")


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def expire(opened: TestLake, commit: Commit) -> None:
    key = keyspace.commit(opened.repository.incarnation, commit.id)
    value = records.encode_commit_record(commit, is_expired=True)
    opened.kv.apply([Request((), [put(key, value)])])


def test_a_tag_names_the_head_of_a_branch_without_its_staging(opened: TestLake) -> None:
    opened.put("a", b"1")
    head = opened.commit()
    opened.put("a", b"2")
    tag = opened.lake.tags.create(REPOSITORY, V1, Ref("main"))
    assert tag.commit_id == head.id
    opened.commit()
    assert opened.lake.tags.get(REPOSITORY, V1) == tag
    assert opened.find("a", ref="v1") == b"1"


def test_a_tag_is_never_moved(opened: TestLake) -> None:
    opened.lake.tags.create(REPOSITORY, V1, Ref("main"))
    with pytest.raises(AlreadyExists) as caught:
        opened.lake.tags.create(REPOSITORY, V1, Ref("main"))
    assert caught.value.kind is Kind.TAG_EXISTS


def test_a_deleted_tag_is_gone_and_its_name_free(opened: TestLake) -> None:
    opened.lake.tags.create(REPOSITORY, V1, Ref("main"))
    opened.lake.tags.delete(REPOSITORY, V1)
    for ask in (opened.lake.tags.get, opened.lake.tags.delete):
        with pytest.raises(NotFound) as caught:
            ask(REPOSITORY, V1)
        assert caught.value.kind is Kind.TAG_NOT_FOUND
    opened.lake.tags.create(REPOSITORY, V1, Ref("main"))


def test_an_unknown_ref_cannot_be_tagged(opened: TestLake) -> None:
    with pytest.raises(NotFound):
        opened.lake.tags.create(REPOSITORY, V1, Ref("nothing"))
    with pytest.raises(NotFound):
        opened.lake.tags.create(RepositoryId("nobody"), V1, Ref("main"))


def test_a_commit_whose_data_expired_cannot_be_tagged(opened: TestLake) -> None:
    opened.put("a")
    commit = opened.commit()
    expire(opened, commit)
    with pytest.raises(Gone):
        opened.lake.tags.create(REPOSITORY, V1, Ref("main"))


def test_tags_are_listed_in_byte_order_in_pages(opened: TestLake) -> None:
    names = ["b", "a/1", "a", "é", "B", "a0"]
    for name in names:
        opened.lake.tags.create(REPOSITORY, TagId(name), Ref("main"))
    ordered = sorted(names, key=str.encode)
    found: list[str] = []
    after = ""
    while True:
        page = opened.lake.tags.list(REPOSITORY, after=after, amount=2)
        found += [tag.id for tag in page.items]
        if page.next_after is None:
            break
        after = page.next_after
    assert found == ordered
    assert [tag.id for tag in opened.lake.tags.list(REPOSITORY, prefix="a", amount=9).items] == [
        "a",
        "a/1",
        "a0",
    ]
    assert opened.lake.tags.list(REPOSITORY, prefix="b", after="a", amount=9).items[0].id == "b"
    assert opened.lake.tags.list(REPOSITORY, amount=0).items == ()


def test_a_read_only_repository_takes_no_tags(opened: TestLake) -> None:
    other = RepositoryId("other")
    opened.lake.repositories.create(
        other, Namespace("s3://other/x"), is_read_only=True, committer="tests"
    )
    with pytest.raises(Forbidden):
        opened.lake.tags.create(other, V1, Ref("main"))


def test_a_tag_resolves_after_branches_and_before_commits(opened: TestLake) -> None:
    opened.put("a")
    head = opened.commit()
    opened.lake.tags.create(REPOSITORY, TagId(head.id[:8]), Ref("main~1"))
    assert opened.lake.resolve.commit_id(REPOSITORY, Ref(head.id[:8])) == CommitId(head.parents[0])
    assert opened.lake.resolve.commit_id(REPOSITORY, Ref(head.id[:9])) == head.id
