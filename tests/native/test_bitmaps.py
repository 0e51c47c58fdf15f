"""Bitmaps against Doris's own texts, against sets of Python, and against damaged bytes."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.native import bitmaps
from tests.support import reference_bitmap as reference

Operation = Literal["and", "or", "xor", "not"]
OPERATIONS: dict[Operation, Callable[[set[int], set[int]], set[int]]] = {
    "and": set.__and__,
    "or": set.__or__,
    "xor": set.__xor__,
    "not": set.__sub__,
}
MOST = 1 << 20
LARGEST = (1 << 64) - 1
# Texts that Doris gives, and those of its other writers.
GOLDEN = [
    ([], "AA=="),
    ([1], "AQEAAAA="),
    ([1 << 32], "AwAAAAABAAAA"),
    ([1, 9_999_999], "AjowAAACAAAAAAAAAJgAAAAYAAAAGgAAAAEAf5Y="),
    (range(33), "AjswAAABAAAgAAEAAAAgAA=="),
    ([1, 1 << 32], "BAIAAAAAOjAAAAEAAAAAAAAAEAAAAAEAAQAAADowAAABAAAAAAAAABAAAAAAAA=="),
    ([*range(32), 1 << 32], "BAIAAAAAOzAAAAEAAB8AAQAAAB8AAQAAADowAAABAAAAAAAAABAAAAAAAA=="),
]
OTHER_FORMS = [
    ([1, 9_999_999], "BQIBAAAAAAAAAH+WmAAAAAAA"),
    ([1, 1 << 32], "BQIAAAAAAQAAAAEAAAAAAAAA"),
    ([0, 1, 2, 3], "BQQAAAAAAAAAAAEAAAAAAAAAAgAAAAAAAAADAAAAAAAAAA=="),
    ([0, 1], "CgIAAAAAAAAAAAAAAAEAAAAAAAAA"),
    (range(33), "DAI7MAAAAQAAIAABAAAAIAA="),
    ([*range(32), 1 << 32], "DQIAAAAAAjswAAABAAAfAAEAAAAfAAEAAAABAQAAAAAAAAA="),
    ([0, 1, 2, 3], "AjowAAABAAAAAAADABAAAAAAAAEAAgADAA=="),
]


@st.composite
def sets(draw: st.DrawFn) -> set[int]:
    """Sets with arrays, bits and runs, around the places where forms change."""
    found: set[int] = set()
    for _ in range(draw(st.integers(0, 4))):
        high = draw(st.sampled_from([0, 0, 1, 65_535, 65_536, 1 << 40, (1 << 48) - 1])) << 16
        start = draw(st.sampled_from([0, 1, 100, 60_000]))
        count = draw(st.sampled_from([1, 2, 3, 5, 6, 300, 4_095, 4_096, 4_097, 5_536]))
        step = draw(st.sampled_from([1, 1, 2, 3, 9]))
        found.update(high | low for low in range(start, min(start + count * step, 65_536), step))
    found.update(draw(st.sets(st.integers(0, LARGEST), max_size=8)))
    found.update(draw(st.sets(st.integers(0, 1 << 17), max_size=8)))
    return found


@pytest.mark.parametrize("numbers, text", GOLDEN)
def test_bytes_are_those_of_doris(numbers: list[int], text: str) -> None:
    stored = base64.b64decode(text)
    assert bitmaps.of_numbers(list(numbers)) == stored == reference.encode(numbers)
    assert bitmaps.numbers(stored, MOST) == list(numbers)


@pytest.mark.parametrize("numbers, text", OTHER_FORMS)
def test_forms_of_other_writers_are_read(numbers: list[int], text: str) -> None:
    stored = base64.b64decode(text)
    assert bitmaps.numbers(stored, MOST) == list(numbers)
    assert bitmaps.union([stored]) == reference.encode(numbers)


def test_hashes_are_those_of_doris() -> None:
    assert bitmaps.hash32(b"hello") == 1_321_743_225
    assert bitmaps.hash32(b"world") == 2_453_398_188
    assert bitmaps.hash64(b"hello") == 15_231_136_565_543_391_023


@given(sets())
def test_a_set_comes_back_in_the_bytes_of_the_reference(numbers: set[int]) -> None:
    shuffled = list(numbers)
    random.Random(len(numbers)).shuffle(shuffled)
    stored = bitmaps.of_numbers(shuffled)
    assert stored == reference.encode(numbers)
    assert bitmaps.count(stored) == len(numbers)
    assert bitmaps.numbers(stored, len(numbers)) == sorted(numbers)
    if numbers:
        with pytest.raises(ValueError, match="more numbers"):
            bitmaps.numbers(stored, len(numbers) - 1)


@given(sets(), sets())
def test_operations_are_those_of_sets(left: set[int], right: set[int]) -> None:
    one, two = reference.encode(left), reference.encode(right)
    for operation, expected in OPERATIONS.items():
        assert bitmaps.operate(operation, one, two) == reference.encode(expected(left, right))


@given(st.lists(sets(), max_size=5))
def test_unions_do_not_depend_on_order_or_grouping(parts: list[set[int]]) -> None:
    expected = reference.encode(set().union(*parts))
    stored = [bitmaps.of_numbers(list(part)) for part in parts]
    assert bitmaps.union(stored) == bitmaps.union(stored[::-1]) == expected
    first = bitmaps.union(stored[:2])
    assert bitmaps.union([first, *stored[2:], first]) == expected


@given(sets(), st.booleans())
def test_each_form_is_read_as_the_same_set(numbers: set[int], is_list: bool) -> None:
    numbers |= {7, 8}
    expected = reference.encode(numbers)
    few = list(numbers)[:32]
    assert bitmaps.union([reference.encode_v2(numbers, is_list=is_list)]) == expected
    assert bitmaps.union([reference.encode_set(numbers, 10)]) == expected
    assert bitmaps.union([reference.encode_set(few, 5)]) == reference.encode(few)


BROKEN = [
    (b"", "no bytes"),
    (b"\6", "unknown form 6"),
    (b"\0\0", "1 bytes too many"),
    (b"\1\0\0\0", "ends too early"),
    (b"\5\2" + bytes(16), "a set of 2"),
    (b"\5\xff", "ends too early"),
    (b"\x0a\xff\xff\xff\xff", "ends too early"),
    (b"\2\x3a\x30\0\0\xff\xff\xff\xff", "not ascending"),
    (b"\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", "ends too early"),
    (b"\4" + b"\xff" * 10, "not ascending"),
    (b"\2\x3b\x30\0\0\1\0\0\1\0\1\0\xff\xff\1\0", "a part is not"),
    (b"\x0c\3", "unknown form 3"),
]


@pytest.mark.parametrize("data, text", BROKEN)
def test_what_is_no_bitmap_is_refused(data: bytes, text: str) -> None:
    for read in (bitmaps.count, lambda data: bitmaps.union([data])):
        with pytest.raises(ValueError, match=text):
            read(data)
    with pytest.raises(ValueError):
        reference.decode(data)


@given(sets(), st.integers(0, 1 << 32), st.booleans())
def test_damaged_bytes_are_judged_as_by_the_reference(
    numbers: set[int], seed: int, is_list: bool
) -> None:
    rng = random.Random(seed)
    numbers |= {7, 8}
    stored = bytearray(
        rng.choice(
            [
                reference.encode(numbers),
                reference.encode_v2(numbers, is_list=is_list),
                reference.encode_set(list(numbers)[:40], rng.choice([5, 10])),
            ]
        )
    )
    for _ in range(rng.randrange(1, 4)):
        # Most of what is judged stands at the front.
        place = rng.randrange(min(len(stored), rng.choice([16, 64, 1 << 20]))) if stored else 0
        match rng.randrange(4):
            case 0 if stored:
                stored[place] ^= 1 << rng.randrange(8)
            case 1:
                stored[place : place + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
            case 2:
                del stored[len(stored) - rng.randrange(9) :]
            case _:
                stored[:1] = bytes([rng.randrange(14)])
    judge(bytes(stored))


@given(st.binary(max_size=64))
def test_random_bytes_are_judged_as_by_the_reference(data: bytes) -> None:
    for form in range(15):
        judge(bytes([form]) + data)
    judge(b"\2\x3a\x30\0\0" + data)
    judge(b"\2\x3b\x30" + data)


def judge(data: bytes) -> None:
    try:
        expected = reference.decode(data)
    except ValueError:
        with pytest.raises(ValueError, match="not a bitmap"):
            bitmaps.union([data])
        with pytest.raises(ValueError, match="not a bitmap"):
            bitmaps.count(data)
        return
    assert bitmaps.union([data]) == reference.encode(expected)
    assert bitmaps.count(data) == len(expected)
