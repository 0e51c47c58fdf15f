"""Pages made natively, against what the lake's own values say."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from anabranch.api.bodies import stat_body
from anabranch.kernel.ids import Namespace
from anabranch.kernel.ranges import entry_at
from anabranch.lake.values import Stat, physical_address
from anabranch.native import ranges as native
from tests.support import ranges
from tests.support.ranges import entries_of
from tests.support.reference import Rows

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
