"""Random histories: the lake, as two processes over one store, against plain dictionaries.

What the two processes keep in their caches is old whenever the other one wrote.
"""

from contextlib import ExitStack

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from anabranch.kernel.errors import AnabranchError, Conflict, Kind, NotFound, PreconditionFailed
from anabranch.kernel.ids import BranchId, Path, Ref, TagId
from anabranch.kernel.preconditions import Precondition
from anabranch.lake.values import MergeConflict
from tests.support.lakes import MAIN, REPOSITORY, open_beside, open_lake
from tests.support.model import Model, ModelBranch, changes

PATHS = st.sampled_from(["a", "a/", "a/b", "a/b/c", "a/c", "b", "b//c", "c/d", "é", "\U0010ffff"])
CONTENTS = st.sampled_from([b"", b"1", b"22"])
METADATA = st.sampled_from([(), (("k", "v"),)])
PREFIXES = st.sampled_from(["", "a", "a/", "a/b", "b/", "x"])
NAMES = st.sampled_from(["dev", "test", "dev/1"])
STRATEGIES = st.sampled_from([None, "source-wins", "dest-wins"])
WHO = st.integers(0, 1)


def kind_of(action: object) -> Kind | None:
    """Return why an action was refused, None when it was not."""
    assert callable(action)
    try:
        action()
    except AnabranchError as error:
        return error.kind
    return None


