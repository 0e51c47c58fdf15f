"""The three sides of a merge as paths and entries, and what is to become of the destination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from anabranch.kernel.entries import Entry
from anabranch.kernel.ids import MetarangeId
from anabranch.kernel.ranges import KIND_ADDED, KIND_REMOVED
from anabranch.lake import Lake
from anabranch.lake.comparing import Strategy
from anabranch.lake.drivers import DriverPlan, MergeSides
from anabranch.lake.rows import entries_of
from anabranch.lake.values import MergeConflict
from anabranch.storage.kv.base import Condition, Write
from anabranch.warehouse.catalog.databases import read_small

Side = Literal["source", "dest"]


@dataclass(frozen=True, slots=True)
class Triple:
    """What a path means on each side."""

    base: Entry | None
    source: Entry | None
    dest: Entry | None

    @property
    def is_anywhere(self) -> bool:
        """Tell whether some side has it."""
        return any(one is not None for one in (self.base, self.source, self.dest))

    @property
    def is_conflict(self) -> bool:
        """Tell whether both sides changed it differently."""
        return not (
            same(self.base, self.source)
            or same(self.base, self.dest)
            or same(self.source, self.dest)
        )

    @property
    def conflict_kind(self) -> str:
        """Return the lake's word for what both sides did."""
        if self.source is None:
            return "source_removed"
        if self.dest is None:
            return "dest_removed"
        return "both_added" if self.base is None else "both_changed"


@dataclass(frozen=True, slots=True)
class Step:
    """What one side did to a path since the base; at least one of both is there."""

    before: Entry | None
    now: Entry | None


Steps = dict[str, Step]


class Sides:
    """Reads the sides of one merge."""

    def __init__(self, lake: Lake, sides: MergeSides) -> None:
        self._lake = lake
        self._committed = sides.committed
        self._namespace = sides.repository.namespace
        self.merge = sides

    def triples(self, paths: Sequence[str]) -> dict[str, Triple]:
        """Return what paths mean on the sides."""
        columns = [
            self._committed.get_many(self._namespace, one, paths)
            for one in (self.merge.base, self.merge.source, self.merge.dest)
        ]
        return {path: Triple(*entries) for path, *entries in zip(paths, *columns, strict=True)}

    def steps(self, side: Side, prefix: str) -> Steps:
        """Return what a side did to the paths under a prefix since the base."""
        found: Steps = {}
        changed: list[tuple[str, Entry]] = []
        for batch in self._committed.diff(
            self._namespace, self.merge.base, self._metarange(side), prefix=prefix
        ):
            kinds = batch.column("kind").to_pylist()
            for kind, (path, entry) in zip(kinds, entries_of(batch), strict=True):
                if kind == KIND_ADDED:
                    found[path] = Step(None, entry)
                elif kind == KIND_REMOVED:
                    found[path] = Step(entry, None)
                else:
                    changed.append((path, entry))
        before = self._committed.get_many(
            self._namespace, self.merge.base, [path for path, _ in changed]
        )
        for (path, entry), old in zip(changed, before, strict=True):
            found[path] = Step(old, entry)
        return found

    def under(self, side: Side, prefix: str) -> dict[str, Entry]:
        """Return all a side has under a prefix."""
        found: dict[str, Entry] = {}
        for batch in self._committed.scan(self._namespace, self._metarange(side), prefix=prefix):
            found.update(entries_of(batch))
        return found

    def names(self, side: Side, prefix: str) -> list[str]:
        """Return the names right under a prefix that have something below them."""
        found: list[str] = []
        at = prefix
        while True:
            first = self._committed.first_at_or_after(self._namespace, self._metarange(side), at)
            if first is None or not first[0].startswith(prefix):
                return found
            name, slash, _ = first[0][len(prefix) :].partition("/")
            if slash:
                found.append(name)
            # What follows all paths below the name: `0` comes right after `/`.
            at = f"{prefix}{name}0" if slash else first[0] + "\x00"

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of a small file."""
        return read_small(self._lake, self.merge.repository, entry)

    def _metarange(self, side: Side) -> MetarangeId:
        return self.merge.source if side == "source" else self.merge.dest


@dataclass(slots=True)
class Outcome:
    """What is to become of dest, piece by piece; what is not named stays."""

    strategy: Strategy | None
    puts: dict[str, Entry] = field(default_factory=dict)
    deletes: dict[str, None] = field(default_factory=dict)
    conflicts: dict[str, MergeConflict] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def take(self, path: str, entry: Entry | None, dest: Entry | None) -> None:
        """Say what a path is to mean, and what it means in dest."""
        self.puts.pop(path, None)
        self.deletes.pop(path, None)
        if entry is not None:
            if not same(entry, dest):
                self.puts[path] = entry
        elif dest is not None:
            self.deletes[path] = None

    def leave(self, path: str) -> None:
        """Say that a path stays what it is in dest."""
        self.puts.pop(path, None)
        self.deletes.pop(path, None)

    def refuse(self, path: str, kind: str) -> None:
        """Add a conflict."""
        self.conflicts[path] = MergeConflict(path, kind)

    def merge_plainly(self, triples: Iterable[tuple[str, Triple]]) -> None:
        """Judge paths that mean no more than their bytes."""
        for path, triple in triples:
            if same(triple.base, triple.source):
                continue
            if not triple.is_conflict or self.strategy == "source-wins":
                self.take(path, triple.source, triple.dest)
            elif self.strategy is None:
                self.refuse(path, triple.conflict_kind)

    def plan(self) -> DriverPlan:
        """Return it as the lake wants it."""
        return DriverPlan(
            list(self.puts.items()),
            list(self.deletes),
            sorted(self.conflicts.values(), key=lambda one: one.path.encode()),
            self.conditions,
            self.writes,
        )


def same(left: Entry | None, right: Entry | None) -> bool:
    """Tell whether two entries stand for equal content, or both for none."""
    if left is None or right is None:
        return left is right
    return left.is_same_as(right)
