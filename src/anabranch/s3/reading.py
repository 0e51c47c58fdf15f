"""GetObject and HeadObject, with ranges, conditions and checksums; an object's small answers."""

from email.utils import parsedate_to_datetime

from anabranch.edge.blocking import call_local
from anabranch.edge.http import Headers, Response, header_value
from anabranch.edge.reading import body_of
from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Kind, NotModified, PreconditionFailed
from anabranch.lake.values import Stat
from anabranch.s3 import checksums
from anabranch.s3.calls import (
    Call,
    metadata_headers,
    parse_precondition,
    quoted,
    xml_response,
)
from anabranch.s3.errors import Refused
from anabranch.s3.xml import document, http_time, owner

_OVERRIDES = {
    "response-cache-control": b"cache-control",
    "response-content-disposition": b"content-disposition",
    "response-content-encoding": b"content-encoding",
    "response-content-language": b"content-language",
    "response-content-type": b"content-type",
    "response-expires": b"expires",
}
_RANGE_DIGITS_MAX = 18


async def get_object(call: Call) -> Response:
    """Answer an object's bytes, or a range of them."""
    bucket = call.bucket()
    found = await call_local(bucket.stat, call.key)
    check_conditions(call, found.entry)
    span = _span(call, found.entry)
    block = await call_local(bucket.block, found)
    offset, length = span if span is not None else (0, found.entry.size_bytes)
    headers = object_headers(call, found, span)
    body = await body_of(bucket.blocks, block, offset, length)
    return Response(200 if span is None else 206, headers, body)


async def head_object(call: Call) -> Response:
    """Answer what GetObject would, without the bytes."""
    found = await call_local(call.bucket().stat, call.key)
    check_conditions(call, found.entry)
    span = _span(call, found.entry)
    return Response(200 if span is None else 206, object_headers(call, found, span))


def _span(call: Call, entry: Entry) -> tuple[int, int] | None:
    if "partNumber" not in call.parameters:
        return parse_range(call.header("range"), entry.size_bytes)
    if "-" in entry.checksum:
        # The object's index row knows places of bytes, not which part they came in.
        raise Refused("NotImplemented", "Reading a multipart object by partNumber is not offered.")
    if call.int_parameter("partNumber", 1) != 1:
        raise Refused("InvalidPartNumber", "The requested partnumber is not satisfiable")
    return (0, entry.size_bytes) if entry.size_bytes else None


def object_headers(call: Call, found: Stat, span: tuple[int, int] | None) -> Headers:
    """Return the headers that describe an object."""
    entry = found.entry
    length = entry.size_bytes if span is None else span[1]
    headers: Headers = [
        (b"content-length", b"%d" % length),
        (b"content-type", header_value(entry.content_type)),
        (b"etag", quoted(entry.checksum)),
        (b"last-modified", http_time(entry.mtime_us // 1_000_000).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if entry.metadata:
        headers += metadata_headers(entry.metadata)
    if span is not None:
        last = span[0] + span[1] - 1
        headers.append((b"content-range", b"bytes %d-%d/%d" % (span[0], last, entry.size_bytes)))
    elif entry.checksum2 and (call.header("x-amz-checksum-mode") or "").upper() == "ENABLED":
        checksum = checksums.parse_stored(entry.checksum2)
        if checksum is not None:
            headers.append((checksum.header.encode(), checksum.text().encode()))
            headers.append((b"x-amz-checksum-type", checksum.type.encode()))
    if call.parameters:
        headers = _overridden(call, headers)
    return headers


def _overridden(call: Call, headers: Headers) -> Headers:
    wanted = {
        header: header_value(call.parameters[name])
        for name, header in _OVERRIDES.items()
        if name in call.parameters
    }
    if not wanted:
        return headers
    return [pair for pair in headers if pair[0] not in wanted] + list(wanted.items())


def check_conditions(call: Call, entry: Entry) -> None:
    """Raise NotModified or PreconditionFailed as RFC 9110 orders the four headers."""
    if not call.has_conditions():
        return
    precondition = parse_precondition(call)
    has_match = precondition is not None and precondition.if_match is not None
    has_none_match = precondition is not None and precondition.if_none_match is not None
    headers = [
        (b"etag", quoted(entry.checksum)),
        (b"last-modified", http_time(entry.mtime_us // 1_000_000).encode()),
    ]
    if precondition is not None:
        try:
            precondition.check(entry, is_read=True)
        except NotModified as problem:
            raise NotModified(problem.kind, problem.message, headers=headers) from None
    mtime_s = entry.mtime_us // 1_000_000
    if not has_match:
        since = parse_http_time(call.header("if-unmodified-since"))
        if since is not None and mtime_s > since:
            raise PreconditionFailed(Kind.PRECONDITION, "If-Unmodified-Since does not hold")
    if not has_none_match:
        since = parse_http_time(call.header("if-modified-since"))
        if since is not None and mtime_s <= since:
            raise NotModified(Kind.NOT_MODIFIED, "the object has not changed", headers=headers)


def parse_http_time(text: str | None) -> int | None:
    """Return seconds since 1970 of an HTTP date; None when there is none: it is then ignored."""
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def parse_range(text: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return (offset, length) of a Range header; None when the whole object is to be sent.

    What is not one range of bytes is ignored, as HTTP and S3 do. Raises InvalidRange when nothing
    of the object lies in it.
    """
    if text is None or not text.startswith("bytes="):
        return None
    first_text, dash, last_text = text[6:].strip().partition("-")
    if not dash or not _is_number(first_text) or not _is_number(last_text):
        return None
    if not first_text and not last_text:
        return None
    if not first_text:
        length = min(int(last_text), size_bytes)
        if not length:
            raise _unsatisfiable(text, size_bytes)
        return size_bytes - length, length
    first = int(first_text)
    last = min(int(last_text), size_bytes - 1) if last_text else size_bytes - 1
    if last_text and int(last_text) < first:
        return None
    if first >= size_bytes:
        raise _unsatisfiable(text, size_bytes)
    return first, last - first + 1


def _is_number(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= _RANGE_DIGITS_MAX)


def _unsatisfiable(text: str, size_bytes: int) -> Refused:
    return Refused(
        "InvalidRange",
        "The requested range is not satisfiable",
        RangeRequested=text,
        ActualObjectSize=size_bytes,
    )


async def get_object_tagging(call: Call) -> Response:
    """Answer an empty tag set: objects have no tags."""
    await call_local(call.bucket().stat, call.key)
    return xml_response(document("Tagging", "<TagSet></TagSet>"))


async def get_object_acl(call: Call) -> Response:
    """Answer that the caller controls the object: permissions are not kept per object."""
    await call_local(call.bucket().stat, call.key)
    return xml_response(access_control_document(call.identity.user))


def access_control_document(user: str) -> bytes:
    """Return an access control list with one full grant."""
    return document(
        "AccessControlPolicy",
        f"<Owner>{owner(user)}</Owner><AccessControlList><Grant>",
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">',
        owner(user),
        "</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>",
    )
