"""Many paths changed at once, and prefixes read again and again."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Conflict, Kind, LimitExceeded, NotFound, Unavailable
from anabranch.kernel.ids import Address, BranchId, Namespace, Path, Ref
from anabranch.lake.changes import BranchChange, Put
from anabranch.lake.values import BranchState, Repository, Target
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.base import is_absent, put
from anabranch.storage.kv.memory import MemoryKV
from tests.support.fakes import FakeClock, FakeIds
from tests.support.faults import Crashed, Faults, FaultyKV
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake


@pytest.fixture
def lake() -> Iterator[TestLake]:
    with open_lake() as opened:
        yield opened


def target(on: TestLake, branch: str = MAIN) -> Target:
    return on.lake.objects.writable(on.repository_id, BranchId(branch))


def body_of(on: TestLake, path: str, data: bytes = b"x", *, own_file: bool = False) -> Put:
    body = on.lake.bodies.open(on.repository, own_file=own_file)
    body.write(data)
    body.finish()
    return Put(Path(path), body, (("name", path),), "text/plain")


def entries(count: int, prefix: str = "") -> list[tuple[Path, Entry]]:
    """Return rows that need no bytes: enough where only the number of writes matters."""
    entry = Entry(Address("a" * 32), "0" * 32, 1, 1)
    return [(Path(f"{prefix}{number:05d}"), entry) for number in range(count)]


def test_puts_deletes_and_own_writes_become_visible_together(lake: TestLake) -> None:
    lake.put("old")
    change = BranchChange(
        "answer",
        puts=[body_of(lake, "a"), body_of(lake, "b")],
        deletes=[Path("old")],
        writes=[put(b"sql/mine", b"1")],
    )
    step = lake.lake.changes.making_apply(target(lake), lambda _state: change)
    assert lake.paths() == ["old"]
    assert lake.lake.writer.submit(step) == "answer"
    assert lake.paths() == ["a", "b"]
    assert lake.find("a") == b"x"
    assert lake.kv.read([b"sql/mine"]).values[0] is not None


def test_a_condition_that_does_not_hold_makes_the_change_anew(lake: TestLake) -> None:
    seen: list[bool] = []

    def change(state: BranchState) -> BranchChange[None]:
        (found,), _ = lake.lake.changes.look(state, ["a"])
        seen.append(found.entry is None)
        if len(seen) == 1:
            lake.put("a", b"theirs")
        return BranchChange(None, puts=[body_of(lake, "a")], conditions=[found.condition])

    lake.lake.changes.apply(target(lake), change)
    assert seen == [True, False]


def test_a_change_is_judged_on_the_branch_as_it_is(lake: TestLake) -> None:
    with open_beside(lake) as beside:
        beside.put("a")  # the other process knows the branch from here on
        lake.commit()
        lake.delete("a")
        lake.commit()

        def change(state: BranchState) -> BranchChange[Entry | None]:
            (found,), _ = beside.lake.changes.look(state, ["a"])
            return BranchChange(found.entry, conditions=[found.condition])

        assert beside.lake.changes.apply(target(beside), change) is None


def test_what_a_change_raises_ends_it(lake: TestLake) -> None:
    def change(_state: BranchState) -> BranchChange[None]:
        raise NotFound(Kind.OBJECT_NOT_FOUND, "no")

    with pytest.raises(NotFound):
        lake.lake.changes.apply(target(lake), change)


def test_a_repository_of_the_same_name_is_not_written_to(lake: TestLake) -> None:
    old = target(lake)
    lake.lake.repositories.delete(REPOSITORY)
    lake.lake.repositories.create(REPOSITORY, Namespace("s3://data/other"), committer="x")
    with pytest.raises(NotFound) as caught:
        lake.lake.changes.apply(old, lambda _state: BranchChange(None))
    assert caught.value.kind is Kind.REPOSITORY_NOT_FOUND


def test_deletes_leave_no_tombstone_where_nothing_lies_below(lake: TestLake) -> None:
    lake.put("committed")
    lake.commit()
    lake.put("staged")
    change = BranchChange(None, deletes=[Path("committed"), Path("staged"), Path("never")])
    lake.lake.changes.apply(target(lake), lambda _state: change)
    page = lake.lake.diffs.uncommitted(REPOSITORY, MAIN, amount=10)
    assert [one.path for one in page.items] == ["committed"]


def test_a_large_change_becomes_visible_by_one_write_of_the_branch(lake: TestLake) -> None:
    count = limits.KV_WRITES_MAX // 2 + 10
    puts = [body_of(lake, f"many/{number:05d}") for number in range(count)]
    lake.put("many/here before")
    lake.put("other")
    asked: list[list[str]] = []

    def change(_state: BranchState) -> BranchChange[int]:
        asked.append(lake.paths(prefix="many/"))
        return BranchChange(count, puts=puts, deletes=[Path("many/here before")])

    with pytest.raises(LimitExceeded):
        lake.lake.writer.submit(lake.lake.changes.making_apply(target(lake), change))
    assert lake.paths(prefix="many/") == ["many/here before"]
    assert lake.lake.changes.apply(target(lake), change) == count
    assert lake.paths(prefix="many/") == [one.path for one in puts]
    assert lake.find("other") == b"x"
    lake.commit()
    assert len(lake.paths()) == count + 1


def test_a_prefix_of_any_size_is_dropped_at_once(lake: TestLake) -> None:
    rows = entries(limits.KV_WRITES_MAX + 500, "many/")
    for part in (rows[:3_000], rows[3_000:]):
        found = BranchChange(None, entries=part)
        lake.lake.changes.apply(target(lake), lambda _state, found=found: found)  # type: ignore[misc]  # bound per turn
        if part[0] == rows[0]:
            lake.commit()
    lake.put("manyfold")
    change = BranchChange(None, writes=[put(b"sql/mine", b"1")])
    lake.lake.changes.drop_prefix(target(lake), ["many/"], lambda _state: change)
    assert lake.paths() == ["manyfold"]
    lake.put("many/again")
    lake.commit()
    assert lake.paths() == ["many/again", "manyfold"]


def test_a_condition_of_a_large_change_holds_for_all_of_it(lake: TestLake) -> None:
    tries: list[int] = []

    def change(_state: BranchState) -> BranchChange[None]:
        tries.append(1)
        condition = is_absent(b"sql/mine")
        if len(tries) == 1:
            step = BranchChange(None, writes=[put(b"sql/mine", b"")])
            lake.lake.changes.apply(target(lake), lambda _state: step)
            rows = entries(limits.KV_WRITES_MAX)
            return BranchChange(None, entries=rows, conditions=[condition])
        return BranchChange(None)

    lake.lake.changes.apply(target(lake), change)
    assert len(tries) == 2
    assert lake.paths() == []


def test_too_many_large_changes_ask_for_a_commit(lake: TestLake) -> None:
    change = BranchChange(None, entries=entries(limits.KV_WRITES_MAX))
    for _ in range(limits.SEALED_TOKENS_MAX // 2):
        lake.lake.changes.apply(target(lake), lambda _state: change)
    with pytest.raises(Conflict) as caught:
        lake.lake.changes.apply(target(lake), lambda _state: change)
    assert caught.value.kind is Kind.TOO_MANY_SEALED
    open_rows = BranchChange(None, entries=entries(limits.SUBTREE_OPEN_ROWS_MAX + 5, "t/"))
    lake.lake.changes.apply(target(lake), lambda _state: open_rows)
    assert len(read(lake)) == len(open_rows.entries)  # in portions: nothing more can be sealed
    lake.commit()
    lake.lake.changes.apply(target(lake), lambda _state: change)


@pytest.mark.parametrize("count", [3, limits.KV_WRITES_MAX])
def test_a_crash_leaves_all_or_nothing(count: int) -> None:
    """Whatever step is the last: before the branch's record is written, nothing can be seen."""
    steps = _crashed(count, None)[0]
    assert steps >= 2
    for number in range(1, steps + 1):
        _, seen = _crashed(count, number)
        assert seen in (0, count)


