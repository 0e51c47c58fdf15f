"""What must be true of the tables, jobs and labels after a round of kills, by the ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tests.kills.sql_clients import Found, judge, look
from tests.kills.sql_ledger import TABLES, Ledger, Load
from tests.kills.sql_wire import Session, Where, end_two_phase, send, stream

SPARE = "spare"
_POLLS = 1_200
_POLL_S = 0.05
_ASKED_AGAIN = 12
"""Labels of each kind that are sent again: each costs a load."""


class SqlChecker:
    """Compares a server that nobody else uses with a ledger. Methods yield complaints."""

    def __init__(self, where: Where, ledger: Ledger, checked: int) -> None:
        self._where = where
        self._ledger = ledger
        self._session = Session(where)
        self._checked = checked
        self._fresh = [load for load in ledger.loads.values() if load.number > checked]

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def check(self) -> Iterator[str]:
        """Yield all complaints; afterwards every load's state is known."""
        jobs = self._wait_for_jobs()
        yield from self._jobs(jobs)
        yield from self._prepared()
        found = {table: look(self._session, table) for table in TABLES}
        for table in TABLES:
            yield from judge(self._ledger, table, found[table])
        for load in self._ledger.loads.values():
            yield from self._load(load, found)
        yield from self._labels()

    def _wait_for_jobs(self) -> dict[str, list[tuple[str, str]]]:
        """Return (state, error) of each job by label, once all are over."""
        for _ in range(_POLLS):
            jobs: dict[str, list[tuple[str, str]]] = {}
            for row in self._session.run("SHOW LOAD"):
                if row[4] == "BROKER":
                    jobs.setdefault(row[1], []).append((row[2], row[7] or ""))
            states = {state for tries in jobs.values() for state, _ in tries}
            if states <= {"FINISHED", "CANCELLED"}:
                return jobs
            threading.Event().wait(_POLL_S)
        raise AssertionError(f"jobs that never end: {jobs}")

    def _jobs(self, jobs: dict[str, list[tuple[str, str]]]) -> Iterator[str]:
        """A job is FINISHED once, or CANCELLED with a reason; its rows say the same."""
        for load in self._fresh:
            if load.kind != "broker":
                continue
            tries = jobs.get(load.label, [])
            if len(tries) > 1 or (load.state and not tries):
                yield f"job {load.label} is there {len(tries)} times: {load.said}"
            for state, error in tries:
                if state == "CANCELLED" and not error:
                    yield f"job {load.label} was cancelled without a reason"
                is_there = state == "FINISHED"
                if is_there not in load.may_be:
                    yield f"job {load.label} is {state} {error}: {load.said}"
                load.may_be &= {is_there}
            if not tries:
                load.may_be &= {False}

    def _prepared(self) -> Iterator[str]:
        """What was prepared is still there, unseen, and can be committed."""
        for load in self._fresh:
            if load.kind != "two_phase" or load.state in ("VISIBLE", "ABORTED"):
                continue
            answer = send(self._where, "GET", f"get_load_state?label={load.label}")
            if answer["data"] != "PRECOMMITTED":
                # Not so where a commit, an abort or all of its prepares were lost.
                if load.state == "PRECOMMITTED":
                    yield f"two-phase load {load.label} is {answer}: {load.said}"
                continue
            for table in load.tables:
                if load.number in look(self._session, table):
                    yield f"rows of {load.label} are there before its commit: {load.said}"
            answer = end_two_phase(self._where, "commit", label=load.label)
            if answer["status"] != "Success":
                yield f"commit of {load.label}: {answer}: {load.said}"
            self._ledger.hears(load, "late commit", "done", may_be=True, state="VISIBLE")

    def _load(self, load: Load, found: dict[str, Found]) -> Iterator[str]:
        there = {load.number in found[table] for table in load.tables}
        if len(there) == 2:
            yield f"{load.label} is in some of its tables only: {load.said}"
        elif not there <= load.may_be:
            yield f"load {load.number} is there: {there}, may be {load.may_be}: {load.said}"
        load.may_be = frozenset(there)

    def _labels(self) -> Iterator[str]:
        """A label is used if its rows are there, and free if they are not."""
        for kind in ("insert", "transaction", "stream", "two_phase", "broker"):
            named = [one for one in self._fresh if one.kind == kind and one.label]
            used = [one for one in named if True in one.may_be]
            free = [one for one in named if False in one.may_be and one.state != "SUBMITTED"]
            for load in used[-_ASKED_AGAIN:] + free[-_ASKED_AGAIN:]:
                answer = stream(self._where, SPARE, load.label, b"1\t1\t1\n")
                wanted = "Label Already Exists" if True in load.may_be else "Success"
                if answer["Status"] != wanted:
                    yield f"label {load.label} again: {answer}, not {wanted}: {load.said}"
                elif answer.get("ExistingJobStatus", "FINISHED") != "FINISHED":
                    yield f"label {load.label} is of a load that is over: {answer}"
