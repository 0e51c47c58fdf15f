"""Branches: writing objects, committing, and changing what a branch stands for."""

import io
import secrets
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal, overload

from anabranch.client import copies, html
from anabranch.client.connections import Connections
from anabranch.client.copies import Copied
from anabranch.client.files import READ_MODES, WRITE_MODES, ObjectWriter, TextWriter
from anabranch.client.lists import Diff
from anabranch.client.merged import Merge
from anabranch.client.refs import Commit, Ref, commit_facts, name_of
from anabranch.client.transfers import Watcher
from anabranch.client.transport import Upload
from anabranch.client.uploads import UploadOptions
from anabranch.client.values import ObjectInfo, change_of, object_of
from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AnabranchError,
    Conflict,
    InvalidInput,
    Kind,
    PreconditionFailed,
    Unavailable,
)
from anabranch.kernel.ids import parse_branch_id, parse_path

_TRANSACTION = "tx-"
_RANDOM_BYTES = 8


class Branch(Ref):
    """A movable name of a commit, with what is uncommitted on it.

    Threads may share a branch; a file opened on it is for one thread at a time.
    """

    def __init__(self, connections: Connections, repository: str, name: str) -> None:
        super().__init__(connections, repository, parse_branch_id(name))

    def create(
        self, source: Ref | str, *, exist_ok: bool = False, hidden: bool = False
    ) -> "Branch":
        """Make the branch where a ref is; a hidden one is not listed unless asked for.

        AlreadyExists when it is there; with `exist_ok` it then stays as it is.
        """
        wanted = name_of(source, self.repository)
        with self._connections.client() as client:
            try:
                client.create_branch(self.repository, self.name, wanted, is_hidden=hidden)
            except AnabranchError as error:
                if not exist_ok or error.kind is not Kind.BRANCH_EXISTS:
                    raise
        return self

    def delete(self) -> None:
        """Delete the branch with what is uncommitted on it."""
        with self._connections.client() as client:
            client.delete_branch(self.repository, self.name)

    # Commits

    def uncommitted(self, prefix: str = "") -> Diff:
        """Return what a commit would contain."""
        return Diff(
            self._connections,
            lambda client, amount: client.uncommitted(
                self.repository, self.name, prefix=prefix, amount=amount
            ),
            change_of,
            f"{self.uri} uncommitted",
        )

    def commit(
        self, message: str, metadata: Mapping[str, str] | None = None, *, allow_empty: bool = False
    ) -> Commit:
        """Commit what is uncommitted; Conflict with NO_CHANGES when there is nothing."""
        with self._connections.client() as client:
            made = client.commit(
                self.repository, self.name, message, metadata or {}, allow_empty=allow_empty
            )
        return Commit(self._connections, self.repository, made)

    def revert(
        self,
        ref: Ref | str,
        *,
        parent_number: int = 0,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        allow_empty: bool = False,
    ) -> Commit:
        """Undo a commit by a new one; return the branch's head after it.

        Of a merge, `parent_number` 1 keeps the side merged into, 2 the other. Conflict when later
        commits changed the same paths, or when the branch has uncommitted changes.
        """
        with self._connections.client() as client:
            client.revert(
                self.repository,
                self.name,
                name_of(ref, self.repository),
                parent_number=parent_number,
                message=message,
                metadata=metadata,
                allow_empty=allow_empty,
            )
        return self.head()

    def cherry_pick(self, ref: Ref | str, *, parent_number: int = 0) -> Commit:
        """Repeat a commit's changes by a new one; of a merge, those from a parent, 1 or 2."""
        with self._connections.client() as client:
            made = client.cherry_pick(
                self.repository,
                self.name,
                name_of(ref, self.repository),
                parent_number=parent_number,
            )
        return Commit(self._connections, self.repository, made)

    def reset(self, *, path: str = "", prefix: str = "") -> None:
        """Forget what is uncommitted: at a path, under a prefix, or all of it."""
        if path and prefix:
            raise InvalidInput(Kind.VALUE, "reset a path or a prefix, not both")
        kind = "object" if path else "common_prefix" if prefix else "reset"
        with self._connections.client() as client:
            client.reset_branch(self.repository, self.name, kind, path or prefix)

    def hard_reset(self, ref: Ref | str) -> None:
        """Move the branch to another commit; commits that only it had can be lost from sight."""
        wanted = name_of(ref, self.repository)
        with self._connections.client() as client:
            client.hard_reset_branch(self.repository, self.name, wanted)

    def transaction(self, message: str, metadata: Mapping[str, str] | None = None) -> "Transaction":
        """Return a hidden branch to write to in a `with` block; see `Transaction`.

        Its end raises MergeConflicted when the branch has changed the same paths meanwhile.
        """
        return Transaction(self._connections, self.repository, self.name, message, metadata or {})

    # Objects

    def write_bytes(
        self,
        path: str,
        data: bytes | Iterable[bytes],
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> ObjectInfo:
        """Write an object, at once and whole; an iterable is sent as it comes.

        PreconditionFailed when the path is taken and `if_absent` is set, or when its object has
        another checksum than `if_match`.
        """
        if isinstance(data, (bytes, bytearray, memoryview)):
            size_bytes: int | None = len(bytes(data))
            windows: Iterable[bytes] = (bytes(data),) if size_bytes else ()
        else:
            size_bytes, windows = None, data
        upload = Upload(
            windows, size_bytes, content_type, metadata or {}, if_match, "*" if if_absent else ""
        )
        return self._send(path, upload)

    def write_text(
        self,
        path: str,
        text: str,
        *,
        encoding: str = "utf-8",
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str = "",
    ) -> ObjectInfo:
        """Write a text as it is, without turning line ends; see `write_bytes`."""
        return self.write_bytes(
            path,
            text.encode(encoding),
            content_type=content_type or f"text/plain; charset={encoding}",
            metadata=metadata,
            if_absent=if_absent,
            if_match=if_match,
        )

    def upload(
        self,
        folder: Path | str,
        prefix: str = "",
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        threads: int = limits.TRANSFERS_DEFAULT,
        watcher: Watcher | None = None,
    ) -> Copied:
        """Upload all files of a local folder into a folder of the lake, empty for its top.

        Files with the same bytes are left out; large ones go in parts, and what an earlier run
        left half done is gone on with. Corrupted when the server stored other bytes. The first
        error ends it, and what is done stays. Without a `content_type` names tell it; a
        `watcher` is told how it goes on.
        """
        options = UploadOptions(content_type, dict(metadata or {}), threads)
        server = self._connections.server
        return copies.upload(
            server, self.repository, self.name, Path(folder), prefix, options, watcher
        )

    def copy(self, source_path: str, path: str, *, source: Ref | str = "") -> ObjectInfo:
        """Give an object, of this branch or at another ref, a second path; no bytes move."""
        ref = name_of(source, self.repository) or self.name
        with self._connections.client() as client:
            made = client.copy(
                self.repository, self.name, path, source_ref=ref, source_path=source_path
            )
        return object_of(made)

    def set_metadata(self, path: str, metadata: Mapping[str, str]) -> None:
        """Replace an object's metadata."""
        with self._connections.client() as client:
            client.set_metadata(self.repository, self.name, path, metadata)

    def delete_objects(self, paths: str | Iterable[str]) -> None:
        """Delete one path or many, 1,000 with a request; what is not there is no error.

        Raises InvalidInput when some are no paths: the others of their request are deleted.
        """
        for some in _batches([paths] if isinstance(paths, str) else paths):
            with self._connections.client() as client:
                errors = client.delete_objects(self.repository, self.name, some)
            if errors:
                told = "; ".join(f"{one.path!r}: {one.message}" for one in errors[:3])
                raise InvalidInput(
                    Kind.PATH, f"{len(errors):,} of {len(some):,} paths were not deleted: {told}"
                )

    def delete_prefix(self, prefix: str) -> int:
        """Delete all objects under a prefix, a page at a time; return how many there were."""
        count = 0
        for page in self.list(prefix).pages(amount=limits.DELETE_PATHS_MAX):
            self.delete_objects(one.path for one in page)
            count += len(page)
        return count

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
    @overload
    def open(
        self,
        path: str,
        mode: Literal["wb", "xb"],
        *,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        if_match: str = "",
    ) -> ObjectWriter: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["w", "wt", "x", "xt"],
        *,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        if_match: str = "",
    ) -> TextWriter: ...
    def open(
        self,
        path: str,
        mode: str = "r",
        *,
        buffering: int = limits.WINDOW_BYTES,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        if_match: str = "",
    ) -> io.IOBase:
        """Open an object: to read as any ref does, or to write with `wb`, `w`, `xb` or `x`.

        What is written becomes the object when the file is closed, and never when its block ends
        by an exception; see `ObjectWriter`. With `xb` and `x` the path must be free, at the
        opening and at the close; with `if_match` its object must have that checksum:
        PreconditionFailed.
        """
        if mode not in WRITE_MODES:
            if mode not in READ_MODES:
                raise InvalidInput(
                    Kind.VALUE,
                    f"{self.uri}: cannot be opened with mode {mode!r}: r, rt, rb, w, wt, wb, x, xt "
                    "or xb; objects are written whole, and never changed in their middle",
                )
            return super().open(  # type: ignore[call-overload,no-any-return]  # it checks the mode
                path, mode, buffering=buffering, encoding=encoding, errors=errors, newline=newline
            )
        parse_path(path)
        is_new = mode.startswith("x")
        if is_new and self.exists(path):
            raise PreconditionFailed(Kind.PRECONDITION, f"{self.uri}/{path} exists")
        sent = partial(
            self._send_file, path, content_type, dict(metadata or {}), if_match, "*" * is_new
        )
        writer = ObjectWriter(path, sent)
        if mode.endswith("b"):
            return writer
        return TextWriter(writer, encoding, errors, newline)

    def _send_file(
        self,
        path: str,
        content_type: str,
        metadata: Mapping[str, str],
        if_match: str,
        if_none_match: str,
        windows: Iterator[bytes],
        size_bytes: int,
    ) -> ObjectInfo:
        upload = Upload(windows, size_bytes, content_type, metadata, if_match, if_none_match)
        return self._send(path, upload)

    def _send(self, path: str, upload: Upload) -> ObjectInfo:
        with self._connections.client() as client:
            return object_of(client.write(self.repository, self.name, path, upload))

    def _repr_html_(self) -> str:
        """Return its head and what is uncommitted on it as a table."""
        try:
            head = self.head()
            changes = self.uncommitted().first(limits.NOTEBOOK_ROWS_MAX)
        except AnabranchError as error:
            return html.failed(self.uri, error.message)
        count = f"{'at least ' * (len(changes) == limits.NOTEBOOK_ROWS_MAX)}{len(changes)}"
        noun = "change" if len(changes) == 1 else "changes"
        said = (f"{count} {noun}", "ab-chg") if changes else ("nothing", "ab-dim")
        return html.facts(self.uri, "branch", (*commit_facts(head), ("Uncommitted", said)))


