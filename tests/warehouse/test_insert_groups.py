"""Rows of INSERTs that come together: one rowset, each statement with its own end."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from anabranch.kernel.errors import Conflict, Kind
from anabranch.warehouse.catalog.publishing import Publication, Publisher, TableMoved
from anabranch.warehouse.changes.insert_groups import Addition, InsertGroups
from anabranch.warehouse.changes.inserting import PlainRows
from anabranch.warehouse.places import TablePlace
from anabranch.warehouse.schema import UNPARTITIONED
from tests.support.server import pause
from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1"
Keys = Sequence[int]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with open_client(tmp_path) as made:
        made.do(f"CREATE TABLE totals (k int, s bigint SUM) AGGREGATE KEY(k) {TAIL}")
        made.do(f"CREATE TABLE copies (k int, s bigint) DUPLICATE KEY(k) {TAIL}")
        yield made


@dataclass
class HeldPublisher:
    """A publisher whose first call does something else before it goes on."""

    inner: Publisher
    before: Callable[[], None] = lambda: None
    failure: Exception | None = None
    publications: list[Publication] = field(default_factory=list)

    def publish(self, publication: Publication) -> tuple[int, ...]:
        self.publications.append(publication)
        if len(self.publications) == 1:
            self.before()
        elif self.failure is not None:
            raise self.failure
        return self.inner.publish(publication)


@dataclass
class Together:
    """Several additions to one table, all but the first waiting while the first is published."""

    client: Client
    name: str = "totals"
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.held = HeldPublisher(self.client.parts.publisher, failure=self.failure)
        parts = replace(self.client.parts, publisher=self.held)  # type: ignore[arg-type]  # one of our own
        self.groups = InsertGroups(parts)
        self.place: TablePlace = self.client.catalog.table(self.name)

    def addition(self, keys: Keys) -> Addition:
        stored = self.client.parts.tables.get(self.place)
        values: tuple[list[Any], ...] = (list(keys), [key * 10 for key in keys])
        rows = PlainRows(stored.schema.columns, values)
        return Addition(
            self.place, stored.schema, stored.identity, rows, {UNPARTITIONED: range(len(keys))}
        )

    def run(self, first: Keys, *others: Keys) -> list["Future[int | None]"]:
        """Publish all; return what came of the others, which came in their order."""
        futures: list[Future[int | None]] = []
        with ThreadPoolExecutor(len(others)) as threads:

            def come() -> None:
                for keys in others:
                    futures.append(threads.submit(self.groups.publish, self.addition(keys)))
                    while self.groups.waiting(self.place) < len(futures):
                        pause()

            self.held.before = come
            assert self.groups.publish(self.addition(first)) is not None
        return futures

    @property
    def rowset_rows(self) -> list[int]:
        """Return how many rows each published rowset has."""
        changes = [change for each in self.held.publications for change in each.changes]
        return [rowset.header.rows for change in changes for rowset in change.rowsets]


def test_what_waits_becomes_one_rowset(client: Client) -> None:
    together = Together(client)
    found = together.run([1], [5], [3, 4], [2])
    assert together.rowset_rows == [1, 4]
    assert len({each.result() for each in found}) == 1
    assert client.rows("SELECT k, s FROM totals ORDER BY k") == [(k, k * 10) for k in range(1, 6)]


def test_a_key_that_comes_again_is_in_the_next_rowset(client: Client) -> None:
    together = Together(client)
    found = together.run([1], [1], [2], [2], [3])
    assert together.rowset_rows == [1, 2, 2]
    sequences = [each.result() for each in found]
    assert sequences[0] == sequences[1]
    assert sequences[2] == sequences[3] != sequences[0]
    assert client.rows("SELECT k, s FROM totals ORDER BY k") == [(1, 20), (2, 40), (3, 30)]


def test_copies_may_be_in_one_rowset(client: Client) -> None:
    together = Together(client, "copies")
    together.run([7], [7], [7], [6])
    assert together.rowset_rows == [1, 3]
    assert client.rows("SELECT k FROM copies ORDER BY k") == [(6,), (7,), (7,), (7,)]


def test_each_statement_has_the_error_of_its_group(client: Client) -> None:
    together = Together(client, failure=Conflict(Kind.CONFLICT, "no"))
    found = together.run([1], [2], [3])
    errors = [each.exception() for each in found]
    assert [str(error) for error in errors] == ["no", "no"]
    assert errors[0] is not errors[1]
    assert client.rows("SELECT k FROM totals") == [(1,)]


def test_a_table_that_moved_leaves_the_statements_to_be_planned_anew(client: Client) -> None:
    together = Together(client, failure=TableMoved(Kind.CONFLICT, "moved"))
    assert [each.result() for each in together.run([1], [2], [3])] == [None, None]
    assert client.rows("SELECT k FROM totals") == [(1,)]
    together.held.failure = None
    assert together.groups.publish(together.addition([2])) is not None


def test_a_new_column_between_reading_and_publishing(client: Client) -> None:
    together = Together(client)
    addition = together.addition([9])
    client.do("ALTER TABLE totals ADD COLUMN m int MAX")
    assert together.groups.publish(addition) is None
    assert client.do("INSERT INTO totals VALUES (9, 90, 1)").affected_rows == 1


def test_many_sessions_at_once(client: Client) -> None:
    def insert(number: int) -> None:
        own = client.another()
        for key in range(25):
            own.do(f"INSERT INTO totals VALUES ({key}, {number})")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(insert, range(8)))
    total = sum(range(8))
    assert client.rows("SELECT k, s FROM totals ORDER BY k") == [(k, total) for k in range(25)]
