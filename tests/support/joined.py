"""The warehouse as the SQL process joins it, in this process: any text in, Python rows out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anabranch.directory import Directory
from anabranch.settings import Settings
from anabranch.stores import Stores, open_stores
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.results import Done, FileRequest, Rows, Session
from anabranch.warehousing import Warehousing, build_warehouse

Answer = Done | list[tuple[Any, ...]]
LOAD_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Joined:
    """A warehouse with a database `db`, and a session of root's in it; `files` are the client's."""

    stores: Stores
    warehousing: Warehousing
    session: Session
    files: dict[str, bytes]

    def another(self, user: str = "root") -> Joined:
        """Return the same warehouse with another session."""
        session = self.warehousing.statements.open(user, "127.0.0.1:1", "db", 8)
        return Joined(self.stores, self.warehousing, session, self.files)

    def run(self, text: str) -> list[Answer]:
        """Run a text; return what each of its statements gives."""
        found: list[Answer] = []
        for result in self.warehousing.statements.run(self.session, text):
            match result:
                case Rows():
                    found.append(_read(result))
                case FileRequest():
                    result.write(self.files[result.file_name])
                case Done():
                    found.append(result)
        return found

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Run one statement that gives rows."""
        (found,) = self.run(text)
        assert isinstance(found, list)
        return found

    def dicts(self, text: str) -> list[dict[str, Any]]:
        """Run one statement that gives rows; return them by the names of their columns."""
        for result in self.warehousing.statements.run(self.session, text):
            assert isinstance(result, Rows)
            names = [field.name for field in result.fields]
            return [dict(zip(names, row, strict=True)) for row in _read(result)]
        raise AssertionError("no rows")

    def do(self, *texts: str) -> Done:
        """Run statements without rows; return what the last did."""
        done = Done(0)
        for text in texts:
            (found,) = self.run(text)
            assert isinstance(found, Done)
            done = found
        return done

    def refused(self, text: str) -> SqlError:
        """Run a text that must fail, and return why."""
        try:
            self.run(text)
        except SqlError as error:
            return error
        raise AssertionError(f"not refused: {text}")

    def wait(self) -> None:
        """Wait until the load jobs have ended."""
        assert self.warehousing.jobs.wait(LOAD_WAIT_S)


def _read(rows: Rows) -> list[tuple[Any, ...]]:
    try:
        return [
            row
            for batch in rows.batches
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        ]
    finally:
        rows.close()


@contextmanager
def open_joined(directory: Path, **settings: Any) -> Iterator[Joined]:
    """Join the warehouse in a directory, which may hold one from before; settings as Settings'."""
    data = Directory(directory / "data")
    data.prepare()
    given: dict[str, Any] = {"sql_memory": "1GiB", "sql_threads": 2} | settings
    made = Settings(data=data.path, **given)
    stores = open_stores(made)
    try:
        warehousing = build_warehouse(made, stores)
        try:
            warehousing.start()
            session = warehousing.statements.open("root", "127.0.0.1:1", None, 7)
            joined = Joined(stores, warehousing, session, {})
            joined.do("CREATE DATABASE IF NOT EXISTS db", "USE db")
            yield joined
        finally:
            warehousing.close()
    finally:
        stores.close()
