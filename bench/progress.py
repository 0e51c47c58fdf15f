"""Progress of long steps, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import track

_console = Console(stderr=True)


def steps_of(count: int, what: str) -> Iterable[int]:
    """Yield 0 to `count` - 1; show how far that is."""
    if not _console.is_terminal:
        tell(f"{what}: {count}")
        return range(count)
    return track(range(count), description=what, console=_console, transient=True)


def tell(text: str) -> None:
    """Say what comes next."""
    print(f"-- {text}", file=sys.stderr, flush=True)
