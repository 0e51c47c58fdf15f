"""Lists that ask as they are walked: each walk begins anew at the server, a page at a time."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from anabranch.client import html
from anabranch.client.connections import Connections
from anabranch.client.rest import Client
from anabranch.client.values import Change, ObjectInfo
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError

T = TypeVar("T", covariant=True)
Ask = Callable[[Client, int], Iterator[list[Any]]]
"""Asks for the pages of a list, each at most so long."""


class LazyList(Generic[T]):
    """A list at the server. Walking it asks for a page at a time, and holds one.

    What others change between two pages may or may not be seen, as in the lists of the API.
    Threads may share a list; each walks it with an iterator of its own.
    """

    def __init__(
        self, connections: Connections, ask: Ask, value_of: Callable[[Any], T], title: str
    ) -> None:
        self._connections = connections
        self._ask = ask
        self._value_of = value_of
        self.title = title
        """What is listed, for people."""

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page

    def pages(self, *, amount: int = limits.PAGE_MAX) -> Iterator[tuple[T, ...]]:
        """Yield pages of at most `amount` values (1,000, the largest page)."""
        for page in self._connections.pages(lambda client: self._ask(client, amount)):
            yield tuple(self._value_of(one) for one in page)

    def first(self, count: int) -> tuple[T, ...]:
        """Return the first values, at most `count`; asks for no more than are needed."""
        if count < 1:
            return ()
        pages = self.pages(amount=min(count, limits.PAGE_MAX))
        return tuple(islice((one for page in pages for one in page), count))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}>"

    def _repr_html_(self) -> str:
        """Return the first rows as a table; of a list that cannot be read, why."""
        try:
            found = self.first(limits.NOTEBOOK_ROWS_MAX + 1)
        except AnabranchError as error:
            return html.failed(self.title, error.message)
        rows = found[: limits.NOTEBOOK_ROWS_MAX]
        return self._table(rows, has_more=len(found) > len(rows))

    def _table(self, rows: tuple[T, ...], *, has_more: bool) -> str:
        raise NotImplementedError


class Listing(LazyList[ObjectInfo]):
    """The objects at a ref, by path in byte order; prefixes too where there is a delimiter."""

    def _table(self, rows: tuple[ObjectInfo, ...], *, has_more: bool) -> str:
        return html.listing(self.title, rows, has_more=has_more)


class Diff(LazyList[Change]):
    """What changed, by path in byte order."""

    def _table(self, rows: tuple[Change, ...], *, has_more: bool) -> str:
        return html.diff(self.title, rows, has_more=has_more)
