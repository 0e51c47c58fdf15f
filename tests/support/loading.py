"""What tests of loading need: an engine, a table of a statement, rowsets that stay in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.extension import write_extension
from anabranch.warehouse.schema import Table
from anabranch.warehouse.schemas.creation import create_table
from anabranch.warehouse.sql.parser import parse
from anabranch.warehouse.sql.statements import CreateTable

TABLE_ID = "0123456789abcdef0123456789abcdef"


def table_of(text: str) -> Table:
    (statement,) = parse(text)
    assert isinstance(statement, CreateTable)
    return create_table(statement, TABLE_ID)


@contextmanager
def engine_in(directory: Path, *readable: Path) -> Iterator[Engine]:
    with duckdb.connect() as connection:
        found = connection.execute("PRAGMA platform").fetchone()
    assert found is not None
    extension = write_extension(directory, str(found[0]))
    settings = EngineSettings(1 << 30, 2, [directory, *readable], directory / "spill", [extension])
    engine = Engine(settings)
    try:
        yield engine
    finally:
        engine.close()


@dataclass
class MemorySink:
    """A rowset that stays in memory."""

    partition: str
    batches: list[pa.RecordBatch] = field(default_factory=list)
    source_rows: int = 0
    state: str = "open"

    def write(self, batch: pa.RecordBatch, source_rows: int) -> None:
        assert self.state == "open"
        self.batches.append(batch)
        self.source_rows += source_rows

    @property
    def body(self) -> MemorySink:
        return self

    def finish(self) -> Any:
        self.state = "finished"
        return self

    def abort(self) -> None:
        self.state = "aborted"


@dataclass
class MemoryRowsets:
    """Opens rowsets in memory and knows them by the partition's name."""

    table: Table
    sinks: list[MemorySink] = field(default_factory=list)

    def open(self, partition: str) -> MemorySink:
        self.sinks.append(MemorySink(partition))
        return self.sinks[-1]

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows by partition name, their columns in the table's order."""
        partitioning = self.table.partitioning
        names = {part.id: part.name for part in partitioning.partitions} if partitioning else {}
        ids = {f"c{column.id}": at for at, column in enumerate(self.table.columns)}
        found: dict[str, list[tuple[Any, ...]]] = {}
        for sink in self.sinks:
            rows = found.setdefault(names.get(sink.partition, ""), [])
            for batch in sink.batches:
                order = sorted(batch.schema.names, key=lambda name: ids.get(name, -1))
                columns = [batch.column(name).to_pylist() for name in order]
                rows.extend(zip(*columns, strict=True))
        return found

    def all_rows(self) -> list[tuple[Any, ...]]:
        """Return all rows, partition after partition."""
        return [row for rows in self.rows().values() for row in rows]
