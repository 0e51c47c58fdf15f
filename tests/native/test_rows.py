"""MySQL's rows: the native encoder against the reference in plain Python."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.native.wire import mysql_rows
from tests.support import reference_rows

DAY_US = 86_400_000_000
FIRST_DAY, LAST_DAY = -719_528, 2_932_896  # 0000-01-01 and 9999-12-31


def single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def flipped(value: int) -> bytes:
    return (value + (1 << 127)).to_bytes(16, "big")


def is_powerless(value: float) -> bool:
    # At a power of two the shortest digits need not be the nearest ones: the reference is not.
    return value == 0 or (struct.unpack("<I", struct.pack("<f", value))[0] & 0x7F_FFFF) != 0


INTEGERS = {
    kind: st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    for kind, bits in ((pa.int8(), 8), (pa.int16(), 16), (pa.int32(), 32), (pa.int64(), 64))
}
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    **INTEGERS,
    pa.bool_(): st.booleans(),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32).filter(is_powerless),
    pa.decimal128(38, 0): st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    pa.decimal128(9, 3): st.integers(-(10**9) + 1, 10**9 - 1).map(lambda n: Decimal(n).scaleb(-3)),
    pa.decimal128(38, 38): st.integers(-(10**37), 10**37).map(
        lambda n: Decimal((n < 0, tuple(map(int, str(abs(n)))), -38))
    ),
    pa.binary(16): st.integers(-(1 << 127), (1 << 127) - 1).map(flipped),
    pa.date32(): st.integers(FIRST_DAY, LAST_DAY),
    pa.timestamp("us"): st.integers(FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1),
    pa.duration("us"): st.integers(-839 * 3_600_000_000, 839 * 3_600_000_000),
    pa.time64("us"): st.integers(0, DAY_US - 1),
    pa.string(): st.text(max_size=300),
    pa.large_string(): st.text(max_size=20),
    pa.binary(): st.binary(max_size=300),
    pa.large_binary(): st.binary(max_size=20),
}


@st.composite
def batches(draw: st.DrawFn) -> tuple[Any, bytes]:
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=12))
    count = draw(st.integers(0, 6))
    columns = [
        pa.array(
            draw(st.lists(st.none() | VALUES[kind], min_size=count, max_size=count)), type=kind
        )
        for kind in kinds
    ]
    start = draw(st.integers(0, count))
    batch = pa.record_batch(columns, names=[str(number) for number in range(len(columns))])
    digits = draw(st.lists(st.integers(0, 6), min_size=len(kinds), max_size=len(kinds)))
    return batch.slice(start), bytes(digits)


@given(made=batches(), sequence=st.integers(0, 255), is_binary=st.booleans())
def test_rows_agree_with_the_reference(
    made: tuple[Any, bytes], sequence: int, is_binary: bool
) -> None:
    batch, digits = made
    expected = reference_rows.rows(batch, digits, sequence, is_binary)
    assert mysql_rows(batch, digits, sequence, is_binary) == expected


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(2.0**-44)
@example(2.0**100)
def test_single_floats_read_back(value: float) -> None:
    batch = pa.record_batch([pa.array([value], pa.float32())], names=["x"])
    data, _ = mysql_rows(batch, b"\0", 0, False)
    text = data[5:].decode()
    assert single(float(text)) == value
    assert len(text.replace("-", "").replace(".", "").split("e")[0].strip("0")) <= 9


@pytest.mark.parametrize("length", [250, 251, 0xFFFF, 0x1_0000, 0xFF_FFFF - 4, 0xFF_FFFF, 1 << 25])
def test_long_cells_are_split_into_packets(length: int) -> None:
    batch = pa.record_batch([pa.array([b"x" * length], pa.large_binary())], names=["x"])
    assert mysql_rows(batch, b"\0", 254, False) == reference_rows.rows(batch, b"\0", 254, False)


def test_types_without_a_form_are_refused() -> None:
    batch = pa.record_batch([pa.array([[1]], pa.list_(pa.int8()))], names=["x"])
    with pytest.raises(ValueError, match="no form"):
        mysql_rows(batch, b"\0", 0, False)
    with pytest.raises(ValueError, match="digits"):
        mysql_rows(batch, b"", 0, False)


def test_a_column_of_nulls_alone() -> None:
    batch = pa.record_batch([pa.nulls(2)], names=["x"])
    assert mysql_rows(batch, b"\0", 0, False)[0] == b"\x01\0\0\0\xfb\x01\0\0\x01\xfb"
    assert mysql_rows(batch, b"\0", 0, True)[0] == b"\x02\0\0\0\0\x04\x02\0\0\x01\0\x04"
