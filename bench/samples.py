"""What a benchmark found: samples, the wanted ratio or rate, and the table that is printed.

A sample is a time by the clock and the processor seconds that were used for it: neighbours on a
shared machine disturb the second less. The best of several rounds counts.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support.stolen import stolen_ticks

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


class WrongAnswer(Exception):
    """What was measured did not give the right answer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds by the clock and of processors, and the machine's load when it began."""

    clock_s: float
    processor_s: float
    load: float


@dataclass(slots=True)
class Row:
    """A line of the table.

    `measured` is what `unit` says: seconds, or a rate. `against` is the other's, in the same unit;
    the ratio is ours to theirs where both are given. `wanted` bounds the ratio, or the rate where
    there is nobody to compare with: `at_least` says in which direction.
    """

    section: str
    case: str
    unit: str
    measured: float
    wanted: float
    other: str = ""
    against: float | None = None
    processor_ratio: float | None = None
    at_least: bool = False
    load: float = 0.0
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """Return what is compared with `wanted`."""
        return self.measured if self.against is None else self.measured / self.against

    @property
    def is_met(self) -> bool:
        """Tell whether it is as good as wanted."""
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    def as_dict(self) -> dict[str, Any]:
        """Return what a file of results holds of it."""
        return {**asdict(self), "value": self.value, "is_met": self.is_met}


def best(samples: list[Sample]) -> Sample:
    """Return the fastest."""
    return min(samples, key=lambda each: each.clock_s)


def compare(
    section: str,
    case: str,
    samples: dict[str, list[Sample]],
    wanted: float,
    *,
    at_least: bool = False,
    notes: dict[str, Any] | None = None,
) -> Row:
    """Return the row of the first engine's best time beside the fastest other's.

    With `at_least`, `wanted` is of speeds, and so is the ratio.
    """
    (ours, own), *others = samples.items()
    other, theirs = min(others, key=lambda each: best(each[1]).clock_s)
    mine, its = best(own), best(theirs)
    processor = min(each.processor_s for each in own) / max(
        min(each.processor_s for each in theirs), 1e-9
    )
    measured, against = mine.clock_s, its.clock_s
    if at_least:
        measured, against, processor = 1 / measured, 1 / against, 1 / processor
    return Row(
        section,
        case,
        "1/s" if at_least else "s",
        measured,
        wanted,
        other,
        against,
        processor,
        at_least,
        load=mine.load,
        samples=samples,
        notes={"ours": ours, **(notes or {})},
    )


def load_average() -> float:
    """Return the machine's load of the last minute."""
    return os.getloadavg()[0]


class Stolen:
    """What other machines take from this one's processors, from one look to the next."""

    def __init__(self) -> None:
        self._last = stolen_ticks()

    def share(self) -> float:
        """Return the share of all processors' time that was taken since the last call."""
        before, self._last = self._last, stolen_ticks()
        return (self._last[0] - before[0]) / max(1, self._last[1] - before[1])


def show(rows: list[Row]) -> str:
    """Return the table."""
    heads = ("row", "case", "ours", "other", "against", "ratio", "cpu", "wanted", "", "load")
    lines = [heads]
    for row in rows:
        sign = ">=" if row.at_least else "<="
        lines.append(
            (
                row.section,
                row.case,
                f"{short(row.measured)} {row.unit}",
                "" if row.against is None else f"{short(row.against)} {row.unit}",
                row.other,
                "" if row.against is None else f"{row.value:.2f}",
                "" if row.processor_ratio is None else f"{row.processor_ratio:.2f}",
                f"{sign} {short(row.wanted)}",
                "met" if row.is_met else "MISSED",
                f"{row.load:.1f}",
            )
        )
    return aligned(lines)


def aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """Return lines of cells as columns."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def short(number: float) -> str:
    """Return a number with about three digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def write_results(
    name: str, rows: list[dict[str, Any]], settings: dict[str, Any], **more: Any
) -> Path:
    """Write everything to a file of its own in `bench/results`, named after `name`; return it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    document = {
        "commit": _git("rev-parse", "HEAD"),
        "is_changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "settings": settings,
        "machine": machine(),
        **more,
        "rows": rows,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Return what tells machines apart."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": list(os.getloadavg()),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()
