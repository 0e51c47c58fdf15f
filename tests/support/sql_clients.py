"""SQL of tests: texts in and Python rows out, through the statements that change rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from anabranch.kernel import limits
from anabranch.warehouse.dispatch import Warehouse
from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.extension import write_extension
from anabranch.warehouse.handlers.changes import Changes
from anabranch.warehouse.handlers.standard import standard_handlers
from anabranch.warehouse.handlers.transactions import Transactions
from anabranch.warehouse.merging.rows import RowConflicts
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.registry import Registry
from anabranch.warehouse.results import Done, Rows
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql import statements as st
from anabranch.warehouse.sql.transforms.translate import Translator
from tests.support.lakes import MAIN
from tests.support.warehouses import Catalog, open_catalog


@dataclass(frozen=True, slots=True)
class Client:
    """A warehouse whose database `db` begins empty, and one session in it."""

    catalog: Catalog
    warehouse: Warehouse
    parts: Parts
    session: SqlSession

    def another(self) -> Client:
        """Return the same warehouse with another session."""
        session = self.warehouse.open("root", "127.0.0.1", "db", 2)
        return Client(self.catalog, self.warehouse, self.parts, session)

    def run(self, text: str) -> list[Done | list[tuple[Any, ...]]]:
        """Run a text; return what was done, or the rows, of each statement."""
        results: list[Done | list[tuple[Any, ...]]] = []
        for result in self.warehouse.run(self.session, text):
            if isinstance(result, Rows):
                lists = [
                    [column.to_pylist() for column in batch.columns] for batch in result.batches
                ]
                results.append([row for columns in lists for row in zip(*columns, strict=True)])
            else:
                assert isinstance(result, Done)
                results.append(result)
        return results

    def do(self, text: str) -> Done:
        """Run one statement without rows."""
        (found,) = self.run(text)
        assert isinstance(found, Done)
        return found

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Run one query."""
        (found,) = self.run(text)
        assert isinstance(found, list)
        return found

    def refused(self, text: str) -> SqlError:
        """Run a text that must fail, and return why."""
        try:
            self.run(text)
        except SqlError as error:
            return error
        raise AssertionError(f"not refused: {text}")


@contextmanager
def open_client(directory: Path) -> Iterator[Client]:
    """Build a warehouse in an empty directory."""
    with open_catalog(directory) as catalog, engine_beside(directory) as engine:
        catalog.tables.drop(catalog.table())
        parts = Parts(
            lake=catalog.on.lake,
            engine=engine,
            translator=Translator(),
            databases=catalog.databases,
            tables=catalog.tables,
            snapshots=catalog.snapshots,
            publisher=catalog.publisher,
            clock=catalog.on.clock,
            ids=catalog.on.lake.ids,
            labels=catalog.labels,
            default_catalog=catalog.on.repository_id,
        )
        rows = RowConflicts(parts.lake, engine)
        catalog.on.merges.join(parts.lake, lambda: rows)
        changes, transactions = Changes(parts), Transactions(parts)
        registry = standard_handlers(parts, changes).joined(
            Registry(
                {
                    **dict.fromkeys((st.Insert, st.Delete, st.Update, st.TruncateTable), changes),
                    **dict.fromkeys((st.Begin, st.Commit, st.Rollback), transactions),
                }
            )
        )
        warehouse = Warehouse(parts, registry)
        session = warehouse.open("root", "127.0.0.1", f"db@{MAIN}", 1)
        yield Client(catalog, warehouse, parts, session)


@contextmanager
def engine_beside(directory: Path) -> Iterator[Engine]:
    """Open an engine that may read the blocks of a catalog in a directory."""
    own = directory / "engine"
    own.mkdir()
    with duckdb.connect() as connection:
        ((platform,),) = connection.execute("PRAGMA platform").fetchall()
    extension = write_extension(own, str(platform))
    memory = 512 * limits.MIB
    places = [directory / "blocks", own]
    engine = Engine(EngineSettings(memory, 2, places, own / "spill", [extension]))
    try:
        yield engine
    finally:
        engine.close()
