"""Random histories of a table on branches are what sets of rowsets in plain Python say.

A table is a set of rowsets, a merge the three-way merge of sets, and the rows a function of the
set. The model keeps what each rowset holds by its name, and computes by itself what conflicts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import BranchId, Ref
from anabranch.warehouse.rowsets.rowset import RowsetKind, RowsetName
from anabranch.warehouse.schema import DELETE_SIGN_ID, KeyModel, Table
from tests.support.sql_clients import Client, open_client
from tests.support.table_model import ModelRowset, Values, id_of, model_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DDL = {
    KeyModel.UNIQUE: "CREATE TABLE {} (k int, a int, r int) UNIQUE KEY(k) DISTRIBUTED BY HASH(k)",
    KeyModel.AGGREGATE: (
        "CREATE TABLE {} (k int, a bigint SUM DEFAULT '0', r int REPLACE) AGGREGATE KEY(k) "
        "DISTRIBUTED BY HASH(k)"
    ),
    KeyModel.DUPLICATE: (
        "CREATE TABLE {} (k int, a int, r int) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k)"
    ),
}
ADDED = {KeyModel.UNIQUE: "", KeyModel.AGGREGATE: "SUM", KeyModel.DUPLICATE: ""}
BRANCHES = 3
Names = frozenset[RowsetName]


@dataclass(frozen=True)
class Fact:
    """What a rowset holds; `seen` is of a DELETE, which deletes the rows with key `deletes`."""

    known: frozenset[int]
    written: frozenset[int]
    rows: tuple[Values, ...] = ()
    seen: Names | None = None
    deletes: int = 0


@dataclass(frozen=True)
class State:
    """A table at a commit; `overwrite` stands for the mark of its last overwrite."""

    names: Names
    overwrite: int
    schema: Table


@dataclass
class History:
    """A table on branches, in the warehouse and in the model."""

    client: Client
    model: KeyModel
    number: int
    facts: dict[RowsetName, Fact] = field(default_factory=dict)
    commits: dict[str, State] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    made: dict[int, list[str]] = field(default_factory=dict)
    marks: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    sessions: dict[int, Client] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return f"t{self.number}"

    def branch(self, index: int) -> str:
        return f"b{self.number}x{index}"

    def begin(self) -> None:
        on = self.client.catalog.on
        for index in range(BRANCHES):
            on.branch(self.branch(index), "main" if index == 0 else self.branch(0))
            session = self.client.another()
            session.do(f"USE db@{self.branch(index)}")
            self.sessions[index] = session
            if index == 0:
                session.do(DDL[self.model].format(self.table))
                on.commit(branch=self.branch(0))
            self.made[index] = []
            self.states[index] = State(frozenset(), 0, self.schema(index))
            self.remember(index)

    def schema(self, index: int) -> Table:
        place = self.client.catalog.table(self.table, ref=self.branch(index))
        return self.client.parts.tables.get(place).schema

    def remember(self, index: int) -> None:
        repository = self.client.catalog.on.repository_id
        head = self.client.parts.lake.branches.get(repository, BranchId(self.branch(index))).head
        self.commits[head] = self.states[index]
        self.made[index].append(head)

    def names(self, index: int) -> Names:
        read = self.client.catalog.read(self.table, ref=self.branch(index))
        return frozenset(one.name for one in read.rowsets)

    def rows(self, state: State) -> list[Values]:
        """Return the rows of a set of rowsets."""
        ordered = sorted(state.names)
        rank = {name: at for at, name in enumerate(ordered)}
        k = id_of(state.schema, "k")
        rowsets = []
        for name in ordered:
            fact = self.facts[name]
            if fact.seen is None:
                rowsets.append(ModelRowset(rank[name], fact.known, fact.written, fact.rows))
                continue
            gone = fact.deletes
            seen = frozenset(rank[one] for one in fact.seen if one in rank)
            rowsets.append(
                ModelRowset(
                    rank[name], fact.known, fact.written, (), seen=seen,
                    deletes=lambda row, gone=gone: row[k] == gone,  # type: ignore[misc]  # bound
                )
            )  # fmt: skip
        return model_rows(state.schema, rowsets)

    def by_key(self, state: State) -> dict[Any, Values]:
        k = id_of(state.schema, "k")
        return {row[k]: row for row in self.rows(state)}

    # Statements

    def run(self, index: int, text: str) -> RowsetName | None:
        """Run a statement and commit; return the rowset it made."""
        self.sessions[index].do(text.format(t=self.table))
        found = self.names(index)
        new = found - self.states[index].names
        assert len(new) <= 1
        return next(iter(new), None)

    def note(self, index: int, fact: Fact | None, made: RowsetName | None) -> None:
        """Say what a statement's rowset holds."""
        assert (fact is None) == (made is None)
        state = self.states[index]
        if fact is not None and made is not None:
            assert all(made > name for name in state.names), "a later rowset comes later"
            self.facts[made] = fact
            self.states[index] = replace(state, names=state.names | {made})

    def end(self, index: int) -> None:
        branch = self.branch(index)
        self.client.catalog.on.commit(branch=branch, allow_empty=True)
        self.remember(index)
        self.check(index)

    def insert(self, index: int, key: int, value: int) -> None:
        schema = self.states[index].schema
        columns = ", ".join(column.name for column in schema.columns)
        values = [key, *([value] * (len(schema.columns) - 1))]
        texts = ", ".join(map(str, values))
        made = self.run(index, f"INSERT INTO {{t}} ({columns}) VALUES ({texts})")
        ids = frozenset(schema.column_ids)
        row = dict(zip((column.id for column in schema.columns), values, strict=True))
        self.note(index, Fact(ids, ids, (row,)), made)

    def update(self, index: int, key: int, value: int, column: str) -> None:
        if self.model is not KeyModel.UNIQUE:
            return
        state = self.states[index]
        made = self.run(index, f"UPDATE {{t}} SET {column} = {value} WHERE k = {key}")
        fact = None
        if key in self.by_key(state):
            row = {id_of(state.schema, "k"): key, id_of(state.schema, column): value}
            fact = Fact(frozenset(state.schema.column_ids), frozenset(row), (row,))
        self.note(index, fact, made)

    def delete(self, index: int, key: int) -> None:
        state = self.states[index]
        k = id_of(state.schema, "k")
        has_it = any(row[k] == key for row in self.rows(state))
        made = self.run(index, f"DELETE FROM {{t}} WHERE k = {key}")
        ids = frozenset(state.schema.column_ids)
        if not has_it:
            self.note(index, None, made)
        elif self.model is KeyModel.UNIQUE:
            row = {k: key, DELETE_SIGN_ID: 1}
            self.note(index, Fact(ids | {DELETE_SIGN_ID}, frozenset(row), (row,)), made)
        else:
            seen = frozenset(one for one in state.names if self.facts[one].seen is None)
            self.note(index, Fact(ids, frozenset(), (), seen, key), made)

    def truncate(self, index: int) -> None:
        assert self.run(index, "TRUNCATE TABLE {t}") is None
        self.states[index] = replace(
            self.states[index], names=frozenset(), overwrite=next(self.marks)
        )

    def add_column(self, index: int, name: str) -> None:
        state = self.states[index]
        if state.schema.find(name) is not None:
            return
        self.run(index, f"ALTER TABLE {{t}} ADD COLUMN {name} INT {ADDED[self.model]} DEFAULT '7'")
        self.states[index] = replace(state, schema=self.schema(index))

    # Merges

    def merge(self, source: int, dest: int, strategy: Any) -> None:
        repository = self.client.catalog.on.repository_id
        merges = self.client.parts.lake.merges
        one, other = Ref(self.branch(source)), BranchId(self.branch(dest))
        _, _, base = merges.base(repository, one, Ref(other))
        assert base is not None
        sides = (self.commits[base.id], self.states[source])
        self.three_way(
            dest,
            *sides,
            strategy,
            lambda: merges.merge(
                repository, one, other, committer="tests", strategy=strategy, allow_empty=True
            ),
        )

    def cherry_pick(self, source: int, dest: int, at: int, *, is_revert: bool) -> None:
        repository = self.client.catalog.on.repository_id
        lake = self.client.parts.lake
        known = self.made[dest if is_revert else source]
        commit = lake.commits.get(repository, known[at % len(known)])  # type: ignore[arg-type]  # an id
        if not commit.parents or commit.parents[0] not in self.commits:
            return
        picked, parent = self.commits[commit.id], self.commits[commit.parents[0]]
        branch, ref = BranchId(self.branch(dest)), Ref(commit.id)
        if is_revert:
            self.three_way(
                dest,
                picked,
                parent,
                None,
                lambda: lake.merges.revert(
                    repository, branch, ref, parent_number=1, committer="t", allow_empty=True
                ),
            )
        else:
            self.three_way(
                dest,
                parent,
                picked,
                None,
                lambda: lake.merges.cherry_pick(
                    repository, branch, ref, parent_number=1, committer="t", allow_empty=True
                ),
            )

    def three_way(self, index: int, base: State, source: State, strategy: Any, run: Any) -> None:
        dest = self.states[index]
        is_clash = (
            source.overwrite != dest.overwrite
            and source.overwrite != base.overwrite
            and dest.overwrite != base.overwrite
        )
        dropped: Names = frozenset()
        if is_clash and strategy == "source-wins":
            dropped = dest.names - base.names
        elif is_clash and strategy == "dest-wins":
            dropped = source.names - base.names
        names = (dest.names | (source.names - base.names)) - (base.names - source.names) - dropped
        overwrite = dest.overwrite if source.overwrite == base.overwrite else source.overwrite
        if is_clash and strategy == "dest-wins":
            overwrite = dest.overwrite
        columns = self.merged_columns(base, source, dest)
        rows = self.conflicts(base, source, dest, dropped, columns)
        expected = (is_clash or bool(rows)) and strategy is None
        if expected:
            with pytest.raises(Conflict) as caught:
                run()
            assert caught.value.kind is Kind.MERGE_CONFLICT
            page: Any = caught.value.details["conflicts"]
            if not is_clash:
                keys = {one.path.partition("#k=")[2].partition(":")[0] for one in page.items}
                assert keys == {str(key) for key, _ in rows}
            return
        run()
        schema = self.schema(index)
        assert {column.name for column in schema.columns} == columns
        found = self.names(index)
        assert found >= names
        merged = State(names, overwrite, schema)
        winner = source if strategy == "source-wins" else dest
        made = found - names
        assert bool(made) == bool(rows)
        self.learn(index, made, rows, replace(winner, schema=schema, names=winner.names - dropped))
        self.states[index] = replace(merged, names=found)
        self.remember(index)
        self.check(index)

    def merged_columns(self, base: State, source: State, dest: State) -> set[str]:
        if source.schema == base.schema:
            chosen = [dest]
        else:
            chosen = [source] if dest.schema == base.schema else [source, dest]
        return {column.name for one in chosen for column in one.schema.columns}

    def conflicts(
        self, base: State, source: State, dest: State, dropped: Names, columns: set[str]
    ) -> set[tuple[int, str]]:
        """Return (key, column) of what conflicts; the column is empty where the row does."""
        if self.model is KeyModel.DUPLICATE:
            return set()
        known = {c.id: c for one in (source, dest) for c in one.schema.columns if c.name in columns}
        k = next(one for one, column in known.items() if column.name == "k")
        schema = replace(dest.schema, columns=tuple(known.values()))
        sides = []
        for side in (source, dest):
            written: dict[int, set[int]] = {}
            for name in side.names ^ base.names:
                if name in dropped or (name in source.names) == (name in dest.names) != (
                    name in base.names
                ):
                    continue
                fact = self.facts[name]
                for row in fact.rows if fact.seen is None else ():
                    says = written.setdefault(row[k], set())
                    says |= set(known) if row.get(DELETE_SIGN_ID) else set(fact.written)
            state = State(side.names - dropped, 0, schema)
            sides.append((written, self.by_key(state)))
        (wrote, ours), (wrote_too, theirs) = sides
        found: set[tuple[int, str]] = set()
        for key in wrote.keys() & wrote_too.keys():
            one, other = ours.get(key), theirs.get(key)
            if one is None or other is None:
                if self.model is KeyModel.UNIQUE and (one is None) != (other is None):
                    found.add((key, ""))
                continue
            for column in known.values():
                is_judged = self.model is KeyModel.UNIQUE or column.aggregate == "REPLACE"
                both = column.id in wrote[key] & wrote_too[key]
                if is_judged and both and one[column.id] != other[column.id]:
                    found.add((key, column.name))
        return found

    def learn(self, index: int, made: Names, rows: set[tuple[int, str]], winner: State) -> None:
        """Note what the rowsets that settle conflicts must hold."""
        read = self.client.catalog.read(self.table, ref=self.branch(index))
        right = self.by_key(winner)
        schema = winner.schema
        k = id_of(schema, "k")
        for rowset in read.rowsets:
            if rowset.name not in made:
                continue
            header = rowset.header
            assert header is not None
            assert header.kind is RowsetKind.RESOLUTION
            written = frozenset(header.written)
            if DELETE_SIGN_ID in written:
                found = [
                    {k: key, DELETE_SIGN_ID: 1}
                    for key, what in rows
                    if not what and key not in right
                ]
            elif written == frozenset(schema.column_ids) and any(not what for _, what in rows):
                found = [right[key] for key, what in rows if not what and key in right]
            else:
                (value,) = written - {k}
                name = next(c.name for c in schema.columns if c.id == value)
                found = [{k: key, value: right[key][value]} for key, what in rows if what == name]
            assert len(found) == header.rows
            self.facts[rowset.name] = Fact(frozenset(header.known), written, tuple(found))

    def check(self, index: int) -> None:
        """Hold the branch against the model."""
        state = self.states[index]
        assert self.names(index) == state.names
        ids = [column.id for column in state.schema.columns]
        names = ", ".join(column.name for column in state.schema.columns)
        found = self.sessions[index].rows(f"SELECT {names} FROM {self.table}")
        expected = [tuple(row.get(one) for one in ids) for row in self.rows(state)]
        assert sorted(found, key=repr) == sorted(expected, key=repr)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("warehouse")) as opened:
        opened.catalog.on.commit(allow_empty=True)
        yield opened


