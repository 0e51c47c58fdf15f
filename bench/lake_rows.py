"""The lines of the lake's table: ours, lakeFS's, the machine's own figure, and what is wanted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bench.samples import Stolen, aligned, load_average, short

MIB = 1 << 20
_stolen = Stolen()


@dataclass(slots=True)
class LakeRow:
    """A line of the table; all figures are in `unit`.

    `wanted` bounds `measured`; where `is_of_machine`, it bounds measured / machine. `more` holds
    further bounds by name: (measured, wanted at most). A row without `wanted` is told, not judged.
    `processor_us` is what the server's processes used for one request, `stolen` the share of the
    processors' time that other machines had since the row before.
    """

    section: str
    case: str
    unit: str
    measured: float
    wanted: float | None = None
    at_least: bool = True
    lakefs: float | None = None
    machine: float | None = None
    machine_name: str = ""
    is_of_machine: bool = False
    processor_us: float | None = None
    more: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    load: float = field(default_factory=load_average)
    stolen: float = field(default_factory=_stolen.share)
    samples: Any = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> float:
        """Return what is compared with `wanted`."""
        if self.is_of_machine and self.machine:
            return self.measured / self.machine
        return self.measured

    @property
    def is_met(self) -> bool:
        """Tell whether it is as good as wanted, in every figure of it."""
        if self.is_of_machine and not self.machine:
            return False
        if any(bound is not None and found > bound for found, bound in self.more.values()):
            return False
        if self.wanted is None:
            return True
        return self.judged >= self.wanted if self.at_least else self.judged <= self.wanted

    @property
    def is_judged(self) -> bool:
        """Tell whether anything is wanted of it."""
        return self.wanted is not None or any(bound is not None for _, bound in self.more.values())

    @property
    def advantage(self) -> float | None:
        """Return how many times better than lakeFS it is."""
        if not self.lakefs or not self.measured:
            return None
        ratio = self.measured / self.lakefs
        return ratio if self.at_least else 1 / ratio

    def as_dict(self) -> dict[str, Any]:
        """Return what a file of results holds of it."""
        return {**asdict(self), "judged": self.judged, "is_met": self.is_met}

    def cells(self) -> tuple[str, ...]:
        """Return its line."""
        sign = ">=" if self.at_least else "<="
        of = "x machine" if self.is_of_machine else ""
        wanted = "" if self.wanted is None else f"{sign} {short(self.wanted)}{of}"
        for name, (_, bound) in self.more.items():
            wanted += "" if bound is None else f", {name} <= {short(bound)}"
        own = "".join(f", {name} {short(found)}" for name, (found, _) in self.more.items())
        machine = "" if self.machine is None else f"{short(self.machine)} ({self.machine_name})"
        return (
            self.section,
            self.case,
            f"{short(self.measured)} {self.unit}{own}",
            "" if self.lakefs is None else short(self.lakefs),
            "" if self.advantage is None else f"{self.advantage:.1f}x",
            machine,
            f"{self.measured / self.machine:.2f}" if self.machine and self.at_least else "",
            wanted,
            ("met" if self.is_met else "MISSED") if self.is_judged else "",
            "" if self.processor_us is None else short(self.processor_us),
            f"{self.load:.1f}",
            f"{self.stolen:.0%}",
        )


def show(rows: list[LakeRow]) -> str:
    """Return the table."""
    heads = (
        "row", "case", "ours", "lakeFS", "better", "machine", "ratio", "wanted", "", "cpu us",
        "load", "stolen",
    )  # fmt: skip
    return aligned([heads, *(row.cells() for row in rows)])
