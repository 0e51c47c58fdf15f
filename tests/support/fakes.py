"""Time and ids that a test decides."""

import hashlib
import threading


class FakeClock:
    """Wall-clock time that moves only when told to, or by a fixed step with each question."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000, *, step_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._step_ns = step_ns
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        with self._lock:
            now_ns = self._now_ns
            self._now_ns += self._step_ns
            return now_ns

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        with self._lock:
            self._now_ns += int(seconds * 1_000_000_000)


class FakeIds:
    """Ids that look random, never repeat for one name, and are the same in every run."""

    def __init__(self, name: str = "ids") -> None:
        self._name = name
        self._count = 0
        self._lock = threading.Lock()

    def hex32(self) -> str:
        """Return 32 lower-case hex digits."""
        with self._lock:
            self._count += 1
            text = f"{self._name}/{self._count}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
