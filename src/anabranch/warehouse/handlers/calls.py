"""CALL lake_*: the lake's use cases as procedures of the session's catalog and branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import BranchId, Ref, parse_branch_id, parse_tag_id
from anabranch.kernel.pages import Page
from anabranch.lake.comparing import Strategy
from anabranch.lake.values import MergeConflict
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.handlers.settings import move
from anabranch.warehouse.handlers.shown import Shown
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.results import Result
from anabranch.warehouse.session import SqlSession
from anabranch.warehouse.sql.admin import Call, Use


@dataclass(frozen=True, slots=True)
class _Arguments:
    """A call's arguments by name, those without one by place."""

    procedure: str
    values: dict[str, str | None]

    def text(self, name: str, default: str = "") -> str:
        """Return an argument, or its default when it was not given."""
        value = self.values.get(name)
        return default if value is None else value

    def required(self, name: str) -> str:
        """Return an argument; raise SqlError 1318."""
        value = self.values.get(name)
        if not value:
            raise doris(f"{self.procedure} needs {name}")
        return value

    def is_set(self, name: str) -> bool:
        """Tell whether a flag was given as true."""
        return self.text(name).lower() in ("1", "true", "on")


def _refused(page: Page[MergeConflict]) -> SqlError:
    """Return the error of a merge that conflicts: it names the first of what does."""
    shown = [one.path for one in page.items[: limits.MERGE_CHANGES_SHOWN_MAX]]
    more = ", .." if page.next_after is not None or len(shown) < len(page.items) else ""
    return doris(f"conflict found: {', '.join(shown)}{more}")


def _bind(call: Call, names: tuple[str, ...]) -> _Arguments:
    values: dict[str, str | None] = {}
    for number, (given, value) in enumerate(call.arguments):
        if given is None and number >= len(names):
            raise SqlError(
                1318,
                "42000",
                f"Incorrect number of arguments for PROCEDURE {call.procedure}; expected at most "
                f"{len(names)}, got {len(call.arguments)}",
            )
        name = names[number] if given is None else given.lower()
        if name not in names or name in values:
            raise doris(f"{call.procedure} takes {', '.join(names)}; {name} does not fit")
        values[name] = value
    return _Arguments(call.procedure, values)


