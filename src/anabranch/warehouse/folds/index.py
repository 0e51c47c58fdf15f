"""The index of folds in the KV store: what there is of a table, for every server."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import msgspec

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted
from anabranch.kernel.ids import IncarnationId
from anabranch.lake import Lake, records
from anabranch.lake.values import Repository
from anabranch.storage.blocks.base import Placed
from anabranch.storage.kv.base import (
    Prepared,
    Row,
    delete,
    is_absent,
    is_as_seen,
    is_version,
    put,
    scan_prefix,
)
from anabranch.warehouse import keyspace
from anabranch.warehouse.rowsets.fold import Fold, FoldShape


class _FoldRow(msgspec.Struct, array_like=True, frozen=True):
    identity: str
    first: str
    members: int
    deletes: tuple[str, ...]
    written: tuple[int, ...]
    known: tuple[int, ...]
    maybe_written: tuple[int, ...]
    maybe_unknown: tuple[int, ...]
    rows: int
    size_bytes: int
    level: int
    address: str
    used_us: int


class FoldIndex:
    """Lists, adds and removes folds. Safe to use from many threads."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = Lock()
        self._lists: OrderedDict[bytes, tuple[int, tuple[Fold, ...]]] = OrderedDict()

    def list(self, repository: Repository, table_id: str) -> tuple[Fold, ...]:
        """Return the folds of a table; the same object as long as none came or went."""
        incarnation = repository.incarnation
        moved = keyspace.fold_list(incarnation, table_id)
        row = self._lake.kv.read([moved]).values[0]
        if row is None:
            return ()
        with self._lock:
            known = self._lists.get(moved)
        if known is not None and known[0] == row.version:
            return known[1]
        found: list[Fold] = []
        prefix, after = keyspace.folds(incarnation, table_id), b""
        version = row.version
        while len(found) < limits.FOLDS_READ_MAX:
            scan = scan_prefix(prefix, after=after, limit=limits.SCAN_ROWS_MAX)
            rows = self._lake.kv.read((), [scan]).scans[0]
            found += [fold for fold in map(_decode, rows) if fold is not None]
            if len(rows) < limits.SCAN_ROWS_MAX:
                break
            after = rows[-1].key[len(prefix) :]
        answer = tuple(found)
        with self._lock:
            self._lists[moved] = (version, answer)
            self._lists.move_to_end(moved)
            if len(self._lists) > limits.FOLD_COVERS_CACHED_MAX:
                self._lists.popitem(last=False)
        return answer

    def add(self, repository: Repository, fold: Fold, placed: Placed) -> bool:
        """Make a fold's bytes an object and list it; tell whether nobody else did before."""
        incarnation = repository.incarnation
        key = keyspace.fold(incarnation, fold.table_id, fold.partition, fold.hash)
        done = self._lake.writer.submit_once(
            Prepared(
                [is_absent(key)],
                [
                    *placed.writes,
                    put(key, _encode(fold)),
                    put(keyspace.fold_list(incarnation, fold.table_id), b""),
                ],
                lambda _verdict: True,
                placed.windows,
            )
        )
        return bool(done)

    def remove(self, incarnation: IncarnationId, fold: Fold) -> None:
        """Remove a fold from the list, and its object; harmless when it is gone."""
        key = keyspace.fold(incarnation, fold.table_id, fold.partition, fold.hash)

        def make() -> Prepared[None]:
            block = self._lake.blocks.find(fold.address)
            conditions, writes = ((), ()) if block is None else self._lake.blocks.removal(block)
            moved = put(keyspace.fold_list(incarnation, fold.table_id), b"")
            return Prepared(conditions, [*writes, delete(key), moved], lambda _verdict: None)

        self._lake.writer.submit(make)

    def use(self, incarnation: IncarnationId, fold: Fold, now_us: int) -> None:
        """Keep when a fold was read."""
        key = keyspace.fold(incarnation, fold.table_id, fold.partition, fold.hash)
        row = self._lake.kv.read([key]).values[0]
        found = None if row is None else _decode(Row(key, row.value, row.version))
        if row is None or found is None or now_us - found.used_us < limits.FOLD_USED_S * 1_000_000:
            return
        data = records.encode_record(
            msgspec.structs.replace(records.decode_record(row.value, _FoldRow), used_us=now_us)
        )
        self._lake.writer.submit_once(
            Prepared([is_version(key, row.version)], [put(key, data)], lambda _verdict: True)
        )

    def lease(self, repository: Repository, table_id: str, partition: str, owner: str) -> bool:
        """Take or keep the lease of a partition for LEASE_S; tell whether it is the owner's."""
        key = keyspace.fold_lease(repository.incarnation, table_id, partition)
        now_us = self._lake.kv.now_us()
        row = self._lake.kv.read([key]).values[0]
        if row is not None:
            holder, until_us = records.decode_record(row.value, tuple[str, int])
            if holder != owner and now_us < until_us:
                return False
        data = records.encode_record((owner, now_us + limits.LEASE_S * 1_000_000))
        write = Prepared([is_as_seen(key, row)], [put(key, data)], lambda _verdict: True)
        return bool(self._lake.writer.submit_once(write))

    def release(self, repository: Repository, table_id: str, partition: str, owner: str) -> None:
        """Give a lease back."""
        key = keyspace.fold_lease(repository.incarnation, table_id, partition)
        row = self._lake.kv.read([key]).values[0]
        if row is not None and records.decode_record(row.value, tuple[str, int])[0] == owner:
            self._lake.writer.submit_once(
                Prepared([is_as_seen(key, row)], [delete(key)], lambda _verdict: True)
            )

    def sweep_unread(
        self, *, now_us: int, after: bytes, amount: int = limits.FOLDS_SWEPT_AT_ONCE
    ) -> bytes | None:
        """Remove those of some folds that nobody read for FOLD_KEEP_S, of all tables.

        Returns the next `after`, None at the end. What no branch or commit can use any more is
        unread too. Rows of another version are left alone.
        """
        scan = scan_prefix(keyspace.FOLDS, after=after, limit=amount)
        rows = self._lake.kv.read((), [scan]).scans[0]
        for row in rows:
            fold = _decode(row)
            if fold is not None and now_us - fold.used_us > limits.FOLD_KEEP_S * 1_000_000:
                incarnation = row.key[len(keyspace.FOLDS) :].split(b"/", 1)[0].decode()
                self.remove(IncarnationId(incarnation), fold)
        return rows[-1].key[len(keyspace.FOLDS) :] if len(rows) == amount else None


def _encode(fold: Fold) -> bytes:
    shape = fold.shape
    return records.encode_record(
        _FoldRow(
            fold.identity,
            fold.first,
            fold.members,
            fold.deletes,
            shape.written,
            shape.known,
            shape.maybe_written,
            shape.maybe_unknown,
            fold.rows,
            fold.size_bytes,
            fold.level,
            fold.address,
            fold.used_us,
        )
    )


def _decode(row: Row) -> Fold | None:
    """Return a fold of its row, None for one of another version: it is not there then."""
    table_id, partition, name = row.key.decode().rsplit("/", 3)[1:]
    try:
        found = records.decode_record(row.value, _FoldRow)
    except Corrupted:
        return None
    shape = FoldShape(found.written, found.known, found.maybe_written, found.maybe_unknown)
    return Fold(
        name,
        table_id,
        partition,
        found.identity,
        found.first,
        found.members,
        found.deletes,
        shape,
        found.rows,
        found.size_bytes,
        found.level,
        found.address,
        found.used_us,
    )
