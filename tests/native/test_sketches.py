"""Sketches against Doris's own texts, against the reference, and against damaged bytes."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import math
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.native import sketches
from tests.support import reference_sketch as reference

VALUES = st.lists(st.binary(max_size=40), max_size=300)
SIZES = st.sampled_from([0, 1, 2, 6, 7, 8, 12, 13, 159, 160, 161, 320, 4_000, 4_700, 6_000])
# Estimates of Doris over the texts of 0 to n - 1: the first five from Doris itself.
GOLDEN = {
    0: 0,
    1: 1,
    160: 160,
    161: 162,
    1_000: 1_001,
    16_384: 16_274,
    40_000: 40_483,
    60_000: 60_435,
    72_000: 71_971,
    200_000: 200_279,
}


def texts(start: int, stop: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, stop)]


def random_sketch(seed: int, count: int) -> reference.Sketch:
    rng = random.Random(seed)
    sketch = reference.Sketch()
    for _ in range(count):
        sketch.update(rng.getrandbits(64))
    return sketch


def test_texts_are_those_of_doris() -> None:
    assert sketches.to_base64(sketches.EMPTY) == "AA=="
    assert sketches.to_base64(sketches.of_values([b"abc"])) == "AQEC5XSzrpDsdw=="


@pytest.mark.parametrize("count", GOLDEN)
def test_estimates_are_those_of_doris(count: int) -> None:
    assert sketches.estimate(sketches.of_values(texts(0, count))) == GOLDEN[count]


PAGE = Path(__file__).resolve().parents[2] / "docs/formats/sketch.md"
HASH_ROW = re.compile(r"^\| `([0-9a-f]+)` \(.*\) \| `([0-9a-f]{16})` \|$", re.MULTILINE)
UNION_ROW = re.compile(
    r"^\| ([\d,]+) \| (\d) \| ([\d,]+) \| ([\d,]+) \| `([0-9a-f]{16})` \|$", re.MULTILINE
)


def test_the_page_tells_the_truth() -> None:
    page = PAGE.read_text()
    hashes = HASH_ROW.findall(page)
    assert len(hashes) == 7
    for data, expected in hashes:
        assert f"{sketches.hash_value(bytes.fromhex(data)):016x}" == expected
    unions = UNION_ROW.findall(page)
    assert len(unions) == 12
    for row in unions:
        count, form, size, estimate = (int(cell.replace(",", "")) for cell in row[:4])
        stored = sketches.of_values(texts(0, count))
        assert (stored[0], len(stored), sketches.estimate(stored)) == (form, size, estimate)
        assert hashlib.sha256(stored).hexdigest().startswith(row[4])


@given(st.binary(max_size=100))
def test_hashes_agree_with_the_reference(data: bytes) -> None:
    assert sketches.hash_value(data) == reference.hash_value(data)


@given(VALUES, VALUES)
def test_unions_agree_with_the_reference(left: list[bytes], right: list[bytes]) -> None:
    expected = reference.of_values(left)
    assert sketches.of_values(left) == expected.encode()
    expected.merge(reference.of_values(right))
    pair = [sketches.of_values(left), sketches.of_values(right)]
    found = sketches.union(pair)
    assert found == expected.encode() == sketches.union(pair[::-1])
    assert found == sketches.of_values(left + right)
    assert sketches.estimate(found) == expected.estimate()


@given(st.integers(0, 1 << 32), SIZES, SIZES)
def test_all_forms_unite_as_the_reference_does(seed: int, first: int, second: int) -> None:
    left, right = random_sketch(seed, first), random_sketch(seed + 1, second)
    stored = [left.encode(), right.encode()]
    left.merge(right)
    found = sketches.union(stored)
    assert found == left.encode() == sketches.union([*stored[::-1], sketches.EMPTY, None])
    assert sketches.estimate(found) == left.estimate()
    assert reference.decode(found).encode() == found


@given(st.integers(0, 1 << 32), st.floats(0, 30))
def test_estimates_of_any_registers_agree(seed: int, mean: float) -> None:
    ranks = np.random.default_rng(seed).poisson(mean, 16_384).clip(0, 51).astype(np.uint8)
    stored = b"\3" + ranks.tobytes()
    assert sketches.estimate(stored) == reference.Sketch(set(), ranks).estimate()


def test_estimates_agree_about_the_switches() -> None:
    sketch = reference.Sketch()
    rng = random.Random(7)
    for count in range(1, 90_000):
        sketch.update(rng.getrandbits(64))
        if count % 997 == 0:
            assert sketches.estimate(sketch.encode()) == sketch.estimate()


def test_linear_counting_is_that_of_the_c_library() -> None:
    """The logarithm is taken in double and rounded: as glibc's logf at every count of zeros."""
    library = ctypes.CDLL("libm.so.6")
    library.logf.restype, library.logf.argtypes = ctypes.c_float, [ctypes.c_float]
    registers = np.zeros(16_384, np.uint8)
    for zeros in range(16_383, 0, -1):
        registers[zeros] = 1
        quotient = np.float32(16_384) / np.float32(zeros)
        estimate = np.float32(16_384) * np.float32(library.logf(float(quotient)))
        if float(estimate) < 40_960:
            stored = b"\3" + registers.tobytes()
            assert sketches.estimate(stored) == int(float(estimate) + 0.5), zeros


