"""Rules of docs/protocol.md that only a rare moment, a large number or a strange request shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from anabranch.kernel import limits
from anabranch.kernel.commits import Commit
from anabranch.kernel.entries import decode_entry, encode_tombstone
from anabranch.kernel.errors import Conflict, Gone, Kind, NotFound, Unavailable
from anabranch.kernel.ids import (
    BranchId,
    MetarangeId,
    Namespace,
    Path,
    Ref,
    RepositoryId,
    TagId,
    Token,
)
from anabranch.lake import keyspace, records
from anabranch.lake.import_sources import ImportSource, SourceKind
from anabranch.lake.values import BranchRecord, Sealed
from anabranch.storage.kv.base import Request, Scan, Write, put, scan_prefix
from tests.support.faults import Crashed, Faults, FaultyKV
from tests.support.hooks import HookedKV, hooks
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake

DEV = BranchId("dev")
OTHER = RepositoryId("plants")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two processes over one store; `slow` stops at steps that a test chooses."""

    fast: TestLake
    slow: TestLake

    def between(self, touching: bytes, action: object, *, skip: int = 0) -> None:
        """Do something before `slow` writes such a key."""
        assert callable(action)
        hooks(self.slow).before_apply(touching, action, skip=skip)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with open_lake() as fast, open_beside(fast, wrap=HookedKV) as slow:
        yield Pair(fast, slow)
        assert hooks(slow).is_done


@pytest.fixture
def opened() -> Iterator[TestLake]:
    with open_lake() as lake:
        yield lake


def write(opened: TestLake, writes: list[Write]) -> None:
    """Put rows behind the lake's back."""
    for start in range(0, len(writes), limits.KV_WRITES_MAX):
        opened.kv.apply([Request((), writes[start : start + limits.KV_WRITES_MAX])])


def record_of(opened: TestLake, branch: BranchId = MAIN) -> BranchRecord:
    """Return a branch's record."""
    return opened.lake.states.fresh(REPOSITORY, branch).record


def expire(opened: TestLake, commit: Commit) -> None:
    """Write that a commit's data has expired, as retention does."""
    key = keyspace.commit(opened.repository.incarnation, commit.id)
    write(opened, [put(key, records.encode_commit_record(commit, is_expired=True))])


def commit_metarange(opened: TestLake, metarange: MetarangeId) -> Commit:
    """Commit a metarange that exists."""
    return opened.lake.commits.create(
        REPOSITORY, MAIN, message="again", committer="tests", source_metarange=metarange
    )


# 3.5, 4.2, 4.3: a commit refers only to what is there and stays there


def test_a_metarange_of_the_repository_is_committed_again(opened: TestLake) -> None:
    opened.put("a", b"1")
    first = opened.commit()
    opened.put("b")
    opened.commit()
    assert commit_metarange(opened, first.metarange).metarange == first.metarange
    assert opened.paths() == ["a"]


def test_a_metarange_that_does_not_exist_is_not_committed(opened: TestLake) -> None:
    with pytest.raises(NotFound):
        commit_metarange(opened, MetarangeId("ab" * 32))
    assert opened.paths() == []


def test_a_metarange_of_another_repository_is_not_committed(opened: TestLake) -> None:
    lake = opened.lake
    lake.repositories.create(OTHER, Namespace("s3://data/plants"), committer="tests")
    target = lake.objects.writable(OTHER, MAIN)
    body = lake.bodies.open(target.repository)
    body.write(b"secret")
    lake.writer.submit(lake.objects.making_put(target, Path("a"), body, content_type="text/plain"))
    theirs = lake.commits.create(OTHER, MAIN, message="m", committer="tests")
    with pytest.raises(NotFound):
        commit_metarange(opened, theirs.metarange)
    assert opened.paths() == []


def test_the_metarange_of_an_expired_commit_is_not_committed(opened: TestLake) -> None:
    opened.put("a", b"1")
    first = opened.commit()
    opened.put("a", b"2")
    opened.commit()
    expire(opened, first)
    with pytest.raises(Gone):
        commit_metarange(opened, first.metarange)
    assert opened.find("a") == b"2"


