"""PutObject: bytes of any payload form, checked, then visible by one transaction."""

from anabranch.edge.blocking import call_local
from anabranch.edge.bodies import receive
from anabranch.edge.http import Headers, Response
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, NotFound
from anabranch.kernel.preconditions import Precondition
from anabranch.s3.bucket import Attributes, Bucket
from anabranch.s3.calls import Call, parse_attributes, parse_precondition, quoted
from anabranch.s3.checksums import Checksum
from anabranch.s3.errors import Refused
from anabranch.s3.payload import CheckedBody, MemoryBody, parse_promises


async def put_object(call: Call) -> Response:
    """Store an object; everything that can refuse it is judged before its first byte is asked for.

    A write of `ref/` takes an empty body and stores nothing (clients make such folders).
    """
    bucket = call.bucket()
    place = await call_local(bucket.place, call.key, may_guess=call.request.is_body_small)
    promises = parse_promises(call.header, call.identity.form, bytes_max=limits.PUT_BYTES_MAX)
    attributes = parse_attributes(call)
    precondition = parse_precondition(call)
    if place.is_nothing:
        nothing = MemoryBody(limits.SMALL_OBJECT_BYTES_MAX)
        checked = CheckedBody(nothing, call.identity.form, promises)
        await receive(call.request, checked)
        if nothing.size_bytes:
            raise Refused("InvalidArgument", "A key that ends with its ref has no room for bytes.")
        return put_response(nothing.etag, checked.checksum)
    if precondition is not None:
        await _check_early(bucket, call.key, precondition)
    body = bucket.open_body(place)
    checked = CheckedBody(body, call.identity.form, promises)
    await receive(call.request, checked)
    attributes = Attributes(
        attributes.content_type,
        attributes.metadata,
        checked.checksum.stored() if checked.checksum is not None else "",
    )
    try:
        make = bucket.making_put(place, body, attributes, precondition)
        stored = await bucket.writer.submit_async(make)
    except NotFound:
        if not place.is_guess:
            raise
        place = await call_local(bucket.place, call.key)
        bucket.move(body, place)
        make = bucket.making_put(place, body, attributes, precondition)
        stored = await bucket.writer.submit_async(make)
    return put_response(stored.entry.checksum, checked.checksum)


async def _check_early(bucket: Bucket, key: str, precondition: Precondition) -> None:
    """Judge a condition before the body is asked for; the write judges it again."""
    try:
        entry = (await call_local(bucket.stat, key)).entry
    except NotFound as error:
        # If-Match of an object that is not there is 404, as in S3.
        if error.kind is not Kind.OBJECT_NOT_FOUND or precondition.if_match is not None:
            raise
        entry = None
    precondition.check(entry)


def put_response(etag: str, checksum: Checksum | None) -> Response:
    """Return the answer of a write: its ETag, and the checksum that was verified."""
    return Response(200, [(b"etag", quoted(etag)), *checksum_headers(checksum)])


def checksum_headers(checksum: Checksum | None) -> Headers:
    """Return the headers of a checksum, none without one."""
    if checksum is None:
        return []
    return [
        (checksum.header.encode(), checksum.text().encode()),
        (b"x-amz-checksum-type", checksum.type.encode()),
    ]
