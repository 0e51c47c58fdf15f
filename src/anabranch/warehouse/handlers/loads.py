"""LOAD LABEL, CANCEL LOAD, SHOW LOAD and its relatives, LOAD DATA, SHOW BROKER."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.warehouse.errors import doris, not_supported
from anabranch.warehouse.jobs.load_data import DataLoads
from anabranch.warehouse.jobs.load_jobs import LoadJobs
from anabranch.warehouse.jobs.load_records import LoadKind, LoadRecord
from anabranch.warehouse.jobs.show_load import (
    LOAD_COLUMNS,
    STREAM_COLUMNS,
    TRANSACTION_COLUMNS,
    WARNING_COLUMNS,
    arranged,
    load_row,
    matcher,
    rows_of,
    stream_row,
    transaction_id_of,
    transaction_row,
)
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.results import Done, Result, Rows
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.loads import CancelLoad, LoadData, LoadLabel, ShowLoad
from anabranch.warehouse.sql.shows import Show, ShowKind
from anabranch.warehouse.sql.transforms.rendering import zone_of

STATEMENTS = (LoadLabel, LoadData, CancelLoad, ShowLoad)
"""The classes of statements that are for `Loads`."""
SHOWS = (ShowKind.TRANSACTION, ShowKind.LOAD_WARNINGS)
"""The kinds of SHOW that are for `Loads`."""


class Loads:
    """Runs the statements about load jobs."""

    def __init__(self, parts: Parts, jobs: LoadJobs) -> None:
        self._parts = parts
        self._jobs = jobs
        self._data = DataLoads(parts, jobs)

    def run(
        self, session: SqlSession, statement: LoadLabel | LoadData | CancelLoad | ShowLoad | Show
    ) -> Iterator[Result]:
        """Run one statement; raises SqlError for what the client did wrong."""
        match statement:
            case LoadLabel():
                yield self._submit(session, statement)
            case LoadData():
                yield from self._data.run(session, statement)
            case CancelLoad():
                scope = self._jobs.scope_of(session.database_place(statement.database))
                yield Done(self._jobs.cancel(scope, matcher(statement.filter)))
            case ShowLoad():
                yield self._show(session, statement)
            case Show(kind=ShowKind.TRANSACTION):
                yield self._show_transaction(session, statement)
            case Show(kind=ShowKind.LOAD_WARNINGS):
                yield self._show_warnings(session, statement)
            case _:
                raise not_supported(f"SHOW {statement.kind}")

    def _submit(self, session: SqlSession, statement: LoadLabel) -> Done:
        place = session.database_place(statement.database)
        self._jobs.submit(statement, place=place, user=session.user, time_zone=session.time_zone)
        return Done(0)

    def _show(self, session: SqlSession, statement: ShowLoad) -> Rows:
        scope = self._jobs.scope_of(session.database_place(statement.database))
        zone = zone_of(session.time_zone)
        takes = matcher(statement.filter)
        found = [(record, percent) for record, percent in self._jobs.list(scope) if takes(record)]
        if statement.is_stream:
            rows = [
                stream_row(record, zone, self._url(record))
                for record, _ in found
                if record.kind is LoadKind.STREAM and record.state.is_final
            ]
            return rows_of(STREAM_COLUMNS, arranged(STREAM_COLUMNS, rows, statement))
        rows = [
            load_row(record, percent, zone, self._url(record))
            for record, percent in found
            if record.kind is not LoadKind.STREAM
        ]
        return rows_of(LOAD_COLUMNS, arranged(LOAD_COLUMNS, rows, statement))

    def _show_transaction(self, session: SqlSession, statement: Show) -> Rows:
        scope = self._jobs.scope_of(session.database_place(statement.database))
        wanted = transaction_id_of(statement.where)
        found = [
            record
            for record, _ in self._jobs.list(scope)
            if wanted in (record.transaction_id, record.label)
        ]
        if not found:
            name = f"id {wanted}" if isinstance(wanted, int) else f"label {wanted}"
            raise doris(f"transaction with {name} does not exist")
        zone = zone_of(session.time_zone)
        host = self._parts.facts.host
        return rows_of(
            TRANSACTION_COLUMNS, [transaction_row(record, zone, host) for record in found]
        )

    def _show_warnings(self, session: SqlSession, statement: Show) -> Rows:
        """Return the lines of an error log, by its URL or by the label of its load."""
        record: LoadRecord | None = None
        log = statement.argument
        if not log:
            wanted = transaction_id_of(statement.where)
            scope = self._jobs.scope_of(session.database_place(statement.database))
            for one, _ in self._jobs.list(scope):
                if wanted in (one.id, one.label):
                    record = one
            if record is None:
                raise doris("job is not exist.")
            log = record.error_log
        data = self._jobs.error_logs.find(log)
        if data is None:
            raise doris(f"no error log at {log[:200]!r}")
        job = "-1" if record is None else str(record.id)
        label = "" if record is None else record.label
        lines = data.decode(errors="replace").splitlines()
        return rows_of(WARNING_COLUMNS, [(job, label, line) for line in lines])

    def _url(self, record: LoadRecord) -> str:
        return self._jobs.error_logs.url(record.error_log) if record.error_log else ""
