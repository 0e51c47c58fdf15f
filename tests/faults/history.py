"""A fixed history of one lake, operation by operation, and what one sees after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

from anabranch.kernel.ids import BranchId, Namespace, Path, Ref, RepositoryId, TagId
from anabranch.lake.import_sources import ImportSource, SourceKind
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.disk import Disk
from anabranch.storage.kv.base import KVStore, Prepared
from tests.support.fakes import FakeClock, FakeIds
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_lake

OTHER = RepositoryId("other")
DEV = BranchId("dev")
BIG = bytes(range(256)) * 300
SEGMENT_BYTES = 1024 * 1024

Operation = Callable[[TestLake], object]
Seen = dict[str, object]


@contextmanager
def open_directory(
    directory: FilePath,
    kv: KVStore,
    *,
    wrap: Callable[[KVStore], KVStore] = lambda kv: kv,
    disk: Disk | None = None,
    name: str = "history",
    clock: FakeClock | None = None,
) -> Iterator[TestLake]:
    """Open a lake over local blocks, without its repository."""
    clock = FakeClock(step_ns=1_000) if clock is None else clock
    ids = FakeIds(name)
    blocks = LocalBlocks(
        directory,
        kv,
        clock,
        ids,
        disk=disk,
        segment_bytes=SEGMENT_BYTES,
        prepares_segments=False,
    )
    try:
        with open_lake(kv, blocks=blocks, wrap=wrap, clock=clock, ids=ids, creates=False) as opened:
            yield opened
    finally:
        blocks.close()


def _create(opened: TestLake) -> object:
    return opened.lake.repositories.create(
        REPOSITORY, Namespace("s3://data/animals"), committer="tests"
    )


def _reset(opened: TestLake) -> object:
    opened.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    return None


def _upload(opened: TestLake) -> object:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    upload = opened.lake.uploads.create(target, Path("parts"), content_type="text/plain")
    body = opened.lake.uploads.body(upload)
    body.write(BIG)
    part = opened.lake.writer.submit(opened.lake.uploads.making_part(upload, 1, body))
    return opened.lake.writer.submit(
        opened.lake.uploads.making_complete(upload, [(part.number, part.etag)])
    )


def _abort(opened: TestLake) -> object:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    upload = opened.lake.uploads.create(target, Path("aborted"), content_type="text/plain")
    body = opened.lake.uploads.body(upload)
    body.write(b"part")
    opened.lake.writer.submit(opened.lake.uploads.making_part(upload, 1, body))
    opened.lake.uploads.abort(upload)
    return upload


def _copy(opened: TestLake) -> object:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    source = opened.lake.resolve.resolve(REPOSITORY, Ref("main"))
    make = opened.lake.objects.making_copy(target, Path("copy"), source, Path("a"))
    return opened.lake.writer.submit(make)


def _link(opened: TestLake) -> object:
    target = opened.lake.objects.writable(REPOSITORY, MAIN)
    address = opened.lake.writer.submit(opened.lake.addresses.making_issue(target, Path("linked")))
    _raw_put(opened, address, b"linked")
    etag = opened.blocks.get(address).etag
    make = opened.lake.addresses.making_link(
        target, Path("linked"), address, checksum=etag, size_bytes=6, content_type="text/plain"
    )
    return opened.lake.writer.submit(make)


def _raw_put(opened: TestLake, address: str, data: bytes) -> None:
    body = opened.lake.bodies.open_at(address)
    body.write(data)

    def make() -> Prepared[None]:
        conditions, writes = opened.blocks.bucket_creation(address.split("/")[2])
        placed = body.place()
        return Prepared(
            conditions, [*writes, *placed.writes], lambda _verdict: None, placed.windows
        )

    opened.lake.writer.submit(make)


def _import(opened: TestLake) -> object:
    imports = opened.lake.imports
    source = ImportSource(SourceKind.COMMON_PREFIX, "s3://raw/in/", "imported/")
    import_id = imports.start(REPOSITORY, MAIN, [source], message="import", committer="tests")
    imports.wait()
    status = imports.status(REPOSITORY, import_id)
    if not status.is_completed:
        # Whatever stopped it has stopped this lake's writer, too.
        opened.put("never")
    return status


def _put_and_seal(number: int) -> Operation:
    def run(opened: TestLake) -> object:
        opened.put(f"sealed/{number}")
        return opened.lake.staging.seal(REPOSITORY, MAIN)

    return run


def _sweep(opened: TestLake) -> object:
    opened.clock.advance(2 * 86_400)
    now_us = opened.kv.now_us()
    while opened.lake.staging.sweep_dropped(now_us=now_us, amount=5):
        pass
    while opened.lake.repositories.sweep_retired(amount=5):
        pass
    while opened.lake.uploads.sweep_discarded(amount=5):
        pass
    opened.lake.uploads.sweep_completed(now_us=now_us)
    opened.lake.addresses.sweep_issued(now_us=now_us)
    opened.lake.imports.sweep_imports(now_us=now_us)
    return None


def _create_other(opened: TestLake) -> object:
    return opened.lake.repositories.create(OTHER, Namespace("s3://other"), committer="tests")


def _commit_all(opened: TestLake) -> None:
    """Show that every branch still takes writes and commits."""
    for branch in opened.lake.branches.list(REPOSITORY, amount=10).items:
        opened.put("afterwards", b"afterwards", branch=branch.id)
        opened.commit(branch=branch.id)
        assert opened.find("afterwards", ref=f"{branch.id}@") == b"afterwards"


HISTORY: tuple[Operation, ...] = (
    _create,
    lambda one: one.put("a", b"1"),
    lambda one: one.put("big", BIG),
    lambda one: one.commit("first"),
    lambda one: one.branch("dev"),
    lambda one: one.put("dev/x", b"dev", branch="dev"),
    lambda one: one.delete("a", branch="dev"),
    lambda one: one.commit("on dev", branch="dev"),
    lambda one: one.put("b", b"2"),
    lambda one: one.commit("second"),
    lambda one: one.lake.tags.create(REPOSITORY, TagId("v1"), Ref("main")),
    lambda one: one.merge("dev"),
    lambda one: one.lake.merges.revert(
        REPOSITORY, MAIN, Ref("v1"), committer="tests", message="undo"
    ),
    lambda one: one.put("a", b"again"),
    _upload,
    _copy,
    lambda one: one.put("drop/1"),
    _reset,
    _link,
    lambda one: one.delete("big", "dev/x"),
    _abort,
    *map(_put_and_seal, range(6)),
    lambda one: one.commit("third"),
    lambda one: _raw_put(one, "s3://raw/in/object", b"raw"),
    _import,
    lambda one: one.lake.repositories.set_metadata(REPOSITORY, {"k": "v"}),
    lambda one: one.put("gone", branch="dev"),
    lambda one: one.lake.branches.delete(REPOSITORY, DEV),
    _create_other,
    lambda one: one.lake.repositories.delete(OTHER),
    lambda one: one.lake.branches.reset(REPOSITORY, MAIN),
    _sweep,
    lambda one: one.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("v1")),
)


def look(opened: TestLake) -> Seen:
    """Return all that one sees, reading every byte of it."""
    seen: Seen = {
        "repositories": [one.id for one in opened.lake.repositories.list(amount=10).items]
    }
    if REPOSITORY not in seen["repositories"]:  # type: ignore[operator]  # a list of names
        return seen
    seen["metadata"] = opened.lake.repositories.get_metadata(REPOSITORY)
    for tag in opened.lake.tags.list(REPOSITORY, amount=10).items:
        seen[f"tag {tag.id}"] = _contents(opened, tag.id)
    for branch in opened.lake.branches.list(REPOSITORY, amount=10).items:
        seen[f"branch {branch.id}"] = _contents(opened, branch.id)
        log = opened.lake.commits.log(REPOSITORY, Ref(branch.id), amount=50).items
        seen[f"log {branch.id}"] = [one.message for one in log]
        for commit in log:
            seen[f"commit {branch.id} {commit.message}"] = _contents(opened, commit.id)
    return seen


def _contents(opened: TestLake, ref: str) -> dict[str, bytes | None]:
    return {path: opened.find(path, ref=ref) for path in opened.paths(ref=ref)}


def check_afterwards(opened: TestLake) -> None:
    """Show that a lake goes on working: sweeps change nothing one sees, branches take commits."""
    before = look(opened)
    _sweep(opened)
    assert look(opened) == before
    if opened.lake.repositories.find(REPOSITORY) is not None:
        _commit_all(opened)
