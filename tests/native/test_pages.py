"""Pages and rows made natively, against what the lake's own values say."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from anabranch.api.bodies import stat_body
from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Entry
from anabranch.kernel.ids import Address, Namespace
from anabranch.kernel.ranges import entry_at
from anabranch.lake.local_files import checksum_of
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


_names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=9)
_files = st.dictionaries(_names, st.tuples(st.integers(0, 2**40), st.integers(-(2**50), 2**50)))


@given(_files)
def test_rows_of_files_are_those_of_their_entries(files: dict[str, tuple[int, int]]) -> None:
    names = sorted(files, key=str.encode)
    sizes, mtimes = [files[name][0] for name in names], [files[name][1] for name in names]
    base = "local:///srv/d/"
    found = native.file_rows("to/", base, DEFAULT_CONTENT_TYPE, names, sizes, mtimes)
    assert found.paths == [f"to/{name}" for name in names]
    assert not found.has_tombstones
    for row, name in enumerate(names):
        size_bytes, mtime_us = files[name]
        uri = base + name
        checksum = checksum_of(uri, size_bytes, mtime_us)
        expected = Entry(Address(uri), checksum, size_bytes, mtime_us, DEFAULT_CONTENT_TYPE)
        assert entry_at(found, row) == expected
