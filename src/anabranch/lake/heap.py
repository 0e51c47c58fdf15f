"""Memory that the C library holds free between values that live on, given back to the system."""

import ctypes
from threading import Lock

from anabranch.kernel import limits

# glibc has it (malloc_trim(3)); other C libraries give pages back by themselves.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


class Turnover:
    """Counts the bytes of values that were made, and gives back what lies free between them.

    Columns of ranges come and go among bytes of other sizes: without this, a process that changes
    ranges over and over holds twice what its caches count.
    """

    def __init__(self, every_bytes: int = limits.HEAP_TRIM_BYTES) -> None:
        self._every_bytes = every_bytes
        self._lock = Lock()
        self.made_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count bytes; after every `every_bytes` of them the caller's thread gives memory back."""
        with self._lock:
            self.made_bytes += size_bytes
            if self.made_bytes < self._every_bytes:
                return
            self.made_bytes = 0
        if _trim is not None:
            _trim(0)
