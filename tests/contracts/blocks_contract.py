"""What every block store must do: an adapter is one subclass with one fixture, `store`."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, InvalidInput, Kind, NotFound
from anabranch.storage.blocks.base import Block, BlockStore, Extent, Placed
from anabranch.storage.kv.base import KVStore, Request, Write, delete
from tests.contracts.kv_contract import run_threads


class Store(NamedTuple):
    """A block store and the KV store that holds its index."""

    kv: KVStore
    blocks: BlockStore

    def publish(self, *placed: Placed) -> None:
        """Do what the writer does: bytes first, then one transaction."""
        self.blocks.flush([window for one in placed for window in one.windows])
        assert not any(one.is_lost for one in placed)
        writes = [write for one in placed for write in one.writes]
        (verdict,) = self.kv.apply((Request((), writes),))
        assert verdict.is_accepted

    def put(self, address: str, data: bytes = b"x", *, etag: str = "e") -> Block:
        """Make an object and return it as the store has it."""
        self.publish(self.blocks.put(address, data, etag=etag))
        return self.blocks.get(address)

    def write(self, writes: Sequence[Write]) -> None:
        """Apply writes."""
        self.kv.apply((Request((), writes),))


def content(size_bytes: int) -> bytes:
    """Return bytes that differ at each place."""
    return random.Random(size_bytes).randbytes(size_bytes)


SIZES = [
    1,
    4_096,
    limits.SMALL_OBJECT_BYTES_MAX - 1,
    limits.SMALL_OBJECT_BYTES_MAX,
    limits.SMALL_OBJECT_BYTES_MAX + 1,
    limits.WINDOW_BYTES + 1,
]


class BlocksContract:
    """docs/protocol.md 3.1 to 3.3, as far as they are the store's."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    # Existence

    @pytest.mark.parametrize("size_bytes", [0, *SIZES])
    def test_an_object_is_read_as_it_was_put(self, store: Store, size_bytes: int) -> None:
        data = content(size_bytes)
        placed = store.blocks.put(
            "s3://bucket/a/b",
            data,
            etag="0123",
            content_type="text/plain",
            metadata=(("name", "Wert ü"), ("b", "")),
        )
        store.publish(placed)
        block = store.blocks.get("s3://bucket/a/b")
        assert (block.size_bytes, block.etag, block.content_type) == (
            size_bytes,
            "0123",
            "text/plain",
        )
        assert block.metadata == (("name", "Wert ü"), ("b", ""))
        assert block.created_us > 0
        assert block.version > 0
        assert store.blocks.read(block, 0, size_bytes) == data

    def test_an_object_without_an_index_row_does_not_exist(self, store: Store) -> None:
        placed = store.blocks.put("s3://bucket/a", b"data", etag="e")
        store.blocks.flush(placed.windows)
        assert store.blocks.find("s3://bucket/a") is None
        with pytest.raises(NotFound) as raised:
            store.blocks.get("s3://bucket/a")
        assert raised.value.kind is Kind.BLOCK_NOT_FOUND
        assert store.blocks.list("bucket", prefix="", after="", amount=10).items == ()
        store.publish(placed)
        assert store.blocks.get("s3://bucket/a").size_bytes == 4

    def test_a_small_object_takes_a_window_and_a_large_one_none(self, store: Store) -> None:
        small = store.blocks.put("s3://b/small", bytes(limits.SMALL_OBJECT_BYTES_MAX), etag="e")
        large = store.blocks.put("s3://b/large", bytes(limits.SMALL_OBJECT_BYTES_MAX + 1), etag="e")
        own = store.blocks.put("s3://b/own", b"x", etag="e", own_file=True)
        if store.blocks.is_local:
            assert len(small.windows) == 1
        assert (large.windows, own.windows) == ((), ())
        assert own.extents[0].offset == 0
        store.publish(small, large, own)
        for name, size in (("small", limits.SMALL_OBJECT_BYTES_MAX), ("own", 1)):
            assert store.blocks.get(f"s3://b/{name}").size_bytes == size

    def test_the_scheme_does_not_take_part(self, store: Store) -> None:
        store.put("local://bucket/a", b"1")
        found = store.blocks.get("s3://bucket/a")
        assert found.address == "s3://bucket/a"
        listed = store.blocks.list("bucket", prefix="", after="", amount=1)
        assert [block.address for block in listed.items] == ["local://bucket/a"]

    @pytest.mark.parametrize(
        "key",
        ["../../etc/passwd", "a//b", "/a", "a/", "..", "ü/€", "a\nb", "a b?c#d%41", "x" * 1_024],
    )
    def test_any_text_is_a_key_and_none_is_a_path(self, store: Store, key: str) -> None:
        store.put(f"s3://bucket/{key}", b"data")
        block = store.blocks.get(f"s3://bucket/{key}")
        assert store.blocks.read(block, 0, 4) == b"data"
        page = store.blocks.list("bucket", prefix="", after="", amount=10)
        assert [item.address for item in page.items] == [f"s3://bucket/{key}"]
        assert store.blocks.local_path(block).read_bytes() == b"data"

    @pytest.mark.parametrize("address", ["", "s3://", "s3://bucket", "s3://bucket/", "/a/b"])
    def test_what_is_no_address_is_refused(self, store: Store, address: str) -> None:
        with pytest.raises(InvalidInput):
            store.blocks.put(address, b"data", etag="e")

    def test_a_second_put_replaces_the_object_and_the_old_one_stays_readable(
        self, store: Store
    ) -> None:
        old = store.put("s3://bucket/a", b"old")
        new = store.put("s3://bucket/a", b"newer")
        assert store.blocks.read(new, 0, 5) == b"newer"
        assert store.blocks.read(old, 0, 3) == b"old"

    def test_the_buffer_may_be_used_again_after_put(self, store: Store) -> None:
        buffer = bytearray(b"kept")
        placed = store.blocks.put("s3://bucket/a", memoryview(buffer), etag="e")
        buffer[:] = b"gone"
        store.publish(placed)
        assert store.blocks.read(store.blocks.get("s3://bucket/a"), 0, 4) == b"kept"

    # Reading

    @pytest.mark.parametrize("size_bytes", SIZES)
    def test_any_part_of_an_object_can_be_read(self, store: Store, size_bytes: int) -> None:
        data = content(size_bytes)
        block = store.put("s3://bucket/a", data)
        middle = size_bytes // 2
        for low, high in ((0, 0), (0, 1), (middle, size_bytes), (size_bytes, size_bytes)):
            assert store.blocks.read(block, low, high - low) == data[low:high]
            now = store.blocks.read_now(block, low, high - low)
            assert now is None or now == data[low:high]

    @pytest.mark.parametrize("part", [(0, 5), (4, 1), (5, 1), (9, 9), (-1, 2)])
    def test_bytes_that_are_not_there_are_an_error(
        self, store: Store, part: tuple[int, int]
    ) -> None:
        block = store.put("s3://bucket/a", b"four")
        with pytest.raises(Corrupted) as raised:
            store.blocks.read(block, *part)
        assert raised.value.kind is Kind.BLOCK_DAMAGED

    def test_a_file_that_is_gone_is_an_error(self, store: Store) -> None:
        block = store.put("s3://bucket/a", b"four")
        file = block.extents[0].file
        gone = Extent(file[:-32] + "0" * 32, 0, 4)
        lost = Block(block.address, 4, "e", 0, (gone,))
        with pytest.raises(Corrupted) as raised:
            store.blocks.read(lost, 0, 4)
        assert raised.value.kind is Kind.BLOCK_DAMAGED

    # Writers

    @pytest.mark.parametrize("size_bytes", [0, 1, limits.WINDOW_BYTES, 9 * limits.MIB + 1])
    def test_an_object_of_unknown_size_is_written_in_windows(
        self, store: Store, size_bytes: int
    ) -> None:
        data = content(size_bytes)
        writer = store.blocks.open_writer("s3://bucket/a")
        for start in range(0, size_bytes, limits.WINDOW_BYTES):
            writer.write(memoryview(data)[start : start + limits.WINDOW_BYTES])
        placed = writer.finish("e", content_type="text/plain", metadata=(("a", "b"),))
        writer.abort()
        store.publish(placed)
        block = store.blocks.get("s3://bucket/a")
        assert (block.size_bytes, block.content_type, block.metadata) == (
            size_bytes,
            "text/plain",
            (("a", "b"),),
        )
        assert store.blocks.read(block, 0, size_bytes) == data

    def test_an_aborted_writer_leaves_nothing(self, store: Store) -> None:
        writer = store.blocks.open_writer("s3://bucket/a")
        writer.write(b"data")
        writer.abort()
        writer.abort()
        assert store.blocks.find("s3://bucket/a") is None

    def test_writers_do_not_disturb_one_another(self, store: Store) -> None:
        def write(number: int) -> None:
            writer = store.blocks.open_writer(f"s3://bucket/{number}")
            for _ in range(20):
                writer.write(b"%d" % number * 1_000)
            store.publish(writer.finish("e"))

        run_threads([lambda number=number: write(number) for number in range(4)])
        for number in range(4):
            block = store.blocks.get(f"s3://bucket/{number}")
            assert store.blocks.read(block, 0, block.size_bytes) == b"%d" % number * 20_000

    # Join

    def test_parts_become_one_object(self, store: Store) -> None:
        parts = [content(size) for size in (100_000, 5, 70_000, 1)]
        placed = [
            store.blocks.put(f"s3://bucket/part{at}", data, etag="e")
            for at, data in enumerate(parts)
        ]
        for one in placed:
            store.blocks.flush(one.windows)
        joined = store.blocks.join(
            "s3://bucket/whole",
            [extent for one in placed for extent in one.extents],
            etag="e-4",
            content_type="text/plain",
        )
        assert joined.windows == ()
        store.publish(joined)
        data = b"".join(parts)
        block = store.blocks.get("s3://bucket/whole")
        assert (block.size_bytes, block.etag, len(block.extents)) == (len(data), "e-4", 4)
        for low, high in ((0, len(data)), (99_999, 100_006), (170_000, len(data)), (3, 4)):
            assert store.blocks.read(block, low, high - low) == data[low:high]
            now = store.blocks.read_now(block, low, high - low)
            assert now is None or now == data[low:high]
        assert store.blocks.local_path(block).read_bytes() == data
        page = store.blocks.list("bucket", prefix="", after="", amount=10)
        assert [item.address for item in page.items] == ["s3://bucket/whole"]

    def test_the_row_of_an_object_of_the_most_parts_fits_one_value(self, store: Store) -> None:
        extents = [
            Extent(f"{number:032x}", 0, 5 * limits.GIB) for number in range(limits.PARTS_MAX)
        ]
        placed = store.blocks.join("s3://bucket/a", extents, etag="e-10000")
        assert sum(len(write.value or b"") for write in placed.writes) < limits.KV_VALUE_BYTES_MAX
        store.publish(placed)
        assert store.blocks.get("s3://bucket/a").extents == tuple(extents)

    # Listing

    def test_a_listing_is_in_byte_order_of_keys(self, store: Store) -> None:
        keys = ["b", "a", "a/b", "a-b", "a!", "ü", "\U0001f30a", "\uffff", "Z", "a//", "aa"]
        for key in keys:
            store.put(f"s3://bucket/{key}")
        store.put("s3://bucket.more/x")
        store.put("s3://bucke/x")
        page = store.blocks.list("bucket", prefix="", after="", amount=100)
        found = [block.address.removeprefix("s3://bucket/") for block in page.items]
        assert found == sorted(keys, key=lambda key: key.encode())
        assert page.next_after is None

    def test_pages_follow_one_another_without_gap_or_repeat(self, store: Store) -> None:
        keys = [f"p/{number:02}" for number in range(7)]
        for key in ["o", *keys, "q"]:
            store.put(f"s3://bucket/{key}")
        found: list[str] = []
        after = ""
        for _ in range(4):
            page = store.blocks.list("bucket", prefix="p/", after=after, amount=2)
            found += [block.address.removeprefix("s3://bucket/") for block in page.items]
            if page.next_after is None:
                break
            assert page.items
            after = page.next_after
        assert found == keys

    def test_the_last_full_page_says_that_nothing_follows(self, store: Store) -> None:
        for key in "abcd":
            store.put(f"s3://bucket/{key}")
        page = store.blocks.list("bucket", prefix="", after="b", amount=2)
        assert len(page.items) == 2
        assert page.next_after is None
        assert store.blocks.list("bucket", prefix="", after="", amount=0).items == ()

    def test_after_may_be_any_text(self, store: Store) -> None:
        store.put("s3://bucket/m/1")
        for after, count in (("", 1), ("a", 1), ("m/1", 0), ("m/", 1), ("z", 0), ("m/0", 1)):
            page = store.blocks.list("bucket", prefix="m", after=after, amount=5)
            assert len(page.items) == count, after

    # Removal

    def test_a_removed_object_does_not_exist_and_can_be_made_again(self, store: Store) -> None:
        block = store.put("s3://bucket/a", b"1")
        conditions, writes = store.blocks.removal(block)
        assert store.kv.apply((Request(conditions, writes),))[0].is_accepted
        assert store.blocks.find("s3://bucket/a") is None
        assert not store.kv.apply((Request(conditions, writes),))[0].is_accepted
        assert store.put("s3://bucket/a", b"2").version > block.version

    def test_a_removal_spares_an_object_put_meanwhile(self, store: Store) -> None:
        old = store.put("s3://bucket/a", b"old")
        store.put("s3://bucket/a", b"new")
        conditions, writes = store.blocks.removal(old)
        assert not store.kv.apply((Request(conditions, writes),))[0].is_accepted
        block = store.blocks.get("s3://bucket/a")
        assert store.blocks.read(block, 0, 3) == b"new"

    # Paths

    @pytest.mark.parametrize("size_bytes", [0, *SIZES])
    def test_a_local_path_holds_exactly_the_bytes(self, store: Store, size_bytes: int) -> None:
        store.put("s3://bucket/neighbour", content(777))
        data = content(size_bytes)
        block = store.put("s3://bucket/a", data)
        path = store.blocks.local_path(block)
        assert path.read_bytes() == data
        assert store.blocks.local_path(block) == path

    # Buckets

    def test_buckets_are_made_once_and_listed_in_order(self, store: Store) -> None:
        for name in ("one", "two", "a-b", "one"):
            conditions, writes = store.blocks.bucket_creation(name)
            assert store.kv.apply((Request(conditions, writes),))[0].is_accepted
        assert store.blocks.buckets() == ["a-b", "one", "two"]
        assert store.blocks.has_bucket("one")
        assert not store.blocks.has_bucket("three")

    def test_of_two_creations_of_one_bucket_one_is_told(self, store: Store) -> None:
        both = [store.blocks.bucket_creation("one") for _ in range(2)]
        verdicts = store.kv.apply([Request(*creation) for creation in both])
        assert [verdict.is_accepted for verdict in verdicts] == [True, False]

    def test_objects_do_not_make_buckets(self, store: Store) -> None:
        store.put("s3://bucket/a")
        assert store.blocks.buckets() == []
        assert not store.blocks.has_bucket("bucket")

    def test_a_damaged_index_row_is_an_error(self, store: Store) -> None:
        placed = store.blocks.put("s3://bucket/a", b"data", etag="e")
        (row,) = placed.writes
        assert row.value is not None
        for damage in (b"", b"\x00", row.value[:-1], b"\xc1" + row.value):
            store.write((Write(row.key, damage),))
            with pytest.raises(Corrupted):
                store.blocks.find("s3://bucket/a")
        store.write((delete(row.key),))
        assert store.blocks.find("s3://bucket/a") is None
