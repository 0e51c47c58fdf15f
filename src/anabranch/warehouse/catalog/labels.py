"""Labels of loads: files beside the tables once published, keys in the KV store until then.

A label's file lies in the versioned tree, so it goes where the data goes: branches inherit it, a
reset frees it. It counts for LABEL_KEEP_S.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.arrow import compute
from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import BranchId, IncarnationId
from anabranch.lake import Lake, records
from anabranch.lake.changes import BranchChange
from anabranch.lake.values import BranchState, Repository
from anabranch.storage.kv.base import (
    Condition,
    Versioned,
    Write,
    delete,
    is_as_seen,
    put,
)
from anabranch.warehouse import keyspace
from anabranch.warehouse.catalog.databases import decode_database, read_small, writable
from anabranch.warehouse.errors import doris, label_used, lake_errors, unknown_database
from anabranch.warehouse.places import LABELS, DatabasePlace
from anabranch.warehouse.schema import canonical_json

FORMAT = 1
_LABEL = re.compile(rf"[-_A-Za-z0-9:]{{1,{limits.LABEL_LENGTH_MAX}}}")
_KEEP_US = limits.LABEL_KEEP_S * 1_000_000


@dataclass(frozen=True, slots=True)
class LabelState:
    """Who has a label: a job's id; `rowsets` are paths below the database, of a published load.

    `time_us` is when it was published or reserved.
    """

    label: str
    job: int
    is_published: bool
    time_us: int
    rowsets: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Return Doris's word for the transaction behind it."""
        return "VISIBLE" if self.is_published else "PREPARE"


@dataclass(frozen=True, slots=True)
class LabelUse:
    """A label that the user gave to a load: the load's publication takes it."""

    database: DatabasePlace
    label: str
    job: int


@dataclass(frozen=True, slots=True)
class Taking:
    """What a transaction needs to take or free a label."""

    conditions: tuple[Condition, ...]
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class Expired:
    """Paths of labels to be deleted, and the conditions that nobody took them anew."""

    paths: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(slots=True)
class _Expiry:
    """What a process knows of a database's old labels: paths, and when to look again."""

    due_us: int = 0
    paths: deque[str] = field(default_factory=deque)


