"""Operations for clients that write bytes into the block store themselves, then link them."""

from anabranch.api import bodies, requests
from anabranch.api.objects import PRESIGN, refuse_presign
from anabranch.api.operations import OBJECT_PATH, Answer, Call, Operation, json_response
from anabranch.api.transfers import IF_MATCH, IF_NONE_MATCH, parse_content_type, precondition_of
from anabranch.edge.blocking import call_local
from anabranch.edge.http import Response
from anabranch.kernel.entries import parse_metadata
from anabranch.kernel.errors import InvalidInput, Kind, NotFound

_BACKING = "/repositories/{repository}/branches/{branch}/staging/backing"
_TAG = "staging"


async def get_physical_address(call: Call) -> Response:
    """Issue an address that takes the bytes of one object, once, until it expires."""
    refuse_presign(call)
    path = call.object_path()
    target = await call_local(call.lake.objects.writable, call.repository(), call.branch())
    making = call.lake.addresses.making_issue(target, path)
    return json_response(200, bodies.StagingLocation(await call.lake.writer.submit_async(making)))


async def link_physical_address(call: Call) -> Response:
    """Put the bytes at an issued address under the path it was issued for."""
    wanted = call.body(requests.StagingMetadata)
    path = call.object_path()
    target = await call_local(call.lake.objects.writable, call.repository(), call.branch())
    making = call.lake.addresses.making_link(
        target,
        path,
        wanted.staging.physical_address,
        checksum=wanted.checksum.strip('"'),
        size_bytes=wanted.size_bytes,
        content_type=parse_content_type(wanted.content_type or ""),
        metadata=parse_metadata(wanted.user_metadata or {}),
        precondition=precondition_of(call),
    )
    try:
        stat = await call.lake.writer.submit_async(making)
    except NotFound as error:
        if error.kind is not Kind.BLOCK_NOT_FOUND:
            raise
        # The address is the client's to fill: to link nothing is its mistake.
        raise InvalidInput(
            Kind.VALUE, "staging.physical_address: nothing was written to the address"
        ) from None
    return json_response(200, bodies.stat_body(stat))


OPERATIONS = (
    Operation(
        "getPhysicalAddress",
        "GET",
        _BACKING,
        _TAG,
        get_physical_address,
        "get an address to write an object to",
        parameters=(OBJECT_PATH, PRESIGN),
        answers={200: Answer(bodies.StagingLocation)},
        errors=(403, 404, 409),
    ),
    Operation(
        "linkPhysicalAddress",
        "PUT",
        _BACKING,
        _TAG,
        link_physical_address,
        "link bytes at an issued address to a path",
        parameters=(OBJECT_PATH, IF_NONE_MATCH, IF_MATCH),
        body=requests.StagingMetadata,
        answers={200: Answer(bodies.ObjectStats)},
        errors=(403, 404, 409, 412),
    ),
)
