"""The JSON shapes of answers, under lakeFS's names.

What is optional in an answer is left out when it is not set, never null: strict clients print and
check what they get. Times are whole seconds since 1970 UTC.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from anabranch.api.requests import Count, PathType, Texts
from anabranch.kernel.commits import Commit as LakeCommit
from anabranch.lake.values import Branch as LakeBranch
from anabranch.lake.values import Change, CommonPrefix, Stat
from anabranch.lake.values import Repository as LakeRepository
from anabranch.lake.values import Tag as LakeTag

_SECOND_US = 1_000_000


class Output(Struct, frozen=True, omit_defaults=True):
    """Base of answers."""


class Error(Output, frozen=True):
    """What went wrong, for people."""

    message: str


class Pagination(Output, frozen=True):
    """Which part of a list this is: `next_offset` is the `after` of the next page."""

    has_more: bool
    next_offset: str
    results: Count
    max_per_page: Count


class Repository(Output, frozen=True):
    """A repository."""

    id: str
    creation_date: int
    default_branch: str
    storage_namespace: str
    read_only: bool


class RepositoryList(Output, frozen=True):
    """A page of repositories."""

    pagination: Pagination
    results: list[Repository]


class Ref(Output, frozen=True):
    """A branch or tag and its commit."""

    id: str
    commit_id: str


class RefList(Output, frozen=True):
    """A page of branches or tags."""

    pagination: Pagination
    results: list[Ref]


class Commit(Output, frozen=True):
    """A commit; the generation is not shown, as clients print what they get."""

    id: str
    parents: list[str]
    committer: str
    message: str
    creation_date: int
    meta_range_id: str
    metadata: Texts


class CommitList(Output, frozen=True):
    """A page of commits, newest first."""

    pagination: Pagination
    results: list[Commit]


class ObjectStats(Output, frozen=True):
    """An object or a common prefix of a listing."""

    path: str
    path_type: PathType
    physical_address: str
    checksum: str
    mtime: int
    size_bytes: int | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    metadata: Texts | UnsetType = UNSET


class ObjectStatsList(Output, frozen=True):
    """A page of a listing."""

    pagination: Pagination
    results: list[ObjectStats]


class ObjectError(Output, frozen=True):
    """A path that could not be deleted, and why."""

    status_code: int
    message: str
    path: str | UnsetType = UNSET


class ObjectErrorList(Output, frozen=True):
    """What a bulk delete could not do: empty when all is done."""

    errors: list[ObjectError]


class UnderlyingObjectProperties(Output, frozen=True):
    """What the store below says of an object."""

    storage_class: str | UnsetType = UNSET


class DiffObjectStat(Output, frozen=True):
    """The right side of a changed object."""

    checksum: str
    mtime: int
    content_type: str
    metadata: Texts | UnsetType = UNSET


class Diff(Output, frozen=True):
    """One line of a diff."""

    type: Literal["added", "removed", "changed", "conflict", "prefix_changed"]
    path: str
    path_type: PathType
    size_bytes: int | UnsetType = UNSET
    right: DiffObjectStat | UnsetType = UNSET


class DiffList(Output, frozen=True):
    """A page of a diff."""

    pagination: Pagination
    results: list[Diff]


class MergeSummary(Output, frozen=True):
    """What a merge did to the destination."""

    added: int
    changed: int
    conflict: int
    removed: int


class MergeResult(Output, frozen=True):
    """The commit that a merge made."""

    reference: str
    summary: MergeSummary


class MergeConflict(Output, frozen=True):
    """A path that a merge cannot decide."""

    path: str
    type: str


class MergeConflictList(Output, frozen=True):
    """A page of conflicts, by path."""

    pagination: Pagination
    results: list[MergeConflict]


class MergeConflictResult(Output, frozen=True):
    """A refused merge: the first page of what it could not decide."""

    message: str
    reference: str
    conflicts: MergeConflictList


class FindMergeBaseResult(Output, frozen=True):
    """Both sides of a merge and their best common ancestor."""

    source_commit_id: str
    destination_commit_id: str
    base_commit_id: str


class StagingLocation(Output, frozen=True):
    """Where a client may write the bytes of an object."""

    physical_address: str


class StorageURI(Output, frozen=True):
    """Where a file, or a folder of files, of the server's own lies."""

    location: str


class RefsDump(Output, frozen=True):
    """The lists of a dump of refs."""

    commits_meta_range_id: str
    tags_meta_range_id: str
    branches_meta_range_id: str


class TaskInfo(Output, frozen=True):
    """A started task."""

    id: str


class RepositoryDumpStatus(Output, frozen=True):
    """How a dump is; `refs` when it is done, `error` when it failed."""

    id: str
    done: bool
    update_time: str
    error: str | UnsetType = UNSET
    refs: RefsDump | UnsetType = UNSET


