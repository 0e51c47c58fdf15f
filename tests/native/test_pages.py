"""Pages made natively, against what the lake's own values say."""

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.api.bodies import diff_body, stat_body
from anabranch.kernel.ids import Namespace
from anabranch.kernel.ranges import entry_at
from anabranch.lake.rows import changes_of
from anabranch.lake.values import Stat, physical_address
from anabranch.native import ranges as native
from tests.support import ranges
from tests.support.ranges import entries_of
from tests.support.reference import Row, Rows

_NAMESPACE = Namespace('local://b/"n"')


@given(ranges.tables, st.booleans())
def test_a_page_as_json_is_that_of_its_values(rows: Rows, with_metadata: bool) -> None:
    entries = entries_of(rows)
    bodies = []
    for row in range(len(entries)):
        entry = entry_at(entries, row)
        stat = Stat(entries.path(row), entry, physical_address(_NAMESPACE, entry.address))
        bodies.append(stat_body(stat, with_metadata=with_metadata))
    found = native.stats_json(entries, _NAMESPACE, with_metadata)
    assert msgspec.json.decode(found) == msgspec.json.decode(msgspec.json.encode(bodies))


@given(st.lists(st.tuples(ranges.tables, ranges.tables), max_size=3), st.booleans())
def test_differences_as_json_are_those_of_their_values(
    sides: list[tuple[Rows, Rows]], with_right: bool
) -> None:
    batches = [
        pa.record_batch(native.diff_many([(entries_of(left), entries_of(right))]))
        for left, right in sides
    ]
    # Pages end inside a batch, so slices count too.
    batches += [batch.slice(1, 3) for batch in batches]
    bodies = [
        diff_body(change, with_right=with_right)
        for batch in batches
        for change in changes_of(batch)
    ]
    assert native.diffs_json(batches, with_right) == msgspec.json.encode(bodies)


def test_columns_that_are_no_differences_are_refused() -> None:
    batch = pa.record_batch(native.diff_many([(entries_of({}), entries_of({"a": Row(bytes(20))}))]))
    kinds = pa.array([4], pa.int8())
    for wrong in (
        pa.record_batch(entries_of({})),
        batch.select(["kind", "left_size_bytes", "right_size_bytes"]),
        batch.set_column(0, "kind", kinds),
        batch.drop_columns("checksum2"),
    ):
        with pytest.raises(ValueError):
            native.diffs_json([wrong], False)
