"""Progress on a terminal: one bar for a whole transfer, one for each large file under way."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from anabranch.cli.texts import part_text, rate_text, shown, size_text
from anabranch.kernel import limits

_LARGE_BYTES = 8 * limits.MIB
_NAME_WIDTH = 40
_NAME_WIDTH_MIN = 16
_BAR_WIDTH = 28
_BAR_WIDTH_MIN = 8
_NUMBERS_WIDTH = 46
_MINUTE = 60
_HOUR = 3_600
_DAY = 86_400


def time_left(seconds: float | None) -> str:
    """Return a duration in its two largest units; empty when nobody knows it."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02} h"


class _Done(ProgressColumn):
    """How much is done, of how much."""

    def render(self, task: Task) -> Text:
        done = round(task.completed)
        if task.total is None:
            return Text(size_text(done))
        return Text(part_text(done, round(task.total)), "dim" if task.fields["is_file"] else "")


class _Rate(ProgressColumn):
    """Bytes a second, and the time that is left."""

    def render(self, task: Task) -> Text:
        if task.fields.get("is_file"):
            return Text("")
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text("")
        left = time_left(task.time_remaining)
        after = (f"  {left} left", "dim") if left and not task.finished else ""
        return Text.assemble((rate_text(speed), "bold"), after)


class Bars:
    """A watcher that draws: see `anabranch.client.transfers.Watcher`."""

    def __init__(
        self, progress: Progress, title: str, total_bytes: int | None, name_width: int
    ) -> None:
        self._progress = progress
        self._name_width = name_width
        self._lock = Lock()
        self._files: dict[str, TaskID] = {}
        self._whole = progress.add_task(title, total=total_bytes, is_file=False)

    def began(self, name: str, size_bytes: int) -> None:
        """Draw a bar for a large file; the others come and go too fast to be read."""
        if size_bytes >= _LARGE_BYTES:
            label = elided(shown(name), self._name_width - 2)
            task = self._progress.add_task(f"  {label}", total=size_bytes, is_file=True)
            with self._lock:
                self._files[name] = task

    def advanced(self, name: str, size_bytes: int) -> None:
        """Move the bars."""
        self._progress.advance(self._whole, size_bytes)
        task = self._files.get(name)
        if task is not None:
            self._progress.advance(task, size_bytes)

    def ended(self, name: str) -> None:
        """Take the file's bar away."""
        with self._lock:
            task = self._files.pop(name, None)
        if task is not None:
            self._progress.remove_task(task)


def elided(text: str, width: int) -> str:
    """Return a path that fits: its end says most, its beginning tells where it is."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[head + 1 - width :]}"


@contextmanager
def drawn(console: Console, title: str, total_bytes: int | None) -> Iterator[Bars]:
    """Draw the progress of a transfer of bytes while the block lasts; nothing of it stays."""
    free = console.width - _NUMBERS_WIDTH
    bar_width = max(_BAR_WIDTH_MIN, min(_BAR_WIDTH, free * 2 // 5))
    name_width = max(_NAME_WIDTH_MIN, min(_NAME_WIDTH, free - bar_width))
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(
            bar_width,
            complete_style="cyan",
            finished_style="green",
            pulse_style="cyan",
        ),
        _Done(table_column=Column(no_wrap=True, justify="right")),
        _Rate(table_column=Column(no_wrap=True)),
    ]
    # Soft wrapping, which texts want, would let bars run over the edge.
    with Progress(*columns, console=_fixed(console), transient=True) as progress:
        yield Bars(progress, title, total_bytes, name_width)


@contextmanager
def counted(console: Console, title: str) -> Iterator["Counter"]:
    """Draw how many things are done while the block lasts, when nobody knows how many there are."""
    columns = [
        SpinnerColumn(style="blue"),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[count]:,} objects"),
        TextColumn("[cyan]{task.fields[rate]}"),
    ]
    with Progress(*columns, console=_fixed(console), transient=True) as progress:
        yield Counter(progress, progress.add_task(title, total=None, count=0, rate=""))


class Counter:
    """A number that grows on a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, count: int) -> None:
        """Show a count, and how fast it grew."""
        elapsed = self._progress.tasks[0].elapsed or 0
        rate = f"{count / elapsed:,.0f} objects/s" if elapsed and count else ""
        self._progress.update(self._task, count=count, rate=rate)


def _fixed(console: Console) -> Console:
    return Console(file=console.file, stderr=console.stderr, highlight=False)
