"""Load jobs: each is FINISHED with its rows once, or CANCELLED with a reason and without any."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from anabranch.access.sealing import Sealer
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Kind, Unavailable
from anabranch.storage.kv.base import KVStore, Request, Verdict
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.load_control import Control
from anabranch.warehouse.jobs.load_jobs import LoadJobs, Outcome
from anabranch.warehouse.jobs.load_properties import parse_ratio, parse_timeout
from anabranch.warehouse.jobs.load_records import (
    Counts,
    LoadKind,
    LoadRecord,
    LoadRecords,
    LoadState,
)
from anabranch.warehouse.loading.writing import BadRow
from anabranch.warehouse.places import DatabasePlace
from anabranch.warehouse.schema import Column
from anabranch.warehouse.sql.loads import LoadLabel
from anabranch.warehouse.sql.parser import parse_one
from anabranch.warehouse.types import ColumnType, SqlType
from tests.support.faults import FaultyKV
from tests.support.lakes import open_beside
from tests.support.warehouses import Catalog, catalog_of, open_catalog, open_catalog_beside

WAIT_S = 20
SQL = 'LOAD LABEL db.{label} (DATA INFILE("file:///x") INTO TABLE t) WITH BROKER local {more}'


@dataclass
class Scripted:
    """A runner whose loads do what a test says: `act` is called in each load."""

    catalog: Catalog
    act: Callable[[Control], Counts] = lambda _control: Counts(scanned=1, loaded=1)
    errors: tuple[BadRow, ...] = ()
    prepared: list[str] = field(default_factory=list)

    def check(self, place: DatabasePlace, statement: LoadLabel) -> None:
        for one in statement.descriptions:
            self.catalog.tables.get(place.table(one.table))

    def prepare(
        self, record: LoadRecord, statement: LoadLabel, control: Control
    ) -> Callable[[], Outcome]:
        self.prepared.append(statement.label)
        tables = [self.catalog.table(one.table) for one in statement.descriptions]
        planned = [(table, self.catalog.tables.get(table)) for table in tables]

        def load() -> Outcome:
            counts = self.act(control)
            changes = tuple(self.catalog.planned(table, stored=stored) for table, stored in planned)
            return Outcome(changes if counts.loaded else (), counts, self.errors)

        return load


@dataclass
class Bench:
    """Jobs over a catalog."""

    catalog: Catalog
    runner: Scripted
    records: LoadRecords
    jobs: LoadJobs

    def submit(self, label: str = "a", more: str = "", text: str = SQL) -> LoadRecord:
        statement = parse_one(text.format(label=label, more=more))
        assert isinstance(statement, LoadLabel)
        return self.jobs.submit(
            statement, place=self.catalog.database(), user="root", time_zone="UTC"
        )

    def all(self) -> list[LoadRecord]:
        scope = self.jobs.scope_of(self.catalog.database())
        return [record for record, _ in self.jobs.list(scope)]

    def finish(self) -> list[LoadRecord]:
        assert self.jobs.wait(WAIT_S)
        return self.all()

    def cancel(self, label: str = "a") -> int:
        scope = self.jobs.scope_of(self.catalog.database())
        return self.jobs.cancel(scope, lambda record: record.label == label)


def bench_of(catalog: Catalog, directory: Path) -> Bench:
    lake = catalog.on.lake
    records = LoadRecords(lake, catalog.labels)
    runner = Scripted(catalog)
    logs = ErrorLogs(directory / "errors", lake.ids, lambda: "http://127.0.0.1:8030")
    seal = Sealer(b"k" * 32, lake.ids)
    jobs = LoadJobs(
        records,
        runner,
        catalog.publisher,
        catalog.databases,
        logs,
        catalog.on.clock,
        lake.ids,
        seal,
    )
    return Bench(catalog, runner, records, jobs)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_catalog() as catalog:
        made = bench_of(catalog, tmp_path)
        try:
            yield made
        finally:
            made.jobs.close()


@contextmanager
def beside(bench: Bench, directory: Path) -> Iterator[Bench]:
    """Give the jobs of another process over the same stores."""
    with open_catalog_beside(bench.catalog) as catalog:
        made = bench_of(catalog, directory)
        try:
            yield made
        finally:
            made.jobs.close()


class Gate:
    """Holds a load until a test lets it go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, control: Control) -> Counts:
        self.reached.set()
        with control.interrupting(self.opened.set):
            assert self.opened.wait(WAIT_S)
            control.check()
        return Counts(scanned=1, loaded=1)


