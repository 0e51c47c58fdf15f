"""Which paths may be a database's or table's: few judged by Python, many by pyarrow, alike."""

import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel.arrow import compute
from anabranch.warehouse import places
from anabranch.warehouse.merging import on_demand
from anabranch.warehouse.merging.on_demand import owned

_PIECES = (
    *("shop", "a", "1st", "no name", "x" * 64, "x" * 65, "é", "-x"),
    *("_anabranch.db", "_schema.json", "_rowsets", "_labels", "_overwrites", ".", "", "\n", "a\nb"),
)


def pieces() -> st.SearchStrategy[str]:
    own = places.DATABASE_FILE, places.SCHEMA_FILE, places.ROWSETS
    more = places.LABELS, places.OVERWRITES
    return st.one_of(st.sampled_from((*_PIECES, *own, *more)), st.text(max_size=3))


@given(st.lists(st.lists(pieces(), max_size=5).map("/".join), max_size=20))
def test_both_ways_agree(paths: list[str]) -> None:
    array = pa.array(paths, pa.string())
    by_pyarrow = compute().match_substring_regex(array, pattern=on_demand._OWN)
    assert owned(array).to_pylist() == by_pyarrow.to_pylist()


@pytest.mark.parametrize("count", [1, on_demand._ONE_BY_ONE_MAX, on_demand._ONE_BY_ONE_MAX + 1])
def test_any_number_of_paths(count: int) -> None:
    table = f"shop/orders/{places.SCHEMA_FILE}"
    paths = [table, *["data/d000/f000.bin"] * (count - 1)]
    assert owned(pa.array(paths, pa.string())).to_pylist() == [True, *[False] * (count - 1)]


def test_an_end_of_line_is_no_end_of_a_path() -> None:
    file = f"shop/{places.DATABASE_FILE}"
    assert owned(pa.array([file, file + "\n"], pa.string())).to_pylist() == [True, False]


def test_few_paths_do_not_load_what_many_need() -> None:
    text = (
        "import sys, pyarrow as pa\n"
        "from anabranch.warehouse.merging.on_demand import owned\n"
        "assert not owned(pa.array(['data/f.bin'])).true_count\n"
        "assert 'pyarrow.compute' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)
