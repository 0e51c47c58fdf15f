"""Differences: between two refs, and between a branch's head and its staging."""

from anabranch.api import bodies
from anabranch.api.operations import (
    AFTER,
    AMOUNT,
    DELIMITER,
    PREFIX,
    Answer,
    Call,
    Operation,
    Parameter,
    ValueKind,
    json_response,
)
from anabranch.api.pages import items_of, page_response, pagination_of
from anabranch.edge.blocking import call_thread
from anabranch.edge.http import Response
from anabranch.native.ranges import diffs_json

_PARAMETERS = (AFTER, AMOUNT, PREFIX, DELIMITER)


async def diff_branch(call: Call) -> Response:
    """Answer a page of what is uncommitted."""
    page = await call_thread(
        call.lake.diffs.uncommitted,
        call.repository(),
        call.branch(),
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=call.amount(),
        delimiter=call.text("delimiter"),
    )
    results = items_of(page.items, bodies.diff_body)
    return json_response(200, bodies.DiffList(pagination_of(page), results))


async def diff_refs(call: Call) -> Response:
    """Answer a page of how one ref differs from another, or from their merge base."""
    amount = call.amount()
    if amount and not call.text("delimiter"):
        return await call_thread(_plain_page, call, amount)
    page = await call_thread(
        call.lake.diffs.refs,
        call.repository(),
        call.ref("leftRef"),
        call.ref("rightRef"),
        is_three_dot=_is_three_dot(call),
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=amount,
        delimiter=call.text("delimiter"),
    )
    with_right = call.flag("include_right_stats")
    results = items_of(page.items, lambda one: bodies.diff_body(one, with_right=with_right))
    return json_response(200, bodies.DiffList(pagination_of(page), results))


def _plain_page(call: Call, amount: int) -> Response:
    """Answer a page of objects alone; it is written from columns, without a value for each."""
    page = call.lake.diffs.ref_rows(
        call.repository(),
        call.ref("leftRef"),
        call.ref("rightRef"),
        is_three_dot=_is_three_dot(call),
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=amount,
    )
    results = diffs_json(page.batches, call.flag("include_right_stats"))
    return page_response(page.count, page.next_after, results)


def _is_three_dot(call: Call) -> bool:
    return call.text("type") != "two_dot"


OPERATIONS = (
    Operation(
        "diffBranch",
        "GET",
        "/repositories/{repository}/branches/{branch}/diff",
        "branches",
        diff_branch,
        "list uncommitted changes",
        parameters=_PARAMETERS,
        answers={200: Answer(bodies.DiffList)},
        errors=(404,),
    ),
    Operation(
        "diffRefs",
        "GET",
        "/repositories/{repository}/refs/{leftRef}/diff/{rightRef}",
        "refs",
        diff_refs,
        "list the differences of two refs",
        parameters=(
            *_PARAMETERS,
            Parameter(
                "type",
                default="three_dot",
                choices=("two_dot", "three_dot"),
                text="three_dot: what the right side did since the merge base",
            ),
            Parameter(
                "include_right_stats",
                ValueKind.FLAG,
                default=False,
                text="with the right side of added and changed objects",
            ),
        ),
        answers={200: Answer(bodies.DiffList)},
        errors=(404,),
    ),
)
