"""Merges of databases, tables, schemas, labels and overwrites: what is judged without rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import BranchId, Ref
from anabranch.kernel.pages import Page
from anabranch.lake.comparing import Strategy
from anabranch.lake.values import MergeConflict
from anabranch.warehouse.catalog.publishing import Publication
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.schema import UNPARTITIONED, Table
from anabranch.warehouse.schemas.evolution import alter_table
from anabranch.warehouse.sql.parser import parse_one
from anabranch.warehouse.sql.statements import AlterTable
from tests.support.lakes import MAIN
from tests.support.warehouses import Catalog, open_catalog

PARTITIONED = (
    "CREATE TABLE p (d date NOT NULL, v bigint SUM DEFAULT '0') AGGREGATE KEY(d) "
    "PARTITION BY RANGE(d) (PARTITION a VALUES LESS THAN ('2020-01-01'), "
    "PARTITION b VALUES LESS THAN ('2021-01-01')) DISTRIBUTED BY HASH(d)"
)


@pytest.fixture
def catalog() -> Iterator[Catalog]:
    """Give `db.t` with one rowset, committed, and the branch `dev` there."""
    with open_catalog() as opened:
        opened.load()
        opened.on.commit()
        opened.on.branch("dev")
        yield opened


def refused(catalog: Catalog, source: str = "dev") -> list[tuple[str, str]]:
    """Return the conflicts of a merge, which must be those that the listing tells."""
    before = catalog.on.paths()
    with pytest.raises(Conflict) as caught:
        catalog.on.merge(source)
    assert caught.value.kind is Kind.MERGE_CONFLICT
    page = caught.value.details["conflicts"]
    assert isinstance(page, Page)
    listed = catalog.on.lake.merges.conflicts(
        catalog.on.repository_id, Ref(source), Ref(MAIN), amount=100
    )
    assert listed.items == page.items
    assert catalog.on.paths() == before
    return [(one.path, one.kind) for one in page.items if isinstance(one, MergeConflict)]


def altering(text: str) -> Callable[[Table], Table]:
    """Return what an ALTER TABLE does."""
    statement = parse_one(text)
    assert isinstance(statement, AlterTable)
    return lambda table: alter_table(table, statement.clauses)


def with_column(name: str) -> Callable[[Table], Table]:
    return altering(f"ALTER TABLE t ADD COLUMN {name} BIGINT SUM DEFAULT '0'")


def both(catalog: Catalog) -> None:
    catalog.on.commit(allow_empty=True)
    catalog.on.commit(branch="dev", allow_empty=True)


def test_rows_of_both_sides_are_there_once(catalog: Catalog) -> None:
    first = catalog.sequences()
    mine, theirs = catalog.load(), catalog.load(ref="dev")
    both(catalog)
    catalog.on.merge("dev")
    assert catalog.sequences() == sorted([*first, mine, theirs])
    paths = [one.path for one in catalog.read().rowsets]
    assert set(paths) >= {one.path for one in catalog.read(ref="dev").rowsets}
    catalog.on.merge(MAIN, "dev")
    assert catalog.sequences(ref="dev") == catalog.sequences()


def test_what_one_side_removed_is_gone(catalog: Catalog) -> None:
    (old,) = catalog.read().rowsets
    table = catalog.table(ref="dev")
    change = catalog.planned(table, rows=1, removes=[old], overwrites=[UNPARTITIONED])
    catalog.publisher.publish(Publication((change,)))
    mine = catalog.load()
    both(catalog)
    catalog.on.merge("dev")
    assert old.name.sequence not in catalog.sequences()
    assert mine in catalog.sequences()
    assert len(catalog.sequences()) == 2


def test_a_load_after_a_merge_comes_after_all_that_was_merged(catalog: Catalog) -> None:
    catalog.load()
    catalog.on.commit()
    for _ in range(3):
        theirs = catalog.load(ref="dev")
    catalog.on.commit(branch="dev")
    catalog.on.merge("dev")
    assert catalog.load() > theirs
    assert catalog.sequences()[-2] <= catalog.sequences()[-1]


def test_a_cherry_pick_and_a_revert_keep_the_paths(catalog: Catalog) -> None:
    merges, repository = catalog.on.lake.merges, catalog.on.repository_id
    mine, theirs = catalog.load(), catalog.load(ref="dev")
    catalog.on.commit()
    picked = catalog.on.commit(branch="dev")
    commit = merges.cherry_pick(repository, BranchId(MAIN), Ref(picked.id), committer="tests")
    assert {mine, theirs} <= set(catalog.sequences())
    later = catalog.load()
    catalog.on.commit()
    catalog.on.merge("dev")
    assert len(catalog.sequences()) == 4
    merges.revert(repository, BranchId(MAIN), Ref(commit.id), committer="tests")
    assert theirs not in catalog.sequences()
    assert later in catalog.sequences()


def test_schemas_are_merged_by_column(catalog: Catalog) -> None:
    catalog.tables.change(catalog.table(), with_column("a"))
    catalog.tables.change(catalog.table(ref="dev"), with_column("b"))
    theirs = catalog.load(ref="dev")
    both(catalog)
    catalog.on.merge("dev")
    stored = catalog.tables.get(catalog.table())
    assert [column.name for column in stored.schema.columns] == ["k", "v", "b", "a"]
    assert theirs in catalog.sequences()
    catalog.load()


@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_a_schema_conflict_names_what_it_is_about(catalog: Catalog, strategy: Strategy) -> None:
    for ref, comment in ((MAIN, "ours"), ("dev", "theirs")):
        catalog.tables.change(
            catalog.table(ref=ref),
            lambda table, comment=comment: replace(table, comment=comment),  # type: ignore[misc]  # bound per turn
        )
    catalog.tables.change(catalog.table(ref="dev"), with_column("b"))
    both(catalog)
    found = refused(catalog)
    assert found == [("db/t/_schema.json#comment: changed on both sides", "both_changed")]
    catalog.on.merge("dev", strategy=strategy)
    schema = catalog.tables.get(catalog.table()).schema
    assert schema.comment == ("theirs" if strategy == "source-wins" else "ours")
    assert [column.name for column in schema.columns] == ["k", "v", "b"]


@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_tables_made_on_both_sides_conflict(catalog: Catalog, strategy: Strategy) -> None:
    ours, theirs = catalog.create("n"), catalog.create("n", ref="dev")
    mine, yours = catalog.load("n"), catalog.load("n", ref="dev")
    both(catalog)
    assert refused(catalog) == [("db/n/_schema.json", "both_added")]
    catalog.on.merge("dev", strategy=strategy)
    kept = (theirs, [yours]) if strategy == "source-wins" else (ours, [mine])
    assert (catalog.tables.get(catalog.table("n")).schema, catalog.sequences("n")) == kept


@pytest.mark.parametrize("dropper", [MAIN, "dev"])
@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_a_table_dropped_here_and_loaded_there_conflicts(
    catalog: Catalog, dropper: str, strategy: Strategy
) -> None:
    catalog.tables.drop(catalog.table(ref=dropper))
    catalog.load(ref="dev" if dropper == MAIN else MAIN)
    both(catalog)
    kind = "dest_removed" if dropper == MAIN else "source_removed"
    assert refused(catalog) == [("db/t/_schema.json", kind)]
    catalog.on.merge("dev", strategy=strategy)
    if (strategy == "source-wins") is (dropper == "dev"):
        assert catalog.tables.list(catalog.database()) == []
        assert catalog.on.paths(prefix="db/t/") == []
    else:
        assert len(catalog.sequences()) == 2


def test_a_table_dropped_on_one_side_alone_is_gone(catalog: Catalog) -> None:
    catalog.tables.drop(catalog.table(ref="dev"))
    catalog.create("other")
    both(catalog)
    catalog.on.merge("dev")
    assert catalog.tables.list(catalog.database()) == ["other"]


def test_a_database_made_on_both_sides_is_one(catalog: Catalog) -> None:
    for ref, table in ((MAIN, "mine"), ("dev", "theirs")):
        catalog.databases.create(catalog.database("both", ref=ref))
        place = catalog.database("both", ref=ref).table(table)
        catalog.tables.create(place, catalog.tables.get(catalog.table()).schema)
    both(catalog)
    before = catalog.databases.get(catalog.database("both"))
    catalog.on.merge("dev")
    assert catalog.databases.get(catalog.database("both")) == before
    assert catalog.tables.list(catalog.database("both")) == ["mine", "theirs"]


@pytest.mark.parametrize("dropper", [MAIN, "dev"])
@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_a_table_made_in_a_database_that_was_dropped(
    catalog: Catalog, dropper: str, strategy: Strategy
) -> None:
    catalog.databases.drop(catalog.database(ref=dropper))
    catalog.create("n", ref="dev" if dropper == MAIN else MAIN)
    both(catalog)
    kind = "dest_removed" if dropper == MAIN else "source_removed"
    assert refused(catalog) == [("db/_database.json", kind)]
    catalog.on.merge("dev", strategy=strategy)
    if (strategy == "source-wins") is (dropper == "dev"):
        assert catalog.on.paths() == []
    else:
        assert catalog.tables.list(catalog.database()) == ["n"]


@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_a_label_loaded_on_both_sides_conflicts(catalog: Catalog, strategy: Strategy) -> None:
    mine, theirs = catalog.load(label="l"), catalog.load(ref="dev", label="l")
    other = catalog.load(ref="dev")
    both(catalog)
    assert refused(catalog) == [("db/_labels/l", "both_added")]
    catalog.on.merge("dev", strategy=strategy)
    kept = theirs if strategy == "source-wins" else mine
    assert catalog.sequences()[1:] == sorted([kept, other])
    with pytest.raises(SqlError, match="already been used"):
        catalog.load(label="l")


@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_overwrites_of_both_sides_conflict(catalog: Catalog, strategy: Strategy) -> None:
    (old,) = catalog.read().rowsets
    kept: dict[str, list[int]] = {}
    for ref in (MAIN, "dev"):
        change = catalog.planned(catalog.table(ref=ref), removes=[old], overwrites=[UNPARTITIONED])
        kept[ref] = [*catalog.publisher.publish(Publication((change,))), catalog.load(ref=ref)]
    both(catalog)
    assert refused(catalog) == [(f"db/t/_overwrites/{UNPARTITIONED}", "both_added")]
    catalog.on.merge("dev", strategy=strategy)
    assert catalog.sequences() == kept["dev" if strategy == "source-wins" else MAIN]


@pytest.mark.parametrize("dropper", [MAIN, "dev"])
@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_rows_added_to_a_partition_that_was_dropped(
    catalog: Catalog, dropper: str, strategy: Strategy
) -> None:
    catalog.create("p", ddl=PARTITIONED)
    catalog.on.commit()
    catalog.on.merge(MAIN, "dev")
    partition = catalog.tables.get(catalog.table("p")).schema.find_partition("a")
    assert partition is not None

    def load(ref: str) -> None:
        place = catalog.table("p", ref=ref)
        stored = catalog.tables.get(place)
        rowset = catalog.rowset(stored.schema, partition=partition.id)
        change = catalog.planned(place, rows=0, stored=stored)
        catalog.publisher.publish(Publication((replace(change, rowsets=(rowset,)),)))

    load(MAIN)
    catalog.on.commit()
    catalog.on.merge(MAIN, "dev")
    catalog.tables.change(
        catalog.table("p", ref=dropper), altering("ALTER TABLE p DROP PARTITION a")
    )
    load("dev" if dropper == MAIN else MAIN)
    both(catalog)
    ((path, _),) = refused(catalog)
    assert path == ("db/p/_schema.json#partition a: dropped on one side, rows added on the other")
    catalog.on.merge("dev", strategy=strategy)
    schema = catalog.tables.get(catalog.table("p")).schema
    if (strategy == "source-wins") is (dropper == "dev"):
        assert schema.find_partition("a") is None
        assert catalog.sequences("p") == []
    else:
        assert schema.find_partition("a") is not None
        assert len(catalog.sequences("p")) == 2


def test_prefixes_that_are_no_tables_are_plain_paths(catalog: Catalog) -> None:
    for branch in (MAIN, "dev"):
        catalog.on.put("x/y/rowsets/1", branch.encode(), branch=branch)
        catalog.on.put(f"x/y/rowsets/{branch}", b"1", branch=branch)
        catalog.on.put("x/_labels/l", branch.encode(), branch=branch)
    catalog.on.put("x/y/_overwrites/1", b"1", branch="dev")
    both(catalog)
    assert refused(catalog) == [("x/_labels/l", "both_added"), ("x/y/rowsets/1", "both_added")]
    catalog.on.merge("dev", strategy="dest-wins")
    assert catalog.on.find("x/y/rowsets/1") == b"main"
    assert catalog.on.find("x/y/rowsets/dev") == b"1"
    assert catalog.on.find("x/y/_overwrites/1") == b"1"


def test_rows_that_may_conflict_are_never_merged_without_a_judge(catalog: Catalog) -> None:
    ddl = "CREATE TABLE u (k int, v int) UNIQUE KEY(k) DISTRIBUTED BY HASH(k)"
    catalog.create("u", ddl=ddl)
    catalog.on.commit()
    catalog.on.merge(MAIN, "dev")
    catalog.load("u", ref="dev")
    both(catalog)
    catalog.on.merge("dev")  # nobody else wrote: nothing to judge
    assert len(catalog.sequences("u")) == 1