def test_hashes_at_the_edges() -> None:
    """Zero is a hash like others, and a rank is at most 51."""
    values = [0, 1 << 63, (1 << 64) - 1]
    assert sketches.of_hashes(values) == b"\1\3" + b"".join(
        value.to_bytes(8, "little") for value in values
    )
    many = [0, *(number << 14 for number in range(1, 200))]
    sketch = reference.Sketch()
    for value in many:
        sketch.update(value)
    assert sketches.of_hashes(many) == sketch.encode() == b"\2\1\0\0\0\0\0\x33"


def test_each_value_is_one_sketch_and_null_is_the_empty_one() -> None:
    column = pa.array(["abc", None, "", "abc"])
    found = sketches.each_value(column).to_pylist()
    assert found == [reference.of_values([text]).encode() for text in (b"abc",)] + [
        b"\0",
        reference.of_values([b""]).encode(),
        found[0],
    ]
    assert sketches.estimates(pa.array([*found, None], pa.binary())).to_pylist() == [1, 0, 1, 1, 0]


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.string(), pa.large_string()], ids=str
)
def test_columns_of_any_width_and_offset(kind: pa.DataType) -> None:
    column = pa.array(["x", "a", None, "b"], kind).slice(1)
    assert sketches.of_values(column) == sketches.of_values([b"a", b"b"])


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes or text"):
        sketches.of_values(pa.array([1, 2]))


def test_groups_are_united_apart() -> None:
    column = sketches.each_value(texts(0, 1_000))
    groups = pa.array([number % 3 for number in range(1_000)], pa.uint32())
    found = sketches.union_groups(column, groups, 4).to_pylist()
    expected = [sketches.of_values(texts(0, 1_000)[start::3]) for start in range(3)]
    assert found == [*expected, sketches.EMPTY]


def test_groups_out_of_range_are_refused() -> None:
    column = sketches.each_value(texts(0, 2))
    for groups in (
        pa.array([0, 1], pa.uint32()),
        pa.array([0], pa.uint32()),
        pa.array([0, 0], pa.int64()),
        pa.array([0, None], pa.uint32()),
    ):
        with pytest.raises(ValueError, match="group"):
            sketches.union_groups(column, groups, 1)


def test_other_writers_order_and_forms_are_accepted() -> None:
    """Doris writes explicit hashes in any order; older versions wrote few registers in full."""
    hashes = [reference.hash_value(text) for text in texts(0, 160)]
    random.Random(1).shuffle(hashes)
    shuffled = bytes([1, 160]) + b"".join(value.to_bytes(8, "little") for value in hashes)
    assert sketches.estimate(shuffled) == 160
    assert sketches.union([shuffled]) == sketches.of_values(texts(0, 160))
    twice = bytes([1, 2]) + hashes[0].to_bytes(8, "little") * 2
    assert sketches.estimate(twice) == 1
    few = reference.of_values(texts(0, 200)).registers
    assert few is not None
    assert sketches.union([b"\3" + few.tobytes()]) == sketches.of_values(texts(0, 200))


