"""What notebooks show: every value as a table, escaped, with what is left out told."""

import html.parser
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from anabranch import Lake, MergeConflicted, Ref, Repository
from anabranch.client import answers
from anabranch.client import html as tables
from anabranch.client.lanes import Row, lay_out
from anabranch.client.values import Change, MergeConflict, ObjectInfo
from anabranch.kernel import limits

EVIL = '<img src=x onerror="a">&\n\u202e'
VOID = {"br", "circle"}


class Checked(html.parser.HTMLParser):
    """Wants every element closed in order; keeps texts and the elements there were."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        """Return all that people read."""
        return " ".join(self.texts)


def test_names_are_escaped_everywhere() -> None:
    change, info = Change(EVIL, "added", 1), ObjectInfo(EVIL, modified=datetime.now(UTC))
    for text in (
        tables.diff(EVIL, [change], has_more=False),
        tables.listing(EVIL, [info, ObjectInfo(EVIL, is_prefix=True)], has_more=False),
        tables.conflicts(EVIL, [MergeConflict(EVIL, EVIL)], 1),
        tables.failed(EVIL, EVIL),
        tables.facts(EVIL, EVIL, [(EVIL, tables.code(EVIL)), ("x", tables.pills([EVIL]))]),
        MergeConflicted(EVIL, (MergeConflict(EVIL, EVIL),))._repr_html_(),
    ):
        checked = Checked(text)
        assert "img" not in checked.seen
        assert r'<img src=x onerror="a">&\n\u202e' in checked.text
        assert "\u202e" not in text


def test_tables_tell_what_they_leave_out() -> None:
    changes = [Change(f"p{at}", "removed", None) for at in range(3)]
    assert "the first 3; there are more" in tables.diff("t", changes, has_more=True)
    assert "there are more" not in tables.diff("t", changes, has_more=False)
    assert "no changes" in Checked(tables.diff("t", [], has_more=False)).text
    assert "<table" not in tables.listing("t", [], has_more=False)
    found = tuple(MergeConflict(f"p{at}", "both_added") for at in range(25))
    shown = MergeConflicted("t", found)._repr_html_()
    assert shown.count("added on both sides") == limits.NOTEBOOK_ROWS_MAX
    assert "and 5 more" in shown


class Conflicting:
    """Stands for connections to a server where a merge has so many conflicts."""

    def __init__(self, count: int) -> None:
        self.count = count

    def pages(self, ask: object) -> Iterator[list[answers.MergeConflict]]:
        """Yield pages of conflicts."""
        for at in range(0, self.count, limits.PAGE_MAX):
            size = min(limits.PAGE_MAX, self.count - at)
            yield [answers.MergeConflict(f"p{at}", "both_added")] * size


@pytest.mark.parametrize("more", [0, 1])
def test_an_error_holds_so_many_conflicts(more: int) -> None:
    connections: Any = Conflicting(limits.CONFLICTS_TOLD_MAX + more)
    error = Ref(connections, "r", "dev")._conflicted("t", "main")
    assert len(error.conflicts) == limits.CONFLICTS_TOLD_MAX
    assert error.has_more is bool(more)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (2**60, "1024.0 PiB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert tables.size_text(size_bytes) == text


def test_a_straight_history_has_one_lane() -> None:
    assert lay_out([("b", ["a"]), ("a", [])]) == [Row(0, (), (), (0,)), Row(0, (0,), (), ())]


def test_a_merge_has_two_lanes_that_meet_again() -> None:
    rows = lay_out([("m", ["a", "b"]), ("b", ["o"]), ("a", ["o"]), ("o", [])])
    assert rows == [
        Row(0, (), (), (0, 1)),
        Row(1, (1,), (0,), (1,)),
        Row(0, (0,), (1,), (0,)),
        Row(0, (0, 1), (), ()),
    ]
    assert [row.width for row in rows] == [2, 2, 2, 2]


def test_two_histories_stand_side_by_side() -> None:
    rows = lay_out([("a", ["x"]), ("b", ["y"]), ("x", []), ("z", []), ("y", [])])
    assert [row.lane for row in rows] == [0, 1, 0, 0, 1]
    assert rows[3].passing == (1,)


def test_every_value_is_a_table(lake: Lake, repo: Repository) -> None:
    main = repo.branch("main")
    for at in range(limits.NOTEBOOK_ROWS_MAX + 1):
        main.write_text(f"a/{at:02}", "x")
    assert "at least 20 changes" in Checked(main._repr_html_()).text
    assert "the first 20; there are more" in Checked(main.uncommitted()._repr_html_()).text
    made = main.commit("First <line>\nsecond", {"k<": "v<"})
    dev = repo.branch("dev").create(main)
    dev.write_text("b", "x")
    dev.commit("dev")
    main.write_text("c", "x")
    main.commit("main")
    merged = dev.merge_into(main)
    repo.tag("v1").create(made)
    texts = {
        "lake": Checked(lake._repr_html_()).text,
        "repo": Checked(repo._repr_html_()).text,
        "main": Checked(main._repr_html_()).text,
        "tag": Checked(repo.tag("v1")._repr_html_()).text,
        "made": Checked(made._repr_html_()).text,
        "log": Checked(main.log()._repr_html_()).text,
        "list": Checked(main.list(delimiter="/")._repr_html_()).text,
        "merge": Checked(merged._repr_html_()).text,
        "branches": Checked(repo.branches()._repr_html_()).text,
        "repositories": Checked(lake.repositories(repo.name)._repr_html_()).text,
        "nothing": Checked(repo.branch("nothing")._repr_html_()).text,
    }
    assert repo.name in texts["lake"]
    assert "dev" in texts["repo"]
    assert "v1" in texts["repo"]
    assert "nothing" in texts["main"]
    assert {"First <line>", "second", "k<", "v<"} <= set(Checked(made._repr_html_()).texts)
    assert made.id[:12] in texts["tag"]
    assert "First <line>" in texts["log"]
    assert main.log()._repr_html_().count("<circle") == 5
    assert re.search(r"a/\s+b\s+1 B", texts["list"])
    assert "+ 1 added" in texts["merge"]
    assert merged.commit_id[:12] in texts["branches"]
    assert repo.name in texts["repositories"]
    assert "no ref" in texts["nothing"]


def test_texts_of_values(repo: Repository) -> None:
    main = repo.branch("main")
    main.write_text("a", "x")
    made = main.commit("message\nmore")
    assert repr(main) == f"<Branch lake://{repo.name}/main>"
    assert repr(repo.branch("a/b")) == f"<Branch lake://{repo.name}/a%2Fb>"
    assert repr(made) == f"<Commit {made.id[:12]} 'message'>"
    assert repr(main.log()) == f"<Log lake://{repo.name}/main log>"
    assert repr(repo) == f"<Repository lake://{repo.name}>"
    with main.open("a", "rb") as file:
        assert repr(file.raw) == "<ObjectReader 'a' of 1 bytes>"
    writer = main.open("b", "wb")
    assert repr(writer) == "<ObjectWriter 'b'>"
    writer.abort()
    assert repr(writer) == "<ObjectWriter 'b' (closed)>"
    assert "secret" not in repr(main._connections.server)
