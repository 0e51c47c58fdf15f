"""Multipart uploads: parts in any order, what a complete refuses, and what it answers again."""

import hashlib
import threading
from collections.abc import Iterator, Sequence

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    Forbidden,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
)
from anabranch.kernel.ids import BranchId, Namespace, Path, RepositoryId, UploadId
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import keyspace
from anabranch.lake.upload_records import Part, Upload, check_order, multipart_etag
from anabranch.lake.values import Stat
from anabranch.storage.blocks.base import Extent
from anabranch.storage.kv.base import Request, put, scan_prefix
from tests.support.hooks import HookedKV, hooks
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake

BIG = limits.PART_BYTES_MIN


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def start(opened: TestLake, path: str = "big", *, branch: str = MAIN) -> Upload:
    target = opened.lake.objects.writable(REPOSITORY, BranchId(branch))
    return opened.lake.uploads.create(
        target, Path(path), content_type="text/csv", metadata=(("who", "me"),)
    )


def part(opened: TestLake, upload: Upload, number: int, data: bytes) -> Part:
    body = opened.lake.uploads.body(upload)
    body.write(data)
    return opened.lake.writer.submit(opened.lake.uploads.making_part(upload, number, body))


def complete(
    opened: TestLake,
    upload: Upload,
    parts: Sequence[Part],
    precondition: Precondition | None = None,
) -> Stat:
    listed = [(one.number, one.etag) for one in parts]
    make = opened.lake.uploads.making_complete(upload, listed, precondition=precondition)
    return opened.lake.writer.submit(make)


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def test_parts_in_any_order_become_one_object(opened: TestLake) -> None:
    upload = start(opened)
    last = part(opened, upload, 7, b"end")
    first = part(opened, upload, 2, b"a" * BIG)
    stat = complete(opened, upload, [first, last])
    assert opened.find("big") == b"a" * BIG + b"end"
    whole = hashlib.md5(md5(b"a" * BIG) + md5(b"end"), usedforsecurity=False).hexdigest()
    assert stat.entry.checksum == f"{whole}-2"
    assert (stat.entry.content_type, stat.entry.metadata) == ("text/csv", (("who", "me"),))
    assert stat.entry.size_bytes == BIG + 3
    assert stat.physical_address.startswith("s3://data/animals/")


def test_parts_may_arrive_at_once(opened: TestLake) -> None:
    upload = start(opened)
    parts: dict[int, Part] = {}

    def send(number: int) -> None:
        parts[number] = part(opened, upload, number, b"%d" % (number % 10) * BIG)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    complete(opened, upload, [parts[number] for number in range(1, 5)])
    assert opened.find("big") == b"".join(b"%d" % number * BIG for number in range(1, 5))


def test_parts_never_show_as_objects(opened: TestLake) -> None:
    upload = start(opened)
    part(opened, upload, 1, b"part")
    keys = [
        block.address for block in opened.blocks.list("data", prefix="", after="", amount=9).items
    ]
    assert keys == ["s3://data/animals/dummy"]
    assert opened.paths() == []


def test_a_part_sent_again_replaces_the_former(opened: TestLake) -> None:
    upload = start(opened)
    old = part(opened, upload, 1, b"old")
    new = part(opened, upload, 1, b"new")
    with pytest.raises(InvalidInput) as caught:
        complete(opened, upload, [old])
    assert caught.value.kind is Kind.PART_MISSING
    complete(opened, upload, [new])
    assert opened.find("big") == b"new"


def test_a_part_sent_again_while_it_is_completed_refuses_the_complete(opened: TestLake) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        upload = start(opened)
        old = part(opened, upload, 1, b"old")
        hooks(other).before_apply(
            keyspace.upload(upload.id), lambda: part(opened, upload, 1, b"new")
        )
        with pytest.raises(InvalidInput) as caught:
            complete(other, upload, [old])
        assert caught.value.kind is Kind.PART_MISSING
        assert hooks(other).is_done
        assert opened.find("big") is None


def test_the_same_bytes_sent_again_while_it_is_completed_do_not_refuse_it(
    opened: TestLake,
) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        upload = start(opened)
        old = part(opened, upload, 1, b"same")
        hooks(other).before_apply(
            keyspace.upload(upload.id), lambda: part(opened, upload, 1, b"same")
        )
        complete(other, upload, [old])
        assert hooks(other).is_done
        assert opened.find("big") == b"same"