BROKEN = [
    (b"", "no bytes"),
    (b"\4", "unknown form 4"),
    (b"\0\0", "2 bytes instead of 1"),
    (b"\1", "1 bytes instead of 2"),
    (b"\1\1" + bytes(7), "9 bytes instead of 10"),
    (b"\1\1" + bytes(9), "11 bytes instead of 10"),
    (b"\1\xa1" + bytes(8 * 161), "161 hashes"),
    (b"\2\0\0\0", "4 bytes instead of 5"),
    (b"\2\1\0\0\0\0\0", "7 bytes instead of 8"),
    (b"\2\1\0\0\0\0\0\0", "value 0"),
    (b"\2\1\0\0\0\0\0\x34", "value 52"),
    (b"\2\1\0\0\0\0\x40\1", "register 16384"),
    (b"\2\2\0\0\0\5\0\1\5\0\1", "register 5"),
    (b"\2\xff\xff\xff\xff", "4294967295 sparse registers"),
    (b"\2\1\x10\0\0" + bytes(3 * 4_097), "4097 sparse registers"),
    (b"\3" + bytes(16_383), "16384 bytes instead of 16385"),
    (b"\3" + bytes(16_385), "16386 bytes instead of 16385"),
    (b"\3" + bytes(16_383) + b"\x34", "value 52"),
]


@pytest.mark.parametrize("data, text", BROKEN)
def test_what_is_no_sketch_is_refused(data: bytes, text: str) -> None:
    for read in (
        sketches.estimate,
        sketches.to_base64,
        lambda data: sketches.union([data]),
        lambda data: sketches.estimates([data]),
    ):
        with pytest.raises(ValueError, match=text):
            read(data)
    with pytest.raises(ValueError, match="not a sketch"):
        reference.decode(data) if data else sketches.estimate(data)


@given(st.integers(0, 1 << 32), SIZES, st.data())
@example(seed=0, count=0, data=None)
def test_damaged_bytes_are_judged_as_by_the_reference(
    seed: int, count: int, data: st.DataObject | None
) -> None:
    stored = bytearray(random_sketch(seed, count).encode())
    rng = random.Random(seed)
    for _ in range(rng.randrange(1, 4)):
        if not stored:
            break
        place = rng.randrange(len(stored))
        match rng.randrange(4):
            case 0:
                stored[place] ^= 1 << rng.randrange(8)
            case 1:
                stored[place : place + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
            case 2:
                del stored[place + 1 :]
            case _:
                stored[0] = rng.randrange(5)
    if data is not None:
        stored += data.draw(st.binary(max_size=9))
    judge(bytes(stored))


@given(st.binary(max_size=64))
def test_random_bytes_are_judged_as_by_the_reference(data: bytes) -> None:
    for form in range(5):
        judge(bytes([form]) + data)


def judge(data: bytes) -> None:
    try:
        expected = reference.decode(data)
    except ValueError:
        with pytest.raises(ValueError, match="not a sketch"):
            sketches.union([data])
        with pytest.raises(ValueError, match="not a sketch"):
            sketches.estimate(data)
        return
    assert sketches.union([data]) == expected.encode()
    assert sketches.estimate(data) == expected.estimate()


@given(st.binary(max_size=30))
def test_base64_is_the_standard_one(data: bytes) -> None:
    stored = sketches.of_values([data])
    text = base64.b64encode(stored).decode()
    assert sketches.to_base64(stored) == text
    assert sketches.from_base64(text) == stored


@pytest.mark.parametrize("text", ["A", "AA=", "A===", "====", "AA==AA==", "AA-=", "AA= ", "é==="])
def test_what_is_no_base64_is_none(text: str) -> None:
    assert sketches.from_base64(text) is None


@pytest.mark.parametrize("text", ["", "BA==", "AAA="])
def test_base64_of_no_sketch_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a sketch"):
        sketches.from_base64(text)


@pytest.mark.slow
def test_the_error_is_that_of_the_theory() -> None:
    """1.04 / sqrt(16384) = 0.81 % for one standard deviation."""
    errors = []
    for seed in range(20):
        hashes = np.random.default_rng(seed).integers(0, 1 << 63, 100_000, dtype=np.int64)
        values = pa.array([value.to_bytes(8, "little") for value in hashes.tolist()])
        errors.append(sketches.estimate(sketches.of_values(values)) / 100_000 - 1)
    assert math.sqrt(sum(error**2 for error in errors) / len(errors)) <= 0.011
