"""Multipart uploads: create, part, complete, abort, and their lists. UploadPartCopy is a copy."""

from dataclasses import dataclass

from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.bodies import receive
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, NotFound
from anabranch.kernel.ids import UploadId
from anabranch.lake.upload_records import Part, Upload
from anabranch.s3 import checksums
from anabranch.s3.addressing import check_key
from anabranch.s3.bucket import Bucket
from anabranch.s3.calls import (
    Call,
    empty_response,
    parse_attributes,
    parse_precondition,
    quoted,
    xml_response,
)
from anabranch.s3.checksums import COMPOSITE, CRCS, FULL_OBJECT, Checksum
from anabranch.s3.errors import Refused
from anabranch.s3.listing import is_url_encoding, max_keys
from anabranch.s3.payload import CheckedBody, HeaderOf, parse_promises, receive_document
from anabranch.s3.writing import checksum_headers
from anabranch.s3.xml import (
    Element,
    document,
    element,
    iso_time,
    malformed,
    owner,
    parse,
    url_encoded,
)


@dataclass(frozen=True, slots=True)
class UploadChecksum:
    """Which checksum an upload has; `algorithm` is empty for none."""

    algorithm: str = ""
    type: str = COMPOSITE

    def stored(self) -> str:
        """Return the text an upload keeps."""
        return f"{self.algorithm}:{self.type}" if self.algorithm else ""


def upload_checksum(upload: Upload) -> UploadChecksum:
    """Return which checksum an upload has."""
    algorithm, _, kind = upload.checksum_algorithm.partition(":")
    return UploadChecksum(algorithm, kind or COMPOSITE)


def _parse_checksum(call: Call) -> UploadChecksum:
    name, kind = call.header("x-amz-checksum-algorithm"), call.header("x-amz-checksum-type")
    if not name:
        if kind:
            raise Refused(
                "InvalidRequest", "The x-amz-checksum-type header needs an x-amz-checksum-algorithm"
            )
        return UploadChecksum()
    algorithm = checksums.parse_algorithm(name)
    kind = (kind or (FULL_OBJECT if algorithm == "crc64nvme" else COMPOSITE)).upper()
    is_possible = {
        COMPOSITE: algorithm != "crc64nvme",
        FULL_OBJECT: algorithm in CRCS,
    }
    if not is_possible.get(kind, False):
        raise Refused(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.",
        )
    return UploadChecksum(algorithm, kind)


def _upload_id(call: Call) -> UploadId:
    return UploadId(call.parameter("uploadId"))


def part_number(call: Call) -> int:
    """Return the part number a request names; raise InvalidArgument."""
    text = call.parameter("partNumber")
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    if not is_number or not 1 <= int(text) <= limits.PARTS_MAX:
        raise Refused(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {limits.PARTS_MAX}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=text,
        )
    return int(text)


async def open_upload(call: Call, bucket: Bucket) -> Upload:
    """Return the upload a request names; raise NotFound when there is none, or when it is over."""
    upload = await call_local(bucket.get_upload, call.key, _upload_id(call))
    if upload.completed is not None:
        raise NotFound(Kind.UPLOAD_NOT_FOUND, f"upload {upload.id!r} is complete")
    return upload


async def create_multipart_upload(call: Call) -> Response:
    """Start an upload."""
    bucket = call.bucket()
    place = await call_local(bucket.place, call.key)
    if place.is_nothing:
        raise Refused("InvalidArgument", "An upload needs a path to go to.")
    attributes, wanted = parse_attributes(call), _parse_checksum(call)
    await _skip_body(call)
    upload = await call_thread(bucket.create_upload, place, attributes, wanted.stored())
    headers = []
    if wanted.algorithm:
        headers = [
            (b"x-amz-checksum-algorithm", wanted.algorithm.upper().encode()),
            (b"x-amz-checksum-type", wanted.type.encode()),
        ]
    return xml_response(
        document(
            "InitiateMultipartUploadResult",
            element("Bucket", call.bucket_name),
            element("Key", call.key),
            element("UploadId", upload.id),
        ),
        headers,
    )


