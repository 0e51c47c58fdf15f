"""Repositories: their namespaces, their names, and what deleted ones leave."""

import threading
from collections.abc import Iterator
from typing import NoReturn

import pytest

from anabranch.kernel.errors import AlreadyExists, Conflict, Forbidden, Kind, NotFound
from anabranch.kernel.ids import BranchId, IncarnationId, Namespace, Path, Ref, RepositoryId, TagId
from anabranch.lake import keyspace
from anabranch.storage.kv.base import Request, Scan, scan_prefix
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake

OTHER = RepositoryId("other")


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def create(opened: TestLake, name: str, namespace: str) -> None:
    opened.lake.repositories.create(RepositoryId(name), Namespace(namespace), committer="tests")


def test_a_new_repository_has_one_empty_commit_and_a_dummy(opened: TestLake) -> None:
    (commit,) = opened.lake.commits.log(REPOSITORY, Ref("main"), amount=10).items
    assert (commit.message, commit.parents, commit.generation) == ("Repository created", (), 1)
    assert commit.metarange == ""
    assert opened.paths() == []
    block = opened.blocks.get("s3://data/animals/dummy")
    assert block.size_bytes == 70
    assert opened.blocks.has_bucket("data")


def test_a_name_is_used_once(opened: TestLake) -> None:
    with pytest.raises(AlreadyExists) as caught:
        create(opened, REPOSITORY, "s3://elsewhere/x")
    assert caught.value.kind is Kind.REPOSITORY_EXISTS


@pytest.mark.parametrize(
    "namespace",
    [
        "s3://data/animals",
        "local://data/animals",
        "s3://data",
        "s3://data/animals/below",
        "s3://data/animals/below/more",
    ],
)
def test_namespaces_may_not_contain_one_another(opened: TestLake, namespace: str) -> None:
    with pytest.raises(Conflict) as caught:
        create(opened, "other", namespace)
    assert caught.value.kind is Kind.NAMESPACE_OVERLAP


@pytest.mark.parametrize("namespace", ["s3://data/animals2", "s3://data/a", "s3://dat", "s3://b"])
def test_namespaces_that_only_look_alike_are_free(opened: TestLake, namespace: str) -> None:
    create(opened, "other", namespace)
    assert opened.lake.repositories.get(OTHER).namespace == namespace


def test_the_namespace_of_a_deleted_repository_stays_used(opened: TestLake) -> None:
    opened.lake.repositories.delete(REPOSITORY)
    with pytest.raises(Conflict):
        create(opened, "other", "s3://data/animals")


def test_a_namespace_that_holds_a_dummy_is_used(opened: TestLake) -> None:
    body = opened.lake.bodies.open_at("s3://data/new/dummy")
    opened.kv.apply([Request((), body.place().writes)])
    with pytest.raises(Conflict):
        create(opened, "other", "s3://data/new")


