"""Publishing: sequences, conditions, and many publishers of one table at once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Unavailable
from anabranch.kernel.ids import Ref
from anabranch.storage.kv.base import KVStore, is_absent, is_version, put
from anabranch.storage.kv.memory import MemoryKV
from anabranch.warehouse.catalog.labels import LabelUse
from anabranch.warehouse.catalog.publishing import Publication, TableMoved
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.places import SCHEMA_FILE
from anabranch.warehouse.rowsets.rowset import METADATA_NAME, RowsetName, encode_header, rowset_path
from anabranch.warehouse.schema import UNPARTITIONED
from tests.support.faults import Crashed, Faults, FaultyKV, HeldKV, Loss
from tests.support.lakes import MAIN, REPOSITORY, open_beside, open_lake
from tests.support.warehouses import Catalog, catalog_of, open_catalog, open_catalog_beside


@pytest.fixture(params=["memory", "directory"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(None if request.param == "memory" else tmp_path) as opened:
        yield opened


def test_a_load_has_one_sequence_and_each_load_a_higher_one(catalog: Catalog) -> None:
    change = catalog.planned(catalog.table(), rows=3)
    (first,) = catalog.publisher.publish(Publication((change,)))
    assert first >= catalog.on.kv.now_us() - 60_000_000
    second = catalog.load()
    assert second > first
    assert catalog.sequences() == [first] * 3 + [second]
    rowsets = catalog.read().rowsets
    assert [one.header for one in rowsets[:3]] == [one.header for one in change.rowsets]
    assert {one.name.id for one in rowsets[:3]} == {one.id for one in change.rowsets}


def test_the_entry_is_the_documented_one(catalog: Catalog) -> None:
    change = catalog.planned(catalog.table())
    (sequence,) = catalog.publisher.publish(Publication((change,)))
    (new,) = change.rowsets
    path = rowset_path(catalog.table(), UNPARTITIONED, RowsetName(sequence, new.id))
    assert catalog.on.find(path) == b"rows"
    resolved = catalog.on.lake.resolve.resolve(REPOSITORY, Ref(MAIN))
    entry = catalog.on.lake.objects.stat(resolved, path).entry  # type: ignore[arg-type]  # a path
    assert entry.metadata == ((METADATA_NAME, encode_header(new.header)),)


def test_a_transaction_has_a_sequence_for_each_statement(catalog: Catalog) -> None:
    catalog.create("u")
    changes = [catalog.planned(catalog.table(name)) for name in ("t", "u", "t")]
    sequences = catalog.publisher.publish(Publication(tuple(changes)))
    assert sequences[0] < sequences[2]
    assert catalog.sequences("t") == [sequences[0], sequences[2]]
    assert catalog.sequences("u") == [sequences[1]]


def test_sequences_rise_whatever_became_of_the_branch(catalog: Catalog) -> None:
    last = catalog.load()
    catalog.on.commit()
    for move in (
        lambda: catalog.on.lake.branches.reset(REPOSITORY, MAIN),
        lambda: catalog.on.branch("dev"),
        lambda: catalog.load(ref="dev"),
        lambda: catalog.on.commit(branch="dev"),
        lambda: catalog.on.merge("dev"),
        lambda: catalog.on.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("main~1")),
    ):
        move()
        last, before = catalog.load(), last
        assert last > before
        catalog.on.commit()


def test_a_merge_of_later_rowsets_is_overtaken(catalog: Catalog) -> None:
    """A clock that runs behind draws sequences above those it finds, across branches."""
    catalog.on.commit()
    catalog.on.branch("dev")
    ahead = catalog.on.kv.now_us() + 3_600_000_000
    schema = catalog.tables.get(catalog.table()).schema
    new = catalog.rowset(schema)
    path = rowset_path(catalog.table(), UNPARTITIONED, RowsetName(ahead, new.id))
    metadata = ((METADATA_NAME, encode_header(new.header)),)
    first = catalog.load()
    catalog.on.commit()
    catalog.on.put(path, branch="dev", metadata=metadata)
    catalog.on.commit(branch="dev")
    catalog.on.merge("dev")
    assert catalog.read().last_sequence == ahead
    assert catalog.load() == ahead + 1
    assert catalog.load() == ahead + 2
    assert catalog.sequences() == [first, ahead, ahead + 1, ahead + 2]


def test_a_branch_made_again_goes_on_above_what_it_holds(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.branch("dev")
    ahead = catalog.on.kv.now_us() + 3_600_000_000
    schema = catalog.tables.get(catalog.table()).schema
    catalog.load(ref="dev")
    catalog.on.lake.branches.delete(REPOSITORY, catalog.on.branch("other"))
    catalog.on.lake.branches.delete(REPOSITORY, "dev")  # type: ignore[arg-type]  # a name
    new = catalog.rowset(schema)
    path = rowset_path(catalog.table(), UNPARTITIONED, RowsetName(ahead, new.id))
    catalog.on.put(path, metadata=((METADATA_NAME, encode_header(new.header)),))
    catalog.on.commit()
    catalog.on.branch("dev")
    assert catalog.load(ref="dev") == ahead + 1


def test_a_file_of_the_far_future_does_not_move_sequences(catalog: Catalog) -> None:
    path = rowset_path(catalog.table(), UNPARTITIONED, RowsetName(10**19, "a" * 32))
    catalog.on.put(path)
    catalog.on.commit()
    assert catalog.load() < 10**19 - 10**18


def moved(catalog: Catalog, publication: Publication) -> None:
    before = catalog.on.paths()
    with pytest.raises(TableMoved):
        catalog.publisher.publish(publication)
    assert catalog.on.paths() == before


def test_a_changed_schema_asks_to_plan_again(catalog: Catalog) -> None:
    change = catalog.planned(catalog.table())
    catalog.tables.change(catalog.table(), lambda table: replace(table, comment="new"))
    moved(catalog, Publication((change,)))
    again = replace(change, identity=catalog.tables.get(catalog.table()).identity)
    catalog.publisher.publish(Publication((again,)))
    assert len(catalog.sequences()) == 1


def test_a_table_dropped_or_made_again_takes_no_rows_of_the_old(catalog: Catalog) -> None:
    change = catalog.planned(catalog.table())
    catalog.tables.drop(catalog.table())
    moved(catalog, Publication((change,)))
    catalog.create()
    moved(catalog, Publication((change,)))
    assert catalog.sequences() == []


def test_a_schema_changed_by_a_merge_or_a_foreign_hand_is_noticed(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.branch("dev")
    catalog.tables.change(catalog.table(ref="dev"), lambda table: replace(table, comment="new"))
    catalog.on.commit(branch="dev")
    change = catalog.planned(catalog.table())
    catalog.on.merge("dev")
    moved(catalog, Publication((change,)))
    change = catalog.planned(catalog.table())
    catalog.on.delete(f"db/t/{SCHEMA_FILE}")
    moved(catalog, Publication((change,)))


def test_an_update_of_what_it_read_only(catalog: Catalog) -> None:
    catalog.load()
    seen = catalog.read()
    change = catalog.planned(
        catalog.table(), removes=seen.rowsets, if_last_sequence=seen.last_sequence
    )
    catalog.load()
    moved(catalog, Publication((change,)))
    seen = catalog.read()
    change = catalog.planned(
        catalog.table(),
        removes=seen.rowsets,
        overwrites=(UNPARTITIONED,),
        if_last_sequence=seen.last_sequence,
    )
    (sequence,) = catalog.publisher.publish(Publication((change,)))
    assert catalog.sequences() == [sequence]
    mark = catalog.on.find("db/t/_overwrites/00000000")
    assert mark is not None
    assert mark.startswith(b'{"format":1,"id":"')
    moved(catalog, Publication((change,)))


def test_emptying_a_table_moves_its_sequence(catalog: Catalog) -> None:
    catalog.load()
    seen = catalog.read()
    other = catalog.planned(catalog.table(), if_last_sequence=seen.last_sequence)
    empty = catalog.planned(
        catalog.table(), rows=0, removes=seen.rowsets, if_last_sequence=seen.last_sequence
    )
    catalog.publisher.publish(Publication((empty,)))
    assert catalog.sequences() == []
    assert catalog.read().last_sequence > seen.last_sequence
    moved(catalog, Publication((other,)))


def test_rows_that_came_or_went_with_the_branch_are_noticed(catalog: Catalog) -> None:
    """A merge can bring rowsets below the last sequence, a reset can take some away."""
    catalog.on.commit()
    catalog.on.branch("dev")
    catalog.load(ref="dev")
    catalog.on.commit(branch="dev")
    catalog.load()
    catalog.on.commit()
    seen = catalog.read()
    change = catalog.planned(catalog.table(), if_rowsets=seen.rowsets)
    catalog.on.merge("dev")
    moved(catalog, Publication((change,)))
    catalog.load()
    seen = catalog.read()
    change = catalog.planned(catalog.table(), if_rowsets=seen.rowsets)
    catalog.on.lake.branches.reset(REPOSITORY, MAIN)
    moved(catalog, Publication((change,)))
    seen = catalog.read()
    change = catalog.planned(catalog.table(), if_rowsets=seen.rowsets)
    catalog.on.put("db/else")
    catalog.on.commit()
    catalog.publisher.publish(Publication((change,)))


def test_the_callers_conditions_and_writes_are_of_the_transaction(catalog: Catalog) -> None:
    record = b"sql/job/1"
    change = catalog.planned(catalog.table())
    mine = Publication((change,), None, [is_absent(record)], [put(record, b"done")])
    catalog.publisher.publish(mine)
    row = catalog.on.kv.read([record]).values[0]
    assert row is not None
    assert row.value == b"done"
    other = replace(mine, changes=(catalog.planned(catalog.table()),))
    with pytest.raises(Conflict) as caught:
        catalog.publisher.publish(other)
    assert not isinstance(caught.value, TableMoved)
    catalog.publisher.publish(replace(other, conditions=[is_version(record, row.version)]))
    assert len(catalog.sequences()) == 2


def test_a_publication_is_of_one_branch(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.branch("dev")
    changes = (catalog.planned(catalog.table()), catalog.planned(catalog.table(ref="dev")))
    with pytest.raises(SqlError, match="one branch"):
        catalog.publisher.publish(Publication(changes))
    use = LabelUse(catalog.database(ref="dev"), "l", 1)
    with pytest.raises(SqlError, match="one branch"):
        catalog.publisher.publish(Publication(changes[:1], use))


def test_a_load_of_many_rowsets_and_an_empty_one(catalog: Catalog) -> None:
    count = limits.KV_WRITES_MAX // 2 + 50
    change = catalog.planned(catalog.table(), rows=1)
    schema = catalog.tables.get(catalog.table()).schema
    one = change.rowsets[0]
    many = tuple(replace(one, id=catalog.on.lake.ids.hex32()) for _ in range(count))
    assert one.header.table_id == schema.id
    label = LabelUse(catalog.database(), "l", 1)
    (sequence,) = catalog.publisher.publish(Publication((replace(change, rowsets=many),), label))
    found = catalog.read()
    assert [rowset.name.sequence for rowset in found.rowsets] == [sequence] * count
    assert catalog.labels.find(catalog.database(), "l") is not None
    gone = catalog.planned(
        catalog.table(), rows=0, removes=found.rowsets * 2, if_rowsets=found.rowsets
    )
    catalog.publisher.publish(Publication((gone,)))
    assert catalog.sequences() == []
    later = catalog.load()
    catalog.on.commit()
    assert catalog.sequences() == [later]


# Many at once


def in_threads(count: int, call: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(call, number) for number in range(count)]:
            done.result(timeout=120)


def test_threads_publish_into_one_table(catalog: Catalog) -> None:
    answers: list[int] = []
    in_threads(16, lambda _number: answers.extend([catalog.load() for _ in range(5)]))
    assert len(set(answers)) == 80
    assert catalog.sequences() == sorted(answers)


def test_processes_threads_commits_and_merges_lose_nothing(catalog: Catalog) -> None:
    catalog.on.commit()
    catalog.on.branch("dev")
    with open_catalog_beside(catalog) as beside:
        answers: list[int] = []

        def work(number: int) -> None:
            own = (catalog, beside)[number % 2]
            for turn in range(6):
                if number == 0:
                    own.load(ref="dev")
                    own.on.commit(branch="dev")
                elif number == 1:
                    own.on.commit(allow_empty=True)
                else:
                    answers.append(own.load())
                    if turn == 3:
                        own.read()

        in_threads(6, work)
        assert len(set(answers)) == 24
        assert catalog.sequences() == beside.sequences() == sorted(answers)
        catalog.on.commit(allow_empty=True)
        catalog.on.merge("dev")
        assert set(catalog.sequences()) >= set(answers)
        assert len(catalog.sequences()) == 30
        assert catalog.load() > max(catalog.sequences()[:-1])


def test_updates_that_read_the_same_do_not_both_publish(catalog: Catalog) -> None:
    """Each counts one up from what it read: as many publish as the count says."""
    published = [0]
    lock = threading.Lock()

    def work(_number: int) -> None:
        for _ in range(4):
            while True:
                seen = catalog.read()
                change = catalog.planned(
                    catalog.table(),
                    rows=len(seen.rowsets) + 1,
                    removes=seen.rowsets,
                    if_last_sequence=seen.last_sequence,
                )
                try:
                    catalog.publisher.publish(Publication((change,)))
                except TableMoved:
                    continue
                with lock:
                    published[0] += 1
                break

    in_threads(4, work)
    assert published == [16]
    assert len(catalog.sequences()) == 16


def test_one_label_is_taken_once_by_many(catalog: Catalog) -> None:
    outcomes: list[str] = []

    def work(number: int) -> None:
        try:
            catalog.load(label="l", job=number)
            outcomes.append("loaded")
        except SqlError as error:
            outcomes.append(error.message.split(",")[1])

    in_threads(8, work)
    assert outcomes.count("loaded") == 1
    assert len(catalog.sequences()) == 1


def test_what_waits_is_published_together_and_a_bad_one_is_left_out() -> None:
    held: list[HeldKV] = []

    def hold(kv: KVStore) -> KVStore:
        held.append(HeldKV(kv))
        return held[0]

    with open_catalog() as catalog, open_beside(catalog.on, wrap=hold) as on:
        beside = catalog_of(on)
        (kv,) = held
        stale = replace(catalog.planned(catalog.table()), identity="another")
        changes = [catalog.planned(catalog.table()) for _ in range(6)]
        first = Publication((changes[0],))
        rest = [Publication((change,)) for change in (*changes[1:], stale)]
        results: dict[int, tuple[int, ...] | Exception] = {}

        def work(number: int, publication: Publication) -> None:
            try:
                results[number] = beside.publisher.publish(publication)
            except TableMoved as error:
                results[number] = error

        threads = [threading.Thread(target=work, args=(0, first))]
        threads[0].start()
        kv.wait_for_apply()
        for number, publication in enumerate(rest, 1):
            threads.append(threading.Thread(target=work, args=(number, publication)))
            threads[-1].start()
        queue = next(iter(beside.publisher._queues.values()))  # to see who waits
        while len(queue.waiting) < len(rest):
            pass
        kv.let_through(100)
        for thread in threads:
            thread.join(timeout=60)
        assert len(kv.batches) == 2
        assert isinstance(results.pop(6), TableMoved)
        sequences = sorted(one[0] for one in results.values() if isinstance(one, tuple))
        assert sequences == catalog.sequences()
        together = sequences[1:]
        assert together == list(range(together[0], together[0] + 5))


# Crashes


def test_a_crash_publishes_all_of_a_load_or_nothing() -> None:
    steps = _crashed(None)[0]
    assert steps >= 2
    for number in range(1, steps + 1):
        _, rowsets, labels = _crashed(number)
        assert (rowsets, labels) in ((0, 0), (3, 1))


def _crashed(crash_at: int | None) -> tuple[int, int, int]:
    faults = Faults()
    with open_lake(MemoryKV()) as on:
        catalog = catalog_of(on)
        catalog.databases.create(catalog.database())
        catalog.create()
        faults = Faults(crash_at=crash_at)
        with open_beside(on, wrap=lambda kv: FaultyKV(kv, faults)) as other:
            beside = catalog_of(other)
            change = catalog.planned(catalog.table(), rows=3)
            use = LabelUse(catalog.database(), "l", 1)
            try:
                beside.publisher.publish(Publication((change,), use))
            except (Crashed, Unavailable, SqlError):
                assert faults.has_crashed
        found = catalog.read().rowsets
        assert catalog.load() > 0
        return faults.count(), len(found), len(on.paths(prefix="db/_labels/"))


@pytest.mark.parametrize("loss", list(Loss))
def test_a_lost_answer_publishes_once(loss: Loss) -> None:
    with open_catalog() as catalog:
        losses = {1: loss, 3: loss}
        with open_beside(catalog.on, wrap=lambda kv: FaultyKV(kv, losses=losses)) as on:
            beside = catalog_of(on)
            sequences = [beside.load(), beside.load()]
            assert catalog.sequences() == sequences
