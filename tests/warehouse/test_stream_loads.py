"""Stream loads: one phase or two, labels, restarts, and what a changed table does to a commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.jobs.error_logs import ErrorLogs
from anabranch.warehouse.jobs.load_jobs import Outcome
from anabranch.warehouse.jobs.load_records import Counts, LoadRecords, LoadState, Stored
from anabranch.warehouse.jobs.stream_loads import StreamLoads, existing_status
from anabranch.warehouse.loading.writing import BadRow
from tests.support.warehouses import Catalog, open_catalog, open_catalog_beside


@dataclass(frozen=True)
class Bench:
    """Stream loads over a catalog."""

    catalog: Catalog
    records: LoadRecords
    loads: StreamLoads

    def begin(self, label: str = "a", **options: object) -> Stored:
        return self.loads.begin(
            self.catalog.database(),
            ["t"],
            label=label,
            is_label_given=True,
            user="root",
            **options,  # type: ignore[arg-type]  # as the test names them
        )

    def rows(self, loaded: int = 1, filtered: int = 0) -> Outcome:
        change = self.catalog.planned(self.catalog.table(), rows=2)
        counts = Counts(scanned=loaded + filtered, loaded=loaded, filtered=filtered)
        bad = (BadRow("too long", "x"),) if filtered else ()
        return Outcome((change,) if loaded else (), counts, bad)

    def prepared(self, label: str = "a") -> int:
        stored = self.begin(label)
        assert self.loads.prepare(stored, self.rows).record.state == "PRECOMMITTED"
        return stored.record.transaction_id

    def commit(self, transaction: int | str) -> str:
        return self.loads.commit(self.catalog.database(), transaction).state

    def state(self, transaction: int | str) -> str:
        found = self.loads.find(self.catalog.database(), transaction)
        assert found is not None
        return found.state


def bench_of(catalog: Catalog, directory: Path) -> Bench:
    lake = catalog.on.lake
    records = LoadRecords(lake, catalog.labels)
    logs = ErrorLogs(directory / "errors", lake.ids, lambda: "http://127.0.0.1:8030")
    loads = StreamLoads(
        lake,
        records,
        catalog.tables,
        catalog.publisher,
        catalog.databases,
        logs,
        catalog.on.clock,
        lake.ids,
    )
    return Bench(catalog, records, loads)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_catalog() as catalog:
        yield bench_of(catalog, tmp_path)


@contextmanager
def beside(bench: Bench, directory: Path) -> Iterator[Bench]:
    with open_catalog_beside(bench.catalog) as catalog:
        yield bench_of(catalog, directory)


def test_one_phase(bench: Bench) -> None:
    stored = bench.begin()
    assert bench.state("a") == "PREPARE"
    done = bench.loads.run(bench.catalog.database(), stored, bench.rows)
    assert (done.record.state, done.error_url) == ("VISIBLE", "")
    assert len(bench.catalog.sequences()) == 2
    assert existing_status(done.record) == "FINISHED"
    with pytest.raises(SqlError, match=r"already been used.*VISIBLE"):
        bench.begin()


def test_too_many_bad_rows_abort(bench: Bench) -> None:
    done = bench.loads.run(
        bench.catalog.database(), bench.begin(), lambda: bench.rows(loaded=1, filtered=1)
    )
    assert (done.record.state, done.record.message) == (
        "ABORTED",
        "[DATA_QUALITY_ERROR]too many filtered rows",
    )
    assert done.error_url.startswith("http://127.0.0.1:8030/api/_load_error_log?file=")
    assert bench.catalog.sequences() == []
    bench.begin()


def test_what_the_source_raises_frees_the_label(bench: Bench) -> None:
    def broken() -> Outcome:
        raise Unavailable(Kind.STORE_FAILED, "the client is gone")

    with pytest.raises(Unavailable):
        bench.loads.run(bench.catalog.database(), bench.begin(), broken)
    with pytest.raises(Unavailable):
        bench.loads.prepare(bench.begin(), broken)
    assert bench.state("a") == "ABORTED"


def test_two_phases_survive_a_restart(bench: Bench, tmp_path: Path) -> None:
    transaction = bench.prepared()
    assert bench.catalog.sequences() == []
    told = rf"already been used, relate to txn \[{transaction}\], status \[PRECOMMITTED\]"
    with pytest.raises(SqlError, match=told):
        bench.begin()
    with beside(bench, tmp_path) as other:
        assert other.loads.resume() == 0
        assert other.commit(transaction) == "VISIBLE"
    assert len(bench.catalog.sequences()) == 2
    with pytest.raises(SqlError, match="not pre-committed"):
        bench.commit(transaction)
    with pytest.raises(SqlError, match="could not abort"):
        bench.loads.abort(bench.catalog.database(), transaction)
    assert len(bench.catalog.sequences()) == 2


def test_a_commit_by_label_takes_a_fresh_sequence(bench: Bench) -> None:
    bench.prepared()
    first = bench.catalog.load()
    assert bench.commit("a") == "VISIBLE"
    assert min(bench.catalog.sequences()) == first


def test_an_abort_gives_label_and_bytes_back(bench: Bench) -> None:
    transaction = bench.prepared()
    (stored,) = bench.records.list_open()
    addresses = [one.address for one in stored.record.prepared]
    lake = bench.catalog.on.lake
    assert all(lake.blocks.find(address) is not None for address in addresses)
    ended = bench.loads.abort(bench.catalog.database(), "a")
    assert (ended.state, ended.message) == ("ABORTED", "User Abort")
    assert all(lake.blocks.find(address) is None for address in addresses)
    with pytest.raises(SqlError, match="not pre-committed"):
        bench.commit(transaction)
    bench.prepared()


def test_a_commit_onto_a_table_with_a_new_column(bench: Bench) -> None:
    bench.prepared()
    bench.catalog.tables.change(
        bench.catalog.table(),
        lambda table: replace(
            table, columns=(*table.columns, replace(table.columns[1], id=77, name="w"))
        ),
    )
    assert bench.commit("a") == "VISIBLE"


def test_a_commit_onto_another_table_aborts(bench: Bench) -> None:
    bench.prepared()
    bench.catalog.tables.drop(bench.catalog.table())
    with pytest.raises(SqlError, match="doesn't exist"):
        bench.commit("a")
    assert bench.state("a") == "ABORTED"
    bench.catalog.create()
    transaction = bench.prepared()
    bench.catalog.tables.drop(bench.catalog.table())
    bench.catalog.create()
    with pytest.raises(SqlError, match="dropped or replaced"):
        bench.commit(transaction)
    assert bench.catalog.sequences() == []


def test_what_was_not_prepared_ends_with_its_process(bench: Bench, tmp_path: Path) -> None:
    stored = bench.begin()
    bench.prepared("b")
    with beside(bench, tmp_path) as other:
        assert other.loads.resume() == 1
    assert bench.state("a") == "ABORTED"
    assert bench.state("b") == "PRECOMMITTED"
    with pytest.raises(SqlError):
        bench.loads.prepare(stored, bench.rows)
    assert bench.state("a") == "ABORTED"


def test_transactions_time_out(bench: Bench) -> None:
    transaction = bench.prepared()
    bench.catalog.on.clock.advance(limits.STREAM_LOAD_TIMEOUT_S + 1)
    with pytest.raises(SqlError, match="timeout"):
        bench.commit(transaction)
    bench.prepared("b")
    bench.catalog.on.clock.advance(limits.STREAM_LOAD_TIMEOUT_S + 1)
    assert bench.loads.expire() == 1
    assert bench.state("b") == LoadState.ABORTED


def test_transactions_of_another_database_are_not_seen(bench: Bench) -> None:
    transaction = bench.prepared()
    other = bench.catalog.database("other")
    bench.catalog.databases.create(other)
    with pytest.raises(SqlError, match="does not exist"):
        bench.loads.commit(other, transaction)
    assert bench.loads.find(other, "a") is None
    bench.catalog.on.commit()
    bench.catalog.on.branch("dev")
    with pytest.raises(SqlError, match="does not exist"):
        bench.loads.commit(bench.catalog.database(ref="dev"), transaction)


def test_labels_made_by_the_server_leave_no_file(bench: Bench) -> None:
    stored = bench.loads.begin(
        bench.catalog.database(), ["t"], label="made", is_label_given=False, user="root"
    )
    bench.loads.run(bench.catalog.database(), stored, bench.rows)
    assert not [path for path in bench.catalog.on.paths() if "_labels" in path]
    assert bench.state("made") == "VISIBLE"
