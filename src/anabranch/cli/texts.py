"""What commands print for people: short ids, times, sizes, aligned lines.

What users named is shown with its control characters escaped: a path must not move a cursor.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from msgspec import UnsetType
from rich.text import Text

from anabranch.client.answers import Change, Commit, ObjectStats

ID_LENGTH = 12
TIME_WIDTH = 19
SIZE_WIDTH = 10
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
STYLES = {"+": "green", "-": "red", "~": "yellow"}
_UNIT = 1024
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def shown(text: str) -> str:
    """Return a text with what cannot be printed escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def short(commit_id: str) -> str:
    """Return the digits of an id that people compare."""
    return commit_id[:ID_LENGTH]


def time_text(seconds: int) -> str:
    """Return a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def size_text(size_bytes: int) -> str:
    """Return a size in bytes or the largest binary unit that it fills."""
    if size_bytes < _UNIT:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in _UNITS[:-1]:
        size /= _UNIT
        # 1023.96 would be rounded to 1024.0 of a unit whose next is at hand.
        if size < _UNIT - 0.05:
            return f"{size:.1f} {unit}"
    return f"{size / _UNIT:.1f} {_UNITS[-1]}"


def part_text(done_bytes: int, size_bytes: int) -> str:
    """Return how much of a size is done, both in the unit of the size."""
    whole, _, unit = size_text(size_bytes).partition(" ")
    if unit == "B":
        return f"{done_bytes}/{whole} B"
    factor = _UNIT ** (_UNITS.index(unit) + 1)
    return f"{done_bytes / factor:.1f}/{whole} {unit}"


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def ref_line(name: str, commit_id: str) -> Text:
    """Return the line of a branch or tag."""
    return Text.assemble((short(commit_id), "yellow"), "  ", shown(name))


def commit_block(commit: Commit, names: Text | None = None, *, with_parents: bool = True) -> Text:
    """Return a commit as the log shows it: head line, message, metadata, parents.

    `names` stand after the id.
    """
    text = Text.assemble(
        (short(commit.id), "yellow"),
        *_after_id(names),
        time_text(commit.creation_date),
        "  ",
        (shown(commit.committer), "cyan"),
    )
    for number, line in enumerate(commit.message.splitlines()):
        text.append(f"\n    {shown(line)}" if line.strip() else "\n", "bold" if not number else "")
    for key, value in sorted(commit.metadata.items()):
        text.append(f"\n    {shown(key)}: {shown(value)}", "dim")
    if commit.parents and with_parents:
        noun = "parent" if len(commit.parents) == 1 else "parents"
        text.append(f"\n    {noun} {' '.join(map(short, commit.parents))}", "dim")
    return text


def commit_line(commit: Commit, names: Text | None = None) -> Text:
    """Return a commit in one line; `names` stand after the id."""
    return Text.assemble(
        (short(commit.id), "yellow"),
        *_after_id(names),
        shown(first_line(commit.message)),
    )


def _after_id(names: Text | None) -> tuple[str | Text, ...]:
    return ("  ", names, " ") if names else ("  ",)


def first_line(message: str) -> str:
    """Return the first line of a message."""
    return next(iter(message.splitlines()), "")


def change_line(change: Change) -> Text:
    """Return the line of a change: sign, size, path."""
    sign = SIGNS.get(change.type, "!")
    size = "" if isinstance(change.size_bytes, UnsetType) else size_text(change.size_bytes)
    style = STYLES.get(sign, "magenta")
    return Text.assemble((sign, style), f" {size:>{SIZE_WIDTH}}  ", (shown(change.path), style))


def change_summary(added: int, removed: int, changed: int) -> Text:
    """Return how many paths of each kind there are; what there is none of is left out."""
    counts = (("+", added, "added"), ("-", removed, "removed"), ("~", changed, "changed"))
    parts = [
        Text.assemble((f"{count:,} {word}", STYLES[sign])) for sign, count, word in counts if count
    ]
    return Text(", ").join(parts) if parts else Text("no changes")


def object_line(stats: ObjectStats, *, is_exact: bool) -> Text:
    """Return the line of a listing: time, size, path; a common prefix has its path alone."""
    width = SIZE_WIDTH + (5 if is_exact else 0)
    if stats.path_type == "common_prefix":
        return Text.assemble(" " * (TIME_WIDTH + width + 4), (shown(stats.path), "bold blue"))
    size = 0 if isinstance(stats.size_bytes, UnsetType) else stats.size_bytes
    mtime = 0 if isinstance(stats.mtime, UnsetType) else stats.mtime
    return Text.assemble(
        (time_text(mtime), "dim"),
        f"  {str(size) if is_exact else size_text(size):>{width}}  ",
        shown(stats.path),
    )


def aligned(rows: Iterable[tuple[str, ...]]) -> Iterator[Text]:
    """Yield rows with their columns aligned; the last column is not padded."""
    cells = [tuple(map(shown, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [f"{cell:<{width}}" for cell, width in zip(row[:-1], widths, strict=False)]
        yield Text("  ".join((*padded, row[-1])))


def labelled(rows: Sequence[tuple[str, str]]) -> Text:
    """Return names and values of one thing, one a line."""
    width = max(len(name) for name, _ in rows)
    lines = [
        Text.assemble((f"{name:<{width}}", "bold"), "  ", shown(value)) for name, value in rows
    ]
    return Text("\n").join(lines)


def rate_text(bytes_per_s: float) -> str:
    """Return how fast bytes move."""
    return f"{size_text(round(bytes_per_s))}/s"
