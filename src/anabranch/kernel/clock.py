"""Where time and random ids come from: protocols, so that tests can decide both."""

from typing import Protocol


class Clock(Protocol):
    """Wall-clock time."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        ...


class IdSource(Protocol):
    """Unguessable ids that never repeat."""

    def hex32(self) -> str:
        """Return 128 random bits as 32 lower-case hex digits."""
        ...
