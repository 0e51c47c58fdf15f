"""Refs of a repository: reading at a branch, a tag, a commit or an expression such as `main~2`."""

import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, overload

from anabranch.client import answers, copies, html
from anabranch.client.connections import Connections
from anabranch.client.copies import Copied
from anabranch.client.files import READ_MODES, ObjectReader
from anabranch.client.lists import Diff, LazyList, Listing
from anabranch.client.merged import Merge, MergeConflicted
from anabranch.client.s3_access import s3_uri
from anabranch.client.transfers import Watcher
from anabranch.client.values import ObjectInfo, change_of, conflict_of, object_of, time_of
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind, NotFound
from anabranch.kernel.refs import parse_ref

Strategy = Literal["source-wins", "dest-wins"]


class Ref:
    """Anything that stands for a commit. It is asked for when it is used, not before.

    What is read at a branch is what is uncommitted on it, over its head. Threads may share refs.
    Every method may raise NotFound, Forbidden, Unavailable and what else docs/python.md lists.
    """

    def __init__(self, connections: Connections, repository: str, name: str) -> None:
        parse_ref(name)
        self._connections = connections
        self.repository = repository
        """The name of the repository."""
        self.name = name
        """The branch, tag, commit id or expression."""

    @property
    def uri(self) -> str:
        """How the commands name it, as `lake://repository/main`; a slash in it is `%2F`."""
        return f"lake://{self.repository}/{self.name.replace('/', '%2F')}"

    def head(self) -> "Commit":
        """Return the commit it stands for now."""
        with self._connections.client() as client:
            found = client.get_commit(self.repository, self.name)
        return Commit(self._connections, self.repository, found)

    def log(
        self,
        *,
        first_parent: bool = False,
        since: datetime | None = None,
        paths: tuple[str, ...] = (),
        prefixes: tuple[str, ...] = (),
    ) -> "Log":
        """Return the commits behind it, newest first.

        `first_parent` leaves out what merges brought, `since` older commits; with `paths` or
        `prefixes` there are only commits that changed one of them.
        """
        return Log(
            self._connections,
            lambda client, amount: client.log(
                self.repository,
                self.name,
                first_parent=first_parent,
                since="" if since is None else since.astimezone().isoformat(),
                objects=paths,
                prefixes=prefixes,
                count=amount,
            ),
            lambda found: Commit(self._connections, self.repository, found),
            f"{self.uri} log",
        )

    def diff(self, other: "Ref | str", *, prefix: str = "", two_dot: bool = False) -> Diff:
        """Return what `other` changed since both parted: what merging it here would bring.

        With `two_dot`, how `other` differs from this ref, whatever their history.
        """
        right = name_of(other, self.repository)
        return Diff(
            self._connections,
            lambda client, amount: client.diff(
                self.repository,
                self.name,
                right,
                is_two_dot=two_dot,
                prefix=prefix,
                amount=amount,
            ),
            change_of,
            f"{self.uri} {'..' if two_dot else '...'} {right}",
        )

    def merge_into(
        self,
        branch: "Ref | str",
        *,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        strategy: Strategy | None = None,
        squash: bool = False,
        allow_empty: bool = False,
    ) -> Merge:
        """Merge it into a branch, all of it or nothing.

        `strategy` decides where both sides changed a path; without one, MergeConflicted lists all
        such paths. `squash` leaves this ref's history out. Conflict with NO_CHANGES when it would
        bring nothing, unless `allow_empty`.
        """
        dest = name_of(branch, self.repository)
        title = f"{self.uri} into {dest}"
        wanted: dict[str, Any] = {
            "message": message,
            "metadata": dict(metadata or {}),
            "strategy": strategy or "",
            "squash_merge": squash,
            "allow_empty": allow_empty,
        }
        with self._connections.client() as client:
            result = client.merge(self.repository, self.name, dest, wanted)
            if not isinstance(result, answers.MergeResult):
                raise self._conflicted(title, dest)
        made = Ref(self._connections, self.repository, f"{result.reference}~1")
        summary = result.summary
        return Merge(
            title,
            result.reference,
            summary.added,
            summary.removed,
            summary.changed,
            made.diff(result.reference, two_dot=True),
        )

    def _conflicted(self, title: str, dest: str) -> MergeConflicted:
        found = []
        has_more = False
        asked = self._connections.pages(
            lambda client: client.conflicts(self.repository, self.name, dest)
        )
        for page in asked:
            found += [conflict_of(one) for one in page]
            if len(found) > limits.CONFLICTS_TOLD_MAX:
                has_more = True
                break
        return MergeConflicted(title, tuple(found[: limits.CONFLICTS_TOLD_MAX]), has_more=has_more)

    # Objects

    def list(self, prefix: str = "", *, delimiter: str = "") -> Listing:
        """Return the objects under a prefix by path, in byte order.

        With a delimiter, paths that have it after the prefix are rolled up to a common prefix.
        """
        return Listing(
            self._connections,
            lambda client, amount: client.objects(
                self.repository, self.name, prefix=prefix, delimiter=delimiter, amount=amount
            ),
            object_of,
            f"{self.uri}/{prefix}",
        )

    def stat(self, path: str) -> ObjectInfo:
        """Return what is known of an object; NotFound when there is none."""
        with self._connections.client() as client:
            return object_of(client.stat(self.repository, self.name, path))

    def exists(self, path: str) -> bool:
        """Tell whether there is an object; NotFound when there is no such ref."""
        with self._connections.client() as client:
            return client.find(self.repository, self.name, path) is not None

    def read_bytes(self, path: str) -> bytes:
        """Return an object's bytes."""
        with self._connections.client() as client:
            return client.read_whole(self.repository, self.name, path)

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        """Return an object's text; unlike `open`, without turning line ends."""
        return self.read_bytes(path).decode(encoding)

    @overload
    def open(
        self, path: str, mode: Literal["rb"], *, buffering: int = limits.WINDOW_BYTES
    ) -> io.BufferedReader: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["r", "rt"] = "r",
        *,
        buffering: int = limits.WINDOW_BYTES,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...
    def open(
        self,
        path: str,
        mode: str = "r",
        *,
        buffering: int = limits.WINDOW_BYTES,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.IOBase:
        """Open an object to read: `rb` for bytes, `r` for text, seekable, by ranges.

        A read asks the server for at least `buffering` bytes (1 MiB). The file is the object that
        is there now: reading on after somebody overwrote the path raises PreconditionFailed. Only
        branches open files to write.
        """
        if mode not in READ_MODES:
            raise InvalidInput(
                Kind.VALUE, f"{self.uri}: cannot be opened with mode {mode!r}: r, rt or rb"
            )
        reader = ObjectReader(
            _Source(self._connections, self.repository, self.name), self.stat(path)
        )
        buffered = io.BufferedReader(reader, max(1, buffering))
        if mode == "rb":
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline)

    def download(
        self,
        prefix: str,
        folder: Path | str,
        *,
        threads: int = limits.TRANSFERS_DEFAULT,
        watcher: Watcher | None = None,
    ) -> Copied:
        """Download all objects under a folder of the lake, empty for all, into a local folder.

        Files with the same bytes are left as they are; what an earlier run left half done is gone
        on with. A file appears whole, its checksum compared, or not at all: Corrupted. The first
        error ends it, and what is done stays. A `watcher` is told how it goes on.
        """
        server = self._connections.server
        return copies.download(
            server, self.repository, self.name, prefix, Path(folder), threads, watcher
        )

    def s3_uri(self, path: str = "") -> str:
        """Return the S3 URI of a path, for programs that get `Repository.storage_options`."""
        return s3_uri(self.repository, self.name, path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ref):
            return NotImplemented
        return (self._connections.server, self.repository, self.name) == (
            other._connections.server,
            other.repository,
            other.name,
        )

    def __hash__(self) -> int:
        return hash((self.repository, self.name))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri}>"

    def __str__(self) -> str:
        return self.name

    def _repr_html_(self) -> str:
        """Return what it stands for as a table."""
        try:
            return html.facts(self.uri, type(self).__name__.lower(), commit_facts(self.head()))
        except AnabranchError as error:
            return html.failed(self.uri, error.message)


