"""Clients of a trial of SQL: each loads in its own way, and sends again what was lost.

A load that was lost and is sent again under its label is either done then, or was done already:
whichever it is, its rows are there once.
"""

from __future__ import annotations

import random
import threading
from pathlib import Path

from tests.kills.sql_ledger import TABLES, Ledger, Load
from tests.kills.sql_wire import Lost, Refused, Session, Where, end_two_phase, stream

BROKER = "trial"
URLS = "hdfs://trial/files"
_USED = "already been used"
_GIVEN_UP = "processes ended while it ran"


class Stopped(Exception):
    """The trial's round is over."""


class Client:
    """What all clients share; `step` does one load."""

    kind = ""
    pause_s = 0.05

    def __init__(
        self, where: Where, ledger: Ledger, stopping: threading.Event, seed: str, files: Path
    ) -> None:
        self.where = where
        self.ledger = ledger
        self.stopping = stopping
        self.random = random.Random(seed)
        self.files = files
        self.session = Session(where)

    def run(self) -> None:
        """Go on until told to stop."""
        try:
            while not self.stopping.wait(self.random.uniform(0, self.pause_s)):
                self.step()
        except Stopped:
            pass
        except Exception as error:
            self.ledger.complain(f"a client of {self.kind} ended: {type(error).__name__}: {error}")
            raise
        finally:
            self.session.close()

    def step(self) -> None:
        """Do one load."""
        raise NotImplementedError

    def intend(self, *, is_named: bool = True, tables: tuple[str, ...] = ()) -> Load:
        """Choose a load and write it down."""
        rows = self.random.choices((1, 40, 400, 6_000), (20, 40, 30, 10))[0]
        rows = min(rows, 40) if self.kind in ("insert", "transaction") else rows
        chosen = tables or (self.random.choice(TABLES),)
        return self.ledger.intend(self.kind, chosen, rows, is_named=is_named)

    def again(self) -> None:
        """Wait a moment before something is sent again; raise Stopped at the end."""
        if self.stopping.wait(self.random.uniform(0.1, 0.4)):
            raise Stopped

    def refused(self, load: Load, step: str, error: Refused) -> None:
        """Write down a refusal that nothing explains."""
        self.ledger.hears(load, step, "refused")
        self.ledger.complain(f"{step} of load {load.number}: {error.text}: {load.said}")


class Inserter(Client):
    """INSERTs with a label and without one."""

    kind = "insert"

    def step(self) -> None:
        load = self.intend(is_named=self.random.random() < 0.7)
        (table,) = load.tables
        label = f"WITH LABEL {load.label}" if load.label else ""
        while True:
            self.ledger.sends(load, "insert")
            try:
                self.session.run(f"INSERT INTO {table} {label} VALUES {load.values()}")
            except Lost:
                self.ledger.hears(load, "insert", "lost")
                if not load.label or self.random.random() < 0.2:
                    return
                self.again()
                continue
            except Refused as error:
                if _USED not in error.text or len(load.said) < 3:
                    self.refused(load, "insert", error)
                    return
            self.ledger.hears(load, "insert", "done", may_be=True)
            return


class Transactor(Client):
    """BEGIN, INSERTs into both tables, COMMIT or ROLLBACK."""

    kind = "transaction"

    def step(self) -> None:
        load = self.intend(tables=TABLES)
        is_kept = self.random.random() < 0.85
        while True:
            step = "begin"
            self.ledger.sends(load, step)
            try:
                self.session.run(f"BEGIN WITH LABEL {load.label}")
                for table in load.tables:
                    self.session.run(f"INSERT INTO {table} VALUES {load.values()}")
                step = "commit" if is_kept else "rollback"
                self.ledger.sends(load, step)
                self.session.run(step)
            except Lost:
                # Without a commit there is nothing, whatever became of the rest.
                is_open = "> commit" in load.said
                self.ledger.hears(load, step, "lost", may_be=None if is_open else False)
                if self.random.random() < 0.2:
                    return
                load.may_be = frozenset((True, False))
                self.again()
                continue
            except Refused as error:
                if _USED not in error.text or "> commit" not in load.said[:-1]:
                    self.refused(load, step, error)
                    return
            self.ledger.hears(load, step, "done", may_be=is_kept)
            return


