"""Labels: taken once, for three days, and going where the data goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict
from anabranch.kernel.ids import BranchId, Ref
from anabranch.warehouse.catalog.labels import LabelUse
from anabranch.warehouse.catalog.publishing import Publication
from anabranch.warehouse.errors import SqlError
from tests.support.lakes import MAIN, REPOSITORY
from tests.support.warehouses import Catalog, open_catalog, open_catalog_beside

_DAY_S = 86_400


@pytest.fixture(params=["memory", "directory"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(None if request.param == "memory" else tmp_path) as opened:
        yield opened


@pytest.fixture
def timed() -> Iterator[Catalog]:
    """Give a catalog whose store has the tests' clock."""
    with open_catalog() as opened:
        yield opened


def used(call: object, *words: str) -> None:
    with pytest.raises(SqlError, match="has already been used") as caught:
        call()  # type: ignore[operator]  # what the test gives
    for word in words:
        assert word in caught.value.message


def test_a_label_is_used_once(catalog: Catalog) -> None:
    sequence = catalog.load(label="l", job=17)
    state = catalog.labels.find(catalog.database(), "l")
    assert state is not None
    assert (state.job, state.is_published, state.status) == (17, True, "VISIBLE")
    assert len(state.rowsets) == 1
    assert f"{sequence:020d}" in state.rowsets[0]
    used(lambda: catalog.load(label="l"), "Label [l]", "txn [17]", "[VISIBLE]")
    assert catalog.sequences() == [sequence]
    assert catalog.labels.find(catalog.database(), "other") is None
    catalog.load(label="other")


def test_the_file_of_a_label_is_the_documented_one(catalog: Catalog) -> None:
    catalog.load(label="l", job=17)
    data = catalog.on.find("db/_labels/l")
    assert data is not None
    members = json.loads(data)
    assert list(members) == sorted(members) == ["format", "id", "job", "rowsets", "time_us"]
    (rowset,) = catalog.read().rowsets
    assert members["rowsets"] == [rowset.path.removeprefix("db/")]
    assert (members["format"], members["job"]) == (1, 17)
    assert len(members["id"]) == 32


@pytest.mark.parametrize("label", ["", "a b", "a/b", "a" * (limits.LABEL_LENGTH_MAX + 1), "ü"])
def test_what_is_no_label_is_refused(catalog: Catalog, label: str) -> None:
    with pytest.raises(SqlError, match="Label format error"):
        catalog.load(label=label)
    with pytest.raises(SqlError, match="Label format error"):
        catalog.labels.reserve(catalog.database(), label, 1)
    catalog.load(label="-_:" + "a" * (limits.LABEL_LENGTH_MAX - 3))


def test_a_reserved_label_is_its_jobs_alone(catalog: Catalog) -> None:
    place = catalog.database()
    catalog.labels.reserve(place, "l", 5)
    catalog.labels.reserve(place, "l", 5)
    state = catalog.labels.find(place, "l")
    assert state is not None
    assert (state.job, state.status) == (5, "PREPARE")
    used(lambda: catalog.labels.reserve(place, "l", 6), "txn [5]", "[PREPARE]")
    used(lambda: catalog.load(label="l", job=6))
    catalog.labels.release(place, "l", 6)
    used(lambda: catalog.load(label="l", job=6))
    catalog.load(label="l", job=5)
    used(lambda: catalog.labels.reserve(place, "l", 5), "[VISIBLE]")
    catalog.labels.reserve(place, "m", 7)
    catalog.labels.release(place, "m", 7)
    catalog.labels.release(place, "m", 7)
    assert catalog.labels.find(place, "m") is None


def test_a_publication_frees_the_reservation(catalog: Catalog) -> None:
    catalog.labels.reserve(catalog.database(), "l", 5)
    catalog.load(label="l", job=5)
    catalog.on.lake.branches.reset(REPOSITORY, MAIN)
    catalog.databases.create(catalog.database())
    catalog.create()
    catalog.load(label="l", job=6)