class Tag(Ref):
    """A fixed name of a commit."""

    def create(self, source: Ref | str) -> "Tag":
        """Give a commit this name; AlreadyExists when it is taken."""
        with self._connections.client() as client:
            client.create_tag(self.repository, self.name, name_of(source, self.repository))
        return self

    def delete(self) -> None:
        """Remove the name; the commit stays."""
        with self._connections.client() as client:
            client.delete_tag(self.repository, self.name)


class Commit(Ref):
    """A commit: it never changes, and is a ref to read at."""

    def __init__(self, connections: Connections, repository: str, found: answers.Commit) -> None:
        super().__init__(connections, repository, found.id)
        self.id = found.id
        """Its id, which is its name as a ref."""
        self.parents = tuple(found.parents)
        """The ids of the commits it was made on: none, one, or two of a merge."""
        self.message = found.message
        self.committer = found.committer
        self.time = time_of(found.creation_date)
        """When it was made, in UTC."""
        self.metadata: Mapping[str, str] = dict(found.metadata)

    def head(self) -> "Commit":
        """Return the commit itself."""
        return self

    def changes(self) -> Diff:
        """Return what it changed: the differences from its first parent."""
        if not self.parents:
            raise NotFound(
                Kind.COMMIT_NOT_FOUND,
                f"{self.id} is a first commit: it has no parent to differ from",
            )
        parent = Ref(self._connections, self.repository, self.parents[0])
        return parent.diff(self, two_dot=True)

    def __repr__(self) -> str:
        return f"<Commit {self.id[:12]} {first_line(self.message)!r}>"

    def _repr_html_(self) -> str:
        """Return what is known of it as a table; the server is not asked."""
        return html.facts(f"lake://{self.repository}/{self.id[:12]}", "commit", commit_facts(self))


