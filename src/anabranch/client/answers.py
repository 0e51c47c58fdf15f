"""What the server answers, in the shapes of its API; fields a command does not use are ignored.

Commands print these with `--json`, so their fields are the stable shapes of docs/commands.md.
Times are whole seconds since 1970 UTC.
"""

from typing import Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

T = TypeVar("T")


class Problem(Struct, frozen=True):
    """The body of a refusal."""

    message: str


class Pagination(Struct, frozen=True):
    """Where a list goes on."""

    has_more: bool
    next_offset: str = ""


class Page(Struct, Generic[T], frozen=True):
    """A bounded part of a list."""

    pagination: Pagination
    results: list[T]


class Repository(Struct, frozen=True):
    """A repository."""

    id: str
    storage_namespace: str
    default_branch: str
    creation_date: int
    read_only: bool = False


class Ref(Struct, frozen=True):
    """A branch or a tag."""

    id: str
    commit_id: str


class Commit(Struct, frozen=True):
    """A commit."""

    id: str
    parents: list[str]
    committer: str
    message: str
    creation_date: int
    metadata: dict[str, str] = {}


class ObjectStats(Struct, frozen=True):
    """An object; of a common prefix only the path and its type are told."""

    path: str
    path_type: Literal["object", "common_prefix"]
    size_bytes: int | UnsetType = UNSET
    checksum: str | UnsetType = UNSET
    mtime: int | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    physical_address: str | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET


class Change(Struct, frozen=True):
    """One path of a diff; the size is the newer side's, or that of what was removed."""

    type: Literal["added", "removed", "changed", "conflict", "prefix_changed"]
    path: str
    size_bytes: int | UnsetType = UNSET


class MergeSummary(Struct, frozen=True):
    """What a merge did to its destination, in paths."""

    added: int
    removed: int
    changed: int


class ImportStarted(Struct, frozen=True):
    """The name of an import that runs."""

    id: str


class ImportStatus(Struct, frozen=True):
    """How far an import is: `completed` when it is over, with a commit or an error."""

    completed: bool
    ingested_objects: int = 0
    commit: Commit | UnsetType = UNSET
    error: Problem | UnsetType = UNSET


class TaskStarted(Struct, frozen=True):
    """The name of a dump or restore that runs."""

    id: str


class RefsDump(Struct, frozen=True):
    """The ids of a dump's lists."""

    commits_meta_range_id: str
    tags_meta_range_id: str
    branches_meta_range_id: str


class TaskStatus(Struct, frozen=True):
    """How a dump or restore is: `refs` of a dump that is done, `error` of what failed."""

    id: str
    done: bool
    error: str | UnsetType = UNSET
    refs: RefsDump | UnsetType = UNSET


class StorageUri(Struct, frozen=True):
    """A place in the block store."""

    location: str


class MergeResult(Struct, frozen=True):
    """The commit of a merge, and what it did."""

    reference: str
    summary: MergeSummary


class MergeConflict(Struct, frozen=True):
    """A path that a merge could not decide; `type` says what both sides did."""

    path: str
    type: str


class ConflictingMerge(Struct, frozen=True):
    """A refused merge: the first page of its conflicts."""

    message: str
    conflicts: Page[MergeConflict]


class ObjectError(Struct, frozen=True):
    """A path that a bulk delete left, and why."""

    message: str
    path: str = ""


class ObjectErrors(Struct, frozen=True):
    """All that a bulk delete left."""

    errors: list[ObjectError]


class StorageConfig(Struct, frozen=True):
    """Where new repositories go."""

    blockstore_namespace_example: str
    default_namespace_prefix: str = ""


class Config(Struct, frozen=True):
    """What a server says of itself."""

    storage_config: StorageConfig


def to_builtins(value: object) -> object:
    """Return a value as dicts and lists; what is not set is left out."""
    return msgspec.to_builtins(value)
