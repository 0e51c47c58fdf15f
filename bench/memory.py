"""Memory of all processes of a server: proportional set sizes, now and at their highest."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import Server

_POLL_S = 0.5


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of a process; 0 when it is gone."""
    return _rollup(pid, "Pss:")


def rss_bytes(pid: int) -> int:
    """Return the resident set size of a process; 0 when it is gone."""
    return _rollup(pid, "Rss:")


def _rollup(pid: int, field_name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(field_name):
                return int(line.split()[1]) * 1_024
    return 0


def total_mb(server: Server) -> float:
    """Return the PSS of all processes of a server, in millions of bytes."""
    return sum(pss_bytes(pid) for pid in server.running.processes()) / 1e6


def resident_mb(server: Server) -> float:
    """Return the RSS of all processes of a server, in millions of bytes."""
    return sum(rss_bytes(pid) for pid in server.running.processes()) / 1e6


@dataclass(slots=True)
class Peak:
    """The highest sums seen, in millions of bytes, and all that was seen."""

    pss_mb: float = 0.0
    rss_mb: float = 0.0
    seen: list[float] = field(default_factory=list)

    def look(self, server: Server) -> None:
        """Note what the processes have now."""
        pids = server.running.processes()
        pss, rss = (sum(map(read, pids)) / 1e6 for read in (pss_bytes, rss_bytes))
        self.seen.append(round(pss, 1))
        self.pss_mb, self.rss_mb = max(self.pss_mb, pss), max(self.rss_mb, rss)


@contextmanager
def watched(server: Server, peak: Peak) -> Iterator[Peak]:
    """Look twice a second until the block ends."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_POLL_S):
            peak.look(server)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()
        peak.look(server)
