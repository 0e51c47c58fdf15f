"""What judges merges of paths that mean more than their bytes: tables.

`Merges` asks the driver it was given which of the changed paths it judges itself, and takes its
word for them. A merge, a cherry-pick and a revert are all the same to it: what changed from `base`
to `source` comes into `dest`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from anabranch.kernel.entries import Entry
from anabranch.kernel.ids import BranchId, MetarangeId
from anabranch.lake.committed import Committed
from anabranch.lake.comparing import Strategy
from anabranch.lake.values import MergeConflict, Repository
from anabranch.storage.kv.base import Condition, Write


@dataclass(frozen=True, slots=True)
class MergeSides:
    """A merge as a driver sees it; `branch` is None when nothing will be published.

    `touched` are the paths it owns that source changed since base, in order.
    """

    repository: Repository
    branch: BranchId | None
    base: MetarangeId
    source: MetarangeId
    dest: MetarangeId
    touched: Sequence[str]
    committed: Committed


@dataclass(frozen=True, slots=True)
class DriverPlan:
    """What becomes of the owned paths in dest: what is not named stays as it is there.

    `conditions` and `writes` go into the publishing transaction. With conflicts, nothing is merged.
    """

    puts: Sequence[tuple[str, Entry]] = ()
    deletes: Sequence[str] = ()
    conflicts: Sequence[MergeConflict] = ()
    conditions: Sequence[Condition] = ()
    writes: Sequence[Write] = ()


class MergeDriver(Protocol):
    """Judges the paths of a class. Safe to call from many threads."""

    def owns(self, paths: pa.Array) -> pa.Array:
        """Return for each path (string) whether the driver judges it (bool, no nulls)."""
        ...

    def plan(self, sides: MergeSides, strategy: Strategy | None) -> DriverPlan:
        """Judge a merge; raise what ends it. Called again when the branch moved meanwhile."""
        ...
