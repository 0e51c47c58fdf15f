"""The lines of `log --graph`: one lane for each commit that is awaited, drawn as commits come.

Commits must come children first. Only the lanes are held, so a history of any length can be drawn.
A parent that is awaited already is joined at once, in the one line there is between two commits:
`anabranch.client.lanes`, whose curves can meet at the parent itself, lets its lanes run on there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
_UNICODE = {
    (1, 1, 0, 0): "│",
    (1, 1, 0, 1): "├",
    (1, 1, 1, 0): "┤",
    (1, 1, 1, 1): "┼",
    (1, 0, 0, 1): "╰",
    (1, 0, 1, 0): "╯",
    (1, 0, 1, 1): "┴",
    (0, 1, 0, 1): "╭",
    (0, 1, 1, 0): "╮",
    (0, 1, 1, 1): "┬",
}
_ASCII = {
    (1, 1, 0, 0): "|",
    (1, 1, 0, 1): "|",
    (1, 1, 1, 0): "|",
    (1, 1, 1, 1): "+",
    (1, 0, 0, 1): "'",
    (1, 0, 1, 0): "'",
    (1, 0, 1, 1): "'",
    (0, 1, 0, 1): ".",
    (0, 1, 1, 0): ".",
    (0, 1, 1, 1): ".",
}
"""The sign of a cell that is connected up, down, left and right, or not."""


@dataclass(frozen=True, slots=True)
class _Lane:
    commit_id: str
    colour: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What stands left of a commit's lines: all of one width.

    `node` before the first line, `link` before the second where lanes meet or part there, and
    `rest` before all others.
    """

    node: Text
    link: Text | None
    rest: Text

    def lines(self, texts: Sequence[Text]) -> list[Text]:
        """Return a commit's lines with the graph before them; the link is there in any case."""
        before = [self.node, *(() if self.link is None else (self.link,))]
        before += [self.rest] * (len(texts) - len(before))
        after = [*texts, *(Text() for _ in range(len(before) - len(texts)))]
        found = [Text.assemble(*pair) for pair in zip(before, after, strict=True)]
        for line in found:
            line.rstrip()
        return found


class Graph:
    """Draws a history commit by commit."""

    def __init__(self, *, is_ascii: bool = False) -> None:
        self._lanes: list[_Lane | None] = []
        self._signs = _ASCII if is_ascii else _UNICODE
        self._across = "-" if is_ascii else "─"
        self._node, self._merge = ("*", "*") if is_ascii else ("●", "○")
        self._count = 0

    @property
    def width(self) -> int:
        """Return how many lanes there are, with those between them that are empty."""
        return len(self._lanes)

    def add(self, commit_id: str, parents: Sequence[str]) -> Drawn:
        """Draw the next commit."""
        column = self._find(commit_id)
        if column is None:
            column = self._free(0)
            self._lanes[column] = self._lane(commit_id)
        before = list(self._lanes)
        targets = self._move(column, parents)
        width = max(len(before), len(self._lanes))
        after = self._lanes + [None] * (width - len(self._lanes))
        before += [None] * (width - len(before))
        while self._lanes and self._lanes[-1] is None:
            self._lanes.pop()
        sign = self._merge if len(parents) > 1 else self._node
        node = self._row([sign if at == column else "" for at in range(width)], before)
        link = self._link(column, targets, before, after) if targets else None
        return Drawn(node, link, self._row([""] * width, after))

    def _move(self, column: int, parents: Sequence[str]) -> list[int]:
        """Let lanes await the parents instead of the commit; return those it is linked to."""
        ended = self._lanes[column]
        assert ended is not None
        self._lanes[column] = None
        targets: list[int] = []
        for parent in parents:
            found = self._find(parent)
            if found is not None:
                if found != column:
                    targets.append(found)
            elif self._lanes[column] is None:
                self._lanes[column] = _Lane(parent, ended.colour)
            else:
                free = self._free(column + 1)
                self._lanes[free] = self._lane(parent)
                targets.append(free)
        return targets

    def _link(
        self,
        column: int,
        targets: Sequence[int],
        before: Sequence[_Lane | None],
        after: Sequence[_Lane | None],
    ) -> Text:
        first, last = min(column, *targets), max(column, *targets)
        # Of a lane that goes on, what joins it has the joining lane's colour.
        tints = [after[at] if before[at] is None else before[column] for at in targets]
        line = Text()
        for at, (above, below) in enumerate(zip(before, after, strict=True)):
            is_joint = at == column or at in targets
            left, right = (first < at <= last, first <= at < last) if is_joint else (False, False)
            sides = (above is not None, below is not None, left, right)
            is_crossed = first < at < last and above is None and below is None
            sign = self._across if is_crossed else self._signs.get(_bits(sides), " ")
            reach = _nearest(at, column, targets, tints)
            lane = reach if is_crossed else (above if at == column else below or above)
            line.append(sign, _style(lane))
            if first <= at < last:
                line.append(self._across, _style(_nearest(at, column, targets, tints)))
            else:
                line.append(" ")
        return line

    def _row(self, nodes: Sequence[str], lanes: Sequence[_Lane | None]) -> Text:
        line = Text()
        passing = self._signs[1, 1, 0, 0]
        for node, lane in zip(nodes, lanes, strict=True):
            line.append(node or (passing if lane is not None else " "), _style(lane))
            line.append(" ")
        return line

    def _find(self, commit_id: str) -> int | None:
        for at, lane in enumerate(self._lanes):
            if lane is not None and lane.commit_id == commit_id:
                return at
        return None

    def _free(self, first: int) -> int:
        for at in range(first, len(self._lanes)):
            if self._lanes[at] is None:
                return at
        self._lanes.append(None)
        return len(self._lanes) - 1

    def _lane(self, commit_id: str) -> _Lane:
        lane = _Lane(commit_id, _COLOURS[self._count % len(_COLOURS)])
        self._count += 1
        return lane


def _bits(sides: tuple[bool, bool, bool, bool]) -> tuple[int, int, int, int]:
    up, down, left, right = map(int, sides)
    return up, down, left, right


def _nearest(
    at: int, column: int, targets: Sequence[int], tints: Sequence[_Lane | None]
) -> _Lane | None:
    """Return the lane that a stretch right of a cell leads to, seen from the commit."""
    beyond = [
        (abs(target - column), tint)
        for target, tint in zip(targets, tints, strict=True)
        if (target > at if at >= column else target <= at)
    ]
    return min(beyond, key=lambda one: one[0])[1] if beyond else None


def _style(lane: _Lane | None) -> str:
    return "" if lane is None else lane.colour
