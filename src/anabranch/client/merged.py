"""What becomes of a merge: a commit, or conflicts."""

from anabranch.client import html
from anabranch.client.lists import Diff
from anabranch.client.values import MergeConflict
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Conflict, Kind


class Merge:
    """A merge that was made: its commit, and how many paths it changed in its destination."""

    def __init__(
        self, title: str, commit_id: str, added: int, removed: int, changed: int, changes: Diff
    ) -> None:
        self.title = title
        self.commit_id = commit_id
        self.added = added
        self.removed = removed
        self.changed = changed
        self.changes = changes
        """What it changed in its destination, by path."""

    def __repr__(self) -> str:
        return (
            f"<Merge {self.title}: {self.commit_id[:12]}, {self.added} added, "
            f"{self.removed} removed, {self.changed} changed>"
        )

    def _repr_html_(self) -> str:
        total = self.added + self.removed + self.changed
        try:
            rows = self.changes.first(limits.NOTEBOOK_ROWS_MAX) if total else ()
        except AnabranchError as error:
            return html.failed(self.title, error.message)
        inside, _ = html.short_id(self.commit_id)
        counted = html.counts(self.added, self.removed, self.changed)
        return html.diff(
            self.title,
            rows,
            has_more=total > len(rows),
            note=f"{inside}{counted}",
        )


class MergeConflicted(Conflict):
    """A merge that would have had to guess: nothing was merged.

    `conflicts` are all paths that both sides changed, in byte order; where there are more than
    `limits.CONFLICTS_TOLD_MAX`, the first of them, and `has_more` is true.
    """

    def __init__(
        self, title: str, conflicts: tuple[MergeConflict, ...], *, has_more: bool = False
    ) -> None:
        count = f"{len(conflicts):,}{' and more' if has_more else ''}"
        noun = "path" if len(conflicts) == 1 and not has_more else "paths"
        shown = ", ".join(repr(one.path) for one in conflicts[:_PATHS_TOLD])
        rest = ", ..." if len(conflicts) > _PATHS_TOLD else ""
        super().__init__(
            Kind.MERGE_CONFLICT,
            f"{title}: conflicts at {count} {noun} ({shown}{rest}); nothing was merged",
        )
        self.title = title
        self.conflicts = conflicts
        self.has_more = has_more

    def _repr_html_(self) -> str:
        rows = self.conflicts[: limits.NOTEBOOK_ROWS_MAX]
        return html.conflicts(f"{self.title}: conflicts", rows, len(self.conflicts))


_PATHS_TOLD = 3
