"""Merges with a driver: it judges its own paths, the lake the others, one commit holds both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import Ref
from anabranch.kernel.pages import Page
from anabranch.lake.drivers import DriverPlan, MergeSides
from anabranch.lake.values import MergeConflict
from anabranch.storage.kv.base import Condition, Write, is_absent, put
from tests.support.builders import MAIN, REPO, LakeKit, lake_kit

OWN = "m/"


@dataclass
class Appending:
    """Owns what lies under `m/`: both sides' objects stay, source's beside dest's.

    A path `m/no...` conflicts.
    """

    asked: list[tuple[list[str], str | None]] = field(default_factory=list)
    conditions: Sequence[Condition] = ()
    writes: Sequence[Write] = ()

    def owns(self, paths: pa.Array) -> pa.Array:
        return pc.starts_with(paths, pattern=OWN)

    def plan(self, sides: MergeSides, strategy: str | None) -> DriverPlan:
        self.asked.append((list(sides.touched), strategy))
        puts: list[tuple[str, Entry]] = []
        deletes: list[str] = []
        for path in sides.touched:
            entry = sides.committed.get(sides.repository.namespace, sides.source, path)
            if entry is None:
                deletes.append(path)
            else:
                puts.append((f"{path}.theirs", entry))
        refused = [path for path in sides.touched if path.startswith(OWN + "no")]
        conflicts = [MergeConflict(path, "both_changed") for path in refused]
        return DriverPlan(puts, deletes, conflicts, self.conditions, self.writes)


@pytest.fixture
def driver() -> Appending:
    return Appending()


@pytest.fixture
def kit(driver: Appending) -> Iterator[LakeKit]:
    with lake_kit(merge_driver=driver) as made:
        for path in ("a", "m/1", "m/2", "z"):
            made.put(path, b"base")
        made.commit()
        made.branch("dev")
        yield made


def test_owned_paths_are_judged_by_the_driver_and_woven_in(kit: LakeKit, driver: Appending) -> None:
    kit.put("m/1", b"ours")
    kit.commit()
    for path in ("b", "m/1", "m/3", "y"):
        kit.put(path, b"theirs", branch="dev")
    kit.delete("m/2", branch="dev")
    kit.commit("dev")
    kit.merge("dev")
    assert driver.asked == [(["m/1", "m/2", "m/3"], None)]
    assert kit.paths() == ["a", "b", "m/1", "m/1.theirs", "m/3.theirs", "y", "z"]
    assert (kit.read("m/1"), kit.read("m/1.theirs")) == (b"ours", b"theirs")


def test_a_merge_without_owned_paths_asks_nobody(kit: LakeKit, driver: Appending) -> None:
    kit.put("b", b"1", branch="dev")
    kit.commit("dev")
    kit.merge("dev")
    assert driver.asked == []
    assert kit.read("b") == b"1"


def test_conflicts_of_both_are_listed_in_order_of_path(kit: LakeKit) -> None:
    for branch in ("main", "dev"):
        for path in ("a", "m/no1", "m/no2", "z"):
            kit.put(path, branch.encode(), branch=branch)
        kit.commit(branch)
    with pytest.raises(Conflict) as caught:
        kit.merge("dev")
    assert caught.value.kind is Kind.MERGE_CONFLICT
    page = caught.value.details["conflicts"]
    assert isinstance(page, Page)
    assert [each.path for each in page.items] == ["a", "m/no1", "m/no2", "z"]
    first = kit.lake.merges.conflicts(REPO, Ref("dev"), Ref("main"), amount=2)
    assert ([each.path for each in first.items], first.next_after) == (["a", "m/no1"], "m/no1")
    rest = kit.lake.merges.conflicts(REPO, Ref("dev"), Ref("main"), after="m/no1", amount=2)
    assert ([each.path for each in rest.items], rest.next_after) == (["m/no2", "z"], None)
    assert kit.read("a") == b"main"


def test_a_strategy_is_told_to_the_driver(kit: LakeKit, driver: Appending) -> None:
    for branch in ("main", "dev"):
        kit.put("a", branch.encode(), branch=branch)
        kit.put(f"m/{branch}", b"1", branch=branch)
        kit.commit(branch)
    kit.merge("dev", strategy="source-wins")
    assert driver.asked == [(["m/dev"], "source-wins")]
    assert kit.read("a") == b"dev"
    assert "m/dev.theirs" in kit.paths()


def test_conditions_and_writes_of_the_driver_go_with_the_commit(
    kit: LakeKit, driver: Appending
) -> None:
    driver.conditions = [is_absent(b"sql/own")]
    driver.writes = [put(b"sql/own", b"1")]
    kit.put("m/3", b"1", branch="dev")
    kit.commit("dev")
    kit.merge("dev")
    assert kit.kv.read([b"sql/own"]).values[0] is not None
    kit.put("m/4", b"1", branch="dev")
    kit.commit("dev")
    with pytest.raises(Conflict) as caught:
        kit.merge("dev")
    assert caught.value.kind is Kind.RETRIES_EXHAUSTED
    assert len(driver.asked) > 2  # asked again for each attempt
    assert "m/4.theirs" not in kit.paths()


def test_a_cherry_pick_and_a_revert_ask_too(kit: LakeKit, driver: Appending) -> None:
    kit.put("m/3", b"1", branch="dev")
    picked = kit.commit("dev")
    commit = kit.lake.merges.cherry_pick(REPO, MAIN, Ref(picked), committer="tester")
    assert kit.paths() == ["a", "m/1", "m/2", "m/3.theirs", "z"]
    kit.lake.merges.revert(REPO, MAIN, Ref(commit.id), committer="tester")
    assert [touched for touched, _ in driver.asked] == [["m/3"], ["m/3.theirs"]]
    assert kit.paths() == ["a", "m/1", "m/2", "z"]
