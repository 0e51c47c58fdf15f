"""The XML of a listing, natively: the reference's for any rows, and nothing for other columns."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.native.wire import listing_contents
from tests.support.reference_listing import Row, contents

_OWNER = "<Owner><ID>docker</ID></Owner>"
_YEAR_9999_US = 253_402_300_799_999_999
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_CHECKSUMS = st.sampled_from(
    ["", "crc32:AAAAAA==", "crc64nvme:AAAAAAAAAAA=-0", "sha256:AAAA-12", "md4:AAAA", "sha1:"]
)
_ROWS = st.lists(
    st.tuples(
        _TEXTS,
        st.sampled_from(["0" * 32, "f" * 32 + "-12", '"<&>']),
        st.integers(0, 2**63 - 1),
        st.integers(0, _YEAR_9999_US),
        _CHECKSUMS,
    ),
    max_size=6,
)
_NAMES = ("path", "checksum", "size_bytes", "mtime", "checksum2")
_TYPES = (pa.string(), pa.string(), pa.int64(), pa.timestamp("us", tz="UTC"), pa.string())


def batch_of(rows: list[Row]) -> pa.RecordBatch:
    """Return rows as columns, in another order and with one more."""
    columns: list[list[object]] = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    arrays = [pa.array(column, kind) for column, kind in zip(columns, _TYPES, strict=True)]
    more = pa.array([b"x"] * len(rows), pa.binary())
    return pa.record_batch([more, *reversed(arrays)], ["identity", *reversed(_NAMES)])


@given(_ROWS, _TEXTS, st.booleans())
@example([("a&b<c>\"d'\0\x1f\t\n\x7f", "0" * 32, 0, 0, "")], "main/", False)
@example([("\ufffe\uffff\U0001f600 *~", "0" * 32, 1, 59_999_999, "")], "main/é", True)
def test_rows_are_written_as_the_reference_writes_them(
    rows: list[Row], head: str, is_coded: bool
) -> None:
    found = listing_contents(batch_of(rows), head, _OWNER.encode(), is_coded)
    assert found.decode() == contents(rows, head, _OWNER, is_coded=is_coded)


def test_a_slice_is_written_alone() -> None:
    rows: list[Row] = [(f"p{index}", "0" * 32, index, index, "") for index in range(9)]
    found = listing_contents(batch_of(rows).slice(3, 2), "", b"", False)
    assert found.decode() == contents(rows[3:5], "", "", is_coded=False)


@pytest.mark.parametrize("name", _NAMES)
def test_other_columns_are_refused(name: str) -> None:
    batch = batch_of([("p", "0" * 32, 1, 1, "")])
    index = batch.schema.get_field_index(name)
    with pytest.raises(ValueError, match="column"):
        listing_contents(batch.remove_column(index), "", b"", False)
    odd = batch.set_column(index, name, pa.array([1.5]))
    with pytest.raises(ValueError, match="column"):
        listing_contents(odd, "", b"", False)