class LakeMachine(RuleBasedStateMachine):
    """Every rule does one thing to the lake and to the model, and compares the answers."""

    refs: Bundle[str] = Bundle("refs")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        first = self.stack.enter_context(open_lake())
        self.lakes = [first, self.stack.enter_context(open_beside(first))]
        self.model = Model(MAIN, first.lake.resolve.commit_id(REPOSITORY, Ref(MAIN)))

    @initialize(target=refs)
    def first(self) -> str:
        return MAIN

    def teardown(self) -> None:
        self.stack.close()

    def branch_of(self, index: int) -> str:
        names = sorted(self.model.branches)
        return names[index % len(names)]

    # Objects

    @rule(who=WHO, index=st.integers(0, 3), path=PATHS, data=CONTENTS, metadata=METADATA)
    def put(
        self, who: int, index: int, path: str, data: bytes, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        branch = self.branch_of(index)
        stat = self.lakes[who].put(path, data, branch=branch, metadata=metadata)
        self.model.put(branch, path, stat.entry)

    @rule(who=WHO, index=st.integers(0, 3), path=PATHS, is_there=st.booleans())
    def put_conditionally(self, who: int, index: int, path: str, is_there: bool) -> None:
        branch = self.branch_of(index)
        wanted = Precondition(if_match=("*",)) if is_there else Precondition(if_none_match=("*",))
        is_refused = (path in self.model.tree(branch)) != is_there
        try:
            stat = self.lakes[who].put(path, b"333", branch=branch, precondition=wanted)
        except PreconditionFailed:
            assert is_refused
        else:
            assert not is_refused
            self.model.put(branch, path, stat.entry)

    @rule(who=WHO, index=st.integers(0, 3), paths=st.lists(PATHS, min_size=1, max_size=4))
    def delete(self, who: int, index: int, paths: list[str]) -> None:
        branch = self.branch_of(index)
        self.lakes[who].delete(*paths, branch=branch)
        for path in paths:
            self.model.delete(branch, path)

    @rule(who=WHO, index=st.integers(0, 3), source=PATHS, dest=PATHS, from_index=st.integers(0, 3))
    def copy(self, who: int, index: int, source: str, dest: str, from_index: int) -> None:
        branch, origin = self.branch_of(index), self.branch_of(from_index)
        lake = self.lakes[who].lake
        target = lake.objects.writable(REPOSITORY, BranchId(branch))
        resolved = lake.resolve.resolve(REPOSITORY, Ref(origin))
        make = lake.objects.making_copy(target, Path(dest), resolved, Path(source))
        try:
            stat = lake.writer.submit(make)
        except NotFound:
            assert source not in self.model.tree(origin)
        else:
            original = self.model.tree(origin)[source]
            assert stat.entry.address == original.address
            assert stat.entry.is_same_as(original)
            self.model.put(branch, dest, stat.entry)

    # Refs

    @rule(target=refs, who=WHO, name=NAMES, source=refs)
    def create_branch(self, who: int, name: str, source: str) -> str:
        if source not in {*self.model.branches, *self.model.commits}:
            return MAIN
        if name in self.model.branches:
            kind = kind_of(lambda: self.lakes[who].branch(name, source))
            assert kind is Kind.BRANCH_EXISTS
        else:
            self.lakes[who].branch(name, source)
            self.model.branches[name] = ModelBranch(self.model.commit_of(source))
        return name

    @rule(who=WHO, name=NAMES)
    def delete_branch(self, who: int, name: str) -> None:
        kind = kind_of(lambda: self.lakes[who].lake.branches.delete(REPOSITORY, BranchId(name)))
        assert kind is (None if name in self.model.branches else Kind.BRANCH_NOT_FOUND)
        self.model.branches.pop(name, None)

    @rule(who=WHO, index=st.integers(0, 3))
    def tag(self, who: int, index: int) -> None:
        branch = self.branch_of(index)
        name = f"v{len(self.model.tags)}"
        tag = self.lakes[who].lake.tags.create(REPOSITORY, TagId(name), Ref(branch))
        self.model.tags[name] = self.model.branches[branch].head
        assert tag.commit_id == self.model.tags[name]

    # History

    @rule(target=refs, who=WHO, index=st.integers(0, 3))
    def commit(self, who: int, index: int) -> str:
        branch = self.branch_of(index)
        refusal = self.model.refusal_of_commit(branch)
        if refusal is not None:
            assert kind_of(lambda: self.lakes[who].commit(branch=branch)) is refusal
            return branch
        commit = self.lakes[who].commit(branch=branch)
        self.model.commit(branch, commit.id)
        return commit.id

    @rule(target=refs, who=WHO, index=st.integers(0, 3), source=refs, strategy=STRATEGIES)
    def merge(self, who: int, index: int, source: str, strategy: str | None) -> str:
        dest = self.branch_of(index)
        if source not in {*self.model.branches, *self.model.commits}:
            return dest
        theirs, ours = self.model.commit_of(source), self.model.branches[dest].head
        base = self.model.merge_base(theirs, ours)
        expected = self.model.merged(dest, base, theirs, strategy)
        merges = self.lakes[who].lake.merges
        try:
            result = merges.merge(
                REPOSITORY,
                Ref(source),
                BranchId(dest),
                committer="tests",
                strategy=strategy,  # type: ignore[arg-type]  # one of the two, or None
            )
        except Conflict as error:
            self._check_refusal(error, expected)
            return dest
        assert not isinstance(expected, Kind)
        tree, conflicts = expected
        assert conflicts == []
        did = list(changes(self.model.head_tree(dest), tree).values())
        assert (result.added, result.removed, result.changed) == (
            did.count("added"),
            did.count("removed"),
            did.count("changed"),
        )
        self.model.merge(dest, result.commit_id, tree, (ours, theirs))
        return result.commit_id

    def _check_refusal(self, error: Conflict, expected: object) -> None:
        if error.kind is not Kind.MERGE_CONFLICT:
            assert error.kind is expected
            return
        assert isinstance(expected, tuple)
        page = error.details["conflicts"]
        found = [one.path for one in page.items if isinstance(one, MergeConflict)]  # type: ignore[attr-defined]  # a page
        assert found == expected[1]

    @rule(target=refs, who=WHO, index=st.integers(0, 3), is_pick=st.booleans(), source=refs)
    def repeat_or_undo(self, who: int, index: int, is_pick: bool, source: str) -> str:
        branch = self.branch_of(index)
        if source not in {*self.model.branches, *self.model.commits}:
            return branch
        commit = self.model.commits[self.model.commit_of(source)]
        if len(commit.parents) != 1:
            return branch
        ends = (commit.parents[0], commit.id) if is_pick else (commit.id, commit.parents[0])
        expected = self.model.merged(branch, *ends, None)
        merges = self.lakes[who].lake.merges
        act = merges.cherry_pick if is_pick else merges.revert
        try:
            made = act(REPOSITORY, BranchId(branch), Ref(commit.id), committer="tests")
        except Conflict as error:
            self._check_refusal(error, expected)
            return branch
        assert not isinstance(expected, Kind)
        assert expected[1] == []
        self.model.merge(branch, made.id, expected[0], (self.model.branches[branch].head,))
        return made.id

    # Reset

    @rule(who=WHO, index=st.integers(0, 3), prefix=PREFIXES)
    def reset_prefix(self, who: int, index: int, prefix: str) -> None:
        branch = self.branch_of(index)
        self.lakes[who].lake.branches.reset_prefix(REPOSITORY, BranchId(branch), prefix)
        self.model.reset(branch, prefix, is_path=False)

    @rule(who=WHO, index=st.integers(0, 3), path=PATHS)
    def reset_path(self, who: int, index: int, path: str) -> None:
        branch = self.branch_of(index)
        before = self.model.uncommitted(branch)
        kind = kind_of(
            lambda: self.lakes[who].lake.branches.reset_path(
                REPOSITORY, BranchId(branch), Path(path)
            )
        )
        # A row equal to the head's, or a tombstone of nothing, may be there or not.
        if path in before:
            assert kind is None
        assert kind in (None, Kind.OBJECT_NOT_FOUND)
        self.model.reset(branch, path, is_path=True)

    @rule(who=WHO, index=st.integers(0, 3))
    def reset_all(self, who: int, index: int) -> None:
        branch = self.branch_of(index)
        self.lakes[who].lake.branches.reset(REPOSITORY, BranchId(branch))
        self.model.reset(branch, "", is_path=False)

    @rule(who=WHO, index=st.integers(0, 3), source=refs)
    def hard_reset(self, who: int, index: int, source: str) -> None:
        branch = self.branch_of(index)
        if source not in {*self.model.branches, *self.model.commits}:
            return
        commit_id = self.model.commit_of(source)
        kind = kind_of(
            lambda: self.lakes[who].lake.branches.hard_reset(
                REPOSITORY, BranchId(branch), Ref(commit_id)
            )
        )
        if not self.model.branches[branch].staging:
            assert kind is None
        if self.model.uncommitted(branch):
            assert kind is Kind.DIRTY_BRANCH
        if kind is None:
            self.model.branches[branch].head = commit_id
            self.model.branches[branch].staging.clear()

    # What happens by itself

    @rule(who=WHO, index=st.integers(0, 3))
    def seal(self, who: int, index: int) -> None:
        self.lakes[who].lake.staging.seal(REPOSITORY, BranchId(self.branch_of(index)))

    @rule(who=WHO)
    def sweep(self, who: int) -> None:
        self.lakes[0].clock.advance(4_000)
        lake = self.lakes[who].lake
        while lake.staging.sweep_dropped(now_us=lake.kv.now_us(), amount=3):
            pass

    # What one sees

    @rule(who=WHO, index=st.integers(0, 3), path=PATHS)
    def read(self, who: int, index: int, path: str) -> None:
        branch = self.branch_of(index)
        opened = self.lakes[who]
        resolved = opened.lake.resolve.resolve(REPOSITORY, Ref(branch))
        found = opened.lake.objects.find(resolved, Path(path))
        assert (found.entry if found else None) == self.model.tree(branch).get(path)
        opened.find(path, ref=branch)

    @rule(
        who=WHO,
        ref=refs,
        prefix=PREFIXES,
        delimiter=st.sampled_from(["", "/"]),
        amount=st.integers(1, 4),
    )
    def list(self, who: int, ref: str, prefix: str, delimiter: str, amount: int) -> None:
        if ref not in {*self.model.branches, *self.model.commits}:
            return
        lake = self.lakes[who].lake
        resolved = lake.resolve.resolve(REPOSITORY, Ref(ref))
        found: list[str] = []
        after = ""
        while True:
            page = lake.listing.page(
                resolved, prefix=prefix, after=after, amount=amount, delimiter=delimiter
            )
            assert len(page.items) <= amount
            found += [item.path for item in page.items]
            if page.next_after is None:
                break
            assert page.items, "a page is never empty while truncated"
            after = page.next_after
        assert found == self.model.listing(ref, prefix, delimiter)

    @rule(who=WHO, index=st.integers(0, 3), prefix=PREFIXES, amount=st.integers(1, 4))
    def diff_uncommitted(self, who: int, index: int, prefix: str, amount: int) -> None:
        branch = self.branch_of(index)
        found: dict[str, str] = {}
        after = ""
        while True:
            page = self.lakes[who].lake.diffs.uncommitted(
                REPOSITORY, BranchId(branch), prefix=prefix, after=after, amount=amount
            )
            found.update((one.path, one.kind.value) for one in page.items)
            if page.next_after is None:
                break
            after = page.next_after
        expected = self.model.uncommitted(branch)
        assert found == {path: kind for path, kind in expected.items() if path.startswith(prefix)}

    @rule(who=WHO, left=refs, right=refs)
    def diff_refs(self, who: int, left: str, right: str) -> None:
        known = {*self.model.branches, *self.model.commits}
        if left not in known or right not in known:
            return
        page = self.lakes[who].lake.diffs.refs(
            REPOSITORY, Ref(left), Ref(right), is_three_dot=False, amount=100
        )
        old = self.model.commits[self.model.commit_of(left)].tree
        new = self.model.commits[self.model.commit_of(right)].tree
        assert {one.path: one.kind.value for one in page.items} == changes(old, new)

    @precondition(lambda self: self.model.tags)
    @rule(who=WHO, index=st.integers(0, 9))
    def read_tag(self, who: int, index: int) -> None:
        name = sorted(self.model.tags)[index % len(self.model.tags)]
        assert self.lakes[who].paths(ref=name) == sorted(self.model.tree(name))

    @invariant()
    def branches_are_as_modelled(self) -> None:
        page = self.lakes[0].lake.branches.list(REPOSITORY, amount=10)
        assert {one.id: one.head for one in page.items} == {
            name: branch.head for name, branch in self.model.branches.items()
        }


TestLakeMachine = LakeMachine.TestCase
TestLakeMachine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
