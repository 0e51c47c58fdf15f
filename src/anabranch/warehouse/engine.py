"""DuckDB: one locked instance, a cursor for each statement, results as a stream of batches.

The instance can read the given directories and nothing else: no extension, file, setting or
Python variable can be named from SQL once it is open, and what reaches it is only what the
transforms wrote.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind
from anabranch.warehouse.errors import SqlError, doris, interrupted
from anabranch.warehouse.sql.functions.families import macro_statements


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an instance may use. `extensions` are files loaded before it is locked.

    `state_bytes_max` bounds what aggregates of sketches and bitmaps keep outside of the engine's
    own limit, all statements of the process together; by default a quarter of `memory_bytes_max`.
    """

    memory_bytes_max: int
    threads: int
    directories: Sequence[Path]
    spill: Path
    extensions: Sequence[Path] = field(default=())
    state_bytes_max: int | None = None


class Engine:
    """A DuckDB instance. Statements run side by side, each on a cursor of its own."""

    def __init__(self, settings: EngineSettings) -> None:
        settings.spill.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{settings.memory_bytes_max}B",
            "threads": str(settings.threads),
            "temp_directory": str(settings.spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_unsigned_extensions": "true",
            "python_enable_replacements": "false",
            "error_on_division_by_zero": "false",
            "preserve_insertion_order": "true",
        }
        self._connection: Any = duckdb.connect(":memory:", config=config)
        for extension in settings.extensions:
            self._connection.execute(f"LOAD {_path(extension)}")
        if settings.extensions:
            most = settings.state_bytes_max
            most = settings.memory_bytes_max // 4 if most is None else most
            self._connection.execute("SELECT hll_memory_max(?::BIGINT)", [most])
        for macro in macro_statements():
            self._connection.execute(macro)
        places = ", ".join(_path(each, is_directory=True) for each in settings.directories)
        self._connection.execute(f"SET allowed_directories = [{places}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def open(self) -> Execution:
        """Return a place to run one statement in; close it when done."""
        return Execution(self._connection.cursor())

    def close(self) -> None:
        """Interrupt what runs and give everything back."""
        self._connection.interrupt()
        self._connection.close()


def _path(path: Path, *, is_directory: bool = False) -> str:
    text = str(path) + ("/" if is_directory and not str(path).endswith("/") else "")
    return "'" + text.replace("'", "''") + "'"


class Execution:
    """One statement of one session. All calls but `cancel` come from one thread at a time."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._lock = threading.Lock()
        self._is_closed = False
        self._is_cancelled = False

    def __enter__(self) -> Execution:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def register(self, name: str, rows: pa.Table | pa.RecordBatchReader) -> str:
        """Make rows in memory a relation of this statement; return its SQL."""
        self._cursor.register(name, rows)
        return '"' + name.replace('"', '""') + '"'

    def stream(
        self, sql: str, batch_rows: int = limits.RESULT_BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Run a query; its batches are computed as they are asked for.

        Raises SqlError: 1317 when cancelled, Doris's envelope for what the engine refuses.
        """
        try:
            self._check()
            reader = self._cursor.sql(sql).to_arrow_reader(batch_rows)
            while True:
                self._check()
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                yield batch
        except (duckdb.Error, pa.ArrowException, OSError, ValueError) as error:
            raise self._translated(error) from error

    def run(self, sql: str) -> None:
        """Run a statement of our own that gives no rows."""
        try:
            self._check()
            self._cursor.execute(sql)
        except duckdb.Error as error:
            raise self._translated(error) from error

    def cancel(self) -> None:
        """Interrupt what runs, from any thread; what has not begun will not begin."""
        with self._lock:
            self._is_cancelled = True
            if not self._is_closed:
                self._cursor.interrupt()

    def close(self) -> None:
        """Give the cursor back; harmless when done twice."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._cursor.close()

    def _check(self) -> None:
        if self._is_cancelled:
            raise interrupted()

    def _translated(self, error: Exception) -> SqlError:
        if self._is_cancelled or "INTERRUPT" in str(error):
            return interrupted()
        return translate_error(error)


_GROUPED = re.compile(r'column "?([^"]+?)"? must appear in the GROUP BY', re.I)
_PREFIX = re.compile(r"^[A-Z][A-Za-z ]+ Error: ")


def translate_error(error: Exception) -> SqlError:
    """Return an error of the engine in the words that clients know."""
    text = str(error)
    if "MEM_LIMIT_EXCEEDED" in text:  # the extension's own words
        shown = f"errCode = 2, detailMessage = {_first_line(text)}"
        return SqlError(1105, "HY000", shown, Kind.BUSY)
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return SqlError(
            1105, "HY000", "errCode = 2, detailMessage = MEM_LIMIT_EXCEEDED: the query needs more "
            "memory than the engine may use", Kind.BUSY,
        )  # fmt: skip
    if "must appear in the GROUP BY clause" in text:
        return doris("select list or having expression not produced by aggregation output "
                     "(missing from GROUP BY clause?)")  # fmt: skip
    if "More than one row returned by a subquery" in text:
        return SqlError(1242, "21000", "Subquery returns more than 1 row")
    if "out of range" in text.lower() or "overflow" in text.lower():
        return SqlError(1690, "22003", _first_line(text))
    return doris(_first_line(text))


def _first_line(text: str) -> str:
    """Return what went wrong without the engine's names for kinds of errors and its hints."""
    line = text.split("\n", 1)[0]
    return _PREFIX.sub("", line)[: limits.ERROR_TEXT_MAX]