def _crashed(count: int, crash_at: int | None) -> tuple[int, int]:
    """Return how many steps there were, and how many paths another process sees afterwards."""
    with open_lake(MemoryKV()) as lake:
        faults = Faults(crash_at=crash_at)
        with open_beside(lake, wrap=lambda kv: FaultyKV(kv, faults)) as beside:
            change = BranchChange(None, entries=entries(count))
            with contextlib.suppress(Crashed, Unavailable):
                beside.lake.changes.apply(target(beside), lambda _state: change)
        assert faults.has_crashed == (crash_at is not None)
        return faults.count(), len(lake.paths())


def test_own_files_can_be_read_by_path_however_small(tmp_path: FilePath) -> None:
    clock, ids = FakeClock(step_ns=1_000), FakeIds()
    kv = MemoryKV(clock)
    blocks = LocalBlocks(tmp_path, kv, clock, ids, prepares_segments=False)
    with open_lake(kv, blocks=blocks, clock=clock, ids=ids) as lake:
        own = body_of(lake, "own", b"a small rowset", own_file=True)
        assert not own.body.is_small
        change = BranchChange(None, puts=[own, body_of(lake, "shared")])
        lake.lake.changes.apply(target(lake), lambda _state: change)
        block = lake.lake.blocks.get(own.body.address)
        path = lake.lake.blocks.local_path(block)
        assert path.read_bytes() == b"a small rowset"
        assert path.name == block.extents[0].file
        assert lake.find("shared") == b"x"
    blocks.close()


