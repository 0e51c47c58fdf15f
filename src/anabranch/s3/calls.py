"""One verified request, as operations see it, and the answers they give."""

from collections.abc import Sequence
from typing import NamedTuple

from anabranch.edge.http import Headers, Request, Response, header_value
from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Metadata, parse_metadata
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.limits import CONTENT_TYPE_BYTES_MAX
from anabranch.kernel.preconditions import Precondition, parse_etags
from anabranch.s3.authentication import Identity
from anabranch.s3.bucket import Attributes, Bucket, BucketSource
from anabranch.s3.errors import Refused

_CONDITIONS = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)
XML_TYPE = (b"content-type", b"application/xml")
META_PREFIX = b"x-amz-meta-"
KEPT_HEADERS = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
}
"""Headers of a PUT that a GET gives back, and the metadata name they are kept under.

Names of user metadata that come as headers are lower-case, so neither hides the other.
"""
_KEPT_NAMES = frozenset(header.encode() for header in KEPT_HEADERS)
_INT_DIGITS_MAX = 9


class Call(NamedTuple):
    """A request whose signature holds. `parameters` are the query's, decoded, first ones win;
    `headers` are by lower-case name.

    `bucket` is set for everything but the service's own operations; `key` may be empty.
    """

    request: Request
    headers: dict[bytes, bytes]
    source: BucketSource
    identity: Identity
    parameters: dict[str, str]
    bucket_name: str
    key: str

    def bucket(self) -> Bucket:
        """Return the bucket asked about; raise InvalidInput for a name no bucket has."""
        return self.source.open(self.bucket_name)

    def header(self, name: str) -> str | None:
        """Return a header; a presigned URL may carry those of Amazon in its query."""
        data = self.headers.get(name.encode())
        value = None if data is None else header_text(data)
        if value is None and self.identity.is_by_query:
            if name in self.parameters:
                return self.parameters[name]
            if name.startswith("x-amz-"):
                # Presigners keep the case of the header they hoist.
                return next((v for k, v in self.parameters.items() if k.lower() == name), None)
        return value

    def amz_headers(self, prefix: bytes) -> list[tuple[str, str]]:
        """Return (rest of the name, value) of all headers that begin with `prefix`."""
        found = [
            (name[len(prefix) :].decode("latin-1"), self.header(name.decode("latin-1")) or "")
            for name in self.headers
            if name.startswith(prefix)
        ]
        if self.identity.is_by_query:
            text = prefix.decode()
            found += [
                (name[len(text) :].lower(), value)
                for name, value in self.parameters.items()
                if name.lower().startswith(text)
            ]
        return found

    def may_have(self, names: frozenset[bytes]) -> bool:
        """Tell whether any of these headers may have been sent; a query may carry them too."""
        return self.identity.is_by_query or not names.isdisjoint(self.headers)

    def has_conditions(self) -> bool:
        """Tell whether any header makes the request conditional."""
        return not _CONDITIONS.isdisjoint(self.headers)

    def parameter(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return self.parameters.get(name, default)

    def int_parameter(self, name: str, default: int) -> int:
        """Return a query parameter that is a number, not below 0; raise InvalidArgument."""
        text = self.parameters.get(name)
        if text is None or text == "":
            return default
        if not text.isascii() or not text.isdigit() or len(text) > _INT_DIGITS_MAX:
            raise Refused(
                "InvalidArgument",
                f"Argument {name} must be an integer between 0 and 2147483647",
                ArgumentName=name,
                ArgumentValue=text,
            )
        return int(text)


def header_text(data: bytes) -> str:
    """Return a header's value: UTF-8 where it is, else Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_precondition(
    call: Call, *, match: str = "if-match", none_match: str = "if-none-match"
) -> Precondition | None:
    """Return the condition of two headers, None when neither was sent."""
    if_match, if_none_match = call.header(match), call.header(none_match)
    if if_match is None and if_none_match is None:
        return None
    return Precondition(
        parse_etags(if_match) if if_match is not None else None,
        parse_etags(if_none_match) if if_none_match is not None else None,
    )


def parse_attributes(call: Call) -> Attributes:
    """Return content type and metadata that a request gives its object.

    `aws-chunked` is how the body travels, not how it is stored, and is left out.
    """
    content_type = call.header("content-type") or DEFAULT_CONTENT_TYPE
    if len(content_type.encode()) > CONTENT_TYPE_BYTES_MAX:
        raise InvalidInput(
            Kind.VALUE, f"a content type is at most {CONTENT_TYPE_BYTES_MAX} bytes long"
        )
    pairs = dict(call.amz_headers(META_PREFIX))
    for header, name in KEPT_HEADERS.items() if call.may_have(_KEPT_NAMES) else ():
        value = call.header(header)
        if value and header == "content-encoding":
            codings = [one.strip() for one in value.split(",")]
            value = ",".join(one for one in codings if one and one.lower() != "aws-chunked")
        if value:
            pairs[name] = value
    return Attributes(content_type, parse_metadata(pairs))


def metadata_headers(metadata: Metadata) -> Headers:
    """Return an object's metadata as headers; names that can not be one are left out."""
    headers: Headers = []
    kept = set(KEPT_HEADERS.values())
    for name, value in metadata:
        if name in kept:
            headers.append((name.lower().encode(), header_value(value)))
        elif name and name.isascii() and name.replace("-", "").replace("_", "").isalnum():
            headers.append((META_PREFIX + name.lower().encode(), header_value(value)))
    return headers


def quoted(etag: str) -> bytes:
    """Return an ETag as headers write it."""
    return b'"%s"' % etag.encode()


def xml_response(document: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:
    """Return an answer that is a document."""
    return Response(200, [XML_TYPE, *headers], document)


def empty_response(status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:
    """Return an answer without a body."""
    return Response(status, list(headers))
