"""Keys under `blocks/` and the rows behind them: what exists, and where its bytes are.

Keys: `blocks/object/<bucket>/<key>` for an object, `blocks/bucket/<bucket>` for a bucket. A bucket
has no slash in its name, so inside one the order of KV keys is the byte order of object keys.

Rows are msgpack arrays that begin with the format version:
object  [1, scheme, size_bytes, etag, created_us, content_type, [[name, value]..], extents]
bucket  [1, created_us]
Each extent is [file, offset, length]. `file` is "h" and 16 bytes for a name of 32 hex digits, the
letter and 16 bytes for "s" or "f" and 32 hex digits, else "t" and the name in UTF-8: an object of
10,000 parts fits one value.
"""

import functools
from collections.abc import Sequence

import msgspec

from anabranch.kernel.errors import Corrupted, InvalidInput, Kind
from anabranch.kernel.ids import is_hex
from anabranch.kernel.pages import Page
from anabranch.storage.blocks.base import Block, Extent, split_address
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Row,
    Scan,
    Write,
    delete,
    is_absent,
    is_version,
    key_after_prefix,
    put,
    scan_prefix,
)

PREFIX = b"blocks/"
_OBJECTS = PREFIX + b"object/"
_BUCKETS = PREFIX + b"bucket/"
_FORMAT = 1
_ID_BYTES = 16
_ID_DIGITS = 32
_FILES_CACHED = 1_024  # most objects of a moment share the segments of a few processes

_encode = msgspec.msgpack.Encoder().encode
_ObjectRow = tuple[
    int, str, int, str, int, str, tuple[tuple[str, str], ...], tuple[tuple[bytes, int, int], ...]
]
_decode_object = msgspec.msgpack.Decoder(_ObjectRow).decode
_decode_bucket = msgspec.msgpack.Decoder(tuple[int, int]).decode
_decode_any = msgspec.msgpack.Decoder().decode


def object_key(address: str) -> bytes:
    """Return the key of the object at `address`; the scheme does not take part.

    Raises InvalidInput when it is not `<scheme>://<bucket>/<key>`.
    """
    rest = address.partition("://")[2]
    bucket, slash, key = rest.partition("/")
    if not (bucket and slash and key):
        raise InvalidInput(Kind.VALUE, f"not an address of a block: {address!r}")
    return _OBJECTS + rest.encode()


def bucket_key(bucket: str) -> bytes:
    """Return the key of a bucket's own row."""
    return _BUCKETS + bucket.encode()


def encode_block(block: Block) -> bytes:
    """Return the row of an object."""
    extents = [(_encode_file(file.file), file.offset, file.length) for file in block.extents]
    return _encode(
        (
            _FORMAT,
            block.address.partition("://")[0],
            block.size_bytes,
            block.etag,
            block.created_us,
            block.content_type,
            block.metadata,
            extents,
        )
    )


def decode_block(bucket_and_key: str, value: bytes, version: int, scheme: str = "") -> Block:
    """Return the object of a row; its own scheme is used when none is given.

    Raises Corrupted when the row is damaged, or of a later format.
    """
    try:
        row = _decode_object(value)
    except msgspec.DecodeError as error:
        raise _damaged(bucket_and_key, value) from error
    if row[0] != _FORMAT:
        raise _damaged(bucket_and_key, value)
    extents = tuple(Extent(_decode_file(file), offset, length) for file, offset, length in row[7])
    return Block(
        address=f"{scheme or row[1]}://{bucket_and_key}",
        size_bytes=row[2],
        etag=row[3],
        created_us=row[4],
        extents=extents,
        content_type=row[5],
        metadata=row[6],
        version=version,
    )


def object_writes(block: Block) -> tuple[Write, ...]:
    """Return the index writes that make an object exist."""
    return (put(object_key(block.address), encode_block(block)),)


def object_removal(block: Block) -> tuple[tuple[Condition, ...], tuple[Write, ...]]:
    """Return what removes an object: only the one that was read, when it was read from a row."""
    key = object_key(block.address)
    conditions = (is_version(key, block.version),) if block.version else ()
    return conditions, (delete(key),)


def find_block(kv: KVStore, address: str) -> Block | None:
    """Return the object at `address` by one read."""
    row = kv.read((object_key(address),)).values[0]
    if row is None:
        return None
    scheme, _, rest = address.partition("://")
    return decode_block(rest, row.value, row.version, scheme)


