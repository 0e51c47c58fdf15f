"""What this surface asks of loads, wire-neutral: the warehouse's stream loads answer it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from anabranch.doris.options import StreamOptions
from anabranch.doris.pipe import Pipe


class LoadStatus(StrEnum):
    """What became of a stream load, in Doris's words."""

    SUCCESS = "Success"
    LABEL_EXISTS = "Label Already Exists"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True)
class StreamLoadRequest:
    """One stream load: into `table` of `database`, which is `db` or `db@branch`."""

    database: str
    table: str
    user: str
    address: str
    options: StreamOptions


@dataclass(frozen=True, slots=True)
class StreamLoadResult:
    """The end of one stream load; times in ms. `transaction_id` is -1 when none began.

    `existing_state` is the state of the load that has the label already, else empty; `error_url`
    is where the bad rows can be read, if there were any.
    """

    status: LoadStatus
    message: str
    transaction_id: int = -1
    label: str = ""
    existing_state: str = ""
    total_rows: int = 0
    loaded_rows: int = 0
    filtered_rows: int = 0
    unselected_rows: int = 0
    begin_ms: int = 0
    plan_ms: int = 0
    read_ms: int = 0
    write_ms: int = 0
    publish_ms: int = 0
    error_url: str = ""


class StreamLoads(Protocol):
    """Stream loads and their transactions. All calls block, and come from threads.

    They raise SqlError for what the client did wrong, and what stores raise.
    """

    def run(self, request: StreamLoadRequest, source: Pipe) -> StreamLoadResult:
        """Load what `source` gives and publish it, or keep it for `commit` when two-phase.

        When `source` fails, what computes is interrupted, nothing becomes visible, the label is
        free, and the error comes through or is the result's message.
        """
        ...

    def commit(self, database: str, user: str, *, transaction_id: int | None, label: str) -> None:
        """Publish what a two-phase load kept; by its id, or by its label without one."""
        ...

    def abort(self, database: str, user: str, *, transaction_id: int | None, label: str) -> None:
        """Forget what a two-phase load kept."""
        ...

    def state_of(self, database: str, label: str) -> str:
        """Return the state of the transaction of a label, UNKNOWN when there is none."""
        ...

    def cancel(self, database: str, user: str, label: str) -> None:
        """Cancel the load of a label that is not over."""
        ...

    def find_error_log(self, name: str) -> bytes | None:
        """Return the bad rows of a load by the log's name, None when there is no such log."""
        ...