class Calls:
    """The procedures. Each gives one result of rows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lake = parts.lake
        self._procedures: dict[
            str, tuple[tuple[str, ...], Callable[[SqlSession, _Arguments], Shown]]
        ] = {
            "lake_commit": (("message",), self._commit),
            "lake_branch": (("name", "source"), self._branch),
            "lake_delete_branch": (("name",), self._delete_branch),
            "lake_branches": (("prefix",), self._branches),
            "lake_checkout": (("ref",), self._checkout),
            "lake_merge": (("source", "message", "strategy", "squash"), self._merge),
            "lake_tag": (("name", "ref"), self._tag),
            "lake_log": (("ref", "amount"), self._log),
            "lake_status": (("prefix",), self._status),
            "lake_reset": (("prefix",), self._reset),
        }

    def run(self, session: SqlSession, statement: Call) -> Iterator[Result]:
        """Run a procedure and yield its rows."""
        found = self._procedures.get(statement.procedure)
        if found is None:
            raise SqlError(1305, "42000", f"PROCEDURE {statement.procedure} does not exist")
        names, procedure = found
        yield procedure(session, _bind(statement, names)).result

    def _own_branch(self, session: SqlSession) -> BranchId:
        branch = self._lake.resolve.resolve(session.catalog, session.ref).branch
        if branch is None:
            raise doris(f"'{session.ref}' is not a branch: it can only be read")
        return branch

    def _commit(self, session: SqlSession, given: _Arguments) -> Shown:
        commit = self._lake.commits.create(
            session.catalog,
            self._own_branch(session),
            message=given.required("message"),
            committer=session.user,
        )
        return Shown(("commit_id",), [(commit.id,)])

    def _branch(self, session: SqlSession, given: _Arguments) -> Shown:
        name = parse_branch_id(given.required("name"))
        source = Ref(given.text("source", session.ref))
        branch = self._lake.branches.create(session.catalog, name, source)
        return Shown(("branch", "commit_id"), [(branch.id, branch.head)])

    def _delete_branch(self, session: SqlSession, given: _Arguments) -> Shown:
        name = parse_branch_id(given.required("name"))
        if str(name) == str(session.ref):
            raise doris(f"the session is at '{name}'")
        self._lake.branches.delete(session.catalog, name)
        return Shown(("branch",), [(name,)])

    def _branches(self, session: SqlSession, given: _Arguments) -> Shown:
        rows: list[tuple[str, str]] = []
        after: str | None = ""
        while after is not None and len(rows) < limits.LOG_ROWS_MAX:
            page = self._lake.branches.list(
                session.catalog, prefix=given.text("prefix"), after=after, amount=limits.PAGE_MAX
            )
            rows += [(branch.id, branch.head) for branch in page.items]
            after = page.next_after
        return Shown(("branch", "commit_id"), rows[: limits.LOG_ROWS_MAX])

    def _checkout(self, session: SqlSession, given: _Arguments) -> Shown:
        move(self._parts, session, Use(session.database, given.required("ref")))
        return Shown(("ref",), [(session.ref,)])

    def _merge(self, session: SqlSession, given: _Arguments) -> Shown:
        said = given.text("strategy")
        known: dict[str, Strategy] = {"source-wins": "source-wins", "dest-wins": "dest-wins"}
        if said and said not in known:
            raise doris(f"strategy is one of {', '.join(known)}")
        try:
            result = self._lake.merges.merge(
                session.catalog,
                Ref(given.required("source")),
                self._own_branch(session),
                committer=session.user,
                message=given.text("message"),
                strategy=known[said] if said else None,
                is_squash=given.is_set("squash"),
            )
        except Conflict as error:
            if error.kind is not Kind.MERGE_CONFLICT:
                raise
            raise _refused(cast("Page[MergeConflict]", error.details["conflicts"])) from error
        names = ("commit_id", "added", "changed", "removed")
        row = (result.commit_id, result.added, result.changed, result.removed)
        return Shown(names, [row], frozenset(names[1:]))

    def _tag(self, session: SqlSession, given: _Arguments) -> Shown:
        name = parse_tag_id(given.required("name"))
        tag = self._lake.tags.create(session.catalog, name, Ref(given.text("ref", session.ref)))
        return Shown(("tag", "commit_id"), [(tag.id, tag.commit_id)])

    def _log(self, session: SqlSession, given: _Arguments) -> Shown:
        amount = given.text("amount", "100")
        if not amount.isdigit() or not 1 <= int(amount) <= limits.LOG_ROWS_MAX:
            raise doris(f"amount is a number from 1 to {limits.LOG_ROWS_MAX}")
        ref = Ref(given.text("ref", session.ref))
        page = self._lake.commits.log(session.catalog, ref, amount=int(amount), is_limited=True)
        rows = [
            (
                commit.id,
                commit.committer,
                datetime.fromtimestamp(commit.created_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                commit.message,
                ",".join(commit.parents),
            )
            for commit in page.items
        ]
        return Shown(("commit_id", "committer", "date", "message", "parents"), rows)

    def _status(self, session: SqlSession, given: _Arguments) -> Shown:
        page = self._lake.diffs.uncommitted(
            session.catalog,
            self._own_branch(session),
            prefix=given.text("prefix"),
            amount=limits.LOG_ROWS_MAX,
        )
        rows = [(change.path, str(change.kind)) for change in page.items]
        return Shown(("path", "status"), rows)

    def _reset(self, session: SqlSession, given: _Arguments) -> Shown:
        branch = self._own_branch(session)
        if given.text("prefix"):
            self._lake.branches.reset_prefix(session.catalog, branch, given.text("prefix"))
        else:
            self._lake.branches.reset(session.catalog, branch)
        return Shown(("branch",), [(branch,)])
