"""The native splitter against the plain reader, however the bytes come."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.native.loading import CsvSplitter, JsonCutter
from tests.support.reference_csv import CsvRead, CsvRules, read

PIECES = st.sampled_from(
    [b"a", b"bc", b",", b"\n", b'"', b"\\", b"\\N", b"\r", b"\r\n", b"::", b":", b"\xc3\xa9",
     b"\xff", b"", b"1", b'""', b'","', b"|", b'"\n'],
)  # fmt: skip


def split(rules: CsvRules, data: bytes, step: int) -> CsvRead:
    splitter = CsvSplitter(
        rules.columns,
        rules.separator,
        rules.delimiter,
        enclose=rules.enclose[0] if rules.enclose else None,
        escape=rules.escape[0] if rules.escape else None,
        trims_quotes=rules.trims_quotes,
        skip_lines=rules.skip_lines,
        line_bytes_max=1 << 20,
        bad_max=1000,
        bad_bytes_max=100,
    )
    found = CsvRead()
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    for batch, bad in (*(splitter.feed(part) for part in parts), splitter.finish()):
        rows = pa.record_batch(batch)
        rows.validate(full=True)
        texts = [column.to_pylist() for column in rows.columns]
        found.rows += [(row[-1], row[:-1]) for row in zip(*texts, strict=True)]
        found.bad += [(row, columns) for row, columns, _ in bad]
    assert splitter.bad_count == len(found.bad)
    assert splitter.next_row == len(found.bad) + len(found.rows)
    return found


@settings(max_examples=400, deadline=None)
@given(
    st.lists(PIECES, max_size=25).map(b"".join),
    st.builds(
        CsvRules,
        st.integers(1, 3),
        st.sampled_from([b",", b"::", b"|"]),
        st.sampled_from([b"\n", b"\r\n", b"|\n"]),
        st.sampled_from([b"", b'"']),
        st.sampled_from([b"", b"\\"]),
        st.booleans(),
        st.integers(0, 2),
    ),
    st.integers(1, 30),
)
def test_rows_are_those_of_the_plain_reader(data: bytes, rules: CsvRules, step: int) -> None:
    assert split(rules, data, step) == read(rules, data)


def test_a_splitter_works_wherever_python_puts_it() -> None:
    # Its searchers load vectors of 32 bytes, and Python aligns objects to 16.
    splitters = [
        CsvSplitter(2, b"::", b"|\n", line_bytes_max=1000, bad_max=1, bad_bytes_max=1)
        for _ in range(64)
    ]
    for splitter in splitters:
        rows = pa.record_batch(splitter.feed(b"a" * 100 + b"::b|\n")[0])
        assert rows.to_pylist() == [{"f0": "a" * 100, "f1": "b", "row": 0}]


def test_a_byte_order_mark_is_no_text() -> None:
    assert split(CsvRules(1), b"\xef\xbb\xbfa\nb", 2).rows == [(0, ("a",)), (1, ("b",))]


def test_limits_and_wrong_settings_are_refused() -> None:
    def small(separator: bytes, delimiter: bytes) -> CsvSplitter:
        return CsvSplitter(1, separator, delimiter, line_bytes_max=10, bad_max=1, bad_bytes_max=3)

    splitter = small(b",", b"\n")
    assert splitter.feed(b"a,b\nc,d\n")[1] == [(0, 2, b"a,b")]
    assert splitter.bad_count == 2
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        splitter.feed(b"x" * 11)
    with pytest.raises(ValueError, match="not empty"):
        small(b"", b"\n")
    with pytest.raises(ValueError, match="the same"):
        small(b"\n", b"\n")
    with pytest.raises(ValueError, match="longer than 3 bytes"):
        JsonCutter(False, 3).feed(b'"abcdef"')
    with pytest.raises(ValueError, match="closes what is not open"):
        JsonCutter(False, 3).feed(b"}")
