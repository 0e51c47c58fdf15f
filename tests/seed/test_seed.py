"""The HLL load test end to end, on rows of ../shared where they are, else on our own."""

from pathlib import Path

import pytest

from tests.seed.__main__ import SHARED, make_files, run
from tests.seed.layout import DISTINCT
from tests.seed.reference import Rows


def test_generated_rows_have_the_distinct_counts(tmp_path: Path) -> None:
    rows = Rows.read(make_files(tmp_path, generated=True))
    assert rows.count == 60_015
    found = rows.distinct(tuple(DISTINCT), [range(rows.count)])
    assert found == [tuple(DISTINCT.values())]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nine_cases(tmp_path: Path) -> None:
    run(tmp_path, generated=not SHARED.exists())