class Transaction(Branch):
    """A hidden branch that lives as long as a `with` block.

    It begins at the branch's head; Conflict when something is uncommitted there, as merges into
    such a branch are refused. At the end of the block what was written is committed and merged
    into the branch as one commit, and the hidden branch is gone. When the block raises, and when
    the merge conflicts, nothing has happened: the exception goes on. `merge` is the merge that
    was made, None before the end and when nothing was written. A transaction is used once.
    """

    def __init__(
        self,
        connections: Connections,
        repository: str,
        branch: str,
        message: str,
        metadata: Mapping[str, str],
    ) -> None:
        super().__init__(connections, repository, _TRANSACTION + secrets.token_hex(_RANDOM_BYTES))
        self.branch = branch
        """The name of the branch it goes into."""
        self.merge: Merge | None = None
        self._message = message
        self._metadata = dict(metadata)

    def __enter__(self) -> "Transaction":
        branch = Branch(self._connections, self.repository, self.branch)
        if branch.uncommitted().first(1):
            raise Conflict(
                Kind.DIRTY_BRANCH,
                f"{branch.uri} has uncommitted changes: commit or reset them, nothing can be "
                "merged into it before",
            )
        try:
            self.create(self.branch, hidden=True)
        except Unavailable:
            # The answer may have been lost, not the request.
            with suppress(AnabranchError):
                self.delete()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._forget()

    def _finish(self) -> None:
        try:
            self.commit(self._message, self._metadata)
        except Conflict as error:
            # The block may have committed by itself; the merge knows whether there is anything.
            if error.kind is not Kind.NO_CHANGES:
                raise
        try:
            self.merge = self.merge_into(
                self.branch, message=self._message, metadata=self._metadata, squash=True
            )
        except Conflict as error:
            if error.kind is not Kind.NO_CHANGES:
                raise

    def _forget(self) -> None:
        try:
            self.delete()
        except AnabranchError as error:
            # What happened to the block matters more: its outcome is what the caller must learn.
            warnings.warn(
                f"the hidden branch {self.uri} is left: {error.message}",
                RuntimeWarning,
                stacklevel=3,
            )


def _batches(paths: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(paths)
    while some := list(islice(remaining, limits.DELETE_PATHS_MAX)):
        yield some
