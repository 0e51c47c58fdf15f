"""An event loop whose time jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.SelectSelector):
    """Where the loop would sleep, time passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.now_s += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Runs what needs no other thread and no network; a wait without a timer would spin."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run_jumping(main: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Return a coroutine's result and how many seconds of the loop's time it took."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(main), loop.time()
    finally:
        loop.close()
