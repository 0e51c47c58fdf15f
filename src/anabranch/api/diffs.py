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
from anabranch.api.pages import items_of, pagination_of
from anabranch.edge.blocking import call_thread
from anabranch.edge.http import Response

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
    page = await call_thread(
        call.lake.diffs.refs,
        call.repository(),
        call.ref("leftRef"),
        call.ref("rightRef"),
        is_three_dot=call.text("type") != "two_dot",
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=call.amount(),
        delimiter=call.text("delimiter"),
    )
    with_right = call.flag("include_right_stats")
    results = items_of(page.items, lambda one: bodies.diff_body(one, with_right=with_right))
    return json_response(200, bodies.DiffList(pagination_of(page), results))


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
