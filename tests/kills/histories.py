"""Clients of histories: commits and merges, resets of a branch of one's own, repositories."""

import threading
from collections.abc import Callable

from tests.kills.bodies import make_body, state_of
from tests.kills.client import REPOSITORY, Client, ClientPlan, End
from tests.kills.journal import Journal
from tests.kills.wire import S3, Answer, Lost

_HERE = f"repositories/{REPOSITORY}"
_LOG_SHOWN = "5"

View = dict[str, str]
"""Path -> ETag of all objects of a branch's folder."""


class Committer(Client):
    """The only one who commits `dev` and merges it into `main`; each commit has a mark of its own.

    Marks are objects `marks/<round>/<number>`, settled before the commit that must hold them.
    """

    pause_s = 0.1

    def __init__(self, plan: ClientPlan, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(plan, journal, stopping)
        self._count = 0
        self._marks: list[str] = []
        self._merged: list[str] = []

    def step(self) -> None:
        """Put a mark and commit it; every third time merge, every ninth time tag the merge."""
        self._count += 1
        mark = f"marks/{self.plan.round}/{self._count:05}"
        path = f"dev/{mark}"
        self.put(self.lake, path, 50, "mark")
        if self.states[f"{REPOSITORY}/{path}"] is None:
            return
        self._marks.append(mark)
        if self._commit() and self._count % 3 == 0:
            merged = self._merge()
            if merged and self._count % 9 == 0:
                self._tag(merged)

    def _commit(self) -> bool:
        message = f"{self.plan.round}-{self._count}"
        self.journal.note("committing", message=message, marks=list(self._marks))
        body = {"message": message, "metadata": {"count": str(self._count)}}
        try:
            answer = self.rest.send("POST", f"{_HERE}/branches/dev/commits", body)
        except Lost:
            answer = self.again(
                lambda: self.rest.send(
                    "GET", f"{_HERE}/refs/dev/commits", query={"amount": _LOG_SHOWN}
                )
            )
            found = [one["id"] for one in answer.json["results"] if one["message"] == message]
            self.journal.note("commit", message=message, id=found[0] if found else None)
            self.journal.note("step", do="commit", end="lost")
            return bool(found)
        if answer.status != 201 or answer.json["message"] != message:
            self.journal.wrong(f"commit {message} answered {answer}")
            return False
        self.journal.note("commit", message=message, id=answer.json["id"])
        self.journal.note("step", do="commit", end="done")
        return True

    def _merge(self) -> str | None:
        before, after = self._merged, list(self._marks)
        self.journal.note("merging", before=before, after=after)
        body = {"message": f"merge {self.plan.round}-{self._count}"}
        merged: str | None = None
        try:
            answer = self.rest.send("POST", f"{_HERE}/refs/dev/merge/main", body)
        except Lost:
            self._merged = self._marks_of_main()
            self.journal.note("merge", id=None, marks=self._merged)
            self.journal.note("step", do="merge", end="lost")
        else:
            if answer.status != 200:
                self.journal.wrong(f"merge {self._count} answered {answer}")
                return None
            merged = str(answer.json["reference"])
            self.journal.note("merge", id=merged, marks=after)
            self.journal.note("step", do="merge", end="done")
            self._merged = self._marks_of_main()
            if self._merged != after:
                self.journal.wrong(f"main holds {self._merged} after a merge of {after}")
        if self._merged not in (before, after):
            self.journal.wrong(f"main holds {self._merged}, neither {before} nor {after}")
        return merged

    def _marks_of_main(self) -> list[str]:
        while True:
            try:
                found = self.lake.list(f"main/marks/{self.plan.round}/")
            except Lost:
                continue
            return [path.removeprefix("main/") for path in sorted(found)]

    def _tag(self, commit: str) -> None:
        name = f"tag-{self.plan.round}-{self._count}"
        try:
            answer = self.rest.send("POST", f"{_HERE}/tags", {"id": name, "ref": commit})
        except Lost:
            answer = self.again(lambda: self.rest.send("GET", f"{_HERE}/tags/{name}"))
            self.journal.note("tag", name=name, commit=commit, is_there=answer.status == 200)
            return
        if answer.status != 201:
            self.journal.wrong(f"tag {name} answered {answer}")
        self.journal.note("tag", name=name, commit=commit, is_there=True)


class Resetter(Client):
    """Writes, deletes, commits and resets a branch that nobody else touches.

    It knows the branch's whole view before and after each step, so a step that was done by half
    shows, whichever paths it touched.
    """

    pause_s = 0.05

    def __init__(self, plan: ClientPlan, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(plan, journal, stopping)
        self._branch = plan.name
        self._where = f"{_HERE}/branches/{self._branch}"
        self._committed: View = {}
        self._staged: dict[str, str | None] = {}
        self._messages = 0
        self._has_branch = False

    def step(self) -> None:
        """Do one of the things one does to a branch, by weight."""
        if not self._has_branch:
            self._make_branch()
            return
        steps = (self._put, self._delete, self._reset, self._commit)
        self.random.choices(steps, (60, 12, 20, 8))[0]()

    def _make_branch(self) -> None:
        body = {"name": self._branch, "source": "main"}
        answer = self.again(lambda: self.rest.send("POST", f"{_HERE}/branches", body))
        # 409 is the answer to the second try of a lost first one.
        if answer.status not in (201, 409):
            self.journal.wrong(f"branch {self._branch} answered {answer}")
        self._has_branch = True

    def _put(self) -> None:
        folder = self.random.choice(("a", "b", "c/d"))
        path = f"scratch/{folder}/{self.random.randrange(6)}"
        self.number += 1
        body = make_body(path, self.number, 200)
        staged = self._staged | {path: state_of(body)[0]}
        self._move(
            "scratch put", staged, 200,
            lambda: self.lake.send("PUT", f"{self._branch}/{path}", body=body),
        )  # fmt: skip

    def _delete(self) -> None:
        view = self._view(self._staged)
        if view:
            path = self.random.choice(sorted(view))
            self._move(
                "scratch delete", self._staged | {path: None}, 204,
                lambda: self.lake.send("DELETE", f"{self._branch}/{path}"),
            )  # fmt: skip

    def _reset(self) -> None:
        # A delete of what was only staged leaves nothing to reset.
        changed = {p for p, etag in self._staged.items() if etag or p in self._committed}
        if not changed:
            return
        chosen = self.random.choice(sorted(changed))
        body, prefix = self.random.choice(
            (
                ({"type": "reset"}, ""),
                ({"type": "common_prefix", "path": f"{chosen.rpartition('/')[0]}/"}, chosen[:-1]),
                ({"type": "object", "path": chosen}, chosen),
            )
        )
        staged = {path: etag for path, etag in self._staged.items() if not path.startswith(prefix)}
        self._move(
            f"reset {body['type']}", staged, 204, lambda: self.rest.send("PUT", self._where, body)
        )

    def _commit(self) -> None:
        view = self._view(self._staged)
        if view == self._committed:
            return
        self._messages += 1
        message = f"{self._branch} {self._messages}"
        end = self._move(
            "scratch commit", self._staged, 201,
            lambda: self.rest.send("POST", f"{self._where}/commits", {"message": message}),
        )  # fmt: skip
        if end == "lost":
            log = f"{_HERE}/refs/{self._branch}/commits"
            answer = self.again(lambda: self.rest.send("GET", log, query={"amount": "1"}))
            if answer.json["results"][0]["message"] != message:
                return
        if end != "refused":
            self._committed, self._staged = view, {}

    def _move(
        self, do: str, staged: dict[str, str | None], status: int, send: Callable[[], Answer]
    ) -> End:
        """Send what makes `staged` of the branch's staging; tell how it ended."""
        before, after = self._view(self._staged), self._view(staged)
        self.journal.note("view", branch=self._branch, either=[before, after])
        end: End = "done"
        try:
            answer = send()
        except Lost:
            end = "lost"
            found = self._look()
            if found == after:
                self._staged = staged
            elif found != before:
                self.journal.wrong(f"{do} left {found}: neither {before} nor {after}")
        else:
            if answer.status != status:
                end = "refused"
                self.journal.wrong(f"{do} of {self._branch} answered {answer}")
            else:
                self._staged = staged
                found = self._look() if do.startswith("reset") else after
                if found != after:
                    self.journal.wrong(f"{do} left {found}, not {after}, from {before}")
        self.journal.note("step", do=do, end=end)
        self.journal.note("view", branch=self._branch, either=[self._view(self._staged)])
        return end

    def _look(self) -> View:
        while True:
            try:
                found = self.lake.list(f"{self._branch}/scratch/", page=5)
            except Lost:
                continue
            return {path.removeprefix(f"{self._branch}/"): etag for path, etag in found.items()}

    def _view(self, staged: dict[str, str | None]) -> View:
        merged = self._committed | staged
        return {path: etag for path, etag in merged.items() if etag is not None}


class Founder(Client):
    """Makes repositories, and deletes every other one, which gives the jobs process work."""

    pause_s = 1.0

    def __init__(self, plan: ClientPlan, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(plan, journal, stopping)
        self._count = 0

    def step(self) -> None:
        """Make a repository with an object; delete it again when its number is odd."""
        self._count += 1
        name = f"{self.plan.name}-{self._count}"
        body = {"name": name, "storage_namespace": f"s3://{name}"}
        if not self._settled(
            "create repository", name, True, lambda: self.rest.send("POST", "repositories", body)
        ):
            return
        bucket = S3(self.plan.api, name, self.stopping)
        if self._count % 2 == 0:
            self.put(bucket, "main/first", 10)
            return
        self.again(lambda: bucket.send("PUT", "main/first", body=b"of no use"))
        self._settled(
            "delete repository", name, False,
            lambda: self.rest.send("DELETE", f"repositories/{name}"),
        )  # fmt: skip

    def _settled(self, do: str, name: str, is_there: bool, send: Callable[[], Answer]) -> bool:
        """Send what makes or deletes a repository; tell whether that took place."""
        self.journal.note("repository", name=name, either=[is_there, not is_there])
        end = "done"
        try:
            answer = send()
        except Lost:
            end = "lost"
        else:
            if answer.status not in (201, 204):
                self.journal.wrong(f"{do} {name} answered {answer}")
        found = self.again(lambda: self.rest.send("GET", f"repositories/{name}")).status == 200
        if end == "done" and found != is_there:
            self.journal.wrong(f"{do} {name}: is there is {found}")
        self.journal.note("step", do=do, end=end)
        self.journal.note("repository", name=name, either=[found])
        return found == is_there