class RepositoryRestoreStatus(Output, frozen=True):
    """How a restore is; `error` when it failed."""

    id: str
    done: bool
    update_time: str
    error: str | UnsetType = UNSET


class ImportCreationResponse(Output, frozen=True):
    """A started import."""

    id: str


class ImportStatus(Output, frozen=True):
    """How far an import is."""

    completed: bool
    update_time: Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
    ingested_objects: int | UnsetType = UNSET
    metarange_id: str | UnsetType = UNSET
    commit: Commit | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class User(Output, frozen=True):
    """A user."""

    id: str
    creation_date: int


class CurrentUser(Output, frozen=True):
    """Who asks."""

    user: User


class AuthenticationToken(Output, frozen=True):
    """A token for `Authorization: Bearer`."""

    token: str
    token_expiration: int


class CredentialsWithSecret(Output, frozen=True):
    """The first user's key; the secret is shown this once."""

    access_key_id: str
    secret_access_key: str
    creation_date: int


class LoginConfig(Output, frozen=True):
    """How a login page asks for credentials."""

    RBAC: str
    login_url: str
    logout_url: str
    login_cookie_names: list[str]


class SetupState(Output, frozen=True):
    """Whether the first user exists."""

    state: Literal["initialized", "not_initialized"]
    comm_prefs_missing: bool
    login_config: LoginConfig


class VersionConfig(Output, frozen=True):
    """Which server this is."""

    version: str
    version_context: str
    upgrade_recommended: bool


class StorageConfig(Output, frozen=True):
    """What clients need to know of the block store."""

    blockstore_type: str
    blockstore_namespace_example: str
    blockstore_namespace_ValidityRegex: str  # noqa: N815  # the field's name in the API
    pre_sign_support: bool
    pre_sign_support_ui: bool
    import_support: bool
    import_validity_regex: str
    default_namespace_prefix: str | UnsetType = UNSET


class Config(Output, frozen=True):
    """Server and store."""

    version_config: VersionConfig
    storage_config: StorageConfig
    storage_config_list: list[StorageConfig] = msgspec.field(default_factory=list)


def seconds(time_us: int) -> int:
    """Return whole seconds of microseconds."""
    return time_us // _SECOND_US


def time_text(time_us: int) -> str:
    """Return an RFC 3339 time in UTC."""
    return datetime.fromtimestamp(time_us / _SECOND_US, UTC).isoformat().replace("+00:00", "Z")


def repository_body(repository: LakeRepository) -> Repository:
    """Return the shape of a repository."""
    return Repository(
        id=repository.id,
        creation_date=seconds(repository.created_us),
        default_branch=repository.default_branch,
        storage_namespace=repository.namespace,
        read_only=repository.is_read_only,
    )


def branch_body(branch: LakeBranch) -> Ref:
    """Return the shape of a branch."""
    return Ref(id=branch.id, commit_id=branch.head)


def tag_body(tag: LakeTag) -> Ref:
    """Return the shape of a tag."""
    return Ref(id=tag.id, commit_id=tag.commit_id)


def commit_body(commit: LakeCommit, *, is_new: bool = False) -> Commit:
    """Return the shape of a commit; the answer to `commit` has no metarange, as lakeFS's."""
    return Commit(
        id=commit.id,
        parents=list(commit.parents),
        committer=commit.committer,
        message=commit.message,
        creation_date=seconds(commit.created_us),
        meta_range_id="" if is_new else commit.metarange,
        metadata=dict(commit.metadata),
    )


def stat_body(item: Stat | CommonPrefix, *, with_metadata: bool = True) -> ObjectStats:
    """Return the shape of one line of a listing; metadata is left out when there is none."""
    if isinstance(item, CommonPrefix):
        return ObjectStats(
            path=item.path, path_type="common_prefix", physical_address="", checksum="", mtime=0
        )
    entry = item.entry
    return ObjectStats(
        path=item.path,
        path_type="object",
        physical_address=item.physical_address,
        checksum=entry.checksum,
        mtime=seconds(entry.mtime_us),
        size_bytes=entry.size_bytes,
        content_type=entry.content_type,
        metadata=dict(entry.metadata) if with_metadata and entry.metadata else UNSET,
    )


def diff_body(change: Change, *, with_right: bool = False) -> Diff:
    """Return the shape of one line of a diff."""
    entry = change.entry
    is_right = with_right and entry is not None and change.kind.value in ("added", "changed")
    return Diff(
        type=change.kind.value,
        path=change.path,
        path_type="common_prefix" if change.is_prefix else "object",
        size_bytes=UNSET if entry is None else entry.size_bytes,
        right=DiffObjectStat(
            checksum=entry.checksum,
            mtime=seconds(entry.mtime_us),
            content_type=entry.content_type,
            metadata=dict(entry.metadata) if entry.metadata else UNSET,
        )
        if is_right and entry is not None
        else UNSET,
    )
