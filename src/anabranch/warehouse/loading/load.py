"""One load: files in, rowsets of a table out. Publishing them is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.warehouse.engine import Execution
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.loading.csv import read_csv
from anabranch.warehouse.loading.json_documents import read_json
from anabranch.warehouse.loading.mapping import check_options, file_columns, map_rows
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.loading.parquet import read_parquet
from anabranch.warehouse.loading.reading import ROWS_PLACE, Reading
from anabranch.warehouse.loading.sources import Source, Tally
from anabranch.warehouse.loading.writing import BadRow, OpenRowset, Written, write_values
from anabranch.warehouse.schema import Table
from anabranch.warehouse.sql.transforms.catalog import Context

if TYPE_CHECKING:
    from anabranch.warehouse.rowsets.rowset import NewRowset

_ROWS = "load_rows"
TOO_MANY_FILTERED = "[DATA_QUALITY_ERROR]too many filtered rows"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a load's rows: each was loaded, filtered (refused) or unselected (by WHERE)."""

    rowsets: tuple[NewRowset, ...]
    loaded_rows: int
    filtered_rows: int
    unselected_rows: int
    scanned_bytes: int
    errors: tuple[BadRow, ...]

    @property
    def total_rows(self) -> int:
        """Return the number of rows of the source."""
        return self.loaded_rows + self.filtered_rows + self.unselected_rows


class TooManyFiltered(SqlError):
    """More rows were refused than the load allows; `loaded` has the counts and the reasons."""

    def __init__(self, loaded: Loaded) -> None:
        made = doris(TOO_MANY_FILTERED)
        super().__init__(made.code, made.state, made.message)
        self.loaded = loaded


def is_too_many(loaded: int, filtered: int, ratio_max: float) -> bool:
    """Tell whether the refused rows are too large a part of those that were selected."""
    return filtered > 0 and filtered > ratio_max * (filtered + loaded)


@dataclass(frozen=True, slots=True)
class LoadTask:
    """What to load: files into a table whose schema is known. `table_name` is for errors."""

    table: Table
    table_name: str
    sources: Sequence[Source]
    options: LoadOptions


OpenFor = Callable[[Table, Sequence[int]], OpenRowset]
"""Returns what opens rowsets of a table that write the columns of these ids, ascending."""


class Loader:
    """Runs loads on an engine. Streams of Parquet lie in `spool` while they are read."""

    def __init__(self, clock: Clock, spool: Path) -> None:
        self._clock = clock
        self._spool = spool

    def run(
        self, task: LoadTask, execution: Execution, open_for: OpenFor, tally: Tally | None = None
    ) -> Loaded:
        """Read the files and write rowsets, which the caller publishes or aborts.

        `tally` may be watched from other threads. Raises SqlError, TooManyFiltered among them;
        then nothing that was written is left.
        """
        tally = Tally() if tally is None else tally
        options = task.options
        check_options(task.table, options, task.table_name)
        now = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
        context = Context(now, options.time_zone)
        reading = self._reading(task, execution, tally)
        relation = reading.relation.replace(ROWS_PLACE, execution.register(_ROWS, reading.batches))
        rows = map_rows(task.table, reading, relation, options, context)
        ids = sorted(value.column.id for value in rows.values)
        try:
            written = write_values(
                execution,
                rows,
                task.table,
                open_rowset=open_for(task.table, ids),
                is_strict=options.is_strict,
                partitions=options.partitions,
            )
        except SqlError:
            # Taken out of the tally: an error that a frame of its own traceback holds is a circle,
            # and with it all that the engine gave.
            failure, tally.failure = tally.failure, None
            if failure is None:
                raise
            try:
                raise failure from None
            finally:
                del failure
        loaded = _loaded(written, tally)
        if is_too_many(loaded.loaded_rows, loaded.filtered_rows, options.max_filter_ratio):
            for rowset in written.rowsets:
                rowset.body.abort()
            raise TooManyFiltered(loaded)
        return loaded

    def _reading(self, task: LoadTask, execution: Execution, tally: Tally) -> Reading:
        options = task.options
        names = file_columns(task.table, options)
        if options.format == "parquet":
            return read_parquet(task.sources, names, options, tally, self._spool)
        if options.format == "json":
            return read_json(task.sources, names, options, tally, execution)
        return read_csv(task.sources, names, options, tally)


def _loaded(written: Written, tally: Tally) -> Loaded:
    filtered = written.filtered_rows + tally.bad_rows
    errors = sorted((*tally.errors, *written.errors), key=lambda bad: bad.row)
    unselected = tally.scanned_rows - filtered - written.loaded_rows
    return Loaded(
        written.rowsets,
        written.loaded_rows,
        filtered,
        unselected,
        tally.scanned_bytes,
        tuple(errors[: limits.ERROR_LOG_ROWS_MAX]),
    )
