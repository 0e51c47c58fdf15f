"""LOAD DATA LOCAL INFILE: a file of the client's into a table, as one transaction."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

from anabranch.kernel import limits
from anabranch.warehouse.catalog.publishing import Publication, TableChange, TableMoved
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.jobs.load_jobs import LoadJobs, Outcome, abandon
from anabranch.warehouse.jobs.load_records import Counts
from anabranch.warehouse.jobs.load_running import opening
from anabranch.warehouse.loading.load import LoadTask, TooManyFiltered
from anabranch.warehouse.loading.options import LoadOptions, of_load_data
from anabranch.warehouse.loading.sources import Source
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.results import Done, FileRequest, Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.loads import LoadData

_NOT_LOCAL = (
    "Load local data from fe local is not enabled: use LOAD DATA LOCAL INFILE for a file of the "
    "client's, or LOAD LABEL ... WITH LOCAL for one of the server's"
)


class DataLoads:
    """Runs LOAD DATA. The file is kept on disk until it is loaded: it may be read again."""

    def __init__(self, parts: Parts, jobs: LoadJobs) -> None:
        self._parts = parts
        self._jobs = jobs

    def run(self, session: SqlSession, statement: LoadData) -> Iterator[Result]:
        """Ask for the file and load it; the result counts its rows in MySQL's words."""
        if not statement.is_local:
            raise doris(_NOT_LOCAL)
        table = session.table_place(statement.table)
        self._parts.tables.get(table)
        options = of_load_data(statement, session.time_zone)
        with tempfile.TemporaryFile() as file:
            yield FileRequest(statement.file, lambda data: _keep(session, file, data))
            yield self._load(session, table, options, statement.file, file)

    def _load(
        self,
        session: SqlSession,
        table: TablePlace,
        options: LoadOptions,
        name: str,
        file: IO[bytes],
    ) -> Done:
        label = f"load_data_{self._parts.ids.hex32()}"
        record = self._jobs.inserts.begin(
            table.within, label=label, tables=[table.table], user=session.user
        )
        for _ in range(limits.LOAD_PLANS_MAX):
            session.check()
            outcome = self._write(session, table, options, name, file)
            counts = outcome.counts
            if not outcome.changes:
                return _done(counts)
            writes = self._jobs.inserts.writes(record, counts)
            try:
                self._parts.publisher.publish(Publication(outcome.changes, writes=writes))
            except TableMoved:
                abandon(outcome)
            except BaseException:
                abandon(outcome)
                raise
            else:
                return _done(counts)
        raise doris("transaction conflict")

    def _write(
        self,
        session: SqlSession,
        table: TablePlace,
        options: LoadOptions,
        name: str,
        file: IO[bytes],
    ) -> Outcome:
        file.seek(0)
        stored = self._parts.tables.get(table)
        task = LoadTask(stored.schema, table.table, [Source(name, lambda: file)], options)
        try:
            with session.executing(self._parts.engine) as execution:
                loaded = self._parts.loader.run(task, execution, opening(self._parts.lake, table))
        except TooManyFiltered as error:
            raise self._refusal(error) from error
        counts = Counts(
            loaded.total_rows,
            loaded.loaded_rows,
            loaded.filtered_rows,
            loaded.unselected_rows,
            loaded.scanned_bytes,
            1,
            loaded.scanned_bytes,
        )
        if not loaded.rowsets:
            return Outcome((), counts)
        change = TableChange(table, stored.schema.id, stored.identity, rowsets=loaded.rowsets)
        return Outcome((change,), counts)

    def _refusal(self, error: TooManyFiltered) -> SqlError:
        log = self._jobs.error_logs.write(error.loaded.errors)
        told = f" url: {self._jobs.error_logs.url(log)}" if log else ""
        return SqlError(error.code, error.state, f"{error.message}{told}", error.kind)


def _keep(session: SqlSession, file: IO[bytes], data: bytes) -> None:
    session.check()
    if file.tell() + len(data) > limits.LOAD_DATA_BYTES_MAX:
        raise doris(f"the file is larger than {limits.LOAD_DATA_BYTES_MAX} bytes")
    file.write(data)


def _done(counts: Counts) -> Done:
    info = f"Records: {counts.scanned}  Deleted: 0  Skipped: {counts.filtered}  Warnings: 0"
    return Done(counts.loaded, info=info)
