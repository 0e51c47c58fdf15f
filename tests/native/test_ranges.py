"""The native kernels of ranges against their plain reference."""

import itertools

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.kernel.ranges import ENTRY_SCHEMA, NO_ENTRIES, CutRule
from anabranch.native import ranges as native
from anabranch.native.ranges import Cutter, Entries
from tests.support import ranges, reference
from tests.support.ranges import batch_of, changes_of, entries_of, rows_of
from tests.support.reference import Changes, Row, Rows, by_path

texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.integers(0, 2**63 - 1), texts, texts, texts)
def test_identity_agrees_with_the_reference(
    size_bytes: int, checksum: str, content_type: str, metadata: str
) -> None:
    expected = reference.identity(size_bytes, checksum, content_type, metadata)
    assert native.identity(size_bytes, checksum, content_type, metadata) == expected


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), texts, texts, texts)))
def test_identities_by_column_agree_with_single_ones(
    rows: list[tuple[int, str, str, str]],
) -> None:
    columns = [
        pa.array([row[at] for row in rows], pa.string() if at else pa.int64()) for at in range(4)
    ]
    found = native.identities(*columns)
    assert found.type == pa.binary(20)
    assert found.to_pylist() == [reference.identity(*row) for row in rows]
    assert native.identities(*(column.slice(1) for column in columns)) == found.slice(1)


def test_blake3_is_that_of_its_authors() -> None:
    expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert native.blake3(b"").hex() == expected


@given(ranges.tables)
def test_rows_survive_arrow_both_ways(rows: Rows) -> None:
    entries = entries_of(rows)
    assert rows_of(entries) == rows
    assert pa.record_batch(entries).schema == ENTRY_SCHEMA
    assert entries.objects_bytes == sum(row.size_bytes for row in rows.values())


@given(ranges.tables, st.integers(0, 60), st.integers(0, 60))
def test_a_slice_has_the_id_of_its_rows(rows: Rows, start: int, count: int) -> None:
    batch = batch_of(rows)
    kept = sorted(rows, key=by_path)[start : start + count]
    expected = reference.range_id({path: rows[path] for path in kept})
    sliced = Entries.from_arrow(batch.slice(start, count)) if start <= len(rows) else NO_ENTRIES
    assert native.range_id(sliced) == expected
    stop = min(start + count, len(rows))
    assert native.range_id(entries_of(rows).slice(min(start, stop), stop)) == expected


@given(ranges.tables)
def test_every_column_takes_part_in_the_id(rows: Rows) -> None:
    assert native.range_id(entries_of(rows)) == reference.range_id(rows)
    seen = {native.range_id(entries_of(rows))}
    first = min(rows, default=None)
    if first is None:
        return
    for name in ("address", "checksum", "content_type", "metadata", "checksum2"):
        changed = {field: getattr(rows[first], field) for field in Row.__slots__}
        changed[name] += "+"
        seen.add(native.range_id(entries_of({**rows, first: Row(**changed)})))
    for name in ("size_bytes", "mtime_us"):
        changed = {field: getattr(rows[first], field) for field in Row.__slots__}
        changed[name] += 7
        seen.add(native.range_id(entries_of({**rows, first: Row(**changed)})))
    assert len(seen) == 8


def test_a_border_between_texts_changes_the_id() -> None:
    one = entries_of({"a": Row(bytes(20), address="xy", checksum="z")})
    other = entries_of({"a": Row(bytes(20), address="x", checksum="yz")})
    assert native.range_id(one) != native.range_id(other)