async def _skip_body(call: Call) -> None:
    """Read a body that means nothing, so that its hash is checked and the connection lives on."""
    if call.request.has_body:
        await receive_document(call.request, call.header, call.identity.form)


async def upload_part(call: Call) -> Response:
    """Store one part; a part sent again replaces the former."""
    number = part_number(call)
    bucket = call.bucket()
    upload = await open_upload(call, bucket)
    promises = parse_promises(call.header, call.identity.form, bytes_max=limits.PUT_BYTES_MAX)
    wanted = upload_checksum(upload)
    sent = (promises.checksum.algorithm if promises.checksum else "") or promises.trailer
    if wanted.algorithm and sent and sent != wanted.algorithm:
        raise Refused(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {wanted.algorithm}, "
            f"actual checksum Type: {sent}",
        )
    if wanted.algorithm and not sent:
        promises = promises.asking(wanted.algorithm)
    body = bucket.open_part(upload)
    checked = CheckedBody(body, call.identity.form, promises)
    await receive(call.request, checked)
    stored = checked.checksum.stored() if checked.checksum is not None else ""
    part = await bucket.writer.submit_async(bucket.making_part(upload, number, body, stored))
    return empty_response(200, [(b"etag", quoted(part.etag)), *checksum_headers(checked.checksum)])


async def complete_multipart_upload(call: Call) -> Response:
    """Make an object of parts; costs parts, not bytes."""
    bucket = call.bucket()
    upload = await call_local(bucket.get_upload, call.key, _upload_id(call))
    data = await receive_document(call.request, _document_header(call), call.identity.form)
    parse_in = call_local if len(data) <= limits.SMALL_OBJECT_BYTES_MAX else call_thread
    listed = await parse_in(_parse_complete, data)
    checksum = await _joined_checksum(call, bucket, upload, listed)
    make = bucket.making_complete(
        upload,
        [(one.number, one.etag) for one in listed],
        checksum.stored() if checksum is not None else "",
        parse_precondition(call),
    )
    if len(listed) <= limits.INLINE_SCAN_ROWS_MAX:
        stored = await bucket.writer.submit_async(make)
    else:
        stored = await call_thread(bucket.writer.submit, make)
    host = call.request.host
    return xml_response(
        document(
            "CompleteMultipartUploadResult",
            element("Location", f"{call.request.scheme}://{host}{call.request.path}"),
            element("Bucket", call.bucket_name),
            element("Key", call.key),
            element("ETag", f'"{stored.entry.checksum}"'),
            *_checksum_elements(checksums.parse_stored(stored.entry.checksum2)),
        )
    )


def _checksum_elements(checksum: Checksum | None) -> tuple[str, ...]:
    if checksum is None:
        return ()
    return element(checksum.element, checksum.text()), element("ChecksumType", checksum.type)


def _document_header(call: Call) -> HeaderOf:
    """Return the headers without the checksum, which in a complete is the object's."""

    def header(name: str) -> str | None:
        return None if name.startswith(checksums.HEADER_PREFIX) else call.header(name)

    return header


@dataclass(frozen=True, slots=True)
class _Listed:
    number: int
    etag: str
    checksum: Checksum | None


def _parse_complete(data: bytes) -> list[_Listed]:
    """Return the parts that a complete lists, in its order."""
    parts = parse(data, "CompleteMultipartUpload").all("Part")
    if not parts:
        raise malformed("<CompleteMultipartUpload> must list a <Part>")
    if len(parts) > limits.PARTS_MAX:
        raise malformed(f"there are at most {limits.PARTS_MAX} parts")
    return [_parse_part(part) for part in parts]


def _parse_part(part: Element) -> _Listed:
    text = part.child_text("PartNumber").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise malformed("<PartNumber> is not a number")

    def child(name: str) -> str | None:
        found = part.find(name)
        return None if found is None else found.text.strip()

    etag = part.child_text("ETag").strip().strip('"')
    return _Listed(int(text), etag, checksums.child_checksum(child))


