"""Error logs: the first bad rows of a load and why they were refused, in a file by a random name.

A log is a help for people: it lies on the disk of the server that ran the load, and is removed with
the load's record.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from anabranch.kernel import limits
from anabranch.kernel.clock import IdSource

_NAME = re.compile(r"[0-9a-f]{32}")
PATH = "/api/_load_error_log"


class Refused(Protocol):
    """A bad row: why, and what it was."""

    @property
    def reason(self) -> str: ...
    @property
    def line(self) -> str: ...


class ErrorLogs:
    """Writes and reads logs. `endpoint` is the URL of Doris's HTTP, as `http://host:8030`."""

    def __init__(self, directory: Path, ids: IdSource, endpoint: Callable[[], str]) -> None:
        self._directory = directory
        self._ids = ids
        self._endpoint = endpoint

    def write(self, errors: Iterable[Refused]) -> str:
        """Keep the first errors and return the log's name, empty when there are none.

        A disk that is full loses the log, not the load.
        """
        lines: list[bytes] = []
        size_bytes = 0
        for number, error in enumerate(errors):
            line = _line(error)
            size_bytes += len(line)
            if number == limits.ERROR_LOG_ROWS_MAX or size_bytes > limits.ERROR_LOG_BYTES_MAX:
                break
            lines.append(line)
        if not lines:
            return ""
        name = self._ids.hex32()
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(self._directory / name, flags, 0o600), "wb") as file:
                file.writelines(lines)
        except OSError:
            return ""
        return name

    def url(self, name: str) -> str:
        """Return where a log can be fetched."""
        return f"{self._endpoint()}{PATH}?file={name}"

    def find(self, name_or_url: str) -> bytes | None:
        """Return a log's text by its name or its URL, None when there is none."""
        name = name_or_url
        if "?" in name_or_url:
            try:
                name = parse_qs(urlsplit(name_or_url).query).get("file", [""])[0]
            except ValueError:
                return None
        if not _NAME.fullmatch(name):
            return None
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Forget a log; nothing when there is none."""
        if _NAME.fullmatch(name):
            with contextlib.suppress(OSError):
                (self._directory / name).unlink()

    def sweep(self, *, now_us: int) -> int:
        """Remove logs that outlived their records, and the oldest when there are too many."""
        old_s = now_us / 1_000_000 - limits.LOAD_JOB_KEEP_S
        found: list[tuple[float, str]] = []
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        found.append((entry.stat().st_mtime, entry.name))
        except FileNotFoundError:
            return 0
        found.sort()
        extra = max(0, len(found) - limits.ERROR_LOGS_MAX)
        gone = [
            name
            for index, (changed_s, name) in enumerate(found)
            if changed_s < old_s or index < extra
        ]
        for name in gone:
            self.remove(name)
        return len(gone)


def _line(error: Refused) -> bytes:
    """Return a log's line, in the form of Doris's."""
    line = error.line[: limits.ERROR_LOG_LINE_MAX].replace("\r", "\\r").replace("\n", "\\n")
    reason = error.reason[: limits.ERROR_LOG_LINE_MAX].replace("\n", " ")
    return f"Reason: {reason}. src line: [{line}]; \n".encode(errors="backslashreplace")
