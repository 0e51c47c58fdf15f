"""The notebook itself, on both Sparks, against a fresh server; `make notebook` does the same."""

from pathlib import Path

import pytest

from tests.notebook.__main__ import run
from tests.notebook.expectation import SPARKS
from tests.notebook.layout import DATA, SEED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


@pytest.mark.skipif(
    not (SEED.exists() and DATA.exists()),
    reason="needs the notebook and its data in ../shared, which a clone does not have",
)
@pytest.mark.parametrize("spark", SPARKS)
def test_every_cell_prints_what_it_should(spark: str, tmp_path: Path) -> None:
    _, differences = run(spark, tmp_path)
    assert not differences, "\n".join(map(str, differences))
