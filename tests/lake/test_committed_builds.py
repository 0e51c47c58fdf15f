"""Building metaranges: whatever the history, equal rows give equal ranges."""

import itertools
import random
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel.ids import MetarangeId
from anabranch.kernel.ranges import FORMAT_RULE, CutRule, Interval, RangeRecord, join_intervals
from anabranch.lake.committed import Committed
from anabranch.lake.range_store import RangeStore
from anabranch.lake.rebuilding import Built
from tests.support import ranges, reference
from tests.support.ranges import NAMESPACE, batch_of, content, open_committed
from tests.support.reference import Changes, Row, Rows, by_path

_EMPTY = MetarangeId("")


def _records(committed: Committed, metarange: MetarangeId) -> list[RangeRecord]:
    return committed.ranges(NAMESPACE, metarange, amount=100_000)


def _expect_scratch(committed: Committed, built: Built, rows: Rows, rule: CutRule) -> None:
    """Compare with what the reference makes of all rows."""
    cuts = [(one.count, one.is_fallback) for one in _records(committed, built.metarange)]
    assert cuts == reference.cuts(rows, rule)
    assert built.metarange == reference.metarange_id(rows, rule)
    assert content(committed, built.metarange) == rows


def _applied(committed: Committed, base: MetarangeId, changes: Changes) -> Built:
    return committed.apply(NAMESPACE, base, batch_of(changes, with_tombstones=True))


@given(ranges.rules, ranges.tables, st.lists(ranges.changes, min_size=1, max_size=4))
def test_any_history_gives_the_ranges_of_a_build_from_scratch(
    rule: CutRule, rows: Rows, history: list[Changes]
) -> None:
    committed, _ = open_committed(rule)
    built = committed.build(NAMESPACE, iter([batch_of(rows)]))
    _expect_scratch(committed, built, rows, rule)
    for changes in history:
        rows, counts = reference.merge(rows, changes)
        built = _applied(committed, built.metarange, changes)
        found = built.counts
        assert (found.added, found.changed, found.removed, found.unchanged) == counts
        assert built.is_change == any(counts[:3])
        _expect_scratch(committed, built, rows, rule)
    committed.close()


@pytest.mark.parametrize("rule", ranges.RULES)
@pytest.mark.parametrize("seed", range(2))
def test_long_random_histories_stay_equal_to_scratch(rule: CutRule, seed: int) -> None:
    random_source = random.Random(seed)
    names = [f"{number:05}" for number in range(400)]
    committed, _ = open_committed(rule)
    rows: Rows = {name: Row(bytes(20)) for name in random_source.sample(names, 200)}
    built = committed.build(NAMESPACE, iter([batch_of(rows)]))
    for step in range(10):
        start = random_source.randrange(300)
        near = names[start : start + random_source.choice([3, 40, 100])]
        count = random_source.choice([1, 2, 20])
        picked = random_source.sample(near if step % 2 else names, min(count, len(near)))
        changes: Changes = {
            name: None if random_source.random() < 0.5 else Row(bytes([step]) * 20)
            for name in picked
        }
        rows, _ = reference.merge(rows, changes)
        built = _applied(committed, built.metarange, changes)
        _expect_scratch(committed, built, rows, rule)
    committed.close()


@given(ranges.rules, ranges.tables, st.lists(st.integers(0, 60), max_size=5))
def test_how_rows_are_split_into_batches_does_not_matter(
    rule: CutRule, rows: Rows, bounds: list[int]
) -> None:
    committed, _ = open_committed(rule)
    batch = batch_of(rows)
    marks = sorted({0, len(rows), *(bound for bound in bounds if bound < len(rows))})

    def parts() -> Iterator[pa.RecordBatch]:
        for start, stop in itertools.pairwise(marks):
            yield batch.slice(start, stop - start)
        yield batch.slice(0, 0)

    built = committed.build(NAMESPACE, parts())
    _expect_scratch(committed, built, rows, rule)
    assert committed.apply(NAMESPACE, _EMPTY, parts()).metarange == built.metarange
    committed.close()


def test_one_change_reads_and_writes_one_range_and_the_metarange() -> None:
    rows = {f"{number:05}": Row(bytes(20)) for number in range(3_000)}
    rule = ranges.RULES[0]
    committed, files = open_committed(rule)
    base = committed.build(NAMESPACE, iter([batch_of(rows)])).metarange
    quiet = noisy = 0
    for number in random.Random(7).sample(range(3_000), 40):
        cold = Committed(RangeStore(files), rule=rule)
        files.reads.clear()
        files.writes.clear()
        built = _applied(cold, base, {f"{number:05}": Row(b"x" * 20)})
        assert len(built.index_writes) == len(files.writes) == 2
        assert len(files.reads) in (2, 3, 4, 5)
        quiet += len(files.reads) == 2
        noisy += len(files.reads) > 2
        cold.close()
    assert quiet > noisy, "only a fallback near by makes a change read its neighbours"
    committed.close()


