"""What happens when one use case runs in the middle of another: docs/protocol.md 1, 2 and 4.

`slow` is a process that stops at a chosen step, `fast` is another one that runs meanwhile.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Gone, Kind, NotFound, PreconditionFailed
from anabranch.kernel.ids import BranchId, Path, Ref, TagId
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import keyspace, records
from anabranch.storage.kv.base import Request, put, scan_prefix
from tests.support.hooks import HookedKV, hooks
from tests.support.lakes import MAIN, REPOSITORY, TestLake, open_beside, open_lake

DEV = BranchId("dev")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two processes over one store."""

    fast: TestLake
    slow: TestLake

    def between(self, touching: bytes, action: object, *, skip: int = 0) -> None:
        """Let `fast` do something before `slow` writes such a key."""
        assert callable(action)
        hooks(self.slow).before_apply(touching, action, skip=skip)

    @property
    def branch_key(self) -> bytes:
        """Return the key of the main branch's record."""
        return keyspace.branch(self.fast.repository.incarnation, MAIN)

    def seals(self) -> int:
        """Return how many sealed tokens the main branch has."""
        return len(self.fast.lake.states.fresh(REPOSITORY, MAIN).record.sealed)

    def seal(self) -> None:
        """Seal the main branch's token."""
        self.fast.lake.staging.seal(REPOSITORY, MAIN)

    def sweep(self) -> None:
        """Delete the rows of dropped tokens, after their hour."""
        self.fast.clock.advance(limits.DROPPED_TOKEN_GRACE_S + 60)
        lake = self.fast.lake
        while lake.staging.sweep_dropped(now_us=lake.kv.now_us()):
            pass


@pytest.fixture
def pair() -> Iterator[Pair]:
    with open_lake() as fast, open_beside(fast, wrap=HookedKV) as slow:
        yield Pair(fast, slow)
        assert hooks(slow).is_done


# Writes against seals, commits and branches that went


def test_a_put_that_meets_a_seal_lands_in_the_new_token(pair: Pair) -> None:
    pair.slow.put("old")
    pair.between(b"staging/", pair.fast.commit)
    pair.slow.put("a", b"1")
    assert pair.fast.find("a") == b"1"
    assert pair.fast.find("a", ref="main@") is None


def test_a_put_to_a_branch_made_again_goes_to_the_new_one(pair: Pair) -> None:
    pair.fast.branch("dev")
    pair.slow.put("old", branch="dev")

    def make_again() -> None:
        pair.fast.lake.branches.delete(REPOSITORY, DEV)
        pair.fast.branch("dev")

    pair.between(b"staging/", make_again)
    pair.slow.put("a", b"1", branch="dev")
    assert pair.fast.paths(ref="dev") == ["a"]


def test_a_put_to_a_branch_deleted_meanwhile_is_not_found(pair: Pair) -> None:
    pair.fast.branch("dev")
    pair.slow.put("old", branch="dev")
    pair.between(b"staging/", lambda: pair.fast.lake.branches.delete(REPOSITORY, DEV))
    with pytest.raises(NotFound) as caught:
        pair.slow.put("a", branch="dev")
    assert caught.value.kind is Kind.BRANCH_NOT_FOUND


def test_a_conditional_put_judges_the_state_it_lands_on(pair: Pair) -> None:
    pair.slow.put("other")
    pair.between(b"staging/", lambda: pair.fast.put("a", b"first"))
    with pytest.raises(PreconditionFailed):
        pair.slow.put("a", b"second", precondition=Precondition(if_none_match=("*",)))
    assert pair.fast.find("a") == b"first"


def test_a_conditional_put_sees_a_row_committed_meanwhile(pair: Pair) -> None:
    pair.slow.put("other")

    def commit() -> None:
        pair.fast.put("a", b"first")
        pair.fast.commit()

    pair.between(b"staging/", commit)
    with pytest.raises(PreconditionFailed):
        pair.slow.put("a", b"second", precondition=Precondition(if_none_match=("*",)))
    assert pair.fast.find("a") == b"first"


def test_a_delete_that_meets_a_commit_hides_the_committed_row(pair: Pair) -> None:
    pair.slow.put("a")
    pair.between(b"staging/", pair.fast.commit)
    pair.slow.delete("a")
    assert pair.fast.find("a") is None
    assert pair.fast.find("a", ref="main@") == b"x"
    pair.fast.commit()
    assert pair.fast.paths() == []


