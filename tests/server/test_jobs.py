"""Housekeeping on a real directory; the test says what time it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.bootstrap import Stores, SystemClock, open_stores
from anabranch.directory import Directory
from anabranch.jobs import Job, lake_jobs, run_round
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.kernel.ids import BranchId, Namespace, Ref, RepositoryId, parse_path
from anabranch.lake import keyspace
from anabranch.settings import Settings
from anabranch.storage.kv.base import Row, scan_prefix
from anabranch.telemetry import Metrics, configure_logs

REPO = RepositoryId("example")
HOUR_US = 3_600 * 1_000_000


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    Directory(tmp_path / "data").prepare()
    opened = open_stores(Settings(data=tmp_path / "data"))
    opened.lake.repositories.create(REPO, Namespace("s3://example"), committer="t")
    yield opened
    opened.close()


def put(stores: Stores, path: str, branch: str) -> None:
    target = stores.lake.objects.writable(REPO, BranchId(branch))
    body = stores.lake.bodies.open(target.repository)
    body.write(b"data")
    body.finish()
    stores.writer.submit(
        stores.lake.objects.making_put(
            target, parse_path(path), body, content_type="text/plain", metadata=()
        )
    )


def rows(stores: Stores, prefix: bytes) -> tuple[Row, ...]:
    return stores.kv.read((), [scan_prefix(prefix, limit=1_000)]).scans[0]


def now_us() -> int:
    return SystemClock().now_ns() // 1_000


def test_rows_of_a_deleted_branch_go_an_hour_later(stores: Stores) -> None:
    stores.lake.branches.create(REPO, BranchId("work"), Ref("main"))
    put(stores, "a", "work")
    put(stores, "b", "work")
    stores.lake.branches.delete(REPO, BranchId("work"))
    jobs, metrics = lake_jobs(stores), Metrics()
    run_round(jobs, now_us(), metrics)
    assert len(rows(stores, b"staging/")) == 2
    assert run_round(jobs, now_us() + HOUR_US + 1_000_000, metrics) > 0
    assert not rows(stores, b"staging/")
    assert not rows(stores, keyspace.DROPPED)
    assert 'job_items_total{job="dropped_tokens"}' in metrics.text().decode()


def test_what_is_in_use_stays(stores: Stores) -> None:
    put(stores, "a", "main")
    target = stores.lake.objects.writable(REPO, BranchId("main"))
    stores.writer.submit(stores.lake.addresses.making_issue(target, parse_path("linked")))
    before = rows(stores, b"")
    run_round(lake_jobs(stores), now_us(), Metrics())
    assert rows(stores, b"") == before


def test_expired_addresses_are_forgotten(stores: Stores) -> None:
    target = stores.lake.objects.writable(REPO, BranchId("main"))
    stores.writer.submit(stores.lake.addresses.making_issue(target, parse_path("linked")))
    assert rows(stores, keyspace.ISSUED)
    later_us = now_us() + (limits.ISSUED_ADDRESS_S + 1) * 1_000_000
    run_round(lake_jobs(stores), later_us, Metrics())
    assert not rows(stores, keyspace.ISSUED)


def test_a_failing_job_does_not_keep_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format="json", process="jobs")

    def fail(_now_us: int) -> int:
        raise Unavailable(Kind.STORE_FAILED, "disk full")

    jobs = [Job("first", fail), Job("second", lambda _: 3)]
    assert run_round(jobs, 0, Metrics()) == 3
    assert "disk full" in capsys.readouterr().err
