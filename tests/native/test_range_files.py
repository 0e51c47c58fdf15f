"""Files of ranges, written and read natively, against pyarrow as the reference."""

import io
import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import codec
from anabranch.kernel.ranges import ENTRY_SCHEMA
from anabranch.native import ranges as native
from tests.support import ranges
from tests.support.ranges import batch_of, entries_of, rows_of
from tests.support.reference import Row, Rows

_METADATA = {"anabranch.format": "1", "anabranch.level": "0"}


def _many(count: int, seed: int) -> Rows:
    """Return rows that resemble real ones: random hashes, equal content types, some metadata."""
    source = random.Random(seed)
    return {
        f"tables/t{number % 7}/part-{number:06}-{source.randbytes(4).hex()}": Row(
            identity=source.randbytes(20),
            address=source.randbytes(16).hex(),
            checksum=source.randbytes(16).hex(),
            size_bytes=source.randrange(2 ** source.randrange(1, 63)),
            mtime_us=1_700_000_000_000_000 + source.randrange(-(10**15), 10**12),
            content_type=source.choice(["application/octet-stream", "text/csv"]),
            metadata='{"a":"1"}' if source.random() < 0.02 else "",
            checksum2="sha256:x" if source.random() < 0.1 else "",
        )
        for number in range(count)
    }


def _written(rows: Rows, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    batch = batch_of(rows).select(ENTRY_SCHEMA.names)
    with pq.ParquetWriter(sink, batch.schema, **options) as writer:
        writer.write_batch(batch, row_group_size=options.get("max_rows_per_page", 1_000))
        writer.add_key_value_metadata(_METADATA)
    return bytes(sink.getvalue())


@given(ranges.tables.filter(bool))
def test_pyarrow_reads_what_is_written(rows: Rows) -> None:
    data = native.encode_range(entries_of(rows))
    with pq.ParquetFile(io.BytesIO(data)) as file:
        assert file.metadata.num_row_groups == 1
        found = file.read()
        assert {
            key.decode(): value.decode() for key, value in file.metadata.metadata.items()
        } == _METADATA
    assert found.schema.names == ENTRY_SCHEMA.names
    assert found.schema.types == ENTRY_SCHEMA.types
    assert found.to_batches()[0].to_pydict() == pa.record_batch(entries_of(rows)).to_pydict()


@pytest.mark.parametrize("count", [1, 2, 33, 129, 5_000])
def test_pyarrow_reads_many_rows(count: int) -> None:
    entries = entries_of(_many(count, count))
    data = native.encode_range(entries)
    assert pq.read_table(io.BytesIO(data)).to_pydict() == pa.record_batch(entries).to_pydict()
    assert rows_of(codec.decode_range(codec.range_id(entries), data)) == rows_of(entries)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd", "compression_level": 1, "use_dictionary": ["content_type"]},
        {"compression": "none", "use_dictionary": True, "max_rows_per_page": 100},
        {"compression": "zstd", "use_dictionary": False, "max_rows_per_page": 37},
        {"compression": "zstd", "use_dictionary": True, "dictionary_pagesize_limit": 512},
        {
            "compression": "zstd",
            "use_dictionary": False,
            "column_encoding": {
                "path": "DELTA_BYTE_ARRAY",
                "address": "DELTA_LENGTH_BYTE_ARRAY",
                "size_bytes": "DELTA_BINARY_PACKED",
                "mtime": "DELTA_BINARY_PACKED",
            },
        },
    ],
)
def test_files_of_other_writers_are_read(options: dict[str, Any]) -> None:
    for count in (1, 40, 2_500):
        rows = _many(count, count)
        found = codec.decode_range(codec.range_id(entries_of(rows)), _written(rows, **options))
        assert rows_of(found) == rows


@given(st.data())
def test_damaged_files_are_refused_or_whole(data: st.DataObject) -> None:
    entries = entries_of(_many(40, 1))
    expected, name = rows_of(entries), native.range_id(entries)
    whole = bytearray(native.encode_range(entries))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(whole), len(whole) // 2, 7]))
    try:
        found = native.decode_range(bytes(whole[:cut]), name)
    except (ValueError, NotImplementedError):
        return
    assert rows_of(found) == expected


@given(ranges.tables, ranges.tables)
def test_rows_that_differ_are_all_that_one_side_alone_holds(left: Rows, right: Rows) -> None:
    [found] = native.differing_many([(entries_of(left), entries_of(right))])
    for rows, mine, other in ((found[0], left, right), (found[1], right, left)):
        assert rows_of(rows) == {path: row for path, row in mine.items() if other.get(path) != row}
