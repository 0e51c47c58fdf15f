"""The comparison accepts every right run and sees every wrong one.

Once on a small run of our own, always; once on what the notebook should print, where it is there.
"""

from dataclasses import replace

import pytest

from tests.notebook.comparison import CellOutput, Difference, compare
from tests.notebook.expectation import AFTER, JUDGEMENTS, SPARKS, Expected, expected_outputs
from tests.notebook.layout import PIP, SEED, Kind, read_cells
from tests.notebook.recording import mutants, recorded

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
SUCCESS, DATA, NEW = "a1" * 16, "b2" * 16, "c3" * 16
OLD_PART = "part-00000-11111111-2222-4333-8444-555555555555-c000.snappy.parquet"
NEW_PART = "part-00000-99999999-2222-4333-8444-555555555555-c000.snappy.parquet"
FIRST, SECOND = "12" * 32, "34" * 32


def entry(path: str, key: str, checksum: str, size_bytes: int) -> str:
    """Return an entry of a listing as Python prints it."""
    return (
        f"{{'checksum': '{checksum}',\n  'mtime': 1650000001,\n  'path': 't/{path}',\n"
        f"  'physical_address': 's3://lake/{key}',\n  'size_bytes': {size_bytes}}}"
    )


def listed(key: str, size_bytes: int) -> str:
    """Return a line of a raw listing."""
    return f"2024-02-29 12:00:01.250000+00:00 {key} {size_bytes}"


BRANCH = (
    f"[{entry('_SUCCESS', SUCCESS, EMPTY, 0)},\n {entry(OLD_PART, DATA, '5a' * 16, 70)},\n"
    f" {entry(NEW_PART, NEW, '6b' * 16, 90)}]"
)
OWN = (
    Expected("1", Kind.NONE, ""),
    Expected(
        "2", Kind.TEXT, "-RECORD 0----\n id   | 1\n name | Ada\nonly showing top 1 row\n\n\nNone"
    ),
    Expected(
        "3",
        Kind.VALUES,
        f"[{entry('_SUCCESS', SUCCESS, EMPTY, 0)},\n {entry(OLD_PART, DATA, '5a' * 16, 70)}]",
    ),
    Expected(
        "4",
        Kind.LISTING,
        "\n".join([listed(SUCCESS, 0), listed(DATA, 70), listed("cc" * 16, 0), listed("dummy", 7)]),
    ),
    Expected(
        "5",
        Kind.VALUES,
        f"{{'creation_date': 1650000099,\n 'id': '{FIRST}',\n 'parents': ['{SECOND}']}}",
    ),
    Expected("6", Kind.VALUES, f"'{FIRST}'"),
    Expected("7", Kind.VALUES, "'dev'\n\n'main'"),
    Expected("8", Kind.VALUES, BRANCH),
    Expected(
        "9",
        Kind.LISTING,
        "\n".join(
            [
                listed("_lakefs/" + "77" * 32, 1239),
                *[listed(SUCCESS, 0), listed(DATA, 70), listed(NEW, 90), listed("cc" * 16, 0)],
                listed("dummy", 7),
            ]
        ),
    ),
    Expected("10", Kind.VALUES, BRANCH),  # so that no name is shown once
)


def cases() -> list[tuple[str, tuple[Expected, ...]]]:
    """Return our own run and, where the notebook is, those of both Sparks."""
    found: list[tuple[str, tuple[Expected, ...]]] = [("own", OWN)]
    if SEED.exists():
        cells = read_cells()
        found += [(spark, tuple(expected_outputs(cells, spark))) for spark in SPARKS]
    return found


@pytest.fixture(params=["own", *SPARKS])
def expected(request: pytest.FixtureRequest) -> tuple[Expected, ...]:
    """What one of the runs should print, or skip."""
    found = dict(cases()).get(request.param)
    if found is None:
        pytest.skip("needs the notebook in ../shared, which a clone does not have")
    return found


def test_a_right_run_is_accepted_whatever_its_random_names(expected: tuple[Expected, ...]) -> None:
    for salt in ("", "a", "bb", "ccc", "dddd", "5", "six", "se7en"):
        assert list(compare(expected, recorded(expected, salt))) == []


def test_every_mutant_is_seen(expected: tuple[Expected, ...]) -> None:
    found = list(mutants(expected, recorded(expected, "salt")))
    survivors = [
        f"In [{each.label}] {each.what}"
        for each in found
        if not any(compare(expected, each.outputs))
    ]
    assert survivors == []
    # No cell escapes, and output can be wrong in more ways than "raises" and "does not run".
    for each in expected:
        count = sum(1 for mutant in found if mutant.label == each.label)
        assert count >= (3 if each.kind is Kind.NONE else 6)


def test_a_cell_without_output_may_not_print(expected: tuple[Expected, ...]) -> None:
    right = recorded(expected, "salt")
    silent = [index for index, each in enumerate(expected) if not each.text]
    assert silent
    for index in silent:
        wrong = [*right]
        wrong[index] = replace(right[index], text="WARN something")
        (difference,) = compare(expected, wrong)
        assert difference == Difference(right[index].label, (), ("WARN something",))


def test_an_unknown_cell_is_seen() -> None:
    outputs = [*recorded(OWN, "x"), CellOutput("99", "")]
    assert [each.label for each in compare(OWN, outputs)] == ["99"]


def test_a_difference_shows_both_sides() -> None:
    outputs = recorded(OWN, "x")
    outputs[6] = replace(outputs[6], text="'main'")
    (difference,) = compare(OWN, outputs)
    assert str(difference).splitlines()[0] == "In [7]"
    assert "-'dev'" in str(difference).splitlines()


def test_sizes_of_metadata_and_dates_are_free() -> None:
    outputs = recorded(OWN, "x")
    outputs[8] = replace(outputs[8], text=outputs[8].text.replace(" 1239", " 5"))
    outputs[3] = replace(outputs[3], text=outputs[3].text.replace("12:00:01.250000", "23:59:59"))
    outputs[4] = replace(outputs[4], text=outputs[4].text.replace("1650000", "1999999"))
    assert not any(compare(OWN, outputs))


def test_pip_may_only_say_that_it_has_everything() -> None:
    wanted = Expected(PIP, Kind.REQUIREMENTS, "Requirement already satisfied: a\n")
    said = "Requirement already satisfied: a in /x (1.0)\r\n"
    needed = "Requirement already satisfied: b>=2 in /x (from a) (2.0)\r\n"
    assert not any(compare([wanted], [CellOutput(PIP, said + needed)]))
    for wrong in ("", needed, said + said, said + "Collecting c\n", "ERROR: no a\n"):
        assert any(compare([wanted], [CellOutput(PIP, wrong)]))


@pytest.mark.skipif(not SEED.exists(), reason="needs the notebook in ../shared")
def test_judgements_change_what_they_name_and_nothing_else() -> None:
    cells = read_cells()
    judged = {each.label for each in JUDGEMENTS if "33" in each.sparks}
    found = {each.label: each.text for each in expected_outputs(cells, "33")}
    changed = {cell.label for cell in cells if cell.output != found[cell.label]}
    assert changed | {AFTER.label} == judged
