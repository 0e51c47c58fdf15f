"""The stored formats: test vectors of docs/formats, and files kept from earlier versions."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given

from anabranch.kernel import codec
from anabranch.kernel.entries import Entry, decode_entry, encode_entry, encode_tombstone
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import Address, MetarangeId, RangeId
from anabranch.kernel.ranges import ENTRY_SCHEMA, FORMAT_RULE, CutRule
from anabranch.native import ranges as native
from tests.support import ranges, reference
from tests.support.ranges import entries_of, rows_of
from tests.support.reference import Row, Rows, by_path

_ROOT = Path(__file__).resolve().parents[2]
_KEPT = Path(__file__).parent / "kept"


def _vectors(document: str, name: str) -> Any:
    text = (_ROOT / "docs" / "formats" / document).read_text()
    found = re.search(rf"```json {name}\n(.*?)```", text, re.DOTALL)
    assert found is not None, f"{document} has no vectors {name}"
    return json.loads(found[1])


def _row(vector: dict[str, Any]) -> Row:
    values = {name: vector[name] for name in Row.__slots__}
    return Row(**{**values, "identity": bytes.fromhex(vector["identity"])})


def test_identities_of_the_documentation() -> None:
    for vector in _vectors("entry.md", "identity"):
        expected = bytes.fromhex(vector.pop("identity"))
        assert native.identity(**vector) == reference.identity(**vector) == expected


def test_staging_rows_of_the_documentation() -> None:
    for vector in _vectors("entry.md", "staging"):
        data = bytes.fromhex(vector["bytes"])
        if vector.get("tombstone"):
            assert data == encode_tombstone()
            continue
        row = _row(vector)
        entry = decode_entry(data)
        assert entry is not None
        assert encode_entry(entry) == reference.staging_row(row) == data
        assert entry == Entry(
            Address(row.address),
            row.checksum,
            row.size_bytes,
            row.mtime_us,
            row.content_type,
            tuple(sorted(json.loads(row.metadata or "{}").items())),
            row.checksum2,
        )
        assert entry.identity == row.identity
        assert rows_of(native.staging_batch([b"a"], [data]).select(range(9))) == {"a": row}


def test_the_range_of_the_documentation_and_its_kept_file() -> None:
    vector = _vectors("range.md", "range")
    rows = {row["path"]: _row(row) for row in vector["rows"]}
    range_id = RangeId(vector["id"])
    assert codec.range_id(entries_of(rows)) == range_id
    assert reference.range_id(rows).hex() == range_id
    kept = (_KEPT / "range-1.parquet").read_bytes()
    assert rows_of(codec.decode_range(range_id, kept)) == rows


def test_the_cuts_of_the_documentation() -> None:
    vector = _vectors("range.md", "cuts")
    for path, hashed in vector["hashes"].items():
        assert f"{xxhash.xxh3_64_intdigest(path.encode()):016x}" == hashed
    for weight, threshold in vector["thresholds"].items():
        assert FORMAT_RULE.slope * (int(weight) - FORMAT_RULE.weight_min + 1) == threshold
    rows = {f"data/{number:07}": Row(bytes(20)) for number in range(vector["entries"])}
    assert _cuts(rows, FORMAT_RULE) == [count for count, _ in reference.cuts(rows, FORMAT_RULE)]
    assert _cuts(rows, FORMAT_RULE) == vector["counts"]
    small = vector["small"]
    rule = CutRule(small["weight_min"], small["slope"], small["weight_max"])
    rows = {f"s/{number:02}": Row(bytes(20)) for number in range(small["entries"])}
    assert _cuts(rows, rule) == [one["count"] for one in small["ranges"]]
    assert [is_fallback for _, is_fallback in reference.cuts(rows, rule)] == [
        one["is_fallback"] for one in small["ranges"]
    ]


def _cuts(rows: Rows, rule: CutRule) -> list[int]:
    cutter = native.Cutter(rule.weight_min, rule.slope, rule.weight_max)
    found = [len(cut) for cut, _, _ in cutter.add(entries_of(rows))]
    rest = cutter.finish()
    return found + ([] if rest is None else [len(rest)])


def test_the_metarange_of_the_documentation_and_its_kept_file() -> None:
    vector = _vectors("metarange.md", "metarange")
    records = vector["ranges"]
    children = [
        (bytes.fromhex(one["id"]), one["first"], one["last"], one["count"], one["size_bytes"])
        for one in records
    ]
    assert reference.node_id(1, children).hex() == vector["id"]
    kept = (_KEPT / "metarange-1.parquet").read_bytes()
    found = codec.decode_metarange(MetarangeId(vector["id"]), kept)
    assert found.ids == tuple(one["id"] for one in records)
    assert found.lasts == tuple(one["last"] for one in records)
    assert found.fallbacks == (False, True)
    again, columns = codec.make_metarange(
        found.ids, found.firsts, found.lasts, found.counts, found.sizes_bytes, found.fallbacks
    )
    assert again == found
    assert codec.decode_metarange(found.id, codec.encode_metarange(columns)) == found


@given(ranges.tables.filter(bool))
def test_range_files_give_back_their_rows(rows: Rows) -> None:
    entries = entries_of(rows)
    range_id = codec.range_id(entries)
    assert rows_of(codec.decode_range(range_id, codec.encode_range(entries))) == rows
    half = len(rows) // 2
    part = entries.slice(half, len(rows))
    kept = {path: rows[path] for path in sorted(rows, key=by_path)[half:]}
    assert rows_of(codec.decode_range(codec.range_id(part), codec.encode_range(part))) == kept


def test_a_file_of_an_unknown_format_is_named() -> None:
    entries = entries_of({"a": Row(bytes(20))})
    for metadata in ({}, {"anabranch.format": "2", "anabranch.level": "0"}):
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, ENTRY_SCHEMA) as writer:
            writer.write_batch(pa.record_batch(entries))
            writer.add_key_value_metadata(metadata)
        with pytest.raises(Corrupted) as caught:
            codec.decode_range(codec.range_id(entries), sink.getvalue().to_pybytes())
        assert caught.value.kind is Kind.RECORD_FORMAT