def test_of_two_that_claim_overlapping_namespaces_at_once_one_is_refused() -> None:
    with open_lake() as one, open_beside(one) as two:
        barrier = threading.Barrier(2)
        answers: list[str] = []

        def claim(opened: TestLake, name: str, namespace: str) -> None:
            barrier.wait()
            try:
                create(opened, name, namespace)
            except Conflict as error:
                answers.append(error.kind)
            else:
                answers.append("made")

        for number in range(20):
            answers.clear()
            threads = [
                threading.Thread(target=claim, args=(one, f"one-{number}", f"s3://b{number}/x")),
                threading.Thread(target=claim, args=(two, f"two-{number}", f"s3://b{number}/x/y")),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(answers) == ["made", Kind.NAMESPACE_OVERLAP]


def test_repositories_are_listed_in_order(opened: TestLake) -> None:
    for number in range(5):
        create(opened, f"more-{number}", f"s3://more/{number}")
    repositories = opened.lake.repositories
    first = repositories.list(prefix="more-", amount=3)
    assert [one.id for one in first.items] == ["more-0", "more-1", "more-2"]
    second = repositories.list(prefix="more-", after=first.next_after or "", amount=3)
    assert [one.id for one in second.items] == ["more-3", "more-4"]
    assert second.next_after is None
    assert [one.id for one in repositories.list(amount=1).items] == [REPOSITORY]
    assert repositories.list(amount=0).items == ()
    assert repositories.list(prefix="z", amount=1).items == ()


def test_metadata_is_added_replaced_and_removed(opened: TestLake) -> None:
    repositories = opened.lake.repositories
    assert repositories.get_metadata(REPOSITORY) == {}
    repositories.set_metadata(REPOSITORY, {"a": "1", "b": "2"})
    repositories.set_metadata(REPOSITORY, {"b": "3", "c": "4"})
    repositories.delete_metadata(REPOSITORY, ["a", "unknown"])
    assert repositories.get_metadata(REPOSITORY) == {"b": "3", "c": "4"}


def test_a_read_only_repository_is_deleted_only_by_force(opened: TestLake) -> None:
    opened.lake.repositories.create(
        OTHER, Namespace("s3://other/x"), is_read_only=True, committer="tests"
    )
    with pytest.raises(Forbidden):
        opened.lake.repositories.delete(OTHER)
    opened.lake.repositories.delete(OTHER, is_forced=True)
    assert opened.lake.repositories.find(OTHER) is None


def test_the_default_branch_has_the_name_asked_for(opened: TestLake) -> None:
    opened.lake.repositories.create(
        OTHER, Namespace("s3://o/x"), default_branch=BranchId("trunk"), committer="tests"
    )
    assert [one.id for one in opened.lake.branches.list(OTHER, amount=5).items] == ["trunk"]


def test_a_deleted_repository_is_not_found(opened: TestLake) -> None:
    opened.put("a")
    opened.lake.repositories.delete(REPOSITORY)
    for ask in (
        lambda: opened.lake.repositories.get(REPOSITORY),
        lambda: opened.lake.repositories.delete(REPOSITORY),
        lambda: opened.put("b"),
        lambda: opened.find("a"),
        opened.commit,
    ):
        with pytest.raises(NotFound) as caught:
            ask()
        assert caught.value.kind is Kind.REPOSITORY_NOT_FOUND


def test_a_name_made_again_starts_empty(opened: TestLake) -> None:
    opened.put("a")
    opened.commit()
    opened.put("b")
    opened.lake.repositories.set_metadata(REPOSITORY, {"a": "1"})
    opened.lake.tags.create(REPOSITORY, TagId("v1"), Ref("main"))
    opened.lake.repositories.delete(REPOSITORY)
    create(opened, REPOSITORY, "s3://data/animals-again")
    assert opened.paths() == []
    assert opened.lake.repositories.get_metadata(REPOSITORY) == {}
    assert opened.lake.tags.list(REPOSITORY, amount=5).items == ()


def test_a_cached_branch_of_a_deleted_repository_takes_no_write_of_the_new_one() -> None:
    # Another process made it anew: the old branch is still in this one's cache.
    with open_lake() as one, open_beside(one) as two:
        one.put("a", b"old")
        two.lake.repositories.delete(REPOSITORY)
        create(two, REPOSITORY, "s3://data/animals-again")
        one.put("a", b"new")
        assert two.find("a") == b"new"


def test_a_name_is_not_made_again_while_branches_of_the_old_remain() -> None:
    with open_lake() as one, open_beside(one) as two:
        one.put("a", b"old")
        old = one.repository
        _die_after_the_record_went(two)
        assert one.kv.read([keyspace.branch(old.incarnation, MAIN)]).values[0] is not None
        create(two, REPOSITORY, "s3://data/animals-again")
        assert one.kv.read([keyspace.branch(old.incarnation, MAIN)]).values[0] is None
        one.put("a", b"new")
        assert two.find("a") == b"new"


def test_nothing_of_a_deleted_repository_remains_after_the_sweeps(opened: TestLake) -> None:
    opened.put("a")
    opened.commit()
    opened.put("b")
    opened.branch("dev")
    opened.lake.tags.create(REPOSITORY, TagId("v1"), Ref("main"))
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    upload = opened.lake.uploads.create(target, Path("c"), content_type="text/plain")
    body = opened.lake.uploads.body(upload)
    body.write(b"part")
    opened.lake.writer.submit(opened.lake.uploads.making_part(upload, 1, body))
    opened.lake.writer.submit(opened.lake.addresses.making_issue(target, Path("d")))
    incarnation = opened.repository.incarnation
    opened.lake.repositories.delete(REPOSITORY)
    while opened.lake.repositories.sweep_retired():
        pass
    opened.clock.advance(7_200)
    while opened.lake.staging.sweep_dropped(now_us=opened.kv.now_us()):
        pass
    while opened.lake.uploads.sweep_discarded():
        pass
    left = [
        row.key
        for row in opened.kv.read((), [Scan(b"", None, 1_000)]).scans[0]
        if not row.key.startswith((b"blocks/", b"namespace"))
    ]
    assert left == []
    assert incarnation


def test_a_deletion_that_died_is_finished_by_the_sweep(opened: TestLake) -> None:
    opened.put("a")
    incarnation = opened.repository.incarnation
    _die_after_the_record_went(opened)
    assert opened.lake.repositories.sweep_retired(amount=1) > 0
    while opened.lake.repositories.sweep_retired(amount=1):
        pass
    for prefix in (keyspace.branches(incarnation), keyspace.commits(incarnation)):
        assert opened.kv.read((), [scan_prefix(prefix, limit=1)]).scans[0] == ()
    assert opened.kv.read([keyspace.retired(incarnation)]).values[0] is None


def _die_after_the_record_went(opened: TestLake) -> None:
    repositories = opened.lake.repositories
    dying = type(repositories)(
        opened.kv,
        opened.lake.writer,
        opened.blocks,
        opened.lake.states,
        opened.clock,
        opened.lake.ids,
    )

    def die(repository_id: RepositoryId, incarnation: IncarnationId) -> NoReturn:
        raise SystemExit(1)

    dying._retire_branches = die  # type: ignore[method-assign]  # the process ends here
    with pytest.raises(SystemExit):
        dying.delete(REPOSITORY)
