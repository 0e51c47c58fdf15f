"""A catalog of tests: databases, tables and published rowsets over a lake, without an engine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anabranch.kernel.ids import Ref
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.sqlite import SqliteKV
from anabranch.warehouse.catalog.databases import Databases
from anabranch.warehouse.catalog.labels import Labels, LabelUse
from anabranch.warehouse.catalog.publishing import Publication, Publisher, TableChange
from anabranch.warehouse.catalog.snapshots import Snapshots, TableSnapshot
from anabranch.warehouse.catalog.tables import Stored, Tables
from anabranch.warehouse.places import DatabasePlace, Place, TablePlace
from anabranch.warehouse.rowsets.rowset import Header, NewRowset, Rowset, RowsetKind
from anabranch.warehouse.schema import UNPARTITIONED, Table
from anabranch.warehouse.schemas.creation import create_table
from anabranch.warehouse.sql.parser import parse_one
from anabranch.warehouse.sql.statements import CreateTable
from tests.support.fakes import FakeClock, FakeIds
from tests.support.lakes import MAIN, TestLake, open_beside, open_lake

DDL = "CREATE TABLE t (k int, v bigint SUM DEFAULT '0') AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)"


def table_of(table_id: str, ddl: str = DDL) -> Table:
    """Return the schema of a CREATE TABLE."""
    statement = parse_one(ddl)
    assert isinstance(statement, CreateTable)
    return create_table(statement, table_id)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog of a lake: `animals`, with the database `db` and its table `t`."""

    on: TestLake
    databases: Databases
    tables: Tables
    snapshots: Snapshots
    labels: Labels
    publisher: Publisher

    def place(self, ref: str = MAIN) -> Place:
        """Return the catalog at a ref."""
        return Place(self.on.repository_id, Ref(ref))

    def database(self, name: str = "db", *, ref: str = MAIN) -> DatabasePlace:
        """Return a database's place."""
        return DatabasePlace(self.place(ref), name)

    def table(self, name: str = "t", *, ref: str = MAIN) -> TablePlace:
        """Return the place of a table of `db`."""
        return self.database(ref=ref).table(name)

    def create(self, name: str = "t", *, ref: str = MAIN, ddl: str = DDL) -> Table:
        """Make a table of `db`."""
        table = table_of(self.on.lake.ids.hex32(), ddl)
        self.tables.create(self.table(name, ref=ref), table)
        return table

    def rowset(
        self,
        table: Table,
        data: bytes = b"rows",
        *,
        partition: str = UNPARTITIONED,
        known: tuple[int, ...] | None = None,
    ) -> NewRowset:
        """Return a rowset whose bytes are written; they need not be Parquet."""
        body = self.on.lake.bodies.open(self.on.repository, own_file=True)
        body.write(data)
        body.finish()
        ids = table.column_ids if known is None else known
        header = Header(table.id, RowsetKind.ROWS, ids, ids, 1)
        return NewRowset(partition, self.on.lake.ids.hex32(), body, header)

    def planned(
        self,
        place: TablePlace,
        *,
        rows: int = 1,
        stored: Stored | None = None,
        removes: Sequence[Rowset] = (),
        overwrites: Sequence[str] = (),
        if_last_sequence: int | None = None,
        if_rowsets: tuple[Rowset, ...] | None = None,
    ) -> TableChange:
        """Return a change that adds rowsets to a table as its schema is now."""
        stored = self.tables.get(place) if stored is None else stored
        return TableChange(
            place,
            stored.schema.id,
            stored.identity,
            tuple(self.rowset(stored.schema) for _ in range(rows)),
            tuple(removes),
            tuple(overwrites),
            if_last_sequence,
            if_rowsets,
        )

    def load(
        self, name: str = "t", *, ref: str = MAIN, label: str | None = None, job: int = 1
    ) -> int:
        """Publish one rowset and return its sequence."""
        use = None if label is None else LabelUse(self.database(ref=ref), label, job)
        change = self.planned(self.table(name, ref=ref))
        return self.publisher.publish(Publication((change,), use))[0]

    def read(self, name: str = "t", *, ref: str = MAIN) -> TableSnapshot:
        """Return a table of `db`."""
        return self.snapshots.read(self.table(name, ref=ref))

    def sequences(self, name: str = "t", *, ref: str = MAIN) -> list[int]:
        """Return the sequences of a table's rowsets, in their order."""
        return [one.name.sequence for one in self.read(name, ref=ref).rowsets]


def catalog_of(on: TestLake) -> Catalog:
    """Return the catalog of a lake."""
    tables = Tables(on.lake)
    snapshots = Snapshots(on.lake, tables)
    labels = Labels(on.lake)
    return Catalog(
        on, Databases(on.lake), tables, snapshots, labels, Publisher(on.lake, snapshots, labels)
    )


@contextmanager
def open_catalog(directory: Path | None = None, *, creates: bool = True) -> Iterator[Catalog]:
    """Open a catalog with `db` and `t`: in memory, or in a directory that is empty yet."""
    if directory is None:
        with open_lake() as on:
            yield _filled(catalog_of(on), creates=creates)
        return
    clock, ids = FakeClock(step_ns=1_000), FakeIds()
    kv = SqliteKV(directory / "kv.db")
    blocks = LocalBlocks(directory / "blocks", kv, clock, ids, prepares_segments=False)
    try:
        with open_lake(kv, blocks=blocks, clock=clock, ids=ids) as on:
            yield _filled(catalog_of(on), creates=creates)
    finally:
        blocks.close()
        kv.close()


@contextmanager
def open_catalog_beside(other: Catalog) -> Iterator[Catalog]:
    """Open a second catalog over the stores of one, as another process does."""
    with open_beside(other.on) as on:
        yield catalog_of(on)


def _filled(catalog: Catalog, *, creates: bool) -> Catalog:
    if creates:
        catalog.databases.create(catalog.database())
        catalog.create()
    return catalog
