"""Operations on objects that answer or change metadata; bytes go through reading and writing."""

from anabranch.api import bodies, requests
from anabranch.api.errors import status_of
from anabranch.api.operations import (
    DELIMITER,
    FORCE,
    OBJECT_PATH,
    PAGE,
    Answer,
    Call,
    Operation,
    Parameter,
    ValueKind,
    empty_response,
    json_response,
    wrong_field,
)
from anabranch.api.pages import items_of, page_response, pagination_of
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.entries import parse_metadata
from anabranch.kernel.errors import InvalidInput
from anabranch.kernel.ids import Path, Ref, parse_path
from anabranch.kernel.pages import Page
from anabranch.lake.values import CommonPrefix, Stat
from anabranch.native.ranges import stats_json

REF_OBJECTS = "/repositories/{repository}/refs/{ref}/objects"
BRANCH_OBJECTS = "/repositories/{repository}/branches/{branch}/objects"
_TAG = "objects"

PRESIGN = Parameter(
    "presign",
    ValueKind.FLAG,
    default=False,
    text="not offered: see pre_sign_support of the storage configuration",
)
_USER_METADATA = Parameter(
    "user_metadata", ValueKind.FLAG, default=True, text="with the objects' user metadata"
)
_NO_TOMBSTONE = Parameter("no_tombstone", ValueKind.FLAG, default=False, text="makes no difference")


def refuse_presign(call: Call) -> None:
    """Raise InvalidInput for a request that wants a presigned URL."""
    if call.flag("presign"):
        raise wrong_field("presign", "this block store has no presigned URLs")


def find_object(call: Call) -> Stat:
    """Return the object that a request names by ref and path."""
    resolved = call.lake.resolve.resolve(call.repository(), call.ref())
    return call.lake.objects.stat(resolved, call.object_path())


async def stat_object(call: Call) -> Response:
    """Answer what is known of one object."""
    refuse_presign(call)
    found = await call_local(find_object, call)
    return json_response(200, bodies.stat_body(found, with_metadata=call.flag("user_metadata")))


async def list_objects(call: Call) -> Response:
    """Answer a page of the objects at a ref in byte order, rolled up at the delimiter."""
    refuse_presign(call)
    amount = call.amount()
    if amount and not call.text("delimiter"):
        return await call_thread(_plain_page, call, amount)

    def fetch() -> Page[Stat | CommonPrefix]:
        return call.lake.listing.page(
            call.lake.resolve.resolve(call.repository(), call.ref()),
            prefix=call.text("prefix"),
            after=call.text("after"),
            amount=amount,
            delimiter=call.text("delimiter"),
        )

    # A short page too may walk over many tombstones before it finds anything.
    page = await call_thread(fetch)
    with_metadata = call.flag("user_metadata")
    results = items_of(page.items, lambda one: bodies.stat_body(one, with_metadata=with_metadata))
    return json_response(200, bodies.ObjectStatsList(pagination_of(page), results))


def _plain_page(call: Call, amount: int) -> Response:
    """Answer a page of objects alone; it is written from columns, without a value for each."""
    page = call.lake.listing.rows(
        call.lake.resolve.resolve(call.repository(), call.ref()),
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=amount,
    )
    results = stats_json(page.rows, page.repository.namespace, call.flag("user_metadata"))
    return page_response(len(page.rows), page.next_after, results)


async def get_underlying_properties(call: Call) -> Response:
    """Answer what the block store says of an object: local blocks have one storage class."""
    await call_local(find_object, call)
    return json_response(200, bodies.UnderlyingObjectProperties())


async def delete_object(call: Call) -> Response:
    """Delete one path; deleting what is not there succeeds."""
    path = call.object_path()
    target = await call_local(call.lake.objects.writable, call.repository(), call.branch())
    await call.lake.writer.submit_async(call.lake.objects.making_delete(target, path))
    return empty_response()


