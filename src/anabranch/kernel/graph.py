"""Ancestry over a graph of commits that is loaded as it is walked."""

import heapq
from collections.abc import Callable, Iterator, Sequence

from anabranch.kernel.commits import Commit
from anabranch.kernel.ids import CommitId

Load = Callable[[list[CommitId]], list[Commit]]
"""Return commits by id, in the order asked."""

_LEFT, _RIGHT = 1, 2


def merge_base(load: Load, left: Commit, right: Commit) -> Commit | None:
    """Return the best common ancestor, or None when the histories never met.

    Best is the highest generation; ties go to the smallest id. A commit is its own ancestor.
    """
    sides: dict[CommitId, int] = {}
    known: dict[CommitId, Commit] = {}
    # Highest generation first: a commit comes up only after all that descend from it.
    heap: list[tuple[int, CommitId]] = []

    def add(commit: Commit, side: int) -> None:
        if commit.id not in sides:
            known[commit.id] = commit
            heapq.heappush(heap, (-commit.generation, commit.id))
        sides[commit.id] = sides.get(commit.id, 0) | side

    add(left, _LEFT)
    add(right, _RIGHT)
    while heap:
        _, commit_id = heapq.heappop(heap)
        side = sides[commit_id]
        if side == _LEFT | _RIGHT:
            return known[commit_id]
        missing = [one for one in known[commit_id].parents if one not in known]
        found = dict(zip(missing, load(missing), strict=True)) if missing else {}
        for parent in known[commit_id].parents:
            add(found.get(parent) or known[parent], side)
    return None


def is_ancestor(load: Load, ancestor: Commit, commit: Commit) -> bool:
    """Tell whether `ancestor` is `commit` or lies behind it."""
    return merge_base(load, ancestor, commit) == ancestor


def walk(load: Load, heads: Sequence[Commit], *, first_parent: bool = False) -> Iterator[Commit]:
    """Yield commits from the heads back, each once, children before parents.

    Order: generation, then date, newest first; ties by id. With `first_parent` only the first
    parent of each commit is followed.
    """
    heap: list[tuple[int, int, CommitId, Commit]] = []
    seen: set[CommitId] = set()

    def add(commit: Commit) -> None:
        if commit.id not in seen:
            seen.add(commit.id)
            heapq.heappush(heap, (-commit.generation, -commit.created_us, commit.id, commit))

    for head in heads:
        add(head)
    while heap:
        commit = heapq.heappop(heap)[3]
        yield commit
        parents = commit.parents[:1] if first_parent else commit.parents
        missing = [one for one in parents if one not in seen]
        for parent in load(missing) if missing else ():
            add(parent)
