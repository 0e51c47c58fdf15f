"""Operations that merge: merge, its conflicts, its base."""

from typing import cast

from anabranch.api import bodies, requests
from anabranch.api.operations import AFTER, AMOUNT, Answer, Call, Operation, json_response
from anabranch.api.pages import items_of, pagination_of
from anabranch.edge.blocking import call_thread
from anabranch.edge.http import Response
from anabranch.kernel.commits import parse_commit_metadata, parse_message
from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import Ref
from anabranch.kernel.pages import Page
from anabranch.lake.values import MergeConflict

_MERGE = "/repositories/{repository}/refs/{sourceRef}/merge/{destinationBranch}"


async def merge_into_branch(call: Call) -> Response:
    """Merge a ref into a branch; a refusal lists the first page of all conflicts."""
    wanted = call.body(requests.Merge)
    try:
        result = await call_thread(
            call.lake.merges.merge,
            call.repository(),
            call.ref("sourceRef"),
            call.branch("destinationBranch"),
            committer=call.user,
            message=parse_message(wanted.message or ""),
            metadata=parse_commit_metadata(wanted.metadata or {}),
            strategy=wanted.strategy or None,
            is_squash=bool(wanted.squash_merge),
            allow_empty=bool(wanted.allow_empty),
        )
    except Conflict as error:
        if error.kind is not Kind.MERGE_CONFLICT:
            raise
        page = cast("Page[MergeConflict]", error.details["conflicts"])
        return json_response(
            409, bodies.MergeConflictResult(error.message, "", _conflict_list(page))
        )
    summary = bodies.MergeSummary(
        added=result.added, changed=result.changed, conflict=0, removed=result.removed
    )
    return json_response(200, bodies.MergeResult(result.commit_id, summary))


async def find_merge_base(call: Call) -> Response:
    """Answer the commits of both sides and their best common ancestor."""
    source, dest, base = await call_thread(
        call.lake.merges.base,
        call.repository(),
        call.ref("sourceRef"),
        call.ref("destinationBranch"),
    )
    if base is None:
        raise Conflict(Kind.NO_MERGE_BASE, "the histories have no common commit")
    return json_response(200, bodies.FindMergeBaseResult(source.id, dest.id, base.id))


async def list_merge_conflicts(call: Call) -> Response:
    """Answer a page of what a merge could not decide; nothing is merged."""
    page = await call_thread(
        call.lake.merges.conflicts,
        call.repository(),
        call.ref("sourceRef"),
        Ref(call.branch("destinationBranch")),
        after=call.text("after"),
        amount=call.amount(),
    )
    return json_response(200, _conflict_list(page))


def _conflict_list(page: Page[MergeConflict]) -> bodies.MergeConflictList:
    results = items_of(page.items, lambda one: bodies.MergeConflict(one.path, one.kind))
    return bodies.MergeConflictList(pagination_of(page), results)


OPERATIONS = (
    Operation(
        "mergeIntoBranch",
        "POST",
        _MERGE,
        "refs",
        merge_into_branch,
        "merge a ref into a branch",
        body=requests.Merge,
        is_body_optional=True,
        answers={
            200: Answer(bodies.MergeResult),
            409: Answer((bodies.MergeConflictResult, bodies.Error), text="conflicts found"),
        },
        errors=(403, 404, 410, 412, 423),
    ),
    Operation(
        "findMergeBase",
        "GET",
        _MERGE,
        "refs",
        find_merge_base,
        "find the best common ancestor",
        answers={200: Answer(bodies.FindMergeBaseResult)},
        errors=(404,),
    ),
    Operation(
        "listMergeConflicts",
        "GET",
        f"{_MERGE}/conflicts",
        "refs",
        list_merge_conflicts,
        "list what a merge could not decide (not in lakeFS)",
        parameters=(AFTER, AMOUNT),
        answers={200: Answer(bodies.MergeConflictList)},
        errors=(404,),
    ),
)