def test_a_metarange_whose_commit_expires_meanwhile_is_not_committed(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    first = pair.fast.commit()
    pair.fast.put("a", b"2")
    pair.fast.commit()
    pair.between(b"branch/", lambda: expire(pair.fast, first))
    with pytest.raises(Gone):
        commit_metarange(pair.slow, first.metarange)
    assert pair.fast.find("a") == b"2"


def commit_at(opened: TestLake, branch: BranchId) -> Commit:
    """Commit nothing, with all that makes up the commit's id given."""
    return opened.lake.commits.create(
        REPOSITORY,
        branch,
        message="same",
        committer="tests",
        created_us=1_000_000,
        allow_empty=True,
    )


def test_equal_commits_of_two_branches_are_one(opened: TestLake) -> None:
    opened.branch("dev")
    assert commit_at(opened, DEV) == commit_at(opened, MAIN)
    assert opened.lake.commits.of(REPOSITORY, Ref("main")).message == "same"


def test_an_equal_commit_does_not_take_back_an_expiry(opened: TestLake) -> None:
    opened.branch("dev")
    same = commit_at(opened, DEV)
    expire(opened, same)
    with pytest.raises(Gone):
        commit_at(opened, MAIN)
    with pytest.raises(Gone):
        opened.branch("again", str(same.id))


def test_an_equal_commit_published_meanwhile_may_have_expired(pair: Pair) -> None:
    pair.fast.branch("dev")
    pair.between(b"branch/", lambda: expire(pair.fast, commit_at(pair.fast, DEV)))
    with pytest.raises(Gone):
        commit_at(pair.slow, MAIN)


# 2.6: who fills a token


def test_a_reset_that_takes_hours_is_not_swept_while_it_writes(pair: Pair) -> None:
    pair.fast.put("drop/a")
    pair.fast.put("keep/a")
    token = record_of(pair.fast).token
    tombstone = encode_tombstone()
    names = [f"keep/{number:05}" for number in range(6_000)]
    write(pair.fast, [put(keyspace.staged(token, name), tombstone) for name in names])

    def later() -> None:
        pair.fast.clock.advance(limits.DROPPED_TOKEN_GRACE_S * 0.4)
        pair.fast.lake.staging.sweep_dropped(now_us=pair.fast.kv.now_us())

    # The filler's first key, then one with each portion; the last one is deleted by the publish.
    for skip in range(1, 4):
        pair.between(b"dropped/", later, skip=skip)
    pair.slow.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    (kept,) = record_of(pair.fast).sealed
    assert kept.rows == len(names) + 1
    rows = [
        row
        for after in (b"", b"keep/03000")
        for row in pair.fast.kv.read(
            (), [scan_prefix(keyspace.staging(kept.token), after=after, limit=3_001)]
        ).scans[0]
    ]
    assert len({row.key for row in rows}) == len(names) + 1


def test_a_filler_that_died_leaves_nothing_behind(pair: Pair) -> None:
    pair.fast.put("drop/a")
    pair.fast.put("keep/a")
    # Whatever it meets on its way, the token it filled is not the branch's.
    pair.between(b"branch/", lambda: pair.fast.lake.branches.delete(REPOSITORY, DEV), skip=1)
    pair.fast.branch("dev")
    pair.fast.put("drop/a", branch="dev")
    pair.fast.put("keep/a", branch="dev")
    with pytest.raises(NotFound):
        pair.slow.lake.branches.reset_prefix(REPOSITORY, DEV, "drop/")
    pair.fast.clock.advance(limits.DROPPED_TOKEN_GRACE_S + 60)
    while pair.fast.lake.staging.sweep_dropped(now_us=pair.fast.kv.now_us()):
        pass
    left = pair.fast.kv.read((), [scan_prefix(b"staging/", limit=100)]).scans[0]
    own = keyspace.staging(record_of(pair.fast).token)
    assert [row.key[len(own) :] for row in left if row.key.startswith(own)] == [
        b"drop/a",
        b"keep/a",
    ]
    assert len(left) == 2
    assert not pair.fast.kv.read((), [scan_prefix(keyspace.DROPPED, limit=100)]).scans[0]


# 1.4: no transaction above its limit


def test_a_repository_with_many_sealed_tokens_is_deleted(opened: TestLake) -> None:
    record = record_of(opened)
    incarnation = opened.repository.incarnation
    writes = []
    for number in range(250):
        sealed = tuple(Sealed(Token(f"{number:016x}{index:016x}"), 4_000) for index in range(40))
        crowded = BranchRecord(record.head, record.metarange, opened_token(number), sealed)
        key = keyspace.branch(incarnation, BranchId(f"crowded-{number:03}"))
        writes.append(put(key, records.encode_branch(crowded)))
    write(opened, writes)
    opened.lake.repositories.delete(REPOSITORY)
    assert not opened.kv.read((), [scan_prefix(b"branch/", limit=1)]).scans[0]
    dropped = opened.kv.read((), [scan_prefix(keyspace.DROPPED, limit=1)]).scans[0]
    assert dropped
    opened.lake.repositories.create(REPOSITORY, Namespace("s3://data/next"), committer="tests")
    assert opened.paths() == []


def test_a_thousand_paths_are_deleted_over_as_many_tokens_as_there_may_be(
    opened: TestLake,
) -> None:
    opened.put("model")
    record = record_of(opened)
    paths = [f"p/{number:04}" for number in range(limits.DELETE_PATHS_MAX)]
    sealed = tuple(
        Sealed(Token(f"{index:032x}"), len(paths)) for index in range(limits.SEALED_TOKENS_MAX)
    )
    row = opened.kv.read([keyspace.staged(record.token, "model")]).values[0]
    assert row is not None
    write(opened, [put(keyspace.staged(sealed[-1].token, path), row.value) for path in paths])
    key = keyspace.branch(opened.repository.incarnation, MAIN)
    crowded = BranchRecord(record.head, record.metarange, record.token, sealed)
    write(opened, [put(key, records.encode_branch(crowded))])
    assert len(opened.paths()) == len(paths) + 1
    opened.delete(*paths)
    assert opened.paths() == ["model"]
    opened.commit()
    assert opened.paths(ref="main@") == ["model"]


def opened_token(number: int) -> Token:
    """Return a token that no other test data has."""
    return Token(f"{number:016x}{'f' * 16}")


# 5.2: a deletion that dies


def test_a_deletion_that_dies_at_any_step_is_finished_by_others() -> None:
    step = 1
    while _dies_deleting(step):
        step += 1
    assert step > 5


def _dies_deleting(step: int) -> bool:
    """Delete a repository up to a step, then go on as others do; False when it did not die."""
    faults = Faults(crash_at=step)
    with open_lake() as opened:
        lake, former = opened.lake, opened.repository
        for name in ("one", "two"):
            opened.branch(name)
            opened.put("a", branch=name)
        opened.put("a")
        target = lake.objects.writable(REPOSITORY, MAIN)
        upload = lake.uploads.create(target, Path("parts"), content_type="text/plain")
        body = lake.uploads.body(upload)
        body.write(b"part")
        lake.writer.submit(lake.uploads.making_part(upload, 1, body))
        lake.writer.submit(lake.addresses.making_issue(target, Path("linked")))
        with open_beside(opened, wrap=lambda kv: FaultyKV(kv, faults)) as dying:
            try:
                dying.lake.repositories.delete(REPOSITORY)
            except (Crashed, Unavailable):
                pass
            else:
                return False
        if lake.repositories.find(REPOSITORY) is not None:
            lake.repositories.delete(REPOSITORY)
        lake.repositories.create(REPOSITORY, Namespace("s3://data/next"), committer="tests")
        assert opened.paths() == []
        opened.clock.advance(limits.DROPPED_TOKEN_GRACE_S + 60)
        while lake.repositories.sweep_retired():
            pass
        while lake.staging.sweep_dropped(now_us=opened.kv.now_us()):
            pass
        while lake.uploads.sweep_discarded():
            pass
        left = opened.kv.read((), [Scan(b"", None, limits.SCAN_ROWS_MAX)]).scans[0]
        own = former.incarnation.encode()
        gone = (b"staging/", b"dropped/", b"upload", b"retir", b"issued/")
        assert [row.key for row in left if own in row.key or row.key.startswith(gone)] == []
    return True


# 2.8: what refuses a hard reset


def test_rows_equal_to_the_head_do_not_refuse_a_hard_reset(opened: TestLake) -> None:
    opened.put("a", b"1")
    opened.commit()
    opened.put("a", b"1")
    opened.delete("never there")
    opened.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("main~1"))
    assert opened.paths() == []
    opened.put("a", b"2")
    with pytest.raises(Conflict) as refused:
        opened.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("main"))
    assert refused.value.kind is Kind.DIRTY_BRANCH
    assert opened.find("a") == b"2"


