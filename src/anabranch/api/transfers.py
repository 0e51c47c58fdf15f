"""Operations that carry an object's bytes: upload, download, HEAD."""

from collections.abc import AsyncIterator, Callable
from email.utils import formatdate

from anabranch.api import bodies
from anabranch.api.forms import boundary_of, open_part
from anabranch.api.objects import BRANCH_OBJECTS, PRESIGN, REF_OBJECTS, find_object, refuse_presign
from anabranch.api.operations import (
    BYTES,
    FORCE,
    OBJECT_PATH,
    Answer,
    Call,
    Operation,
    Parameter,
    Where,
    json_response,
    wrong_field,
)
from anabranch.api.ranges import ByteRange, parse_range
from anabranch.edge.blocking import call_local
from anabranch.edge.bodies import receive
from anabranch.edge.http import Headers, Response, header_value
from anabranch.edge.reading import body_of
from anabranch.kernel import limits
from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Metadata, parse_metadata
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind, NotFound
from anabranch.kernel.preconditions import Precondition, parse_etags
from anabranch.lake.values import Stat, Target
from anabranch.storage.blocks.base import Block
from anabranch.storage.kv.base import Prepared

_METADATA_HEADER = b"x-lakefs-meta-"
_FORM_FIELD = "content"

IF_MATCH = Parameter("If-Match", where=Where.HEADER, text="ETags, of which one must match")
IF_NONE_MATCH = Parameter("If-None-Match", where=Where.HEADER, text="ETags, or *: none may match")
_RANGE = Parameter("Range", where=Where.HEADER, text="one range of bytes")


def precondition_of(call: Call) -> Precondition | None:
    """Return the conditions that a request's headers put on the object, None for none."""
    if_match, if_none_match = call.text("If-Match"), call.text("If-None-Match")
    if not if_match and not if_none_match:
        return None
    return Precondition(
        if_match=parse_etags(if_match) if if_match else None,
        if_none_match=parse_etags(if_none_match) if if_none_match else None,
    )


def parse_content_type(text: str) -> str:
    """Return an object's content type: the default when none is given."""
    text = text.strip()
    if len(text.encode("utf-8", "replace")) > limits.CONTENT_TYPE_BYTES_MAX:
        raise wrong_field("content type", f"at most {limits.CONTENT_TYPE_BYTES_MAX} bytes")
    return text or DEFAULT_CONTENT_TYPE


async def upload_object(call: Call) -> Response:
    """Write an object: the raw body, or the part `content` of a form."""
    path, precondition = call.object_path(), precondition_of(call)
    metadata = _sent_metadata(call)
    target = await call_local(
        call.lake.objects.writable,
        call.repository(),
        call.branch(),
        may_guess=call.request.is_body_small,
    )
    if precondition is not None:
        # Judged again in the transaction; here it spares the client a useless upload.
        await call_local(_check_before, call, target, precondition)
    chunks, content_type = await _open_content(call)
    body = call.lake.bodies.open(target.repository)
    await receive(chunks, body)

    def making() -> Callable[[], Prepared[Stat]]:
        return call.lake.objects.making_put(
            target,
            path,
            body,
            content_type=content_type,
            metadata=metadata,
            precondition=precondition,
        )

    try:
        try:
            stat = await call.lake.writer.submit_async(making())
        except NotFound:
            if not target.is_guess:
                raise
            target = await call_local(call.lake.objects.writable, call.repository(), call.branch())
            body.move_to(call.lake.bodies.fresh_address(target.repository))
            stat = await call.lake.writer.submit_async(making())
    except AnabranchError:
        body.abort()
        raise
    return json_response(201, bodies.stat_body(stat), [_etag(stat)])


def _check_before(call: Call, target: Target, precondition: Precondition) -> None:
    resolved = call.lake.resolve.resolve(target.repository.id, call.ref("branch"))
    found = call.lake.objects.find(resolved, call.object_path())
    precondition.check(None if found is None else found.entry)


async def _open_content(call: Call) -> tuple[AsyncIterator[bytes], str]:
    """Return the object's bytes and content type."""
    request = call.request
    content_type = request.header("content-type") or ""
    boundary = boundary_of(content_type)
    if boundary is None:
        return request.stream(), parse_content_type(content_type)
    part = await open_part(request.stream(), boundary, _FORM_FIELD)
    return part.data, parse_content_type(part.content_type)


