"""What the clients of a trial of SQL did: each load with what may have become of it, as said.

A load's rows are its own: `part` 0 to `rows` - 1 under its number, each counting one. So a table
tells of each load whether it is there whole, there twice, or there in part.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

DATABASE = "trial"
TABLES = ("a", "b")


@dataclass
class Load:
    """One load; `may_be` are the states that its answers allow: there (True), or not (False).

    `state` is the last that a client was told: of a two-phase load, of a job. A label that the
    client gave can be asked about; an INSERT without one leaves its end open.
    """

    number: int
    kind: str
    label: str
    tables: tuple[str, ...]
    rows: int
    may_be: frozenset[bool] = frozenset((True, False))
    state: str = ""
    transaction: int = 0
    said: list[str] = field(default_factory=list)

    def text(self) -> bytes:
        """Return its rows as a CSV file."""
        return b"".join(b"%d\t%d\t1\n" % (self.number, part) for part in range(self.rows))

    def values(self) -> str:
        """Return its rows for an INSERT."""
        return ", ".join(f"({self.number}, {part}, 1)" for part in range(self.rows))


class Ledger:
    """Every load of a trial; safe to use from the threads of all clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stirred = threading.Condition(self._lock)
        self._next = 1
        self._sent: Counter[str] = Counter()
        self.loads: dict[int, Load] = {}
        self.ends: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.reads = 0
        self.answers = 0

    def intend(self, kind: str, tables: tuple[str, ...], rows: int, *, is_named: bool) -> Load:
        """Write down a load before anything of it is sent."""
        with self._lock:
            number = self._next
            self._next += 1
            label = f"{kind}_{number}" if is_named else ""
            load = self.loads[number] = Load(number, kind, label, tables, rows)
            return load

    def sends(self, load: Load, step: str) -> None:
        """Write down a step that may change something, before it is sent."""
        with self._lock:
            _say(load, f"> {step}")
            self._sent[step] += 1
            self._stirred.notify_all()

    def hears(
        self, load: Load, step: str, end: str, *, may_be: bool | None = None, state: str = ""
    ) -> None:
        """Write down an answer, or that it is lost; `may_be` is what it says of the rows."""
        with self._lock:
            _say(load, f"< {step}: {end} {state}".rstrip())
            self.ends[step, end] += 1
            self.answers += end == "done"
            if may_be is not None:
                if may_be not in load.may_be:
                    self.wrong.append(f"load {load.number} is now {may_be}: {load.said}")
                load.may_be = frozenset((may_be,))
            if state:
                load.state = state
            self._stirred.notify_all()

    def complain(self, text: str) -> None:
        """Write down what must not be."""
        with self._lock:
            self.wrong.append(text)

    def count_read(self) -> None:
        """Count a look at the tables."""
        with self._lock:
            self.reads += 1

    def wait_for_send(self, steps: frozenset[str], timeout_s: float) -> None:
        """Return when a client sends one of some steps, at worst after a while."""
        with self._lock:
            before = sum(self._sent[step] for step in steps)
            self._stirred.wait_for(
                lambda: sum(self._sent[step] for step in steps) > before, timeout_s
            )

    def wait_for_answers(self, count: int, timeout_s: float) -> None:
        """Return when so many more steps were answered well, at worst after a while."""
        with self._lock:
            wanted = self.answers + count
            self._stirred.wait_for(lambda: self.answers >= wanted, timeout_s)

    def write(self, path: Path) -> None:
        """Keep everything for who looks into a trial that went wrong."""
        with self._lock, path.open("w") as file:
            for load in self.loads.values():
                may_be = sorted(load.may_be)
                shown = [load.number, load.label, load.tables, load.rows, may_be, load.said]
                file.write(json.dumps(shown) + "\n")


def _say(load: Load, text: str) -> None:
    load.said.append(text)
    # While nobody answers, the same is sent and lost again and again: twice is enough to read.
    if load.said[-6:-4] == load.said[-4:-2] == load.said[-2:]:
        del load.said[-2:]
