"""A fixed history of loads of one catalog, and what each of them may have left behind.

The bytes of a load's rowsets are its label: so the tables tell what of which load is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from anabranch.access.sealing import Sealer
from anabranch.kernel.errors import AnabranchError, Kind
from anabranch.kernel.ids import Namespace
from anabranch.storage.disk import Disk
from anabranch.storage.kv.base import KVStore
from anabranch.warehouse.catalog.publishing import LabelUse, Publication, TableChange
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.insert_jobs import TRANSACTIONS
from anabranch.warehouse.jobs.load_control import Control
from anabranch.warehouse.jobs.load_jobs import LoadJobs, Outcome
from anabranch.warehouse.jobs.load_records import Counts, LoadRecord, LoadRecords, LoadState
from anabranch.warehouse.jobs.stream_loads import StreamLoads
from anabranch.warehouse.places import DatabasePlace
from anabranch.warehouse.sql.loads import LoadLabel
from anabranch.warehouse.sql.parser import parse_one
from tests.faults.history import open_directory
from tests.support.fakes import FakeClock
from tests.support.faults import Crashed
from tests.support.lakes import REPOSITORY
from tests.support.warehouses import Catalog, catalog_of

TABLES = ("t", "u")
ROWSETS = 1  # of each table: two tables are enough to see a load half
WAIT_S = 30
FREE, KEPT, THERE = "free", "kept", "there"
"""What a label is: usable, of a load that waits for its commit, of a load whose rows are there."""


@dataclass
class Loads:
    """All ways to load into the catalog of one process."""

    catalog: Catalog
    records: LoadRecords
    streams: StreamLoads
    jobs: LoadJobs

    @property
    def database(self) -> DatabasePlace:
        return self.catalog.database()

    def changes(self, label: str) -> tuple[TableChange, ...]:
        """Return rowsets of a load for both tables; their bytes are written."""
        found: list[TableChange] = []
        for name in TABLES:
            table = self.catalog.table(name)
            stored = self.catalog.tables.get(table)
            rowsets = tuple(
                self.catalog.rowset(stored.schema, label.encode()) for _ in range(ROWSETS)
            )
            found.append(TableChange(table, stored.schema.id, stored.identity, rowsets))
        return tuple(found)

    def outcome(self, label: str) -> Outcome:
        return Outcome(self.changes(label), Counts(scanned=1, loaded=1))

    # What a client asks for; each returns when it was answered

    def publish(self, label: str) -> None:
        number = self.records.next_id(TRANSACTIONS)
        use = LabelUse(self.database, label, number)
        self.catalog.publisher.publish(Publication(self.changes(label), use))

    def begin(self, label: str) -> Callable[[], object]:
        stored = self.streams.begin(
            self.database, TABLES, label=label, is_label_given=True, user="root"
        )
        return lambda: self.streams.run(self.database, stored, lambda: self.outcome(label))

    def stream(self, label: str) -> None:
        self.begin(label)()

    def prepare(self, label: str) -> None:
        stored = self.streams.begin(
            self.database, TABLES, label=label, is_label_given=True, user="root"
        )
        self.streams.prepare(stored, lambda: self.outcome(label))

    def commit(self, label: str) -> None:
        self.streams.commit(self.database, label)

    def abort(self, label: str) -> None:
        self.streams.abort(self.database, label)

    def submit(self, label: str) -> None:
        parts = ", ".join(f'DATA INFILE("file:///x") INTO TABLE {name}' for name in TABLES)
        statement = parse_one(f"LOAD LABEL db.{label} ({parts}) WITH BROKER local")
        assert isinstance(statement, LoadLabel)
        self.jobs.submit(statement, place=self.database, user="root", time_zone="UTC")

    def finish(self, label: str) -> None:
        """Wait for a job; a process that died under it answers nobody."""
        assert self.jobs.wait(WAIT_S)
        record = self.streams.find(self.database, label)
        if record is None or record.state is not LoadState.FINISHED:
            raise Crashed

    # What there is

    def rowsets(self) -> Counter[tuple[str, str]]:
        """Return how many rowsets each table has of each load, reading all bytes."""
        found: Counter[tuple[str, str]] = Counter()
        for name in TABLES:
            for rowset in self.catalog.read(name).rowsets:
                data = self.catalog.on.find(rowset.path)
                assert data is not None
                found[name, data.decode()] += 1
        return found

    def state_of(self, label: str, rowsets: Counter[tuple[str, str]]) -> str:
        """Return what a label is, having looked that everything that knows of it agrees."""
        counts = {rowsets[name, label] for name in TABLES}
        assert counts in ({0}, {ROWSETS}), (label, rowsets)
        is_there = counts == {ROWSETS}
        published = self.catalog.labels.find(self.database, label)
        assert (published is not None and published.is_published) == is_there, label
        record = self.streams.find(self.database, label)
        state = LoadState.ABORTED if record is None else record.state.transaction
        if record is not None:
            assert (state is LoadState.VISIBLE) == is_there, (label, record)
        if is_there:
            return THERE
        if state is LoadState.PRECOMMITTED:
            return KEPT
        assert state is LoadState.ABORTED, (label, record)
        return FREE

    def is_used(self, label: str) -> bool:
        """Tell whether a load is refused for its label; one that is not begins, and is aborted."""
        try:
            self.begin(label)
        except SqlError as error:
            if error.kind is not Kind.LABEL_USED:
                raise
            return True
        self.abort(label)
        return False


@dataclass
class _Runner:
    """The work of a job, without files and engine."""

    loads: list[Loads] = field(default_factory=list)

    def check(self, place: DatabasePlace, statement: LoadLabel) -> None:
        """Take everything."""

    def prepare(
        self, record: LoadRecord, statement: LoadLabel, control: Control
    ) -> Callable[[], Outcome]:
        return lambda: self.loads[0].outcome(statement.label)


Step = tuple[str, Callable[[Loads, str], None], str, str]
"""A label, what is asked for, and what the label is before and after it."""

HISTORY: tuple[Step, ...] = (
    ("published", Loads.publish, FREE, THERE),
    ("streamed", Loads.stream, FREE, THERE),
    ("committed", Loads.prepare, FREE, KEPT),
    ("aborted", Loads.prepare, FREE, KEPT),
    ("committed", Loads.commit, KEPT, THERE),
    ("aborted", Loads.abort, KEPT, FREE),
    ("kept", Loads.prepare, FREE, KEPT),
    # Once it was answered, the next process does what this one does not.
    ("job", Loads.submit, FREE, THERE),
    ("job", Loads.finish, THERE, THERE),
    ("streamed again", lambda loads, _: loads.stream("streamed_again"), FREE, THERE),
)


def label_of(step: Step) -> str:
    """Return the label of a step."""
    return step[0].replace(" ", "_")


def create(directory: FilePath, kv: KVStore, clock: FakeClock) -> None:
    """Make the catalog, in peace."""
    with open_directory(directory, kv, name="first", clock=clock) as on:
        on.lake.repositories.create(REPOSITORY, Namespace("s3://data/animals"), committer="tests")
        catalog = catalog_of(on)
        catalog.databases.create(catalog.database())
        for name in TABLES:
            catalog.create(name)


@contextmanager
def open_loads(
    directory: FilePath,
    kv: KVStore,
    clock: FakeClock,
    *,
    name: str,
    wrap: Callable[[KVStore], KVStore] = lambda kv: kv,
    disk: Disk | None = None,
) -> Iterator[Loads]:
    """Open the catalog as a process of its own does."""
    with open_directory(directory, kv, name=name, clock=clock, wrap=wrap, disk=disk) as on:
        catalog = catalog_of(on)
        lake = on.lake
        records = LoadRecords(lake, catalog.labels)
        logs = ErrorLogs(directory / "errors", lake.ids, lambda: "http://127.0.0.1:8030")
        runner = _Runner()
        jobs = LoadJobs(
            records, runner, catalog.publisher, catalog.databases, logs, clock, lake.ids,
            Sealer(b"k" * 32, lake.ids),
        )  # fmt: skip
        streams = StreamLoads(
            lake, records, catalog.tables, catalog.publisher, catalog.databases, logs, clock,
            lake.ids,
        )  # fmt: skip
        loads = Loads(catalog, records, streams, jobs)
        runner.loads.append(loads)
        try:
            yield loads
        finally:
            jobs.close()


def run(loads: Loads, has_crashed: Callable[[], bool]) -> int:
    """Run the history until the end or the crash; return how many steps were answered."""
    done = 0
    try:
        for step in HISTORY:
            step[1](loads, label_of(step))
            done += 1
    except Crashed:
        pass
    except AnabranchError:
        assert has_crashed(), "only a crash may fail this history"
    return done


def expected(done: int) -> dict[str, set[str]]:
    """Return what each label may be after so many answered steps, the next one half done."""
    found: dict[str, set[str]] = {label_of(step): {FREE} for step in HISTORY}
    for step in HISTORY[:done]:
        found[label_of(step)] = {step[3]}
    if done < len(HISTORY):
        step = HISTORY[done]
        found[label_of(step)] = {step[2], step[3]}
    return found
