"""The HLL load test end to end, on the seed's rows and on rows of our own; `make seed-hll`."""

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
@pytest.mark.parametrize("generated", [False, True], ids=["shared", "generated"])
def test_nine_cases(generated: bool, tmp_path: Path) -> None:
    if not generated and not SHARED.exists():
        pytest.skip("needs the data in ../shared, which a clone does not have")
    run(tmp_path, generated=generated)