NUMBERS = itertools.count()
STEPS = st.tuples(
    st.sampled_from(
        ["insert", "insert", "insert", "update", "update", "delete", "truncate", "column"]
        + ["merge", "merge", "merge", "merge", "pick", "revert"]
    ),
    st.integers(0, BRANCHES - 1),
    st.integers(0, 7),
)


@pytest.mark.parametrize("model", list(DDL))
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=6, max_size=16))
def test_a_history_of_branches_is_what_the_model_says(
    client: Client, model: KeyModel, steps: list[tuple[str, int, int]]
) -> None:
    note(f"{steps}")
    history = History(client, model, next(NUMBERS))
    history.begin()
    for what, index, value in steps:
        other = (index + 1 + value % (BRANCHES - 1)) % BRANCHES
        key = value % 3
        match what:
            case "insert":
                history.insert(index, key, value)
            case "update":
                history.update(index, key, value, "a" if value % 2 else "r")
            case "delete":
                history.delete(index, key)
            case "truncate":
                history.truncate(index)
            case "column":
                history.add_column(index, "x" if value % 2 else "y")
            case "merge":
                strategy = [None, "source-wins", "dest-wins"][value % 3]
                history.merge(index, other, strategy)
                continue
            case "pick" | "revert":
                history.cherry_pick(index, other, value, is_revert=what == "revert")
                continue
        history.end(index)
