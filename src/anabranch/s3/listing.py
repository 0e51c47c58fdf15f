"""ListObjects (version 1) and ListObjectsV2."""

import base64
import binascii

from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.native import wire
from anabranch.s3.addressing import check_key
from anabranch.s3.bucket import KeyPage, make_page
from anabranch.s3.calls import Call, xml_response
from anabranch.s3.errors import Refused
from anabranch.s3.xml import document_of, element, escape, owner, url_encoded

_AFTER_VERSION = "1:"


async def list_objects(call: Call) -> Response:
    """Answer one page, in the version that `list-type` asks for."""
    version = call.parameter("list-type", "1")
    if version == "2":
        return await _list_v2(call)
    if version != "1":
        raise Refused("InvalidArgument", "Invalid List Type specified in Query")
    return await _list_v1(call)


def is_url_encoding(call: Call) -> bool:
    """Tell whether keys are to be percent-coded; raise InvalidArgument for another coding."""
    encoding = call.parameter("encoding-type")
    if encoding.lower() not in ("", "url"):
        raise Refused(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=encoding,
        )
    return bool(encoding)


def max_keys(call: Call, name: str = "max-keys") -> int:
    """Return how many items a page may have; more than 1,000 means 1,000."""
    return min(call.int_parameter(name, limits.PAGE_MAX), limits.PAGE_MAX)


async def _page(call: Call, after: str, amount: int) -> KeyPage:
    bucket = call.bucket()
    prefix, delimiter = check_key(call.parameter("prefix")), call.parameter("delimiter")
    check_key(after)
    if amount == 0:
        await call_local(bucket.require)
        return make_page("", (), None)
    # A short page too may walk over many tombstones before it finds anything.
    return await call_thread(
        bucket.list, prefix=prefix, after=after, amount=amount, delimiter=delimiter
    )


async def _list_v2(call: Call) -> Response:
    is_coded = is_url_encoding(call)
    amount = max_keys(call)
    token = call.parameters.get("continuation-token")
    start_after = call.parameters.get("start-after")
    after = parse_token(token) if token is not None else start_after or ""
    page = await _page(call, after, amount)
    is_owner_shown = call.parameter("fetch-owner").lower() == "true"
    more = page.next_after
    shown_owner = call.identity.user if is_owner_shown else None
    return xml_response(
        document_of(
            "ListBucketResult",
            _head(call, is_coded=is_coded, amount=amount, is_truncated=more is not None),
            f"<KeyCount>{len(page)}</KeyCount>",
            "" if token is None else element("ContinuationToken", token),
            "" if more is None else element("NextContinuationToken", make_token(more)),
            "" if start_after is None else _coded("StartAfter", start_after, is_coded=is_coded),
            body=items_xml(page, is_coded=is_coded, owner_name=shown_owner),
        )
    )


async def _list_v1(call: Call) -> Response:
    is_coded = is_url_encoding(call)
    amount = max_keys(call)
    marker = call.parameter("marker")
    page = await _page(call, marker, amount)
    more = page.next_after
    return xml_response(
        document_of(
            "ListBucketResult",
            _head(call, is_coded=is_coded, amount=amount, is_truncated=more is not None),
            _coded("Marker", marker, is_coded=is_coded),
            "" if more is None else _coded("NextMarker", more, is_coded=is_coded),
            body=items_xml(page, is_coded=is_coded, owner_name=call.identity.user),
        )
    )


def _coded(name: str, text: str, *, is_coded: bool) -> str:
    return element(name, url_encoded(text) if is_coded else text)


def _head(call: Call, *, is_coded: bool, amount: int, is_truncated: bool) -> str:
    delimiter = call.parameter("delimiter")
    return "".join(
        (
            element("Name", call.bucket_name),
            _coded("Prefix", call.parameter("prefix"), is_coded=is_coded),
            _coded("Delimiter", delimiter, is_coded=is_coded) if delimiter else "",
            f"<MaxKeys>{amount}</MaxKeys>",
            "<EncodingType>url</EncodingType>" if is_coded else "",
            f"<IsTruncated>{'true' if is_truncated else 'false'}</IsTruncated>",
        )
    )


def items_xml(page: KeyPage, *, is_coded: bool, owner_name: str | None) -> bytes:
    """Return Contents in order, then CommonPrefixes."""
    shown_owner = "" if owner_name is None else f"<Owner>{owner(owner_name)}</Owner>"
    contents = wire.listing_contents(page.rows, page.head, shown_owner.encode(), is_coded)
    if not page.prefixes:
        return contents
    text = url_encoded if is_coded else escape
    head = text(page.head)
    prefixes = [
        f"<CommonPrefixes><Prefix>{head}{text(path)}</Prefix></CommonPrefixes>"
        for path in page.prefixes
    ]
    return contents + "".join(prefixes).encode()


def make_token(after: str) -> str:
    """Return a continuation token: opaque to clients, safe in any URL."""
    return base64.urlsafe_b64encode((_AFTER_VERSION + after).encode()).decode()


def parse_token(token: str) -> str:
    """Return the key a token continues after; raise InvalidArgument for what is no token."""
    try:
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith(_AFTER_VERSION) or len(text) == len(_AFTER_VERSION):
        raise Refused(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            ArgumentName="continuation-token",
        )
    return text[len(_AFTER_VERSION) :]