class Streamer(Client):
    """Stream loads with labels."""

    kind = "stream"

    def step(self) -> None:
        load = self.intend(is_named=self.random.random() < 0.8)
        (table,) = load.tables
        while True:
            self.ledger.sends(load, "stream")
            try:
                answer = stream(self.where, table, load.label, load.text())
            except Lost:
                self.ledger.hears(load, "stream", "lost")
                if not load.label or self.random.random() < 0.2:
                    return
                self.again()
                continue
            match answer["Status"], answer.get("ExistingJobStatus"):
                case "Success", _:
                    self.ledger.hears(load, "stream", "done", may_be=True)
                case "Label Already Exists", "FINISHED" if len(load.said) > 1:
                    self.ledger.hears(load, "stream", "done", may_be=True)
                case "Label Already Exists", "RUNNING" if len(load.said) > 1:
                    # The load that was cut off still runs, or waits to be cleared away.
                    self.again()
                    continue
                case _:
                    self.refused(load, "stream", Refused(str(answer)))
            return


class Preparer(Client):
    """Two-phase stream loads: prepared, and committed, aborted or left for the end."""

    kind = "two_phase"

    def step(self) -> None:
        load = self.intend()
        if not self._prepare(load):
            return
        if self.random.random() < 0.1:
            return
        self.stopping.wait(self.random.choice((0.0, 0.0, 0.5, 2.0)))
        operation = "abort" if self.random.random() < 0.2 else "commit"
        while True:
            self.ledger.sends(load, operation)
            by = {"label": load.label}
            if self.random.random() < 0.5 and load.transaction:
                by = {"txn_id": str(load.transaction)}
            try:
                answer = end_two_phase(self.where, operation, **by)
            except Lost:
                self.ledger.hears(load, operation, "lost", state="ENDING")
                self.again()
                continue
            is_first = load.state == "PRECOMMITTED"
            done = "VISIBLE" if operation == "commit" else "ABORTED"
            is_done = f"is already {done.lower()}" in answer["msg"].lower()
            if answer["status"] == "Success" or (is_done and not is_first):
                self.ledger.hears(load, operation, "done", may_be=operation == "commit", state=done)
            else:
                self.refused(load, operation, Refused(str(answer)))
            return

    def _prepare(self, load: Load) -> bool:
        """Send the rows; tell whether they are prepared."""
        (table,) = load.tables
        while True:
            self.ledger.sends(load, "prepare")
            try:
                answer = stream(self.where, table, load.label, load.text(), two_phase_commit="true")
            except Lost:
                self.ledger.hears(load, "prepare", "lost")
                self.again()
                continue
            match answer["Status"], answer.get("ExistingJobStatus"):
                case "Success", _:
                    load.transaction = answer["TxnId"]
                case "Label Already Exists", "PRECOMMITTED" if len(load.said) > 1:
                    pass
                case "Label Already Exists", "RUNNING" if len(load.said) > 1:
                    self.again()
                    continue
                case _:
                    self.refused(load, "prepare", Refused(str(answer)))
                    return False
            self.ledger.hears(load, "prepare", "done", state="PRECOMMITTED")
            return True


