"""Lookups, pages and scans of committed metadata, its cache, and what broken files do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import codec, limits
from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import MetarangeId
from anabranch.kernel.ranges import FORMAT_RULE, CutRule, cut_rule
from anabranch.lake.committed import Committed
from anabranch.lake.range_store import BoundedCache, RangeStore
from tests.support import ranges
from tests.support.ranges import (
    NAMESPACE,
    MemoryRangeFiles,
    batch_of,
    content,
    entries_of,
    open_committed,
    rows_of,
)
from tests.support.reference import Row, Rows, by_path

_SMALL = ranges.RULES[0]


def _built(rows: Rows, rule: CutRule = _SMALL) -> tuple[Committed, MemoryRangeFiles, MetarangeId]:
    committed, files = open_committed(rule)
    return committed, files, committed.build(NAMESPACE, iter([batch_of(rows)])).metarange


def _many(count: int) -> Rows:
    return {f"p/{number:04}": Row(bytes(20), address=f"{number:032}") for number in range(count)}


@given(ranges.tables, st.lists(ranges.paths, max_size=8))
def test_lookups_agree_with_a_dict(rows: Rows, paths: list[str]) -> None:
    committed, _, metarange = _built(rows)
    found = committed.get_many(NAMESPACE, metarange, paths)
    assert found == [committed.get(NAMESPACE, metarange, path) for path in paths]
    for path, entry in zip(paths, found, strict=True):
        if path not in rows:
            assert entry is None
            continue
        assert entry is not None
        assert (entry.address, entry.size_bytes) == (rows[path].address, rows[path].size_bytes)
        assert entry.identity == rows[path].identity
        following = min((key for key in rows if key >= path), key=by_path)
        assert committed.first_at_or_after(NAMESPACE, metarange, path) == (following, entry)
    assert committed.first_at_or_after(NAMESPACE, metarange, "\U0010ffff") is None
    committed.close()


@given(ranges.tables, st.sampled_from(["", "a", "b/", "ö", "none"]), ranges.paths, ranges.paths)
def test_scans_agree_with_a_sorted_list(rows: Rows, prefix: str, low: str, high: str) -> None:
    committed, _, metarange = _built(rows)
    under = [path for path in sorted(rows, key=by_path) if path.startswith(prefix)]

    def scanned(*, start: str = "", after: str = "", until: str | None = None) -> list[str]:
        batches = committed.scan(
            NAMESPACE, metarange, prefix=prefix, start=start, after=after, until=until
        )
        return [path for batch in batches for path in rows_of(batch)]

    assert scanned() == under
    assert scanned(start=low) == [path for path in under if path >= low]
    assert scanned(after=low) == [path for path in under if path > low]
    assert scanned(until=high) == [path for path in under if path < high]
    assert scanned(start=low, until=high) == [path for path in under if low <= path < high]
    for amount in (0, 1, 5, 1_000):
        page = committed.page(NAMESPACE, metarange, prefix=prefix, after=low, amount=amount)
        assert list(rows_of(page)) == [path for path in under if path > low][:amount]
    committed.close()


def test_the_empty_metarange_needs_no_file() -> None:
    committed, files = open_committed(FORMAT_RULE)
    empty = MetarangeId("")
    assert committed.build(NAMESPACE, iter([])).metarange == empty
    assert committed.get(NAMESPACE, empty, "a") is None
    assert committed.first_at_or_after(NAMESPACE, empty, "a") is None
    assert content(committed, empty) == {}
    assert len(committed.page(NAMESPACE, empty, amount=5)) == 0
    assert committed.stats(NAMESPACE, empty).count == 0
    assert committed.ranges(NAMESPACE, empty, amount=5) == []
    assert list(committed.diff(NAMESPACE, empty, empty)) == []
    assert files.reads == files.writes == []
    committed.close()


def test_stats_and_ranges_read_no_range() -> None:
    rows = {path: Row(bytes(20), size_bytes=3) for path in _many(100)}
    committed, files, metarange = _built(rows)
    cold = Committed(RangeStore(files), rule=_SMALL)
    files.reads.clear()
    stats = cold.stats(NAMESPACE, metarange)
    assert (stats.count, stats.size_bytes) == (100, 300)
    records = cold.ranges(NAMESPACE, metarange, amount=1_000)
    assert sum(record.count for record in records) == 100
    assert [record.first for record in records] == sorted(record.first for record in records)
    paged = cold.ranges(NAMESPACE, metarange, amount=2)
    paged += cold.ranges(NAMESPACE, metarange, after=paged[-1].last, amount=1_000)
    assert paged == records
    assert files.reads == [metarange]
    cold.close()
    committed.close()


def test_a_point_lookup_reads_one_range_once() -> None:
    committed, files, metarange = _built(_many(200))
    cold = Committed(RangeStore(files), rule=_SMALL)
    files.reads.clear()
    for _ in range(3):
        assert cold.get(NAMESPACE, metarange, "p/0100") is not None
    assert len(files.reads) == 2
    assert cold.get(NAMESPACE, metarange, "a") is None
    assert cold.get(NAMESPACE, metarange, "z") is None
    assert len(files.reads) == 2
    cold.close()
    committed.close()


def test_a_store_without_room_still_answers() -> None:
    committed, files, metarange = _built(_many(100))
    cold = Committed(RangeStore(files, range_bytes_max=0, metarange_bytes_max=0), rule=_SMALL)
    assert content(cold, metarange) == _many(100)
    cold.close()
    committed.close()


def test_the_cache_keeps_what_was_used_last() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.find("a") == 1
    cache.put("c", 3, 4)
    assert cache.find("b") is None
    assert cache.find("a") == 1
    cache.put("a", 5, 10)
    assert (cache.find("a"), cache.find("c"), cache.size_bytes) == (5, None, 10)
    cache.put("d", 6, 11)
    assert cache.find("d") is None
    assert cache.find("a") == 5


def test_a_missing_file_is_named() -> None:
    committed, files, metarange = _built(_many(50))
    [record, *_] = committed.ranges(NAMESPACE, metarange, amount=1)
    del files.files[NAMESPACE, record.id]
    cold = Committed(RangeStore(files), rule=_SMALL)
    with pytest.raises(Corrupted) as caught:
        cold.get(NAMESPACE, metarange, "p/0000")
    assert caught.value.kind is Kind.RANGE_LOST
    with pytest.raises(Corrupted):
        list(cold.scan(NAMESPACE, metarange))
    with pytest.raises(Corrupted):
        cold.stats(NAMESPACE, MetarangeId("0" * 64))
    cold.close()
    committed.close()


@pytest.mark.parametrize("damage", ["other rows", "cut short", "a bit", "empty", "a metarange"])
def test_a_damaged_range_is_never_believed(damage: str) -> None:
    committed, files, metarange = _built(_many(50))
    [record, *_] = committed.ranges(NAMESPACE, metarange, amount=1)
    data = files.files[NAMESPACE, record.id]
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 4
    files.files[NAMESPACE, record.id] = {
        "other rows": codec.encode_range(entries_of({"a": Row(bytes(20))})),
        "cut short": data[:-9],
        "a bit": bytes(flipped),
        "empty": b"",
        "a metarange": files.files[NAMESPACE, metarange],
    }[damage]
    cold = Committed(RangeStore(files), rule=_SMALL)
    with pytest.raises(Corrupted) as caught:
        cold.get(NAMESPACE, metarange, "p/0000")
    assert caught.value.kind is Kind.RANGE_CHECKSUM
    cold.close()
    committed.close()


def test_a_damaged_metarange_is_never_believed() -> None:
    committed, files, metarange = _built(_many(50))
    other = committed.build(NAMESPACE, iter([batch_of(_many(9))])).metarange
    [record, *_] = committed.ranges(NAMESPACE, metarange, amount=1)
    for wrong in (other, record.id):
        files.files[NAMESPACE, "0" * 64] = files.files[NAMESPACE, wrong]
        with pytest.raises(Corrupted) as caught:
            committed.stats(NAMESPACE, MetarangeId("0" * 64))
        assert caught.value.kind is Kind.RANGE_CHECKSUM
    committed.close()


def test_the_rule_of_the_format_is_what_its_averages_give() -> None:
    found = cut_rule(limits.RANGE_WEIGHT_MIN, limits.RANGE_WEIGHT_AVERAGE, limits.RANGE_WEIGHT_MAX)
    assert (found.weight_min, found.weight_max) == (FORMAT_RULE.weight_min, FORMAT_RULE.weight_max)
    assert found.slope == pytest.approx(FORMAT_RULE.slope, rel=1e-9)
    assert FORMAT_RULE.slope == 3_068_843_483_582


def test_ranges_of_the_format_have_about_the_average_size() -> None:
    rows = {f"data/{number:07}": Row(bytes(20)) for number in range(60_000)}
    committed, _, metarange = _built(rows, FORMAT_RULE)
    records = committed.ranges(NAMESPACE, metarange, amount=1_000)
    assert 12 <= len(records) <= 18
    assert all(record.count >= 1_024 for record in records[:-1])
    assert not any(record.is_fallback for record in records)
    committed.close()
