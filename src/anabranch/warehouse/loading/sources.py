"""Where a load's bytes come from, and what was met while they were read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from anabranch.kernel import limits
from anabranch.warehouse.loading.compression import Bytes
from anabranch.warehouse.loading.writing import BadRow


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a load: `open` gives its bytes once, `path` is set where it lies on this disk.

    `path_values` are the values of COLUMNS FROM PATH, in their order.
    """

    name: str
    open: Callable[[], Bytes]
    path_values: tuple[str | None, ...] = ()
    path: Path | None = None


@dataclass(slots=True)
class Tally:
    """What reading has met so far; one thread writes it, others may look.

    `bad_rows` are lines that are no rows, `errors` the first of them.
    """

    scanned_rows: int = 0
    scanned_bytes: int = 0
    bad_rows: int = 0
    files: int = 0
    errors: list[BadRow] = field(default_factory=list)
    failure: Exception | None = None

    def refuse(self, reason: str, line: str, row: int) -> None:
        """Keep why a line is no row, if it is among the first; it is counted apart."""
        if len(self.errors) < limits.ERROR_LOG_ROWS_MAX:
            self.errors.append(BadRow(reason, line, row))


class Counted:
    """A stream that counts its bytes in a tally."""

    def __init__(self, stream: Bytes, tally: Tally) -> None:
        self._stream = stream
        self._tally = tally

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._tally.scanned_bytes += len(data)
        return data
