"""What the Python client tells of objects, changes and conflicts: values that cannot change.

Times are datetimes in UTC; a size is in bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from msgspec import UnsetType

from anabranch.client import answers

ChangeKind = Literal["added", "removed", "changed", "conflict", "prefix_changed"]
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object, or a common prefix of a listing with a delimiter: of that, only the path is told.

    `checksum` is the object's ETag: the MD5 of its bytes, unless it came in parts.
    """

    path: str
    is_prefix: bool = False
    size_bytes: int = 0
    checksum: str = ""
    modified: datetime | None = None
    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    physical_address: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a diff; the size is the newer side's, or that of what was removed."""

    path: str
    kind: ChangeKind
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class MergeConflict:
    """A path that a merge could not decide.

    `kind` is both_changed, both_added, source_removed (and changed by the destination) or
    dest_removed (and changed by the source).
    """

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class RepositoryInfo:
    """What is known of a repository; its bytes live under `namespace`."""

    name: str
    namespace: str
    default_branch: str
    created: datetime
    is_read_only: bool


def repository_of(found: answers.Repository) -> RepositoryInfo:
    """Return a repository of an answer."""
    return RepositoryInfo(
        found.id,
        found.storage_namespace,
        found.default_branch,
        time_of(found.creation_date),
        found.read_only,
    )


def object_of(stats: answers.ObjectStats) -> ObjectInfo:
    """Return an object of an answer."""
    return ObjectInfo(
        path=stats.path,
        is_prefix=stats.path_type == "common_prefix",
        size_bytes=0 if isinstance(stats.size_bytes, UnsetType) else stats.size_bytes,
        checksum="" if isinstance(stats.checksum, UnsetType) else stats.checksum,
        modified=None if not stats.mtime else time_of(stats.mtime),
        content_type="" if isinstance(stats.content_type, UnsetType) else stats.content_type,
        metadata=_NOTHING
        if isinstance(stats.metadata, UnsetType)
        else MappingProxyType(stats.metadata),
        physical_address=""
        if isinstance(stats.physical_address, UnsetType)
        else stats.physical_address,
    )


def change_of(change: answers.Change) -> Change:
    """Return a change of an answer."""
    size = change.size_bytes
    return Change(change.path, change.type, None if isinstance(size, UnsetType) else size)


def conflict_of(conflict: answers.MergeConflict) -> MergeConflict:
    """Return a conflict of an answer."""
    return MergeConflict(conflict.path, conflict.type)


def time_of(seconds: int | UnsetType) -> datetime:
    """Return a time of an answer."""
    return datetime.fromtimestamp(0 if isinstance(seconds, UnsetType) else seconds, UTC)
