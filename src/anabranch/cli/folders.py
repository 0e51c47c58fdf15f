"""The picture of `diff --stat`: changes counted by folder, with bars."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import UnsetType
from rich.text import Text

from anabranch.cli.bars import elided
from anabranch.cli.texts import SIGNS, STYLES, count_text, shown, size_text
from anabranch.client.answers import Change
from anabranch.kernel import limits

_TOP = "./"
_NAME_MAX = 48
_NAME_MIN = 12
_BAR_MAX = 40
_BAR_MIN = 8


class Folders:
    """Counts changes by folder, in a bounded number of folders: the deepest join their parents."""

    def __init__(self, *, depth: int | None = None) -> None:
        self._depth = depth
        self._counts: dict[str, Counter[str]] = {}
        self._bytes: dict[str, Counter[str]] = {}

    def add(self, changes: Iterable[Change]) -> None:
        """Count changes."""
        for one in changes:
            size = 0 if isinstance(one.size_bytes, UnsetType) else one.size_bytes
            self._count(folder_of(one.path, self._depth), one.type, 1, size)
            if len(self._counts) > limits.STAT_FOLDERS_MAX:
                self._join()

    def _count(self, folder: str, kind: str, count: int, size_bytes: int) -> None:
        self._counts.setdefault(folder, Counter())[kind] += count
        self._bytes.setdefault(folder, Counter())[kind] += size_bytes

    def _join(self) -> None:
        """Take away one level at a time until few folders are left."""
        while len(self._counts) > limits.STAT_FOLDERS_MAX:
            deepest = max(folder.count("/") for folder in self._counts if folder != _TOP)
            self._depth = deepest - 1
            counts, sizes = self._counts, self._bytes
            self._counts, self._bytes = {}, {}
            for folder, counter in counts.items():
                for kind, count in counter.items():
                    near = folder_of(folder, self._depth)
                    self._count(near, kind, count, sizes[folder][kind])

    def total(self) -> tuple[Counter[str], Counter[str]]:
        """Return counts and bytes of all changes by kind."""
        return sum(self._counts.values(), Counter()), sum(self._bytes.values(), Counter())

    def values(self) -> list[dict[str, object]]:
        """Return a value for each folder, as JSON shows it."""
        return [
            {
                "folder": folder,
                **{
                    kind: {"count": counts[kind], "size_bytes": self._bytes[folder][kind]}
                    for kind in SIGNS
                },
            }
            for folder, counts in sorted(self._counts.items())
        ]

    def lines(self, width: int) -> list[Text]:
        """Return a line for each folder that fits a width, and one for all together."""
        rows = sorted(self._counts.items())
        if not rows:
            return []
        names = [shown(folder) for folder, _ in rows]
        cells = [
            [f"{sign}{counts[kind]:,}" if counts[kind] else "" for kind, sign in SIGNS.items()]
            for _, counts in rows
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        sizes = [size_text(sum(self._bytes[folder].values())) for folder, _ in rows]
        size_width = max(map(len, sizes))
        taken = sum(wide + 2 for wide in widths if wide) + size_width + 4
        free = width - taken
        bar_min = max(_BAR_MIN, free // 3)
        name_width = max(_NAME_MIN, min(_NAME_MAX, free - bar_min, max(map(len, names))))
        bar_width = max(_BAR_MIN, min(_BAR_MAX, free - name_width))
        largest = max(counts.total() for _, counts in rows)
        found = []
        for name, (_, counts), row, size in zip(names, rows, cells, sizes, strict=True):
            line = Text(f"{elided(name, name_width):<{name_width}}")
            for cell, wide, style in zip(row, widths, STYLES.values(), strict=True):
                if wide:
                    line.append(f"  {cell:>{wide}}", style)
            line.append(f"  {size:>{size_width}}  ", "dim")
            line.append_text(bar([counts[kind] for kind in SIGNS], largest, bar_width))
            found.append(line)
        return [*found, Text(), self.summary()]

    def summary(self) -> Text:
        """Return the line for all folders together."""
        counts, sizes = self.total()
        parts = [
            Text.assemble(
                (f"{counts[kind]:,} {kind}", STYLES[sign]), f" ({size_text(sizes[kind])})"
            )
            for kind, sign in SIGNS.items()
            if counts[kind]
        ]
        where = Text(f" in {count_text(len(self._counts), 'folder')}")
        return Text.assemble(Text(", ").join(parts), where)


def folder_of(path: str, depth: int | None) -> str:
    """Return the folder of a path with a slash at its end, cut to a number of levels."""
    parts = path.split("/")[:-1]
    kept = parts if depth is None else parts[:depth]
    return "".join(f"{part}/" for part in kept) or _TOP


def bar(counts: Sequence[int], largest: int, width: int) -> Text:
    """Return a bar of signs: one a change, or in proportion where the largest would not fit.

    What there is at all is seen.
    """
    total = sum(counts)
    scale = min(1, width / largest)
    cells = max(sum(map(bool, counts)), round(total * scale))
    shares = [max(1, count * cells // total) if count else 0 for count in counts]
    # What rounding left goes to the largest share, or is taken from it.
    shares[counts.index(max(counts))] += cells - sum(shares)
    line = Text()
    for share, (sign, style) in zip(shares, STYLES.items(), strict=True):
        line.append(sign * share, style)
    return line
