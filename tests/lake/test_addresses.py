"""Issued addresses, links, and which raw keys are a repository's."""

from collections.abc import Iterator

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Forbidden, InvalidInput, Kind, NotFound
from anabranch.kernel.ids import Namespace, Path, RepositoryId
from anabranch.kernel.preconditions import Precondition
from anabranch.lake.values import Stat
from anabranch.storage.kv.base import Prepared
from tests.support.hooks import HookedKV, hooks
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake

ETAG = "900150983cd24fb0d6963f7d28e17f72"  # MD5 of abc


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def issue(opened: TestLake, path: str = "a") -> str:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    return opened.lake.writer.submit(opened.lake.addresses.making_issue(target, Path(path)))


def raw_put(opened: TestLake, address: str, data: bytes = b"abc") -> None:
    """Put an object as the raw store does."""
    body = opened.lake.bodies.open_at(address)
    body.write(data)

    def make() -> Prepared[None]:
        conditions = opened.lake.addresses.raw_conditions(address)
        placed = body.place()
        return Prepared(conditions, placed.writes, lambda _verdict: None, placed.windows)

    opened.lake.writer.submit(make)


def link(
    opened: TestLake,
    address: str,
    path: str = "a",
    *,
    checksum: str = ETAG,
    size_bytes: int = 3,
    precondition: Precondition | None = None,
) -> Stat:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    make = opened.lake.addresses.making_link(
        target,
        Path(path),
        address,
        checksum=checksum,
        size_bytes=size_bytes,
        content_type="text/plain",
        metadata=(("k", "v"),),
        precondition=precondition,
    )
    return opened.lake.writer.submit(make)


def test_bytes_put_at_an_issued_address_are_linked_to_its_path(opened: TestLake) -> None:
    address = issue(opened)
    assert address.startswith("s3://data/animals/")
    raw_put(opened, address)
    assert opened.find("a") is None
    stat = link(opened, address)
    assert (stat.physical_address, stat.entry.checksum) == (address, ETAG)
    assert opened.find("a") == b"abc"
    opened.commit()
    assert opened.find("a") == b"abc"


