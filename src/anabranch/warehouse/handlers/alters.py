"""The log of ALTER TABLE: each is applied at once, and recorded as a finished job for its clients.

Doris's clients wait until SHOW ALTER TABLE says FINISHED. The record of a database on a branch is
one value in the KV store, of which the newest jobs are kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from anabranch.kernel import limits
from anabranch.lake import Lake
from anabranch.storage.kv.base import Prepared, is_absent, is_version, put
from anabranch.warehouse import keyspace
from anabranch.warehouse.places import DatabasePlace


@dataclass(frozen=True, slots=True)
class AlterJob:
    """One ALTER; `kind` is COLUMN, ROLLUP or MATERIALIZED VIEW."""

    id: int
    kind: str
    table: str
    time_us: int


class AlterLog:
    """Records of ALTER TABLE, by database and branch."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def _key(self, within: DatabasePlace) -> bytes:
        repository = self._lake.repositories.get(within.place.repository)
        ref = str(within.place.ref)
        return keyspace.alters(repository.incarnation, ref, within.database)

    def list(self, within: DatabasePlace) -> list[AlterJob]:
        """Return the jobs of a database, oldest first."""
        found = self._lake.kv.read([self._key(within)]).values[0]
        return _decode(found.value) if found else []

    def add(self, within: DatabasePlace, kind: str, table: str) -> None:
        """Record an ALTER that was applied."""
        key = self._key(within)

        def make() -> Prepared[None]:
            found = self._lake.kv.read([key]).values[0]
            jobs = _decode(found.value) if found else []
            now_us = self._lake.kv.now_us()
            number = max([job.id for job in jobs], default=10_000) + 1
            jobs = [*jobs, AlterJob(number, kind, table, now_us)][-limits.ALTER_JOBS_MAX :]
            condition = is_version(key, found.version) if found else is_absent(key)
            return Prepared([condition], [put(key, _encode(jobs))], lambda _verdict: None)

        self._lake.writer.submit(make)


def _encode(jobs: list[AlterJob]) -> bytes:
    return msgspec.json.encode([asdict(job) for job in jobs])


def _decode(data: bytes) -> list[AlterJob]:
    found: list[dict[str, Any]] = msgspec.json.decode(data)
    return [AlterJob(**each) for each in found]