def _cut(rows: Rows, rule: CutRule, pieces: list[int]) -> list[tuple[int, bool]]:
    cutter = Cutter(rule.weight_min, rule.slope, rule.weight_max)
    entries = entries_of(rows)
    bounds = sorted({0, len(rows), *(piece for piece in pieces if piece < len(rows))})
    found: list[tuple[int, bool]] = []
    parts: list[Entries] = []
    for start, stop in itertools.pairwise(bounds):
        for cut, is_fallback, end in cutter.add(entries.slice(start, stop)):
            found.append((len(cut), is_fallback))
            parts.append(cut)
            assert end == sum(count for count, _ in found)
        assert cutter.taken == stop
    rest = cutter.finish()
    if rest is not None:
        found.append((len(rest), False))
        parts.append(rest)
    assert ranges.joined(parts) == rows
    assert cutter.finish() is None
    return found


@given(ranges.tables, ranges.rules, st.lists(st.integers(0, 60), max_size=5))
def test_cuts_agree_with_the_reference_however_rows_arrive(
    rows: Rows, rule: CutRule, pieces: list[int]
) -> None:
    assert _cut(rows, rule, pieces) == reference.cuts(rows, rule)


def test_an_entry_past_the_maximum_closes_the_window_and_one_at_it_does_not() -> None:
    rule = CutRule(2, 1, 6)
    six = {f"p{number}": Row(bytes(20)) for number in range(6)}
    assert _cut(six, rule, []) == [(6, False)]
    seven = {**six, "p6": Row(bytes(20))}
    assert len(_cut(seven, rule, [])) == 2
    assert _cut(seven, rule, []) == reference.cuts(seven, rule)


def test_a_row_heavier_than_the_window_ends_its_range() -> None:
    heavy = Row(bytes(20), metadata="m" * 20_000)
    rows = {"a": Row(bytes(20)), "b": heavy, "c": Row(bytes(20))}
    assert _cut(rows, CutRule(3, 1, 6), []) == [(2, False), (1, False)]


def test_cutters_refuse_rules_and_rows_without_meaning() -> None:
    with pytest.raises(ValueError, match="cut rule"):
        Cutter(0, 1, 5)
    with pytest.raises(ValueError, match="cut rule"):
        Cutter(6, 1, 5)
    with pytest.raises(ValueError, match="tombstones"):
        Cutter(1, 1, 5).add(entries_of({"a": None}, with_tombstones=True))


@given(ranges.tables, ranges.changes)
@example({}, {"a/1": None})
def test_merge_agrees_with_the_reference(base: Rows, changes: Changes) -> None:
    expected, counts = reference.merge(base, changes)
    job = (entries_of(base), entries_of(changes, with_tombstones=True), False)
    [merged], found = native.merge_many([job])
    assert rows_of(merged) == expected
    assert found == counts
    assert not merged.has_tombstones


@given(ranges.tables, ranges.changes)
def test_merge_onto_a_cleared_base_keeps_only_changes(base: Rows, changes: Changes) -> None:
    tombstones: Changes = dict.fromkeys(base)
    expected, counts = reference.merge(base, {**tombstones, **changes})
    job = (entries_of(base), entries_of(changes, with_tombstones=True), True)
    [merged], found = native.merge_many([job])
    assert rows_of(merged) == expected
    assert found == counts


@given(st.lists(st.tuples(ranges.tables, ranges.tables), min_size=1, max_size=3))
def test_diff_agrees_with_the_reference(pairs: list[tuple[Rows, Rows]]) -> None:
    expected = [found for left, right in pairs for found in reference.diff(left, right)]
    sides = [(entries_of(left), entries_of(right)) for left, right in pairs]
    batch = pa.record_batch(native.diff_many(sides))
    found = list(
        zip(batch.column("kind").to_pylist(), batch.column("path").to_pylist(), strict=True)
    )
    assert found == [(kind, path) for kind, path, _ in expected]
    assert batch.column("identity").to_pylist() == [row.identity for _, _, row in expected]
    assert batch.column("metadata").to_pylist() == [row.metadata for _, _, row in expected]


