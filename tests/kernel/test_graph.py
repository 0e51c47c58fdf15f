"""Ancestry: merge bases and log order against plain definitions on random histories."""

from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel.commits import Commit, new_commit
from anabranch.kernel.graph import is_ancestor, merge_base, walk
from anabranch.kernel.ids import CommitId, MetarangeId

Plan = list[tuple[int, int | None]]
PLANS: st.SearchStrategy[Plan] = st.lists(
    st.tuples(st.integers(0, 30), st.none() | st.integers(0, 30)), min_size=1, max_size=14
)


class History:
    """Commits made by a plan: each has one or two parents among those before it."""

    def __init__(self, plan: Plan) -> None:
        self.commits: list[Commit] = []
        for number, (first, second) in enumerate(plan):
            chosen = [first] if second is None else [first, second]
            parents = list(dict.fromkeys(one % number for one in chosen)) if number else []
            self.commits.append(
                new_commit(
                    metarange=MetarangeId(""),
                    parents=[self.commits[one] for one in parents],
                    committer="c",
                    message=str(number),
                    metadata=(),
                    created_us=number % 3,
                )
            )
        self.by_id = {commit.id: commit for commit in self.commits}

    def load(self, ids: list[CommitId]) -> list[Commit]:
        """Return commits by id."""
        return [self.by_id[one] for one in ids]

    def ancestors(self, commit: Commit) -> set[CommitId]:
        """Return the ids of a commit and of everything behind it."""
        found = {commit.id}
        for parent in commit.parents:
            found |= self.ancestors(self.by_id[parent])
        return found


@given(PLANS, st.integers(0, 30), st.integers(0, 30))
def test_a_merge_base_is_the_best_common_ancestor(plan: Plan, left: int, right: int) -> None:
    history = History(plan)
    one = history.commits[left % len(plan)]
    other = history.commits[right % len(plan)]
    common = history.ancestors(one) & history.ancestors(other)
    expected = min(common, key=lambda id_: (-history.by_id[id_].generation, id_), default=None)
    found = merge_base(history.load, one, other)
    assert (found.id if found else None) == expected
    assert found == merge_base(history.load, other, one)


@given(PLANS, st.integers(0, 30))
def test_a_walk_shows_each_ancestor_once_and_children_first(plan: Plan, head: int) -> None:
    history = History(plan)
    start = history.commits[head % len(plan)]
    seen = [commit.id for commit in walk(history.load, [start])]
    assert len(seen) == len(set(seen))
    assert set(seen) == history.ancestors(start)
    for commit in history.load([CommitId(one) for one in seen]):
        assert all(seen.index(parent) > seen.index(commit.id) for parent in commit.parents)


def test_a_walk_by_first_parents_leaves_merged_lines_out() -> None:
    history = History([(0, None), (0, None), (0, None), (1, 2)])
    seen = [commit.message for commit in walk(history.load, history.commits[3:], first_parent=True)]
    assert seen == ["3", "1", "0"]
    assert is_ancestor(history.load, history.commits[0], history.commits[3])
    assert not is_ancestor(history.load, history.commits[3], history.commits[0])


def test_histories_that_never_met_have_no_base() -> None:
    one, other = History([(0, None)]), History([(0, None)])
    left, right = (
        one.commits[0],
        new_commit(
            metarange=MetarangeId(""),
            parents=[],
            committer="other",
            message="",
            metadata=(),
            created_us=0,
        ),
    )
    assert merge_base(other.load, left, right) is None