def test_a_delete_hides_a_row_sealed_below_it(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    pair.seal()
    pair.fast.put("a", b"2")
    pair.fast.delete("a")
    assert pair.fast.find("a") is None
    assert pair.fast.paths() == []


def test_a_delete_of_nothing_over_a_sealed_tombstone_keeps_it_hidden(pair: Pair) -> None:
    pair.fast.put("a")
    pair.fast.commit()
    pair.fast.delete("a")
    pair.seal()
    pair.fast.put("a", b"again")
    pair.fast.delete("a")
    assert pair.fast.find("a") is None
    with pytest.raises(Conflict):
        pair.fast.merge("main~1")
    pair.fast.commit()
    assert pair.fast.paths() == []


# Readers


def test_a_reader_with_an_old_cache_misses_nothing_after_commits_and_sweeps(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    assert pair.slow.find("a") == b"1"
    pair.fast.commit()
    pair.fast.put("b")
    pair.fast.commit()
    pair.sweep()
    assert pair.slow.find("a") == b"1"
    assert pair.slow.paths() == ["a", "b"]


@pytest.mark.parametrize("skip", [0, 1])
def test_a_commit_and_a_sweep_around_a_read_never_hide_an_object(pair: Pair, skip: int) -> None:
    pair.fast.put("a", b"1")
    assert pair.slow.find("a") == b"1"

    def commit_and_sweep() -> None:
        pair.fast.commit(allow_empty=True)
        pair.sweep()

    hooks(pair.slow).before_read(b"staging/", commit_and_sweep)
    hooks(pair.slow).after_read(b"repository/", commit_and_sweep, skip=skip)
    assert pair.slow.find("a") == b"1"
    pair.slow.find("a")


def test_a_listing_of_a_branch_is_exact_for_each_page_while_commits_run(pair: Pair) -> None:
    for number in range(6):
        pair.fast.put(f"{number}")
    resolved = pair.slow.lake.resolve.resolve(REPOSITORY, Ref("main"))
    first = pair.slow.lake.listing.page(resolved, amount=3)
    pair.fast.commit()
    pair.fast.put("4", b"new")
    pair.sweep()
    second = pair.slow.lake.listing.page(resolved, after=first.next_after or "", amount=3)
    assert [item.path for item in (*first.items, *second.items)] == list("012345")


def test_a_listing_that_began_at_a_commit_does_not_change(pair: Pair) -> None:
    for number in range(4):
        pair.fast.put(f"{number}")
    commit = pair.fast.commit()
    resolved = pair.slow.lake.resolve.resolve(REPOSITORY, Ref(commit.id))
    first = pair.slow.lake.listing.page(resolved, amount=2)
    pair.fast.delete("2", "3")
    pair.fast.commit()
    pair.sweep()
    second = pair.slow.lake.listing.page(resolved, after=first.next_after or "", amount=2)
    assert [item.path for item in second.items] == ["2", "3"]


def test_a_common_prefix_stands_for_a_live_key(pair: Pair) -> None:
    for number in range(700):
        pair.fast.put(f"gone/{number:04d}")
    pair.fast.put("z/last")
    pair.fast.commit()
    for start in range(0, 700, 350):
        pair.fast.delete(*[f"gone/{number:04d}" for number in range(start, start + 350)])
    resolved = pair.fast.lake.resolve.resolve(REPOSITORY, Ref("main"))
    page = pair.fast.lake.listing.page(resolved, amount=2, delimiter="/")
    assert ([item.path for item in page.items], page.next_after) == (["z/"], None)
    plain = pair.fast.lake.listing.page(resolved, amount=1)
    assert ([item.path for item in plain.items], plain.next_after) == (["z/last"], None)


# Commits


def test_a_put_between_seal_and_publish_stays_uncommitted(pair: Pair) -> None:
    pair.fast.put("a")
    pair.between(b"commit/", lambda: pair.fast.put("b"))
    pair.slow.commit()
    assert pair.fast.paths() == ["a", "b"]
    assert pair.fast.paths(ref="main@") == ["a"]


def test_a_put_over_a_row_being_committed_lies_on_top(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    pair.between(b"commit/", lambda: pair.fast.put("a", b"2"))
    pair.slow.commit()
    assert (pair.fast.find("a"), pair.fast.find("a", ref="main@")) == (b"2", b"1")


def test_of_two_commits_at_once_one_finds_no_changes(pair: Pair) -> None:
    pair.fast.put("a")
    pair.between(b"commit/", pair.fast.commit)
    with pytest.raises(Conflict) as caught:
        pair.slow.commit()
    assert caught.value.kind is Kind.NO_CHANGES
    assert pair.fast.paths(ref="main@") == ["a"]


def test_a_commit_rebuilt_after_another_takes_the_rest(pair: Pair) -> None:
    pair.fast.put("a")

    def put_and_commit() -> None:
        pair.fast.put("b")
        pair.fast.commit("inner")
        pair.fast.put("c")
        pair.seal()

    pair.between(b"commit/", put_and_commit)
    pair.slow.commit("outer")
    assert pair.fast.paths(ref="main@") == ["a", "b", "c"]
    log = pair.fast.lake.commits.log(REPOSITORY, Ref("main"), amount=3).items
    assert [one.message for one in log] == ["outer", "inner", "Repository created"]


def test_a_merge_published_during_a_commit_is_kept(pair: Pair) -> None:
    pair.fast.branch("dev")
    pair.fast.put("dev", branch="dev")
    pair.fast.commit(branch="dev")
    pair.fast.put("a")
    # The row sealed by the commit makes the branch dirty: nothing may be merged over it.
    refused: list[str] = []

    def merge() -> None:
        try:
            pair.fast.merge("dev")
        except Conflict as error:
            refused.append(error.kind)

    pair.between(b"commit/", merge)
    pair.slow.commit()
    assert refused == [Kind.DIRTY_BRANCH]
    pair.fast.merge("dev")
    assert pair.fast.paths(ref="main@") == ["a", "dev"]


def test_a_reset_of_all_during_a_commit_leaves_nothing_to_commit(pair: Pair) -> None:
    pair.fast.put("a")
    pair.between(b"commit/", lambda: pair.fast.lake.branches.reset(REPOSITORY, MAIN))
    with pytest.raises(Conflict) as caught:
        pair.slow.commit()
    assert caught.value.kind is Kind.NO_CHANGES
    assert pair.fast.paths() == []


def test_a_reset_of_a_prefix_during_a_commit_is_honoured(pair: Pair) -> None:
    pair.fast.put("keep/a")
    pair.fast.put("drop/a")
    pair.between(
        b"commit/", lambda: pair.fast.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    )
    pair.slow.commit()
    assert pair.fast.paths(ref="main@") == ["keep/a"]
    assert pair.fast.paths() == ["keep/a"]


def test_a_commit_to_a_branch_deleted_meanwhile_is_not_found(pair: Pair) -> None:
    pair.fast.branch("dev")
    pair.fast.put("a", branch="dev")
    pair.between(b"commit/", lambda: pair.fast.lake.branches.delete(REPOSITORY, DEV))
    with pytest.raises(NotFound):
        pair.slow.commit(branch="dev")


def test_a_commit_gives_up_after_ten_rebuilds(pair: Pair) -> None:
    pair.fast.put("a")
    for number in range(limits.COMMIT_REBUILDS_MAX):

        def move(number: int = number) -> None:
            pair.fast.put(f"{number}")
            pair.fast.commit()
            pair.fast.put("a", b"%d" % number)
            pair.seal()

        pair.between(b"commit/", move)
    with pytest.raises(Conflict) as caught:
        pair.slow.commit()
    assert caught.value.kind is Kind.RETRIES_EXHAUSTED
    pair.fast.commit()


def test_nine_rebuilds_are_not_too_many(pair: Pair) -> None:
    pair.fast.put("a")
    for number in range(limits.COMMIT_REBUILDS_MAX - 1):

        def move(number: int = number) -> None:
            pair.fast.put(f"{number}")
            pair.fast.commit()
            pair.fast.put("a", b"%d" % number)
            pair.seal()

        pair.between(b"commit/", move)
    pair.slow.commit()
    assert len(pair.fast.paths(ref="main@")) == limits.COMMIT_REBUILDS_MAX


def test_rows_that_only_look_new_are_taken_with_others_and_are_no_change_alone(
    pair: Pair,
) -> None:
    first = pair.fast.put("_SUCCESS", b"")
    pair.fast.put("a", b"1")
    pair.fast.commit()
    again = pair.fast.put("_SUCCESS", b"")
    assert again.physical_address != first.physical_address
    assert pair.fast.lake.diffs.uncommitted(REPOSITORY, MAIN, amount=9).items == ()
    with pytest.raises(Conflict) as caught:
        pair.fast.commit()
    assert caught.value.kind is Kind.NO_CHANGES
    pair.fast.put("a", b"2")
    pair.fast.commit()
    resolved = pair.fast.lake.resolve.resolve(REPOSITORY, Ref("main@"))
    stat = pair.fast.lake.objects.stat(resolved, Path("_SUCCESS"))
    assert stat.physical_address == again.physical_address


# Sealed tokens


def test_sealed_tokens_are_folded_and_nothing_is_lost(pair: Pair) -> None:
    pair.fast.put("gone")
    pair.fast.put("kept", b"0")
    pair.fast.commit()
    pair.fast.delete("gone")
    for number in range(12):
        pair.fast.put(f"{number:02d}", b"%d" % number)
        pair.fast.put("same", b"%d" % number)
        pair.seal()
        assert pair.seals() <= limits.SEALED_FOLD_AT + 1
        assert pair.fast.find("same") == b"%d" % number
        assert pair.fast.find("gone") is None
    pair.sweep()
    expected = [f"{number:02d}" for number in range(12)] + ["kept", "same"]
    assert pair.fast.paths() == expected
    pair.fast.commit()
    assert pair.seals() == 0
    assert pair.fast.paths(ref="main@") == expected


def test_a_put_during_a_fold_is_not_lost(pair: Pair) -> None:
    for number in range(limits.SEALED_FOLD_AT):
        pair.fast.put(f"{number}")
        pair.seal()
    pair.fast.put("x")
    pair.between(b"branch/", lambda: pair.fast.put("y"))
    pair.slow.lake.staging.seal(REPOSITORY, MAIN)
    assert pair.fast.paths() == ["0", "1", "2", "3", "x", "y"]


def test_a_commit_that_built_on_tokens_folded_meanwhile_is_built_again(pair: Pair) -> None:
    for number in range(limits.SEALED_FOLD_AT):
        pair.fast.put(f"{number}")
        pair.seal()

    def put_and_seal() -> None:
        pair.fast.put("x")
        pair.seal()
        pair.fast.put("y")
        pair.seal()

    pair.between(b"commit/", put_and_seal)
    pair.slow.commit()
    pair.sweep()
    assert pair.fast.paths() == ["0", "1", "2", "3", "x", "y"]
    with pytest.raises(Conflict):
        pair.fast.commit()


# Resets


def test_a_put_elsewhere_during_a_reset_of_a_prefix_is_not_lost(pair: Pair) -> None:
    pair.fast.put("drop/a")
    pair.fast.put("keep/a")
    pair.between(b"branch/", lambda: pair.fast.put("keep/b"), skip=1)
    pair.slow.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    assert pair.fast.paths() == ["keep/a", "keep/b"]


def test_a_put_under_the_prefix_during_its_reset_stays(pair: Pair) -> None:
    pair.fast.put("drop/a", b"old")
    pair.between(b"branch/", lambda: pair.fast.put("drop/a", b"new"), skip=1)
    pair.slow.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    assert pair.fast.find("drop/a") == b"new"


def test_a_put_before_the_seal_of_a_reset_goes_with_it(pair: Pair) -> None:
    pair.fast.put("drop/a")
    pair.between(b"branch/", lambda: pair.fast.put("drop/b"))
    pair.slow.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    assert pair.fast.paths() == []


def test_a_commit_during_a_reset_wins_or_loses_whole(pair: Pair) -> None:
    pair.fast.put("drop/a")
    pair.fast.put("keep/a")
    pair.between(b"branch/", pair.fast.commit, skip=1)
    pair.slow.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    assert pair.fast.paths() == ["drop/a", "keep/a"]
    assert pair.fast.paths(ref="main@") == ["drop/a", "keep/a"]


def test_a_reset_shows_again_what_a_delete_hid(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    pair.fast.commit()
    pair.fast.delete("a")
    pair.fast.lake.branches.reset_path(REPOSITORY, MAIN, Path("a"))
    assert pair.fast.find("a") == b"1"


def test_a_reset_that_took_longer_than_the_sweeps_grace_never_points_to_swept_rows(
    pair: Pair,
) -> None:
    pair.fast.put("drop/a")
    pair.fast.put("keep/a")
    pair.between(b"branch/", pair.sweep, skip=1)
    pair.slow.lake.branches.reset_prefix(REPOSITORY, MAIN, "drop/")
    assert pair.fast.paths() == ["keep/a"]
    pair.sweep()
    assert pair.fast.paths() == ["keep/a"]


def test_a_put_before_a_hard_reset_refuses_it_and_stays(pair: Pair) -> None:
    pair.fast.put("a")
    pair.fast.commit()
    pair.between(b"branch/", lambda: pair.fast.put("b"))
    pair.slow.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("main~1"))
    assert pair.fast.find("b") == b"x", "what was acknowledged is not lost"
    with pytest.raises(Conflict) as caught:
        pair.slow.lake.branches.hard_reset(REPOSITORY, MAIN, Ref("main"))
    assert caught.value.kind is Kind.DIRTY_BRANCH


# Merges


@pytest.fixture
def with_dev(pair: Pair) -> Pair:
    pair.fast.put("base")
    pair.fast.commit()
    pair.fast.branch("dev")
    pair.fast.put("dev", b"dev", branch="dev")
    pair.fast.commit(branch="dev")
    return pair


def test_a_put_during_a_merge_lies_on_top(with_dev: Pair) -> None:
    with_dev.between(b"commit/", lambda: with_dev.fast.put("dev", b"mine"))
    with_dev.slow.merge("dev")
    assert with_dev.fast.find("dev") == b"mine"
    assert with_dev.fast.find("dev", ref="main@") == b"dev"


def test_a_commit_during_a_merge_is_merged_with(with_dev: Pair) -> None:
    def commit() -> None:
        with_dev.fast.put("mine")
        with_dev.fast.commit()

    with_dev.between(b"commit/", commit)
    with_dev.slow.merge("dev")
    assert with_dev.fast.paths(ref="main@") == ["base", "dev", "mine"]


def test_a_rebuilt_merge_judges_what_was_sealed_meanwhile(with_dev: Pair) -> None:
    def commit_and_seal() -> None:
        with_dev.fast.put("mine")
        with_dev.fast.commit()
        with_dev.fast.put("uncommitted")
        with_dev.seal()

    with_dev.between(b"commit/", commit_and_seal)
    with pytest.raises(Conflict) as caught:
        with_dev.slow.merge("dev")
    assert caught.value.kind is Kind.DIRTY_BRANCH
    assert with_dev.fast.paths() == ["base", "mine", "uncommitted"]


def test_only_a_seal_during_a_merge_does_not_refuse_it(with_dev: Pair) -> None:
    def put_and_seal() -> None:
        with_dev.fast.put("later")
        with_dev.seal()

    with_dev.between(b"commit/", put_and_seal)
    with_dev.slow.merge("dev")
    assert with_dev.fast.paths() == ["base", "dev", "later"]
    assert with_dev.fast.paths(ref="main@") == ["base", "dev"]


def test_rows_equal_to_the_head_leave_with_a_merge(with_dev: Pair) -> None:
    with_dev.fast.put("base")
    with_dev.fast.put("base", b"other", branch="dev")
    with_dev.fast.commit(branch="dev")
    with_dev.slow.merge("dev")
    assert with_dev.fast.find("base") == b"other", "the equal row would shadow it"


def test_a_tombstone_of_nothing_does_not_refuse_a_merge(with_dev: Pair) -> None:
    with_dev.fast.put("x")
    with_dev.seal()
    with_dev.fast.delete("x")
    with_dev.slow.merge("dev")
    assert with_dev.fast.paths() == ["base", "dev"]


def test_a_merge_whose_source_moves_meanwhile_takes_what_it_read(with_dev: Pair) -> None:
    def more() -> None:
        with_dev.fast.put("more", branch="dev")
        with_dev.fast.commit(branch="dev")

    with_dev.between(b"commit/", more)
    with_dev.slow.merge("dev")
    assert with_dev.fast.paths() == ["base", "dev"]
    with_dev.fast.merge("dev")
    assert with_dev.fast.paths() == ["base", "dev", "more"]


def test_of_the_same_merge_twice_at_once_one_finds_no_changes(with_dev: Pair) -> None:
    with_dev.between(b"commit/", lambda: with_dev.fast.merge("dev"))
    with pytest.raises(Conflict) as caught:
        with_dev.slow.merge("dev")
    assert caught.value.kind is Kind.NO_CHANGES


# Copies


def copy(opened: TestLake, source: str, dest: str, *, branch: str = "main") -> None:
    target = opened.lake.objects.writable(REPOSITORY, BranchId(branch))
    resolved = opened.lake.resolve.resolve(REPOSITORY, Ref("main"))
    make = opened.lake.objects.making_copy(target, Path(dest), resolved, Path(source))
    opened.lake.writer.submit(make)


def test_a_copy_takes_what_its_source_is_when_it_lands(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    pair.between(b"staging/", lambda: pair.fast.put("a", b"2"))
    copy(pair.slow, "a", "b")
    assert pair.fast.find("b") == b"2"


def test_a_copy_of_what_was_deleted_meanwhile_is_not_found(pair: Pair) -> None:
    pair.fast.put("a", b"1")
    pair.between(b"staging/", lambda: pair.fast.delete("a"))
    with pytest.raises(NotFound):
        copy(pair.slow, "a", "b")


def test_a_copy_whose_source_branch_moves_is_judged_again(pair: Pair) -> None:
    pair.fast.branch("dev")
    pair.fast.put("a", b"1")

    def reset() -> None:
        pair.fast.lake.branches.reset(REPOSITORY, MAIN)

    pair.between(b"staging/", reset)
    with pytest.raises(NotFound):
        copy(pair.slow, "a", "b", branch="dev")
    assert pair.fast.paths(ref="dev") == []


# Expired commits


def expire(opened: TestLake, ref: str) -> None:
    """Write that a commit's data has expired, as retention does before its first mark."""
    commit = opened.lake.resolve.commit(REPOSITORY, Ref(ref))
    key = keyspace.commit(opened.repository.incarnation, commit.id)
    value = records.encode_commit_record(commit, is_expired=True)
    opened.kv.apply([Request((), [put(key, value)])])


@pytest.mark.parametrize("is_between", [False, True])
def test_nothing_brings_back_the_data_of_an_expired_commit(pair: Pair, is_between: bool) -> None:
    pair.fast.put("a", b"old")
    pair.fast.commit()
    pair.fast.branch("old")
    pair.fast.put("a", b"new")
    pair.fast.commit()
    pair.fast.branch("dev", "main~2")
    lake = pair.slow.lake
    actions: dict[bytes, Callable[[], object]] = {
        b"branch/": lambda: pair.slow.branch("again", "old"),
        b"tag/": lambda: lake.tags.create(REPOSITORY, TagId("again"), Ref("old")),
        b"commit/": lambda: pair.slow.merge("old", "dev"),
        b"commit": lambda: lake.merges.cherry_pick(REPOSITORY, DEV, Ref("old"), committer="tests"),
        b"commi": lambda: lake.merges.revert(REPOSITORY, MAIN, Ref("main"), committer="tests"),
        b"branch": lambda: lake.branches.hard_reset(REPOSITORY, DEV, Ref("old")),
    }
    if not is_between:
        expire(pair.fast, "old")
    for touching, action in actions.items():
        if is_between:
            _unexpire(pair.fast, "old")
            pair.between(touching, lambda: expire(pair.fast, "old"))
        with pytest.raises(Gone):
            action()


def _unexpire(opened: TestLake, ref: str) -> None:
    commit = opened.lake.resolve.commit(REPOSITORY, Ref(ref))
    key = keyspace.commit(opened.repository.incarnation, commit.id)
    opened.kv.apply([Request((), [put(key, records.encode_commit_record(commit))])])


# The sweep of dropped tokens


def test_a_sweep_finds_old_tokens_among_many_fresh_ones(pair: Pair) -> None:
    for number in range(150):
        pair.fast.put("a", b"%d" % number)
        pair.fast.lake.branches.reset(REPOSITORY, MAIN)
    pair.fast.clock.advance(limits.DROPPED_TOKEN_GRACE_S + 60)
    now_us = pair.fast.kv.now_us()
    for number in range(150):
        pair.fast.put("a", b"%d" % number)
        pair.fast.lake.branches.reset(REPOSITORY, MAIN)
    while pair.fast.lake.staging.sweep_dropped(now_us=now_us):
        pass
    left = pair.fast.kv.read((), [scan_prefix(keyspace.DROPPED, limit=1_000)]).scans[0]
    assert len(left) == 150


def test_an_expired_merge_base_goes_on_working(with_dev: Pair) -> None:
    with_dev.fast.put("mine")
    with_dev.fast.commit()
    expire(with_dev.fast, "main~1")
    with_dev.fast.merge("dev")
    assert with_dev.fast.paths() == ["base", "dev", "mine"]
