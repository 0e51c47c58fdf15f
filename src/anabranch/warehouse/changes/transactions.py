"""BEGIN to COMMIT: statements whose changes become visible together, or never."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from anabranch.kernel import limits
from anabranch.warehouse.catalog.publishing import LabelUse
from anabranch.warehouse.changes.changing import (
    Changing,
    Plan,
    Planned,
    Published,
    Recording,
    abandon,
)
from anabranch.warehouse.errors import doris

if TYPE_CHECKING:
    from anabranch.warehouse.catalog.snapshots import TableSnapshot
    from anabranch.warehouse.places import TablePlace
    from anabranch.warehouse.session import SqlSession


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement of a transaction: what it planned, and how to plan it again as of its time."""

    plan: Plan
    planned: Planned
    utc_now: datetime


@dataclass(slots=True)
class Transaction:
    """What a session began and did not end; `session.OpenTransaction`.

    Its statements are planned as they come, each on the table as it is without the others, and
    published in their order. `label` is None when the user gave none; `shown` is what clients see.
    `pinned` are the tables that its queries read, each as it was when it was first read.
    """

    shown: str
    number: int
    label: LabelUse | None = None
    steps: list[_Step] = field(default_factory=list)
    pinned: dict[TablePlace, TableSnapshot] = field(default_factory=dict)

    @property
    def tables(self) -> list[TablePlace]:
        """Return the tables that it writes to, the first first."""
        return list(dict.fromkeys(step.planned.table for step in self.steps))

    def add(self, session: SqlSession, plan: Plan) -> Planned:
        """Plan a statement; raise SqlError, and leave the transaction as it was."""
        if len(self.steps) >= limits.TRANSACTION_STATEMENTS_MAX:
            most = limits.TRANSACTION_STATEMENTS_MAX
            raise doris(f"a transaction has at most {most} statements")
        planned = plan()
        if self.steps and self.steps[0].planned.table.place != planned.table.place:
            planned.abandon()
            raise doris("a transaction writes to one branch of one catalog")
        self.steps.append(_Step(plan, planned, session.utc_now))
        return planned

    def commit(
        self, session: SqlSession, changing: Changing, recording: Recording | None = None
    ) -> list[Published]:
        """Publish everything in one transaction; a statement whose table moved runs again."""
        steps, self.steps = self.steps, []
        if not steps:
            return []
        plans = [_as_of(session, step) for step in steps]
        return changing.finish(
            session, plans, [step.planned for step in steps], self.label, recording
        )

    def rollback(self) -> None:
        """Forget everything."""
        steps: Sequence[_Step] = self.steps
        self.steps = []
        abandon([step.planned for step in steps])


def _as_of(session: SqlSession, step: _Step) -> Plan:
    """Return a plan in which now() is what it was when the statement came."""

    def plan() -> Planned:
        now = session.utc_now
        session.utc_now = step.utc_now
        try:
            return step.plan()
        finally:
            session.utc_now = now

    return plan
