"""Where the lines of a graph of commits run: one row for each commit, children above parents.

Several lanes may await one commit: their lines meet in it. `anabranch.cli.graph`, which has one
line of signs between two commits, lets lanes meet sooner.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A commit's row: the lane it stands in, and the lanes that lines touch.

    `arrivals` come from above to the commit, `departures` leave it downwards, `passing` go by it.
    """

    lane: int
    arrivals: tuple[int, ...]
    passing: tuple[int, ...]
    departures: tuple[int, ...]

    @property
    def width(self) -> int:
        """Return how many lanes the row needs."""
        return 1 + max((self.lane, *self.arrivals, *self.passing, *self.departures))


def lay_out(commits: Iterable[tuple[str, Sequence[str]]]) -> list[Row]:
    """Return the rows of commits, each with its parents, in the order of a log.

    A commit must come before its parents; the first parent keeps the commit's lane.
    """
    lanes: list[str | None] = []
    rows: list[Row] = []
    for commit, parents in commits:
        arrivals = tuple(at for at, wanted in enumerate(lanes) if wanted == commit)
        lane = arrivals[0] if arrivals else _free(lanes)
        passing = tuple(
            at for at, wanted in enumerate(lanes) if wanted is not None and wanted != commit
        )
        for at in arrivals:
            lanes[at] = None
        departures: list[int] = []
        for number, parent in enumerate(parents):
            if number == 0:
                lanes[lane] = parent
                departures.append(lane)
            elif parent in lanes:
                departures.append(lanes.index(parent))
            else:
                at = _free(lanes)
                lanes[at] = parent
                departures.append(at)
        rows.append(Row(lane, arrivals, passing, tuple(departures)))
        while lanes and lanes[-1] is None:
            lanes.pop()
    return rows


def _free(lanes: list[str | None]) -> int:
    for at, wanted in enumerate(lanes):
        if wanted is None:
            return at
    lanes.append(None)
    return len(lanes) - 1