def _sent_metadata(call: Call) -> Metadata:
    pairs: dict[str, str] = {}
    for name, value in call.request.headers:
        if name.startswith(_METADATA_HEADER):
            try:
                key = name[len(_METADATA_HEADER) :].decode("ascii")
                pairs[key] = value.decode()
            except UnicodeDecodeError:
                raise InvalidInput(Kind.METADATA, "metadata headers must be UTF-8") from None
    return parse_metadata(pairs)


async def get_object(call: Call) -> Response:
    """Answer an object's bytes, or one range of them."""
    refuse_presign(call)
    stat, block = await call_local(_find_block, call)
    return await _answer(call, stat, block)


async def head_object(call: Call) -> Response:
    """Answer what get_object would, without the bytes."""
    stat = await call_local(find_object, call)
    return await _answer(call, stat, None)


def _find_block(call: Call) -> tuple[Stat, Block]:
    resolved = call.lake.resolve.resolve(call.repository(), call.ref())
    stat = call.lake.objects.stat(resolved, call.object_path())
    return stat, call.lake.objects.block(stat)


async def _answer(call: Call, stat: Stat, block: Block | None) -> Response:
    entry = stat.entry
    condition = precondition_of(call)
    if condition is not None:
        condition.check(entry, is_read=True)
    headers: Headers = [
        (b"content-type", header_value(entry.content_type)),
        _etag(stat),
        (b"last-modified", formatdate(entry.mtime_us // 1_000_000, usegmt=True).encode()),
        (b"accept-ranges", b"bytes"),
        # An object is a guest's text: a browser must not run it as a page of this server.
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
    ]
    try:
        part = parse_range(call.text("Range"), entry.size_bytes)
    except InvalidInput as error:
        if call.request.method == "HEAD" or block is None:
            return Response(416, [(b"content-range", b"bytes */%d" % entry.size_bytes)])
        answer = json_response(416, bodies.Error(error.message))
        answer.headers.append((b"content-range", b"bytes */%d" % entry.size_bytes))
        return answer
    whole = ByteRange(0, entry.size_bytes)
    asked = part or whole
    headers.append((b"content-length", b"%d" % asked.length))
    if part is not None:
        last = part.offset + part.length - 1
        headers.append(
            (b"content-range", b"bytes %d-%d/%d" % (part.offset, last, entry.size_bytes))
        )
    status = 200 if part is None else 206
    if block is None:
        return Response(status, headers)
    data = await body_of(call.lake.blocks, block, asked.offset, asked.length)
    return Response(status, headers, data)


def _etag(stat: Stat) -> tuple[bytes, bytes]:
    return b"etag", header_value(f'"{stat.entry.checksum}"')


OPERATIONS = (
    Operation(
        "getObject",
        "GET",
        REF_OBJECTS,
        "objects",
        get_object,
        "read an object",
        parameters=(OBJECT_PATH, PRESIGN, _RANGE, IF_NONE_MATCH, IF_MATCH),
        answers={
            200: Answer(bytes, BYTES, "the whole object, with its own content type"),
            206: Answer(bytes, BYTES, "the range"),
            304: Answer(),
        },
        errors=(404, 410, 412, 416),
    ),
    Operation(
        "headObject",
        "HEAD",
        REF_OBJECTS,
        "objects",
        head_object,
        "get the headers of reading an object",
        parameters=(OBJECT_PATH, _RANGE, IF_NONE_MATCH, IF_MATCH),
        answers={200: Answer(), 206: Answer(), 304: Answer()},
        errors=(404, 410, 412, 416),
    ),
    Operation(
        "uploadObject",
        "POST",
        BRANCH_OBJECTS,
        "objects",
        upload_object,
        "write an object",
        parameters=(
            OBJECT_PATH,
            Parameter("storageClass", text="makes no difference"),
            FORCE,
            IF_NONE_MATCH,
            IF_MATCH,
        ),
        is_streamed=True,
        answers={201: Answer(bodies.ObjectStats)},
        errors=(403, 404, 408, 409, 412, 413),
    ),
)