def test_a_part_that_arrives_after_the_complete_is_refused(opened: TestLake) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        upload = start(opened)
        first = part(opened, upload, 1, b"first")
        hooks(other).before_apply(
            keyspace.upload_parts(upload.id), lambda: complete(opened, upload, [first])
        )
        with pytest.raises(NotFound) as caught:
            part(other, upload, 1, b"late")
        assert caught.value.kind is Kind.UPLOAD_NOT_FOUND
        assert opened.find("big") == b"first"


@pytest.mark.parametrize("numbers", [[2, 1], [1, 1], [1, 3, 2]])
def test_parts_must_be_listed_in_ascending_order(opened: TestLake, numbers: list[int]) -> None:
    upload = start(opened)
    parts = {number: part(opened, upload, number, b"x") for number in numbers}
    with pytest.raises(InvalidInput) as caught:
        complete(opened, upload, [parts[number] for number in numbers])
    assert caught.value.kind is Kind.PART_ORDER


def test_an_upload_is_completed_with_parts_it_has(opened: TestLake) -> None:
    upload = start(opened)
    for listed in ([], [(1, "0" * 32)]):
        with pytest.raises(InvalidInput) as caught:
            opened.lake.writer.submit(opened.lake.uploads.making_complete(upload, listed))
        assert caught.value.kind is Kind.PART_MISSING


def test_every_part_but_the_last_has_five_mebibytes(opened: TestLake) -> None:
    upload = start(opened)
    small = part(opened, upload, 1, b"x" * (BIG - 1))
    last = part(opened, upload, 2, b"")
    with pytest.raises(InvalidInput) as caught:
        complete(opened, upload, [small, last])
    assert caught.value.kind is Kind.PART_TOO_SMALL
    enough = part(opened, upload, 1, b"x" * BIG)
    assert complete(opened, upload, [enough, last]).entry.size_bytes == BIG


@pytest.mark.parametrize("number", [0, -1, limits.PARTS_MAX + 1])
def test_part_numbers_end_at_ten_thousand(opened: TestLake, number: int) -> None:
    upload = start(opened)
    with pytest.raises(InvalidInput) as caught:
        part(opened, upload, number, b"x")
    assert caught.value.kind is Kind.PART_NUMBER


def test_a_list_of_parts_ends_at_ten_thousand(opened: TestLake) -> None:
    upload = start(opened)
    last = part(opened, upload, limits.PARTS_MAX, b"x")
    complete(opened, upload, [last])
    check_order([(number, "") for number in range(1, limits.PARTS_MAX + 1)])
    with pytest.raises(LimitExceeded):
        check_order([(number, "") for number in range(1, limits.PARTS_MAX + 2)])


def test_an_object_of_ten_thousand_parts_is_completed_by_one_transaction(opened: TestLake) -> None:
    upload = start(opened)
    big = part(opened, upload, 1, b"y" * BIG)
    # Records of parts that all have the bytes of the first: 50 GiB are too many for a test.
    template = opened.kv.read([keyspace.upload_part(upload.id, 1)]).values[0]
    assert template is not None
    for first in range(1, limits.PARTS_MAX, 2_500):
        numbers = range(first, first + 2_500)
        writes = [put(keyspace.upload_part(upload.id, one), template.value) for one in numbers]
        opened.kv.apply([Request((), writes)])
    listed = [(number, big.etag) for number in range(1, limits.PARTS_MAX + 1)]
    stat = opened.lake.writer.submit(opened.lake.uploads.making_complete(upload, listed))
    assert stat.entry.size_bytes == BIG * limits.PARTS_MAX
    assert stat.entry.checksum == multipart_etag([big.etag] * limits.PARTS_MAX)
    assert len(opened.blocks.get(stat.physical_address).extents) == limits.PARTS_MAX


