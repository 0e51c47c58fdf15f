"""Every golden file's statements give what they say; every listed function has a golden."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.warehouse.sql.functions.families import FAMILIES
from anabranch.warehouse.sql.transforms.calls import SPECIAL_NAMES
from tests.sql.golden import FILES, Golden, cases, failure


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    made = Golden(Path(tmp_path_factory.mktemp("golden")))
    yield made
    made.engine.close()


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.glob("*.test")))
def test_statements_give_the_documented_results(golden: Golden, name: str) -> None:
    wrong = [failure(golden, case) for case in cases() if case.file == name]
    assert not [text for text in wrong if text], "\n".join(text for text in wrong if text)


def test_every_listed_function_has_a_golden() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES.glob("*.test"))
    called = {name.lower() for name in re.findall(r"([A-Za-z_0-9]+)\s*\(", text)}
    named = {function.name for family in FAMILIES for function in family.functions}
    assert not sorted((named | set(SPECIAL_NAMES)) - called)