def test_a_job_is_recorded_at_once_and_finishes_with_its_rows(bench: Bench) -> None:
    gate = bench.runner.act = Gate()
    submitted = bench.submit()
    assert (submitted.state, submitted.label, submitted.kind) == ("PENDING", "a", "BROKER")
    assert gate.reached.wait(WAIT_S)
    assert [record.state for record in bench.all()] == ["LOADING"]
    assert bench.catalog.sequences() == []
    gate.opened.set()
    (record,) = bench.finish()
    assert (record.state, record.counts.loaded) == ("FINISHED", 1)
    assert record.statement == ""
    assert len(bench.catalog.sequences()) == 1
    assert list(bench.records.list_open()) == []


def test_several_tables_become_visible_by_one_transaction(bench: Bench) -> None:
    bench.catalog.create("u")
    both = (
        'LOAD LABEL db.{label} (DATA INFILE("file:///x") INTO TABLE t, '
        'DATA INFILE("file:///y") INTO TABLE u) WITH BROKER local {more}'
    )
    bench.submit(text=both)
    (record,) = bench.finish()
    assert record.tables == ("t", "u")
    assert len(bench.catalog.sequences()) == len(bench.catalog.sequences("u")) == 1


def test_a_label_is_used_once(bench: Bench) -> None:
    gate = bench.runner.act = Gate()
    first = bench.submit()
    told = rf"Label \[a\] has already been used, relate to txn \[{first.transaction_id}\]"
    with pytest.raises(SqlError, match=told + r", status \[PREPARE\]\."):
        bench.submit()
    gate.opened.set()
    bench.finish()
    with pytest.raises(SqlError, match=told + r", status \[VISIBLE\]\."):
        bench.submit()
    assert len(bench.all()) == 1


def test_a_cancelled_job_leaves_nothing_and_frees_its_label(bench: Bench) -> None:
    gate = bench.runner.act = Gate()
    bench.submit()
    assert gate.reached.wait(WAIT_S)
    assert bench.cancel() == 1
    (record,) = bench.finish()
    assert (record.state, record.failure, record.message) == (
        "CANCELLED",
        "USER_CANCEL",
        "user cancel",
    )
    assert bench.catalog.sequences() == []
    bench.runner.act = lambda _control: Counts(loaded=1)
    bench.submit()
    assert [one.state for one in bench.finish()] == ["CANCELLED", "FINISHED"]
    with pytest.raises(SqlError, match="There is no uncompleted job"):
        bench.cancel()
    with pytest.raises(SqlError, match="Load job does not exist"):
        bench.cancel("b")


def test_a_job_that_waits_can_be_cancelled(bench: Bench) -> None:
    gate = bench.runner.act = Gate()
    for index in range(limits.LOAD_JOBS_RUNNING_MAX + 1):
        bench.submit(f"job{index}")
    assert gate.reached.wait(WAIT_S)
    last = f"job{limits.LOAD_JOBS_RUNNING_MAX}"
    assert bench.cancel(last) == 1
    gate.opened.set()
    states = {record.label: record.state for record in bench.finish()}
    assert states.pop(last) is LoadState.CANCELLED
    assert set(states.values()) == {LoadState.FINISHED}
    assert last not in bench.runner.prepared


def test_a_cancel_beats_a_job_that_is_about_to_publish(bench: Bench) -> None:
    def act(control: Control) -> Counts:
        bench.cancel()
        return Counts(loaded=1)

    bench.runner.act = act
    bench.submit()
    (record,) = bench.finish()
    assert record.failure == "USER_CANCEL"
    assert bench.catalog.sequences() == []


def test_what_a_load_raises_is_why_it_is_cancelled(bench: Bench) -> None:
    def act(_control: Control) -> Counts:
        raise doris("No such thing")

    bench.runner.act = act
    bench.submit()
    (record,) = bench.finish()
    assert record.failure == "LOAD_RUN_FAIL"
    assert record.message == "errCode = 2, detailMessage = No such thing"
    bench.runner.act = lambda _control: Counts(loaded=1)
    bench.submit()
    assert bench.finish()[-1].state == "FINISHED"


def test_too_many_bad_rows_cancel_a_job_and_are_kept(bench: Bench) -> None:
    bench.runner.act = lambda _control: Counts(scanned=10, loaded=9, filtered=1)
    bench.runner.errors = (BadRow("no partition for this tuple", "1\t2"),)
    bench.submit("strict")
    bench.submit("lax", 'PROPERTIES("max_filter_ratio" = "0.1")')
    strict, lax = sorted(bench.finish(), key=lambda one: one.label, reverse=True)
    assert (strict.failure, strict.message) == (
        "ETL_QUALITY_UNSATISFIED",
        "quality not good enough to cancel",
    )
    assert lax.state == "FINISHED"
    for record in (strict, lax):
        assert record.counts.filtered == 1
        log = bench.jobs.error_logs.find(bench.jobs.error_logs.url(record.error_log))
        assert log == b"Reason: no partition for this tuple. src line: [1\t2]; \n"


