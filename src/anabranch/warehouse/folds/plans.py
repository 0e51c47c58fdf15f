"""How a table is read with the folds there are: the rowsets to open, and the folds beside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError
from anabranch.lake import Lake
from anabranch.lake.values import Repository
from anabranch.warehouse.catalog.snapshots import Snapshots, TableSnapshot
from anabranch.warehouse.errors import lake_errors
from anabranch.warehouse.folds.covers import Cover, Judge
from anabranch.warehouse.folds.index import FoldIndex
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.rowsets.fold import METADATA_NAME, Fold, StandIn
from anabranch.warehouse.rowsets.footers import Footers, OpenedRowset
from anabranch.warehouse.rowsets.rowset import Rowset

Notice = Callable[[TablePlace], None]


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """What a read of a snapshot opens; `is_due` tells that some of it should become folds.

    `lost` are folds that the index lists and whose file is gone or damaged.
    """

    cover: Cover
    rowsets: tuple[Rowset, ...]
    stand_ins: tuple[StandIn, ...]
    lost: tuple[Fold, ...]
    is_due: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    identity: str
    rowsets: tuple[Rowset, ...]
    folds: tuple[Fold, ...]
    plan: FoldPlan


class Folds:
    """Plans reads of tables. Safe to use from many threads; nothing here waits for a fold."""

    def __init__(self, lake: Lake, snapshots: Snapshots, footers: Footers) -> None:
        self._lake = lake
        self._snapshots = snapshots
        self._footers = footers
        self._judge = Judge()
        self._lock = Lock()
        self._plans: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
        self._files: OrderedDict[str, Path] = OrderedDict()
        self._used_us: OrderedDict[str, int] = OrderedDict()
        self._notice: Notice | None = None
        self.index = FoldIndex(lake)

    def join(self, notice: Notice) -> None:
        """Say who is told of tables that have something to fold."""
        self._notice = notice

    def plan(self, snapshot: TableSnapshot) -> FoldPlan:
        """Return how a snapshot is read; raises what opening a DELETE raises."""
        plan = self._plan(snapshot)
        if self._notice is not None and (plan.is_due or self._is_stale(plan)):
            self._notice(snapshot.table)
        return plan

    def _is_stale(self, plan: FoldPlan) -> bool:
        oldest_us = self._lake.kv.now_us() - limits.FOLD_USED_S * 1_000_000
        return any(
            one.fold.used_us <= oldest_us and self._used_us.get(one.fold.hash, 0) <= oldest_us
            for one in plan.stand_ins
        )

    def _plan(self, snapshot: TableSnapshot) -> FoldPlan:
        with lake_errors():
            folds = self.index.list(snapshot.repository, snapshot.schema.id)
        place = snapshot.table
        key = (snapshot.repository.incarnation, place.place.ref, place.prefix)
        with self._lock:
            kept = self._plans.get(key)
        is_same = (
            kept is not None
            and kept.identity == snapshot.identity
            and kept.rowsets is snapshot.rowsets
            and kept.folds is folds
        )
        # A file that was there may be lost meanwhile.
        if is_same and kept and all(one.file.exists() for one in kept.plan.stand_ins):
            return kept.plan
        lost: dict[str, Fold] = {}
        while True:
            cover = self._judge.cover(
                snapshot.identity,
                snapshot.rowsets,
                [one for one in folds if one.hash not in lost],
                self._open,
            )
            files = {item.fold.hash: self.file(item.fold) for item in cover.folds if item.fold}
            missing = [one for one in folds if one.hash in files and files[one.hash] is None]
            if not missing:
                break
            lost.update({one.hash: one for one in missing})
        stand_ins = tuple(
            StandIn(item.fold, item.members[0].name, file)
            for item in cover.folds
            if item.fold is not None and (file := files[item.fold.hash]) is not None
        )
        is_due = bool(cover.due()) or bool(lost)
        plan = FoldPlan(cover, cover.rowsets, stand_ins, tuple(lost.values()), is_due)
        with self._lock:
            self._plans[key] = _Kept(snapshot.identity, snapshot.rowsets, folds, plan)
            self._plans.move_to_end(key)
            if len(self._plans) > limits.FOLD_COVERS_CACHED_MAX:
                self._plans.popitem(last=False)
        return plan

    def file(self, fold: Fold) -> Path | None:
        """Return a fold's local file; None when it is lost, or is not what the index says."""
        with self._lock:
            known = self._files.get(fold.address)
        if known is not None and known.exists():
            return known
        try:
            block = self._lake.blocks.find(fold.address)
            path = None if block is None else self._lake.blocks.local_path(block)
        except AnabranchError:
            return None
        if path is None or not _is_whole(path, fold):
            return None
        with self._lock:
            self._files[fold.address] = path
            if len(self._files) > limits.FOLDS_JUDGED_MAX:
                self._files.popitem(last=False)
        return path

    def _open(self, rowset: Rowset) -> OpenedRowset:
        return self._footers.open(rowset, self._snapshots.paths([rowset])[0])

    def used(self, repository: Repository, plan: FoldPlan) -> None:
        """Keep that the folds of a plan are read."""
        now_us = self._lake.kv.now_us()
        for one in plan.stand_ins:
            self.index.use(repository.incarnation, one.fold, now_us)
            with self._lock:
                self._used_us[one.fold.hash] = now_us
                if len(self._used_us) > limits.FOLDS_JUDGED_MAX:
                    self._used_us.popitem(last=False)


def _is_whole(path: Path, fold: Fold) -> bool:
    try:
        with pa.OSFile(str(path)) as source:
            metadata = pq.ParquetFile(source).metadata
    except (pa.ArrowException, OSError):
        return False
    said = (metadata.metadata or {}).get(METADATA_NAME.encode())
    return said == fold.hash.encode() and metadata.num_rows == fold.rows