async def _joined_checksum(
    call: Call, bucket: Bucket, upload: Upload, listed: list[_Listed]
) -> Checksum | None:
    """Return the object's checksum from its parts'; raise when what the client says differs."""
    wanted = upload_checksum(upload)
    expected = _expected_checksum(call)
    size_text = call.header("x-amz-mp-object-size")
    has_claims = any(one.checksum is not None for one in listed)
    if upload.completed is not None:
        return None
    if not (wanted.algorithm or expected or has_claims or size_text):
        return None
    run = call_local if len(listed) <= limits.INLINE_SCAN_ROWS_MAX else call_thread
    parts = await run(_stored_parts, bucket, upload, listed)
    for one in listed:
        if one.checksum is not None:
            _check_claim(one, parts.get(one.number))
    if size_text is not None:
        size_bytes = sum(parts[one.number].size_bytes for one in listed if one.number in parts)
        if not size_text.isdigit() or int(size_text[:20]) != size_bytes:
            raise Refused(
                "InvalidRequest",
                "The provided 'x-amz-mp-object-size' header value does not match what was computed",
            )
    found = _join(wanted, [parts.get(one.number) for one in listed], expected)
    if expected is not None and found is not None:
        checksums.require_equal(expected, found)
    return found


def _expected_checksum(call: Call) -> Checksum | None:
    """Return the checksum of the whole object that the client gives, if it is one of all bytes."""
    if (call.header("x-amz-checksum-type") or FULL_OBJECT).upper() != FULL_OBJECT:
        return None
    texts = [call.header(checksums.HEADER_PREFIX + name) for name in checksums.SIZES]
    if any(text is not None and "-" in text for text in texts):
        return None
    return checksums.parse_headers(call.header)


def _stored_parts(bucket: Bucket, upload: Upload, listed: list[_Listed]) -> dict[int, Part]:
    found: dict[int, Part] = {}
    after: int | None = min(one.number for one in listed) - 1
    last = max(one.number for one in listed)
    while after is not None and after < last:
        page, after = bucket.list_parts(upload, after=max(after, 0), amount=limits.PAGE_MAX)
        found.update((part.number, part) for part in page)
    return found


def _check_claim(listed: _Listed, part: Part | None) -> None:
    claimed = listed.checksum
    stored = checksums.parse_stored(part.checksum2) if part is not None else None
    if claimed is None or stored is None or stored.algorithm != claimed.algorithm:
        # Nothing of that kind was kept: the ETag, which is checked in any case, has to do.
        return
    if stored.value != claimed.value:
        raise Refused(
            "InvalidPart",
            "One or more of the specified parts could not be found. The part may not have been "
            "uploaded, or the specified checksum might not match the part's.",
            PartNumber=listed.number,
        )


def _join(
    wanted: UploadChecksum, parts: list[Part | None], expected: Checksum | None
) -> Checksum | None:
    algorithm = wanted.algorithm or (expected.algorithm if expected is not None else "")
    kind = wanted.type if wanted.algorithm else FULL_OBJECT
    values = [
        checksums.parse_stored(part.checksum2) if part is not None else None for part in parts
    ]
    sizes = [part.size_bytes if part is not None else 0 for part in parts]
    known = [one for one in values if one is not None and one.algorithm == algorithm]
    if not algorithm or len(known) < len(parts):
        return None
    if kind == COMPOSITE:
        return checksums.composite(algorithm, known)
    if algorithm not in CRCS:
        return None
    return checksums.full_object(algorithm, zip(known, sizes, strict=True))


async def abort_multipart_upload(call: Call) -> Response:
    """End an upload without an object."""
    bucket = call.bucket()
    upload = await open_upload(call, bucket)
    await call_thread(bucket.abort_upload, upload)
    return empty_response(204)


