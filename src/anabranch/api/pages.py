"""Pages of the lake as pages of the API."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from anabranch.api.bodies import Pagination
from anabranch.api.operations import JSON_HEADER
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.pages import Page

T = TypeVar("T")
U = TypeVar("U")


def pagination_of(page: Page[T]) -> Pagination:
    """Return which part of a list a page is."""
    return _pagination(len(page.items), page.next_after)


def page_response(count: int, next_after: str | None, results: bytes) -> Response:
    """Return a page of `count` items whose JSON array is made already."""
    head = msgspec.json.encode(_pagination(count, next_after))
    body = b"".join((b'{"pagination":', head, b',"results":', results, b"}"))
    return Response(200, [JSON_HEADER], body)


def _pagination(count: int, next_after: str | None) -> Pagination:
    return Pagination(
        has_more=next_after is not None,
        next_offset=next_after or "",
        results=count,
        max_per_page=limits.PAGE_MAX,
    )


def filtered_page(
    fetch: Callable[[str], Page[T]], is_wanted: Callable[[T], bool], after: str, amount: int
) -> Page[T]:
    """Return a page of what is wanted among all that `fetch(after)` gives, page by page.

    An item's successor is found through the pages, so `next_after` may skip nothing.
    """
    found: list[T] = []
    while True:
        page = fetch(after)
        found += filter(is_wanted, page.items)
        if page.next_after is None or len(found) > amount:
            return _cut(found, amount)
        after = page.next_after


def _cut(found: list[T], amount: int) -> Page[T]:
    if len(found) <= amount or amount == 0:
        return Page(tuple(found[:amount]), None)
    kept = found[:amount]
    return Page(tuple(kept), name_of(kept[-1]))


def name_of(item: object) -> str:
    """Return the name that a page goes on after."""
    return str(getattr(item, "id"))  # noqa: B009  # every listed noun has an id


def items_of(items: Iterable[T], convert: Callable[[T], U]) -> list[U]:
    """Return the items of a page in the API's shapes."""
    return [convert(item) for item in items]
