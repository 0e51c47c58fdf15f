"""A running load as others see it: how far it is, and a way to end it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anabranch.kernel.errors import AnabranchError, Kind
from anabranch.warehouse.jobs.load_records import Counts

USER_CANCEL = "USER_CANCEL"
TIMEOUT = "TIMEOUT"
RUN_FAIL = "LOAD_RUN_FAIL"
ETL_RUN_FAIL = "ETL_RUN_FAIL"
QUALITY = "ETL_QUALITY_UNSATISFIED"
STOPPING = "STOPPING"
"""The process ends: the load is run again by the next one."""


def _nothing() -> tuple[Counts, float]:
    return Counts(), 0.0


class LoadEnded(AnabranchError):
    """A load was ended from outside; `failure` is one of the types above."""

    def __init__(self, failure: str, message: str) -> None:
        super().__init__(Kind.CONFLICT, message)
        self.failure = failure


class Control:
    """What a load asks while it runs, and what others tell it. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: LoadEnded | None = None
        self._cancels: list[Callable[[], None]] = []
        self._look: Callable[[], tuple[Counts, float]] = _nothing

    @property
    def counts(self) -> Counts:
        """Return what was counted so far."""
        return self._look()[0]

    @property
    def percent(self) -> int:
        """Return how far it is, 0 to 99."""
        return max(0, min(99, int(self._look()[1] * 100)))

    @property
    def is_ended(self) -> bool:
        """Tell whether somebody ended it."""
        return self._ended is not None

    def watch(self, look: Callable[[], tuple[Counts, float]]) -> None:
        """Say where to look for how far it is: counts, and a share of everything, 0 to 1."""
        self._look = look

    def ended(self) -> LoadEnded:
        """Return why it was ended; it must have been."""
        assert self._ended is not None
        return self._ended

    def check(self) -> None:
        """Raise LoadEnded when somebody ended it; loops call it between portions."""
        if self._ended is not None:
            raise self._ended

    def end(self, failure: str, message: str) -> None:
        """End it: its next check raises, and what it waits for is interrupted."""
        with self._lock:
            if self._ended is None:
                self._ended = LoadEnded(failure, message)
            cancels = list(self._cancels)
        for cancel in cancels:
            cancel()

    @contextmanager
    def interrupting(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Call `cancel` when the load is ended within the block; raise LoadEnded if it was."""
        with self._lock:
            self._cancels.append(cancel)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._cancels.remove(cancel)
