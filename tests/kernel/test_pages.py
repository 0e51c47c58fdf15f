"""Pages and prefixes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput
from anabranch.kernel.pages import Page, parse_amount, prefix_end

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(TEXT, TEXT, TEXT)
@example("\ud7ff", "\ud7ff", "\ue000")
@example("a\U0010ffff", "a\U0010ffff", "b")
def test_a_prefix_end_parts_what_starts_with_it(prefix: str, rest: str, other: str) -> None:
    end = prefix_end(prefix)
    assert end is None or (prefix + rest).encode() < end.encode()
    if other >= prefix and not other.startswith(prefix):
        assert end is not None
        assert other.encode() >= end.encode()


def test_nothing_lies_above_the_last_prefix() -> None:
    assert prefix_end("") is None
    assert prefix_end("\U0010ffff\U0010ffff") is None


def test_amounts_are_cut_to_the_largest_page() -> None:
    assert parse_amount(-1) == limits.PAGE_DEFAULT
    assert parse_amount(0) == 0
    assert parse_amount(limits.PAGE_MAX) == limits.PAGE_MAX
    assert parse_amount(limits.PAGE_MAX + 1) == limits.PAGE_MAX
    with pytest.raises(InvalidInput):
        parse_amount(-2)


def test_map_keeps_where_to_go_on() -> None:
    assert Page((1, 2), "x").map(str) == Page(("1", "2"), "x")
