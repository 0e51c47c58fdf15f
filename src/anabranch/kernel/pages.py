"""Bounded pages of a sorted listing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One bounded part of a sorted list.

    `next_after` is the exclusive `after` of the next page, or None when nothing follows. A page
    that has a `next_after` is never empty.
    """

    items: tuple[T, ...]
    next_after: str | None

    def map(self, convert: "Callable[[T], U]") -> "Page[U]":
        """Return the page with each item converted."""
        return Page(tuple(convert(item) for item in self.items), self.next_after)


def parse_amount(amount: int, *, default: int = limits.PAGE_DEFAULT) -> int:
    """Return how many items a page may hold: a negative amount means the default, as in lakeFS.

    Amounts above PAGE_MAX are cut to it; 0 is allowed and asks for an empty page.
    Raises InvalidInput below -1.
    """
    if amount < -1:
        raise InvalidInput(Kind.VALUE, f"amount must be -1 or more, not {amount}")
    return default if amount == -1 else min(amount, limits.PAGE_MAX)


def prefix_end(prefix: str) -> str | None:
    """Return the smallest text above every text that starts with `prefix`; None if there is none.

    The order is that of UTF-8 bytes, which for `str` is the order of code points.
    """
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index]) + 1
        if code == 0xD800:
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[:index] + chr(code)
    return None
