"""Where the notebook's cells stand in the seed: line ranges, and nothing of its text.

The seed is a text export, in which code, output and prose follow one another without marks that a
parser could trust, so that the ranges were read off by hand. They hold for one text only, named by
its SHA-256.
"""

import enum
import hashlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEED = ROOT.parent / "shared" / "seeds" / "notebook.txt"
DATA = ROOT.parent / "shared" / "data" / "kylo"
SEED_SHA256 = "ff98fcd6f50e60f97b97a85967e24f775f08fedf7899cf4b48d1f6980a026ccb"

LineRange = tuple[int, int]


class SeedChanged(Exception):
    """The seed is another text than the one whose lines are known here."""


class Kind(enum.Enum):
    """How the output of a cell is read."""

    NONE = "none"  # the cell prints nothing
    TEXT = "text"  # lines that count as they are
    VALUES = "values"  # Python values as IPython shows them, blank lines between
    LISTING = "listing"  # a bucket of the raw store: date, key, size
    REQUIREMENTS = "requirements"  # what pip says of packages that are present


@dataclass(frozen=True, slots=True)
class CellLines:
    """Lines of one cell, first and last, counted from 1; `label` is its number in the seed."""

    label: str
    code: LineRange
    kind: Kind = Kind.NONE
    output: LineRange | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as the seed has it; `output` is "" when none was printed."""

    label: str
    source: str
    kind: Kind
    output: str


PIP = "None"  # the label of the cell that was never run

CELLS = (
    CellLines(PIP, (12, 13), Kind.REQUIREMENTS),
    CellLines("2", (20, 25)),
    CellLines("3", (30, 43)),
    CellLines("4", (50, 50)),
    CellLines("5", (53, 54), Kind.VALUES, (56, 56)),
    CellLines("6", (61, 65)),
    CellLines("7", (68, 71)),
    CellLines("8", (76, 76), Kind.TEXT, (78, 78)),
    CellLines("9", (83, 83), Kind.TEXT, (85, 103)),
    CellLines("10", (110, 110)),
    CellLines("11", (113, 113)),
    CellLines("12", (122, 122), Kind.VALUES, (124, 137)),
    CellLines("13", (142, 143), Kind.LISTING, (145, 150)),
    CellLines("14", (160, 167), Kind.VALUES, (169, 177)),
    CellLines("15", (184, 196), Kind.VALUES, (198, 204)),
    CellLines("16", (209, 216), Kind.VALUES, (218, 218)),
    CellLines("17", (229, 229)),
    CellLines("18", (232, 241), Kind.VALUES, (243, 243)),
    CellLines("19", (250, 251), Kind.VALUES, (253, 255)),
    CellLines("20", (260, 260)),
    CellLines("21", (265, 265), Kind.TEXT, (267, 267)),
    CellLines("22", (272, 272), Kind.TEXT, (274, 292)),
    CellLines("23", (297, 298), Kind.LISTING, (300, 307)),
    CellLines("24", (313, 316)),
    CellLines("27", (319, 319), Kind.TEXT, (321, 335)),
    CellLines("28", (342, 342)),
    CellLines("30", (347, 354), Kind.VALUES, (356, 359)),
    CellLines("32", (364, 376), Kind.VALUES, (378, 384)),
    CellLines("95", (391, 392), Kind.TEXT, (394, 394)),
    CellLines("36", (399, 400), Kind.TEXT, (402, 402)),
    CellLines("37", (409, 409), Kind.VALUES, (411, 424)),
    CellLines("38", (429, 429), Kind.VALUES, (431, 451)),
    CellLines("40", (458, 459), Kind.LISTING, (461, 473)),
    CellLines("42", (478, 478)),
    CellLines("43", (481, 490), Kind.VALUES, (492, 492)),
    CellLines("55", (499, 500), Kind.VALUES, (502, 506)),
    CellLines("82", (511, 511)),
    CellLines("64", (518, 518), Kind.TEXT, (520, 520)),
    CellLines("84", (534, 536), Kind.TEXT, (538, 548)),
    CellLines("74", (555, 555)),
    CellLines("86", (560, 565), Kind.VALUES, (567, 573)),
    CellLines("87", (580, 582), Kind.TEXT, (584, 600)),
    CellLines("88", (607, 609), Kind.TEXT, (611, 627)),
    CellLines("89", (634, 636), Kind.TEXT, (638, 650)),
    CellLines("92", (659, 659), Kind.VALUES, (661, 674)),
    CellLines("79", (679, 679), Kind.VALUES, (681, 701)),
    CellLines("80", (706, 706), Kind.VALUES, (708, 721)),
    CellLines("91", (726, 726), Kind.VALUES, (728, 729)),
    CellLines("96", (734, 736), Kind.TEXT, (738, 750)),
)

# Prose, so that every line that is not blank is accounted for; a prompt is above each cell's code.
MARKDOWN = (
    *((1, 9), (15, 17), (27, 27), (45, 47), (58, 58), (73, 73), (80, 80), (105, 107), (115, 119)),
    *((139, 139), (153, 157), (179, 181), (206, 206), (220, 226), (245, 247), (257, 257)),
    *((262, 262), (269, 269), (294, 294), (310, 310), (339, 339), (344, 344), (361, 361)),
    *((386, 388), (396, 396), (404, 406), (426, 426), (453, 455), (475, 475), (494, 496)),
    *((508, 508), (513, 515), (522, 531), (552, 552), (557, 557), (575, 577), (604, 604)),
    *((631, 631), (654, 656), (676, 676), (703, 703), (723, 723), (731, 731)),
)


def read_cells(seed: Path = SEED) -> tuple[Cell, ...]:
    """Return the cells in text order; raise SeedChanged for a text that CELLS does not describe."""
    data = seed.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SEED_SHA256:
        raise SeedChanged(f"{seed.name} has the SHA-256 {found}, its lines are not known")
    lines = data.decode().splitlines()
    return tuple(
        Cell(each.label, _text(lines, each.code), each.kind, _text(lines, each.output))
        for each in CELLS
    )


def _text(lines: list[str], range_: LineRange | None) -> str:
    return "\n".join(lines[range_[0] - 1 : range_[1]]) if range_ else ""
