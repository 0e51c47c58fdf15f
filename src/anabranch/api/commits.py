"""Operations on commits: commit, get, log."""

from anabranch.api import bodies, requests
from anabranch.api.operations import (
    AFTER,
    AMOUNT,
    Answer,
    Call,
    Operation,
    Parameter,
    ValueKind,
    json_response,
    wrong_field,
)
from anabranch.api.pages import items_of, pagination_of
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel.commits import parse_commit_metadata, parse_message
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.ids import MetarangeId, Ref, is_hex, parse_path

_ID_DIGITS = 64


async def commit(call: Call) -> Response:
    """Make a commit of what is uncommitted on a branch."""
    wanted = call.body(requests.CommitCreation)
    metarange = call.text("source_metarange")
    if metarange and not is_hex(metarange, _ID_DIGITS):
        raise wrong_field("source_metarange", "not the id of a metarange")
    made = await call_thread(
        call.lake.commits.create,
        call.repository(),
        call.branch(),
        message=parse_message(wanted.message),
        committer=call.user,
        metadata=parse_commit_metadata(wanted.metadata or {}),
        created_us=None if wanted.date is None else wanted.date * 1_000_000,
        allow_empty=bool(wanted.allow_empty),
        source_metarange=MetarangeId(metarange) if metarange else None,
    )
    return json_response(201, bodies.commit_body(made, is_new=True))


async def get_commit(call: Call) -> Response:
    """Answer the commit that an id, a prefix of one or any other ref stands for."""
    found = await call_local(call.lake.commits.of, call.repository(), call.ref("commitId"))
    return json_response(200, bodies.commit_body(found))


async def log_commits(call: Call) -> Response:
    """Answer a page of the commits behind a ref, newest first."""
    after, stop_at = call.text("after"), call.text("stop_at")
    if after and not is_hex(after, _ID_DIGITS):
        raise InvalidInput(Kind.CURSOR, "after: not a commit id that a page ended with")
    page = await call_thread(
        call.lake.commits.log,
        call.repository(),
        call.ref(),
        after=after,
        amount=call.amount(),
        objects=tuple(parse_path(one) for one in call.texts("objects") if one),
        prefixes=tuple(one for one in call.texts("prefixes") if one),
        since_us=call.number("since"),
        stop_at=Ref(stop_at) if stop_at else None,
        first_parent=call.flag("first_parent"),
        is_limited=call.flag("limit"),
    )
    results = items_of(page.items, bodies.commit_body)
    return json_response(200, bodies.CommitList(pagination_of(page), results))


OPERATIONS = (
    Operation(
        "commit",
        "POST",
        "/repositories/{repository}/branches/{branch}/commits",
        "commits",
        commit,
        "commit what is uncommitted",
        parameters=(
            Parameter("source_metarange", text="commit this metarange instead of staging"),
        ),
        body=requests.CommitCreation,
        answers={201: Answer(bodies.Commit)},
        errors=(403, 404, 409, 410, 412, 423),
    ),
    Operation(
        "getCommit",
        "GET",
        "/repositories/{repository}/commits/{commitId}",
        "commits",
        get_commit,
        "get a commit",
        answers={200: Answer(bodies.Commit)},
        errors=(404,),
    ),
    Operation(
        "logCommits",
        "GET",
        "/repositories/{repository}/refs/{ref}/commits",
        "refs",
        log_commits,
        "list the commits behind a ref",
        parameters=(
            AFTER,
            AMOUNT,
            Parameter("objects", ValueKind.TEXTS, text="only commits that changed one of them"),
            Parameter("prefixes", ValueKind.TEXTS, text="only commits that changed below one"),
            Parameter("limit", ValueKind.FLAG, default=False, text="at most `amount` in all"),
            Parameter("first_parent", ValueKind.FLAG, default=False, text="first parents only"),
            Parameter("since", ValueKind.TIME, text="leave out older commits"),
            Parameter("stop_at", text="a ref: the last commit to show"),
        ),
        answers={200: Answer(bodies.CommitList)},
        errors=(404,),
    ),
)