def test_rows_of_equal_content_are_taken_and_are_no_change() -> None:
    committed, _ = open_committed(FORMAT_RULE)
    old = Row(b"i" * 20, address="0" * 32, mtime_us=1)
    new = Row(b"i" * 20, address="1" * 32, mtime_us=2)
    base = committed.build(NAMESPACE, iter([batch_of({"a": old})])).metarange
    built = _applied(committed, base, {"a": new})
    assert not built.is_change
    assert built.counts.unchanged == 1
    assert content(committed, built.metarange) == {"a": new}
    same = _applied(committed, base, {"a": old, "b": None})
    assert (same.metarange, same.index_writes) == (base, ())
    committed.close()


def test_nothing_and_tombstones_that_hit_nothing_change_nothing() -> None:
    committed, files = open_committed(FORMAT_RULE)
    base = committed.build(NAMESPACE, iter([batch_of({"b": Row(bytes(20))})])).metarange
    files.writes.clear()
    for changes in ({}, {"a": None}, {"c": None}, {"a": None, "c": None}):
        built = _applied(committed, base, dict(changes))
        assert built.metarange == base
        assert not built.is_change
    assert _applied(committed, _EMPTY, {"a": None}).metarange == _EMPTY
    assert _applied(committed, base, {"b": None}).metarange == _EMPTY
    assert files.writes == []
    committed.close()


def test_only_reachable_ranges_are_reused_unwritten() -> None:
    committed, files = open_committed(FORMAT_RULE)
    one, two = {"a": Row(bytes(20))}, {"a": Row(b"2" * 20)}
    first = committed.build(NAMESPACE, iter([batch_of(one)])).metarange
    second = committed.build(NAMESPACE, iter([batch_of(two)])).metarange
    files.writes.clear()
    # Both files of the result exist, and nothing reachable from the base holds them.
    built = committed.apply(NAMESPACE, first, batch_of(two))
    assert built.metarange == second
    assert len(built.index_writes) == len(files.writes) == 2
    files.writes.clear()
    again = committed.apply(NAMESPACE, first, batch_of(two), reusable={first, second})
    assert (again.metarange, again.index_writes, files.writes) == (second, (), [])
    committed.close()


@given(
    ranges.rules,
    ranges.tables,
    ranges.tables,
    st.lists(st.sampled_from(["", "a/", "b", "b/", "b/c/", "ö/", "q"]), max_size=3),
    st.lists(ranges.paths, max_size=2),
)
def test_replace_drops_what_lies_under_prefixes_and_adds_rows(
    rule: CutRule, rows: Rows, added: Rows, prefixes: list[str], paths: list[str]
) -> None:
    committed, _ = open_committed(rule)
    base = committed.build(NAMESPACE, iter([batch_of(rows)])).metarange
    dropped: Changes = {
        path: None for path in rows if path in paths or path.startswith(tuple(prefixes))
    }
    expected, counts = reference.merge(rows, {**dropped, **added})
    built = committed.replace_under(
        NAMESPACE, base, iter([batch_of(added)]), prefixes=prefixes, paths=paths
    )
    found = built.counts
    assert (found.added, found.changed, found.removed, found.unchanged) == counts
    _expect_scratch(committed, built, expected, rule)
    committed.close()


def test_replace_drops_whole_ranges_unread() -> None:
    rows = {f"{folder}/{number:04}": Row(bytes(20)) for folder in "abc" for number in range(500)}
    rule = ranges.RULES[0]
    committed, files = open_committed(rule)
    base = committed.build(NAMESPACE, iter([batch_of(rows)])).metarange
    cold = Committed(RangeStore(files), rule=rule)
    files.reads.clear()
    built = cold.replace_under(NAMESPACE, base, iter([]), prefixes=["b/"])
    assert built.counts.removed == 500
    assert len(files.reads) < 12
    assert content(committed, built.metarange) == {
        path: row for path, row in rows.items() if not path.startswith("b/")
    }
    cold.close()
    committed.close()


def test_a_stream_longer_than_its_memory_falls_into_one_range() -> None:
    """More rows than are merged at a time, between two rows of one old range."""
    old = {path: Row(bytes(20)) for path in ("a", "b", "y", "z")}
    committed, _ = open_committed(FORMAT_RULE)
    base = committed.build(NAMESPACE, iter([batch_of(old)])).metarange
    new = {f"m/{number:06}": Row(b"n" * 20) for number in range(150_000)}
    batch = batch_of({**new, "b": Row(b"b" * 20)})
    parts = (batch.slice(start, 40_000) for start in range(0, len(batch), 40_000))
    built = committed.apply(NAMESPACE, base, parts)
    assert (built.counts.added, built.counts.changed) == (150_000, 1)
    scratch = committed.build(NAMESPACE, iter([batch_of({**old, **new, "b": Row(b"b" * 20)})]))
    assert built.metarange == scratch.metarange
    committed.close()


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.none() | st.sampled_from("abcdefgh")), max_size=6
    )
)
def test_joined_intervals_hold_the_same_paths(bounds: list[tuple[str, str | None]]) -> None:
    intervals = [Interval(start, end) for start, end in bounds if end is None or start < end]
    joined = join_intervals(intervals)
    for path in "abcdefghi":
        expected = any(interval.contains(path, path) for interval in intervals)
        assert sum(interval.contains(path, path) for interval in joined) == expected
    assert [one.start for one in joined] == sorted((one.start for one in joined), key=by_path)
