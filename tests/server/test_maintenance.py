"""Verification: every damage is found, and a sound directory has none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.bootstrap import (
    QUICKSTART_KEY_ID,
    QUICKSTART_REPOSITORY,
    QUICKSTART_SECRET,
    App,
    build,
)
from anabranch.directory import Directory
from anabranch.kernel.ids import BranchId, Ref, parse_path
from anabranch.lake import keyspace
from anabranch.maintenance import PROBLEMS_MAX, Report, Verifier
from anabranch.settings import Settings
from anabranch.storage.kv.base import Request, delete, put, scan_prefix
from anabranch.stores import Stores

MAIN = BranchId("main")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    Directory(tmp_path / "data").prepare()
    built = build(Settings(data=tmp_path / "data", quickstart=True))
    built.install_quickstart()
    yield built
    built.close()


@pytest.fixture
def stores(app: App) -> Stores:
    return app.stores


def write(stores: Stores, path: str, data: bytes) -> None:
    target = stores.lake.objects.writable(QUICKSTART_REPOSITORY, MAIN)
    body = stores.lake.bodies.open(target.repository)
    body.write(data)
    body.finish()
    stores.writer.submit(
        stores.lake.objects.making_put(
            target, parse_path(path), body, content_type="text/plain", metadata=()
        )
    )


def fill(stores: Stores) -> None:
    """Two commits that share a range's rows, and staging with a tombstone."""
    for number in range(20):
        write(stores, f"small/{number:03}", b"s" * number)
    write(stores, "large", b"l" * 100_000)
    stores.lake.commits.create(QUICKSTART_REPOSITORY, MAIN, message="1", committer="t")
    write(stores, "second", b"2")
    stores.lake.commits.create(QUICKSTART_REPOSITORY, MAIN, message="2", committer="t")
    write(stores, "staged", b"staged")
    target = stores.lake.objects.writable(QUICKSTART_REPOSITORY, MAIN)
    stores.writer.submit(stores.lake.objects.making_delete(target, parse_path("second")))


def verify(stores: Stores, *, has_checksums: bool = False) -> Report:
    verifier = Verifier(stores, has_checksums=has_checksums)
    (repository,) = verifier.repositories()
    return verifier.verify(repository)


def test_a_sound_repository_has_no_problem(stores: Stores) -> None:
    fill(stores)
    report = verify(stores, has_checksums=True)
    assert report.problems == []
    assert (report.commits, report.staged) == (3, 2)
    assert report.entries == 21 + 22
    assert report.bytes == sum(range(20)) + 100_000 + 1 + 6


def test_missing_bytes_are_found(stores: Stores) -> None:
    fill(stores)
    stat = stores.lake.objects.stat(
        stores.lake.resolve.resolve(QUICKSTART_REPOSITORY, Ref("main")), parse_path("large")
    )
    block = stores.blocks.get(stat.physical_address)
    conditions, writes = stores.blocks.removal(block)
    stores.kv.apply([Request(conditions, writes)])
    (problem,) = verify(stores).problems
    assert problem.startswith("large: no bytes at s3://example3/")


def test_a_truncated_file_is_found(stores: Stores, tmp_path: Path) -> None:
    fill(stores)
    files = [path for path in (tmp_path / "data" / "blocks" / "files").rglob("*") if path.is_file()]
    large = max(files, key=lambda path: path.stat().st_size)
    large.write_bytes(large.read_bytes()[:-1])
    (problem,) = verify(stores).problems
    assert problem.startswith("large: ")


def test_changed_bytes_are_found_by_checksums_only(stores: Stores, tmp_path: Path) -> None:
    fill(stores)
    files = [path for path in (tmp_path / "data" / "blocks" / "files").rglob("*") if path.is_file()]
    large = max(files, key=lambda path: path.stat().st_size)
    large.write_bytes(b"x" + large.read_bytes()[1:])
    assert not verify(stores).problems
    (problem,) = verify(stores, has_checksums=True).problems
    assert "MD5" in problem


def test_a_damaged_commit_is_found(stores: Stores) -> None:
    fill(stores)
    repository = stores.lake.repositories.get(QUICKSTART_REPOSITORY)
    prefix = keyspace.commits(repository.incarnation)
    row = stores.kv.read((), [scan_prefix(prefix, limit=10)]).scans[0][0]
    stores.kv.apply([Request((), [put(row.key, row.value[:-1] + b"?")])])
    assert any("does not hash" in problem for problem in verify(stores).problems)


def test_a_missing_range_is_found(tmp_path: Path) -> None:
    Directory(tmp_path / "data").prepare()
    settings = Settings(data=tmp_path / "data", quickstart=True)
    first = build(settings)
    first.install_quickstart()
    fill(first.stores)
    (rows,) = first.stores.kv.read((), [scan_prefix(b"blocks/", limit=1_000)]).scans
    lost = [row.key for row in rows if b"_lakefs/" in row.key]
    assert lost
    first.stores.kv.apply([Request((), [delete(key) for key in lost])])
    first.close()
    # A fresh process has no range in memory.
    second = build(settings)
    report = verify(second.stores)
    second.close()
    assert report.problem_count >= 2
    assert all("commit" in problem for problem in report.problems)


def test_problems_are_counted_past_those_that_are_told() -> None:
    report = Report("r")
    for number in range(PROBLEMS_MAX + 1):
        report.add(str(number))
    assert (len(report.problems), report.problem_count) == (PROBLEMS_MAX, PROBLEMS_MAX + 1)


def test_quickstart_repeats(app: App) -> None:
    app.install_quickstart()
    principal = app.stores.access.authenticate(QUICKSTART_KEY_ID, QUICKSTART_SECRET)
    assert principal.user == "docker"
    assert app.stores.access.raw.find_credential("minioadmin") is not None
    assert app.is_local
