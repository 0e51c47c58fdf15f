"""Rows that both sides of a merge wrote: which conflict, how they are shown, and strategies."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Corrupted, Kind, LimitExceeded, Unavailable
from anabranch.kernel.ids import BranchId, MetarangeId, Ref, RepositoryId
from anabranch.lake.comparing import Strategy
from anabranch.lake.values import MergeConflict
from anabranch.storage.blocks.base import Extent
from anabranch.warehouse.errors import doris
from anabranch.warehouse.merging import requests as requests
from anabranch.warehouse.merging.questions import RowAnswer, RowQuestion, WrittenRowset
from anabranch.warehouse.merging.requests import MergeClient, MergeServer
from anabranch.warehouse.merging.rows import RowConflicts
from anabranch.warehouse.rowsets.rowset import Header, RowsetKind
from tests.support.lakes import NoRowJudge
from tests.support.sql_clients import Client, open_client

UNIQUE = "CREATE TABLE u (k int, a int, b varchar(9)) UNIQUE KEY(k) DISTRIBUTED BY HASH(k)"
AGGREGATE = (
    "CREATE TABLE g (k int, s bigint SUM DEFAULT '0', r int REPLACE, n int REPLACE_IF_NOT_NULL) "
    "AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)"
)
STRATEGIES: list[Strategy] = ["source-wins", "dest-wins"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("warehouse")) as client:
        yield client


class Branched:
    """Two sessions of one warehouse, at `main` and at a branch of it."""

    def __init__(self, client: Client, name: str) -> None:
        self.main, self.dev, self.name = client, client.another(), name
        self.on = client.catalog.on

    def begin(self, *texts: str) -> None:
        """Make the common state and the branch."""
        for text in texts:
            self.main.do(text)
        self.on.commit(allow_empty=True)
        self.on.branch(self.name)
        self.dev.do(f"USE db@{self.name}")

    def end(self) -> None:
        self.on.commit(allow_empty=True)
        self.on.commit(branch=self.name, allow_empty=True)

    def merge(self, strategy: Strategy | None = None) -> None:
        self.on.merge(self.name, strategy=strategy)

    def refused(self) -> list[tuple[str, str]]:
        with pytest.raises(Conflict) as caught:
            self.merge()
        assert caught.value.kind is Kind.MERGE_CONFLICT
        page: Any = caught.value.details["conflicts"]
        return [(one.path, one.kind) for one in page.items if isinstance(one, MergeConflict)]

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return self.main.rows(f"SELECT * FROM {table} ORDER BY k")


@pytest.fixture
def sides(opened: Client, request: pytest.FixtureRequest) -> Iterator[Branched]:
    name = f"dev{abs(hash(request.node.name)) % 10**9}"
    yield Branched(opened, name)
    opened.catalog.on.lake.branches.reset(opened.catalog.on.repository_id, BranchId("main"))
    for table in ("u", "g"):
        opened.run(f"DROP TABLE IF EXISTS {table}")
    opened.catalog.on.commit(allow_empty=True)


def test_other_keys_and_other_columns_do_not_conflict(sides: Branched) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a'), (2, 2, 'b')")
    sides.main.do("UPDATE u SET a = 10 WHERE k = 1")
    sides.dev.do("UPDATE u SET b = 'z' WHERE k = 1")
    sides.dev.do("UPDATE u SET a = 20 WHERE k = 2")
    sides.dev.do("INSERT INTO u VALUES (3, 3, 'c')")
    sides.end()
    sides.merge()
    assert sides.rows("u") == [(1, 10, "z"), (2, 20, "b"), (3, 3, "c")]


def test_equal_results_do_not_conflict(sides: Branched) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a')")
    for side in (sides.main, sides.dev):
        side.do("UPDATE u SET a = 10 WHERE k = 1")
        side.do("INSERT INTO u VALUES (2, NULL, 'b')")
    sides.end()
    sides.merge()
    assert sides.rows("u") == [(1, 10, "a"), (2, None, "b")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_column_changed_on_both_sides(sides: Branched, strategy: Strategy) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')")
    sides.main.do("UPDATE u SET a = 10 WHERE k <= 2")
    sides.dev.do("UPDATE u SET a = 20 WHERE k = 1")
    sides.dev.do("UPDATE u SET b = 'z' WHERE k <= 2")
    sides.end()
    assert sides.refused() == [("db/u/rowsets/00000000#k=1: a", "both_changed")]
    sides.merge(strategy)
    a = 20 if strategy == "source-wins" else 10
    assert sides.rows("u") == [(1, a, "z"), (2, 10, "z"), (3, 3, "c")]
    sides.main.do("UPDATE u SET a = 0 WHERE k = 1")
    assert sides.rows("u")[0] == (1, 0, "z")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("deleter", ["main", "dev"])
def test_a_row_deleted_here_and_changed_there(
    sides: Branched, strategy: Strategy, deleter: str
) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a'), (2, 2, 'b')")
    one, other = (sides.main, sides.dev) if deleter == "main" else (sides.dev, sides.main)
    one.do("DELETE FROM u WHERE k = 1")
    other.do("UPDATE u SET a = 5 WHERE k = 1")
    sides.end()
    kind = "dest_removed" if deleter == "main" else "source_removed"
    assert sides.refused() == [("db/u/rowsets/00000000#k=1: the row", kind)]
    sides.merge(strategy)
    has_it = (strategy == "source-wins") is (deleter == "main")
    assert sides.rows("u") == ([(1, 5, "a")] if has_it else []) + [(2, 2, "b")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sums_add_up_and_replaced_values_conflict(sides: Branched, strategy: Strategy) -> None:
    sides.begin(AGGREGATE, "INSERT INTO g VALUES (1, 1, 1, 1), (2, 1, 1, 1)")
    sides.main.do("INSERT INTO g VALUES (1, 10, 2, NULL)")
    sides.dev.do("INSERT INTO g VALUES (1, 100, 3, 7), (2, 5, 5, 5)")
    sides.end()
    assert sides.refused() == [("db/g/rowsets/00000000#k=1: r", "both_changed")]
    sides.merge(strategy)
    r = 3 if strategy == "source-wins" else 2
    assert sides.rows("g") == [(1, 111, r, 7), (2, 6, 5, 5)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_row_overwritten_here_and_changed_there(sides: Branched, strategy: Strategy) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a'), (2, 2, 'b')")
    sides.main.do("TRUNCATE TABLE u")
    sides.dev.do("UPDATE u SET a = 5 WHERE k = 1")
    sides.end()
    assert sides.refused() == [("db/u/rowsets/00000000#k=1: the row", "dest_removed")]
    sides.merge(strategy)
    assert sides.rows("u") == ([(1, 5, "a")] if strategy == "source-wins" else [])


def test_a_sequence_column_settles_which_row_stands(sides: Branched) -> None:
    sides.begin(
        UNIQUE + " PROPERTIES ('function_column.sequence_col' = 'a')",
        "INSERT INTO u VALUES (1, 1, 'a'), (2, 1, 'a')",
    )
    sides.main.do("INSERT INTO u VALUES (1, 5, 'ours'), (2, 5, 'ours')")
    sides.dev.do("INSERT INTO u VALUES (1, 4, 'theirs'), (2, 5, 'theirs')")
    sides.end()
    assert sides.refused() == [("db/u/rowsets/00000000#k=2: b", "both_changed")]
    sides.merge("source-wins")
    assert sides.rows("u") == [(1, 5, "ours"), (2, 5, "theirs")]


def test_a_revert_of_a_load_that_was_built_on_conflicts(sides: Branched) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a')")
    sides.main.do("UPDATE u SET a = 2 WHERE k = 1")
    commit = sides.on.commit()
    sides.main.do("UPDATE u SET a = 3 WHERE k = 1")
    sides.end()
    with pytest.raises(Conflict) as caught:
        sides.on.lake.merges.revert(
            sides.on.repository_id, BranchId("main"), Ref(commit.id), committer="tests"
        )
    assert caught.value.kind is Kind.MERGE_CONFLICT


def test_keys_of_many_kinds_are_shown(sides: Branched) -> None:
    sides.begin(
        "CREATE TABLE u (k largeint, d date, t varchar(9), v int) UNIQUE KEY(k, d, t) "
        "DISTRIBUTED BY HASH(k)"
    )
    for number, side in enumerate((sides.main, sides.dev)):
        side.do(
            "INSERT INTO u VALUES (170141183460469231731687303715884105727, '0000-01-01', 'x', "
            f"{number}), (NULL, NULL, NULL, {number})"
        )
    sides.end()
    assert [path.partition("#")[2] for path, _ in sides.refused()] == [
        "k=170141183460469231731687303715884105727,d=0000-01-01,t=x: v",
        "k=NULL,d=NULL,t=NULL: v",
    ]
    sides.merge("source-wins")
    assert sides.main.rows("SELECT v FROM u") == [(1,), (1,)]


def test_a_merge_by_sql_shows_what_conflicts(sides: Branched) -> None:
    sides.begin(UNIQUE)
    sides.main.do("INSERT INTO u VALUES (1, 1, 'a')")
    sides.dev.do("INSERT INTO u VALUES (1, 2, 'a')")
    sides.end()
    error = sides.main.refused(f"CALL lake_merge('{sides.name}')")
    assert error.message.endswith("conflict found: db/u/rowsets/00000000#k=1: a")
    sides.main.rows(f"CALL lake_merge('{sides.name}', NULL, 'source-wins')")
    assert sides.rows("u") == [(1, 2, "a")]


def test_rows_are_judged_over_a_socket(sides: Branched, tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "merges.sock"
    path.parent.mkdir()
    lake = sides.on.lake
    sides.begin(UNIQUE)
    sides.main.do("INSERT INTO u VALUES (1, 1, 'a')")
    sides.dev.do("INSERT INTO u VALUES (1, 2, 'a')")
    sides.end()
    server = MergeServer(path, RowConflicts(lake, sides.main.parts.engine))
    sides.on.merges.join(lake, lambda: MergeClient(path))
    try:
        with pytest.raises(Unavailable, match="no SQL process"):
            sides.merge()
        server.start()
        assert sides.refused() == [("db/u/rowsets/00000000#k=1: a", "both_changed")]
        sides.merge("source-wins")
        assert sides.rows("u") == [(1, 2, "a")]
    finally:
        server.close()
        sides.on.merges.join(lake, lambda: RowConflicts(lake, sides.main.parts.engine))
    assert not path.exists()


def test_without_a_judge_nothing_is_merged(sides: Branched) -> None:
    sides.begin(UNIQUE)
    sides.main.do("INSERT INTO u VALUES (1, 1, 'a')")
    sides.dev.do("INSERT INTO u VALUES (1, 1, 'a')")
    sides.end()
    sides.on.merges.join(sides.on.lake, NoRowJudge)
    try:
        with pytest.raises(Unavailable):
            sides.merge("source-wins")
    finally:
        judge = RowConflicts(sides.on.lake, sides.main.parts.engine)
        sides.on.merges.join(sides.on.lake, lambda: judge)
    sides.merge()
    assert sides.rows("u") == [(1, 1, "a")]


class Meddling:
    """A judge during whose work somebody else changes the table."""

    def __init__(self, judge: RowConflicts, meddle: Callable[[], object]) -> None:
        self._judge = judge
        self._meddle = meddle

    def judge(self, question: RowQuestion) -> RowAnswer:
        self._meddle()
        return self._judge.judge(question)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO u VALUES (1, 9, 'z')",
        "ALTER TABLE u ADD COLUMN c int",
        "TRUNCATE TABLE u",
        "DROP TABLE u",
    ],
)
def test_what_changes_a_table_during_its_merge_ends_it(sides: Branched, text: str) -> None:
    sides.begin(UNIQUE, "INSERT INTO u VALUES (1, 1, 'a')")
    sides.main.do("UPDATE u SET a = 2 WHERE k = 1")
    sides.dev.do("UPDATE u SET b = 'z' WHERE k = 1")
    sides.dev.do("UPDATE u SET a = 2 WHERE k = 1")
    sides.end()
    lake = sides.on.lake
    judge = RowConflicts(lake, sides.main.parts.engine)
    sides.on.merges.join(lake, lambda: Meddling(judge, lambda: sides.main.do(text)))
    try:
        with pytest.raises(Conflict) as caught:
            sides.merge()
    finally:
        sides.on.merges.join(lake, lambda: judge)
    assert caught.value.kind is Kind.DIRTY_BRANCH
    lake.branches.reset(sides.on.repository_id, BranchId("main"))
    sides.merge()
    assert sides.rows("u") == [(1, 2, "z")]


def test_conflicts_of_several_tables_are_listed(sides: Branched) -> None:
    sides.begin(UNIQUE, AGGREGATE)
    for number, side in enumerate((sides.main, sides.dev)):
        side.do(f"INSERT INTO u VALUES (1, {number}, 'a')")
        side.do(f"INSERT INTO g VALUES (1, 1, {number}, 1)")
    sides.end()
    assert [path for path, _ in sides.refused()] == [
        "db/g/rowsets/00000000#k=1: r",
        "db/u/rowsets/00000000#k=1: a",
    ]


def test_a_question_and_an_answer_keep_their_form() -> None:
    one, two, three = map(MetarangeId, ("a" * 64, "b" * 64, "c" * 64))
    asked = RowQuestion(
        RepositoryId("animals"),
        *(one, two, three),
        "db/t/",
        '{"é":1}',
        {"00000000": (["x"], ["y", "z"])},
        ("d",),
        "dest-wins",
        True,
    )
    assert requests.decode_question(requests.encode_question(asked)) == asked
    header = Header("t", RowsetKind.RESOLUTION, (7, 8), (7,), 2)
    made = WrittenRowset("p", "i", header, "s3://a/b", "e", 9, (Extent("f", 0, 9),))
    answer = RowAnswer((("p", "both_changed"),), (made,))
    assert requests.decode_answer(requests.encode_answer(answer)) == answer
    for broken in (b"", b"[]", b'{"conflicts":[[1]]}', b'{"error":["Nothing","sql",""]}'):
        with pytest.raises(Corrupted):
            requests.decode_answer(broken)
        with pytest.raises(Corrupted):
            requests.decode_question(broken)
    with pytest.raises(Unavailable, match="words"):
        requests.decode_answer(requests.encode_error(doris("words")))
    with pytest.raises(Corrupted, match="words"):
        requests.decode_answer(requests.encode_error(Corrupted(Kind.DATA_FORMAT, "words")))


def test_frames_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MERGE_QUESTION_BYTES_MAX", 3)
    left, right = socket.socketpair()
    with left, right:
        requests.send_frame(left, b"abc")
        assert requests.receive_frame(right) == b"abc"
        with pytest.raises(LimitExceeded):
            requests.send_frame(left, b"abcd")
        left.sendall(b"\0\0\0\4abcd")
        with pytest.raises(OSError, match="4 bytes"):
            requests.receive_frame(right)
        assert right.recv(4) == b"abcd"
        left.sendall(b"\0\0\0\2a")
        left.close()
        with pytest.raises(OSError, match="ended"):
            requests.receive_frame(right)


@pytest.mark.parametrize(("most", "listed"), [(2, 2), (1, 1)])
def test_so_many_rows_are_listed(
    sides: Branched, monkeypatch: pytest.MonkeyPatch, most: int, listed: int
) -> None:
    monkeypatch.setattr(limits, "MERGE_ROWS_SHOWN_MAX", most)
    sides.begin(UNIQUE)
    sides.main.do("INSERT INTO u VALUES (1, 1, 'a'), (2, 1, 'a')")
    sides.dev.do("INSERT INTO u VALUES (1, 2, 'a'), (2, 2, 'a')")
    sides.end()
    assert len(sides.refused()) == listed