def test_a_load_without_rows_is_cancelled(bench: Bench) -> None:
    bench.runner.act = lambda _control: Counts()
    bench.submit()
    (record,) = bench.finish()
    assert record.message == "all partitions have no load data"


def test_a_job_is_planned_again_when_its_table_changes(bench: Bench) -> None:
    def act(_control: Control) -> Counts:
        if len(bench.runner.prepared) == 1:
            added = Column(77, "w", ColumnType(SqlType.INT))
            bench.catalog.tables.change(
                bench.catalog.table(),
                lambda table: (
                    replace(table, columns=(*table.columns, added), comment="x")
                    if table.comment != "x"
                    else table
                ),
            )
        return Counts(loaded=1)

    bench.runner.act = act
    bench.catalog.tables.drop(bench.catalog.table())
    bench.catalog.create(ddl="CREATE TABLE t (k int) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)")
    bench.submit()
    (record,) = bench.finish()
    assert (record.state, record.message) == ("FINISHED", "")
    assert bench.runner.prepared == ["a", "a"]
    assert len(bench.catalog.sequences()) == 1


def test_time_that_is_over_ends_a_job(bench: Bench) -> None:
    gate = bench.runner.act = Gate()
    bench.submit(more='PROPERTIES("timeout" = "60")')
    assert gate.reached.wait(WAIT_S)
    bench.catalog.on.clock.advance(59)
    bench.jobs.expire()
    assert not gate.opened.is_set()
    bench.catalog.on.clock.advance(2)
    bench.jobs.expire()
    (record,) = bench.finish()
    assert (record.failure, record.message) == ("TIMEOUT", "loading timeout to cancel")


def test_a_dropped_database_ends_its_jobs(bench: Bench) -> None:
    def act(_control: Control) -> Counts:
        bench.catalog.databases.drop(bench.catalog.database(), is_forced=True)
        bench.catalog.databases.create(bench.catalog.database())
        return Counts(loaded=1)

    bench.runner.act = act
    submitted = bench.submit()
    bench.finish()
    found = bench.records.find_transaction(submitted.transaction_id)
    assert found is not None
    assert found.record.state == "CANCELLED"
    assert bench.all() == []


def test_a_job_of_a_process_that_died_is_run_again(bench: Bench, tmp_path: Path) -> None:
    gate = bench.runner.act = Gate()
    bench.submit()
    assert gate.reached.wait(WAIT_S)
    with beside(bench, tmp_path) as other:
        assert other.jobs.resume() == 1
        (record,) = other.finish()
        assert (record.state, record.attempts) == ("FINISHED", 2)
        assert other.jobs.resume() == 0
    # The first was only slow: what it publishes now is refused.
    gate.opened.set()
    (again,) = bench.finish()
    assert again == record
    assert len(bench.catalog.sequences()) == 1


class Dying(FaultyKV):
    """A store that a process has lost from one of its writes on.

    With `is_heard` that write never arrives, else it is applied and the process does not hear it.
    """

    def __init__(self, inner: KVStore, last: int, *, is_heard: bool) -> None:
        super().__init__(inner)
        self._left = last
        self._is_heard = is_heard

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        self._left -= 1
        if self._left == 0 and not self._is_heard:
            super().apply(requests)
        if self._left <= 0:
            raise Unavailable(Kind.STORE_FAILED, "the process is dead")
        return super().apply(requests)


@pytest.mark.parametrize("is_heard", [True, False])
@pytest.mark.parametrize("last", range(1, 9))
def test_wherever_a_process_dies_a_job_finishes_once(
    bench: Bench, tmp_path: Path, last: int, is_heard: bool
) -> None:
    with open_beside(bench.catalog.on, wrap=lambda kv: Dying(kv, last, is_heard=is_heard)) as on:
        dying = bench_of(catalog_of(on), tmp_path)
        is_accepted = False
        try:
            dying.submit()
            is_accepted = True
        except AnabranchError:
            assert last <= 3
        dying.jobs.wait(WAIT_S)
        dying.jobs.close()
    bench.jobs.resume()
    records = bench.finish()
    assert len(records) == 1 if is_accepted else len(records) <= 1
    assert all(record.state == "FINISHED" for record in records)
    assert len(bench.catalog.sequences()) == len(records)
    assert list(bench.records.list_open()) == []


