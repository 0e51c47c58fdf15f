"""Operations on branches: create, move, reset, revert, cherry-pick, delete."""

from anabranch.api import bodies, requests
from anabranch.api.operations import (
    AFTER,
    AMOUNT,
    FORCE,
    HTML,
    PREFIX,
    Answer,
    Call,
    Operation,
    Parameter,
    ValueKind,
    empty_response,
    json_response,
    wrong_field,
)
from anabranch.api.pages import items_of, pagination_of
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel.commits import parse_commit_metadata, parse_message
from anabranch.kernel.errors import Kind, NotSupported
from anabranch.kernel.ids import Ref, parse_branch_id, parse_path
from anabranch.kernel.refs import parse_ref

_TAG = "branches"
_ALL = "/repositories/{repository}/branches"
_ONE = f"{_ALL}/{{branch}}"
_CHANGES = (403, 404, 409, 410, 423)


async def list_branches(call: Call) -> Response:
    """Answer a page of branches by name."""
    page = await call_local(
        call.lake.branches.list,
        call.repository(),
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=call.amount(),
        with_hidden=call.flag("show_hidden"),
    )
    results = items_of(page.items, bodies.branch_body)
    return json_response(200, bodies.RefList(pagination_of(page), results))


async def create_branch(call: Call) -> Response:
    """Make a branch; the answer is its commit id as plain text, which clients take as it is."""
    wanted = call.body(requests.BranchCreation)
    source = Ref(wanted.source)
    making = call.lake.branches.making_create(
        call.repository(), parse_branch_id(wanted.name), source, is_hidden=bool(wanted.hidden)
    )
    if parse_ref(source).is_plain:
        branch = await call.lake.writer.submit_async(making)
    else:
        # It may walk far through the history.
        branch = await call_thread(call.lake.writer.submit, making)
    return Response(201, [(b"content-type", b"text/html")], branch.head.encode())


async def get_branch(call: Call) -> Response:
    """Answer a branch and its head."""
    branch = await call_local(call.lake.branches.get, call.repository(), call.branch())
    return json_response(200, bodies.branch_body(branch))


async def delete_branch(call: Call) -> Response:
    """Delete a branch with what is uncommitted on it."""
    await call_thread(call.lake.branches.delete, call.repository(), call.branch())
    return empty_response()


async def reset_branch(call: Call) -> Response:
    """Forget what is uncommitted: all of it, under a prefix, or at a path."""
    wanted = call.body(requests.ResetCreation)
    repository, branch, branches = call.repository(), call.branch(), call.lake.branches
    if wanted.type == "reset":
        await call_thread(branches.reset, repository, branch)
    elif wanted.path is None:
        raise wrong_field("path", f"it is required to reset type {wanted.type}")
    elif wanted.type == "object":
        await call_thread(branches.reset_path, repository, branch, parse_path(wanted.path))
    else:
        await call_thread(branches.reset_prefix, repository, branch, wanted.path)
    return empty_response()


async def hard_reset_branch(call: Call) -> Response:
    """Move a branch to another commit; history that only it had is then unreachable."""
    await call_thread(
        call.lake.branches.hard_reset, call.repository(), call.branch(), Ref(call.text("ref"))
    )
    return empty_response()


async def revert_branch(call: Call) -> Response:
    """Undo a commit by a new one."""
    wanted = call.body(requests.RevertCreation)
    overrides = wanted.commit_overrides or requests.CommitOverrides()
    await call_thread(
        call.lake.merges.revert,
        call.repository(),
        call.branch(),
        Ref(wanted.ref),
        parent_number=wanted.parent_number or None,
        committer=call.user,
        message=parse_message(overrides.message or ""),
        metadata=parse_commit_metadata(overrides.metadata or {}),
        allow_empty=bool(wanted.allow_empty),
    )
    return empty_response()


async def cherry_pick(call: Call) -> Response:
    """Repeat a commit's changes on a branch."""
    wanted = call.body(requests.CherryPickCreation)
    overrides = wanted.commit_overrides
    if overrides is not None and (overrides.message or overrides.metadata):
        raise NotSupported(
            Kind.NOT_SUPPORTED, "commit_overrides: a cherry-pick keeps its message and metadata"
        )
    commit = await call_thread(
        call.lake.merges.cherry_pick,
        call.repository(),
        call.branch(),
        Ref(wanted.ref),
        parent_number=wanted.parent_number or None,
        committer=call.user,
    )
    return json_response(201, bodies.commit_body(commit))


OPERATIONS = (
    Operation(
        "listBranches",
        "GET",
        _ALL,
        _TAG,
        list_branches,
        "list branches",
        parameters=(
            PREFIX,
            AFTER,
            AMOUNT,
            Parameter("show_hidden", ValueKind.FLAG, default=False, text="hidden ones too"),
        ),
        answers={200: Answer(bodies.RefList)},
        errors=(404,),
    ),
    Operation(
        "createBranch",
        "POST",
        _ALL,
        _TAG,
        create_branch,
        "create a branch",
        body=requests.BranchCreation,
        answers={201: Answer(str, HTML, "the commit id")},
        errors=_CHANGES,
    ),
    Operation(
        "getBranch",
        "GET",
        _ONE,
        _TAG,
        get_branch,
        "get a branch",
        answers={200: Answer(bodies.Ref)},
        errors=(404,),
    ),
    Operation(
        "deleteBranch",
        "DELETE",
        _ONE,
        _TAG,
        delete_branch,
        "delete a branch",
        parameters=(FORCE,),
        answers={204: Answer()},
        errors=_CHANGES,
    ),
    Operation(
        "resetBranch",
        "PUT",
        _ONE,
        _TAG,
        reset_branch,
        "forget uncommitted changes",
        body=requests.ResetCreation,
        answers={204: Answer()},
        errors=_CHANGES,
    ),
    Operation(
        "hardResetBranch",
        "PUT",
        f"{_ONE}/hard_reset",
        "experimental",
        hard_reset_branch,
        "move a branch to another commit",
        parameters=(Parameter("ref", is_required=True, text="where the branch goes"), FORCE),
        answers={204: Answer()},
        errors=_CHANGES,
    ),
    Operation(
        "revertBranch",
        "POST",
        f"{_ONE}/revert",
        _TAG,
        revert_branch,
        "undo a commit",
        body=requests.RevertCreation,
        answers={204: Answer()},
        errors=_CHANGES,
    ),
    Operation(
        "cherryPick",
        "POST",
        f"{_ONE}/cherry-pick",
        _TAG,
        cherry_pick,
        "repeat a commit on a branch",
        body=requests.CherryPickCreation,
        answers={201: Answer(bodies.Commit)},
        errors=(*_CHANGES, 501),
    ),
)
