"""The builder of folds: one thread that makes what reads found due, under a lease per partition."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource
from anabranch.kernel.errors import AnabranchError
from anabranch.lake import Lake
from anabranch.telemetry import logger
from anabranch.warehouse.catalog.snapshots import Snapshots, TableSnapshot
from anabranch.warehouse.engine import Engine, Execution
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.folds.building import Draft, draft_fold, write_fold
from anabranch.warehouse.folds.covers import Run
from anabranch.warehouse.folds.plans import FoldPlan, Folds
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.rowsets.fold import address_of
from anabranch.warehouse.rowsets.footers import Footers


class FoldBuilder:
    """Makes folds of tables it is told of. `notice` never waits; one thread does the work."""

    def __init__(
        self,
        lake: Lake,
        engine: Engine,
        snapshots: Snapshots,
        folds: Folds,
        footers: Footers,
        ids: IdSource,
    ) -> None:
        self._lake = lake
        self._engine = engine
        self._snapshots = snapshots
        self._folds = folds
        self._footers = footers
        self._owner = ids.hex32()
        self._waiting: OrderedDict[TablePlace, None] = OrderedDict()
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_working = False
        self._running: Execution | None = None
        self._failed_us: OrderedDict[tuple[str, str, str, int], int] = OrderedDict()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work in a thread of its own."""
        self._folds.join(self.notice)
        self._thread = threading.Thread(target=self._run, name="folds", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, giving up what is being made."""
        with self._changed:
            self._is_closed = True
            running = self._running
            self._changed.notify_all()
        if running is not None:
            running.cancel()
        if self._thread is not None:
            self._thread.join()

    def notice(self, place: TablePlace) -> None:
        """Note that a table has something to fold."""
        with self._changed:
            if place not in self._waiting and len(self._waiting) < limits.FOLD_PLACES_WAITING_MAX:
                self._waiting[place] = None
                self._changed.notify_all()

    def idle(self) -> None:
        """Wait until nothing is left to do."""
        with self._changed:
            while (self._waiting or self._is_working) and not self._is_closed:
                self._changed.wait()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_working = False
                self._changed.notify_all()
                while not self._waiting and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                place, _ = self._waiting.popitem(last=False)
                self._is_working = True
            try:
                self.build(place)
            except (AnabranchError, SqlError) as error:
                if not self._is_closed:
                    logger("folds").warning("not folded", table=place.prefix, reason=str(error))

    def build(self, place: TablePlace) -> int:
        """Make what is due of a table, and return how many folds were made."""
        made = 0
        while made < limits.FOLD_RUNS_MAX and not self._is_closed:
            snapshot = self._snapshots.read(place)
            plan = self._folds.plan(snapshot)
            self._folds.used(snapshot.repository, plan)
            for fold in plan.lost:
                self._folds.index.remove(snapshot.repository.incarnation, fold)
            runs = [run for run in plan.cover.due() if not self._has_failed(snapshot, run)]
            done = sum(self._build(snapshot, plan, run) for run in runs)
            if not done:
                break
            made += done
        return made

    def _build(self, snapshot: TableSnapshot, plan: FoldPlan, run: Run) -> bool:
        index, table_id = self._folds.index, snapshot.schema.id
        if not index.lease(snapshot.repository, table_id, run.partition, self._owner):
            return False
        try:
            return self._make(snapshot, plan, run)
        finally:
            index.release(snapshot.repository, table_id, run.partition, self._owner)

    def _make(self, snapshot: TableSnapshot, plan: FoldPlan, run: Run) -> bool:
        alone = [item.members[0] for item in run.items if item.fold is None]
        rowsets = [*alone, *plan.cover.deletes]
        paths = self._snapshots.paths(rowsets)
        files = {rowset.path: path for rowset, path in zip(rowsets, paths, strict=True)}
        stand_ins = {one.fold.hash: one.file for one in plan.stand_ins}
        # Until it is made it counts as failed: what ends a build would end the next one too.
        self._fail(snapshot, run)
        draft = draft_fold(
            snapshot.schema,
            snapshot.identity,
            run,
            plan.cover.deletes,
            files,
            self._footers,
            lambda fold: stand_ins[fold.hash],
            self._lake.kv.now_us(),
        )
        if draft is None or not self._write(snapshot, draft):
            return False
        self._failed_us.pop(_key(snapshot, run), None)
        return True

    def _write(self, snapshot: TableSnapshot, draft: Draft) -> bool:
        fold, repository = draft.fold, snapshot.repository
        address = address_of(repository, fold.table_id, fold.partition, fold.hash)
        with self._engine.open() as execution:
            with self._changed:
                self._running = execution
                if self._is_closed:
                    return False
            try:
                body, rows = write_fold(
                    draft,
                    lambda sql: self._renewing(snapshot, fold.partition, execution.stream(sql)),
                    self._lake.blocks,
                    address,
                )
            finally:
                self._running = None
        fold = replace(fold, address=address, rows=rows, size_bytes=body.size_bytes)
        return self._folds.index.add(repository, fold, body.place())

    def _renewing(
        self, snapshot: TableSnapshot, partition: str, batches: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        renewed_us = self._lake.kv.now_us()
        for batch in batches:
            yield batch
            now_us = self._lake.kv.now_us()
            if now_us - renewed_us >= limits.LEASE_RENEW_S * 1_000_000:
                renewed_us = now_us
                self._folds.index.lease(
                    snapshot.repository, snapshot.schema.id, partition, self._owner
                )

    def _has_failed(self, snapshot: TableSnapshot, run: Run) -> bool:
        failed_us = self._failed_us.get(_key(snapshot, run))
        now_us = self._lake.kv.now_us()
        return failed_us is not None and now_us - failed_us < limits.FOLD_RETRY_S * 1_000_000

    def _fail(self, snapshot: TableSnapshot, run: Run) -> None:
        self._failed_us[_key(snapshot, run)] = self._lake.kv.now_us()
        if len(self._failed_us) > limits.FOLD_PLACES_WAITING_MAX:
            self._failed_us.popitem(last=False)


def _key(snapshot: TableSnapshot, run: Run) -> tuple[str, str, str, int]:
    return (snapshot.identity, run.partition, run.items[0].members[0].path, run.level)
