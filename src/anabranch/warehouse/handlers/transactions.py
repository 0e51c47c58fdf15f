"""BEGIN, COMMIT and ROLLBACK, and what clients are told of a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from anabranch.warehouse.catalog.publishing import LabelUse
from anabranch.warehouse.changes.changing import Changing, Recording
from anabranch.warehouse.changes.transactions import Transaction
from anabranch.warehouse.jobs.insert_jobs import InsertJobs
from anabranch.warehouse.jobs.load_records import Counts, LoadRecords
from anabranch.warehouse.results import Done, Result
from anabranch.warehouse.sql.statements import Begin, Commit, Rollback

if TYPE_CHECKING:
    from anabranch.warehouse.changes.changing import Planned
    from anabranch.warehouse.parts import Parts
    from anabranch.warehouse.session import SqlSession


class Transactions:
    """Begins and ends the transactions of sessions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._changing = Changing(parts)
        self._jobs = insert_jobs_of(parts)

    def run(self, session: SqlSession, statement: Begin | Commit | Rollback) -> Iterator[Result]:
        """Begin or end; an end without a beginning is nothing, as clients expect."""
        match statement:
            case Begin():
                yield self._begin(session, statement)
            case Commit():
                yield self._commit(session)
            case Rollback():
                yield self._rollback(session)

    def _begin(self, session: SqlSession, statement: Begin) -> Done:
        open_one = session.transaction
        if not isinstance(open_one, Transaction):
            number = self._jobs.next_transaction()
            use = None
            if statement.label is not None:
                use = LabelUse(session.database_place(), statement.label, number)
            shown = statement.label or new_label(self._parts, "txn_insert")
            open_one = session.transaction = Transaction(shown, number, use)
        return Done(0, info=info(open_one.shown, "PREPARE", open_one.number))

    def _commit(self, session: SqlSession) -> Done:
        found, session.transaction = session.transaction, None
        if not isinstance(found, Transaction):
            return Done(0)
        tables = found.tables
        if not tables:
            return Done(0)
        record = replace(
            self._jobs.begin(
                tables[0].within,
                label=found.shown,
                tables=[table.table for table in tables],
                user=session.user,
                is_label_given=found.label is not None,
            ),
            transaction_id=found.number,
        )
        recording: Recording | None = None
        if found.label is not None:
            recording = lambda made: self._jobs.writes(record, counts_of(made))  # noqa: E731 - says what it is
        published = found.commit(session, self._changing, recording)
        if recording is None:
            self._jobs.keep(record, counts_of([each.planned for each in published]))
        return Done(0, info=info(found.shown, "VISIBLE", found.number))

    def _rollback(self, session: SqlSession) -> Done:
        found, session.transaction = session.transaction, None
        if found is None:
            return Done(0)
        found.rollback()
        if not isinstance(found, Transaction):
            return Done(0)
        return Done(0, info=info(found.shown, "ABORTED", found.number))


def new_label(parts: Parts, prefix: str) -> str:
    """Return a label that nobody gave."""
    return f"{prefix}_{parts.ids.hex32()}"


def insert_jobs_of(parts: Parts) -> InsertJobs:
    """Return where statements are numbered and listed: with the loads, where there are any."""
    if parts.jobs is not None:
        found = parts.jobs.inserts
        assert isinstance(found, InsertJobs)
        return found
    return InsertJobs(LoadRecords(parts.lake, parts.labels), parts.databases, parts.clock)


def counts_of(planned: Sequence[Planned]) -> Counts:
    """Return the rows of statements as a job counts them."""
    loaded = sum(each.affected_rows for each in planned)
    filtered = sum(each.filtered_rows for each in planned)
    return Counts(scanned=loaded + filtered, loaded=loaded, filtered=filtered)


def info(label: str, status: str, number: int, planned: Planned | None = None) -> str:
    """Return what the OK packet tells of a transaction, in Doris's form."""
    text = f"{{'label':'{label}', 'status':'{status}', 'txnId':'{number}'"
    if planned is not None and planned.filtered_rows:
        text += ", 'err':'" + planned.first_error.replace("'", "") + "'"
    return text + "}"