def test_labels_expire_after_three_days(timed: Catalog) -> None:
    timed.load(label="l")
    timed.on.clock.advance(3 * _DAY_S - 60)
    used(lambda: timed.load(label="l"))
    timed.on.clock.advance(120)
    assert timed.labels.find(timed.database(), "l") is None
    timed.load(label="l", job=2)
    state = timed.labels.find(timed.database(), "l")
    assert state is not None
    assert state.job == 2


@pytest.mark.parametrize("commits", [False, True])
def test_expired_files_go_with_the_next_labelled_publications(
    timed: Catalog, commits: bool
) -> None:
    count = limits.LABELS_EXPIRED_AT_ONCE + 20
    for number in range(count):
        timed.publisher.publish(
            Publication((), LabelUse(timed.database(), f"old{number:03d}", number))
        )
    if commits:
        timed.on.commit()
    timed.on.clock.advance(2 * _DAY_S)
    timed.load(label="young")
    timed.on.clock.advance(_DAY_S + 60)
    timed.load()
    assert len(timed.on.paths(prefix="db/_labels/")) == count + 1
    timed.load(label="n1")
    assert len(timed.on.paths(prefix="db/_labels/")) == 22
    timed.load(label="n2")
    assert timed.on.paths(prefix="db/_labels/") == [
        "db/_labels/n1",
        "db/_labels/n2",
        "db/_labels/young",
    ]
    timed.on.clock.advance(2 * _DAY_S)
    timed.load(label="n3")
    assert len(timed.on.paths(prefix="db/_labels/")) == 3


def test_labels_follow_the_data(catalog: Catalog) -> None:
    catalog.load(label="l")
    catalog.on.commit()
    catalog.on.branch("dev")
    used(lambda: catalog.load(label="l", ref="dev"))
    catalog.load(label="m", ref="dev")
    catalog.on.commit(branch="dev")
    catalog.on.branch("other")
    catalog.load(label="m", ref="other")
    catalog.on.commit(branch="other")
    catalog.on.merge("dev")
    used(lambda: catalog.load(label="m"))
    with pytest.raises(Conflict):
        catalog.on.merge("other")


def test_a_reset_frees_labels(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.load(label="l")
    catalog.on.lake.branches.reset(REPOSITORY, MAIN)
    assert catalog.labels.find(catalog.database(), "l") is None
    catalog.load(label="l")
    catalog.on.commit()
    catalog.on.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("main~1"))
    catalog.load(label="l")


def test_labels_belong_to_the_database_that_was_made(catalog: Catalog) -> None:
    catalog.load(label="l")
    catalog.labels.reserve(catalog.database(), "m", 1)
    catalog.databases.drop(catalog.database())
    with pytest.raises(SqlError) as caught:
        catalog.labels.find(catalog.database(), "l")
    assert caught.value.code == 1049
    catalog.databases.create(catalog.database())
    catalog.create()
    assert catalog.labels.find(catalog.database(), "m") is None
    catalog.load(label="l")
    catalog.load(label="m", job=9)


def test_reservations_belong_to_a_branch(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.branch("dev")
    catalog.labels.reserve(catalog.database(), "l", 1)
    catalog.load(label="l", ref="dev", job=2)
    assert catalog.labels.find(catalog.database(ref="main@"), "l") is None


def test_two_processes_cannot_take_one_label(catalog: Catalog) -> None:
    with open_catalog_beside(catalog) as beside:
        catalog.load(label="l")
        used(lambda: beside.load(label="l"))
        beside.labels.reserve(beside.database(), "m", 1)
        used(lambda: catalog.load(label="m", job=2))
        catalog.on.lake.branches.delete(REPOSITORY, BranchId(catalog.on.branch("x")))


def test_a_label_that_does_not_read_is_named(catalog: Catalog) -> None:
    catalog.on.put("db/_labels/l", b"{}")
    with pytest.raises(SqlError, match="db/_labels/l"):
        catalog.load(label="l")
    assert catalog.load(label="m")
