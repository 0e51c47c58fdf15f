"""DeleteObject and DeleteObjects: what is not there is deleted successfully."""

from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError
from anabranch.s3.addressing import check_key
from anabranch.s3.bucket import Bucket, Deletion
from anabranch.s3.calls import Call, empty_response, parse_precondition, xml_response
from anabranch.s3.errors import Refused, code_of
from anabranch.s3.payload import receive_document
from anabranch.s3.xml import Element, document, element, malformed, parse


async def delete_object(call: Call) -> Response:
    """Delete one key."""
    bucket = call.bucket()
    if parse_precondition(call) is not None:
        raise Refused("NotImplemented", "A conditional delete is not offered.")
    for deletion in await call_local(bucket.deletions, [call.key]):
        if deletion.error is not None:
            raise deletion.error
        await _run(bucket, deletion)
    return empty_response(204)


async def _run(bucket: Bucket, deletion: Deletion) -> None:
    if deletion.make is None:
        return
    if len(deletion.keys) <= limits.INLINE_KEYS_MAX:
        await bucket.writer.submit_async(deletion.make)
    else:
        await call_thread(bucket.writer.submit, deletion.make)


async def delete_objects(call: Call) -> Response:
    """Delete up to 1,000 keys; those of one branch in one transaction."""
    bucket = call.bucket()
    await call_local(bucket.require)
    data = await receive_document(call.request, call.header, call.identity.form)
    parse_in = call_local if len(data) <= limits.SMALL_OBJECT_BYTES_MAX else call_thread
    keys, is_quiet = await parse_in(_parse, data)
    answers: dict[str, str] = {}
    run = call_local if len(keys) <= limits.INLINE_KEYS_MAX else call_thread
    for deletion in await run(bucket.deletions, keys):
        error = deletion.error
        if error is None:
            try:
                await _run(bucket, deletion)
            except AnabranchError as problem:
                error = problem
        for key in deletion.keys:
            answers[key] = _answer(key, error, is_quiet=is_quiet)
    return xml_response(document("DeleteResult", *(answers[key] for key in keys)))


def _answer(key: str, error: AnabranchError | None, *, is_quiet: bool) -> str:
    if error is None:
        return "" if is_quiet else f"<Deleted>{element('Key', key)}</Deleted>"
    code, message = element("Code", code_of(error)), element("Message", error.message)
    return f"<Error>{element('Key', key)}{code}{message}</Error>"


def _parse(data: bytes) -> tuple[list[str], bool]:
    """Return the keys of a Delete document in order, each once, and whether successes are told."""
    root = parse(data, "Delete")
    quiet = root.child_text("Quiet", "false").strip().lower()
    if quiet not in ("true", "false"):
        raise malformed("<Quiet> is true or false")
    objects = root.all("Object")
    if not 0 < len(objects) <= limits.DELETE_PATHS_MAX:
        raise malformed(f"<Delete> must have 1 to {limits.DELETE_PATHS_MAX} objects")
    return list(dict.fromkeys(_key(one) for one in objects)), quiet == "true"


def _key(one: Element) -> str:
    key = one.child_text("Key")
    if not key:
        raise malformed("a key must not be empty")
    if one.child_text("VersionId", "null") not in ("null", ""):
        raise Refused("NotImplemented", "Deleting versions is not offered.")
    if one.find("ETag") is not None or one.find("Size") is not None:
        raise Refused("NotImplemented", "A conditional delete is not offered.")
    return check_key(key)
