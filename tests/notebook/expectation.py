"""What each cell of the notebook should print: its recorded output, corrected where judged.

The corrections are one table, JUDGEMENTS, each with its reason; they are written as rules over the
recorded outputs, because the notebook's text is not kept here.
"""

import functools
import pprint
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.notebook.layout import PIP, Cell, Kind
from tests.notebook.normal import (
    ADDRESS,
    EMPTY_MD5,
    LISTING_LINE,
    blocks_of,
    lines_of,
    parse_value,
)

SPARKS = ("33", "43")

# Bytes of the part files that the notebook's three writes make, by Spark: Parquet of another
# version is encoded differently. 3.3 writes what the notebook shows, byte for byte.
PART_SIZES = {"33": (78869, 78729, 40559), "43": (78961, 78756, 40625)}

NAMESPACE = "s3://example3/"
MARKER = "demo/"  # the folder above the one that is written
MARKER_KEY = "0" * 32  # any key that nothing else has

RAW_OBJECTS = 15  # in the raw bucket of the cut listing: 5 a write, 2 a commit, `dummy`


# Runs after the notebook's last cell, with its names: what each branch holds at the end, with sizes
# and checksums of the bytes that the raw store has at the address, and not of the entry. Without it
# the addresses that the notebook shows once could be any.
AFTER = Cell(
    "after",
    """\
import hashlib
for b in client.branches.list_branches(repo).results:
    entries = []
    for o in client.objects.list_objects(repo, b.id).results:
        data = s3.Object(repo, o.physical_address.rpartition('/')[2]).get()['Body'].read()
        entries.append({'checksum': hashlib.md5(data).hexdigest(), 'path': o.path,
                        'physical_address': o.physical_address, 'size_bytes': len(data)})
    display(entries)
""",
    Kind.VALUES,
    "",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a cell should print, before normal form."""

    label: str
    kind: Kind
    text: str


Outputs = dict[str, str]  # label -> text


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where and why the expected output is another than the recorded one."""

    label: str
    reason: str
    rewrite: Callable[[Outputs], str]
    sparks: tuple[str, ...] = SPARKS


def expected_outputs(cells: Iterable[Cell], spark: str) -> list[Expected]:
    """Return what the cells and then AFTER should print on `spark` ("33" or "43"), in order."""
    cells = [*cells, AFTER]
    sizes = dict(zip(PART_SIZES["33"], PART_SIZES[spark], strict=True))
    outputs = {cell.label: _with_sizes(cell, sizes) for cell in cells}
    for judgement in JUDGEMENTS:
        if spark in judgement.sparks:
            outputs[judgement.label] = judgement.rewrite(outputs)
    return [Expected(cell.label, cell.kind, outputs[cell.label]) for cell in cells]


def _with_sizes(cell: Cell, sizes: dict[int, int]) -> str:
    if cell.kind not in (Kind.VALUES, Kind.LISTING):
        return cell.output
    pattern = r"\b(" + "|".join(map(str, sizes)) + r")\b"
    return re.sub(pattern, lambda found: str(sizes[int(found[0])]), cell.output)


def _requirements(_: Outputs) -> str:
    packages = ("lakefs_client", "boto3")
    return "\n".join(f"Requirement already satisfied: {package}" for package in packages)


def _empty_marker(outputs: Outputs) -> str:
    values = _values(outputs["14"])
    for value in values:
        if value["path"].endswith("/_SUCCESS"):
            value["size_bytes"] = 0
    return _printed(values)


def _whole_listing(outputs: Outputs) -> str:
    """Complete the listing by what was listed before and by the addresses that are in use."""
    lines = [line for line in lines_of(outputs["40"]) if LISTING_LINE.fullmatch(line)]
    keys = {line.split()[-2] for line in lines}
    lines += [line for line in lines_of(outputs["23"]) if line.split()[-2] not in keys]
    keys = {line.split()[-2] for line in lines}
    for entry in _values(outputs["38"])[0]:
        address = ADDRESS.fullmatch(entry["physical_address"])
        assert address
        if address["key"] not in keys:
            lines.append(f"2024-01-01 00:00:00+00:00 {address['key']} {entry['size_bytes']}")
    assert len(lines) == RAW_OBJECTS
    return "\n".join(sorted(lines, key=lambda line: line.split()[-2]))


def _true_summary(outputs: Outputs, *, added: int) -> str:
    (value,) = _values(outputs["91"])
    summary = {"added": added, "changed": 0, "conflict": 0, "removed": 1}
    return _printed([value | {"summary": summary}])


def _with_marker(outputs: Outputs) -> str:
    (entries,) = _values(outputs["80"])
    marker = {
        "checksum": EMPTY_MD5,
        "content_type": "application/x-directory",
        "mtime": entries[0]["mtime"],
        "path": MARKER,
        "path_type": "object",
        "physical_address": f"{NAMESPACE}{MARKER_KEY}",
        "size_bytes": 0,
    }
    return _printed([[marker, *entries]])


def _held_at_the_end(outputs: Outputs) -> str:
    # By branch name; the second is `main`, which the merge made equal to its source, the third.
    branches = [_values(outputs[label])[0] for label in ("79", "80", "80")]
    fields = ("checksum", "path", "physical_address", "size_bytes")
    return _printed([[{name: each[name] for name in fields} for each in one] for one in branches])


JUDGEMENTS = (
    Judgement(
        PIP,
        "was never run; with the packages present and no index, pip says that it has them",
        _requirements,
    ),
    Judgement(
        "14",
        "the old server showed another object's size for `_SUCCESS`, which is empty",
        _empty_marker,
    ),
    Judgement(
        "40",
        "is cut off: to the lines shown come the objects of the listing before, none of which may "
        "be gone, and the addresses of the branch listed before, whose bytes must be there",
        _whole_listing,
    ),
    Judgement(
        "92",
        "ran after the merge, but stands before it: `main` is as it was when last listed",
        lambda outputs: outputs["37"],
    ),
    Judgement(
        "80",
        "Hadoop 3.5, when overwriting, first deletes all that is there, finds the folder above "
        "empty, puts a marker for it and leaves it (3.3 deletes the markers above what it writes)",
        _with_marker,
        sparks=("43",),
    ),
    Judgement(
        "91",
        "the old server summed up no change; the merge adds one part file and removes another, and "
        "`_SUCCESS`, written again with equal bytes, is not a change",
        functools.partial(_true_summary, added=1),
        sparks=("33",),
    ),
    Judgement(
        "91",
        "the same, and the marker of the folder above is added",
        functools.partial(_true_summary, added=2),
        sparks=("43",),
    ),
    Judgement(
        AFTER.label,
        "is not in the notebook; the listings that it shows last, and the bytes they speak of",
        _held_at_the_end,
    ),
)


def _values(text: str) -> list[Any]:
    return [parse_value(block) for block in blocks_of(text)]


def _printed(values: list[Any]) -> str:
    return "\n\n".join(pprint.pformat(value) for value in values)
