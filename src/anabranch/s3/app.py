"""The S3 surface: verifies a request, finds its action, and answers in S3's words.

Used twice: over the lake's repositories, and over the raw store's buckets.
"""

import re
from collections.abc import Awaitable, Callable

from anabranch.edge.http import Headers, Request, Response
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import AnabranchError, NotModified
from anabranch.s3 import (
    buckets,
    copying,
    deleting,
    listing,
    multipart,
    reading,
    writing,
)
from anabranch.s3.actions import action_of
from anabranch.s3.addressing import parse_address
from anabranch.s3.authentication import Authenticator, FindCredential, parse_pairs
from anabranch.s3.bucket import BucketSource
from anabranch.s3.calls import Call
from anabranch.s3.errors import STATUS, Refused, code_of, details_of
from anabranch.s3.xml import document, element, sentence

HANDLERS: dict[str, Callable[[Call], Awaitable[Response]]] = {
    "AbortMultipartUpload": multipart.abort_multipart_upload,
    "CompleteMultipartUpload": multipart.complete_multipart_upload,
    "CopyObject": copying.copy_object,
    "CreateBucket": buckets.create_bucket,
    "CreateMultipartUpload": multipart.create_multipart_upload,
    "DeleteBucket": buckets.delete_bucket,
    "DeleteObject": deleting.delete_object,
    "DeleteObjects": deleting.delete_objects,
    "GetBucketAcl": buckets.get_bucket_acl,
    "GetBucketLocation": buckets.get_bucket_location,
    "GetBucketTagging": buckets.get_bucket_tagging,
    "GetBucketVersioning": buckets.get_bucket_versioning,
    "GetObject": reading.get_object,
    "GetObjectAcl": reading.get_object_acl,
    "GetObjectTagging": reading.get_object_tagging,
    "HeadBucket": buckets.head_bucket,
    "HeadObject": reading.head_object,
    "ListBuckets": buckets.list_buckets,
    "ListMultipartUploads": multipart.list_multipart_uploads,
    "ListObjects": listing.list_objects,
    "ListParts": multipart.list_parts,
    "PutObject": writing.put_object,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": copying.upload_part_copy,
}
"""Actions that are offered; docs/s3.md lists them."""

# What these ask for would be promised and not kept, so a request that has one is refused.
_REFUSED_HEADERS = {
    b"x-amz-server-side-encryption-customer-algorithm": "Server-side encryption with customer keys",
    b"x-amz-copy-source-server-side-encryption-customer-algorithm": (
        "Server-side encryption with customer keys"
    ),
    b"x-amz-object-lock-mode": "Object lock",
    b"x-amz-object-lock-legal-hold": "Object lock",
    b"x-amz-tagging": "Tagging of objects",
    b"x-amz-website-redirect-location": "Website redirects",
    b"x-amz-write-offset-bytes": "Appending to objects",
}
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_REFUSED_NAMES = frozenset(_REFUSED_HEADERS)


class Gateway:
    """Answers S3 requests over one source of buckets.

    `find_credential` gives the secret of an access key; `domains` are host names in front of
    which a bucket's name may stand.
    """

    def __init__(
        self,
        source: BucketSource,
        find_credential: FindCredential,
        clock: Clock,
        domains: tuple[str, ...] = (),
    ) -> None:
        self._source = source
        self._authenticator = Authenticator(find_credential, clock)
        self._clock = clock
        self._domains = domains

    async def __call__(self, request: Request) -> Response:
        """Return the answer to one request; errors too are answers."""
        request_id = request.id or f"{self._clock.now_ns():016X}"
        try:
            response = await self._answer(request)
        except AnabranchError as error:
            response = _error_response(request, error, request_id)
        # An answer that comes early must not meet a body nobody reads.
        if not request.is_body_finished and request.has_body:
            await request.drain()
        response.headers.append((b"x-amz-request-id", request_id.encode()))
        return response

    async def _answer(self, request: Request) -> Response:
        if b"%" in request.raw_path and _BROKEN_ESCAPE.search(request.raw_path):
            raise Refused("InvalidURI", "Couldn't parse the specified URI.")
        host = request.host if self._domains else ""
        address = parse_address(host, request.path, self._domains)
        headers = request.joined_headers
        pairs = parse_pairs(request.query_string)
        identity = self._authenticator.authenticate(request, headers, pairs, address)
        parameters = _parameters(pairs)
        call = Call(
            request, headers, self._source, identity, parameters, address.bucket, address.key
        )
        if not _REFUSED_NAMES.isdisjoint(headers):
            (name, *_) = _REFUSED_NAMES.intersection(headers)
            raise Refused("NotImplemented", f"{_REFUSED_HEADERS[name]} is not offered.")
        action = action_of(
            request.method,
            has_bucket=bool(address.bucket),
            has_key=bool(address.key),
            names=frozenset(parameters),
            is_copy=call.header("x-amz-copy-source") is not None,
        )
        if parameters and parameters.get("versionId", "null") not in ("null", ""):
            raise Refused("InvalidArgument", "Invalid version id specified")
        handler = HANDLERS.get(action)
        if handler is None:
            raise Refused("NotImplemented", f"The action {action} is not offered.")
        return await handler(call)


def _parameters(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    if not pairs:
        return {}
    found: dict[str, str] = {}
    try:
        for name, value in pairs:
            found.setdefault(name.decode(), value.decode())
    except UnicodeDecodeError:
        raise Refused("InvalidURI", "Couldn't parse the specified URI.") from None
    return found


def _readable(text: str) -> str:
    # An error repeats what a client sent; it must stay XML that every reader takes.
    return _UNREADABLE.sub("\ufffd", text)


def _error_response(request: Request, error: AnabranchError, request_id: str) -> Response:
    code = code_of(error)
    if isinstance(error, NotModified):
        kept = error.details.get("headers", [])
        assert isinstance(kept, list)
        return Response(304, kept)
    headers: Headers = []
    if code == "InvalidRange":
        size_bytes = error.details.get("ActualObjectSize")
        if size_bytes is not None:
            headers.append((b"content-range", b"bytes */%s" % str(size_bytes).encode()))
    if request.method == "HEAD":
        return Response(STATUS[code], headers)
    body = document(
        "Error",
        element("Code", code),
        sentence("Message", _readable(error.message)),
        *(element(name, _readable(value)) for name, value in details_of(error)),
        element("Resource", request.raw_path.decode("latin-1")),
        element("RequestId", request_id),
        namespace="",
    )
    headers.append((b"content-type", b"application/xml"))
    return Response(STATUS[code], headers, body)
