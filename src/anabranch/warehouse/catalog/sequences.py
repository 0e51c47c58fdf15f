"""The last sequence of each table on a branch, kept in the KV store for the head it was found at.

Every publication advances it, so equal sequences mean that nobody published in between. A commit,
merge or reset moves the head: then what the new head has and the old one had not is looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from anabranch.kernel import limits
from anabranch.kernel.errors import Corrupted
from anabranch.kernel.ids import MetarangeId
from anabranch.kernel.ranges import KIND_REMOVED
from anabranch.lake import Lake, records
from anabranch.lake.values import BranchState
from anabranch.storage.kv.base import Versioned, Write, put
from anabranch.warehouse import keyspace
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.rowsets.rowset import parse_rowset_path


class Sequences:
    """Last sequences of tables."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = Lock()
        self._moved: OrderedDict[tuple[bytes, int, MetarangeId], int] = OrderedDict()

    def key(self, state: BranchState, table: TablePlace) -> bytes:
        """Return the key of a table's last sequence."""
        return keyspace.sequence(state.repository.incarnation, state.branch, table.prefix)

    def last(self, state: BranchState, table: TablePlace, row: Versioned | None) -> int:
        """Return the highest sequence the branch's table has or ever had, 0 for none.

        `row` is that of the table's key. Without one, what lies there is listed.
        """
        now_us = self._lake.kv.now_us()
        namespace, metarange = state.repository.namespace, state.record.metarange
        prefix = table.rowsets_prefix
        if row is None:
            return max((_of(path, now_us) for path in self._paths(state, prefix)), default=0)
        last, known = records.decode_record(row.value, tuple[int, str])
        if known == metarange:
            return last
        # Of this very row at this very head: the next publication writes a newer row.
        memo = (self.key(state, table), row.version, metarange)
        with self._lock:
            found = self._moved.get(memo)
        if found is not None:
            return found
        for batch in self._lake.committed.diff(
            namespace, MetarangeId(known), metarange, prefix=prefix
        ):
            kinds = batch.column("kind").to_pylist()
            for kind, path in zip(kinds, batch.column("path").to_pylist(), strict=True):
                if kind != KIND_REMOVED:
                    last = max(last, _of(path, now_us))
        with self._lock:
            self._moved[memo] = last
            if len(self._moved) > limits.SCHEMAS_CACHED_MAX:
                self._moved.popitem(last=False)
        return last

    def write(self, key: bytes, state: BranchState, last: int) -> Write:
        """Return the write that makes `last` a table's last sequence."""
        return put(key, records.encode_record((last, state.record.metarange)))

    def _paths(self, state: BranchState, prefix: str) -> list[str]:
        found: list[str] = []
        for batch in self._lake.committed.scan(
            state.repository.namespace, state.record.metarange, prefix=prefix
        ):
            found += batch.column("path").to_pylist()
        for token in state.record.tokens:
            found += self._lake.changes.staged_under(token, prefix)
        return found


def _of(path: str, now_us: int) -> int:
    """Return a rowset's sequence; 0 for a file that is none, of which queries tell."""
    try:
        return parse_rowset_path(path, now_us=now_us)[1].sequence
    except Corrupted:
        return 0