async def delete_objects(call: Call) -> Response:
    """Delete many paths at once; answers those that are not paths."""
    wanted = call.body(requests.PathList)
    if len(wanted.paths) > limits.DELETE_PATHS_MAX:
        raise wrong_field("paths", f"at most {limits.DELETE_PATHS_MAX} in one request")
    paths: dict[Path, None] = {}
    errors: list[bodies.ObjectError] = []
    for text in wanted.paths:
        try:
            paths[parse_path(text)] = None
        except InvalidInput as error:
            errors.append(bodies.ObjectError(status_of(error), error.message, text))
    target = await call_local(call.lake.objects.writable, call.repository(), call.branch())
    if paths:
        making = call.lake.objects.making_delete_many(target, tuple(paths))
        await call_thread(call.lake.writer.submit, making)
    return json_response(200, bodies.ObjectErrorList(errors))


async def copy_object(call: Call) -> Response:
    """Give an object a second path in its repository; no bytes are copied."""
    wanted = call.body(requests.ObjectCopyCreation)
    dest_path, source_path = call.object_path("dest_path"), parse_path(wanted.src_path)
    repository, branch = call.repository(), call.branch()
    target = await call_local(call.lake.objects.writable, repository, branch)
    source = await call_local(
        call.lake.resolve.resolve, repository, Ref(wanted.src_ref or str(branch))
    )
    making = call.lake.objects.making_copy(target, dest_path, source, source_path)
    stat = await call.lake.writer.submit_async(making)
    return json_response(201, bodies.stat_body(stat))


async def update_object_user_metadata(call: Call) -> Response:
    """Replace an object's user metadata."""
    wanted = call.body(requests.UpdateObjectUserMetadata)
    path, metadata = call.object_path(), parse_metadata(wanted.set)
    target = await call_local(call.lake.objects.writable, call.repository(), call.branch())
    making = call.lake.objects.making_set_metadata(target, path, metadata)
    await call.lake.writer.submit_async(making)
    return empty_response(201)


OPERATIONS = (
    Operation(
        "statObject",
        "GET",
        f"{REF_OBJECTS}/stat",
        _TAG,
        stat_object,
        "get what is known of an object",
        parameters=(OBJECT_PATH, _USER_METADATA, PRESIGN),
        answers={200: Answer(bodies.ObjectStats)},
        errors=(404, 410),
    ),
    Operation(
        "listObjects",
        "GET",
        f"{REF_OBJECTS}/ls",
        _TAG,
        list_objects,
        "list objects",
        parameters=(*PAGE, DELIMITER, _USER_METADATA, PRESIGN),
        answers={200: Answer(bodies.ObjectStatsList)},
        errors=(404,),
    ),
    Operation(
        "getUnderlyingProperties",
        "GET",
        f"{REF_OBJECTS}/underlyingProperties",
        _TAG,
        get_underlying_properties,
        "get what the block store says of an object",
        parameters=(OBJECT_PATH,),
        answers={200: Answer(bodies.UnderlyingObjectProperties)},
        errors=(404, 410),
    ),
    Operation(
        "deleteObject",
        "DELETE",
        BRANCH_OBJECTS,
        _TAG,
        delete_object,
        "delete an object",
        parameters=(OBJECT_PATH, FORCE, _NO_TOMBSTONE),
        answers={204: Answer()},
        errors=(403, 404, 409),
    ),
    Operation(
        "deleteObjects",
        "POST",
        f"{BRANCH_OBJECTS}/delete",
        _TAG,
        delete_objects,
        "delete objects",
        parameters=(FORCE, _NO_TOMBSTONE),
        body=requests.PathList,
        answers={200: Answer(bodies.ObjectErrorList)},
        errors=(403, 404, 409),
    ),
    Operation(
        "copyObject",
        "POST",
        f"{BRANCH_OBJECTS}/copy",
        _TAG,
        copy_object,
        "copy an object",
        parameters=(Parameter("dest_path", is_required=True, text="path of the copy"),),
        body=requests.ObjectCopyCreation,
        answers={201: Answer(bodies.ObjectStats)},
        errors=(403, 404, 409, 410),
    ),
    Operation(
        "updateObjectUserMetadata",
        "PUT",
        f"{BRANCH_OBJECTS}/stat/user_metadata",
        _TAG,
        update_object_user_metadata,
        "replace an object's user metadata",
        parameters=(OBJECT_PATH,),
        body=requests.UpdateObjectUserMetadata,
        answers={201: Answer()},
        errors=(403, 404, 409),
    ),
)
