"""Keys and rows of the block index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted, InvalidInput, Kind
from anabranch.storage.blocks import index
from anabranch.storage.blocks.base import Block, Extent
from anabranch.storage.kv.base import KVStore, Request, put
from anabranch.storage.kv.memory import MemoryKV

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
HEX = st.integers(0, (1 << 128) - 1).map(lambda number: f"{number:032x}")
FILES = st.one_of(HEX, HEX.map("s".__add__), HEX.map("f".__add__), HEX.map("x".__add__), TEXT)
SIZES = st.integers(0, limits.OBJECT_BYTES_MAX)
BLOCKS = st.builds(
    Block,
    address=TEXT.map(lambda key: f"s3://bucket/{key or 'k'}"),
    size_bytes=SIZES,
    etag=TEXT,
    created_us=st.integers(0, 1 << 60),
    extents=st.lists(st.builds(Extent, FILES, SIZES, SIZES), max_size=4).map(tuple),
    content_type=TEXT,
    metadata=st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple),
)


@given(BLOCKS, st.integers(1, 1 << 60))
def test_a_row_decodes_to_what_was_encoded(block: Block, version: int) -> None:
    name = block.address.removeprefix("s3://")
    decoded = index.decode_block(name, index.encode_block(block), version)
    assert decoded.version == version
    assert index.encode_block(decoded) == index.encode_block(block)
    assert (decoded.address, decoded.extents) == (block.address, block.extents)
    assert (decoded.etag, decoded.metadata) == (block.etag, block.metadata)


@given(BLOCKS, st.data())
def test_a_row_cut_short_is_an_error(block: Block, data: st.DataObject) -> None:
    row = index.encode_block(block)
    cut = data.draw(st.integers(0, len(row) - 1))
    with pytest.raises(Corrupted):
        index.decode_block("bucket/k", row[:cut], 1)


def test_the_bytes_of_a_row_stay_as_they_are() -> None:
    """A stored format changes only with a new version and a reader for this one."""
    block = Block(
        "s3://bucket/key",
        70_000,
        "0123",
        1_700_000_000_000_000,
        (Extent("s" + "0a" * 16, 5, 7), Extent("ff" * 16, 0, 69_993), Extent("remote", 1, 2)),
        "text/plain",
        (("a", "b"),),
    )
    row = index.encode_block(block)
    assert row.hex() == (
        "9801a27333ce00011170a430313233cf00060a24181e4000aa746578742f706c61696e9192a161a162"
        "9393c411730a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a050793c41168ffffffffffffffffffffffffffffff"
        "ff00ce0001116993c4077472656d6f74650102"
    )
    assert index.decode_block("bucket/key", row, 0) == block
    assert index.object_key("local://bucket/a/b") == b"blocks/object/bucket/a/b"
    assert index.bucket_key("bucket") == b"blocks/bucket/bucket"


def test_a_row_of_a_newer_anabranch_says_so() -> None:
    for row in (b"\x92\x02\xc0", b"\x98" + bytes([2]) + index.encode_block(block_of("k"))[2:]):
        with pytest.raises(Corrupted, match="newer") as raised:
            index.decode_block("bucket/k", row, 1)
        assert raised.value.kind is Kind.DATA_FORMAT


def block_of(key: str) -> Block:
    """Return an empty object."""
    return Block(f"s3://bucket/{key}", 0, "e", 1, ())


@given(st.lists(TEXT.filter(bool), unique=True, max_size=8))
def test_the_order_of_kv_keys_is_the_byte_order_of_object_keys(keys: list[str]) -> None:
    by_kv = sorted(keys, key=lambda key: index.object_key(f"s3://bucket/{key}"))
    assert by_kv == sorted(keys, key=str.encode)


def test_a_bucket_row_keeps_when_it_was_made() -> None:
    kv: KVStore = MemoryKV()
    conditions, writes = index.bucket_creation(kv, "bucket", 1_234)
    assert kv.apply((Request(conditions, writes),))[0].is_accepted
    found = kv.read((index.bucket_key("bucket"),)).values[0]
    assert found is not None
    assert index.decode_bucket("bucket", found.value) == 1_234
    for damage in (b"", b"\x91\x01", b"\x92\x01\xa1x"):
        with pytest.raises(Corrupted):
            index.decode_bucket("bucket", damage)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_what_cannot_be_a_bucket_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        index.bucket_creation(MemoryKV(), name, 1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_buckets_are_read_in_portions(count: int) -> None:
    kv = MemoryKV()
    names = [f"bucket-{number}" for number in range(count)]
    for name in names:
        kv.apply((Request(*index.bucket_creation(kv, name, 1)),))
    kv.apply((Request((), (put(b"blocks/c", b""), put(b"blocks/buckes", b""))),))
    assert index.list_buckets(kv, 2) == names


@pytest.mark.parametrize("amount", [1, 2, 3, 4, 100])
def test_all_extents_are_gone_through_in_portions(amount: int) -> None:
    kv = MemoryKV()
    blocks = [
        Block(f"s3://{name}", 1, "e", 0, tuple(Extent(file, 0, 1) for file in files))
        for name, files in [("a/1", "x"), ("a/2", ""), ("a/3", "yz"), ("b/1", "x")]
    ]
    kv.apply(
        [
            Request((), [*index.object_writes(block), put(b"blocks/bucket/a", b"?")])
            for block in blocks
        ]
    )
    found: list[Extent] = []
    after: bytes | None = b""
    while after is not None:
        extents, after = index.extents_after(kv, after, amount)
        found += extents
    assert [extent.file for extent in found] == ["x", "y", "z", "x"]
