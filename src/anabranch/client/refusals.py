"""What a server's refusal means: an error of our tree, with what to try next."""

import msgspec

from anabranch.client.answers import Problem
from anabranch.kernel.errors import (
    AlreadyExists,
    AnabranchError,
    Conflict,
    Forbidden,
    Gone,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)

KIND_HEADER = "x-anabranch-kind"
_KINDS = frozenset(Kind)
_SERVER_FAILED = 500
_Error = tuple[type[AnabranchError], Kind]

_STATUS: dict[int, _Error] = {
    400: (InvalidInput, Kind.VALUE),
    401: (Unauthenticated, Kind.CREDENTIALS),
    403: (Forbidden, Kind.FORBIDDEN),
    404: (NotFound, Kind.OBJECT_NOT_FOUND),
    408: (Unavailable, Kind.TIMEOUT),
    409: (Conflict, Kind.CONFLICT),
    410: (Gone, Kind.EXPIRED),
    412: (PreconditionFailed, Kind.PRECONDITION),
    413: (LimitExceeded, Kind.TOO_LARGE),
    414: (LimitExceeded, Kind.TOO_LARGE),
    423: (Conflict, Kind.RETRIES_EXHAUSTED),
    429: (Unavailable, Kind.BUSY),
    501: (NotSupported, Kind.NOT_SUPPORTED),
    502: (Unavailable, Kind.BUSY),
    503: (Unavailable, Kind.BUSY),
    504: (Unavailable, Kind.TIMEOUT),
}

# Statuses are those of lakeFS's API, which are coarser than our kinds.
_CLASSES: dict[Kind, type[AnabranchError]] = {
    Kind.NO_CHANGES: Conflict,
    Kind.DIRTY_BRANCH: Conflict,
    Kind.NO_MERGE_BASE: Conflict,
    Kind.DEFAULT_BRANCH: Conflict,
    Kind.REPOSITORY_EXISTS: AlreadyExists,
    Kind.BRANCH_EXISTS: AlreadyExists,
    Kind.TAG_EXISTS: AlreadyExists,
}

_HINTS = {
    Kind.CREDENTIALS: "check the access key and its secret",
    Kind.REPOSITORY_NOT_FOUND: "`anabranch repo list` shows the repositories",
    Kind.BRANCH_NOT_FOUND: "`anabranch branch list {repository}` shows the branches",
    Kind.TAG_NOT_FOUND: "`anabranch tag list {repository}` shows the tags",
    Kind.COMMIT_NOT_FOUND: "`anabranch log {repository}/BRANCH` shows the commits of a branch",
    Kind.REF_NOT_FOUND: "`anabranch branch list {repository}` and `anabranch tag list {repository}`"
    " show what there is",
    Kind.OBJECT_NOT_FOUND: "`anabranch fs ls {repository}/{ref}/` shows what there is",
    Kind.NO_CHANGES: "nothing differs; --allow-empty makes a commit all the same",
    Kind.DIRTY_BRANCH: "`anabranch commit` or `anabranch branch reset` the branch first",
    Kind.MERGE_CONFLICT: "the branch has changed the same paths; change them by hand and commit",
    Kind.PARENT_NUMBER: "--parent 1 takes the branch merged into, --parent 2 what was merged",
    Kind.IMPORT_SOURCE: "a source is s3://BUCKET/... of the raw store, or local:///... in a folder "
    "that `anabranch serve --import-from` names",
    Kind.NOT_BARE: "`anabranch repo create NAME NAMESPACE --bare` makes a bare one",
    Kind.NO_MERGE_BASE: "`anabranch diff --two-dot` compares histories that never met",
    Kind.RETRIES_EXHAUSTED: "others are changing the branch; try again",
    Kind.BUSY: "try again",
    Kind.TIMEOUT: "try again",
}


def refusal(
    status: int, body: bytes, told: str, *, asked: str, segments: tuple[str, ...]
) -> AnabranchError:
    """Return the error that an answer stands for.

    `told` is the kind its header names, empty where there is none; `asked` is the request as
    people read it, `segments` are those of its path.
    """
    message = message_of(body)
    if message is None:
        # A proxy between us and the server says in its own words that it is down.
        other = Unavailable if status >= _SERVER_FAILED else InvalidInput
        return other(
            Kind.BODY,
            f"status {status}, with an answer that is not Anabranch's",
            asked=asked,
            hint="check the endpoint: it is the port of REST, S3 and the page",
        )
    base, kind = _STATUS.get(status, (AnabranchError, Kind.STORE_FAILED))
    if told in _KINDS:
        kind = Kind(told)
        base = _CLASSES.get(kind, base)
    details = {"asked": asked}
    if kind in _HINTS:
        names = dict(zip(segments[::2], segments[1::2], strict=False))
        details["hint"] = _HINTS[kind].format(
            repository=names.get("repositories", "REPOSITORY"),
            ref=names.get("refs") or names.get("branches") or "REF",
        )
    return base(kind, message, **details)


def message_of(body: bytes) -> str | None:
    """Return the text of a refusal, None when it is none of ours."""
    try:
        return msgspec.json.decode(body, type=Problem).message
    except msgspec.MsgspecError:
        return None
