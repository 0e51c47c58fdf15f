"""How long each group of tests took; a group is the first folder under `tests/`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath

import pytest


class GroupTimes:
    """Adds up the time of set-up, test and tear-down by group; prints it last."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._tests: defaultdict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        group = group_of(report.nodeid)
        self._seconds[group] += report.duration
        self._tests[group] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._seconds:
            return
        terminalreporter.section("time by group")
        for group, seconds in sorted(self._seconds.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{seconds:8.1f} s {self._tests[group]:6} tests  {group}")


def group_of(nodeid: str) -> str:
    """Return the group of a test by its node id: `tests/lake/test_merges.py::test_x` -> `lake`."""
    parts = PurePosixPath(nodeid.partition("::")[0]).parts
    return parts[1] if len(parts) > 2 else "tests"
