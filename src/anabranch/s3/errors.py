"""Error -> S3 code and status, in one table; and the errors only S3 has a word for.

docs/errors.md lists the kinds. An error's answer is XML with Code, Message, Resource, RequestId.
"""

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
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)

STATUS = {
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BucketAlreadyExists": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "ErrReadOnlyRepository": 403,
    "ErrWriteToProtectedBranch": 403,
    "Gone": 410,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedTrailerError": 400,
    "MalformedXML": 400,
    "MaxMessageLengthExceeded": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "RequestHeaderSectionTooLarge": 400,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}
"""Every code the gateway answers, and its status."""

CODE = {
    Kind.REPOSITORY_NAME: "InvalidBucketName",
    # A name that no ref can have is a ref that does not exist.
    Kind.BRANCH_NAME: "NoSuchKey",
    Kind.TAG_NAME: "NoSuchKey",
    Kind.REF_EXPRESSION: "NoSuchKey",
    Kind.COMMIT_ID: "NoSuchKey",
    Kind.PATH: "InvalidArgument",
    Kind.PATH_LENGTH: "KeyTooLongError",
    Kind.METADATA: "MetadataTooLarge",
    Kind.BODY: "InvalidRequest",
    Kind.REPOSITORY_NOT_FOUND: "NoSuchBucket",
    Kind.UPLOAD_NOT_FOUND: "NoSuchUpload",
    Kind.REPOSITORY_EXISTS: "BucketAlreadyExists",
    Kind.REF_AMBIGUOUS: "InvalidArgument",
    # The writer gave up after many tries: the same request may well succeed a moment later.
    Kind.RETRIES_EXHAUSTED: "SlowDown",
    Kind.CREDENTIALS: "InvalidAccessKeyId",
    Kind.SIGNATURE: "SignatureDoesNotMatch",
    Kind.CLOCK_SKEW: "RequestTimeTooSkewed",
    Kind.READ_ONLY_REPOSITORY: "ErrReadOnlyRepository",
    Kind.PROTECTED_BRANCH: "ErrWriteToProtectedBranch",
    Kind.NOT_A_BRANCH: "ErrWriteToProtectedBranch",
    Kind.PART_NUMBER: "InvalidArgument",
    Kind.PART_ORDER: "InvalidPartOrder",
    Kind.PART_TOO_SMALL: "EntityTooSmall",
    Kind.PART_MISSING: "InvalidPart",
    Kind.CHECKSUM: "BadDigest",
    Kind.TRUNCATED: "IncompleteBody",
    Kind.RANGE_UNSATISFIABLE: "InvalidRange",
    Kind.TOO_LARGE: "EntityTooLarge",
    Kind.TOO_MANY: "InvalidRequest",
    Kind.TIMEOUT: "RequestTimeout",
}
"""Kinds whose code does not follow from their class."""

_CODE_OF_CLASS: dict[type[AnabranchError], str] = {
    InvalidInput: "InvalidArgument",
    NotFound: "NoSuchKey",
    AlreadyExists: "OperationAborted",
    Conflict: "OperationAborted",
    PreconditionFailed: "PreconditionFailed",
    NotModified: "NotModified",
    Unauthenticated: "AccessDenied",
    Forbidden: "AccessDenied",
    Gone: "Gone",
    LimitExceeded: "InvalidRequest",
    Unavailable: "SlowDown",
    Corrupted: "InternalError",
    NotSupported: "NotImplemented",
}


class Refused(InvalidInput):
    """A request that only S3 has a word for: `code` is one of STATUS.

    `details` become elements of the answer, in order.
    """

    def __init__(self, code: str, message: str, **details: object) -> None:
        super().__init__(Kind.VALUE, message, **details)
        assert code in STATUS, code
        self.code = code


def code_of(error: AnabranchError) -> str:
    """Return the S3 code of an error."""
    if isinstance(error, Refused):
        return error.code
    found = CODE.get(error.kind)
    if found is not None:
        return found
    for base in type(error).__mro__:
        if base in _CODE_OF_CLASS:
            return _CODE_OF_CLASS[base]
    return "InternalError"


def details_of(error: AnabranchError) -> list[tuple[str, str]]:
    """Return the extra elements of an error's answer; only S3's own errors have some."""
    if not isinstance(error, Refused):
        return []
    return [(name, str(value)) for name, value in error.details.items()]