class Labels:
    """Labels of a database on a branch. All raise SqlError."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = Lock()
        self._expiries: dict[tuple[IncarnationId, BranchId, str], _Expiry] = {}

    def find(self, place: DatabasePlace, label: str) -> LabelState | None:
        """Return who has a label, None when it may be used; raise 1049."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
            database, entry = self._lake.subtrees.find(
                resolved, [place.file_path, place.label_path(label)]
            )
            if database is None:
                raise unknown_database(place.database)
            if entry is not None:
                found = self._published(resolved.repository, entry, place, label)
                if found is not None:
                    return found
            if resolved.branch is None:
                return None
            key = self._key(resolved.repository, resolved.branch, database, place, label)
            return _reserved(label, self._lake.kv.read([key]).values[0])

    def reserve(self, place: DatabasePlace, label: str, job: int) -> None:
        """Keep a label for a running job; raise Doris's error when it is used, 1049.

        Reserving again for the same job succeeds.
        """
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[None]:
                taking = self.reserving(state, place, label, job)
                return BranchChange(None, conditions=taking.conditions, writes=taking.writes)

            self._lake.writer.submit(self._lake.changes.making_apply(target, change))

    def reserving(self, state: BranchState, place: DatabasePlace, label: str, job: int) -> Taking:
        """Return what reserves a label, for a transaction that also writes the job's record.

        For callers within a change of the branch (`lake.changes`).
        """
        check_label(label)
        database, condition, key, row = self._free(state, place, label, job)
        record = records.encode_record((job, self._lake.kv.now_us()))
        return Taking((database, condition, is_as_seen(key, row)), (put(key, record),))

    def release(self, place: DatabasePlace, label: str, job: int) -> None:
        """Give up a job's reservation; nothing happens when it has none, or its place is gone."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
            (database,) = self._lake.subtrees.find(resolved, [place.file_path])
            if database is None or resolved.branch is None:
                return
            key = self._key(resolved.repository, resolved.branch, database, place, label)
            target = writable(self._lake, place.place)

            def change(_state: BranchState) -> BranchChange[None]:
                row = self._lake.kv.read([key]).values[0]
                held = _reserved(label, row)
                if held is None or held.job != job:
                    return BranchChange(None)
                return BranchChange(None, conditions=[is_as_seen(key, row)], writes=[delete(key)])

            self._lake.writer.submit(self._lake.changes.making_apply(target, change))

    def using(self, state: BranchState, use: LabelUse) -> Taking:
        """Return what a publication needs to take a label; raise when another load has it.

        The label must be reserved for the same job, or for none. The file is the caller's to put.
        """
        check_label(use.label)
        database, condition, key, row = self._free(state, use.database, use.label, use.job)
        writes = () if row is None else (delete(key),)
        return Taking((database, condition, is_as_seen(key, row)), writes)

    def expired(self, state: BranchState, place: DatabasePlace) -> Expired:
        """Return labels that no longer count, at most LABELS_EXPIRED_AT_ONCE.

        All labels are looked at only when one has come of age since; a branch that was moved may
        keep older ones until this process begins anew.
        """
        now_us = self._lake.kv.now_us()
        key = (state.repository.incarnation, state.branch, place.database)
        with self._lock:
            expiry = self._expiries.setdefault(key, _Expiry())
            if not expiry.paths and now_us >= expiry.due_us:
                self._look_for_old(state, place, expiry, now_us)
            count = min(len(expiry.paths), limits.LABELS_EXPIRED_AT_ONCE)
            taken = [expiry.paths.popleft() for _ in range(count)]
        seen, _ = self._lake.changes.look(state, taken)
        old = {
            path: one.condition
            for path, one in zip(taken, seen, strict=True)
            if one.entry is not None and one.entry.mtime_us + _KEEP_US <= now_us
        }
        return Expired(tuple(old), tuple(old.values()))

    def encode(self, use: LabelUse, rowsets: Sequence[str], now_us: int) -> bytes:
        """Return the bytes of a label's file; `rowsets` are paths in the repository."""
        prefix = use.database.prefix
        return canonical_json(
            {
                "format": FORMAT,
                "id": self._lake.ids.hex32(),
                "job": use.job,
                "rowsets": [
                    path.removeprefix(prefix) for path in rowsets if path.startswith(prefix)
                ],
                "time_us": now_us,
            }
        ).encode()

    def _free(
        self, state: BranchState, place: DatabasePlace, label: str, job: int
    ) -> tuple[Condition, Condition, bytes, Versioned | None]:
        (database, seen), _ = self._lake.changes.look(
            state, [place.file_path, place.label_path(label)]
        )
        if database.entry is None:
            raise unknown_database(place.database)
        if seen.entry is not None:
            found = self._published(state.repository, seen.entry, place, label)
            if found is not None:
                raise label_used(label, found.job, found.status)
        key = self._key(state.repository, state.branch, database.entry, place, label)
        row = self._lake.kv.read([key]).values[0]
        held = _reserved(label, row)
        if held is not None and held.job != job:
            raise label_used(label, held.job, held.status)
        return database.condition, seen.condition, key, row

    def _published(
        self, repository: Repository, entry: Entry, place: DatabasePlace, label: str
    ) -> LabelState | None:
        found = decode_label(
            read_small(self._lake, repository, entry), label, place.label_path(label)
        )
        return found if found.time_us + _KEEP_US > self._lake.kv.now_us() else None

    def _key(
        self,
        repository: Repository,
        branch: BranchId,
        database: Entry,
        place: DatabasePlace,
        label: str,
    ) -> bytes:
        data = read_small(self._lake, repository, database)
        database_id = decode_database(data, place.file_path).id
        return keyspace.label(repository.incarnation, branch, database_id, label)

    def _look_for_old(
        self, state: BranchState, place: DatabasePlace, expiry: _Expiry, now_us: int
    ) -> None:
        prefix = f"{place.prefix}{LABELS}/"
        staged: dict[str, Entry | None] = {}
        for token in reversed(state.record.tokens):
            staged.update(self._lake.changes.staged_under(token, prefix))
        times = {path: entry.mtime_us for path, entry in staged.items() if entry is not None}
        oldest_us = now_us
        for batch in self._lake.committed.scan(
            state.repository.namespace, state.record.metarange, prefix=prefix
        ):
            mtimes = batch.column("mtime").cast(pa.int64())
            is_old = compute().less_equal(mtimes, now_us - _KEEP_US)
            for path in batch.column("path").filter(is_old).to_pylist():
                if path not in staged:
                    times[path] = 0
            young = compute().min(mtimes.filter(compute().invert(is_old))).as_py()
            oldest_us = oldest_us if young is None else min(oldest_us, young)
        old = sorted(path for path, time_us in times.items() if time_us + _KEEP_US <= now_us)
        expiry.paths.extend(old)
        young_us = [time_us for time_us in times.values() if time_us + _KEEP_US > now_us]
        expiry.due_us = min([oldest_us, *young_us]) + _KEEP_US


def check_label(label: str) -> None:
    """Raise Doris's error for a text that is no label."""
    if not _LABEL.fullmatch(label):
        shown = label[: limits.LABEL_LENGTH_MAX]
        raise doris(f"Label format error. regex: ^{_LABEL.pattern}$, label: {shown}")


def decode_label(data: bytes, label: str, path: str) -> LabelState:
    """Return what a label's file says; raise Corrupted."""
    try:
        members = json.loads(data)
        if members["format"] != FORMAT:
            raise Corrupted(Kind.DATA_FORMAT, f"a label of an unknown format: {path}")
        rowsets = tuple(str(one) for one in members["rowsets"])
        return LabelState(label, int(members["job"]), True, int(members["time_us"]), rowsets)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupted(Kind.DATA_FORMAT, f"not a label's file: {path}") from error


def _reserved(label: str, row: Versioned | None) -> LabelState | None:
    if row is None:
        return None
    job, time_us = records.decode_record(row.value, tuple[int, int])
    return LabelState(label, job, False, time_us)
