"""What a process still has in its caches never changes what it answers.

`warm` has seen a branch or a repository; `other` is another process that replaces it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from anabranch.kernel.errors import NotFound
from anabranch.kernel.ids import BranchId, Namespace, Ref, TagId
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake

DEV = BranchId("dev")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two processes over one store."""

    warm: TestLake
    other: TestLake

    def replace_repository(self) -> None:
        """Make the repository anew, elsewhere."""
        self.other.lake.repositories.delete(REPOSITORY)
        self.other.lake.repositories.create(
            REPOSITORY, Namespace("s3://data/again"), committer="tests"
        )


@pytest.fixture
def pair() -> Iterator[Pair]:
    with open_lake() as warm, open_beside(warm) as other:
        warm.put("a", b"old")
        warm.find("a")
        yield Pair(warm, other)


def test_a_tag_that_took_the_place_of_a_branch_is_read(pair: Pair) -> None:
    pair.warm.commit()
    pair.warm.branch("dev", "main~1")
    assert pair.warm.paths(ref="dev") == []
    pair.other.lake.branches.delete(REPOSITORY, DEV)
    pair.other.lake.tags.create(REPOSITORY, TagId("dev"), Ref("main"))
    assert pair.warm.paths(ref="dev") == ["a"]
    assert pair.warm.find("a", ref="dev") == b"old"


def test_a_branch_that_took_the_place_of_a_tag_is_read(pair: Pair) -> None:
    pair.warm.lake.tags.create(REPOSITORY, TagId("dev"), Ref("main"))
    assert pair.warm.paths(ref="dev") == []
    pair.other.lake.tags.delete(REPOSITORY, TagId("dev"))
    pair.other.branch("dev")
    pair.other.put("b", branch="dev")
    assert pair.warm.paths(ref="dev") == ["b"]


def test_objects_of_a_repository_made_again_are_read_in_its_own_namespace(pair: Pair) -> None:
    pair.replace_repository()
    pair.other.put("a", b"new")
    assert pair.warm.find("a") == b"new"
    resolved = pair.warm.lake.resolve.resolve(REPOSITORY, Ref("main"))
    stat = pair.warm.lake.listing.page(resolved, amount=1).items[0]
    assert stat.physical_address.startswith("s3://data/again/")  # type: ignore[union-attr]  # no prefix


def test_a_put_to_a_repository_made_again_lands_there(pair: Pair) -> None:
    pair.replace_repository()
    pair.warm.put("b", b"new")
    assert pair.other.find("b") == b"new"
    pair.warm.put("large", b"x" * 100_000)
    assert pair.other.find("large") == b"x" * 100_000


def test_a_deleted_branch_is_not_found(pair: Pair) -> None:
    pair.warm.branch("dev")
    pair.warm.put("a", branch="dev")
    pair.other.lake.branches.delete(REPOSITORY, DEV)
    for ask in (
        lambda: pair.warm.find("a", ref="dev"),
        lambda: pair.warm.paths(ref="dev"),
        lambda: pair.warm.put("a", branch="dev"),
        lambda: pair.warm.delete("a", branch="dev"),
        lambda: pair.warm.commit(branch="dev"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_deleted_repository_is_not_found(pair: Pair) -> None:
    pair.other.lake.repositories.delete(REPOSITORY)
    for ask in (
        lambda: pair.warm.find("a"),
        pair.warm.paths,
        lambda: pair.warm.put("a"),
        lambda: pair.warm.delete("a"),
        lambda: pair.warm.lake.branches.get(REPOSITORY, MAIN),
    ):
        with pytest.raises(NotFound):
            ask()


def test_what_another_process_wrote_is_seen_at_once(pair: Pair) -> None:
    for number in range(5):
        pair.other.put("a", b"%d" % number)
        assert pair.warm.find("a") == b"%d" % number
        pair.other.commit()
        assert pair.warm.find("a") == b"%d" % number
        assert pair.warm.find("a", ref="main@") == b"%d" % number
        pair.other.delete("a")
        assert pair.warm.find("a") is None
        assert pair.warm.paths() == []
