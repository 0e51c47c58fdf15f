"""Loads and tables that a test decides, behind the interfaces that the HTTP surface speaks to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from io import RawIOBase

from anabranch.doris.loads import LoadStatus, StreamLoadRequest, StreamLoadResult
from anabranch.warehouse.errors import doris, no_such_table
from anabranch.warehouse.schema import Aggregate, Column, KeyModel, Table
from anabranch.warehouse.types import parse_type

TABLE = Table(
    "0" * 32,
    KeyModel.AGGREGATE,
    (
        Column(1, "k", parse_type("INT"), is_key=True, comment="key"),
        Column(2, "d", parse_type("DECIMAL(9,3)"), aggregate=Aggregate.SUM),
    ),
)


@dataclass
class Loads:
    """Keeps what it loads; a source that breaks off leaves nothing."""

    visible: dict[str, bytes] = field(default_factory=dict)
    kept: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    requests: list[StreamLoadRequest] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    read_max: int = -1
    chunk: int = 65_536
    ended: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None

    def run(self, request: StreamLoadRequest, source: RawIOBase) -> StreamLoadResult:
        self.requests.append(request)
        label = request.options.label or "generated"
        if label in self.visible:
            return StreamLoadResult(
                LoadStatus.LABEL_EXISTS,
                f"[LABEL_ALREADY_EXISTS]Label [{label}] has already been used",
                label=label,
                existing_state="FINISHED",
            )
        if self.gate is not None:
            self.gate.wait(10)
        try:
            data = self._read(source)
        except Exception as error:
            self.failures.append(str(error))
            raise
        finally:
            self.ended.set()
        if data == b"bad":
            return StreamLoadResult(
                LoadStatus.FAIL,
                "[DATA_QUALITY_ERROR]too many filtered rows",
                7,
                label,
                total_rows=1,
                filtered_rows=1,
                error_url="http://h/api/_load_error_log?file=a",
            )
        if data == b"defect":
            raise RuntimeError("a defect")
        if request.options.is_two_phase:
            self.kept[42] = (label, data)
            return StreamLoadResult(LoadStatus.SUCCESS, "OK", 42, label)
        self.visible[label] = data
        rows = data.count(b"\n")
        return StreamLoadResult(
            LoadStatus.SUCCESS, "OK", 41, label, total_rows=rows, loaded_rows=rows
        )

    def _read(self, source: RawIOBase) -> bytes:
        parts: list[bytes] = []
        while self.read_max < 0 or sum(map(len, parts)) < self.read_max:
            data = source.read(self.chunk)
            if not data:
                break
            parts.append(data)
        return b"".join(parts)

    def commit(self, database: str, user: str, *, transaction_id: int | None, label: str) -> None:
        for number, (name, data) in self.kept.items():
            if number == transaction_id or name == label:
                self.visible[name] = data
                del self.kept[number]
                return
        raise doris(f"transaction [{transaction_id}] is already visible, not pre-committed.")

    def abort(self, database: str, user: str, *, transaction_id: int | None, label: str) -> None:
        if transaction_id is None or self.kept.pop(transaction_id, None) is None:
            raise doris(f"transaction with id {transaction_id} does not exist")

    def state_of(self, database: str, label: str) -> str:
        return "VISIBLE" if label in self.visible else "UNKNOWN"

    def cancel(self, database: str, user: str, label: str) -> None:
        raise doris("Load job does not exist")

    def find_error_log(self, name: str) -> bytes | None:
        return b"Reason: x. src line: [a]; \n" if name == "a" else None


class Tables:
    """One table, `t` of `d`."""

    def describe(self, user: str, database: str, table: str) -> Table:
        if (database, table) not in (("d", "t"), ("d@dev", "t")):
            raise no_such_table(database, table)
        return TABLE

    def count_rows(self, user: str, database: str, table: str) -> int:
        self.describe(user, database, table)
        return 3
