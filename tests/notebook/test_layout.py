"""The table of line ranges says of every line of the notebook what it is."""

from collections import Counter
from pathlib import Path

import pytest

from tests.notebook.layout import CELLS, MARKDOWN, SEED, Kind, SeedChanged, read_cells


def seed() -> Path:
    """Return the notebook, or skip."""
    if not SEED.exists():
        pytest.skip("needs the notebook in ../shared, which a clone does not have")
    return SEED


def test_every_line_is_prose_or_prompt_or_code_or_output_and_only_one_of_them() -> None:
    lines = seed().read_text().splitlines()
    ranges = [*MARKDOWN, *(each.code for each in CELLS)]
    ranges += [each.output for each in CELLS if each.output]
    ranges += [(each.code[0] - 1, each.code[0] - 1) for each in CELLS]
    covered = Counter(number for first, last in ranges for number in range(first, last + 1))
    written = {number for number, line in enumerate(lines, 1) if line.strip()}
    assert written <= covered.keys()
    assert set(covered.values()) == {1}
    assert max(covered) <= len(lines)


def test_the_prompt_above_each_cell_has_its_label() -> None:
    lines = seed().read_text().splitlines()
    for each in CELLS:
        assert lines[each.code[0] - 2] == f"In [{each.label}]:"


def test_cells_are_in_text_order_and_have_labels_of_their_own() -> None:
    firsts = [each.code[0] for each in CELLS]
    assert firsts == sorted(firsts)
    assert len({each.label for each in CELLS}) == len(CELLS)
    for each in CELLS:
        assert (each.output is None) == (each.kind in (Kind.NONE, Kind.REQUIREMENTS))
        assert each.output is None or each.code[1] < each.output[0] <= each.output[1]


def test_the_code_of_every_cell_is_a_program() -> None:
    seed()
    for cell in read_cells():
        source = "\n".join(line for line in cell.source.splitlines() if not line.startswith("!"))
        compile(source, f"In [{cell.label}]", "exec")


def test_another_text_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "notebook.txt"
    other.write_text("In [1]:\n1 + 1\n\n2\n")
    with pytest.raises(SeedChanged, match="not known"):
        read_cells(other)
