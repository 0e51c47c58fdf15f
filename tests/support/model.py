"""The lake as plain dictionaries: what every history of operations should come to.

Entries are the values the lake answered with; everything else is worked out here, without tokens,
ranges or retries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Kind

Tree = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class ModelCommit:
    """A commit: its whole tree, and where it stands in history."""

    id: str
    parents: tuple[str, ...]
    tree: Tree
    generation: int


@dataclass(slots=True)
class ModelBranch:
    """A branch: its head and what is uncommitted; None stands for a delete."""

    head: str
    staging: dict[str, Entry | None] = field(default_factory=dict)


class Model:
    """All branches, tags and commits of one repository."""

    def __init__(self, branch: str, commit_id: str) -> None:
        self.commits = {commit_id: ModelCommit(commit_id, (), {}, 1)}
        self.branches = {branch: ModelBranch(commit_id)}
        self.tags: dict[str, str] = {}

    # What one sees

    def tree(self, ref: str) -> Tree:
        """Return the live entries at a ref: a branch with its staging, a tag or a commit."""
        branch = self.branches.get(ref)
        if branch is None:
            return self.commits[self.tags.get(ref, ref)].tree
        seen: dict[str, Entry | None] = {**self.commits[branch.head].tree, **branch.staging}
        return {path: entry for path, entry in seen.items() if entry is not None}

    def commit_of(self, ref: str) -> str:
        """Return the commit a ref stands for."""
        if ref in self.branches:
            return self.branches[ref].head
        return self.tags.get(ref, ref)

    def head_tree(self, branch: str) -> Tree:
        """Return the committed entries of a branch."""
        return self.commits[self.branches[branch].head].tree

    def uncommitted(self, branch: str) -> dict[str, str]:
        """Return path to added, removed or changed, by identity."""
        return changes(self.head_tree(branch), self.tree(branch))

    def listing(self, ref: str, prefix: str, delimiter: str) -> list[str]:
        """Return paths and common prefixes in order."""
        found: set[str] = set()
        for path in self.tree(ref):
            if path.startswith(prefix):
                cut = path.find(delimiter, len(prefix)) if delimiter else -1
                found.add(path if cut < 0 else path[: cut + len(delimiter)])
        return sorted(found)

    # What one does

    def put(self, branch: str, path: str, entry: Entry) -> None:
        """Stage an entry."""
        self.branches[branch].staging[path] = entry

    def delete(self, branch: str, path: str) -> None:
        """Stage a delete."""
        self.branches[branch].staging[path] = None

    def refusal_of_commit(self, branch: str) -> Kind | None:
        """Return why a commit is refused."""
        return None if self.uncommitted(branch) else Kind.NO_CHANGES

    def commit(self, branch: str, commit_id: str) -> None:
        """Make what is staged a commit; rows of equal identity are taken, too."""
        tree = self.tree(branch)
        self._advance(branch, commit_id, tree, (self.branches[branch].head,))
        self.branches[branch].staging.clear()

    def merged(
        self, branch: str, base: str, source: str, strategy: str | None
    ) -> tuple[Tree, list[str]] | Kind:
        """Return the tree a merge into a branch gives and its conflicts, or why it is refused."""
        if self.uncommitted(branch):
            return Kind.DIRTY_BRANCH
        below, theirs = self.commits[base].tree, self.commits[source].tree
        if below == theirs:
            return Kind.NO_CHANGES
        return three_way(below, theirs, self.head_tree(branch), strategy)

    def merge(self, branch: str, commit_id: str, tree: Tree, parents: tuple[str, ...]) -> None:
        """Move a branch to a merge; staged rows, all equal to the head's, leave."""
        self._advance(branch, commit_id, tree, parents)
        self.branches[branch].staging.clear()

    def reset(self, branch: str, prefix: str, *, is_path: bool) -> None:
        """Forget what is uncommitted under a prefix, or at one path."""
        staging = self.branches[branch].staging
        for path in list(staging):
            if path == prefix or (not is_path and path.startswith(prefix)):
                del staging[path]

    # History

    def ancestors(self, commit_id: str) -> set[str]:
        """Return a commit and all behind it."""
        found: set[str] = set()
        waiting = [commit_id]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(self.commits[one].parents)
        return found

    def merge_base(self, left: str, right: str) -> str:
        """Return the best common ancestor: the highest generation, then the smallest id."""
        common = self.ancestors(left) & self.ancestors(right)
        return min(common, key=lambda one: (-self.commits[one].generation, one))

    def _advance(self, branch: str, commit_id: str, tree: Tree, parents: tuple[str, ...]) -> None:
        generation = 1 + max(self.commits[one].generation for one in parents)
        self.commits[commit_id] = ModelCommit(commit_id, parents, tree, generation)
        self.branches[branch].head = commit_id


def is_same(one: Entry | None, other: Entry | None) -> bool:
    """Tell whether two rows stand for equal content; an absent row is a value."""
    if one is None or other is None:
        return one is other
    return one.is_same_as(other)


def changes(old: Tree, new: Tree) -> dict[str, str]:
    """Return path to added, removed or changed, by identity, in order."""
    found = {}
    for path in sorted({*old, *new}):
        if path not in old:
            found[path] = "added"
        elif path not in new:
            found[path] = "removed"
        elif not is_same(old[path], new[path]):
            found[path] = "changed"
    return found


def three_way(base: Tree, source: Tree, dest: Tree, strategy: str | None) -> tuple[Tree, list[str]]:
    """Return a merge's tree and its conflicts: whole rows first, identities second."""
    merged: Tree = {}
    conflicts = []
    for path in sorted({*base, *source, *dest}):
        old, theirs, ours = base.get(path), source.get(path), dest.get(path)
        if theirs == old:
            taken = ours
        elif ours == old:
            taken = theirs
        elif is_same(theirs, ours):
            taken = ours
        elif is_same(ours, old):
            taken = theirs
        elif is_same(theirs, old):
            taken = ours
        elif strategy is not None:
            taken = theirs if strategy == "source-wins" else ours
        else:
            conflicts.append(path)
            continue
        if taken is not None:
            merged[path] = taken
    return merged, conflicts
