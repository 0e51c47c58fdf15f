"""What must be true of a server after a round of kills, given the journals of all rounds."""

import contextlib
import hashlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from tests.kills.bodies import describe
from tests.kills.client import RAW_BUCKET, REPOSITORY
from tests.kills.journal import History, State
from tests.kills.wire import S3, Key, Rest

_HERE = f"repositories/{REPOSITORY}"
_FOLDERS = ("dev/", "")
"""What of the repository and of the raw bucket is compared, key by key."""


class Checker:
    """Compares a server that nobody else uses with what the journals say.

    Each method yields complaints. An answer that is lost here is a failure: nobody is killed.
    """

    def __init__(self, api: Key, raw: Key) -> None:
        stopping = threading.Event()
        self._api = api
        self._lake = S3(api, REPOSITORY, stopping)
        self._raw = S3(raw, RAW_BUCKET, stopping)
        self._rest = Rest(api, stopping)
        self._stopping = stopping

    def close(self) -> None:
        """End all connections."""
        for connection in (self._lake, self._raw, self._rest):
            connection.close()

    def check(self, history: History, changed: Iterable[str]) -> Iterator[str]:
        """Yield all complaints; the bytes of `changed` keys are read, of others the ETags."""
        # First: a complete sent again must change nothing that is compared below.
        yield from self._completes(history)
        yield from self._keys(history)
        yield from self._bytes(history, changed)
        yield from self._commits(history)
        yield from self._merges(history)
        yield from self._tags(history)
        yield from self._views(history)
        yield from self._repositories(history)
        yield from self._publish()

    def _completes(self, history: History) -> Iterator[str]:
        """A completed upload answers the same to the same complete."""
        for note in history.notes.pop("completed", []):
            path, etag = note["path"], note["etag"]
            s3 = self._lake if note["bucket"] == REPOSITORY else self._raw
            answer = s3.send("POST", path, {"uploadId": note["upload"]}, note["body"].encode())
            found = answer.xml.findtext("ETag") if answer.status == 200 else None
            if (found or "").strip('"') != etag:
                yield f"complete of {path} again: {answer}, not ETag {etag}"

    def _keys(self, history: History) -> Iterator[str]:
        """Every key is what its history allows, and there is no other."""
        for s3, folder in zip((self._lake, self._raw), _FOLDERS, strict=True):
            found = {f"{s3.bucket}/{key}": etag for key, etag in s3.list(folder).items()}
            start = f"{s3.bucket}/{folder}"
            expected = {key for key in history.possible if key.startswith(start)}
            for key in sorted(expected | found.keys()):
                possible = history.possible.get(key, {None})
                if found.get(key) not in {state and state[0] for state in possible}:
                    allowed = " or ".join(describe(state) for state in possible)
                    yield f"{key} is {found.get(key)}; its history allows {allowed}"

    def _bytes(self, history: History, changed: Iterable[str]) -> Iterator[str]:
        """The bytes of a key are those of its ETag."""
        for key in sorted(changed):
            bucket, _, path = key.partition("/")
            s3 = self._raw if bucket == RAW_BUCKET else S3(self._api, bucket, self._stopping)
            with contextlib.closing(s3):
                answer = s3.send("GET", path)
            state: State = None
            if answer.status == 200:
                digest = hashlib.md5(answer.body, usedforsecurity=False).hexdigest()
                state = (answer.etag, digest, len(answer.body))
            if state not in history.possible[key] or answer.status not in (200, 404):
                allowed = " or ".join(describe(one) for one in history.possible[key])
                yield f"GET {key} answered {answer.status}, {describe(state)}; not {allowed}"
            # What it is from here on.
            history.possible[key] = {state}

    def _commits(self, history: History) -> Iterator[str]:
        """Each acknowledged commit is in the log once, and holds the marks it was made of."""
        wanted = {note["message"]: note["marks"] for note in history.notes.pop("committing", [])}
        logged: dict[str, list[str]] = {}
        for one in self._log("dev"):
            logged.setdefault(one["message"], []).append(one["id"])
        for note in history.notes.pop("commit", []):
            found = logged.get(note["message"], [])
            if found != ([note["id"]] if note["id"] else []):
                yield f"commit {note['message']} is {found} in the log, not {note['id']}"
        for message, marks in wanted.items():
            for commit in logged.get(message, []):
                yield from self._marks(f"commit {message}", commit, marks)

    def _merges(self, history: History) -> Iterator[str]:
        """Each acknowledged merge is in main's log, and brought the marks of its source."""
        logged = {one["id"] for one in self._log("main")}
        for note in history.notes.pop("merge", []):
            if note["id"] is not None:
                if note["id"] not in logged:
                    yield f"merge {note['id']} is not in the log of main"
                yield from self._marks("merge", note["id"], note["marks"])
        history.notes.pop("merging", None)

    def _marks(self, what: str, ref: str, marks: list[str]) -> Iterator[str]:
        if marks:
            folder = f"{ref}/{marks[0].rpartition('/')[0]}/"
            found = [path.removeprefix(f"{ref}/") for path in self._lake.list(folder)]
            if found != marks:
                yield f"{what} {ref} holds {found}, not {marks}"

    def _tags(self, history: History) -> Iterator[str]:
        for note in history.notes.pop("tag", []):
            answer = self._rest.send("GET", f"{_HERE}/tags/{note['name']}")
            is_there = answer.status == 200 and answer.json["commit_id"] == note["commit"]
            if is_there != note["is_there"]:
                yield f"tag {note['name']} answered {answer}; there: {note['is_there']}"

    def _views(self, history: History) -> Iterator[str]:
        """A branch that was reset is in one of the views that its last step allows."""
        last = {note["branch"]: note["either"] for note in history.notes.pop("view", [])}
        for branch, either in last.items():
            found = self._lake.list(f"{branch}/scratch/")
            view = {path.removeprefix(f"{branch}/"): etag for path, etag in found.items()}
            if view not in either:
                yield f"{branch} holds {view}, not one of {either}"

    def _repositories(self, history: History) -> Iterator[str]:
        last = {note["name"]: note["either"] for note in history.notes.pop("repository", [])}
        for name, either in last.items():
            answer = self._rest.send("GET", f"repositories/{name}")
            if answer.status not in (200, 404) or (answer.status == 200) not in either:
                yield f"repository {name} answered {answer}, allowed: {either}"

    def _publish(self) -> Iterator[str]:
        """With nobody else about, a commit and a merge make main what dev is."""
        dirty = self._rest.send("GET", f"{_HERE}/branches/dev/diff", query={"amount": "1"})
        if dirty.json["results"]:
            body = {"message": "after a round"}
            answer = self._rest.send("POST", f"{_HERE}/branches/dev/commits", body)
            if answer.status != 201:
                yield f"commit after a round answered {answer}"
        ahead = self._rest.send("GET", f"{_HERE}/refs/main/diff/dev", query={"amount": "1"})
        if ahead.json["results"]:
            answer = self._rest.send("POST", f"{_HERE}/refs/dev/merge/main", {})
            if answer.status != 200:
                yield f"merge after a round answered {answer}"
        dev, main = (
            {path.removeprefix(ref): etag for path, etag in self._lake.list(ref).items()}
            for ref in ("dev/", "main/")
        )
        if dev != main:
            different = sorted(path for path, _ in dev.items() ^ main.items())
            yield f"main is not dev after the merge: {different[:20]}"

    def _log(self, ref: str) -> Iterator[dict[str, Any]]:
        query = {"amount": "1000"}
        while True:
            answer = self._rest.send("GET", f"{_HERE}/refs/{ref}/commits", query=query)
            assert answer.status == 200, f"log of {ref} answered {answer}"
            yield from answer.json["results"]
            pagination = answer.json["pagination"]
            if not pagination["has_more"]:
                return
            query["after"] = pagination["next_offset"]
