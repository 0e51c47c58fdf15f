"""Clients of objects: writers, the readers of what is never absent, multipart uploads."""

import threading
from typing import Any
from urllib.parse import quote

from tests.kills.bodies import find_number, make_body, multipart_etag, state_of
from tests.kills.client import REPOSITORY, Client, ClientPlan
from tests.kills.journal import Journal
from tests.kills.wire import S3, Lost

PINNED = 24
"""Objects under `pinned/` that are overwritten again and again and are never absent."""
PINNED_BYTES = 300
_PART_BYTES = 5 * 1024**2  # S3's least size of a part that is not the last
_LARGE_BYTES = 200 * 1024
_PATHS = 30


class Writer(Client):
    """Puts, large puts, deletes, copies and reads of paths of its own, in the lake or raw."""

    def __init__(self, plan: ClientPlan, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(plan, journal, stopping)
        self._s3 = self.raw if plan.kind == "raw_writer" else self.lake
        self._folder = ("" if plan.kind == "raw_writer" else "dev/") + f"{plan.name}/"
        self._paths = [f"{self._folder}{number:02}" for number in range(_PATHS)]

    def step(self) -> None:
        """Do one of six things, by weight."""
        path = self.random.choice(self._paths)
        what = self.random.choices(_WRITER_STEPS, _WRITER_WEIGHTS)[0]
        if what == "put":
            self.put(self._s3, path, self.random.choice((0, 1, 100, 4_096, 60_000)))
        elif what == "large put":
            self.put(self._s3, path, _LARGE_BYTES + self.random.randrange(1_000), "large put")
        elif what == "delete":
            self.delete(self._s3, path)
        elif what == "copy":
            self._copy(path)
        elif what == "get":
            self._get(path)
        else:
            self._list()

    def _copy(self, path: str) -> None:
        there = sorted(self._key_paths())
        if not there:
            return
        source = self.random.choice(there)
        headers = {"x-amz-copy-source": quote(f"/{self._s3.bucket}/{source}")}
        if source != path:
            becomes = self.states[f"{self._s3.bucket}/{source}"]
            self.change(
                "copy", self._s3, path, becomes,
                lambda: self._s3.send("PUT", path, headers=headers),
            )  # fmt: skip

    def _get(self, path: str) -> None:
        wanted = self.states.get(f"{self._s3.bucket}/{path}")
        found = self.look(self._s3, path)
        self.reads += 1
        if found != wanted:
            self.journal.wrong(f"GET {path}: {found}, not {wanted}")

    def _list(self) -> None:
        wanted = {path: state[0] for path, state in self._key_paths().items()}
        try:
            found = self._s3.list(self._folder, page=11)
        except Lost:
            return
        self.reads += 1
        if found != wanted:
            self.journal.wrong(f"listing {self._folder}: {_difference(found, wanted)}")

    def _key_paths(self) -> dict[str, tuple[str, str, int]]:
        cut = len(self._s3.bucket) + 1
        return {key[cut:]: state for key, state in self.states.items() if state is not None}


_WRITER_STEPS = ("put", "large put", "delete", "copy", "get", "list")
_WRITER_WEIGHTS = (45, 12, 12, 12, 12, 7)


class Pinner(Client):
    """Overwrites the objects that are never absent."""

    def step(self) -> None:
        """Overwrite one."""
        path = f"dev/{pinned_path(self.random.randrange(PINNED))}"
        if f"{REPOSITORY}/{path}" not in self.states:
            self.states[f"{REPOSITORY}/{path}"] = self.look(self.lake, path)
        self.number += 1
        body = make_body(path.removeprefix("dev/"), self.number, PINNED_BYTES)
        self.change(
            "overwrite", self.lake, path, state_of(body),
            lambda: self.lake.send("PUT", path, body=body),
        )  # fmt: skip


def pinned_path(number: int) -> str:
    """Return the path of an object that is never absent."""
    return f"pinned/{number:02}"


class Reader(Client):
    """Reads and lists objects that were never absent; what it sees never goes back."""

    def __init__(self, plan: ClientPlan, journal: Journal, stopping: threading.Event) -> None:
        super().__init__(plan, journal, stopping)
        self._newest: dict[str, int] = {}

    def step(self) -> None:
        """Read one thing; a lost answer is no wrong one."""
        ref = self.random.choice(("dev", "main"))
        path = pinned_path(self.random.randrange(PINNED))
        what = self.random.choice((self._get, self._head, self._stat, self._list, self._folders))
        try:
            what(ref, path)
        except Lost:
            return
        except AssertionError as error:
            self.journal.wrong(str(error))
        self.reads += 1

    def _get(self, ref: str, path: str) -> None:
        answer = self.lake.send("GET", f"{ref}/{path}")
        assert answer.status == 200, f"GET {ref}/{path} answered {answer}"
        number = find_number(path, answer.body)
        assert number is not None, f"GET {ref}/{path}: not what was put: {answer.body[:80]!r}"
        newest = self._newest.setdefault(f"{ref}/{path}", number)
        assert number >= newest, f"GET {ref}/{path}: write {number} after write {newest}"
        self._newest[f"{ref}/{path}"] = number

    def _head(self, ref: str, path: str) -> None:
        answer = self.lake.send("HEAD", f"{ref}/{path}")
        assert answer.status == 200, f"HEAD {ref}/{path} answered {answer}"

    def _stat(self, ref: str, path: str) -> None:
        where = f"repositories/{REPOSITORY}/refs/{ref}/objects/stat"
        answer = self.rest.send("GET", where, query={"path": path})
        assert answer.status == 200, f"stat {ref}/{path} answered {answer}"

    def _list(self, ref: str, _path: str) -> None:
        found = self.lake.list(f"{ref}/pinned/", page=self.random.choice((7, 1_000)))
        wanted = {f"{ref}/{pinned_path(number)}" for number in range(PINNED)}
        assert set(found) == wanted, f"listing {ref}/pinned/: {sorted(found)}"

    def _folders(self, ref: str, _path: str) -> None:
        query = {"list-type": "2", "prefix": f"{ref}/p", "delimiter": "/", "max-keys": "2"}
        answer = self.lake.send("GET", "", query)
        assert answer.status == 200, f"folders of {ref} answered {answer}"
        found = [one.text for one in answer.xml.findall("CommonPrefixes/Prefix")]
        assert found == [f"{ref}/pinned/"], f"folders of {ref}: {found}"


class Uploader(Client):
    """Multipart uploads: parts in any order and sent again, completes repeated, aborts."""

    pause_s = 0.3

    def step(self) -> None:
        """Make one upload."""
        is_raw = self.random.random() < 0.3
        s3 = self.raw if is_raw else self.lake
        path = ("" if is_raw else "dev/") + f"{self.plan.name}/{self.random.randrange(8)}"
        upload = self._start(s3, path)
        if upload is None:
            return
        sizes = [_PART_BYTES] * self.random.choice((0, 1, 1, 2)) + [
            self.random.randrange(1, 90_000)
        ]
        parts = [self._body(path, size) for size in sizes]
        order = list(range(len(parts)))
        self.random.shuffle(order)
        for index in order:
            if self.random.random() < 0.3:
                draft = self._body(path, len(parts[index]) // 2 + 1)
                self._send_part(s3, path, upload, index + 1, draft)
            if not self._send_part(s3, path, upload, index + 1, parts[index]):
                return
        if self.random.random() < 0.15:
            self._abort(s3, path, upload)
        else:
            self._complete(s3, path, upload, parts)

    def _body(self, path: str, size_bytes: int) -> bytes:
        self.number += 1
        return make_body(path, self.number, size_bytes)

    def _start(self, s3: S3, path: str) -> str | None:
        try:
            answer = s3.send("POST", path, {"uploads": ""})
        except Lost:
            return None
        if answer.status != 200:
            self.journal.wrong(f"create upload {path} answered {answer}")
            return None
        return answer.xml.findtext("UploadId")

    def _send_part(self, s3: S3, path: str, upload: str, number: int, body: bytes) -> bool:
        query = {"partNumber": str(number), "uploadId": upload}
        answer = self.again(lambda: s3.send("PUT", path, query, body))
        if answer.status == 200 and answer.etag == state_of(body)[0]:
            return True
        self.journal.wrong(f"part {number} of {path} answered {answer}, ETag {answer.etag}")
        return False

    def _complete(self, s3: S3, path: str, upload: str, parts: list[bytes]) -> None:
        etag = multipart_etag(parts)
        becomes = state_of(b"".join(parts), etag)
        body = completion([state_of(part)[0] for part in parts])
        query = {"uploadId": upload}
        times = self.random.choice((1, 1, 2))
        while times:
            end = self.change(
                "complete", s3, path, becomes, lambda: s3.send("POST", path, query, body)
            )
            if end == "refused":
                return
            # Until it is answered: what a client with retries does after a lost answer.
            times -= end == "done"
        self.journal.note(
            "completed", bucket=s3.bucket, path=path, upload=upload, body=body.decode(), etag=etag
        )

    def _abort(self, s3: S3, path: str, upload: str) -> None:
        query = {"uploadId": upload}
        answer = self.again(lambda: s3.send("DELETE", path, query))
        if answer.status not in (204, 404):
            self.journal.wrong(f"abort of {path} answered {answer}")
        after = self.again(lambda: s3.send("GET", path, query))
        if after.status != 404:
            self.journal.wrong(f"parts of {path} after its abort answered {after}")


def completion(etags: list[str]) -> bytes:
    """Return the body of a complete that lists all parts."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def _difference(found: dict[str, str], wanted: dict[str, str]) -> dict[str, Any]:
    names = found.keys() | wanted.keys()
    return {
        name: (found.get(name), wanted.get(name))
        for name in sorted(names)
        if found.get(name) != wanted.get(name)
    }
