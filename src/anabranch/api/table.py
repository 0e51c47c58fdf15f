"""All operations: the one table that routes, checks and the published document come from."""

from anabranch.api import (
    access,
    branches,
    commits,
    diffs,
    imports,
    merges,
    metadata,
    objects,
    refs,
    repositories,
    staging,
    system,
    tags,
    transfers,
    unsupported,
)
from anabranch.api.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *repositories.OPERATIONS,
    *branches.OPERATIONS,
    *tags.OPERATIONS,
    *commits.OPERATIONS,
    *diffs.OPERATIONS,
    *merges.OPERATIONS,
    *objects.OPERATIONS,
    *transfers.OPERATIONS,
    *staging.OPERATIONS,
    *imports.OPERATIONS,
    *metadata.OPERATIONS,
    *refs.OPERATIONS,
    *access.OPERATIONS,
    *system.OPERATIONS,
    *unsupported.OPERATIONS,
)