def test_the_same_complete_gets_the_same_answer_for_a_day(opened: TestLake) -> None:
    upload = start(opened)
    one, two = part(opened, upload, 1, b"a" * BIG), part(opened, upload, 2, b"b")
    answer = complete(opened, upload, [one, two])
    opened.put("big", b"later")
    assert complete(opened, upload, [one, two]) == answer
    assert opened.find("big") == b"later"
    with pytest.raises(NotFound) as caught:
        complete(opened, upload, [one])
    assert caught.value.kind is Kind.UPLOAD_NOT_FOUND
    opened.clock.advance(limits.COMPLETED_UPLOAD_KEEP_S - 60)
    now_us = opened.clock.now_ns() // 1_000
    assert opened.lake.uploads.sweep_completed(now_us=now_us) == 0
    assert complete(opened, upload, [one, two]) == answer
    opened.clock.advance(120)
    now_us = opened.clock.now_ns() // 1_000
    assert opened.lake.uploads.sweep_completed(now_us=now_us) == 1
    with pytest.raises(NotFound):
        complete(opened, upload, [one, two])


def test_of_two_completes_at_once_both_get_the_same_answer(opened: TestLake) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        upload = start(opened)
        only = part(opened, upload, 1, b"x")
        answers: list[Stat] = []
        hooks(other).before_apply(
            keyspace.upload(upload.id), lambda: answers.append(complete(opened, upload, [only]))
        )
        assert complete(other, upload, [only]) == answers[0]


def test_an_aborted_upload_is_over(opened: TestLake) -> None:
    upload = start(opened)
    only = part(opened, upload, 1, b"x")
    opened.lake.uploads.abort(upload)
    for ask in (
        lambda: opened.lake.uploads.get(upload.id),
        lambda: part(opened, upload, 2, b"y"),
        lambda: complete(opened, upload, [only]),
        lambda: opened.lake.uploads.abort(upload),
    ):
        with pytest.raises(NotFound) as caught:
            ask()
        assert caught.value.kind is Kind.UPLOAD_NOT_FOUND
    assert opened.lake.uploads.list(REPOSITORY, amount=5).items == ()


def test_a_completed_upload_cannot_be_aborted(opened: TestLake) -> None:
    upload = start(opened)
    complete(opened, upload, [part(opened, upload, 1, b"x")])
    with pytest.raises(NotFound):
        opened.lake.uploads.abort(upload)
    assert opened.find("big") == b"x"


def test_parts_of_uploads_that_are_over_are_swept_in_portions(opened: TestLake) -> None:
    completed, aborted, still_open = start(opened), start(opened), start(opened)
    for upload in (completed, aborted, still_open):
        parts = [part(opened, upload, number, b"x") for number in (1, 2, 3)]
    complete(opened, completed, [part(opened, completed, 9, b"y")])
    opened.lake.uploads.abort(aborted)
    rounds = 0
    while opened.lake.uploads.sweep_discarded(amount=2):
        rounds += 1
    assert rounds > 1

    def count(upload: Upload) -> int:
        scan = scan_prefix(keyspace.upload_parts(upload.id), limit=9)
        return len(opened.kv.read((), [scan]).scans[0])

    assert [count(upload) for upload in (completed, aborted, still_open)] == [0, 0, 3]
    complete(opened, still_open, parts[:1])


def test_a_complete_judges_preconditions_against_what_is_there(opened: TestLake) -> None:
    absent = Precondition(if_none_match=("*",))
    first = start(opened)
    complete(opened, first, [part(opened, first, 1, b"1")], absent)
    second = start(opened)
    only = part(opened, second, 1, b"2")
    with pytest.raises(PreconditionFailed):
        complete(opened, second, [only], absent)
    complete(opened, second, [only], Precondition(if_match=("*",)))
    assert opened.find("big") == b"2"


def test_a_complete_with_a_precondition_loses_against_a_put_between(opened: TestLake) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        upload = start(opened)
        only = part(opened, upload, 1, b"2")
        hooks(other).before_apply(keyspace.upload(upload.id), lambda: opened.put("big", b"1"))
        with pytest.raises(PreconditionFailed):
            complete(other, upload, [only], Precondition(if_none_match=("*",)))
        assert opened.find("big") == b"1"


