"""All 216 ways in which a path may stand in base, source and dest, by one merge each strategy."""

from collections.abc import Iterator
from itertools import product

import pytest

from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import BranchId, Path, Ref
from anabranch.lake.values import MergeConflict
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_lake
from tests.support.model import Tree, three_way

ROWS = ("absent", "one", "one again", "two", "two again", "three")
CONTENT = {"one": b"1", "one again": b"1", "two": b"2", "two again": b"2", "three": b"3"}
TRIPLES = {f"{number:03d}": triple for number, triple in enumerate(product(ROWS, repeat=3))}
SOURCE = BranchId("source")


@pytest.fixture(scope="module")
def opened() -> Iterator[TestLake]:
    """A repository whose base, source and dest hold each triple of rows, and the trees of them.

    A row "again" is another object of the same content: its identity is equal, its row is not.
    """
    with open_lake() as lake:
        for name in ("first", *ROWS[1:]):
            lake.put(f"rows/{name}", CONTENT.get(name, b""))
        lake.commit("rows to copy")
        lay(lake, MAIN, 0, "absent")
        lake.commit("base")
        lake.branch("source")
        lake.branch("dest")
        lay(lake, SOURCE, 1, None)
        lake.commit("source", branch="source", allow_empty=True)
        lay(lake, BranchId("dest"), 2, None)
        lake.commit("dest", branch="dest", allow_empty=True)
        yield lake


def lay(opened: TestLake, branch: BranchId, side: int, before: str | None) -> None:
    """Give each path the row its triple says, leaving alone those that have it already."""
    source = opened.lake.resolve.resolve(REPOSITORY, Ref("main@"))
    target = opened.lake.objects.writable(REPOSITORY, branch)
    for path, triple in TRIPLES.items():
        old = triple[0] if before is None else before
        if triple[side] == old:
            continue
        if triple[side] == "absent":
            opened.delete(path, branch=branch)
            continue
        make = opened.lake.objects.making_copy(
            target, _path(path), source, _path(f"rows/{triple[side]}")
        )
        opened.lake.writer.submit(make)


def _path(text: str) -> Path:
    return Path(text)


def tree(opened: TestLake, ref: str) -> Tree:
    """Return the entries of all triples' paths at a ref."""
    resolved = opened.lake.resolve.resolve(REPOSITORY, Ref(ref))
    found = {path: opened.lake.objects.find(resolved, _path(path)) for path in TRIPLES}
    return {path: stat.entry for path, stat in found.items() if stat is not None}


@pytest.mark.parametrize("strategy", ["source-wins", "dest-wins"])
def test_a_strategy_decides_every_triple(opened: TestLake, strategy: str) -> None:
    name = f"merged-{strategy}"
    opened.branch(name, "dest")
    expected, _ = three_way(
        tree(opened, "main@"), tree(opened, "source@"), tree(opened, "dest@"), strategy
    )
    opened.lake.merges.merge(
        REPOSITORY,
        Ref("source"),
        BranchId(name),
        committer="tests",
        strategy=strategy,  # type: ignore[arg-type]  # one of the two
    )
    assert tree(opened, name) == expected


def test_without_a_strategy_all_conflicts_are_named(opened: TestLake) -> None:
    _, expected = three_way(
        tree(opened, "main@"), tree(opened, "source@"), tree(opened, "dest@"), None
    )
    with pytest.raises(Conflict) as caught:
        opened.merge("source", "dest")
    assert caught.value.kind is Kind.MERGE_CONFLICT
    page = caught.value.details["conflicts"]
    found = [one.path for one in page.items if isinstance(one, MergeConflict)]  # type: ignore[attr-defined]  # a page
    assert found == expected
    assert 30 < len(expected) < 150


def test_what_does_not_conflict_is_merged_row_by_row(opened: TestLake) -> None:
    _, conflicts = three_way(
        tree(opened, "main@"), tree(opened, "source@"), tree(opened, "dest@"), None
    )
    opened.branch("agreeing", "dest")
    target = opened.lake.objects.writable(REPOSITORY, BranchId("agreeing"))
    source = opened.lake.resolve.resolve(REPOSITORY, Ref("source@"))
    theirs = tree(opened, "source@")
    for path in conflicts:
        if path in theirs:
            make = opened.lake.objects.making_copy(target, _path(path), source, _path(path))
            opened.lake.writer.submit(make)
        else:
            opened.delete(path, branch="agreeing")
    opened.commit(branch="agreeing")
    expected, left = three_way(
        tree(opened, "main@"), tree(opened, "source@"), tree(opened, "agreeing@"), None
    )
    assert left == []
    opened.merge("source", "agreeing")
    assert tree(opened, "agreeing") == expected
