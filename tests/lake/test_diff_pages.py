"""Pages of differences as columns, against all differences cut where a page ends."""

from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel.ranges import CutRule
from anabranch.lake.diffs import changes_page
from anabranch.lake.rows import changes_of
from tests.support import ranges
from tests.support.ranges import NAMESPACE, batch_of, open_committed
from tests.support.reference import Rows


@given(ranges.rules, ranges.tables, ranges.tables, st.integers(1, 12))
def test_pages_are_the_differences_in_order(
    rule: CutRule, left: Rows, right: Rows, amount: int
) -> None:
    committed, _ = open_committed(rule)
    sides = [committed.build(NAMESPACE, iter([batch_of(rows)])).metarange for rows in (left, right)]
    expected = [
        change for batch in committed.diff(NAMESPACE, *sides) for change in changes_of(batch)
    ]
    found = []
    after = ""
    while True:
        page = changes_page(committed.diff(NAMESPACE, *sides, after=after), amount)
        changes = [change for batch in page.batches for change in changes_of(batch)]
        assert len(changes) == page.count <= amount
        found += changes
        if page.next_after is None:
            break
        assert page.count == amount
        assert len(found) < len(expected)
        after = page.next_after
        assert after == found[-1].path
    assert found == expected
    committed.close()
