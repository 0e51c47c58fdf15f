"""The only place where the lake's KV keys are spelled (those of blocks: storage/blocks/index.py).

Keys hold a repository's incarnation, not its name, so that a name created again starts empty.
Names never hold NUL; a NUL ends a name where something follows.
"""

from anabranch.kernel.ids import (
    BranchId,
    CommitId,
    IncarnationId,
    Namespace,
    RepositoryId,
    TagId,
    Token,
    UploadId,
)

REPOSITORIES = b"repository/"
NAMESPACES = b"namespace/"
DROPPED = b"dropped/"
UPLOADS = b"upload/"
RETIRED = b"retired/"
"""Incarnations of deleted repositories whose keys are still to be removed."""
DISCARDED_UPLOADS = b"upload_discarded/"
"""Uploads that are over, whose parts are still to be removed."""
COMPLETED_UPLOADS = b"upload_completed/"
"""Completed uploads by the time of their completion."""
UPLOAD_PARTS = b"upload_part/"
ISSUED = b"issued/"
IMPORTS = b"import/"
REFS_TASKS = b"refs_task/"


def repository(repository_id: RepositoryId) -> bytes:
    """Return the key of a repository's record."""
    return REPOSITORIES + repository_id.encode()


def repository_metadata(incarnation: IncarnationId) -> bytes:
    """Return the key of a repository's user metadata."""
    return b"repository_metadata/" + incarnation.encode()


def namespace(value: Namespace) -> bytes:
    """Return the key that claims a storage namespace, without its scheme."""
    return NAMESPACES + value.split("://", 1)[1].encode() + b"/"


def namespace_bucket(value: Namespace) -> bytes:
    """Return the key whose version moves whenever a namespace in that bucket is claimed."""
    return b"namespace_bucket/" + value.split("://", 1)[1].split("/", 1)[0].encode()


def branches(incarnation: IncarnationId) -> bytes:
    """Return the prefix of a repository's branches."""
    return b"branch/" + incarnation.encode() + b"/"


def branch(incarnation: IncarnationId, branch_id: BranchId) -> bytes:
    """Return the key of a branch's record."""
    return branches(incarnation) + branch_id.encode()


def tags(incarnation: IncarnationId) -> bytes:
    """Return the prefix of a repository's tags."""
    return b"tag/" + incarnation.encode() + b"/"


def tag(incarnation: IncarnationId, tag_id: TagId) -> bytes:
    """Return the key of a tag."""
    return tags(incarnation) + tag_id.encode()


def commits(incarnation: IncarnationId) -> bytes:
    """Return the prefix of a repository's commits."""
    return b"commit/" + incarnation.encode() + b"/"


def commit(incarnation: IncarnationId, commit_id: CommitId | str) -> bytes:
    """Return the key of a commit, or of the first that starts with a prefix."""
    return commits(incarnation) + commit_id.encode()


def staging(token: Token) -> bytes:
    """Return the prefix of a token's rows."""
    return b"staging/" + token.encode() + b"/"


def staged(token: Token, path: str) -> bytes:
    """Return the key of a staging row."""
    return b"staging/" + token.encode() + b"/" + path.encode()


def staged_path(token: Token, key: bytes) -> bytes:
    """Return the path of a staging row's key."""
    return key[len(b"staging/") + len(token) + 1 :]


def dropped(token: Token) -> bytes:
    """Return the key that hands a token's rows to the jobs process."""
    return DROPPED + token.encode()


def upload(upload_id: UploadId) -> bytes:
    """Return the key of a multipart upload's record."""
    return UPLOADS + upload_id.encode()


def upload_parts(upload_id: UploadId) -> bytes:
    """Return the prefix of an upload's parts."""
    return UPLOAD_PARTS + upload_id.encode() + b"/"


def upload_part(upload_id: UploadId, number: int) -> bytes:
    """Return the key of a part; parts order by number."""
    return upload_parts(upload_id) + b"%05d" % number


def upload_paths(scope: str) -> bytes:
    """Return the prefix of the uploads of a scope (an incarnation, or a raw bucket)."""
    return b"upload_path/" + scope.encode() + b"\x00"


def upload_path(scope: str, path: str, upload_id: UploadId) -> bytes:
    """Return the key that lists an upload by its path."""
    return upload_paths(scope) + path.encode() + b"\x00" + upload_id.encode()


def discarded_upload(upload_id: UploadId) -> bytes:
    """Return the key that hands an upload's parts to the jobs process."""
    return DISCARDED_UPLOADS + upload_id.encode()


def completed_upload(completed_us: int, upload_id: UploadId) -> bytes:
    """Return the key that lists a completed upload by its time, microseconds since 1970 UTC."""
    return COMPLETED_UPLOADS + b"%020d/" % completed_us + upload_id.encode()


def issued_addresses(incarnation: IncarnationId) -> bytes:
    """Return the prefix of a repository's issued addresses."""
    return b"issued/" + incarnation.encode() + b"/"


def issued_address(incarnation: IncarnationId, address: str) -> bytes:
    """Return the key of an issued, not yet used address."""
    return issued_addresses(incarnation) + address.encode()


def imports(incarnation: IncarnationId) -> bytes:
    """Return the prefix of a repository's imports."""
    return b"import/" + incarnation.encode() + b"/"


def import_job(incarnation: IncarnationId, import_id: str) -> bytes:
    """Return the key of an import's state."""
    return imports(incarnation) + import_id.encode()


def bare(incarnation: IncarnationId) -> bytes:
    """Return the key that marks a repository without refs, into which a dump may be restored."""
    return b"bare/" + incarnation.encode()


def refs_tasks(incarnation: IncarnationId) -> bytes:
    """Return the prefix of a repository's dumps and restores."""
    return REFS_TASKS + incarnation.encode() + b"/"


def refs_task(incarnation: IncarnationId, task_id: str) -> bytes:
    """Return the key of the state of a dump or restore."""
    return refs_tasks(incarnation) + task_id.encode()


def retired(incarnation: IncarnationId) -> bytes:
    """Return the key of a deleted repository whose keys are still to be removed."""
    return RETIRED + incarnation.encode()


def retiring(repository_id: RepositoryId) -> bytes:
    """Return the key that keeps a name from being used again while old branches remain."""
    return b"retiring/" + repository_id.encode()