def test_an_upload_completed_after_its_branch_was_made_again_goes_to_the_new_one(
    opened: TestLake,
) -> None:
    opened.branch("dev")
    upload = start(opened, branch="dev")
    only = part(opened, upload, 1, b"x")
    opened.lake.branches.delete(REPOSITORY, BranchId("dev"))
    with pytest.raises(NotFound) as caught:
        complete(opened, upload, [only])
    assert caught.value.kind is Kind.BRANCH_NOT_FOUND
    opened.branch("dev")
    complete(opened, upload, [only])
    assert opened.find("big", ref="dev") == b"x"


def test_an_upload_whose_branch_is_made_again_while_it_is_completed_goes_to_the_new_one(
    opened: TestLake,
) -> None:
    opened.branch("dev")
    with open_beside(opened, wrap=HookedKV) as other:
        upload = start(opened, branch="dev")
        only = part(opened, upload, 1, b"x")

        def make_again() -> None:
            opened.lake.branches.delete(REPOSITORY, BranchId("dev"))
            opened.branch("dev")

        hooks(other).before_apply(keyspace.upload(upload.id), make_again)
        complete(other, upload, [only])
        assert opened.find("big", ref="dev") == b"x"


def test_a_complete_across_a_commit_is_not_lost(opened: TestLake) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        opened.put("a")
        upload = start(opened)
        only = part(opened, upload, 1, b"x")
        hooks(other).before_apply(keyspace.upload(upload.id), opened.commit)
        complete(other, upload, [only])
        assert opened.find("big") == b"x"


def test_an_upload_does_not_reach_a_repository_made_again(opened: TestLake) -> None:
    upload = start(opened)
    only = part(opened, upload, 1, b"x")
    opened.lake.repositories.delete(REPOSITORY)
    opened.lake.repositories.create(REPOSITORY, Namespace("s3://data/again"), committer="tests")
    with pytest.raises(NotFound):
        complete(opened, upload, [only])
    assert opened.paths() == []


def test_open_uploads_are_listed_by_path_then_id(opened: TestLake) -> None:
    opened.branch("dev")
    paths = ["b", "a/1", "a", "a/2", "a/1"]
    made = [start(opened, path) for path in paths] + [start(opened, "a", branch="dev")]
    on_main = sorted(made[:5], key=lambda one: (one.path.encode(), one.id))
    uploads = opened.lake.uploads
    whole = uploads.list(REPOSITORY, MAIN, amount=9)
    assert [one.id for one in whole.items] == [one.id for one in on_main]
    assert whole.next_after is None
    found: list[UploadId] = []
    path_after = upload_after = ""
    while True:
        page = uploads.list(
            REPOSITORY, MAIN, path_after=path_after, upload_after=upload_after, amount=2
        )
        found += [one.id for one in page.items]
        if page.next_after is None:
            break
        path_after, upload_after = page.items[-1].path, page.items[-1].id
    assert found == [one.id for one in on_main]
    below = uploads.list(REPOSITORY, MAIN, prefix="a/", amount=9).items
    assert [one.path for one in below] == ["a/1", "a/1", "a/2"]
    skipped = uploads.list(REPOSITORY, MAIN, path_after="a/1", amount=9).items
    assert [one.path for one in skipped] == ["a/2", "b"]
    keys = [one.key for one in uploads.list(REPOSITORY, amount=9).items]
    assert keys == ["dev/a", "main/a", "main/a/1", "main/a/1", "main/a/2", "main/b"]
    assert uploads.list(REPOSITORY, prefix="dev/", amount=9).items[0].branch == "dev"
    assert uploads.list(REPOSITORY, amount=0).items == ()


def test_parts_are_listed_by_number(opened: TestLake) -> None:
    upload = start(opened)
    for number in (10, 2, 9_999, limits.PARTS_MAX, 1):
        part(opened, upload, number, b"%d" % number)
    uploads = opened.lake.uploads
    first, after = uploads.list_parts(upload, amount=3)
    assert ([one.number for one in first], after) == ([1, 2, 10], 10)
    rest, after = uploads.list_parts(upload, after=10, amount=3)
    assert ([one.number for one in rest], after) == ([9_999, limits.PARTS_MAX], None)
    assert uploads.list_parts(upload, after=limits.PARTS_MAX, amount=3) == ((), None)
    assert first[2].size_bytes == 2
    assert uploads.list_parts(upload, amount=0) == ((), None)