def test_a_job_that_takes_processes_with_it_is_given_up(bench: Bench, tmp_path: Path) -> None:
    gate = bench.runner.act = Gate()
    bench.submit()
    assert gate.reached.wait(WAIT_S)
    (stored,) = bench.records.list_open()
    tired = replace(stored.record, attempts=limits.LOAD_ATTEMPTS_MAX)
    assert bench.records.change(stored, tired) is not None
    with beside(bench, tmp_path) as other:
        assert other.jobs.resume() == 0
        (record,) = other.all()
    assert record.failure == "LOAD_RUN_FAIL"
    assert record.message == f"{limits.LOAD_ATTEMPTS_MAX} processes ended while it ran"


def test_a_process_that_stops_leaves_its_jobs_to_the_next(bench: Bench, tmp_path: Path) -> None:
    gate = bench.runner.act = Gate()
    for index in range(limits.LOAD_JOBS_RUNNING_MAX + 2):
        bench.submit(f"job{index}")
    assert gate.reached.wait(WAIT_S)
    bench.jobs.close()
    assert not any(record.state.is_final for record in bench.all())
    with beside(bench, tmp_path) as other:
        assert other.jobs.resume() == limits.LOAD_JOBS_RUNNING_MAX + 2
        assert {record.state for record in other.finish()} == {LoadState.FINISHED}


def test_a_store_that_fails_leaves_the_job_to_the_next_process(
    bench: Bench, tmp_path: Path
) -> None:
    def act(_control: Control) -> Counts:
        raise Unavailable(Kind.STORE_FAILED, "the disk is gone")

    bench.runner.act = act
    bench.submit()
    (record,) = bench.finish()
    assert (record.failure, record.message) == ("LOAD_RUN_FAIL", "the disk is gone")


def test_a_bug_ends_the_job(bench: Bench) -> None:
    def act(_control: Control) -> Counts:
        raise ZeroDivisionError

    bench.runner.act = act
    bench.submit()
    (record,) = bench.finish()
    assert record.message == "internal error, see the server's log"


def test_statements_are_sealed_where_they_are_stored(bench: Bench) -> None:
    gate = bench.runner.act = Gate()
    bench.submit(
        text='LOAD LABEL db.{label} (DATA INFILE("s3://b/x") INTO TABLE t) '
        'WITH S3 ("s3.secret_key" = "hush"){more}'
    )
    assert gate.reached.wait(WAIT_S)
    (stored,) = bench.records.list_open()
    assert stored.record.statement
    assert "hush" not in stored.record.statement
    gate.opened.set()
    bench.finish()


def test_inserts_are_listed_once_they_are_published(bench: Bench) -> None:
    record = bench.jobs.inserts.begin(
        bench.catalog.database(), label="insert_1", tables=["t"], user="root"
    )
    assert bench.all() == []
    writes = bench.jobs.inserts.writes(record, Counts(loaded=2))
    lake = bench.catalog.on.lake
    lake.kv.apply([Request((), writes)])
    (found,) = bench.all()
    assert (found.kind, found.state, found.counts.loaded) == (LoadKind.INSERT, "FINISHED", 2)
    assert list(bench.records.list_open()) == []


def test_ended_records_are_forgotten_after_their_time(bench: Bench) -> None:
    bench.submit("old")
    bench.finish()
    bench.catalog.on.clock.advance(limits.LOAD_JOB_KEEP_S + 60)
    gate = bench.runner.act = Gate()
    running = bench.submit("running")
    assert gate.reached.wait(WAIT_S)
    now_us = bench.catalog.on.clock.now_ns() // 1_000
    after, gone = bench.records.sweep(now_us=now_us)
    assert after is None
    assert [record.label for record in gone] == ["old"]
    assert [record.label for record in bench.all()] == ["running"]
    assert bench.records.find_transaction(gone[0].transaction_id) is None
    assert bench.records.find_transaction(running.transaction_id) is not None
    gate.opened.set()


def test_ids_ascend_and_no_two_processes_have_the_same(bench: Bench, tmp_path: Path) -> None:
    with beside(bench, tmp_path) as other:
        ours = [bench.records.next_id("x") for _ in range(limits.JOB_IDS_BLOCK + 5)]
        theirs = [other.records.next_id("x") for _ in range(5)]
    assert ours == sorted(set(ours))
    assert not set(ours) & set(theirs)


@pytest.mark.parametrize("text", ["0", "-1", "x", "259201", "1.5"])
def test_timeouts_that_cannot_be(text: str) -> None:
    with pytest.raises(SqlError):
        parse_timeout(text, 1)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "x", "nan"])
def test_ratios_that_cannot_be(text: str) -> None:
    with pytest.raises(SqlError):
        parse_ratio(text)
