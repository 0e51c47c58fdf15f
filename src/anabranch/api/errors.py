"""From the error tree to statuses: the one table of this surface, and the body of an error."""

import msgspec

from anabranch.edge.http import Headers, Response
from anabranch.kernel.errors import (
    AlreadyExists,
    AnabranchError,
    Conflict,
    Corrupted,
    Forbidden,
    Gone,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    NotModified,
    NotSupported,
    OutcomeUnknown,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)

STATUS: dict[type[AnabranchError], int] = {
    InvalidInput: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    AlreadyExists: 409,
    Conflict: 409,
    Gone: 410,
    PreconditionFailed: 412,
    LimitExceeded: 413,
    NotModified: 304,
    Corrupted: 500,
    NotSupported: 501,
    Unavailable: 503,
    # Not 503: that invites to repeat what may have happened.
    OutcomeUnknown: 500,
}
"""What each class answers unless its kind says otherwise."""

KIND_STATUS: dict[Kind, int] = {
    Kind.RANGE_UNSATISFIABLE: 416,
    Kind.TIMEOUT: 408,
    Kind.TOO_MANY: 400,
    # A client that tolerates 409 takes it for "the repository exists".
    Kind.NAMESPACE_OVERLAP: 400,
    # As lakeFS answers them, so that its clients tell them apart from a lost race.
    Kind.NO_CHANGES: 400,
    Kind.DIRTY_BRANCH: 400,
    Kind.DEFAULT_BRANCH: 400,
    Kind.REF_AMBIGUOUS: 400,
    # The entry is there and its bytes are not, or not any more.
    Kind.BLOCK_NOT_FOUND: 410,
    Kind.ADDRESS_NOT_FOUND: 400,
    Kind.ADDRESS_USED: 400,
    Kind.NO_MERGE_BASE: 400,
    Kind.PARENT_NUMBER: 400,
    Kind.RETRIES_EXHAUSTED: 423,
}
"""Kinds whose status is not their class's."""

CHALLENGE: Headers = [
    (b"www-authenticate", b'Basic realm="anabranch", charset="UTF-8"'),
    (b"www-authenticate", b'Bearer realm="anabranch"'),
]
_JSON = (b"content-type", b"application/json")
RETRY_AFTER_S = 1


def status_of(error: AnabranchError) -> int:
    """Return the status of an error: its kind's if that has one, else its class's."""
    status = KIND_STATUS.get(error.kind)
    if status is not None:
        return status
    for base in type(error).__mro__:
        if base in STATUS:
            return STATUS[base]
    return 500


def error_response(error: AnabranchError) -> Response:
    """Return the answer to an error."""
    status = status_of(error)
    if status == 304:
        return Response(status)
    # What lakeFS's body has no place for: programs of ours tell kinds apart by it.
    headers: Headers = [(b"x-anabranch-kind", error.kind.value.encode())]
    if status == 401:
        headers += CHALLENGE
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    return message_response(status, error.message, headers)


def message_response(status: int, message: str, headers: Headers | None = None) -> Response:
    """Return an answer with lakeFS's error body."""
    # Names come from requests and may hold what is not UTF-8: shown escaped.
    shown = message.encode("utf-8", "backslashreplace").decode()
    return Response(status, [_JSON, *(headers or ())], msgspec.json.encode({"message": shown}))
