"""Diffs and merges of metaranges: skipping equal ranges gives what row by row gives."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel.ids import MetarangeId
from anabranch.kernel.ranges import FORMAT_RULE, CutRule
from anabranch.lake.committed import Committed
from anabranch.lake.comparing import Strategy
from anabranch.lake.range_store import RangeStore
from tests.support import ranges, reference
from tests.support.ranges import (
    NAMESPACE,
    MemoryRangeFiles,
    batch_of,
    content,
    open_committed,
)
from tests.support.reference import Changes, Row, Rows, by_path

_STRATEGIES: list[Strategy | None] = [None, "source-wins", "dest-wins"]
strategies = st.sampled_from(_STRATEGIES)


def _build(committed: Committed, rows: Rows) -> MetarangeId:
    return committed.build(NAMESPACE, iter([batch_of(rows)])).metarange


def _diff(
    committed: Committed, left: MetarangeId, right: MetarangeId, **bounds: str
) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for batch in committed.diff(NAMESPACE, left, right, **bounds):
        assert batch.num_rows
        found += zip(
            batch.column("kind").to_pylist(), batch.column("path").to_pylist(), strict=True
        )
    return found


@given(ranges.rules, ranges.tables, ranges.changes, ranges.paths)
def test_diff_agrees_with_row_by_row(
    rule: CutRule, rows: Rows, changes: Changes, after: str
) -> None:
    committed, _ = open_committed(rule)
    other, _ = reference.merge(rows, changes)
    left, right = _build(committed, rows), _build(committed, other)
    expected = [(kind, path) for kind, path, _ in reference.diff(rows, other)]
    assert _diff(committed, left, right) == expected
    assert _diff(committed, left, right, after=after) == [
        (kind, path) for kind, path in expected if path > after
    ]
    assert _diff(committed, left, right, prefix="b/", start=after) == [
        (kind, path) for kind, path in expected if path.startswith("b/") and path >= after
    ]
    committed.close()


@given(ranges.tables, ranges.tables)
def test_diff_gives_sizes_and_the_row_that_counts(left: Rows, right: Rows) -> None:
    committed, _ = open_committed(ranges.RULES[0])
    batches = list(committed.diff(NAMESPACE, _build(committed, left), _build(committed, right)))
    found = [row for batch in batches for row in batch.to_pylist()]
    expected = reference.diff(left, right)
    assert [row["address"] for row in found] == [row.address for _, _, row in expected]
    for row, (_, path, _) in zip(found, expected, strict=True):
        for side, size in ((left, "left_size_bytes"), (right, "right_size_bytes")):
            assert row[size] == (side[path].size_bytes if path in side else 0)
    committed.close()


def test_diff_of_one_change_reads_one_range_of_each_side() -> None:
    rows = {f"{number:05}": Row(bytes(20)) for number in range(3_000)}
    rule = ranges.RULES[0]
    committed, files = open_committed(rule)
    left = _build(committed, rows)
    changes = batch_of({"01500": Row(b"x" * 20)})
    right = committed.apply(NAMESPACE, left, changes).metarange
    cold = Committed(RangeStore(files), rule=rule)
    files.reads.clear()
    assert _diff(cold, left, right) == [(3, "01500")]
    assert len(files.reads) == 4
    cold.close()
    committed.close()


@given(ranges.rules, ranges.tables, ranges.changes, ranges.changes, strategies)
def test_merge_agrees_with_row_by_row(
    rule: CutRule, base: Rows, ours: Changes, theirs: Changes, strategy: Strategy | None
) -> None:
    committed, _ = open_committed(rule)
    source, dest = reference.merge(base, ours)[0], reference.merge(base, theirs)[0]
    expected, conflicts = reference.three_way(base, source, dest, strategy)
    sides = [_build(committed, rows) for rows in (base, source, dest)]
    merged = committed.merge(NAMESPACE, *sides, strategy=strategy)
    found = [tuple(row.values()) for row in merged.conflicts.to_pylist()]
    assert found == conflicts
    assert merged.is_complete
    if conflicts:
        assert merged.built is None
    else:
        assert merged.built is not None
        assert content(committed, merged.built.metarange) == expected
        assert merged.built.metarange == reference.metarange_id(expected, rule)
        assert merged.built.is_change == bool(reference.diff(dest, expected))
    committed.close()


_EVEN: Rows = {f"{number:03}": Row(bytes([number % 3]) * 20) for number in range(0, 40, 2)}


@pytest.mark.parametrize("rule", ranges.RULES)
@pytest.mark.parametrize("is_removed", [False, True])
def test_a_merge_of_commits_made_here_agrees_with_row_by_row(
    rule: CutRule, is_removed: bool
) -> None:
    """What commits noted of their ranges takes the place of reading them.

    One side changes, adds or removes one path, the other does all it can do around it.
    """
    committed, _ = open_committed(rule)
    base = _build(committed, _EVEN)
    for number in range(7, 19):
        path = f"{number:03}"
        ours: Changes = {path: None if is_removed else Row(b"o" * 20)}
        source = committed.apply(NAMESPACE, base, batch_of(ours, with_tombstones=True)).metarange
        near = [f"{one:03}" for one in (number - 2, number, number + 2)]
        for done in itertools.product(("nothing", "change", "remove"), repeat=3):
            theirs: Changes = {
                one: Row(b"t" * 20) if what == "change" else None
                for one, what in zip(near, done, strict=True)
                if what != "nothing"
            }
            changes = batch_of(theirs, with_tombstones=True)
            dest = committed.apply(NAMESPACE, base, changes).metarange
            rows = reference.merge(_EVEN, ours)[0], reference.merge(_EVEN, theirs)[0]
            expected, conflicts = reference.three_way(_EVEN, rows[0], rows[1], None)
            merged = committed.merge(NAMESPACE, base, source, dest)
            assert [tuple(row.values()) for row in merged.conflicts.to_pylist()] == conflicts
            if merged.built is not None:
                assert merged.built.metarange == reference.metarange_id(expected, rule)
    committed.close()


def test_a_merge_of_commits_made_here_reads_dest_alone() -> None:
    rows = {f"{number:05}": Row(bytes(20)) for number in range(3_000)}
    rule = ranges.RULES[0]
    files = MemoryRangeFiles()
    committed = Committed(RangeStore(files, range_bytes_max=0), rule=rule)
    base = _build(committed, rows)
    ours: Changes = {f"{number:05}": Row(b"o" * 20) for number in range(7, 3_000, 500)}
    theirs: Changes = {f"{number:05}": Row(b"t" * 20) for number in range(11, 3_000, 500)}
    source, dest = (
        committed.apply(NAMESPACE, base, batch_of(changes)).metarange for changes in (ours, theirs)
    )
    of_dest = {one.id for one in committed.ranges(NAMESPACE, dest, amount=10_000)}
    files.reads.clear()
    assert len(_diff(committed, base, source)) == len(ours)
    assert files.reads == []
    merged = committed.merge(NAMESPACE, base, source, dest)
    assert merged.built is not None
    assert set(files.reads) <= of_dest
    assert 0 < len(files.reads) <= 2 * len(ours)
    assert content(committed, merged.built.metarange) == {**rows, **ours, **theirs}
    committed.close()


_ROWS: list[Row | None] = [
    None,
    Row(b"a" * 20, address="0" * 32),
    Row(b"a" * 20, address="1" * 32),
    Row(b"b" * 20, address="0" * 32),
    Row(b"b" * 20, address="1" * 32),
    Row(b"c" * 20, checksum2="sha256:c"),
]


@pytest.mark.parametrize("is_shared", [True, False])
def test_all_row_triples(is_shared: bool) -> None:
    """Every triple once: among ranges the sides share, and where they share none."""
    committed, _ = open_committed(ranges.RULES[0])
    sides: tuple[Rows, Rows, Rows] = ({}, {}, {})
    for number, triple in enumerate(itertools.product(_ROWS, repeat=3)):
        for side, (rows, row) in enumerate(zip(sides, triple, strict=True)):
            if row is not None:
                rows[f"{number:03}"] = row
            for more in range(4):
                rows[f"{number:03}/{more}"] = Row(bytes([0 if is_shared else min(side, 1)]) * 20)
    built = [_build(committed, side) for side in sides]
    members = [
        {one.id for one in committed.ranges(NAMESPACE, metarange, amount=10_000)}
        for metarange in built
    ]
    assert bool(members[0] & members[1]) == is_shared
    for strategy in _STRATEGIES:
        expected, conflicts = reference.three_way(*sides, strategy)
        merged = committed.merge(NAMESPACE, *built, strategy=strategy)
        assert [tuple(row.values()) for row in merged.conflicts.to_pylist()] == conflicts
        assert bool(conflicts) == (strategy is None) == (merged.built is None)
        if merged.built is not None:
            assert content(committed, merged.built.metarange) == expected
    committed.close()


def _conflicting(count: int) -> tuple[Committed, list[MetarangeId], list[str]]:
    committed, _ = open_committed(ranges.RULES[0])
    paths = [f"{number:05}" for number in range(count)]
    sides = [
        _build(committed, {path: Row(bytes([side]) * 20) for path in paths}) for side in range(3)
    ]
    return committed, sides, paths


def test_all_conflicts_are_listed_page_by_page() -> None:
    committed, sides, paths = _conflicting(250)
    merged = committed.merge(NAMESPACE, *sides, conflicts_max=100)
    assert merged.built is None
    assert not merged.is_complete
    assert merged.conflicts.column("path").to_pylist() == paths[:100]
    assert committed.merge(NAMESPACE, *sides, conflicts_max=250).is_complete
    assert not committed.merge(NAMESPACE, *sides, conflicts_max=249).is_complete
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        page = committed.conflicts(NAMESPACE, *sides, after=after, amount=60)
        if not page.num_rows:
            break
        assert set(page.column("source_kind").to_pylist()) == {3}
        found += page.column("path").to_pylist()
    assert found == paths
    committed.close()


def test_a_merge_that_conflicts_writes_nothing() -> None:
    rows = {f"{number:05}": Row(bytes(20)) for number in range(500)}
    committed, files = open_committed(ranges.RULES[0])
    base = _build(committed, rows)
    changes: Changes = {f"{number:05}": Row(b"s" * 20) for number in range(0, 500, 9)}
    source = committed.apply(NAMESPACE, base, batch_of(changes)).metarange
    dest = committed.apply(NAMESPACE, base, batch_of({"00495": Row(b"d" * 20)})).metarange
    files.writes.clear()
    merged = committed.merge(NAMESPACE, base, source, dest)
    assert merged.conflicts.to_pylist() == [{"path": "00495", "source_kind": 3, "dest_kind": 3}]
    assert files.writes == []
    committed.close()


def test_a_merge_into_an_unchanged_dest_writes_nothing_and_gives_the_source() -> None:
    rows = {f"{number:05}": Row(bytes(20)) for number in range(2_000)}
    committed, files = open_committed(ranges.RULES[0])
    base = _build(committed, rows)
    changes: Changes = {f"{number:05}": None for number in range(0, 2_000, 99)}
    source = committed.apply(NAMESPACE, base, batch_of(changes, with_tombstones=True)).metarange
    files.writes.clear()
    merged = committed.merge(NAMESPACE, base, source, base)
    assert merged.built is not None
    assert (merged.built.metarange, merged.built.index_writes) == (source, ())
    assert merged.built.counts.removed == len(changes)
    assert files.writes == []
    assert sorted(changes, key=by_path) == [path for _, path in _diff(committed, base, source)]
    committed.close()


def test_a_merge_of_many_changes_streams_them() -> None:
    committed, _ = open_committed(FORMAT_RULE)
    base = _build(committed, {"a": Row(bytes(20))})
    new = {f"m/{number:06}": Row(b"n" * 20) for number in range(120_000)}
    source = _build(committed, {"a": Row(bytes(20)), **new})
    dest = _build(committed, {"a": Row(bytes(20)), "z": Row(bytes(20))})
    merged = committed.merge(NAMESPACE, base, source, dest)
    assert merged.built is not None
    assert merged.built.counts.added == 120_000
    assert merged.built.metarange == _build(
        committed, {"a": Row(bytes(20)), **new, "z": Row(bytes(20))}
    )
    late = _build(committed, {"a": Row(bytes(20)), "m/119999": Row(b"d" * 20)})
    refused = committed.merge(NAMESPACE, base, source, late)
    assert refused.built is None
    assert refused.conflicts.to_pylist() == [{"path": "m/119999", "source_kind": 1, "dest_kind": 1}]
    committed.close()