class Submitter(Client):
    """Broker loads into both tables: submitted, watched, and sometimes cancelled."""

    kind = "broker"

    def step(self) -> None:
        load = self.intend(tables=TABLES)
        (self.files / load.label).write_bytes(load.text())
        parts = ", ".join(
            f'DATA INFILE("{URLS}/{load.label}") INTO TABLE {table}' for table in load.tables
        )
        self._submit(load, f"LOAD LABEL {load.label} ({parts}) WITH BROKER {BROKER}")
        if self.random.random() < 0.3:
            self.stopping.wait(self.random.uniform(0, 0.3))
            self._cancel(load)
            return
        if self.random.random() < 0.5:
            self._watch(load)

    def _submit(self, load: Load, text: str) -> None:
        while True:
            self.ledger.sends(load, "submit")
            try:
                self.session.run(text)
            except Lost:
                self.ledger.hears(load, "submit", "lost")
                self.again()
                continue
            except Refused as error:
                if _USED not in error.text or len(load.said) < 3:
                    self.refused(load, "submit", error)
            self.ledger.hears(load, "submit", "done", state="SUBMITTED")
            return

    def _cancel(self, load: Load) -> None:
        while True:
            self.ledger.sends(load, "cancel")
            try:
                self.session.run(f"CANCEL LOAD WHERE LABEL = '{load.label}'")
            except Lost:
                self.ledger.hears(load, "cancel", "lost")
                self.again()
                continue
            except Refused as error:
                if "There is no uncompleted job" not in error.text:
                    self.refused(load, "cancel", error)
                    return
                # It was over, or an earlier cancel that was lost has ended it.
                self.ledger.hears(load, "cancel", "late")
                return
            self.ledger.hears(load, "cancel", "done", may_be=False, state="CANCELLED")
            return

    def _watch(self, load: Load) -> None:
        while True:
            try:
                rows = self.session.run(f"SHOW LOAD WHERE LABEL = '{load.label}'")
            except Lost:
                self.again()
                continue
            if len(rows) != 1:
                self.ledger.complain(f"SHOW LOAD of {load.label} says {rows}: {load.said}")
                return
            state = rows[0][2]
            if state == "FINISHED":
                self.ledger.hears(load, "watch", "done", may_be=True, state=state)
                return
            if state == "CANCELLED":
                if _GIVEN_UP not in str(rows[0][7]):
                    self.ledger.complain(f"{load.label} was cancelled: {rows[0][7]}")
                self.ledger.hears(load, "watch", "given up", may_be=False, state=state)
                return
            self.again()


class Reader(Client):
    """Looks at a table all the time: a load is there whole, once, and stays."""

    kind = "reader"
    pause_s = 0.4

    def __init__(
        self, where: Where, ledger: Ledger, stopping: threading.Event, seed: str, files: Path
    ) -> None:
        super().__init__(where, ledger, stopping, seed, files)
        self._seen: dict[str, set[int]] = {table: set() for table in TABLES}

    def step(self) -> None:
        table = self.random.choice(TABLES)
        try:
            found = look(self.session, table)
        except Lost:
            self.again()
            return
        self.ledger.count_read()
        for text in judge(self.ledger, table, found):
            self.ledger.complain(f"while reading: {text}")
        vanished = self._seen[table] - found.keys()
        if vanished:
            self.ledger.complain(f"loads {sorted(vanished)} have gone from {table}")
        self._seen[table] = set(found)


Found = dict[int, tuple[int, ...]]
"""Of each load: rows, their sum, the least and the greatest count of one."""


def look(session: Session, table: str) -> Found:
    """Return what a table holds of each load; raise Lost or Refused."""
    text = f"SELECT load_id, COUNT(*), SUM(n), MIN(n), MAX(n) FROM {table} GROUP BY load_id"
    return {int(row[0]): tuple(map(int, row[1:])) for row in session.run(text)}


def judge(ledger: Ledger, table: str, found: Found) -> list[str]:
    """Return what is wrong with what a table holds: loads of others, in part, or twice."""
    wrong: list[str] = []
    for number, counts in found.items():
        load = ledger.loads.get(number)
        if load is None or table not in load.tables:
            wrong.append(f"{table} holds a load {number} that nobody sent")
        elif counts != (load.rows, load.rows, 1, 1):
            wrong.append(f"{table} holds {counts} of {load.rows} rows of {number}: {load.said}")
    return wrong


KINDS: tuple[type[Client], ...] = (
    Inserter, Inserter, Transactor, Streamer, Streamer, Preparer, Submitter, Submitter, Reader,
)  # fmt: skip
