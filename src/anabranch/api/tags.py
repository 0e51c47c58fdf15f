"""Operations on tags."""

from anabranch.api import bodies, requests
from anabranch.api.operations import (
    FORCE,
    PAGE,
    Answer,
    Call,
    Operation,
    empty_response,
    json_response,
)
from anabranch.api.pages import items_of, pagination_of
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel.ids import Ref, parse_tag_id

_TAG = "tags"
_ALL = "/repositories/{repository}/tags"
_ONE = f"{_ALL}/{{tag}}"


async def list_tags(call: Call) -> Response:
    """Answer a page of tags by name."""
    page = await call_local(
        call.lake.tags.list,
        call.repository(),
        prefix=call.text("prefix"),
        after=call.text("after"),
        amount=call.amount(),
    )
    results = items_of(page.items, bodies.tag_body)
    return json_response(200, bodies.RefList(pagination_of(page), results))


async def create_tag(call: Call) -> Response:
    """Give a commit a fixed name."""
    wanted = call.body(requests.TagCreation)
    tag = await call_thread(
        call.lake.tags.create, call.repository(), parse_tag_id(wanted.id), Ref(wanted.ref)
    )
    return json_response(201, bodies.tag_body(tag))


async def get_tag(call: Call) -> Response:
    """Answer one tag."""
    tag = await call_local(call.lake.tags.get, call.repository(), call.tag())
    return json_response(200, bodies.tag_body(tag))


async def delete_tag(call: Call) -> Response:
    """Remove a tag; the commit stays."""
    await call_thread(call.lake.tags.delete, call.repository(), call.tag())
    return empty_response()


OPERATIONS = (
    Operation(
        "listTags",
        "GET",
        _ALL,
        _TAG,
        list_tags,
        "list tags",
        parameters=PAGE,
        answers={200: Answer(bodies.RefList)},
        errors=(404,),
    ),
    Operation(
        "createTag",
        "POST",
        _ALL,
        _TAG,
        create_tag,
        "create a tag",
        body=requests.TagCreation,
        answers={201: Answer(bodies.Ref)},
        errors=(403, 404, 409, 410, 423),
    ),
    Operation(
        "getTag",
        "GET",
        _ONE,
        _TAG,
        get_tag,
        "get a tag",
        answers={200: Answer(bodies.Ref)},
        errors=(404,),
    ),
    Operation(
        "deleteTag",
        "DELETE",
        _ONE,
        _TAG,
        delete_tag,
        "delete a tag",
        parameters=(FORCE,),
        answers={204: Answer()},
        errors=(403, 404, 409, 423),
    ),
)
