"""What a load job does: finds the files of its data descriptions, loads them into their tables.

Nothing is visible afterwards: the rowsets are for the job to publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, LimitExceeded
from anabranch.lake import Lake
from anabranch.warehouse.catalog.publishing import TableChange
from anabranch.warehouse.catalog.tables import Stored, Tables
from anabranch.warehouse.engine import Engine
from anabranch.warehouse.errors import doris
from anabranch.warehouse.jobs.load_control import Control
from anabranch.warehouse.jobs.load_jobs import Outcome, abandon, place_of
from anabranch.warehouse.jobs.load_records import Counts, LoadRecord
from anabranch.warehouse.loading.load import Loader, LoadTask, OpenFor
from anabranch.warehouse.loading.options import LoadOptions, of_description
from anabranch.warehouse.loading.sources import Source, Tally
from anabranch.warehouse.loading.writing import OpenRowset
from anabranch.warehouse.origins.base import OriginFile
from anabranch.warehouse.origins.brokers import Brokers
from anabranch.warehouse.origins.opening import Origins
from anabranch.warehouse.places import DatabasePlace, TablePlace
from anabranch.warehouse.rowsets.writer import RowsetWriter
from anabranch.warehouse.schema import Table
from anabranch.warehouse.sql.loads import DataDescription, LoadLabel

_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class _Part:
    """One data description: its table as it is now, and its files."""

    place: TablePlace
    table: Stored
    sources: tuple[Source, ...]
    size_bytes: int
    options: LoadOptions


class LoadRunner:
    """Runs the statements of load jobs."""

    def __init__(
        self,
        lake: Lake,
        engine: Engine,
        tables: Tables,
        loader: Loader,
        brokers: Brokers,
        origins: Origins,
    ) -> None:
        self._lake = lake
        self._engine = engine
        self._tables = tables
        self._loader = loader
        self._brokers = brokers
        self._origins = origins

    def check(self, place: DatabasePlace, statement: LoadLabel) -> None:
        """Raise SqlError for a statement that can't run: unknown table, broker, bad property."""
        if statement.source == "BROKER":
            self._brokers.check(statement.broker)
        for one in statement.descriptions:
            self._tables.get(place.table(one.table))
            _options(statement, one, "UTC")

    def prepare(
        self, record: LoadRecord, statement: LoadLabel, control: Control
    ) -> Callable[[], Outcome]:
        """Find the files; return what loads them. Raises AnabranchError."""
        place = place_of(record.scope)
        parts: list[_Part] = []
        for one in statement.descriptions:
            control.check()
            table = place.table(one.table)
            stored = self._tables.get(table)
            found = sorted(self._files(statement, one, control), key=lambda each: each[0])
            if not found:
                raise doris(f"No source file in this table({one.table}).")
            sources = tuple(_source(name, file, one, control) for name, file in found)
            size_bytes = sum(file.size_bytes for _, file in found)
            options = _options(statement, one, record.time_zone)
            parts.append(_Part(table, stored, sources, size_bytes, options))
        return lambda: self._load(parts, control)

    def _files(
        self, statement: LoadLabel, description: DataDescription, control: Control
    ) -> Iterator[tuple[str, OriginFile]]:
        """Yield each file once, by the URL that the statement would have named it by."""
        broker = statement.broker if statement.source == "BROKER" else None
        options = {name.lower(): value for name, value in statement.source_properties}
        seen: set[str] = set()
        for url in description.files:
            located = self._brokers.locate(_with_scheme(url, statement.source), broker)
            for file in self._origins.walk(located.base, located.pattern, options):
                control.check()
                name = located.url_of(file.url)
                if name in seen:
                    continue
                seen.add(name)
                if len(seen) > limits.LOAD_FILES_MAX:
                    raise LimitExceeded(
                        Kind.TOO_MANY, f"a load reads at most {limits.LOAD_FILES_MAX} files"
                    )
                yield name, file

    def _load(self, parts: list[_Part], control: Control) -> Outcome:
        outcome = Outcome((), Counts())
        size_bytes = sum(part.size_bytes for part in parts)
        try:
            for part in parts:
                control.check()
                outcome = self._load_part(part, outcome, size_bytes, control)
        except BaseException:
            abandon(outcome)
            raise
        return outcome

    def _load_part(
        self, part: _Part, before: Outcome, size_bytes: int, control: Control
    ) -> Outcome:
        tally = Tally()

        def look() -> tuple[Counts, float]:
            counts = before.counts.plus(
                Counts(scanned=tally.scanned_rows, bytes=tally.scanned_bytes)
            )
            return counts, counts.bytes / size_bytes if size_bytes else 0.0

        control.watch(look)
        schema = part.table.schema
        task = LoadTask(schema, part.place.table, part.sources, part.options)
        with (
            self._engine.open() as execution,
            control.interrupting(execution.cancel),
        ):
            loaded = self._loader.run(task, execution, opening(self._lake, part.place), tally)
        counts = Counts(
            loaded.total_rows,
            loaded.loaded_rows,
            loaded.filtered_rows,
            loaded.unselected_rows,
            loaded.scanned_bytes,
            len(part.sources),
            part.size_bytes,
        )
        changes = before.changes
        if loaded.rowsets:
            changes += (
                TableChange(part.place, schema.id, part.table.identity, rowsets=loaded.rowsets),
            )
        errors = (*before.errors, *loaded.errors)
        return Outcome(changes, before.counts.plus(counts), errors[: limits.ERROR_LOG_ROWS_MAX])


def opening(lake: Lake, place: TablePlace) -> OpenFor:
    """Return what opens rowsets of a table."""
    repository = lake.repositories.get(place.place.repository)

    def open_for(table: Table, ids: Sequence[int]) -> OpenRowset:
        def open_rowset(partition: str) -> RowsetWriter:
            return RowsetWriter(lake.bodies, repository, lake.ids, table, partition, ids)

        return open_rowset

    return open_for


def _options(statement: LoadLabel, one: DataDescription, time_zone: str) -> LoadOptions:
    """Return a description's options; the ratio is judged over the whole job, not here."""
    made = of_description(one, dict(statement.properties), time_zone)
    return replace(made, max_filter_ratio=1.0)


def _with_scheme(url: str, source: str) -> str:
    """Return a URL; a bare path is one of WITH LOCAL."""
    return f"file://{url}" if source == "LOCAL" and url.startswith("/") else url


def _source(url: str, file: OriginFile, description: DataDescription, control: Control) -> Source:
    values = tuple(path_value(url, name) for name in description.columns_from_path)
    return Source(url, lambda: Chunks(_checked(file.read(), control)), values)


def path_value(url: str, column: str) -> str | None:
    """Return what a URL's folders say of a column by `column=value`; raise Doris's error."""
    for part in reversed(url.split("/")[:-1]):
        name, mark, value = part.partition("=")
        if mark and name.lower() == column.lower():
            return None if value == _NO_PARTITION else value
    raise doris(f"Fail to parse columnsFromPath, expected: [{column}], filePath: {url}")


def _checked(chunks: Iterator[bytes], control: Control) -> Iterator[bytes]:
    for chunk in chunks:
        control.check()
        yield chunk


class Chunks:
    """Pieces of bytes as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that follow when negative; none at the end."""
        if size < 0:
            found = bytes(self._rest) + b"".join(self._chunks)
            self._rest = memoryview(b"")
            return found
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        found = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return found
