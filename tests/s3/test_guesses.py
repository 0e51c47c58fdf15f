"""Small puts go to a branch as the process knows it; what others did meanwhile decides."""

import pytest

from anabranch.kernel.ids import BranchId, Namespace, Ref
from anabranch.lake import keyspace
from anabranch.storage.kv.base import Request, delete
from tests.support.builders import REPO
from tests.support.s3 import S3Kit

PATH = "/example/main/a"
SIZES = [1, 64 * 1024, 64 * 1024 + 1]


@pytest.fixture
def known(kit: S3Kit) -> S3Kit:
    """A gateway that knows the branch from a put before."""
    kit.put("/example/main/before", b"1")
    return kit


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_repository_that_was_made_again_gets_the_bytes(known: S3Kit, size_bytes: int) -> None:
    with known.another_process() as other:
        other.repositories.delete(REPO)
        other.repositories.create(REPO, Namespace("s3://elsewhere"), committer="tester")
    known.put(PATH, b"x" * size_bytes)
    assert known.get(PATH).body == b"x" * size_bytes
    assert known.get("/example/main/before").status == 404
    assert known.physical_address(REPO, "main", "a").startswith("s3://elsewhere/")


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_deleted_branch_takes_nothing(known: S3Kit, size_bytes: int) -> None:
    known.lake.branch("dev")
    known.put("/example/dev/before", b"1")
    with known.another_process() as other:
        other.branches.delete(REPO, BranchId("dev"))
    answer = known.call("PUT", "/example/dev/a", body=b"x" * size_bytes)
    assert (answer.status, answer.code) == (404, "NoSuchKey")


def test_a_repository_without_its_record_takes_nothing(known: S3Kit) -> None:
    """Its branches go after it: a crash in between leaves them."""
    removal = Request((), [delete(keyspace.repository(REPO))])
    assert known.lake.kv.apply([removal])[0].is_accepted
    answer = known.call("PUT", PATH, body=b"x")
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


def test_a_repository_that_became_read_only_takes_nothing(known: S3Kit) -> None:
    with known.another_process() as other:
        other.repositories.delete(REPO)
        namespace = Namespace("s3://elsewhere")
        other.repositories.create(REPO, namespace, committer="tester", is_read_only=True)
    answer = known.call("PUT", PATH, body=b"x")
    assert (answer.status, answer.code) == (403, "ErrReadOnlyRepository")


def test_a_key_may_belong_to_another_branch_by_now(known: S3Kit) -> None:
    known.lake.branch("deep")
    known.put("/example/deep/er/before", b"1")
    with known.another_process() as other:
        other.branches.delete(REPO, BranchId("deep"))
        other.branches.create(REPO, BranchId("deep/er"), Ref("main"))
    known.put("/example/deep/er/a", b"x")
    assert known.keys("example", "list-type=2&prefix=deep/er/a") == ["deep/er/a"]


def test_a_commit_elsewhere_is_no_hindrance(known: S3Kit) -> None:
    with known.another_process() as other:
        other.commits.create(REPO, BranchId("main"), message="elsewhere", committer="tester")
    known.put(PATH, b"x")
    assert known.get(PATH).body == b"x"
    assert known.get("/example/main@/a").status == 404