def test_a_part_whose_place_was_lost_is_written_again(opened: TestLake) -> None:
    upload = start(opened)
    body = opened.lake.uploads.body(upload)
    body.write(b"small")
    make = opened.lake.uploads.making_part(upload, 1, body)
    blocks = opened.blocks
    make()
    blocks.lose_windows()  # type: ignore[attr-defined]  # the memory store's
    only = opened.lake.writer.submit(make)
    complete(opened, upload, [only])
    assert opened.find("big") == b"small"


# The raw store


def raw(opened: TestLake, key: str = "folder/key") -> Upload:
    return opened.lake.uploads.create_raw(
        f"s3://bucket/{key}", content_type="text/csv", metadata=(("a", "b"),)
    )


def test_a_raw_upload_becomes_an_object_of_its_bucket(opened: TestLake) -> None:
    upload = raw(opened)
    parts = [part(opened, upload, 1, b"a" * BIG), part(opened, upload, 2, b"b")]
    complete(opened, upload, parts)
    block = opened.blocks.get("s3://bucket/folder/key")
    assert (block.content_type, block.metadata) == ("text/csv", (("a", "b"),))
    assert block.etag == multipart_etag([one.etag for one in parts])
    assert opened.blocks.read(block, BIG - 1, 2) == b"ab"
    complete(opened, upload, parts)


def test_raw_uploads_are_listed_by_bucket(opened: TestLake) -> None:
    made = [raw(opened, "b"), raw(opened, "a")]
    listed = opened.lake.uploads.list_raw("bucket", amount=9).items
    assert [one.id for one in listed] == [made[1].id, made[0].id]
    assert opened.lake.uploads.list_raw("other", amount=9).items == ()
    assert opened.lake.uploads.list(REPOSITORY, amount=9).items == ()


def test_a_raw_upload_judges_preconditions(opened: TestLake) -> None:
    upload = raw(opened)
    complete(opened, upload, [part(opened, upload, 1, b"1")], Precondition(if_none_match=("*",)))
    again = raw(opened)
    only = part(opened, again, 1, b"2")
    with pytest.raises(PreconditionFailed):
        complete(opened, again, [only], Precondition(if_none_match=("*",)))
    etag = opened.blocks.get("s3://bucket/folder/key").etag
    complete(opened, again, [only], Precondition(if_match=(etag,)))


def test_a_raw_upload_does_not_reach_a_repositorys_data(opened: TestLake) -> None:
    address = opened.put("a", b"1").physical_address
    for key in (address.removeprefix("s3://data/"), "animals/dummy", "animals/_lakefs/x"):
        with pytest.raises(Forbidden) as caught:
            opened.lake.uploads.create_raw(f"s3://data/{key}", content_type="")
        assert caught.value.kind is Kind.PROTECTED_BLOCK
    opened.lake.uploads.create_raw("s3://data/animals/notes.txt", content_type="")


def test_a_raw_upload_is_refused_when_a_repository_claimed_its_place_meanwhile(
    opened: TestLake,
) -> None:
    with open_beside(opened, wrap=HookedKV) as other:
        upload = opened.lake.uploads.create_raw("s3://new/place/dummy", content_type="")
        only = part(opened, upload, 1, b"x")

        def claim() -> None:
            opened.lake.repositories.create(
                RepositoryId("later"), Namespace("s3://new/place"), committer="tests"
            )

        hooks(other).before_apply(keyspace.upload(upload.id), claim)
        with pytest.raises(Forbidden):
            complete(other, upload, [only])
        assert opened.blocks.get("s3://new/place/dummy").size_bytes == 70


@pytest.mark.parametrize("amount", [1, 2, 3, 4, 100])
def test_extents_of_all_parts_are_gone_through_in_portions(opened: TestLake, amount: int) -> None:
    uploads = [start(opened, name) for name in ("a", "b")]
    parts = [part(opened, upload, number, b"x") for upload in uploads for number in (1, 10_000)]
    found: list[Extent] = []
    after: bytes | None = b""
    while after is not None:
        extents, after = opened.lake.uploads.extents_after(after, amount=amount)
        found += extents
    expected = [extent for one in parts for extent in one.extents]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
