"""Databases and tables: what a catalog holds at a ref, and what may be done to it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anabranch.kernel.errors import Kind
from anabranch.kernel.ids import BranchId, Ref, RepositoryId, TagId
from anabranch.storage.kv.base import KVStore
from anabranch.warehouse.catalog.databases import Database, decode_database, encode_database
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.places import DatabasePlace, Place
from anabranch.warehouse.schema import Table
from tests.support.faults import HeldKV
from tests.support.lakes import MAIN, REPOSITORY, open_beside
from tests.support.warehouses import Catalog, catalog_of, open_catalog, open_catalog_beside

PARTITIONED = """CREATE TABLE p (d int NOT NULL, v int) DUPLICATE KEY(d)
PARTITION BY RANGE(d) (PARTITION a VALUES LESS THAN ("10"), PARTITION b VALUES LESS THAN ("20"))
DISTRIBUTED BY HASH(d)"""


@pytest.fixture(params=["memory", "directory"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(None if request.param == "memory" else tmp_path) as opened:
        yield opened


def refused(code: int, call: Callable[[], object]) -> SqlError:
    with pytest.raises(SqlError) as caught:
        call()
    assert caught.value.code == code, caught.value.message
    return caught.value


def test_databases_are_prefixes_with_their_file(catalog: Catalog) -> None:
    catalog.on.put("nothing/table/x")
    catalog.on.put("_hidden/_database.json")
    catalog.on.put("loose")
    made = catalog.databases.create(catalog.database("B2"), properties=[("k", "v")], comment="c")
    assert catalog.databases.list(catalog.place()) == ["B2", "db"]
    assert catalog.databases.get(catalog.database("B2")) == made
    assert made.properties == (("k", "v"),)
    assert made.comment == "c"
    assert catalog.databases.find(catalog.database("b2")) is None
    refused(1049, lambda: catalog.databases.get(catalog.database("nothing")))
    refused(1007, lambda: catalog.databases.create(catalog.database("db")))
    refused(1102, lambda: catalog.databases.create(catalog.database("_x")))


def test_the_file_of_a_database_is_the_documented_one() -> None:
    made = Database("00112233445566778899aabbccddeeff")
    text = '{"comment":"","format":1,"id":"00112233445566778899aabbccddeeff","properties":{}}'
    assert encode_database(made) == text.encode()
    assert decode_database(text.encode(), "x") == made


def test_a_dropped_database_takes_its_tables_along(catalog: Catalog) -> None:
    before = catalog.databases.get(catalog.database())
    catalog.load(label="l")
    catalog.on.commit()
    catalog.load()
    catalog.databases.drop(catalog.database())
    assert catalog.on.paths() == []
    refused(1008, lambda: catalog.databases.drop(catalog.database(), is_forced=True))
    refused(1049, lambda: catalog.tables.list(catalog.database()))
    refused(1049, catalog.read)
    after = catalog.databases.create(catalog.database())
    assert after.id != before.id
    assert catalog.tables.list(catalog.database()) == []
    catalog.on.commit()
    assert catalog.sequences(ref="main~1") != []


def test_a_renamed_database_keeps_everything(catalog: Catalog) -> None:
    catalog.load()
    catalog.on.commit()
    catalog.load()
    sequences = catalog.sequences()
    catalog.databases.create(catalog.database("taken"))
    refused(1007, lambda: catalog.databases.rename(catalog.database(), "taken"))
    refused(1049, lambda: catalog.databases.rename(catalog.database("no"), "x"))
    refused(1102, lambda: catalog.databases.rename(catalog.database(), "a b"))
    catalog.databases.rename(catalog.database(), "other")
    assert catalog.databases.list(catalog.place()) == ["other", "taken"]
    table = catalog.database("other").table("t")
    assert [one.name.sequence for one in catalog.snapshots.read(table).rowsets] == sequences
    assert not [path for path in catalog.on.paths() if path.startswith("db/")]


def test_tables_are_prefixes_with_their_schema(catalog: Catalog) -> None:
    made = catalog.create("T")
    catalog.on.put("db/loose/x")
    assert catalog.tables.list(catalog.database()) == ["T", "t"]
    stored = catalog.tables.get(catalog.table("T"))
    assert stored.schema == made
    assert catalog.tables.get(catalog.table("T")) is stored
    refused(1146, lambda: catalog.tables.get(catalog.table("loose")))
    refused(1049, lambda: catalog.tables.get(catalog.database("no").table("t")))
    refused(1050, lambda: catalog.create("t"))
    refused(1103, lambda: catalog.create("a.b"))
    refused(1049, lambda: catalog.tables.create(catalog.database("no").table("t"), made))


def test_a_table_made_again_is_another_one(catalog: Catalog) -> None:
    first = catalog.tables.get(catalog.table())
    catalog.load()
    catalog.tables.drop(catalog.table())
    assert [path for path in catalog.on.paths() if "/t/" in path] == []
    refused(1051, lambda: catalog.tables.drop(catalog.table()))
    refused(1049, lambda: catalog.tables.drop(catalog.database("no").table("t")))
    catalog.create()
    assert catalog.tables.get(catalog.table()).identity != first.identity
    assert catalog.sequences() == []


def test_a_renamed_table_keeps_its_rows_and_goes_on(catalog: Catalog) -> None:
    catalog.load()
    catalog.on.commit()
    catalog.load()
    sequences = catalog.sequences()
    catalog.create("u")
    refused(1050, lambda: catalog.tables.rename(catalog.table(), "u"))
    refused(1146, lambda: catalog.tables.rename(catalog.table("no"), "x"))
    refused(1103, lambda: catalog.tables.rename(catalog.table(), "_x"))
    catalog.tables.drop(catalog.table("u"))
    catalog.tables.rename(catalog.table(), "u")
    assert catalog.tables.list(catalog.database()) == ["u"]
    assert catalog.sequences("u") == sequences
    assert catalog.load("u") > sequences[-1]
    catalog.on.commit()
    assert len(catalog.sequences("u")) == 3


def test_tables_change_places(catalog: Catalog) -> None:
    catalog.create("u")
    one, other = catalog.load("t"), catalog.load("u")
    more = catalog.load("u")
    catalog.tables.replace_with(catalog.table("t"), "u")
    assert (catalog.sequences("t"), catalog.sequences("u")) == ([other, more], [one])
    catalog.on.commit()
    catalog.tables.replace_with(catalog.table("t"), "u", swaps=False)
    assert catalog.sequences("t") == [one]
    assert catalog.tables.list(catalog.database()) == ["t"]
    refused(1146, lambda: catalog.tables.replace_with(catalog.table("t"), "u"))
    catalog.tables.replace_with(catalog.table("t"), "t")


def test_altering_starts_over_when_the_schema_moved(catalog: Catalog) -> None:
    tries: list[str] = []

    def alter(table: Table) -> Table:
        tries.append(table.comment)
        if len(tries) == 1:
            catalog.tables.change(catalog.table(), lambda old: replace(old, comment="theirs"))
        return replace(table, comment=table.comment + " and ours")

    assert catalog.tables.change(catalog.table(), alter).comment == "theirs and ours"
    assert tries == ["", "theirs"]
    assert catalog.tables.get(catalog.table()).schema.comment == "theirs and ours"
    refused(1146, lambda: catalog.tables.change(catalog.table("no"), alter))


def test_an_alteration_that_changes_nothing_writes_nothing(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.tables.change(catalog.table(), lambda table: table)
    assert list(catalog.on.lake.diffs.uncommitted(REPOSITORY, MAIN, amount=10).items) == []


def test_rows_of_a_dropped_partition_go_with_it(catalog: Catalog) -> None:
    table = catalog.create("p", ddl=PARTITIONED)
    assert table.partitioning is not None
    first, second = table.partitioning.partitions
    for partition in (first, second):
        catalog.on.put(f"db/p/rowsets/{partition.id}/anything")

    def alter(old: Table) -> Table:
        assert old.partitioning is not None
        return replace(old, partitioning=replace(old.partitioning, partitions=(second,)))

    catalog.tables.change(catalog.table("p"), alter)
    assert catalog.on.paths(prefix="db/p/rowsets") == [f"db/p/rowsets/{second.id}/anything"]


def test_only_branches_take_writes(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.lake.tags.create(REPOSITORY, TagId("v1"), Ref(MAIN))
    for ref in ("v1", "main@", "main~0", catalog.on.lake.commits.of(REPOSITORY, Ref(MAIN)).id):
        for call in (
            lambda ref=ref: catalog.databases.create(catalog.database("x", ref=ref)),
            lambda ref=ref: catalog.databases.drop(catalog.database(ref=ref)),
            lambda ref=ref: catalog.create("x", ref=ref),
            lambda ref=ref: catalog.tables.drop(catalog.table(ref=ref)),
            lambda ref=ref: catalog.load(ref=ref),
            lambda ref=ref: catalog.labels.reserve(catalog.database(ref=ref), "l", 1),
        ):
            error = refused(1290, call)
            assert "not a branch" in error.message
        assert catalog.tables.list(catalog.database(ref=ref)) == ["t"]


def test_what_is_not_there_is_told_by_mysqls_number(catalog: Catalog) -> None:
    nowhere = DatabasePlace(Place(RepositoryId("nowhere"), Ref(MAIN)), "db")
    assert refused(1049, lambda: catalog.tables.list(nowhere)).kind is Kind.REPOSITORY_NOT_FOUND
    refused(1049, lambda: catalog.databases.create(nowhere))
    unknown = catalog.database(ref="no")
    refused(1049, lambda: catalog.tables.list(unknown))
    refused(1049, lambda: catalog.databases.create(unknown))
    refused(1049, lambda: catalog.databases.list(catalog.place("main~~$")))


def test_read_only_repositories_refuse() -> None:
    with open_catalog() as catalog:
        made = catalog.on.lake.repositories.create(
            RepositoryId("fixed"),
            "s3://data/fixed",  # type: ignore[arg-type]  # a namespace
            committer="tests",
            is_read_only=True,
        )
        place = DatabasePlace(Place(made.id, Ref(made.default_branch)), "db")
        error = refused(1290, lambda: catalog.databases.create(place))
        assert error.kind is Kind.READ_ONLY_REPOSITORY


def test_branches_hold_their_own_tables(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.branch("dev")
    catalog.create("u", ref="dev")
    catalog.tables.drop(catalog.table(ref="dev"))
    assert catalog.tables.list(catalog.database()) == ["t"]
    assert catalog.tables.list(catalog.database(ref="dev")) == ["u"]
    catalog.on.commit(branch="dev")
    catalog.on.merge("dev")
    assert catalog.tables.list(catalog.database()) == ["u"]


def test_a_table_made_while_its_database_is_dropped_does_not_come_back() -> None:
    """The drop was ready when the table came: it is made anew and takes the table along."""
    held: list[HeldKV] = []

    def hold(kv: KVStore) -> KVStore:
        held.append(HeldKV(kv))
        return held[0]

    with open_catalog() as catalog, open_beside(catalog.on, wrap=hold) as on:
        beside = catalog_of(on)
        dropping = threading.Thread(target=beside.databases.drop, args=(catalog.database(),))
        dropping.start()
        held[0].wait_for_apply()
        catalog.create("late")
        catalog.load("late")
        held[0].let_through(10)
        dropping.join(timeout=60)
        assert catalog.on.paths() == []


def test_another_process_sees_each_change(catalog: Catalog) -> None:
    with open_catalog_beside(catalog) as beside:
        assert beside.tables.list(beside.database()) == ["t"]
        catalog.create("u")
        catalog.on.commit()
        catalog.tables.drop(catalog.table("u"))
        catalog.on.commit()
        refused(1051, lambda: beside.tables.drop(beside.table("u")))
        beside.create("u")
        refused(1050, lambda: catalog.create("u"))
        catalog.on.lake.branches.delete(REPOSITORY, catalog.on.branch("gone"))
        refused(1049, lambda: beside.create("x", ref=BranchId("gone")))