async def list_parts(call: Call) -> Response:
    """Answer one page of an upload's parts."""
    bucket = call.bucket()
    upload = await open_upload(call, bucket)
    amount = max_keys(call, "max-parts")
    marker = call.int_parameter("part-number-marker", 0)
    parts, more = await call_local(bucket.list_parts, upload, after=marker, amount=amount)
    wanted = upload_checksum(upload)
    user = owner(call.identity.user)
    return xml_response(
        document(
            "ListPartsResult",
            element("Bucket", call.bucket_name),
            element("Key", call.key),
            element("UploadId", upload.id),
            f"<Initiator>{user}</Initiator><Owner>{user}</Owner>",
            "<StorageClass>STANDARD</StorageClass>",
            f"<PartNumberMarker>{marker}</PartNumberMarker>",
            f"<NextPartNumberMarker>{more}</NextPartNumberMarker>" if more is not None else "",
            f"<MaxParts>{amount}</MaxParts>",
            f"<IsTruncated>{'false' if more is None else 'true'}</IsTruncated>",
            element("ChecksumAlgorithm", wanted.algorithm.upper()) if wanted.algorithm else "",
            element("ChecksumType", wanted.type) if wanted.algorithm else "",
            *(_part_xml(part) for part in parts),
        )
    )


def _part_xml(part: Part) -> str:
    checksum = checksums.parse_stored(part.checksum2)
    return (
        f"<Part><PartNumber>{part.number}</PartNumber>"
        f"<LastModified>{iso_time(part.mtime_us)}</LastModified>"
        f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size_bytes}</Size>"
        f"{element(checksum.element, checksum.text()) if checksum is not None else ''}</Part>"
    )


async def list_multipart_uploads(call: Call) -> Response:
    """Answer one page of open uploads by key, then id."""
    bucket = call.bucket()
    is_coded = is_url_encoding(call)
    amount = max_keys(call, "max-uploads")
    prefix, delimiter = check_key(call.parameter("prefix")), call.parameter("delimiter")
    key_after = check_key(call.parameter("key-marker"))
    upload_after = call.parameter("upload-id-marker") if key_after else ""
    page = await call_local(
        bucket.list_uploads,
        prefix=prefix,
        key_after=key_after,
        upload_after=upload_after,
        amount=amount,
    )

    def coded(text: str) -> str:
        return url_encoded(text) if is_coded else text

    has_more = page.next_after is not None and bool(page.items)
    last = page.items[-1] if has_more else None
    uploads, prefixes = _rolled(page.items, prefix, delimiter)
    user = owner(call.identity.user)
    return xml_response(
        document(
            "ListMultipartUploadsResult",
            element("Bucket", call.bucket_name),
            element("KeyMarker", coded(key_after)),
            element("UploadIdMarker", upload_after),
            element("NextKeyMarker", coded(last.key)) if last is not None else "",
            element("NextUploadIdMarker", last.id) if last is not None else "",
            element("Prefix", coded(prefix)),
            element("Delimiter", coded(delimiter)) if delimiter else "",
            "<EncodingType>url</EncodingType>" if is_coded else "",
            f"<MaxUploads>{amount}</MaxUploads>",
            f"<IsTruncated>{'true' if has_more else 'false'}</IsTruncated>",
            *(
                f"<Upload>{element('Key', coded(one.key))}{element('UploadId', one.id)}"
                f"<Initiator>{user}</Initiator><Owner>{user}</Owner>"
                "<StorageClass>STANDARD</StorageClass>"
                f"<Initiated>{iso_time(one.created_us)}</Initiated></Upload>"
                for one in uploads
            ),
            *(
                f"<CommonPrefixes>{element('Prefix', coded(one))}</CommonPrefixes>"
                for one in prefixes
            ),
        )
    )


def _rolled(
    uploads: tuple[Upload, ...], prefix: str, delimiter: str
) -> tuple[list[Upload], list[str]]:
    """Return the uploads that stand for themselves and the common prefixes of the others."""
    if not delimiter:
        return list(uploads), []
    shown: list[Upload] = []
    prefixes: dict[str, None] = {}
    for upload in uploads:
        at = upload.key.find(delimiter, len(prefix))
        if at < 0:
            shown.append(upload)
        else:
            prefixes[upload.key[: at + len(delimiter)]] = None
    return shown, list(prefixes)
