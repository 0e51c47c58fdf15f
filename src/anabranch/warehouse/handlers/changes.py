"""INSERT, DELETE, UPDATE and TRUNCATE, each its own transaction unless the session has one."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.kernel.errors import AnabranchError, Kind
from anabranch.warehouse.catalog.publishing import LabelUse
from anabranch.warehouse.changes.changing import (
    Changing,
    Plan,
    Planned,
    Published,
    Recording,
    chosen_partitions,
    replacement,
)
from anabranch.warehouse.changes.deleting import Deletes
from anabranch.warehouse.changes.insertion import Inserts
from anabranch.warehouse.changes.targets import Targets
from anabranch.warehouse.changes.transactions import Transaction
from anabranch.warehouse.changes.updating import Updates
from anabranch.warehouse.errors import doris, label_used
from anabranch.warehouse.handlers.transactions import counts_of, info, insert_jobs_of, new_label
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Done, Result
from anabranch.warehouse.session import LastInsert, SqlSession
from anabranch.warehouse.sql.statements import Delete, Insert, TruncateTable, Update

_ONLY_ROWS = (
    "This is in a transaction, only insert, update, delete, commit, rollback is acceptable."
)
Change = Insert | Delete | Update | TruncateTable


class Changes:
    """Runs the statements that change rows."""

    def __init__(self, parts: Parts) -> None:
        reader = Reader(parts)
        targets = Targets(parts, reader)
        self._parts = parts
        self._inserts = Inserts(parts, reader)
        self._deletes = Deletes(parts, targets)
        self._updates = Updates(parts, targets)
        self._changing = Changing(parts)
        self._jobs = insert_jobs_of(parts)

    def run(self, session: SqlSession, statement: Change) -> Iterator[Result]:
        """Change rows; the result says how many, and under which label."""
        plan = self._plan(session, statement)
        transaction = session.transaction
        if isinstance(transaction, Transaction):
            if isinstance(statement, Insert) and statement.is_overwrite:
                raise doris(_ONLY_ROWS)
            planned = transaction.add(session, plan)
            _warn(session, planned)
            said = info(transaction.shown, "PREPARE", transaction.number)
            yield Done(planned.affected_rows, info=said, warnings=len(session.warnings))
            return
        if isinstance(statement, Insert):
            yield self._insert(session, statement, plan)
            return
        (published,) = self._changing.run(session, [plan])
        planned = published.planned
        _warn(session, planned)
        is_quiet = isinstance(statement, TruncateTable) or published.sequence is None
        shown = new_label(self._parts, _PREFIXES[type(statement)])
        number = self._jobs.next_transaction()
        said = "" if is_quiet else info(shown, "VISIBLE", number, planned)
        yield Done(planned.affected_rows, info=said, warnings=len(session.warnings))

    def _insert(self, session: SqlSession, statement: Insert, plan: Plan) -> Done:
        """Publish an INSERT; one that adds rows or takes a label is a job."""
        table = session.table_place(statement.table)
        record = self._jobs.begin(
            table.within,
            label=statement.label or new_label(self._parts, "label"),
            tables=[table.table],
            user=session.user,
            is_label_given=statement.label is not None,
        )
        number = record.transaction_id
        recording: Recording | None = None
        use: LabelUse | None = None
        if statement.label is not None:
            use = LabelUse(table.within, statement.label, number)
            self._require_unused(use)  # before the work: the publication asks again
            recording = lambda made: self._jobs.writes(record, counts_of(made))  # noqa: E731 - says what it is
        published = self._inserts.add(session, statement) if use is None else None
        if published is None:
            try:
                (published,) = self._changing.run(session, [plan], use, recording)
            except AnabranchError as error:
                if use is not None and error.kind is not Kind.LABEL_USED:
                    self._jobs.keep_failed(record, error.message)
                raise
        planned = published.planned
        if recording is None and published.sequence is not None:
            self._jobs.keep(record, counts_of([planned]))
        _warn(session, planned)
        _remember(session, published, record.label, number)
        said = "" if published.sequence is None else info(record.label, "VISIBLE", number, planned)
        return Done(planned.affected_rows, info=said, warnings=len(session.warnings))

    def _require_unused(self, use: LabelUse) -> None:
        found = self._parts.labels.find(use.database, use.label)
        if found is not None:
            raise label_used(use.label, found.job, found.status)

    def _plan(self, session: SqlSession, statement: Change) -> Plan:
        match statement:
            case Insert():
                return lambda: self._inserts.plan(session, statement)
            case Delete():
                return lambda: self._deletes.plan(session, statement)
            case Update():
                return lambda: self._updates.plan(session, statement)
            case TruncateTable():
                return lambda: self._truncated(session, statement)

    def _truncated(self, session: SqlSession, statement: TruncateTable) -> Planned:
        place = session.table_place(statement.table)
        snapshot = self._parts.snapshots.read(place)
        chosen = chosen_partitions(snapshot.schema, place.table, statement.partitions)
        return Planned(place, replacement(snapshot, chosen), 0)


_PREFIXES: dict[type[object], str] = {
    Delete: "delete",
    Update: "update",
    TruncateTable: "truncate",
}


def _warn(session: SqlSession, planned: Planned) -> None:
    if planned.filtered_rows:
        rows = "row was" if planned.filtered_rows == 1 else "rows were"
        session.warn(f"{planned.filtered_rows} {rows} filtered; first: {planned.first_error}")


def _remember(session: SqlSession, published: Published, label: str, number: int) -> None:
    planned = published.planned
    session.last_insert = LastInsert(
        number,
        label,
        planned.table.database,
        planned.table.table,
        "VISIBLE",
        planned.affected_rows,
        planned.filtered_rows,
    )
