"""The JSON shapes of request bodies, under lakeFS's names. Times are seconds since 1970 UTC."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from anabranch.kernel import limits

Texts = dict[str, str]
PathType = Literal["object", "common_prefix"]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Seconds = Annotated[int, Meta(ge=0, le=2**42)]


class Input(Struct, frozen=True, rename=None):
    """Base of request bodies: unknown fields are ignored, as lakeFS does."""


class RepositoryCreation(Input, frozen=True):
    """`createRepository`."""

    name: str
    storage_namespace: str
    default_branch: str | None = None
    sample_data: bool | None = False
    read_only: bool | None = False
    storage_id: str | None = None


class RepositoryMetadataSet(Input, frozen=True):
    """`setRepositoryMetadata`."""

    metadata: Texts


class RepositoryMetadataKeys(Input, frozen=True):
    """`deleteRepositoryMetadata`."""

    keys: list[str]


class BranchCreation(Input, frozen=True):
    """`createBranch`."""

    name: str
    source: str
    force: bool | None = False
    hidden: bool | None = False


class ResetCreation(Input, frozen=True):
    """`resetBranch`: `path` is needed unless all is reset."""

    type: Literal["object", "common_prefix", "reset"]
    path: str | None = None
    force: bool | None = False


class CommitOverrides(Input, frozen=True):
    """What a revert or cherry-pick writes instead of what it would take over."""

    message: str | None = None
    metadata: Texts | None = None


class RevertCreation(Input, frozen=True):
    """`revertBranch`: `parent_number` counts from 1 and is needed for merge commits."""

    ref: str
    parent_number: Annotated[int, Meta(ge=0, le=1_000_000)]
    commit_overrides: CommitOverrides | None = None
    force: bool | None = False
    allow_empty: bool | None = False


class CherryPickCreation(Input, frozen=True):
    """`cherryPick`."""

    ref: str
    parent_number: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    commit_overrides: CommitOverrides | None = None
    force: bool | None = False


class TagCreation(Input, frozen=True):
    """`createTag`."""

    id: str
    ref: str
    force: bool | None = False


class CommitCreation(Input, frozen=True):
    """`commit`: `date` in seconds replaces the server's time."""

    message: str
    metadata: Texts | None = None
    date: Seconds | None = None
    allow_empty: bool | None = False
    force: bool | None = False


class Merge(Input, frozen=True):
    """`mergeIntoBranch`."""

    message: str | None = None
    metadata: Texts | None = None
    strategy: Literal["", "dest-wins", "source-wins"] | None = None
    force: bool | None = False
    allow_empty: bool | None = False
    squash_merge: bool | None = False


class ObjectCopyCreation(Input, frozen=True):
    """`copyObject`: without `src_ref` the source lies on the branch itself."""

    src_path: str
    src_ref: str | None = None
    force: bool | None = False
    shallow: bool | None = False


class PathList(Input, frozen=True):
    """`deleteObjects`."""

    paths: list[str]


class UpdateObjectUserMetadata(Input, frozen=True):
    """`updateObjectUserMetadata`: replaces what was there."""

    set: Texts


class RefsRestore(Input, frozen=True):
    """`restoreRefs` and `restoreSubmit`: what a dump answered."""

    commits_meta_range_id: str
    tags_meta_range_id: str
    branches_meta_range_id: str
    force: bool | None = False


class StagingLocationInput(Input, frozen=True):
    """The issued address of `linkPhysicalAddress`; its other fields are not looked at."""

    physical_address: str
    presigned_url: str | None = None
    presigned_url_expiry: int | None = None


class StagingMetadata(Input, frozen=True):
    """`linkPhysicalAddress`."""

    staging: StagingLocationInput
    checksum: Annotated[str, Meta(max_length=limits.CHECKSUM_LENGTH_MAX)]
    size_bytes: Count
    user_metadata: Texts | None = None
    content_type: str | None = None
    mtime: Seconds | None = None
    force: bool | None = False


class ImportLocation(Input, frozen=True):
    """One source of an import and where it goes."""

    type: PathType
    path: str
    destination: str


class ImportCreation(Input, frozen=True):
    """`importStart`."""

    paths: Annotated[list[ImportLocation], Meta(min_length=1)]
    commit: CommitCreation
    force: bool | None = False


class AccessKeyCredentials(Input, frozen=True):
    """A key to install instead of a generated one."""

    access_key_id: Annotated[str, Meta(min_length=1, max_length=128)]
    secret_access_key: Annotated[str, Meta(min_length=1, max_length=128)]


class Setup(Input, frozen=True):
    """`setup`; what it says beside the name and the key is not kept."""

    username: Annotated[str, Meta(min_length=1, max_length=128)]
    key: AccessKeyCredentials | None = None


class LoginInformation(Input, frozen=True):
    """`login`."""

    access_key_id: str
    secret_access_key: str
