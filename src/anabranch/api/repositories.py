"""Operations on repositories and their metadata."""

from anabranch.api import bodies, requests
from anabranch.api.operations import (
    PAGE,
    Answer,
    Call,
    Operation,
    Parameter,
    ValueKind,
    empty_response,
    json_response,
)
from anabranch.api.pages import filtered_page, items_of, pagination_of
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, NotSupported
from anabranch.kernel.ids import BranchId, parse_branch_id, parse_namespace, parse_repository_id
from anabranch.kernel.pages import Page
from anabranch.lake.values import Repository

_TAG = "repositories"
_ONE = "/repositories/{repository}"
_METADATA = f"{_ONE}/metadata"


async def list_repositories(call: Call) -> Response:
    """Answer a page of repositories by name."""
    prefix, after, amount = call.text("prefix"), call.text("after"), call.amount()
    search = call.text("search")

    def fetch(after: str, amount: int) -> Page[Repository]:
        return call.lake.repositories.list(prefix=prefix, after=after, amount=amount)

    if search:
        page = await call_thread(
            filtered_page,
            lambda start: fetch(start, limits.PAGE_MAX),
            lambda one: search in one.id,
            after,
            amount,
        )
    else:
        page = await call_local(fetch, after, amount)
    results = items_of(page.items, bodies.repository_body)
    return json_response(200, bodies.RepositoryList(pagination_of(page), results))


async def create_repository(call: Call) -> Response:
    """Make a repository with its default branch."""
    wanted = call.body(requests.RepositoryCreation)
    if wanted.sample_data:
        raise NotSupported(Kind.NOT_SUPPORTED, "sample data is not offered: set it to false")
    branch = parse_branch_id(wanted.default_branch) if wanted.default_branch else BranchId("main")
    repository = await call_thread(
        call.lake.repositories.create,
        parse_repository_id(wanted.name),
        parse_namespace(wanted.storage_namespace),
        default_branch=branch,
        is_read_only=bool(wanted.read_only),
        is_bare=call.flag("bare"),
        committer=call.user,
    )
    return json_response(201, bodies.repository_body(repository))


async def get_repository(call: Call) -> Response:
    """Answer one repository."""
    repository = await call_local(call.lake.repositories.get, call.repository())
    return json_response(200, bodies.repository_body(repository))


async def delete_repository(call: Call) -> Response:
    """Forget a repository; its bytes stay until retention removes them."""
    repository = call.repository()
    await call_thread(call.lake.repositories.delete, repository, is_forced=call.flag("force"))
    return empty_response()


async def get_repository_metadata(call: Call) -> Response:
    """Answer the metadata of a repository."""
    return json_response(
        200, await call_local(call.lake.repositories.get_metadata, call.repository())
    )


async def set_repository_metadata(call: Call) -> Response:
    """Add pairs to the metadata of a repository, or replace them."""
    wanted = call.body(requests.RepositoryMetadataSet)
    await call_thread(call.lake.repositories.set_metadata, call.repository(), wanted.metadata)
    return empty_response()


async def delete_repository_metadata(call: Call) -> Response:
    """Remove pairs from the metadata of a repository."""
    wanted = call.body(requests.RepositoryMetadataKeys)
    await call_thread(call.lake.repositories.delete_metadata, call.repository(), wanted.keys)
    return empty_response()


OPERATIONS = (
    Operation(
        "listRepositories",
        "GET",
        "/repositories",
        _TAG,
        list_repositories,
        "list repositories",
        parameters=(*PAGE, Parameter("search", text="only names that contain it")),
        answers={200: Answer(bodies.RepositoryList)},
    ),
    Operation(
        "createRepository",
        "POST",
        "/repositories",
        _TAG,
        create_repository,
        "create a repository",
        parameters=(
            Parameter(
                "bare",
                ValueKind.FLAG,
                default=False,
                text="without branch and commit, to restore refs into; may take over the storage "
                "namespace of a deleted repository",
            ),
        ),
        body=requests.RepositoryCreation,
        answers={201: Answer(bodies.Repository)},
        errors=(409, 501),
    ),
    Operation(
        "getRepository",
        "GET",
        _ONE,
        _TAG,
        get_repository,
        "get a repository",
        answers={200: Answer(bodies.Repository)},
        errors=(404,),
    ),
    Operation(
        "deleteRepository",
        "DELETE",
        _ONE,
        _TAG,
        delete_repository,
        "delete a repository",
        parameters=(
            Parameter("force", ValueKind.FLAG, default=False, text="also a read-only one"),
        ),
        answers={204: Answer()},
        errors=(403, 404, 409, 423),
    ),
    Operation(
        "getRepositoryMetadata",
        "GET",
        _METADATA,
        _TAG,
        get_repository_metadata,
        "get the metadata of a repository",
        answers={200: Answer(dict[str, str])},
        errors=(404,),
    ),
    Operation(
        "setRepositoryMetadata",
        "POST",
        _METADATA,
        "internal",
        set_repository_metadata,
        "add or replace metadata of a repository",
        body=requests.RepositoryMetadataSet,
        answers={204: Answer()},
        errors=(403, 404, 409, 423),
    ),
    Operation(
        "deleteRepositoryMetadata",
        "DELETE",
        _METADATA,
        "internal",
        delete_repository_metadata,
        "remove metadata of a repository",
        body=requests.RepositoryMetadataKeys,
        answers={204: Answer()},
        errors=(403, 404, 409, 423),
    ),
)
