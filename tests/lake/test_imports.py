"""Imports: what they read, what they replace, and that they publish once or not at all."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    Conflict,
    Corrupted,
    Forbidden,
    InvalidInput,
    Kind,
    NotFound,
    Unavailable,
)
from anabranch.kernel.ids import BranchId, Namespace, Path, Ref, RepositoryId
from anabranch.lake.import_sources import ImportSource, SourceKind
from anabranch.lake.imports import ImportStatus
from anabranch.lake.local_files import checksum_of
from anabranch.storage.kv.base import Request
from tests.support.hooks import HookedKV, hooks
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        lake.kv.apply([Request((), lake.blocks.bucket_creation("raw")[1])])
        yield lake


def raw_put(opened: TestLake, key: str, data: bytes = b"raw") -> None:
    body = opened.lake.bodies.open_at(f"s3://raw/{key}")
    body.write(data)
    placed = body.place(content_type="text/csv", metadata=(("k", "v"),))
    opened.blocks.flush(placed.windows)
    opened.kv.apply([Request((), placed.writes)])


def prefix(uri: str, destination: str = "") -> ImportSource:
    return ImportSource(SourceKind.COMMON_PREFIX, uri, destination)


def single(uri: str, destination: str) -> ImportSource:
    return ImportSource(SourceKind.OBJECT, uri, destination)


def start(opened: TestLake, *sources: ImportSource, branch: str = MAIN) -> str:
    return opened.lake.imports.start(
        REPOSITORY,
        BranchId(branch),
        sources,
        message="imported",
        committer="tests",
        metadata=(("from", "raw"),),
    )


def finish(opened: TestLake, import_id: str) -> ImportStatus:
    """Wait until the threads of a lake's imports have ended."""
    opened.lake.imports.wait()
    return opened.lake.imports.status(REPOSITORY, import_id)


def run(opened: TestLake, *sources: ImportSource) -> ImportStatus:
    return finish(opened, start(opened, *sources))


def test_objects_under_a_prefix_are_adopted_without_copying(opened: TestLake) -> None:
    for key in ("in/b", "in/a/1", "in/c", "out/d"):
        raw_put(opened, key, key.encode())
    before = len(opened.blocks.list("raw", prefix="", after="", amount=99).items)
    status = run(opened, prefix("s3://raw/in/", "here/"))
    assert (status.is_completed, status.error, status.ingested) == (True, "", 3)
    assert status.commit is not None
    assert status.commit.message == "imported"
    assert status.commit.metadata == (("from", "raw"),)
    assert status.metarange == status.commit.metarange
    assert opened.paths() == ["here/a/1", "here/b", "here/c"]
    assert opened.find("here/a/1") == b"in/a/1"
    resolved = opened.lake.resolve.resolve(REPOSITORY, Ref("main"))
    stat = opened.lake.objects.find(resolved, Path("here/b"))
    assert stat is not None
    assert stat.physical_address == "s3://raw/in/b"
    assert (stat.entry.content_type, stat.entry.metadata) == ("text/csv", (("k", "v"),))
    assert len(opened.blocks.list("raw", prefix="", after="", amount=99).items) == before
    assert opened.lake.resolve.commit_id(REPOSITORY, Ref("main")) == status.commit.id


def test_a_prefix_without_a_slash_is_a_prefix_of_names(opened: TestLake) -> None:
    for key in ("in/day1", "in/day2/x", "in/night"):
        raw_put(opened, key)
    run(opened, prefix("s3://raw/in/day", "here"))
    assert opened.paths() == ["here/day1", "here/day2/x"]


def test_a_whole_bucket_is_adopted(opened: TestLake) -> None:
    raw_put(opened, "a")
    raw_put(opened, "b/c")
    run(opened, prefix("s3://raw/"))
    assert opened.paths() == ["a", "b/c"]


def test_an_import_replaces_what_lies_under_its_destination(opened: TestLake) -> None:
    for path in ("here/old", "here0", "her", "here/a", "one", "one/more"):
        opened.put(path, b"old")
    opened.commit()
    raw_put(opened, "in/a", b"new")
    raw_put(opened, "single", b"one")
    run(opened, prefix("s3://raw/in/", "here/"), single("s3://raw/single", "one"))
    assert opened.paths() == ["her", "here/a", "here0", "one", "one/more"]
    assert (opened.find("here/a"), opened.find("one")) == (b"new", b"one")
    assert opened.find("one/more") == b"old"


