"""Compare what a run printed with what it should have printed, cell by cell."""

import difflib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.notebook.expectation import Expected
from tests.notebook.normal import Normaliser

NOT_RUN: tuple[str, ...] = ("the cell did not run",)


@dataclass(frozen=True, slots=True)
class CellOutput:
    """What a cell printed on stdout, displayed and returned, in order, blank lines between.

    `error` is the traceback of the exception that ended it, or "".
    """

    label: str
    text: str
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell that printed something else, both sides in normal form."""

    label: str
    expected: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        shown = difflib.unified_diff(
            self.expected, self.found, "expected", "found", lineterm="", n=10
        )
        return "\n".join([f"In [{self.label}]", *shown])


def compare(expected: Sequence[Expected], found: Sequence[CellOutput]) -> Iterator[Difference]:
    """Yield the cells that differ, in order; a cell that did not run or raised differs."""
    ours = Normaliser()
    printed = {output.label: output for output in found}
    for each, wanted in zip(expected, _normal(tuple(expected)), strict=True):
        output = printed.pop(each.label, None)
        if output is None:
            lines = NOT_RUN
        else:
            raised = ("raised:", *output.error.splitlines()) if output.error else ()
            lines = (*ours.normalise(each.label, each.kind, output.text), *raised)
        if lines != wanted:
            yield Difference(each.label, wanted, lines)
    for label in printed:
        yield Difference(label, (), ("no such cell is expected",))


@functools.lru_cache(maxsize=4)  # one run is compared once, but tests compare thousands
def _normal(expected: tuple[Expected, ...]) -> tuple[tuple[str, ...], ...]:
    right = Normaliser()
    return tuple(tuple(right.normalise(each.label, each.kind, each.text)) for each in expected)
