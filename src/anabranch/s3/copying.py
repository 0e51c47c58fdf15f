"""CopyObject and UploadPartCopy.

A copy inside one repository moves metadata only; any other copies bytes, window by window in a
thread.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.bodies import Sink
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Kind, PreconditionFailed
from anabranch.kernel.preconditions import Precondition
from anabranch.lake.values import Stat
from anabranch.s3 import checksums
from anabranch.s3.addressing import check_key
from anabranch.s3.bucket import Attributes, Bucket, Place
from anabranch.s3.calls import Call, parse_attributes, parse_precondition, xml_response
from anabranch.s3.checksums import Checksum
from anabranch.s3.errors import Refused
from anabranch.s3.multipart import open_upload, part_number, upload_checksum
from anabranch.s3.payload import PLAIN, CheckedBody, Promises
from anabranch.s3.reading import parse_http_time
from anabranch.s3.xml import document, element, iso_time
from anabranch.storage.blocks.base import Block
from anabranch.storage.kv.base import Prepared

_RANGE = re.compile(r"bytes=([0-9]{1,15})-([0-9]{1,15})")
_COPY, _REPLACE = "COPY", "REPLACE"


@dataclass(frozen=True, slots=True)
class _Source:
    bucket: Bucket
    key: str


def _parse_source(call: Call) -> _Source:
    """Return the object that `x-amz-copy-source` names: `[/]bucket/key`, percent-coded."""
    text = call.header("x-amz-copy-source") or ""
    path, _, query = text.partition("?")
    if query and not query.startswith("versionId="):
        raise Refused("InvalidArgument", "Invalid copy source query", ArgumentValue=text)
    if query and query != "versionId=null":
        raise Refused("InvalidArgument", "Versions of objects are not offered: branch or commit")
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise Refused("InvalidArgument", "Copy Source must be UTF-8") from None
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not (bucket and slash and key):
        raise Refused(
            "InvalidArgument",
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=text,
        )
    return _Source(call.source.open(bucket), check_key(key))


def _source_precondition(call: Call) -> Precondition:
    found = parse_precondition(
        call,
        match="x-amz-copy-source-if-match",
        none_match="x-amz-copy-source-if-none-match",
    )
    return found or Precondition()


def _check_times(call: Call, entry: Entry) -> None:
    mtime_s = entry.mtime_us // 1_000_000
    unmodified = parse_http_time(call.header("x-amz-copy-source-if-unmodified-since"))
    # An ETag that matches outweighs the date.
    has_match = call.header("x-amz-copy-source-if-match") is not None
    if unmodified is not None and mtime_s > unmodified and not has_match:
        raise PreconditionFailed(Kind.PRECONDITION, "the source was modified since")
    modified = parse_http_time(call.header("x-amz-copy-source-if-modified-since"))
    if modified is not None and mtime_s <= modified:
        raise PreconditionFailed(Kind.PRECONDITION, "the source was not modified since")


def _replaced_attributes(call: Call) -> Attributes | None:
    directive = call.header("x-amz-metadata-directive") or _COPY
    if directive not in (_COPY, _REPLACE):
        raise Refused("InvalidArgument", "Unknown metadata directive.", ArgumentValue=directive)
    return parse_attributes(call) if directive == _REPLACE else None


async def copy_object(call: Call) -> Response:
    """Copy an object; the answer is a document, also for what is refused after it began."""
    source = _parse_source(call)
    bucket = call.bucket()
    place = await call_local(bucket.place, call.key)
    attributes = _replaced_attributes(call)
    if (source.bucket.name, source.key) == (bucket.name, call.key) and attributes is None:
        raise Refused(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or "
            "encryption attributes.",
        )
    if place.is_nothing:
        raise Refused("InvalidArgument", "A copy needs a path to go to.")
    found = await call_local(source.bucket.stat, source.key)
    wanted = _source_precondition(call)
    wanted.check(found.entry)
    _check_times(call, found.entry)
    precondition = parse_precondition(call)

    def shared() -> Callable[[], Prepared[Stat]] | None:
        return bucket.making_shared_copy(
            place, source.bucket, source.key, attributes, wanted, precondition
        )

    make = await call_local(shared)
    if make is None:
        make = await _bytes_copied(bucket, place, source, found, attributes, precondition)
    stored = await bucket.writer.submit_async(make)
    checksum = checksums.parse_stored(stored.entry.checksum2)
    return xml_response(_result("CopyObjectResult", stored.entry, checksum))


async def _bytes_copied(
    bucket: Bucket,
    place: Place,
    source: _Source,
    found: Stat,
    attributes: Attributes | None,
    precondition: Precondition | None,
) -> Callable[[], Prepared[Stat]]:
    entry = found.entry
    if entry.size_bytes > limits.PUT_BYTES_MAX:
        raise Refused(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {limits.PUT_BYTES_MAX}",
        )
    block = await call_local(source.bucket.block, found)
    body = bucket.open_body(place)
    await call_thread(copy_bytes, source.bucket, block, 0, entry.size_bytes, body)
    kept = checksums.parse_stored(entry.checksum2)
    # A checksum made of parts' checksums belongs to those parts.
    checksum = kept.stored() if kept is not None and not kept.part_count else ""
    given = attributes or Attributes(entry.content_type, entry.metadata)
    given = Attributes(given.content_type, given.metadata, checksum)
    return bucket.making_put(place, body, given, precondition)


def copy_bytes(source: Bucket, block: Block, offset: int, length: int, body: Sink) -> None:
    """Write a part of a block into a body and finish it; aborts it when that fails. Blocks."""
    is_done = False
    try:
        for at in range(offset, offset + length, limits.WINDOW_BYTES):
            size_bytes = min(limits.WINDOW_BYTES, offset + length - at)
            body.write(source.blocks.read(block, at, size_bytes))
        body.finish()
        is_done = True
    finally:
        if not is_done:
            body.abort()


def _result(name: str, entry: Entry, checksum: Checksum | None) -> bytes:
    return document(
        name,
        element("LastModified", iso_time(entry.mtime_us)),
        element("ETag", f'"{entry.checksum}"'),
        *(
            (element(checksum.element, checksum.text()), element("ChecksumType", checksum.type))
            if checksum is not None
            else ()
        ),
    )


async def upload_part_copy(call: Call) -> Response:
    """Copy an object, or a range of it, into a part of an upload."""
    number = part_number(call)
    source = _parse_source(call)
    bucket = call.bucket()
    upload = await open_upload(call, bucket)
    found = await call_local(source.bucket.stat, source.key)
    _source_precondition(call).check(found.entry)
    _check_times(call, found.entry)
    offset, length = _parse_copy_range(call, found.entry)
    block = await call_local(source.bucket.block, found)
    body = bucket.open_part(upload)
    # The bytes are hashed as if the client had sent them and asked for the upload's checksum.
    hashed = CheckedBody(body, PLAIN, Promises(asked=upload_checksum(upload).algorithm))
    await call_thread(copy_bytes, source.bucket, block, offset, length, hashed)
    checksum = hashed.checksum
    stored = checksum.stored() if checksum is not None else ""
    make = bucket.making_part(upload, number, body, stored)
    part = await bucket.writer.submit_async(make)
    return xml_response(
        document(
            "CopyPartResult",
            element("LastModified", iso_time(part.mtime_us)),
            element("ETag", f'"{part.etag}"'),
            element(checksum.element, checksum.text()) if checksum is not None else "",
        )
    )


def _parse_copy_range(call: Call, entry: Entry) -> tuple[int, int]:
    text = call.header("x-amz-copy-source-range")
    if text is None:
        return 0, entry.size_bytes
    match = _RANGE.fullmatch(text)
    if match is None or int(match.group(2)) < int(match.group(1)):
        raise Refused(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            ArgumentValue=text,
        )
    first, last = int(match.group(1)), int(match.group(2))
    if last >= entry.size_bytes:
        raise Refused(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {entry.size_bytes}",
            ArgumentValue=text,
        )
    return first, last - first + 1