def test_a_quoted_checksum_is_the_same(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    link(opened, address, checksum=f'"{ETAG}"')


def test_an_address_is_linked_once(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    link(opened, address)
    with pytest.raises(Conflict) as caught:
        link(opened, address)
    assert caught.value.kind is Kind.ADDRESS_USED


def test_of_two_links_of_one_address_at_once_one_is_refused(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    with open_beside(opened, wrap=HookedKV) as other:
        hooks(other).before_apply(b"issued/", lambda: link(opened, address))
        with pytest.raises(Conflict):
            link(other, address)


def test_an_address_is_linked_only_to_the_path_it_was_issued_for(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    with pytest.raises(NotFound) as caught:
        link(opened, address, "b")
    assert caught.value.kind is Kind.ADDRESS_NOT_FOUND


def test_an_address_expires(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    opened.clock.advance(limits.ISSUED_ADDRESS_S - 60)
    other = issue(opened, "other")
    opened.clock.advance(120)
    with pytest.raises(NotFound):
        link(opened, address)
    now_us = opened.clock.now_ns() // 1_000
    assert opened.lake.addresses.sweep_issued(now_us=now_us) is None
    with pytest.raises(NotFound):
        link(opened, address)
    raw_put(opened, other)
    link(opened, other, "other")


def test_a_live_address_that_was_not_issued_is_not_linked(opened: TestLake) -> None:
    address = opened.put("a", b"abc").physical_address
    with pytest.raises(NotFound) as caught:
        link(opened, address, "b")
    assert caught.value.kind is Kind.ADDRESS_NOT_FOUND


def test_what_was_never_written_is_not_linked(opened: TestLake) -> None:
    with pytest.raises(NotFound) as caught:
        link(opened, issue(opened))
    assert caught.value.kind is Kind.BLOCK_NOT_FOUND


@pytest.mark.parametrize("checksum, size_bytes", [(ETAG, 4), ("0" * 32, 3)])
def test_a_link_says_what_is_there(opened: TestLake, checksum: str, size_bytes: int) -> None:
    address = issue(opened)
    raw_put(opened, address)
    with pytest.raises(InvalidInput):
        link(opened, address, checksum=checksum, size_bytes=size_bytes)
    link(opened, address)


def test_a_link_across_a_commit_is_not_lost(opened: TestLake) -> None:
    opened.put("other")
    address = issue(opened)
    raw_put(opened, address)
    with open_beside(opened, wrap=HookedKV) as other:
        other.put("warm")
        hooks(other).before_apply(b"issued/", opened.commit)
        link(other, address)
        assert opened.find("a") == b"abc"


def test_a_put_to_an_issued_address_succeeds_once(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    with pytest.raises(Forbidden) as caught:
        raw_put(opened, address, b"other")
    assert caught.value.kind is Kind.PROTECTED_BLOCK
    link(opened, address)
    with pytest.raises(Forbidden):
        raw_put(opened, address, b"other")
    assert opened.find("a") == b"abc"


def test_of_two_puts_to_an_issued_address_at_once_one_is_refused(opened: TestLake) -> None:
    address = issue(opened)
    with open_beside(opened, wrap=HookedKV) as other:
        hooks(other).before_apply(b"blocks/", lambda: raw_put(opened, address))
        with pytest.raises(Forbidden):
            raw_put(other, address, b"xyz")
        link(opened, address)
        assert opened.find("a") == b"abc"


def test_an_address_that_expired_takes_no_put(opened: TestLake) -> None:
    address = issue(opened)
    opened.clock.advance(limits.ISSUED_ADDRESS_S + 60)
    with pytest.raises(Forbidden):
        raw_put(opened, address)


def test_raw_keys_of_a_repositorys_data_are_refused(opened: TestLake) -> None:
    address = opened.put("a", b"1").physical_address
    opened.commit()
    committed = [
        block.address
        for block in opened.blocks.list("data", prefix="animals/_lakefs/", after="", amount=9).items
    ]
    assert committed
    for one in (address, "s3://data/animals/dummy", *committed, "local://data/animals/dummy"):
        with pytest.raises(Forbidden):
            raw_put(opened, one)
    assert opened.find("a") == b"1"


@pytest.mark.parametrize(
    "address", ["s3://data/animals/notes.txt", "s3://data/animalsdummy", "s3://other/dummy"]
)
def test_other_raw_keys_are_free(opened: TestLake, address: str) -> None:
    raw_put(opened, address, b"1")
    raw_put(opened, address, b"2")


def test_keys_of_a_deleted_repository_are_free(opened: TestLake) -> None:
    address = opened.put("a", b"1").physical_address
    opened.lake.repositories.delete(REPOSITORY)
    raw_put(opened, address)


def test_a_raw_put_is_refused_when_a_repository_claims_its_place_meanwhile(
    opened: TestLake,
) -> None:
    with open_beside(opened, wrap=HookedKV) as other:

        def claim() -> None:
            opened.lake.repositories.create(
                RepositoryId("later"), Namespace("s3://new/x"), committer="tests"
            )

        hooks(other).before_apply(b"blocks/", claim)
        with pytest.raises(Forbidden):
            raw_put(other, "s3://new/x/dummy")


def test_a_repository_made_again_does_not_link_addresses_of_the_old(opened: TestLake) -> None:
    address = issue(opened)
    raw_put(opened, address)
    opened.lake.repositories.delete(REPOSITORY)
    opened.lake.repositories.create(REPOSITORY, Namespace("s3://data/again"), committer="tests")
    with pytest.raises(NotFound):
        link(opened, address)


def test_no_address_is_issued_for_a_repository_that_was_replaced(opened: TestLake) -> None:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    opened.lake.repositories.delete(REPOSITORY)
    with pytest.raises(NotFound):
        opened.lake.writer.submit(opened.lake.addresses.making_issue(target, Path("a")))
    opened.lake.repositories.create(REPOSITORY, Namespace("s3://data/again"), committer="tests")
    with pytest.raises(NotFound):
        opened.lake.writer.submit(opened.lake.addresses.making_issue(target, Path("a")))
