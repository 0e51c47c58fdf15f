"""Versions of a million objects: branch, commit, diff and three-way merge; cold and warm.

Each commit is of other changes on a branch of its own, so that no range is there already. Diffs
and merges are of those commits. Cold is a process that has answered nothing but a health check;
warm is one that has answered the like before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from anabranch.client.transport import Transport
from bench.lake_rows import LakeRow
from bench.million import Objects, in_folder, post, spread
from bench.progress import steps_of
from bench.samples import load_average
from bench.servers import Server, expect

ONE, FOLDER, SPREAD, LARGE = "1", "1,000 in a folder", "1,000 spread", "100 k spread"
_WARM_UPS = 2

Opener = Callable[[], AbstractContextManager[Server]]
"""Gives a context with a fresh server on the same data."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What lakeFS takes and what is wanted of us, in milliseconds."""

    lakefs: float
    cold: float | None
    warm: float | None


COMMITS = {
    ONE: Marks(322, None, 15),
    FOLDER: Marks(162, None, 25),
    SPREAD: Marks(1_788, None, 1_000),
    LARGE: Marks(3_768, None, 1_300),
}
DIFFS = {ONE: Marks(315, 8, 8), FOLDER: Marks(121, 15, 15), SPREAD: Marks(1_364, 500, 120)}
MERGES = {ONE: Marks(611, 20, 20), FOLDER: Marks(696, 30, 30), SPREAD: Marks(542, None, 540)}