# 1.1, 2.12: names


def test_of_a_branch_and_a_tag_made_at_once_one_has_the_name(pair: Pair) -> None:
    pair.between(
        b"branch/", lambda: pair.fast.lake.tags.create(REPOSITORY, TagId("dev"), Ref("main"))
    )
    with pytest.raises(Conflict):
        pair.slow.branch("dev")


def test_a_copy_from_a_tag_that_took_the_place_of_a_branch_is_made(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    pair.fast.commit()
    pair.slow.branch("dev")
    assert pair.slow.find("a", ref="dev") == b"1"
    pair.fast.lake.branches.delete(REPOSITORY, DEV)
    pair.fast.lake.tags.create(REPOSITORY, TagId("dev"), Ref("main"))
    lake = pair.slow.lake
    source = lake.resolve.resolve(REPOSITORY, Ref("dev"))
    target = lake.objects.writable(REPOSITORY, MAIN)
    lake.writer.submit(lake.objects.making_copy(target, Path("b"), source, Path("a")))
    assert pair.fast.find("b") == b"1"


def test_a_read_of_a_branch_made_again_meanwhile_sees_its_staging(pair: Pair) -> None:
    pair.slow.branch("dev")
    pair.slow.put("a", b"1", branch="dev")
    assert pair.slow.find("a", ref="dev") == b"1"
    pair.fast.lake.branches.delete(REPOSITORY, DEV)

    def make_again() -> None:
        pair.fast.branch("dev")
        pair.fast.put("a", b"2", branch="dev")

    # Behind the read that finds the branch gone, before the one that asks what the name is now.
    hooks(pair.slow).after_read(b"branch/", make_again)
    assert pair.slow.find("a", ref="dev") == b"2"


def test_a_late_answer_of_a_former_repository_does_not_refuse_a_put(opened: TestLake) -> None:
    lake = opened.lake
    former = lake.states.fresh(REPOSITORY, MAIN)
    lake.repositories.delete(REPOSITORY)
    lake.repositories.create(REPOSITORY, Namespace("s3://data/next"), committer="tests")
    target = lake.objects.writable(REPOSITORY, MAIN)
    body = lake.bodies.open(target.repository)
    body.write(b"1")
    # A thread that was about to remember what it had written to the former one.
    lake.states.keep(former)
    make = lake.objects.making_put(target, Path("a"), body, content_type="text/plain")
    lake.writer.submit(make)
    assert opened.find("a") == b"1"


# Staging that is large


def test_a_commit_of_many_rows_in_many_tokens_takes_the_newest_of_each(opened: TestLake) -> None:
    stat = opened.put("model")
    row = opened.kv.read([keyspace.staged(record_of(opened).token, "model")]).values[0]
    assert row is not None
    assert decode_entry(row.value) == stat.entry
    for first in (0, 2_000, 4_000):
        token = record_of(opened).token
        names = [f"row/{number:05}" for number in range(first, first + 4_000)]
        write(opened, [put(keyspace.staged(token, name), row.value) for name in names])
        opened.delete(f"row/{first:05}")
        opened.lake.staging.seal(REPOSITORY, MAIN)
    opened.commit()
    expected = {f"row/{number:05}" for number in range(8_000)} - {
        "row/00000",
        "row/02000",
        "row/04000",
    }
    assert opened.paths() == ["model", *sorted(expected)]


# 3.5: what is no source of imports, and nothing else


def test_a_bucket_whose_name_begins_a_repositorys_is_imported(opened: TestLake) -> None:
    lake = opened.lake
    for bucket in ("raw", "rawer"):
        conditions, writes = lake.blocks.bucket_creation(bucket)
        opened.kv.apply([Request(conditions, writes)])
    lake.repositories.create(OTHER, Namespace("s3://rawer/plants"), committer="tests")
    source = ImportSource(SourceKind.COMMON_PREFIX, "s3://raw", "")
    import_id = lake.imports.start(REPOSITORY, MAIN, [source], message="import", committer="tests")
    assert import_id
