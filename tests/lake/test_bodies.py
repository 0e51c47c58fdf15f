"""Bodies: what is received once may be placed several times."""

import hashlib

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, LimitExceeded, Unavailable
from anabranch.lake.bodies import Bodies, Body
from anabranch.storage.blocks.base import BlockWriter, Extent, Placed
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.base import Request
from anabranch.storage.kv.memory import MemoryKV
from tests.support.fakes import FakeClock, FakeIds

ADDRESS = "s3://data/place"


class Store:
    """A block store in memory and its index."""

    def __init__(self) -> None:
        self.kv = MemoryKV()
        self.blocks = MemoryBlocks(self.kv, FakeClock(), FakeIds())
        self.bodies = Bodies(self.blocks, FakeIds("addresses"))

    def publish(self, placed: Placed) -> bytes:
        self.blocks.flush(placed.windows)
        self.kv.apply([Request((), placed.writes)])
        block = self.blocks.get(placed.block.address)
        return self.blocks.read(block, 0, block.size_bytes) if block.size_bytes else b""


@pytest.fixture
def store() -> Store:
    return Store()


SMALL = limits.SMALL_OBJECT_BYTES_MAX


@pytest.mark.parametrize("size_bytes", [0, 1, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL])
def test_bytes_come_out_as_they_went_in_with_their_md5(store: Store, size_bytes: int) -> None:
    data = bytes(number % 251 for number in range(size_bytes))
    body = store.bodies.open_at(ADDRESS)
    for start in range(0, size_bytes, 10_000):
        body.write(memoryview(data)[start : start + 10_000])
    body.finish()
    assert body.is_small == (size_bytes <= SMALL)
    assert body.size_bytes == size_bytes
    assert body.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert store.publish(body.place()) == data


@pytest.mark.parametrize("size_bytes", [1, SMALL + 1])
def test_a_refused_request_keeps_its_place(store: Store, size_bytes: int) -> None:
    body = _body(store, size_bytes)
    assert body.place() is body.place()


def test_a_lost_place_is_reserved_anew(store: Store) -> None:
    body = _body(store, 5)
    first = body.place()
    store.blocks.lose_windows()
    assert first.is_lost
    second = body.place()
    assert not second.is_lost
    assert store.publish(second) == b"xxxxx"


@pytest.mark.parametrize("size_bytes", [1, SMALL + 1])
def test_a_raw_object_has_etag_type_and_metadata(store: Store, size_bytes: int) -> None:
    body = _body(store, size_bytes)
    body.finish()
    placed = body.place(etag="abc-1", content_type="text/csv", metadata=(("a", "b"),))
    store.publish(placed)
    block = store.blocks.get(ADDRESS)
    assert (block.etag, block.content_type, block.metadata) == ("abc-1", "text/csv", (("a", "b"),))
    assert block.size_bytes == size_bytes


def test_a_body_takes_as_many_bytes_as_one_request_may_send(store: Store) -> None:
    body = store.bodies.open_at(ADDRESS, size_bytes_max=10)
    body.write(b"0123456789")
    with pytest.raises(LimitExceeded) as caught:
        body.write(b"0")
    assert caught.value.kind is Kind.TOO_LARGE


def test_a_put_may_have_five_gibibytes(store: Store) -> None:
    assert limits.PUT_BYTES_MAX == 5 * 1024**3
    body = Body(store.blocks, ADDRESS)
    assert body._size_bytes_max == limits.PUT_BYTES_MAX


@pytest.mark.parametrize("size_bytes", [1, SMALL + 1])
def test_a_body_may_get_another_address(store: Store, size_bytes: int) -> None:
    body = _body(store, size_bytes)
    first = body.place()
    body.move_to("s3://other/place")
    second = body.place()
    assert (first.block.address, second.block.address) == (ADDRESS, "s3://other/place")
    assert store.publish(second) == b"x" * size_bytes
    assert store.blocks.find(ADDRESS) is None


def test_an_aborted_body_cannot_be_placed(store: Store) -> None:
    body = _body(store, 5)
    body.abort()
    body.abort()
    with pytest.raises(Unavailable):
        body.place()


class _FullDisk:
    """A writer whose disk is full at the end."""

    def write(self, data: bytes | memoryview) -> None: ...

    def finish(
        self, etag: str, *, content_type: str = "", metadata: tuple[tuple[str, str], ...] = ()
    ) -> Placed:
        raise Unavailable(Kind.STORE_FAILED, "disk full")

    def abort(self) -> None: ...


class _FullBlocks(MemoryBlocks):
    def open_writer(self, address: str) -> BlockWriter:  # type: ignore[override]  # a failing one
        return _FullDisk()


def test_bytes_that_were_not_written_never_get_a_place(store: Store) -> None:
    blocks = _FullBlocks(store.kv, FakeClock(), FakeIds())
    body = Body(blocks, ADDRESS)
    body.write(b"x" * (SMALL + 1))
    for _ in range(2):
        with pytest.raises(Unavailable):
            body.finish()
    with pytest.raises(Unavailable):
        body.place()


def test_a_write_that_failed_ends_the_body(store: Store) -> None:
    body = store.bodies.open_at(ADDRESS, size_bytes_max=3)
    body.write(b"abc")
    with pytest.raises(LimitExceeded):
        body.write(b"d")
    with pytest.raises(Unavailable):
        body.write(b"")
    with pytest.raises(Unavailable):
        body.place()


def test_extents_of_a_large_body_are_a_file_of_its_own(store: Store) -> None:
    placed = _body(store, SMALL + 1).place()
    assert not placed.windows
    assert placed.extents == (Extent(placed.extents[0].file, 0, SMALL + 1),)


def _body(store: Store, size_bytes: int) -> Body:
    body = store.bodies.open_at(ADDRESS)
    body.write(b"x" * size_bytes)
    return body
