"""What the lake's use cases take and give: frozen values with names of the glossary."""

from dataclasses import dataclass
from enum import StrEnum

from anabranch.kernel.entries import Entry
from anabranch.kernel.ids import (
    BranchId,
    CommitId,
    IncarnationId,
    MetarangeId,
    Namespace,
    RepositoryId,
    TagId,
    Token,
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A named root of refs on one storage namespace; `version` is its record's in the KV store."""

    id: RepositoryId
    incarnation: IncarnationId
    namespace: Namespace
    default_branch: BranchId
    created_us: int
    is_read_only: bool
    version: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed staging token and how many rows it holds, -1 while nobody counted."""

    token: Token
    rows: int = -1


@dataclass(frozen=True, slots=True)
class BranchRecord:
    """What a branch is: its head, the token that takes writes, the sealed ones newest first.

    `metarange` is the head commit's, kept here so that a read needs one KV round trip.
    """

    head: CommitId
    metarange: MetarangeId
    token: Token
    sealed: tuple[Sealed, ...] = ()
    is_hidden: bool = False

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Return all tokens in the order of lookup."""
        return (self.token, *(one.token for one in self.sealed))


@dataclass(frozen=True, slots=True)
class BranchState:
    """A branch as one read showed it; `version` is the record's."""

    repository: Repository
    branch: BranchId
    record: BranchRecord
    version: int

    @property
    def sealed_tokens(self) -> tuple[Token, ...]:
        """Return the tokens that no longer change, newest first."""
        return tuple(one.token for one in self.record.sealed)


@dataclass(frozen=True, slots=True)
class Branch:
    """A movable name for a commit."""

    id: BranchId
    head: CommitId
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """A fixed name for a commit."""

    id: TagId
    commit_id: CommitId


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a ref expression stands for.

    With `branch`, its staging takes part and reads ask the branch again; `commit_id` is then the
    head at the time. Without `branch`, `metarange` is the commit's. `is_staging_only` is the `$`.
    """

    repository: Repository
    commit_id: CommitId
    metarange: MetarangeId
    branch: BranchId | None = None
    is_staging_only: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A branch that takes writes; one that `is_guess` did when somebody last looked."""

    repository: Repository
    branch: BranchId
    is_guess: bool = False


@dataclass(frozen=True, slots=True)
class Stat:
    """A live object: its path, its entry, and the full URI of its bytes."""

    path: str
    entry: Entry
    physical_address: str


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    """Paths of a listing rolled up to and including the delimiter."""

    path: str


class ChangeKind(StrEnum):
    """How a path differs, in lakeFS's words."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    CONFLICT = "conflict"
    PREFIX_CHANGED = "prefix_changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a diff; `entry` is the right side's, or the left's for a removal."""

    kind: ChangeKind
    path: str
    entry: Entry | None

    @property
    def is_prefix(self) -> bool:
        """Tell whether the line stands for all changes under a common prefix."""
        return self.kind is ChangeKind.PREFIX_CHANGED


@dataclass(frozen=True, slots=True)
class MergeConflict:
    """A path both sides changed.

    `kind` is both_changed, both_added, source_removed or dest_removed.
    """

    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The commit a merge made, and what it did to the destination."""

    commit_id: CommitId
    added: int
    removed: int
    changed: int


def full_address(repository: Repository, entry: Entry) -> str:
    """Return the URI of an entry's bytes."""
    return physical_address(repository.namespace, entry.address)


def physical_address(namespace: Namespace, address: str) -> str:
    """Return the URI of an address that may be relative to the namespace."""
    return address if "://" in address else f"{namespace}/{address}"


def relative_address(namespace: Namespace, uri: str) -> str:
    """Return the form of a URI that an entry keeps: relative when it lies in the namespace."""
    head = f"{namespace}/"
    return uri[len(head) :] if uri.startswith(head) else uri