class Log(LazyList[Commit]):
    """Commits, newest first."""

    def _table(self, rows: tuple[Commit, ...], *, has_more: bool) -> str:
        lanes = html.graph((one.id, one.parents) for one in rows)
        return html.table(
            self.title,
            (
                ("", "ab-graph"),
                ("Commit", "ab-tight"),
                ("Message", ""),
                ("Committer", "ab-tight"),
                ("Time (UTC)", "ab-tight"),
            ),
            (
                (
                    lane,
                    html.short_id(one.id),
                    html.one_line(first_line(one.message)),
                    (html.shown(one.committer), "ab-tight ab-dim"),
                    (html.time_text(one.time), "ab-tight ab-dim"),
                )
                for lane, one in zip(lanes, rows, strict=True)
            ),
            foot=html.more(len(rows), "no commits", has_more=has_more),
        )


class _Source:
    """Reads an object's bytes at a ref."""

    def __init__(self, connections: Connections, repository: str, ref: str) -> None:
        self._connections = connections
        self._at = repository, ref

    def part(self, info: ObjectInfo, offset: int, size_bytes: int) -> bytes:
        """Return a range."""
        with self._connections.client() as client:
            return client.read_range(*self._at, info.path, offset, size_bytes, info.checksum)

    def rest(self, info: ObjectInfo, offset: int) -> Iterator[bytes]:
        """Yield all from `offset` on."""
        with (
            self._connections.client() as client,
            client.read(*self._at, info.path, offset=offset, checksum=info.checksum) as download,
        ):
            yield from download.data


def name_of(ref: Ref | str, repository: str) -> str:
    """Return the text of a ref; raise InvalidInput for one of another repository."""
    if isinstance(ref, str):
        return ref
    if ref.repository != repository:
        raise InvalidInput(Kind.VALUE, f"{ref.uri} is not in repository {repository!r}")
    return ref.name


def first_line(message: str) -> str:
    """Return the first line of a message."""
    return next(iter(message.splitlines()), "")


def commit_facts(commit: Commit) -> tuple[tuple[str, html.Cell], ...]:
    """Return what a table tells of a commit."""
    rows = [
        ("Commit", html.short_id(commit.id)),
        ("Message", ("<br>".join(map(html.shown, commit.message.splitlines())), "")),
        ("Committer", (html.shown(commit.committer), "")),
        ("Time (UTC)", (html.time_text(commit.time), "")),
    ]
    if commit.parents:
        ids = " ".join(html.short_id(parent)[0] for parent in commit.parents)
        rows.append(("Parents" if len(commit.parents) > 1 else "Parent", (ids, "ab-id ab-tight")))
    rows += [(key, (html.shown(value), "")) for key, value in sorted(commit.metadata.items())]
    return tuple(rows)
