"""What the driver of merges asks of whoever can read rows, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from anabranch.kernel.ids import MetarangeId, RepositoryId
from anabranch.lake.comparing import Strategy
from anabranch.storage.blocks.base import Extent
from anabranch.warehouse.rowsets.rowset import Header


@dataclass(frozen=True, slots=True)
class RowQuestion:
    """Do rows of a table conflict? `table` is its prefix, `schema` the merged one's bytes.

    `changed` has, by partition, the paths of rowsets that source and dest added or removed and
    that may touch the same keys. `dropped` are rowsets of either side that the merge leaves out.
    With `writes` and a strategy, conflicts are settled: rowsets are written.
    """

    repository: RepositoryId
    base: MetarangeId
    source: MetarangeId
    dest: MetarangeId
    table: str
    schema: str
    changed: Mapping[str, tuple[list[str], list[str]]]
    dropped: tuple[str, ...]
    strategy: Strategy | None
    writes: bool


@dataclass(frozen=True, slots=True)
class WrittenRowset:
    """A rowset whose bytes are in the block store and that nothing points to yet."""

    partition: str
    id: str
    header: Header
    address: str
    etag: str
    size_bytes: int
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """The rows that conflict, as (path, kind), or the rowsets that settle them."""

    conflicts: tuple[tuple[str, str], ...] = ()
    rowsets: tuple[WrittenRowset, ...] = ()


class RowJudge(Protocol):
    """Judges rows. Safe to call from many threads; blocks."""

    def judge(self, question: RowQuestion) -> RowAnswer:
        """Answer; raise Unavailable when nobody can."""
        ...
