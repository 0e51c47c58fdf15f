"""Loading and folding: `make bench-load` (docs/BENCHMARKS.md).

    python -m bench.load [SECTION ...] [--rows N] [--quick] [--rounds N] [--threads N]

Prints one table and writes `bench/results/load-*.json`. Ends with 1 when an answer is wrong; a
figure that misses its mark is told in the table and changes no exit code unless `--strict`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import bulk, counting, folding, inserts
from bench.samples import ROOT, Row, WrongAnswer, show, write_results

SECTIONS = ("load", "read", "insert", "merge", "ndv")
_QUICK_ROWS = 500_000
_FULL_ROWS = 10_000_000


def run(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Run the chosen sections; print each row when it is known."""
    rows: int = options.rows
    scale = rows / _FULL_ROWS
    found: list[Row] = []

    def add(made: list[Row]) -> None:
        found.extend(made)
        print(show(made), flush=True)

    steps: dict[str, Callable[[], None]] = {
        "load": lambda: add(
            bulk.measure(
                folder,
                rows=rows,
                keys=[max(1, int(10_000 * scale)), rows],
                rounds=options.rounds,
                threads=options.threads,
            )
        ),
        "read": lambda: add(folding.measure(folder, loads=1_000 if options.quick else 10_000)),
        "insert": lambda: add(
            inserts.measure(
                folder,
                rowsets=max(1_000, int(10_000 * min(1.0, scale))),
                count=200 if options.quick else 1_000,
                rounds=options.rounds,
            )
        ),
    }
    for name, step in steps.items():
        if name in options.sections:
            step()
    if {"merge", "ndv"} & set(options.sections):
        with counting.open_engines(folder, options.threads) as engines:
            if "merge" in options.sections:
                small = max(10_000, int(1_000_000 * scale))
                full = max(100, int(10_000 * scale))
                add(counting.measure_merges(engines, small=small, full=full, rounds=options.rounds))
            if "ndv" in options.sections:
                add(counting.measure_distinct(engines, rows=rows, rounds=options.rounds))
                add([counting.measure_error(engines, distinct=max(100_000, rows // 10))])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=[], metavar="SECTION")
    parser.add_argument("--rows", type=int, default=None, help="of loads and counts")
    parser.add_argument("--quick", action="store_true", help="small numbers, one round")
    parser.add_argument("--rounds", type=int, default=None, help="the best of so many counts")
    parser.add_argument("--threads", type=int, default=2, help="of every engine")
    parser.add_argument("--strict", action="store_true", help="end with 2 when a mark is missed")
    options = parser.parse_args(arguments)
    options.sections = options.sections or list(SECTIONS)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    options.rows = options.rows or (_QUICK_ROWS if options.quick else _FULL_ROWS)
    options.rounds = options.rounds or (1 if options.quick else 3)
    scratch = ROOT / ".cache" / "bench"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        try:
            found = run(Path(folder), options)
        except WrongAnswer as wrong:
            print(f"WRONG ANSWER: {wrong}", file=sys.stderr)
            return 1
    settings: dict[str, Any] = vars(options)
    path = write_results("load", [row.as_dict() for row in found], settings)
    print(f"\n{show(found)}\n\n{path.relative_to(ROOT)}")
    return 2 if options.strict and not all(row.is_met for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
