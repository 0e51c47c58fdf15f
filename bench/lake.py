"""The lake's speed and memory beside lakeFS's: `make bench-lake` (docs/BENCHMARKS.md).

    python -m bench.lake [SECTION ...] [--quick] [--rounds N] [--large-rounds N] [--strict]

Prints one table and writes `bench/results/lake-*.json`. Ends with 1 when an answer is not 2xx or
a body read back is another; a figure that misses its mark is told in the table and changes no exit
code unless `--strict`. lakeFS's column is of an earlier run on the same class of machine.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import bare, lake_process
from bench.generating import Pool, generator
from bench.lake_large import Large
from bench.lake_reads import Reads
from bench.lake_rows import LakeRow, show
from bench.lake_small import Small
from bench.lake_versions import COMMITS, DIFFS, LARGE, MERGES, Versions
from bench.memory import Peak, watched
from bench.million import Objects, make_source
from bench.progress import tell
from bench.samples import ROOT, WrongAnswer, load_average, write_results
from bench.servers import Server, open_lake

SMALL = ("put", "get")
LARGES = ("put64", "get64", "flat")
MILLION = ("import", "list", "stat", "stage", "branch", "commit", "diff", "merge", "peak")
SECTIONS = (*SMALL, *LARGES, *MILLION, "memory")
_FOLDERS, _QUICK_FOLDERS = 1_000, 20
_POOL_BYTES = 1 << 20


@dataclass(slots=True)
class Bench:
    """One run: its options, the machine's figures, and the rows so far."""

    folder: Path
    options: argparse.Namespace
    machine: dict[str, float] = field(default_factory=dict)
    machine_samples: dict[str, Any] = field(default_factory=dict)
    rows: list[LakeRow] = field(default_factory=list)
    durations_s: dict[str, float] = field(default_factory=dict)

    def wants(self, *sections: str) -> bool:
        """Tell whether any of these was chosen."""
        return bool(set(sections) & set(self.options.sections))

    def add(self, *rows: LakeRow) -> None:
        """Keep rows, and print them as they come."""
        self.rows.extend(rows)
        print(show(list(rows)).partition("\n")[2], flush=True)

    @property
    def seconds(self) -> float:
        """Return for how long a rate is measured."""
        return 1.5 if self.options.quick else 6.0

    def run(self) -> None:
        """Run the chosen sections."""
        self.machine_figures("sync")
        if self.wants("put", "get", "list", "stat", "stage"):
            self.machine_figures("empty")
        steps = (
            ("small", self.wants(*SMALL), self.small),
            ("large", self.wants(*LARGES), self.large),
            ("million", self.wants(*MILLION), self.million),
            ("memory", self.wants("memory"), self.memory),
        )
        for name, is_wanted, step in steps:
            if is_wanted:
                started = time.perf_counter()
                step()
                self.durations_s[name] = time.perf_counter() - started

    def machine_figures(self, *kinds: str) -> None:
        """Measure what any server here could do at most, of some kinds."""
        tell(f"the machine's own figures: {' '.join(kinds)}")
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            found, samples = bare.measure(
                Path(scratch), seconds=self.seconds, kinds=set(kinds), count=self._large_count
            )
        self.machine |= found
        self.machine_samples |= samples
        print(" ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)

    @property
    def _large_count(self) -> int:
        return 8 if self.options.quick else bare.LARGE_COUNT

    def small(self) -> None:
        """Measure objects of 4 KiB."""
        with open_lake(self.folder / "small") as server:
            small = Small(server, self.seconds, self.machine)
            small.prepare()
            if self.wants("put"):
                self.add(small.put(1, 89, 400))
                self.add(small.put(16, 1_386, 3_500, p99_ms=25))
                self.add(small.put(64, None, 5_000))
                self.add(small.put(16, None, None, is_signed=True))
            if self.wants("get"):
                small.prepare_gets()
                self.add(small.get(1, 244, 2_000))
                self.add(small.get(16, 3_055, 10_000))
                self.add(small.get(64, None, None))

    def large(self) -> None:
        """Measure objects of 64 MiB, and memory at 2 GiB."""
        with open_lake(self.folder / "large") as server:
            large = Large(server, self._large_count, self.machine)
            large.prepare()
            pool = Pool(bare.LARGE_BYTES, seed=2)
            # Neighbours come and go: the bare server runs right before what is judged by it.
            if self.wants("put64"):
                self.machine_figures("put")
                self.add(large.measure("PUT", 1, pool, 236, 0.85))
                self.add(large.measure("PUT", 4, pool, 396, 0.85))
            if self.wants("get64"):
                self.machine_figures("get")
                self.add(large.measure("GET", 1, pool, 1_341, 0.9))
                self.add(large.measure("GET", 4, pool, 1_695, 0.9))
            if self.wants("flat"):
                tell("8 uploads and downloads at a time")
                self.add(*large.flat((128 << 20) if self.options.quick else (2 << 30)))

    def million(self) -> None:
        """Measure a repository of a million objects, and some rows with Spark's names."""
        folders = _QUICK_FOLDERS if self.options.quick else _FOLDERS
        kinds = ["plain"] if self.options.quick else ["plain", "spark"]
        started = time.perf_counter()
        tell(f"local folders of {folders * 1_000:,} files to import (kept in .cache/bench-lake)")
        sources = {kind: make_source(kind, folders) for kind in kinds}
        self.durations_s["sources"] = time.perf_counter() - started
        for kind in kinds:
            self._series(kind, folders, sources[kind])

    def _series(self, kind: str, folders: int, source: Path) -> None:
        """Measure names of one kind, in a server of their own: its caches hold those alone."""
        peak, busy = Peak(), load_average()
        is_plain = kind == "plain"

        @contextmanager
        def opened() -> Iterator[Server]:
            folder, allowed = self.folder / f"million-{kind}", f"local://{source}/"
            with open_lake(folder, "--import-from", allowed) as server, watched(server, peak):
                yield server

        with opened() as server:
            objects = Objects(server, kind, folders, Pool(_POOL_BYTES))
            versions = self._warm(server, objects, source)
        self._cold(opened, versions)
        if self.wants("peak"):
            name = f"peak PSS over the series at {folders * 1_000:,} objects"
            self.add(
                LakeRow(
                    "peak",
                    name if is_plain else f"{name}, spark names",
                    "MB",
                    peak.pss_mb,
                    700 if is_plain else None,
                    at_least=False,
                    lakefs=1_990 if is_plain else None,
                    load=busy,
                    samples=peak.seen,
                    notes={"rss_mb": peak.rss_mb},
                )
            )

    def _warm(self, server: Server, objects: Objects, source: Path) -> Versions:
        """Measure what one running server does; return what cold rows need."""
        options, is_plain = self.options, objects.kind == "plain"
        rounds = options.rounds
        versions = Versions(
            objects, rounds, options.rounds_cold, options.large_rounds, self.machine
        )
        with server.rest() as rest:
            tell(f"importing {objects.count:,} objects ({objects.kind} names)")
            objects.create(rest)
            busy = load_average()
            spent = objects.load(rest, source)
            row = LakeRow(
                "import", f"import, {objects.count:,} objects, {objects.kind} names", "/s",
                objects.count / spent, 100_000 if is_plain else None,
                lakefs=23_000 if is_plain else None, load=busy, samples=[spent],
            )  # fmt: skip
            if self.wants("import"):
                self.add(row)
            self._read(server, objects, rest)
            if self.wants("branch") and is_plain:
                self.add(versions.branch(rest))
            for kind in COMMITS:
                needed = (self.wants("diff") and kind in DIFFS) or (
                    self.wants("merge") and kind in MERGES
                )
                if kind == LARGE and not (is_plain and options.large_rounds):
                    continue
                if self.wants("commit") or needed:
                    row = versions.commit(rest, kind)
                    if self.wants("commit"):
                        self.add(row)
            for kind in DIFFS if self.wants("diff") else ():
                self.add(versions.diff_warm(rest, kind))
            for kind in MERGES if self.wants("merge") else ():
                self.add(versions.merge_warm(rest, kind))
        return versions

    def _read(self, server: Server, objects: Objects, rest: Any) -> None:
        reads = Reads(server, objects, self.seconds, self.machine)
        is_plain = objects.kind == "plain"
        if self.wants("list"):
            for surface, lakefs in (("S3", 86), ("REST", 67)):
                bounds = {"lakefs": lakefs, "wanted": 600} if is_plain else {}
                self.add(reads.list_pages(surface, 1, **bounds))
                if is_plain:
                    self.add(reads.list_pages(surface, 4))
        if self.wants("stat"):
            for clients, lakefs, wanted in ((1, 197, 1_800), (16, 1_649, 8_000)):
                bounds = {"lakefs": lakefs, "wanted": wanted} if is_plain else {}
                self.add(reads.stat(clients, **bounds))
        if self.wants("stage") and is_plain:
            self.add(reads.stage(rest, 16, lakefs=2_000, wanted=4_000))
            self.add(reads.stage(rest, 128, lakefs=5_300, wanted=7_000))

    def _cold(self, opened: Any, versions: Versions) -> None:
        """Measure the first diffs and merges of fresh processes; of Spark's names none."""
        if versions.objects.kind != "plain":
            return
        for kind in DIFFS if self.wants("diff") else ():
            self.add(versions.diff_cold(opened, kind))
        for kind in MERGES if self.wants("merge") else ():
            self.add(versions.merge_cold(opened, kind))

    def memory(self) -> None:
        """Measure start and memory of the processes."""
        folder = self.folder / "processes"
        folder.mkdir()
        self.add(*lake_process.measure(folder, 5 if self.options.quick else self.options.rounds))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options, with what follows from others filled in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=[], metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="20,000 objects, few rounds")
    parser.add_argument("--rounds", type=int, default=None, help="samples of commit, diff, merge")
    parser.add_argument(
        "--large-rounds", type=int, default=None, help="samples of commits of 100 k; 0: none"
    )
    parser.add_argument("--strict", action="store_true", help="end with 2 when a mark is missed")
    options = parser.parse_args(arguments)
    options.sections = options.sections or list(SECTIONS)
    if unknown := set(options.sections) - set(SECTIONS):
        known = " ".join(SECTIONS)
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {known}")
    options.rounds = options.rounds or (5 if options.quick else 30)
    options.rounds_cold = 1 if options.quick else options.rounds
    if options.large_rounds is None:
        options.large_rounds = max(2, options.rounds // 6)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    options = parse(arguments)
    scratch = ROOT / ".cache" / "bench"
    scratch.mkdir(parents=True, exist_ok=True)
    generator()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started, is_whole = time.perf_counter(), True
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        bench = Bench(Path(folder), options)
        try:
            bench.run()
        except WrongAnswer as wrong:
            print(f"WRONG ANSWER: {wrong}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            # Half an hour's rows are worth keeping; the servers have been stopped on the way here.
            is_whole = False
    path = write_results(
        "lake",
        [row.as_dict() for row in bench.rows],
        vars(options),
        is_whole=is_whole,
        figures=bench.machine,
        figures_samples=bench.machine_samples,
        durations_s=bench.durations_s,
    )
    spent = time.perf_counter() - started
    print(f"\n{show(bench.rows)}\n\n{path.relative_to(ROOT)}, {spent:.0f} s")
    if not is_whole:
        return 130
    missed = [row for row in bench.rows if row.is_judged and not row.is_met]
    return 2 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
