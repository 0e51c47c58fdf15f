"""The one error tree: classes say what a handler would do, `Kind` says exactly what happened.

Texts are for people and may change; kinds are stable and documented in docs/errors.md. No class
here knows a status code: each surface has one table of its own.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What exactly went wrong; stable across releases."""

    # Names and forms of input
    REPOSITORY_NAME = "repository_name"
    BRANCH_NAME = "branch_name"
    TAG_NAME = "tag_name"
    REF_EXPRESSION = "ref_expression"
    COMMIT_ID = "commit_id"
    PATH = "path"
    PATH_LENGTH = "path_length"
    NAMESPACE = "namespace"
    NAMESPACE_OVERLAP = "namespace_overlap"
    METADATA = "metadata"
    MESSAGE = "message"
    CURSOR = "cursor"
    VALUE = "value"
    BODY = "body"
    DUMP = "dump"
    # Things that are not there
    REPOSITORY_NOT_FOUND = "repository_not_found"
    BRANCH_NOT_FOUND = "branch_not_found"
    TAG_NOT_FOUND = "tag_not_found"
    REF_NOT_FOUND = "ref_not_found"
    COMMIT_NOT_FOUND = "commit_not_found"
    OBJECT_NOT_FOUND = "object_not_found"
    BLOCK_NOT_FOUND = "block_not_found"
    UPLOAD_NOT_FOUND = "upload_not_found"
    ADDRESS_NOT_FOUND = "address_not_found"
    IMPORT_NOT_FOUND = "import_not_found"
    TASK_NOT_FOUND = "task_not_found"
    DUMP_NOT_FOUND = "dump_not_found"
    RANGE_NOT_FOUND = "range_not_found"
    USER_NOT_FOUND = "user_not_found"
    # Things that are there already
    REPOSITORY_EXISTS = "repository_exists"
    BRANCH_EXISTS = "branch_exists"
    TAG_EXISTS = "tag_exists"
    BLOCK_EXISTS = "block_exists"
    SETUP_DONE = "setup_done"
    # State that refuses
    REF_AMBIGUOUS = "ref_ambiguous"
    CONFLICT = "conflict"
    MERGE_CONFLICT = "merge_conflict"
    NO_CHANGES = "no_changes"
    DIRTY_BRANCH = "dirty_branch"
    TOO_MANY_SEALED = "too_many_sealed"
    RETRIES_EXHAUSTED = "retries_exhausted"
    PRECONDITION = "precondition"
    NOT_MODIFIED = "not_modified"
    ADDRESS_USED = "address_used"
    DEFAULT_BRANCH = "default_branch"
    NO_MERGE_BASE = "no_merge_base"
    NOT_BARE = "not_bare"
    PARENT_NUMBER = "parent_number"
    EXPIRED = "expired"
    # Permission
    CREDENTIALS = "credentials"
    SIGNATURE = "signature"
    CLOCK_SKEW = "clock_skew"
    FORBIDDEN = "forbidden"
    READ_ONLY_REPOSITORY = "read_only_repository"
    PROTECTED_BRANCH = "protected_branch"
    NOT_A_BRANCH = "not_a_branch"
    PROTECTED_BLOCK = "protected_block"
    IMPORT_SOURCE = "import_source"
    NOT_SET_UP = "not_set_up"
    # Uploads
    PART_NUMBER = "part_number"
    PART_ORDER = "part_order"
    PART_TOO_SMALL = "part_too_small"
    PART_MISSING = "part_missing"
    CHECKSUM = "checksum"
    TRUNCATED = "truncated"
    RANGE_UNSATISFIABLE = "range_unsatisfiable"
    # Limits
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    TIMEOUT = "timeout"
    BUSY = "busy"
    INTERRUPTED = "interrupted"
    # Stored data
    RANGE_LOST = "range_lost"
    RANGE_CHECKSUM = "range_checksum"
    RECORD_FORMAT = "record_format"
    DATA_FORMAT = "data_format"
    STORE_FAILED = "store_failed"
    BLOCK_DAMAGED = "block_damaged"
    OUTCOME_UNKNOWN = "outcome_unknown"
    # Statements
    SQL = "sql"
    LABEL_USED = "label_used"
    # Not offered
    NOT_SUPPORTED = "not_supported"


class AnabranchError(Exception):
    """Base of everything raised on purpose.

    `kind` is for programs, `message` for people; `details` holds small values a surface may show.
    """

    def __init__(self, kind: Kind, message: str, **details: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details = details


class InvalidInput(AnabranchError):
    """The request can never succeed as it is written."""


class NotFound(AnabranchError):
    """A named thing does not exist."""


class AlreadyExists(AnabranchError):
    """A thing that was to be created exists."""


class Conflict(AnabranchError):
    """The state of the repository refuses the request; the caller may decide and repeat."""


class PreconditionFailed(AnabranchError):
    """A condition the caller gave (If-Match and the like) does not hold."""


class NotModified(AnabranchError):
    """The caller's copy is current (If-None-Match and the like on a read)."""


class Unauthenticated(AnabranchError):
    """Who is asking could not be established."""


class Forbidden(AnabranchError):
    """Who is asking is known and may not, or nobody may."""


class Gone(AnabranchError):
    """It existed, and retention has removed its data."""


class LimitExceeded(AnabranchError):
    """A documented maximum was passed."""


class Unavailable(AnabranchError):
    """It may work later, unchanged: the store is busy, or a process is not running."""


class OutcomeUnknown(Unavailable):
    """The answer of a write was lost, and whether it happened could not be found out."""


class Corrupted(AnabranchError):
    """Stored bytes are not what was written."""


class NotSupported(AnabranchError):
    """The operation is known and not offered."""