# Subtrees: decoded once, never stale.


def decode(_repository: Repository, path: str, entry: Entry) -> tuple[str, str]:
    return path, entry.checksum


def read(on: TestLake, prefix: str = "t/", ref: str = MAIN) -> dict[str, tuple[str, str]]:
    resolved = on.lake.resolve.resolve(on.repository_id, Ref(ref))
    subtree = on.lake.subtrees.read(resolved, prefix, decode)
    assert sorted(subtree.items) == on.paths(ref=ref, prefix=prefix)
    return dict(subtree.items)


def test_a_subtree_follows_every_kind_of_change(lake: TestLake) -> None:
    with open_beside(lake) as beside:
        assert read(lake) == {}
        lake.put("t/a")
        beside.put("t/b")
        lake.put("u")
        before = read(lake)
        beside.put("t/b", b"new")
        assert read(lake)["t/b"] != before["t/b"]
        beside.commit()
        read(lake)
        beside.branch("dev")
        beside.delete("t/a")
        beside.put("t/c", branch="dev")
        assert sorted(read(lake)) == ["t/b"]
        assert sorted(read(lake, ref="dev")) == ["t/a", "t/b", "t/c"]
        beside.commit()
        beside.commit(branch="dev")
        beside.merge("dev")
        assert sorted(read(lake)) == ["t/b", "t/c"]
        assert sorted(read(lake, ref="main~1")) == ["t/b"]
        lake.put("t/d")
        read(beside)
        lake.lake.branches.reset(REPOSITORY, MAIN)
        assert sorted(read(beside)) == ["t/b", "t/c"]
        assert read(beside, ref="main$") == {}


def test_a_subtree_that_did_not_change_is_the_same_object(lake: TestLake) -> None:
    lake.put("t/a")
    lake.commit()
    lake.put("t/b")
    resolved = lake.lake.resolve.resolve(REPOSITORY, Ref(MAIN))
    first = lake.lake.subtrees.read(resolved, "t/", decode)
    lake.put("elsewhere")
    again = lake.lake.subtrees.read(resolved, "t/", decode)
    assert again.items is first.items
    lake.put("t/c")
    assert lake.lake.subtrees.read(resolved, "t/", decode).items is not first.items


def test_many_open_rows_are_sealed_by_who_reads_them(lake: TestLake) -> None:
    rows = entries(2 * limits.SUBTREE_OPEN_ROWS_MAX + 7, "t/")
    lake.lake.changes.apply(target(lake), lambda _state: BranchChange(None, entries=rows))
    resolved = lake.lake.resolve.resolve(REPOSITORY, Ref(MAIN))
    found = lake.lake.subtrees.read(resolved, "t/", decode)
    assert len(found.items) == len(rows)
    assert found.state is not None
    assert found.state.record.sealed
    lake.delete("t/00003")
    assert len(lake.lake.subtrees.read(resolved, "t/", decode).items) == len(rows) - 1


def test_what_decoding_raises_is_raised_each_time(lake: TestLake) -> None:
    def refusing(_repository: Repository, path: str, _entry: Entry) -> str:
        raise NotFound(Kind.OBJECT_NOT_FOUND, path)

    lake.put("t/a")
    resolved = lake.lake.resolve.resolve(REPOSITORY, Ref(MAIN))
    for _ in range(2):
        with pytest.raises(NotFound, match="t/a"):
            lake.lake.subtrees.read(resolved, "t/", refusing)
    lake.commit()
    with pytest.raises(NotFound, match="t/a"):
        lake.lake.subtrees.read(resolved, "t/", refusing)


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_read_alike_in_every_process(seed: int) -> None:
    chance = random.Random(seed)
    with open_lake() as lake, open_beside(lake) as beside:
        names = [f"t/{number}" for number in range(12)]
        for _ in range(150):
            on = chance.choice((lake, beside))
            move = chance.randrange(12)
            if move < 5:
                on.put(chance.choice(names), chance.choice((b"1", b"2")))
            elif move < 8:
                on.delete(*chance.sample(names, 2))
            elif move < 9:
                on.commit(allow_empty=True)
            elif move < 10:
                on.lake.staging.seal(REPOSITORY, MAIN)
            elif move < 11:
                on.lake.branches.reset_prefix(REPOSITORY, MAIN, chance.choice(("t/1", "t/")))
            else:
                on.lake.changes.drop_prefix(target(on), ["t/1"], lambda _s: BranchChange(None))
            read(chance.choice((lake, beside)))
        assert read(lake) == read(beside)
