"""Housekeeping on a real directory; the test says what time it is."""

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.directory import Directory
from anabranch.jobs import Job, lake_jobs, run_round
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.kernel.ids import BranchId, Namespace, Ref, RepositoryId, UploadId, parse_path
from anabranch.lake import keyspace
from anabranch.maintenance import Verifier
from anabranch.settings import Settings
from anabranch.storage.kv.base import Row, scan_prefix
from anabranch.stores import Stores, SystemClock, open_stores
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


_WRITER = """
import sys
from pathlib import Path
from anabranch.stores import open_stores
from anabranch.kernel.ids import BranchId, parse_path
from anabranch.settings import Settings
from tests.server.test_jobs import REPO, put
stores = open_stores(Settings(data=Path(sys.argv[1])))
lake, segments = stores.lake, Path(sys.argv[1]) / "blocks" / "segments"
number, before = 0, {path.stem for path in segments.iterdir()}
# Until what was filled beforehand is in use, and the next one is being filled.
while len({path.stem for path in segments.iterdir()} - before) < 3:
    put(stores, f"a/{number}", "main")
    number += 1
put(stores, "last", "main")
target = lake.objects.writable(REPO, BranchId("main"))
for path in ("big", "open"):
    upload = lake.uploads.create(target, parse_path(path), content_type="")
    body = lake.uploads.body(upload)
    # Zeros at the end: only the record tells them from what nobody wrote.
    body.write(b"part" + bytes(1_000))
    part = stores.writer.submit(lake.uploads.making_part(upload, 1, body))
    if path == "big":
        stores.writer.submit(lake.uploads.making_complete(upload, [(1, part.etag)]))
print(number, upload.id, flush=True)
sys.stdin.read()
"""


def left_bytes(directory: Path) -> int:
    """Return what segments without an owner take on the disk."""
    total = 0
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            total += path.stat().st_blocks * 512
    return total


def read(stores: Stores, path: str) -> bytes:
    resolved = stores.lake.resolve.resolve(REPO, Ref("main"))
    found = stores.lake.objects.stat(resolved, parse_path(path))
    block = stores.lake.objects.block(found)
    return stores.blocks.read(block, 0, block.size_bytes)


def test_a_killed_writer_keeps_its_bytes_and_not_its_space(stores: Stores, tmp_path: Path) -> None:
    data = tmp_path / "data"
    root = Path(__file__).resolve().parents[2]
    jobs, metrics, at_us = lake_jobs(stores), Metrics(), now_us()
    counts, segments = [], data / "blocks" / "segments"
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"PYTHONPATH": f"{root / 'src'}:{root}"},
        ) as writer:
            assert writer.stdout is not None
            said = writer.stdout.readline().split()
            before = set(segments.iterdir())
            at_us += 2 * limits.LEFTOVERS_LOOK_S * 1_000_000
            while run_round(jobs, at_us, metrics):
                pass
            assert before <= set(segments.iterdir()), "its owner lives"
            assert left_bytes(segments) < limits.MIB
            writer.kill()
        assert left_bytes(segments) > limits.SEGMENT_BYTES
        at_us += 2 * limits.LEFTOVERS_LOOK_S * 1_000_000
        while run_round(jobs, at_us, metrics):
            pass
        assert left_bytes(segments) < limits.MIB
        counts.append(int(said[0]))
    for number in range(max(counts)):
        assert read(stores, f"a/{number}") == b"data"
    assert read(stores, "last") == b"data"
    assert read(stores, "big") == b"part" + bytes(1_000)
    upload = stores.lake.uploads.get(UploadId(said[1]))
    (part,), _ = stores.lake.uploads.list_parts(upload, amount=10)
    stores.writer.submit(stores.lake.uploads.making_complete(upload, [(1, part.etag)]))
    assert read(stores, "open") == b"part" + bytes(1_000)
    reports = list(Verifier(stores, has_checksums=True).reports())
    assert not [problem for report in reports for problem in report.problems]
