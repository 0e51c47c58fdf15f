"""The allow-list and its documentation say the same."""

import re
from pathlib import Path

from anabranch.warehouse.sql.functions.families import FAMILIES, macro_statements
from anabranch.warehouse.sql.transforms.calls import SPECIAL_NAMES
from anabranch.warehouse.sql.transforms.relations import GENERATOR_NAMES

DOCUMENT = Path(__file__).parents[2] / "docs" / "sql" / "functions.md"
_ROW = re.compile(r"^\| `(\w+)", re.M)


def test_every_function_is_documented_and_nothing_else() -> None:
    documented = _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(documented) == len(set(documented))
    listed = {function.name for family in FAMILIES for function in family.functions}
    assert set(documented) == listed | set(SPECIAL_NAMES) | set(GENERATOR_NAMES) | {"numbers"}


def test_documented_rows_are_the_lists() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for family in FAMILIES:
        for function in family.functions:
            assert f"| `{function.signature}` | {function.summary} |" in text


def test_macros_have_names_of_their_own() -> None:
    statements = macro_statements()
    assert all(statement.startswith("CREATE MACRO doris_") for statement in statements)
    assert len({statement.split("(")[0] for statement in statements}) == len(statements)
