"""A whole warehouse of tests: every handler that needs no other process, texts in, rows out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from anabranch.kernel.ids import Namespace, Ref
from anabranch.lake import Lake
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from anabranch.warehouse.catalog.databases import Databases
from anabranch.warehouse.catalog.labels import Labels
from anabranch.warehouse.catalog.publishing import Publisher
from anabranch.warehouse.catalog.snapshots import Snapshots
from anabranch.warehouse.catalog.tables import Tables
from anabranch.warehouse.dispatch import Warehouse
from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.extension import write_extension
from anabranch.warehouse.handlers.changes import Changes
from anabranch.warehouse.handlers.standard import standard_handlers
from anabranch.warehouse.handlers.transactions import Transactions
from anabranch.warehouse.parts import DEFAULT_CATALOG, Parts, ServerFacts
from anabranch.warehouse.places import DatabasePlace, Place
from anabranch.warehouse.registry import Guard, Registry
from anabranch.warehouse.results import Done, Field, Process, Rows
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql import statements as st
from anabranch.warehouse.sql.transforms.translate import Translator
from tests.support.fakes import FakeClock, FakeIds


class Listed:
    """Open connections, as a server lists them."""

    def __init__(self) -> None:
        self.killed: list[tuple[int, str, bool]] = []

    def list_processes(self) -> list[Process]:
        return [Process(7, "ada", "127.0.0.1:5", "db", "Query", "", 3, "select " + "x" * 200)]

    def kill(self, connection_id: int, *, by: str, is_query_only: bool) -> None:
        self.killed.append((connection_id, by, is_query_only))


@dataclass(frozen=True, slots=True)
class Client:
    """One session and short ways to talk to it."""

    warehouse: Warehouse
    session: SqlSession
    parts: Parts
    clock: FakeClock
    processes: Listed

    def results(
        self, text: str, parameters: Sequence[object] | None = None
    ) -> list[Done | list[tuple[Any, ...]]]:
        """Run a text; return what each of its statements gives."""
        found: list[Done | list[tuple[Any, ...]]] = []
        for result in self.warehouse.run(self.session, text, parameters):
            if isinstance(result, Rows):
                found.append(list(read(result)))
            else:
                assert isinstance(result, Done)
                found.append(result)
        return found

    def do(self, *texts: str) -> Done:
        """Run statements; return what the last did."""
        found: Done | list[tuple[Any, ...]] = Done(0)
        for text in texts:
            found = self.results(text)[-1]
        assert isinstance(found, Done)
        return found

    def rows(self, text: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement that gives rows."""
        (found,) = self.results(text, parameters)
        assert isinstance(found, list)
        return found

    def value(self, text: str, parameters: Sequence[object] | None = None) -> Any:
        """Run one statement that gives one value."""
        ((value,),) = self.rows(text, parameters)
        return value

    def column(self, text: str, number: int = 0) -> list[Any]:
        """Run one statement; return one column of its rows."""
        return [row[number] for row in self.rows(text)]

    def fields(self, text: str) -> tuple[Field, ...]:
        """Run one statement that gives rows; return their columns."""
        for result in self.warehouse.run(self.session, text):
            assert isinstance(result, Rows)
            result.close()
            return result.fields
        raise AssertionError("no rows")

    def names(self, text: str) -> list[str]:
        """Run one statement that gives rows; return their columns' names."""
        return [field.name for field in self.fields(text)]

    def dicts(self, text: str) -> list[dict[str, Any]]:
        """Run one statement; return its rows by the names of the columns."""
        names = self.names(text)
        return [dict(zip(names, row, strict=True)) for row in self.rows(text)]

    def refused(self, text: str, parameters: Sequence[object] | None = None) -> SqlError:
        """Run a text that must fail."""
        try:
            self.results(text, parameters)
        except SqlError as error:
            return error
        raise AssertionError(f"not refused: {text}")

    def another(self, user: str = "root", database: str | None = "db") -> Client:
        """Open another session."""
        session = self.warehouse.open(user, "127.0.0.1:1", database, 8)
        return replace(self, session=session)


def read(rows: Rows) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a result, and close it."""
    try:
        for batch in rows.batches:
            assert batch.num_columns == len(rows.fields)
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    finally:
        rows.close()


@contextmanager
def parts_in(directory: Path) -> Iterator[tuple[Parts, FakeClock]]:
    """Build a warehouse's parts over local blocks and a KV store in memory; a database `db`."""
    clock, ids = FakeClock(step_ns=1_000), FakeIds()
    kv = MemoryKV(clock)
    blocks = LocalBlocks(directory / "blocks", kv, clock, ids, prepares_segments=False)
    writer = GroupWriter(kv, blocks.flush, ids=ids)
    lake = Lake(kv, blocks, writer, clock=clock, ids=ids)
    own = directory / "engine"
    own.mkdir()
    with duckdb.connect() as connection:
        (platform,) = connection.execute("PRAGMA platform").fetchall()[0]
    extension = write_extension(own, str(platform))
    engine = Engine(
        EngineSettings(1 << 30, 2, [directory / "blocks", own], own / "spill", [extension])
    )
    lake.repositories.create(DEFAULT_CATALOG, Namespace("local://warehouse"), committer="tests")
    tables = Tables(lake)
    snapshots = Snapshots(lake, tables)
    labels = Labels(lake)
    parts = Parts(
        lake=lake,
        engine=engine,
        translator=Translator(),
        databases=Databases(lake),
        tables=tables,
        snapshots=snapshots,
        publisher=Publisher(lake, snapshots, labels),
        clock=clock,
        ids=ids,
        labels=labels,
        processes=Listed(),
        facts=ServerFacts(version="test", started_us=clock.now_ns() // 1_000),
    )
    parts.databases.create(DatabasePlace(Place(DEFAULT_CATALOG, Ref("main")), "db"))
    try:
        yield parts, clock
    finally:
        engine.close()
        lake.close()
        writer.close()
        blocks.close()
        kv.close()


def warehouse_of(parts: Parts, guard: Guard | None = None) -> Warehouse:
    """Join every handler that needs no other process."""
    changes, transactions = Changes(parts), Transactions(parts)
    registry = standard_handlers(parts, changes).joined(
        Registry(
            {
                **dict.fromkeys((st.Insert, st.Delete, st.Update, st.TruncateTable), changes),
                **dict.fromkeys((st.Begin, st.Commit, st.Rollback), transactions),
            }
        )
    )
    return Warehouse(parts, registry, guard=guard)


@contextmanager
def client_in(directory: Path, *, guard: Guard | None = None) -> Iterator[Client]:
    """Build a warehouse with a database `db` and a session of root's in it."""
    with parts_in(directory) as (parts, clock):
        warehouse = warehouse_of(parts, guard)
        session = warehouse.open("root", "127.0.0.1:1", "db", 7)
        assert isinstance(parts.processes, Listed)
        yield Client(warehouse, session, parts, clock, parts.processes)
        warehouse.close(session)