@given(
    ranges.tables,
    ranges.changes,
    ranges.changes,
    st.sampled_from([None, "source-wins", "dest-wins"]),
)
def test_three_way_agrees_with_the_reference(
    base: Rows, ours: Changes, theirs: Changes, strategy: str | None
) -> None:
    source, dest = reference.merge(base, ours)[0], reference.merge(base, theirs)[0]
    expected, conflicts = reference.three_way(base, source, dest, strategy)
    codes = {None: 0, "source-wins": 1, "dest-wins": 2}
    changes, batch = native.three_way_many(
        [(entries_of(base), entries_of(source), entries_of(dest))], codes[strategy]
    )
    assert reference.merge(dest, changes_of(changes))[0] == expected
    found = pa.record_batch(batch).to_pylist()
    assert [tuple(row.values()) for row in found] == conflicts


@given(ranges.changes)
def test_staging_rows_agree_with_the_reference(changes: Changes) -> None:
    paths = sorted(changes, key=by_path)
    blobs = [reference.staging_row(changes[path]) for path in paths]
    batch = native.staging_batch([path.encode() for path in paths], blobs)
    assert batch.equals(batch_of(changes, with_tombstones=True))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x02",
        b"\x00\x00",
        b"\x01",
        reference.staging_row(Row(bytes(20), address="a"))[:-1],
        reference.staging_row(Row(bytes(20), address="a")) + b"a",
        reference.staging_row(Row(bytes(20), address="a"))[:-1] + b"\xff",
    ],
)
def test_bytes_that_are_no_staging_row_are_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="staging row"):
        native.staging_batch([b"a"], [blob])


@pytest.mark.parametrize("paths", [[b"b", b"a"], [b"a", b"a"], [b"a", b"\xff"], [b"a"]])
def test_staging_rows_out_of_order_are_refused(paths: list[bytes]) -> None:
    with pytest.raises(ValueError):
        native.staging_batch(paths, [b"\x00", b"\x00"])


@given(ranges.tables, ranges.paths)
def test_lookups_find_what_a_sorted_list_would(rows: Rows, path: str) -> None:
    entries = entries_of(rows)
    keys = sorted(rows, key=by_path)
    assert entries.find(path) == (keys.index(path) if path in rows else None)
    assert entries.lower_bound(path) == sum(by_path(key) < by_path(path) for key in keys)
    assert entries.upper_bound(path) == sum(by_path(key) <= by_path(path) for key in keys)
    for start in range(0, len(keys), 7):
        assert entries.lower_bound(path, start) == max(start, entries.lower_bound(path))


def test_arrow_that_is_no_entries_is_refused() -> None:
    batch = batch_of({"a": Row(bytes(20))})
    for wrong in (
        batch.select(["path", "identity"]),
        batch.set_column(0, "path", pa.array(["a"], pa.large_string())),
        batch.set_column(0, "path", pa.array([None], pa.string())),
        batch.append_column("more", pa.array([1])),
        batch.rename_columns(["p", *batch.schema.names[1:]]),
    ):
        with pytest.raises(ValueError, match="column"):
            Entries.from_arrow(wrong)


def test_rows_past_the_last_one_are_refused() -> None:
    entries = entries_of({"a": Row(bytes(20))})
    for call in (entries.path, entries.row, entries.is_tombstone):
        with pytest.raises(IndexError):
            call(1)
    with pytest.raises(IndexError):
        entries.slice(0, 2)
    with pytest.raises(IndexError):
        entries.slice(1, 0)


@given(ranges.tables, st.sets(st.integers(0, 39)))
def test_rows_taken_are_copies_of_them(rows: Rows, wanted: set[int]) -> None:
    whole = entries_of(rows)
    numbers = [one for one in sorted(wanted) if one < len(whole)]
    taken = whole.take(numbers)
    paths = sorted(rows, key=by_path)
    assert rows_of(taken) == {paths[one]: rows[paths[one]] for one in numbers}


@pytest.mark.parametrize("numbers", [[1, 0], [3], [0, 1, 2, 3]])
def test_rows_that_are_not_there_cannot_be_taken(numbers: list[int]) -> None:
    with pytest.raises(IndexError):
        entries_of({path: Row(bytes(20)) for path in "abc"}).take(numbers)
