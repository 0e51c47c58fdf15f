"""The jobs process: removes what the lake has done with.

Every sweep claims what it removes in the KV store, so any number of jobs processes may run; one
that dies is continued by the next.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from anabranch.kernel.errors import AnabranchError
from anabranch.processes import begin, say_ready
from anabranch.stores import Stores, SystemClock, open_stores
from anabranch.telemetry import Metrics, configure_logs, logger
from anabranch.warehouse.folds.index import FoldIndex

IDLE_S = 60.0
"""Between two rounds when the last one found nothing."""
BUSY_S = 0.2
"""Between two portions: jobs must not crowd out requests."""

Portion = Callable[[int], int]
"""One bounded portion of a job at a time in microseconds since 1970: returns how many it did."""


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of housekeeping."""

    name: str
    portion: Portion


def lake_jobs(stores: Stores) -> list[Job]:
    """Return the jobs of a lake."""
    lake = stores.lake
    return [
        Job("dropped_tokens", lambda now_us: lake.staging.sweep_dropped(now_us=now_us)),
        Job("completed_uploads", lambda now_us: lake.uploads.sweep_completed(now_us=now_us)),
        Job("discarded_uploads", lambda _: lake.uploads.sweep_discarded()),
        Job("retired_repositories", lambda _: lake.repositories.sweep_retired()),
        Job("issued_addresses", _walking(lake.addresses.sweep_issued)),
        Job("imports", _walking(lake.imports.sweep_imports)),
        Job("refs_tasks", _walking(lake.refs_tasks.sweep)),
        Job("folds", _walking(FoldIndex(lake).sweep_unread)),
        Job("segments", stores.blocks.leftovers([lake.uploads.extents_after]).portion),
    ]


def _walking(sweep: Callable[..., bytes | None]) -> Portion:
    """Return a job that goes through its keys by portions, and starts over at their end."""
    after = b""

    def portion(now_us: int) -> int:
        nonlocal after
        found = sweep(now_us=now_us, after=after)
        after = found or b""
        return int(found is not None)

    return portion


def run_round(jobs: list[Job], now_us: int, metrics: Metrics) -> int:
    """Run one portion of each job; return how much was done. A job that fails is tried again."""
    done = 0
    log = logger("jobs")
    for job in jobs:
        try:
            handled = job.portion(now_us)
        except AnabranchError as error:
            log.warning("job failed", job=job.name, reason=error.message, kind=error.kind)
            continue
        if handled:
            metrics.count_job(job.name, handled)
            log.debug("job", job=job.name, handled=handled)
        done += handled
    return done


def main() -> None:
    """Do jobs until SIGTERM."""
    plan = begin()
    settings = plan.settings
    configure_logs(level=settings.log_level, format=settings.log_format, process=plan.process)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        stores = open_stores(settings)
    except AnabranchError as error:
        logger("jobs").error("cannot start", reason=error.message, kind=error.kind)
        sys.exit(1)
    say_ready()
    metrics = Metrics(is_shared=True)
    clock = SystemClock()
    jobs = lake_jobs(stores)
    while not stopping.wait(
        BUSY_S if run_round(jobs, clock.now_ns() // 1_000, metrics) else IDLE_S
    ):
        pass
    stores.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
