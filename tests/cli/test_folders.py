"""The bars of `diff --stat`."""

import pytest

from anabranch.cli.folders import Folders, bar, folder_of
from anabranch.client.answers import Change
from anabranch.kernel import limits


def test_folders_of_paths() -> None:
    assert folder_of("a/b/c.csv", None) == "a/b/"
    assert folder_of("a/b/c.csv", 1) == "a/"
    assert folder_of("a/b/c.csv", 0) == "./"
    assert folder_of("c.csv", None) == "./"
    assert folder_of("/c.csv", None) == "/"


@pytest.mark.parametrize(
    ("counts", "largest", "width", "text"),
    [
        ([2, 0, 1], 3, 10, "++~"),
        ([1, 0, 0], 1_000, 10, "+"),
        ([1, 1, 1], 1_000, 10, "+-~"),
        ([500, 0, 500], 1_000, 10, "+++++~~~~~"),
        ([998, 1, 1], 1_000, 10, "++++++++-~"),
        ([0, 1_000, 0], 1_000, 10, "----------"),
    ],
)
def test_bars_are_in_proportion_and_show_what_there_is(
    counts: list[int], largest: int, width: int, text: str
) -> None:
    assert bar(counts, largest, width).plain == text


def changes() -> list[Change]:
    """Return changes of three folders."""
    return [
        *(Change("added", f"sales/{number}", 1024) for number in range(20)),
        Change("removed", "sales/old", 10),
        Change("changed", "readme", 1),
        Change("added", "a/very/long/way/down/into/the/tree/of/folders/x", 0),
    ]


def test_a_line_a_folder() -> None:
    folders = Folders()
    folders.add(changes())
    assert [line.plain for line in folders.lines(60)] == [
        "./                                 ~1       1 B  ~",
        "a/very/…tree/of/folders/   +1               0 B  +",
        "sales/                    +20  -1      20.0 KiB  ++++++++++-",
        "",
        "21 added (20.0 KiB), 1 removed (10 B), 1 changed (1 B) in 3 folders",
    ]
    widest = max(len(line.plain) for line in folders.lines(60)[:-1])
    assert widest <= 60


def test_json_has_each_kind() -> None:
    folders = Folders(depth=1)
    folders.add(changes())
    nothing = {"count": 0, "size_bytes": 0}
    assert folders.values()[2] == {
        "folder": "sales/",
        "added": {"count": 20, "size_bytes": 20 * 1024},
        "removed": {"count": 1, "size_bytes": 10},
        "changed": nothing,
    }


def test_many_folders_join_their_parents() -> None:
    folders = Folders()
    count = limits.STAT_FOLDERS_MAX
    folders.add(Change("added", f"a/{number}/x", 1) for number in range(count))
    assert len(folders.values()) == count
    folders.add([Change("added", "a/one-more/x", 1), Change("removed", "b/y/z", 1)])
    assert [one["folder"] for one in folders.values()] == ["a/", "b/"]
    assert folders.total()[0] == {"added": count + 1, "removed": 1}


def test_nothing_has_no_lines() -> None:
    assert Folders().lines(80) == []
