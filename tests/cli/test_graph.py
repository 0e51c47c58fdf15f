"""The lines of `log --graph` for histories of each shape, and against the history itself."""

import random

import pytest
from rich.text import Text

from anabranch.cli.graph import Graph

History = list[tuple[str, list[str]]]


def drawn(history: History, *, is_ascii: bool = False) -> list[str]:
    """Return the lines of a history, each commit with its name."""
    graph = Graph(is_ascii=is_ascii)
    return [
        line.plain
        for name, parents in history
        for line in graph.add(name, parents).lines([Text(name)])
    ]


def test_a_line_is_a_line() -> None:
    assert drawn([("c", ["b"]), ("b", ["a"]), ("a", [])]) == ["● c", "● b", "● a"]


def test_a_merge_parts_and_meets() -> None:
    history = [("m", ["b", "d"]), ("b", ["a"]), ("d", ["a"]), ("a", [])]
    assert drawn(history) == ["○   m", "├─╮", "● │ b", "│ ● d", "├─╯", "● a"]


def test_without_unicode() -> None:
    history = [("m", ["b", "d"]), ("b", ["a"]), ("d", ["a"]), ("a", [])]
    assert drawn(history, is_ascii=True) == ["*   m", "|-.", "* | b", "| * d", "|-'", "* a"]


def test_a_criss_cross() -> None:
    history = [
        ("top", ["l2", "r2"]),
        ("l2", ["l1", "r1"]),
        ("r2", ["r1", "l1"]),
        ("l1", ["base"]),
        ("r1", ["base"]),
        ("base", []),
    ]
    assert drawn(history) == [
        "○   top",
        "├─╮",
        "○ │   l2",
        "├─│─╮",
        "│ ○ │ r2",
        "├─┴─┤",
        "●   │ l1",
        "│   ● r1",
        "├───╯",
        "● base",
    ]


def test_a_freed_lane_is_used_again() -> None:
    history = [
        ("m", ["a", "x"]),
        ("x", ["a"]),
        ("a", ["b", "y"]),
        ("y", ["b"]),
        ("b", []),
    ]
    assert drawn(history) == [
        *("○   m", "├─╮", "│ ● x", "├─╯"),
        *("○   a", "├─╮", "│ ● y", "├─╯", "● b"),
    ]


def test_histories_that_never_met() -> None:
    graph = Graph()
    graph.add("a", [])
    assert graph.width == 0
    assert drawn([("m", ["a", "b"]), ("a", []), ("b", [])]) == ["○   m", "├─╮", "● │ a", "  ● b"]


def test_the_lines_of_a_commit_have_the_graph_before_them() -> None:
    graph = Graph()
    texts = [Text("head"), Text("    message"), Text("")]
    lines = graph.add("m", ["a", "b"]).lines(texts)
    assert [line.plain for line in lines] == ["○   head", "├─╮     message", "│ │"]
    assert [line.plain for line in graph.add("a", ["b"]).lines(texts)] == [
        *("● │ head", "╰─┤     message", "  │"),
    ]


def random_history(seed: int, count: int) -> History:
    """Return a history, children first, of commits, merges and merges of three."""
    source = random.Random(seed)
    history: History = [("c0", [])]
    for number in range(1, count):
        recent = [name for name, _ in history[-8:]]
        parents = source.sample(recent, min(len(recent), source.choice((1, 1, 1, 2, 2, 3))))
        history.append((f"c{number}", parents))
    return history[::-1]


def edges(lines: list[tuple[str, list[str]]]) -> dict[str, set[str]]:
    """Read the parents of each commit off a picture, as an eye follows its lines.

    `lines` are the pictures of each commit: its node's line, and the link's line where there is.
    """
    found: dict[str, set[str]] = {}
    flows: dict[int, set[str]] = {}
    for name, rows in lines:
        node = rows[0]
        column = next(at for at, sign in enumerate(node) if sign in "●○")
        found[name] = set()
        for child in flows.pop(column, set()):
            found[child].add(name)
        for at in flows:
            assert node[at] == "│", (name, rows)
        if len(rows) == 1:
            flows[column] = {name}
            continue
        link = rows[1].ljust(len(node) + 2)
        after: dict[int, set[str]] = {}
        for at in range(0, len(link), 2):
            arriving = flows.get(at, set()) | ({name} if at == column else set())
            sign = link[at]
            if sign in "│├┤┼╭╮┬":
                after[at] = set(arriving)
                joins = sign in "├┤┼╭╮┬" and at != column
                if joins and reaches(link, column, at):
                    after[at] |= {name}
            else:
                assert sign in " ─╰╯┴", (name, rows)
                assert not arriving - {name}, (name, rows)
        flows = after
    return found


def reaches(link: str, column: int, at: int) -> bool:
    """Tell whether a line goes across from the commit to a cell; passing lanes do not end it."""
    first, last = sorted((column, at))
    return all(link[cell] == "─" for cell in range(first + 1, last, 2))


@pytest.mark.parametrize("seed", range(40))
def test_each_picture_says_what_the_history_is(seed: int) -> None:
    history = random_history(seed, 60)
    graph = Graph()
    pictures = []
    for name, parents in history:
        picture = graph.add(name, parents)
        rows = [picture.node.plain] + ([picture.link.plain] if picture.link else [])
        # A root has no line below it.
        pictures.append((name, rows))
    found = edges([one for one in pictures if one[0] != "c0"] + pictures[-1:])
    assert found == {name: set(parents) for name, parents in history}