@dataclass(slots=True)
class Versions:
    """The rows of one repository. `commits` are those that were made, by what they change."""

    objects: Objects
    rounds: int
    rounds_cold: int
    rounds_large: int
    machine: dict[str, float] = field(default_factory=dict)
    commits: dict[str, list[str]] = field(default_factory=dict)
    merges: int = 0

    def _paths(self, kind: str, number: int) -> list[str]:
        objects = self.objects
        if kind == ONE:
            return [objects.name((number * 7_919 + 501) % objects.count)]
        if kind == FOLDER:
            return in_folder(objects, 1_000, number)
        count = objects.count // 1_000 if kind == SPREAD else objects.count // 10
        return spread(objects, max(1, count), number)

    def _row(self, section: str, case: str, times: list[float], **fields: Any) -> LakeRow:
        if self.objects.kind != "plain":
            case += f", {self.objects.kind} names"
        return LakeRow(
            section, case, "ms", median(times) * 1e3, at_least=False,
            machine=self.machine.get("fdatasync_ms"), machine_name="fdatasync ms",
            samples=times, **fields,
        )  # fmt: skip

    def branch(self, rest: Transport) -> LakeRow:
        """Measure how long it takes to make a branch."""
        times, busy = [], load_average()
        for number in range(self.rounds + _WARM_UPS):
            started = time.perf_counter()
            self.objects.branch(rest, f"made-{number}")
            times.append(time.perf_counter() - started)
        return self._row(
            "branch", "create branch", times[_WARM_UPS:], wanted=2, lakefs=15, load=busy
        )

    def commit(self, rest: Transport, kind: str) -> LakeRow:
        """Measure commits, each of other changes on a fresh branch; look at what they hold."""
        times, used, busy, made = [], 0.0, load_average(), self.commits.setdefault(kind, [])
        warm_ups = 1 if kind == LARGE else _WARM_UPS
        rounds = (self.rounds_large if kind == LARGE else self.rounds) + warm_ups
        for number in steps_of(rounds, f"commits of {kind}"):
            name = f"c{list(COMMITS).index(kind)}-{number}"
            branch = self.objects.branch(rest, name)
            paths = self._paths(kind, number)
            self.objects.change(branch, paths)
            before = self.objects.server.processor_s()
            spent, commit = self.objects.commit(rest, branch)
            used += self.objects.server.processor_s() - before
            times.append(spent)
            made.append(commit)
            if number in (0, rounds - 1):
                self._check(rest, commit, paths)
        marks = COMMITS[kind]
        return self._row(
            "commit", f"commit, {kind}", times[warm_ups:], wanted=marks.warm,
            lakefs=marks.lakefs, load=busy, processor_us=used * 1e6 / rounds,
        )  # fmt: skip

    def _check(self, rest: Transport, commit: str, paths: list[str]) -> None:
        """Look whether a commit changes what it should, and holds the bytes that were sent."""
        found = self._diff(rest, commit)
        expect(found, sorted(paths)[:1_000], "the changes of a commit")
        for at in range(0, len(paths), max(1, len(paths) // 20)):
            segments = ("repositories", self.objects.repository, "refs", commit, "objects")
            _, data = rest.call("GET", segments, {"path": paths[at]})
            span = self.objects.pool.span(self.objects.round * 7 + at, 8)
            expect(data, self.objects.pool.get(span), f"{paths[at]} at {commit}")

    def _diff(self, rest: Transport, commit: str) -> list[str]:
        repository = self.objects.repository
        segments = ("repositories", repository, "refs", "main", "diff", commit)
        _, data = rest.call("GET", segments, {"amount": 1_000})
        return [one["path"] for one in json.loads(data)["results"]]

    def diff_warm(self, rest: Transport, kind: str) -> LakeRow:
        """Measure the same diff again and again."""
        marks, commit, busy = DIFFS[kind], self.commits[kind][-1], load_average()
        wanted = self._diff(rest, commit)
        times, before = [], self.objects.server.processor_s()
        for _ in range(self.rounds + _WARM_UPS):
            started = time.perf_counter()
            found = self._diff(rest, commit)
            times.append(time.perf_counter() - started)
            expect(found, wanted, f"a diff of {kind}")
        used = self.objects.server.processor_s() - before
        return self._row(
            "diff", f"diff, {kind}, warm", times[_WARM_UPS:], wanted=marks.warm,
            lakefs=marks.lakefs, load=busy, processor_us=used * 1e6 / len(times),
        )  # fmt: skip

    def diff_cold(self, opener: Opener, kind: str) -> LakeRow:
        """Measure the first diff of fresh processes."""
        marks, made, times, busy = DIFFS[kind], self.commits[kind], [], load_average()
        for number in steps_of(self.rounds_cold, f"cold diffs of {kind}"):
            with self._fresh(opener) as rest:
                started = time.perf_counter()
                found = self._diff(rest, made[number % len(made)])
                times.append(time.perf_counter() - started)
            count = len(self._paths(kind, number % len(made)))
            expect(len(found), count, f"a cold diff of {kind}")
        return self._row(
            "diff", f"diff, {kind}, cold", times, wanted=marks.cold, lakefs=marks.lakefs,
            load=busy,
        )  # fmt: skip

    @contextmanager
    def _fresh(self, opener: Opener) -> Iterator[Transport]:
        with opener() as server, server.rest() as rest:
            rest.call("GET", ("config",))
            yield rest

    def _merge(self, rest: Transport, kind: str, number: int, distance: int) -> float:
        """Merge one commit into a branch at the one `distance` on; return the seconds."""
        made = self.commits[kind]
        source, dest = made[number % len(made)], made[(number + distance) % len(made)]
        self.merges += 1
        branch = self.objects.branch(rest, f"m{self.merges}", dest)
        segments = ("repositories", self.objects.repository, "refs", source, "merge", branch)
        started = time.perf_counter()
        merged = post(rest, segments, {"message": "both sides"})
        spent = time.perf_counter() - started
        expect("reference" in merged, True, "a merge")
        if self.merges % 10 == 1:
            self._check_merge(rest, kind, (number, number + distance), branch)
        return spent

    def _check_merge(self, rest: Transport, kind: str, sides: tuple[int, int], branch: str) -> None:
        """Look whether both sides' changes are there, as far as one page tells."""
        made = self.commits[kind]
        paths = {path for one in sides for path in self._paths(kind, one % len(made))}
        expect(self._diff(rest, branch), sorted(paths)[:1_000], f"a merge of {kind}")

    def merge_warm(self, rest: Transport, kind: str) -> LakeRow:
        """Measure merges of different pairs of commits in one process."""
        marks, times, busy = MERGES[kind], [], load_average()
        before = self.objects.server.processor_s()
        for number in steps_of(self.rounds + _WARM_UPS, f"merges of {kind}"):
            times.append(self._merge(rest, kind, number, 1))
        used = self.objects.server.processor_s() - before
        return self._row(
            "merge", f"merge, {kind}, warm", times[_WARM_UPS:], wanted=marks.warm,
            lakefs=marks.lakefs, load=busy, processor_us=used * 1e6 / len(times),
        )  # fmt: skip

    def merge_cold(self, opener: Opener, kind: str) -> LakeRow:
        """Measure the first merge of fresh processes, of pairs that were not merged before."""
        marks, times, busy = MERGES[kind], [], load_average()
        for number in steps_of(self.rounds_cold, f"cold merges of {kind}"):
            with self._fresh(opener) as rest:
                times.append(self._merge(rest, kind, number, 2))
        return self._row(
            "merge", f"merge, {kind}, cold", times, wanted=marks.cold, lakefs=marks.lakefs,
            load=busy,
        )  # fmt: skip
