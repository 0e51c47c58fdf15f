"""Commits, branches, diffs and merges on one small repository."""

from collections.abc import Iterator

import pytest

from anabranch.kernel.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, Kind, NotFound
from anabranch.kernel.ids import BranchId, Namespace, Path, Ref
from anabranch.lake import Lake
from anabranch.lake.values import MergeConflict
from tests.support.builders import MAIN, REPO, LakeKit, lake_kit


@pytest.fixture
def kit() -> Iterator[LakeKit]:
    with lake_kit() as made:
        yield made


class TestStagingAndCommit:
    def test_a_write_is_seen_before_and_after_its_commit(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        assert kit.read("a") == b"1"
        assert kit.uncommitted() == [("added", "a")]
        kit.commit()
        assert kit.read("a") == b"1"
        assert kit.uncommitted() == []
        assert kit.paths() == ["a"]

    def test_a_commit_of_nothing_is_refused(self, kit: LakeKit) -> None:
        with pytest.raises(Conflict) as caught:
            kit.commit()
        assert caught.value.kind is Kind.NO_CHANGES

    def test_equal_bytes_written_again_are_no_change(self, kit: LakeKit) -> None:
        first = kit.put("a", b"1")
        kit.commit()
        second = kit.put("a", b"1")
        assert first.physical_address != second.physical_address
        assert kit.uncommitted() == []
        with pytest.raises(Conflict) as caught:
            kit.commit()
        assert caught.value.kind is Kind.NO_CHANGES
        kit.put("b", b"2")
        kit.commit()
        resolved = kit.lake.resolve.resolve(REPO, Ref("main@"))
        found = kit.lake.objects.stat(resolved, Path("a"))
        assert found.physical_address == second.physical_address

    def test_a_delete_hides_staged_and_committed_objects(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        kit.commit()
        kit.put("b", b"2")
        kit.delete("a")
        kit.delete("b")
        kit.delete("never")
        assert kit.paths() == []
        assert kit.uncommitted() == [("removed", "a")]
        kit.commit()
        assert kit.read("a") is None
        assert kit.read("a", "main~1") == b"1"

    def test_a_head_without_staging_and_staging_without_head(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        kit.commit()
        kit.put("b", b"2")
        assert kit.paths("main") == ["a", "b"]
        assert kit.paths("main@") == ["a"]
        assert kit.paths("main$") == ["b"]

    def test_a_name_that_belongs_to_another_repository_by_now_takes_writes(
        self, kit: LakeKit
    ) -> None:
        kit.put("a", b"1")
        other = Lake(kit.kv, kit.blocks, kit.writer, clock=kit.clock, ids=kit.ids)
        other.repositories.delete(REPO)
        other.repositories.create(REPO, Namespace("s3://elsewhere"), committer="tester")
        other.close()
        assert kit.put("b", b"2").physical_address.startswith("s3://elsewhere/")
        assert kit.paths() == ["b"]


class TestListing:
    def test_pages_go_on_across_staging_and_head(self, kit: LakeKit) -> None:
        for number in range(0, 20, 2):
            kit.put(f"d{number:02}", b"x")
        kit.commit()
        for number in range(1, 20, 2):
            kit.put(f"d{number:02}", b"x")
        kit.delete("d04")
        assert kit.paths() == [f"d{number:02}" for number in range(20) if number != 4]

    def test_common_prefixes_stand_for_live_objects_only(self, kit: LakeKit) -> None:
        for path in ("a/1", "a/2", "b", "c/d/1", "c/e", "z/1"):
            kit.put(path, b"x")
        kit.commit()
        kit.delete("a/1")
        kit.delete("a/2")
        kit.put("y/new", b"x")
        assert kit.paths(delimiter="/") == ["b", "c/", "y/", "z/"]
        assert kit.paths(prefix="c/", delimiter="/") == ["c/d/", "c/e"]
        assert kit.paths(prefix="c", delimiter="/") == ["c/"]
        assert kit.paths(prefix="c/") == ["c/d/1", "c/e"]

    def test_after_a_path_inside_a_prefix_the_prefix_shows_what_follows(self, kit: LakeKit) -> None:
        for path in ("a/1", "a/2", "b"):
            kit.put(path, b"x")
        resolved = kit.lake.resolve.resolve(REPO, Ref("main"))
        page = kit.lake.listing.page(resolved, after="a/1", amount=10, delimiter="/")
        assert [item.path for item in page.items] == ["a/", "b"]
        page = kit.lake.listing.page(resolved, after="a/", amount=10, delimiter="/")
        assert [item.path for item in page.items] == ["b"]


class TestBranches:
    def test_a_branch_starts_at_the_head_without_staging(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        kit.commit()
        kit.put("b", b"2")
        kit.branch("dev")
        assert kit.paths("dev") == ["a"]
        kit.put("c", b"3", branch="dev")
        assert kit.paths("main") == ["a", "b"]

    def test_a_name_is_taken_once_and_the_default_branch_stays(self, kit: LakeKit) -> None:
        kit.branch("dev")
        with pytest.raises(AlreadyExists):
            kit.branch("dev")
        with pytest.raises(Forbidden):
            kit.lake.branches.delete(REPO, MAIN)
        kit.lake.branches.delete(REPO, BranchId("dev"))
        with pytest.raises(NotFound):
            kit.lake.branches.get(REPO, BranchId("dev"))

    def test_a_branch_made_again_has_no_staging_of_the_old_one(self, kit: LakeKit) -> None:
        kit.branch("dev")
        kit.put("a", b"1", branch="dev")
        kit.lake.branches.delete(REPO, BranchId("dev"))
        kit.branch("dev")
        assert kit.paths("dev") == []

    def test_resets_forget_everything_a_prefix_or_a_path(self, kit: LakeKit) -> None:
        kit.put("p/1", b"old")
        kit.commit()
        for path in ("p/1", "p/2", "q/1", "q/2"):
            kit.put(path, b"new")
        kit.lake.branches.reset_path(REPO, MAIN, Path("q/1"))
        assert kit.paths() == ["p/1", "p/2", "q/2"]
        kit.lake.branches.reset_prefix(REPO, MAIN, "p/")
        assert kit.paths() == ["p/1", "q/2"]
        assert kit.read("p/1") == b"old"
        kit.lake.branches.reset(REPO, MAIN)
        assert kit.paths() == ["p/1"]
        with pytest.raises(NotFound):
            kit.lake.branches.reset_path(REPO, MAIN, Path("q/1"))

    def test_a_hard_reset_moves_a_clean_branch(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        first = kit.commit()
        kit.put("b", b"2")
        kit.commit()
        kit.put("c", b"3")
        with pytest.raises(Conflict) as caught:
            kit.lake.branches.hard_reset(REPO, MAIN, Ref(first))
        assert caught.value.kind is Kind.DIRTY_BRANCH
        kit.lake.branches.reset(REPO, MAIN)
        kit.lake.branches.hard_reset(REPO, MAIN, Ref(first))
        assert kit.paths() == ["a"]
        assert kit.lake.branches.get(REPO, MAIN).head == first


class TestMerge:
    def test_a_merge_brings_both_sides_together(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        kit.commit()
        kit.branch("dev")
        kit.put("b", b"2", branch="dev")
        kit.delete("a", branch="dev")
        kit.commit("dev")
        kit.put("c", b"3")
        kit.commit()
        merged = kit.merge("dev")
        assert kit.paths() == ["b", "c"]
        commit = kit.lake.commits.of(REPO, Ref(merged))
        assert len(commit.parents) == 2
        with pytest.raises(Conflict) as caught:
            kit.merge("dev")
        assert caught.value.kind is Kind.NO_CHANGES

    def test_all_conflicts_are_listed_and_strategies_decide(self, kit: LakeKit) -> None:
        for path in ("a", "b", "c", "d"):
            kit.put(path, b"0")
        kit.commit()
        kit.branch("dev")
        for path in ("a", "b"):
            kit.put(path, b"dev", branch="dev")
        kit.delete("c", branch="dev")
        kit.put("new", b"dev", branch="dev")
        kit.commit("dev")
        for path in ("a", "c", "new"):
            kit.put(path, b"main")
        kit.delete("b")
        kit.commit()
        expected = [
            MergeConflict("a", "both_changed"),
            MergeConflict("b", "dest_removed"),
            MergeConflict("c", "source_removed"),
            MergeConflict("new", "both_added"),
        ]
        with pytest.raises(Conflict) as caught:
            kit.merge("dev")
        page = caught.value.details["conflicts"]
        assert list(page.items) == expected  # type: ignore[attr-defined]  # a page
        found = kit.lake.merges.conflicts(REPO, Ref("dev"), Ref("main"), after="a", amount=2)
        assert list(found.items) == expected[1:3]
        assert found.next_after == "c"
        kit.branch("other")
        kit.merge("dev", "other", strategy="dest-wins")
        assert kit.read("a", "other") == b"main"
        assert kit.paths("other") == ["a", "c", "d", "new"]
        kit.merge("dev", "main", strategy="source-wins")
        assert kit.read("a") == b"dev"
        assert kit.paths() == ["a", "b", "d", "new"]

    def test_a_dirty_destination_is_refused_by_identity(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        kit.commit()
        kit.branch("dev")
        kit.put("b", b"2", branch="dev")
        kit.commit("dev")
        kit.put("c", b"3")
        with pytest.raises(Conflict) as caught:
            kit.merge("dev")
        assert caught.value.kind is Kind.DIRTY_BRANCH
        assert kit.paths() == ["a", "c"]
        kit.lake.branches.reset(REPO, MAIN)
        kit.put("a", b"1")  # equal content: staged, and not a change
        kit.merge("dev")
        assert kit.paths() == ["a", "b"]
        assert kit.paths("main$") == []

    def test_a_squash_has_one_parent(self, kit: LakeKit) -> None:
        kit.branch("dev")
        kit.put("b", b"2", branch="dev")
        kit.commit("dev")
        merged = kit.merge("dev", is_squash=True, message="all of dev")
        commit = kit.lake.commits.of(REPO, Ref(merged))
        assert len(commit.parents) == 1
        assert commit.message == "all of dev"

    def test_cherry_pick_and_revert_repeat_and_undo_one_commit(self, kit: LakeKit) -> None:
        kit.branch("dev")
        kit.put("a", b"1", branch="dev")
        kit.commit("dev", "first")
        kit.put("b", b"2", branch="dev")
        picked = kit.commit("dev", "second")
        copy = kit.lake.merges.cherry_pick(REPO, MAIN, Ref(picked), committer="other")
        assert kit.paths() == ["b"]
        assert (copy.message, copy.committer) == ("second", "tester")
        assert dict(copy.metadata)["cherry-pick-origin"] == picked
        kit.lake.merges.revert(REPO, BranchId("dev"), Ref("dev~1"), committer="other")
        assert kit.paths("dev") == ["b"]
        kit.merge("dev", allow_empty=True)
        with pytest.raises(InvalidInput):
            kit.lake.merges.revert(REPO, MAIN, Ref("main"), committer="other")

    def test_the_root_commit_cannot_be_reverted(self, kit: LakeKit) -> None:
        with pytest.raises(InvalidInput) as caught:
            kit.lake.merges.revert(REPO, MAIN, Ref("main"), committer="other")
        assert caught.value.kind is Kind.PARENT_NUMBER


class TestDiff:
    def test_two_dots_compare_and_three_dots_show_the_right_side_alone(self, kit: LakeKit) -> None:
        kit.put("a", b"1")
        kit.commit()
        kit.branch("dev")
        kit.put("b", b"2", branch="dev")
        kit.put("x/1", b"2", branch="dev")
        kit.commit("dev")
        kit.put("c", b"3")
        kit.put("a", b"4")
        kit.commit()
        assert kit.diff("main", "dev") == [("added", "b"), ("added", "x/1")]
        assert kit.diff("main", "dev", is_three_dot=False) == [
            ("changed", "a"),
            ("added", "b"),
            ("removed", "c"),
            ("added", "x/1"),
        ]
        assert kit.diff("main", "dev", delimiter="/")[1] == ("prefix_changed", "x/")
        assert kit.diff("main", "dev", prefix="x/") == [("added", "x/1")]
        assert kit.diff("main", "dev", after="b") == [("added", "x/1")]

    def test_uncommitted_changes_roll_up_under_prefixes(self, kit: LakeKit) -> None:
        kit.put("a/1", b"1")
        kit.put("a/2", b"1")
        kit.commit()
        kit.delete("a/1")
        kit.put("a/2", b"2")
        kit.put("b", b"3")
        assert kit.uncommitted() == [("removed", "a/1"), ("changed", "a/2"), ("added", "b")]
        assert kit.uncommitted(delimiter="/") == [("prefix_changed", "a/"), ("added", "b")]
        assert kit.uncommitted(prefix="a/", delimiter="/") == [
            ("removed", "a/1"),
            ("changed", "a/2"),
        ]


class TestLog:
    def test_the_log_is_filtered_and_paged(self, kit: LakeKit) -> None:
        kit.put("a/1", b"1")
        one = kit.commit(message="one")
        kit.put("b/1", b"1")
        two = kit.commit(message="two")
        kit.put("a/2", b"1")
        three = kit.commit(message="three")

        def log(**options: object) -> list[str]:
            page = kit.lake.commits.log(REPO, Ref("main"), amount=100, **options)  # type: ignore[arg-type]  # options of log
            return [commit.id for commit in page.items]

        assert log()[:3] == [three, two, one]
        assert log(prefixes=["a/"]) == [three, one]
        assert log(objects=[Path("b/1")]) == [two]
        assert log(stop_at=Ref(two)) == [three, two]
        assert log(after=three)[0] == two
        first = kit.lake.commits.log(REPO, Ref("main"), amount=2)
        assert [commit.id for commit in first.items] == [three, two]
        assert first.next_after == two
        assert kit.lake.commits.log(REPO, Ref("main"), amount=2, is_limited=True).next_after is None