def list_blocks(kv: KVStore, bucket: str, *, prefix: str, after: str, amount: int) -> Page[Block]:
    """Return one page of a bucket's objects in the byte order of their keys."""
    base = _OBJECTS + bucket.encode() + b"/"
    first = base + prefix.encode()
    start = max(first, base + after.encode() + b"\x00") if after else first
    if amount <= 0:
        return Page((), None)
    rows = kv.read((), (Scan(start, key_after_prefix(first), amount + 1),)).scans[0]
    blocks = tuple(_block_of(row) for row in rows[:amount])
    if len(rows) <= amount:
        return Page(blocks, None)
    return Page(blocks, split_address(blocks[-1].address)[1])


def extents_after(kv: KVStore, after: bytes, amount: int) -> tuple[list[Extent], bytes | None]:
    """Return the extents of up to `amount` objects, whose keys follow `after`, and the next one.

    Begins with no bytes; ends with None.
    """
    rows = kv.read((), (scan_prefix(_OBJECTS, after=after, limit=amount),)).scans[0]
    extents = [extent for row in rows for extent in _block_of(row).extents]
    return extents, rows[-1].key[len(_OBJECTS) :] if len(rows) == amount else None


def list_buckets(kv: KVStore, portion: int) -> list[str]:
    """Return the names of all buckets in byte order, read in portions."""
    names: list[str] = []
    start = _BUCKETS
    while True:
        rows = kv.read((), (Scan(start, key_after_prefix(_BUCKETS), portion),)).scans[0]
        names += [row.key[len(_BUCKETS) :].decode() for row in rows]
        if len(rows) < portion:
            return names
        start = rows[-1].key + b"\x00"


def has_bucket(kv: KVStore, bucket: str) -> bool:
    """Tell whether a bucket has a row."""
    return kv.read((bucket_key(bucket),)).values[0] is not None


def bucket_creation(
    kv: KVStore, bucket: str, created_us: int
) -> tuple[tuple[Condition, ...], tuple[Write, ...]]:
    """Return what makes a bucket when it is absent, and only confirms it when it is there."""
    if not bucket or "/" in bucket:
        raise InvalidInput(Kind.NAMESPACE, f"not a name for a bucket: {bucket!r}")
    key = bucket_key(bucket)
    row = kv.read((key,)).values[0]
    if row is not None:
        return (is_version(key, row.version),), ()
    return (is_absent(key),), (put(key, _encode((_FORMAT, created_us))),)


def decode_bucket(bucket: str, value: bytes) -> int:
    """Return when a bucket was made, in microseconds since 1970 UTC."""
    try:
        row_format, created_us = _decode_bucket(value)
    except msgspec.DecodeError as error:
        raise _damaged(bucket, value) from error
    if row_format != _FORMAT:
        raise _damaged(bucket, value)
    return created_us


def extents_key(extents: Sequence[Extent]) -> bytes:
    """Return bytes that name a sequence of extents exactly."""
    return _encode([(extent.file, extent.offset, extent.length) for extent in extents])


def _block_of(row: Row) -> Block:
    return decode_block(row.key[len(_OBJECTS) :].decode(), row.value, row.version)


@functools.lru_cache(_FILES_CACHED)
def _encode_file(file: str) -> bytes:
    if len(file) == _ID_DIGITS and is_hex(file, _ID_DIGITS):
        return b"h" + bytes.fromhex(file)
    if len(file) == _ID_DIGITS + 1 and file[0] in "sf" and is_hex(file[1:], _ID_DIGITS):
        return file[0].encode() + bytes.fromhex(file[1:])
    return b"t" + file.encode()


@functools.lru_cache(_FILES_CACHED)
def _decode_file(stored: bytes) -> str:
    kind = stored[:1]
    if kind == b"t":
        return stored[1:].decode()
    if len(stored) != 1 + _ID_BYTES or kind not in (b"h", b"s", b"f"):
        raise Corrupted(Kind.RECORD_FORMAT, "a file name of an index row is not what was written")
    return stored[1:].hex() if kind == b"h" else kind.decode() + stored[1:].hex()


def _damaged(name: str, value: bytes) -> Corrupted:
    try:
        row = _decode_any(value)
    except msgspec.DecodeError:
        row = None
    if isinstance(row, list) and row and isinstance(row[0], int) and row[0] > _FORMAT:
        return Corrupted(
            Kind.DATA_FORMAT, f"the index row of {name!r} was written by a newer Anabranch"
        )
    return Corrupted(Kind.RECORD_FORMAT, f"the index row of {name!r} is damaged")
