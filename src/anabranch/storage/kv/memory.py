"""A KV store in memory: for tests, and the plainest statement of what the protocol means."""

import threading
from bisect import bisect_left, insort
from collections.abc import Sequence

from anabranch.kernel.clock import Clock
from anabranch.storage.kv.base import Request, Row, Scan, Snapshot, Verdict, Versioned
from anabranch.storage.kv.judging import check_requests, check_scans, judge

_FIRST_US = 1_700_000_000_000_000  # an ordinary day, for stores that were given no clock
_INSERTS_MAX = 16  # above so many new keys one sort is cheaper than inserting each


class MemoryKV:
    """Everything in one sorted list, behind one lock.

    Without a clock, `now_us` counts up by itself: one microsecond with each question.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._ticks = 0
        self._lock = threading.Lock()
        self._rows: dict[bytes, Versioned] = {}
        self._keys: list[bytes] = []
        self._sequence = 0

    @property
    def is_local(self) -> bool:
        """Reads never wait."""
        return True

    @property
    def can_lose_answers(self) -> bool:
        """No connection, no lost answer."""
        return False

    def read(self, keys: Sequence[bytes], scans: Sequence[Scan] = ()) -> Snapshot:
        """Return values and scans of one moment."""
        check_scans(scans)
        with self._lock:
            return Snapshot(
                tuple(self._rows.get(key) for key in keys),
                tuple(self._scan(scan) for scan in scans),
            )

    def _scan(self, scan: Scan) -> tuple[Row, ...]:
        first = bisect_left(self._keys, scan.start)
        last = len(self._keys) if scan.end is None else bisect_left(self._keys, scan.end)
        found = self._keys[first : min(last, first + max(scan.limit, 0))]
        return tuple(Row(key, *self._rows[key]) for key in found)

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        """Judge the requests in order and keep the writes of the accepted ones."""
        check_requests(requests)
        with self._lock:
            versions = {
                condition.key: self._rows[condition.key].version
                for request in requests
                for condition in request.conditions
                if condition.key in self._rows
            }
            judgement = judge(requests, versions, self._sequence)
            self._sequence = judgement.sequence
            self._keep(judgement.changes)
        return judgement.verdicts

    def _keep(self, changes: dict[bytes, Versioned | None]) -> None:
        rows = self._rows
        added = [key for key, value in changes.items() if value is not None and key not in rows]
        removed = [key for key, value in changes.items() if value is None and key in rows]
        for key, value in changes.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        if len(removed) > _INSERTS_MAX:
            self._keys = [key for key in self._keys if key in rows]
        else:
            for key in removed:
                del self._keys[bisect_left(self._keys, key)]
        if len(added) > _INSERTS_MAX:
            self._keys.extend(added)
            self._keys.sort()
        else:
            for key in added:
                insort(self._keys, key)

    def now_us(self) -> int:
        """Return the clock's microseconds, or count up when there is none."""
        if self._clock is not None:
            return self._clock.now_ns() // 1_000
        with self._lock:
            self._ticks += 1
            return _FIRST_US + self._ticks

    def close(self) -> None:
        """Nothing to release: what was kept stays readable to whoever holds the store."""
