"""INSERT as a job: what SHOW LOAD and SHOW TRANSACTION tell of statements that added rows.

An INSERT whose user gave a label is a record in the store, written by the transaction that makes
its rows visible. Of the others, and of those that failed under a label, the newest are kept in this
process alone: at 500 statements a second, records of all of them would be read and thrown away by
the million.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.kernel import limits
from anabranch.warehouse.jobs.load_control import RUN_FAIL
from anabranch.warehouse.jobs.load_records import (
    Counts,
    LoadKind,
    LoadRecord,
    LoadRecords,
    LoadState,
    Scope,
    writes_of,
)

if TYPE_CHECKING:
    from anabranch.kernel.clock import Clock
    from anabranch.storage.kv.base import Write
    from anabranch.warehouse.catalog.databases import Databases
    from anabranch.warehouse.places import DatabasePlace

JOBS = "load_job"
TRANSACTIONS = "load_transaction"


class InsertJobs:
    """Numbers the transactions of statements, and lists those that were INSERTs."""

    def __init__(self, records: LoadRecords, databases: Databases, clock: Clock) -> None:
        self._records = records
        self._databases = databases
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: OrderedDict[Scope, deque[LoadRecord]] = OrderedDict()

    def next_transaction(self) -> int:
        """Return the number of a transaction that is not listed."""
        return self._records.next_id(TRANSACTIONS)

    def begin(
        self,
        place: DatabasePlace,
        *,
        label: str,
        tables: Sequence[str],
        user: str,
        is_label_given: bool = False,
    ) -> LoadRecord:
        """Return the record of an INSERT about to be published; nothing is stored yet.

        Its transaction id is what clients are told, and what `LabelUse` takes as the job. Raises
        SqlError 1049.
        """
        return LoadRecord(
            id=self._records.next_id(JOBS),
            transaction_id=self.next_transaction(),
            label=label,
            kind=LoadKind.INSERT,
            state=LoadState.PREPARE,
            scope=self._records.scope_of(place, self._databases.get(place).id),
            user=user,
            created_us=self._now_us(),
            tables=tuple(dict.fromkeys(tables)),
            is_label_given=is_label_given,
        )

    def writes(self, record: LoadRecord, counts: Counts) -> list[Write]:
        """Return the writes that list an INSERT as FINISHED: for the publication of its rows."""
        return writes_of(record.published(counts, self._now_us()), is_new=True)

    def keep(self, record: LoadRecord, counts: Counts) -> None:
        """List an INSERT as FINISHED in this process, as long as it is one of the newest."""
        self._keep(record.published(counts, self._now_us()))

    def keep_failed(self, record: LoadRecord, message: str) -> None:
        """List an INSERT as CANCELLED in this process, as long as it is one of the newest."""
        self._keep(record.failed(RUN_FAIL, message, self._now_us()))

    def _keep(self, ended: LoadRecord) -> None:
        with self._lock:
            found = self._recent.get(ended.scope)
            if found is None:
                found = self._recent[ended.scope] = deque(maxlen=limits.INSERT_JOBS_KEPT_MAX)
            found.append(ended)
            self._recent.move_to_end(ended.scope)
            while len(self._recent) > limits.INSERT_JOB_DATABASES_MAX:
                self._recent.popitem(last=False)

    def recent(self, scope: Scope) -> list[LoadRecord]:
        """Return what is kept of a database's incarnation in this process, by id."""
        with self._lock:
            found = list(self._recent.get(scope, ()))
        return sorted(found, key=lambda record: record.id)

    def _now_us(self) -> int:
        return self._clock.now_ns() // 1_000
