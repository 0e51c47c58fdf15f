"""The driver of merges as every process knows it: loaded by the first merge that touches a table.

Learning about tables takes a process a quarter of its start and 7 MB, and most merge none.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from anabranch.kernel.arrow import compute
from anabranch.lake import Lake
from anabranch.lake.comparing import Strategy
from anabranch.lake.drivers import DriverPlan, MergeSides
from anabranch.warehouse.places import DATABASE_FILE, LABELS, OVERWRITES, ROWSETS, SCHEMA_FILE

if TYPE_CHECKING:
    from anabranch.warehouse.merging.questions import RowJudge

_NAME = "[A-Za-z][-A-Za-z0-9_]{0,63}"
_OWN = (
    rf"^{_NAME}/({DATABASE_FILE}|{LABELS}/[^/]+"
    rf"|{_NAME}/({SCHEMA_FILE}|{ROWSETS}/.+|{OVERWRITES}/[^/]+))$"
)
_OWN_IN_PYTHON = re.compile(_OWN.removeprefix("^").removesuffix("$"))
_ONE_BY_ONE_MAX = 4_096
"""Paths that Python judges in 2 ms; to load pyarrow's way takes 70, and most merges are small."""


class TableMerges:
    """Judges paths of databases and tables: a `MergeDriver`.

    Made before the lake that it judges merges of: `join` says which, and who judges rows.
    """

    def __init__(self) -> None:
        self._lake: Lake | None = None
        self._open_judge: Callable[[], RowJudge] | None = None

    def join(self, lake: Lake, open_judge: Callable[[], RowJudge]) -> None:
        """Say whose merges are judged, and how to reach who judges rows; the last one counts."""
        self._lake, self._open_judge = lake, open_judge

    def owns(self, paths: pa.Array) -> pa.Array:
        """Return for each path whether it may be one of a database's or table's files."""
        return owned(paths)

    def plan(self, sides: MergeSides, strategy: Strategy | None) -> DriverPlan:
        """Judge a merge. Conflicts name a path, and what is in it after a `#`."""
        assert self._lake is not None, "joined before the first merge"
        assert self._open_judge is not None
        driver = importlib.import_module("anabranch.warehouse.merging.driver")
        plan: DriverPlan = driver.plan_merge(self._lake, self._open_judge(), sides, strategy)
        return plan


def owned(paths: pa.Array) -> pa.Array:
    """Return for each path whether it may be one of a database's or table's files."""
    if len(paths) <= _ONE_BY_ONE_MAX:
        return pa.array(
            [_OWN_IN_PYTHON.fullmatch(path) is not None for path in paths.to_pylist()], pa.bool_()
        )
    return compute().match_substring_regex(paths, pattern=_OWN)


def merge_client(path: Path) -> RowJudge:
    """Return who asks the SQL process about rows, by the socket at `path`."""
    requests = importlib.import_module("anabranch.warehouse.merging.requests")
    client: RowJudge = requests.MergeClient(path)
    return client