def test_many_pages_of_several_sources_are_merged_in_order(opened: TestLake) -> None:
    requests = []
    for number in range(2_500):
        for folder in ("x", "y"):
            placed = opened.blocks.join(f"s3://raw/{folder}/{number:05d}", (), etag=folder * 32)
            requests.append(Request((), placed.writes))
    opened.kv.apply(requests)
    status = run(opened, prefix("s3://raw/x/", "all"), prefix("s3://raw/y/", "all"))
    assert status.error == ""
    assert status.ingested == 2_500
    assert opened.paths() == [f"all/{number:05d}" for number in range(2_500)]
    resolved = opened.lake.resolve.resolve(REPOSITORY, Ref("main"))
    found = opened.lake.objects.find(resolved, Path("all/00007"))
    assert found is not None
    assert found.entry.checksum == "y" * 32, "the source listed last wins"


def test_an_import_of_nothing_empties_its_destination(opened: TestLake) -> None:
    opened.put("here/a")
    opened.put("b")
    opened.commit()
    status = run(opened, prefix("s3://raw/none/", "here/"))
    assert (status.is_completed, status.ingested) == (True, 0)
    assert opened.paths() == ["b"]


def test_a_dirty_branch_refuses_an_import(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    opened.put("uncommitted")
    status = run(opened, prefix("s3://raw/in/", "here/"))
    assert not status.is_completed
    assert "dirty" in status.error
    assert opened.paths() == ["uncommitted"]


def test_a_write_during_the_import_lies_on_top(opened: TestLake) -> None:
    raw_put(opened, "in/a", b"imported")
    with open_beside(opened, wrap=HookedKV) as other:
        hooks(other).before_apply(b"commit/", lambda: opened.put("here/a", b"put"))
        status = finish(other, start(other, prefix("s3://raw/in/", "here/")))
        assert status.is_completed
        assert opened.find("here/a") == b"put"
        assert opened.find("here/a", ref="main@") == b"imported"


def test_a_commit_during_the_import_stays(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    with open_beside(opened, wrap=HookedKV) as other:

        def commit() -> None:
            opened.put("other")
            opened.commit()

        hooks(other).before_apply(b"commit/", commit)
        status = finish(other, start(other, prefix("s3://raw/in/", "here/")))
        assert status.is_completed
        assert opened.paths() == ["here/a", "other"]
        log = opened.lake.commits.log(REPOSITORY, Ref("main"), amount=9).items
        assert [one.message for one in log] == ["imported", "a commit", "Repository created"]


def test_a_cancelled_import_never_publishes(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    with open_beside(opened, wrap=HookedKV) as other:
        ids: list[str] = []
        hooks(other).before_apply(
            b"commit/", lambda: opened.lake.imports.cancel(REPOSITORY, ids[0])
        )
        import_id = _start_held(other, ids, prefix("s3://raw/in/", "here/"))
        status = finish(other, import_id)
        assert not status.is_completed
        assert "cancelled" in status.error
        assert opened.paths() == []
        with pytest.raises(Conflict):
            opened.lake.imports.cancel(REPOSITORY, import_id)


def _start_held(opened: TestLake, ids: list[str], source: ImportSource) -> str:
    """Start an import whose id is in `ids` before its thread does anything."""
    imports = opened.lake.imports
    create = imports._create

    def remember(order: object, import_id: str) -> object:
        ids.append(import_id)
        return create(order, import_id)  # type: ignore[arg-type]  # as it came

    imports._create = remember  # type: ignore[method-assign, assignment]  # to know the id early
    return start(opened, source)


def test_a_completed_import_cannot_be_cancelled(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    status = run(opened, prefix("s3://raw/in/"))
    with pytest.raises(Conflict):
        opened.lake.imports.cancel(REPOSITORY, status.id)


def test_an_import_that_fell_silent_says_so(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    with open_beside(opened, wrap=HookedKV) as other:
        gate = _Gate()
        hooks(other).before_read(b"commit/", gate.wait)
        import_id = start(other, prefix("s3://raw/in/"))
        assert opened.lake.imports.status(REPOSITORY, import_id).error == ""
        opened.clock.advance(limits.IMPORT_SILENT_S + 1)
        status = opened.lake.imports.status(REPOSITORY, import_id)
        gate.open()
        assert "interrupted" in status.error
        assert not status.is_completed


def test_imports_end_when_the_server_stops(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    with open_beside(opened, wrap=HookedKV) as other:
        hooks(other).after_read(b"commit/", other.lake.imports._threads.stop)
        status = finish(other, start(other, prefix("s3://raw/in/")))
        assert "stopping" in status.error
        with pytest.raises(Unavailable):
            start(other, prefix("s3://raw/in/"))
    assert opened.paths() == []


def test_old_imports_are_forgotten(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    status = run(opened, prefix("s3://raw/in/"))
    imports = opened.lake.imports
    assert imports.sweep_imports(now_us=opened.clock.now_ns() // 1_000) is None
    imports.status(REPOSITORY, status.id)
    opened.clock.advance(limits.IMPORT_KEEP_S + 60)
    imports.sweep_imports(now_us=opened.clock.now_ns() // 1_000)
    for ask in (imports.status, imports.cancel):
        with pytest.raises(NotFound) as caught:
            ask(REPOSITORY, status.id)
        assert caught.value.kind is Kind.IMPORT_NOT_FOUND


def test_a_missing_object_fails_the_import(opened: TestLake) -> None:
    status = run(opened, single("s3://raw/none", "a"))
    assert "no object" in status.error
    assert opened.paths() == []


# What may be read


@pytest.mark.parametrize(
    "uri",
    ["s3://data/animals/", "s3://data/", "s3://data/ani", "s3://data/animals/x", "s3://data/a"],
)
def test_a_repositorys_data_is_no_source(opened: TestLake, uri: str) -> None:
    with pytest.raises(Forbidden) as caught:
        start(opened, prefix(uri))
    assert caught.value.kind is Kind.IMPORT_SOURCE


def test_a_namespace_claimed_during_the_import_refuses_it(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    with open_beside(opened, wrap=HookedKV) as other:

        def claim() -> None:
            opened.lake.repositories.create(
                RepositoryId("later"), Namespace("s3://raw/in/deep"), committer="tests"
            )

        hooks(other).before_apply(b"commit/", claim)
        status = finish(other, start(other, prefix("s3://raw/in/")))
        assert not status.is_completed
        assert "data of a repository" in status.error
        assert opened.paths() == []


@pytest.mark.parametrize(
    "uri", ["s3://nowhere/x/", "http://a/b", "gs://a/b", "local:///etc/../root", "local:////etc"]
)
def test_other_places_are_no_sources(opened: TestLake, uri: str) -> None:
    with pytest.raises((InvalidInput, Forbidden)):
        start(opened, prefix(uri))


def test_an_import_has_one_to_a_hundred_sources(opened: TestLake) -> None:
    sources = [
        prefix("s3://raw/in/", f"d{number}") for number in range(limits.IMPORT_PATHS_MAX + 1)
    ]
    finish(opened, start(opened, *sources[:-1]))
    for wrong in ([], sources):
        with pytest.raises(InvalidInput):
            start(opened, *wrong)


def test_four_imports_run_at_a_time(opened: TestLake) -> None:
    raw_put(opened, "in/a")
    with open_beside(opened, wrap=HookedKV) as other:
        gate = _Gate()
        for _ in range(limits.IMPORTS_RUNNING_MAX):
            hooks(other).before_read(b"commit/", gate.wait)
        started = [
            start(other, prefix("s3://raw/in/", f"d{number}"))
            for number in range(limits.IMPORTS_RUNNING_MAX)
        ]
        with pytest.raises(Unavailable):
            start(other, prefix("s3://raw/in/"))
        gate.open()
        assert all(finish(other, one).is_completed for one in started)


class _Gate:
    """Holds threads until it is opened."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.open: Callable[[], None] = self._event.set

    def wait(self) -> None:
        assert self._event.wait(30)


# Local files


@pytest.fixture
def with_files(tmp_path: FilePath) -> Iterator[TestLake]:
    root = tmp_path / "allowed"
    for name in ("b.txt", "a/z", "a.txt", "a/b/c", "a-b"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "secret").write_bytes(b"secret")
    with open_lake(import_from=[f"local://{root}"]) as lake:
        yield lake


def test_local_files_are_adopted_in_byte_order(with_files: TestLake, tmp_path: FilePath) -> None:
    status = run(with_files, prefix(f"local://{tmp_path}/allowed/", "files"))
    assert status.error == ""
    assert with_files.paths() == [
        "files/a-b",
        "files/a.txt",
        "files/a/b/c",
        "files/a/z",
        "files/b.txt",
    ]
    assert with_files.find("files/a/b/c") == b"a/b/c"
    resolved = with_files.lake.resolve.resolve(REPOSITORY, Ref("main"))
    stat = with_files.lake.objects.find(resolved, Path("files/a/z"))
    assert stat is not None
    uri = f"local://{tmp_path}/allowed/a/z"
    mtime_us = (tmp_path / "allowed/a/z").stat().st_mtime_ns // 1_000
    assert stat.physical_address == uri
    assert stat.entry.checksum == checksum_of(uri, 3, mtime_us)
    block = with_files.lake.objects.block(stat)
    assert with_files.lake.blocks.read(block, 1, 2) == b"/z"
    assert with_files.lake.blocks.read_now(block, 0, 3) is None
    assert with_files.lake.blocks.local_path(block).read_bytes() == b"a/z"


def test_one_local_file_is_adopted(with_files: TestLake, tmp_path: FilePath) -> None:
    status = run(with_files, single(f"local://{tmp_path}/allowed/a/z", "here"))
    assert status.error == ""
    assert with_files.find("here") == b"a/z"
    status = run(with_files, single(f"local://{tmp_path}/allowed/a", "here"))
    assert "directory" in status.error


@pytest.mark.parametrize(
    "place", ["", "/secret", "/allowed2", "/allowed/../secret", "/allowed/./a.txt"]
)
def test_only_allowed_places_are_read(with_files: TestLake, tmp_path: FilePath, place: str) -> None:
    (tmp_path / "allowed2").mkdir()
    with pytest.raises((Forbidden, InvalidInput)):
        start(with_files, prefix(f"local://{tmp_path}{place}"))


def test_nothing_local_is_read_unless_configured(opened: TestLake, tmp_path: FilePath) -> None:
    with pytest.raises(Forbidden) as caught:
        start(opened, prefix(f"local://{tmp_path}/"))
    assert caught.value.kind is Kind.IMPORT_SOURCE


@pytest.mark.parametrize("target", ["secret", ".", "allowed/a.txt", "allowed/a"])
def test_links_are_not_followed(with_files: TestLake, tmp_path: FilePath, target: str) -> None:
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / target)
    for uri in (f"local://{tmp_path}/allowed/", f"local://{tmp_path}/allowed/link"):
        status = run(with_files, prefix(uri))
        assert "link" in status.error
        assert with_files.paths() == []


def test_a_file_that_became_a_link_is_not_read(with_files: TestLake, tmp_path: FilePath) -> None:
    run(with_files, prefix(f"local://{tmp_path}/allowed/"))
    for name, target in (("a.txt", "secret"), ("a", ".")):
        path = tmp_path / "allowed" / name
        os.rename(path, tmp_path / f"moved-{name}")
        path.symlink_to(tmp_path / target)
    with pytest.raises(Forbidden):
        with_files.find("a.txt")
    with pytest.raises(Forbidden):
        with_files.find("a/z")


def test_a_fifo_in_a_files_place_is_not_waited_for(
    with_files: TestLake, tmp_path: FilePath
) -> None:
    run(with_files, prefix(f"local://{tmp_path}/allowed/"))
    path = tmp_path / "allowed" / "a.txt"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotFound):
        with_files.find("a.txt")


def test_a_file_that_is_gone_is_not_found(with_files: TestLake, tmp_path: FilePath) -> None:
    run(with_files, prefix(f"local://{tmp_path}/allowed/"))
    (tmp_path / "allowed" / "a.txt").unlink()
    with pytest.raises(NotFound):
        with_files.find("a.txt")


def test_a_file_that_changes_while_it_is_read_is_noticed(
    with_files: TestLake, tmp_path: FilePath
) -> None:
    run(with_files, prefix(f"local://{tmp_path}/allowed/"))
    resolved = with_files.lake.resolve.resolve(REPOSITORY, Ref("main"))
    stat = with_files.lake.objects.find(resolved, Path("a.txt"))
    assert stat is not None
    block = with_files.lake.objects.block(stat)
    (tmp_path / "allowed" / "a.txt").write_bytes(b"other")
    with pytest.raises(Corrupted):
        with_files.lake.blocks.read(block, 0, 5)


def test_a_name_that_is_not_utf8_fails_the_import(with_files: TestLake, tmp_path: FilePath) -> None:
    with open(os.fsencode(tmp_path / "allowed") + b"/\xff", "wb"):
        pass
    status = run(with_files, prefix(f"local://{tmp_path}/allowed/"))
    assert "UTF-8" in status.error


def test_a_directory_that_is_missing_fails_the_import(
    with_files: TestLake, tmp_path: FilePath
) -> None:
    status = run(with_files, prefix(f"local://{tmp_path}/allowed/none/"))
    assert "no file" in status.error


def test_a_tree_that_is_too_deep_fails_the_import(with_files: TestLake, tmp_path: FilePath) -> None:
    place = os.open(tmp_path / "allowed", os.O_RDONLY)
    for _ in range(limits.PATH_BYTES_MAX // 2 + 2):
        os.mkdir("d", dir_fd=place)
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    status = run(with_files, prefix(f"local://{tmp_path}/allowed/"))
    assert "too deep" in status.error
