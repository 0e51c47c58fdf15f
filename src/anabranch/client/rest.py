"""A small typed client of the REST API: one method for each request that commands make.

Lists are iterators of pages, of which one is held at a time.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import msgspec

from anabranch.client.answers import (
    Change,
    Commit,
    Config,
    ConflictingMerge,
    ImportStarted,
    ImportStatus,
    MergeConflict,
    MergeResult,
    ObjectError,
    ObjectErrors,
    ObjectStats,
    Page,
    Ref,
    RefsDump,
    Repository,
    StorageUri,
    TaskStarted,
    TaskStatus,
)
from anabranch.client.transport import Download, Query, Transport, Upload
from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, NotFound

T = TypeVar("T")
_CONFLICT = 409


class Client:
    """The operations of a server. Every method may raise what `Transport` raises."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def config(self) -> Config:
        """Return what the server says of itself."""
        return self._get(("config",), {}, Config)

    # Repositories

    def repositories(
        self, *, prefix: str = "", amount: int = limits.PAGE_MAX
    ) -> Iterator[list[Repository]]:
        """Yield all repositories by name."""
        query = {"prefix": prefix}
        return self._pages(("repositories",), query, Page[Repository], amount=amount)

    def repository(self, repository: str) -> Repository:
        """Return one repository."""
        return self._get(("repositories", repository), {}, Repository)

    def create_repository(
        self,
        repository: str,
        namespace: str,
        *,
        default_branch: str,
        is_read_only: bool,
        is_bare: bool = False,
    ) -> Repository:
        """Make a repository; a bare one has no refs, until a dump is restored into it."""
        body = {
            "name": repository,
            "storage_namespace": namespace,
            "default_branch": default_branch,
            "read_only": is_read_only,
        }
        return self._send("POST", ("repositories",), {"bare": is_bare}, body, Repository)

    def delete_repository(self, repository: str, *, is_forced: bool) -> None:
        """Forget a repository."""
        self._transport.call("DELETE", ("repositories", repository), {"force": is_forced})

    # Branches and tags

    def branches(
        self,
        repository: str,
        *,
        prefix: str = "",
        with_hidden: bool = False,
        amount: int = limits.PAGE_MAX,
    ) -> Iterator[list[Ref]]:
        """Yield all branches by name."""
        query: Query = {"prefix": prefix, "show_hidden": with_hidden}
        segments = ("repositories", repository, "branches")
        return self._pages(segments, query, Page[Ref], amount=amount)

    def branch(self, repository: str, branch: str) -> Ref:
        """Return one branch."""
        return self._get(_branch(repository, branch), {}, Ref)

    def create_branch(
        self, repository: str, branch: str, source: str, *, is_hidden: bool = False
    ) -> Ref:
        """Make a branch where a ref is; a hidden one is not listed unless asked for."""
        body = msgspec.json.encode({"name": branch, "source": source, "hidden": is_hidden})
        _, head = self._transport.call("POST", ("repositories", repository, "branches"), None, body)
        return Ref(branch, head.decode())

    def delete_branch(self, repository: str, branch: str) -> None:
        """Delete a branch with what is uncommitted on it."""
        self._transport.call("DELETE", _branch(repository, branch))

    def reset_branch(self, repository: str, branch: str, kind: str, path: str = "") -> None:
        """Forget what is uncommitted: kind is reset, common_prefix or object."""
        body = msgspec.json.encode({"type": kind, "path": path})
        self._transport.call("PUT", _branch(repository, branch), None, body)

    def hard_reset_branch(self, repository: str, branch: str, ref: str) -> None:
        """Move a branch to another commit."""
        self._transport.call("PUT", (*_branch(repository, branch), "hard_reset"), {"ref": ref})

    def tags(
        self, repository: str, *, prefix: str = "", amount: int = limits.PAGE_MAX
    ) -> Iterator[list[Ref]]:
        """Yield all tags by name."""
        segments = ("repositories", repository, "tags")
        return self._pages(segments, {"prefix": prefix}, Page[Ref], amount=amount)

    def create_tag(self, repository: str, tag: str, ref: str) -> Ref:
        """Give a commit a fixed name."""
        body = {"id": tag, "ref": ref}
        return self._send("POST", ("repositories", repository, "tags"), {}, body, Ref)

    def delete_tag(self, repository: str, tag: str) -> None:
        """Remove a tag."""
        self._transport.call("DELETE", ("repositories", repository, "tags", tag))

    # Commits, differences, merges

    def commit(
        self,
        repository: str,
        branch: str,
        message: str,
        metadata: Mapping[str, str],
        *,
        allow_empty: bool,
    ) -> Commit:
        """Commit what is uncommitted on a branch."""
        body = {"message": message, "metadata": dict(metadata), "allow_empty": allow_empty}
        return self._send("POST", (*_branch(repository, branch), "commits"), {}, body, Commit)

    def get_commit(self, repository: str, ref: str) -> Commit:
        """Return the commit that a ref stands for."""
        return self._get(("repositories", repository, "commits", ref), {}, Commit)

    def log(
        self,
        repository: str,
        ref: str,
        *,
        first_parent: bool,
        since: str = "",
        objects: Iterable[str] = (),
        prefixes: Iterable[str] = (),
        count: int | None = None,
    ) -> Iterator[list[Commit]]:
        """Yield the commits behind a ref, newest first; a `count` makes pages no larger."""
        query: dict[str, Any] = {
            "first_parent": first_parent,
            "objects": objects,
            "prefixes": prefixes,
        }
        if since:
            query["since"] = since
        amount = limits.PAGE_MAX if count is None else min(count, limits.PAGE_MAX)
        segments = _ref(repository, ref, "commits")
        return self._pages(segments, query, Page[Commit], amount=amount)

    def uncommitted(
        self, repository: str, branch: str, *, prefix: str = "", amount: int = limits.PAGE_MAX
    ) -> Iterator[list[Change]]:
        """Yield what is uncommitted on a branch, by path."""
        segments = (*_branch(repository, branch), "diff")
        return self._pages(segments, {"prefix": prefix}, Page[Change], amount=amount)

    def diff(
        self,
        repository: str,
        left: str,
        right: str,
        *,
        is_two_dot: bool,
        prefix: str = "",
        amount: int = limits.PAGE_MAX,
    ) -> Iterator[list[Change]]:
        """Yield what changed to `right`: from `left`, or from the merge base of both."""
        query = {"prefix": prefix, "type": "two_dot" if is_two_dot else "three_dot"}
        segments = _ref(repository, left, "diff", right)
        return self._pages(segments, query, Page[Change], amount=amount)

    def merge(
        self, repository: str, source: str, dest: str, wanted: Mapping[str, Any]
    ) -> MergeResult | list[MergeConflict]:
        """Merge a ref into a branch, or return the first page of what conflicts."""
        segments = _ref(repository, source, "merge", dest)
        status, data = self._transport.call(
            "POST", segments, None, msgspec.json.encode(wanted), accepted=(_CONFLICT,)
        )
        if status != _CONFLICT:
            return self._decode("POST", segments, data, MergeResult)
        try:
            return msgspec.json.decode(data, type=ConflictingMerge).conflicts.results
        except msgspec.MsgspecError:
            raise self._transport.refused(status, data, "POST", segments) from None

    def conflicts(self, repository: str, source: str, dest: str) -> Iterator[list[MergeConflict]]:
        """Yield all that a merge could not decide, by path; nothing is merged."""
        segments = _ref(repository, source, "merge", dest, "conflicts")
        return self._pages(segments, {}, Page[MergeConflict])

    def revert(
        self,
        repository: str,
        branch: str,
        ref: str,
        *,
        parent_number: int = 0,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        allow_empty: bool = False,
    ) -> None:
        """Undo a commit by a new one; of a merge `parent_number`, 1 or 2, names what stays."""
        body = {
            "ref": ref,
            "parent_number": parent_number,
            "allow_empty": allow_empty,
            "commit_overrides": {"message": message, "metadata": dict(metadata or {})},
        }
        segments = (*_branch(repository, branch), "revert")
        self._transport.call("POST", segments, None, msgspec.json.encode(body))

    def cherry_pick(
        self, repository: str, branch: str, ref: str, *, parent_number: int = 0
    ) -> Commit:
        """Repeat what a commit changed; of a merge `parent_number` is the side compared with."""
        body = {"ref": ref, "parent_number": parent_number}
        return self._send("POST", (*_branch(repository, branch), "cherry-pick"), {}, body, Commit)

    # Imports

    def start_import(
        self,
        repository: str,
        branch: str,
        sources: Iterable[Mapping[str, str]],
        message: str,
        metadata: Mapping[str, str],
    ) -> str:
        """Start adopting objects and return its name.

        A source has `type`, `path` and `destination`.
        """
        body = {
            "paths": [dict(one) for one in sources],
            "commit": {"message": message, "metadata": dict(metadata)},
        }
        segments = (*_branch(repository, branch), "import")
        return self._send("POST", segments, {}, body, ImportStarted).id

    def import_status(self, repository: str, branch: str, import_id: str) -> ImportStatus:
        """Return how far an import is."""
        segments = (*_branch(repository, branch), "import")
        return self._get(segments, {"id": import_id}, ImportStatus)

    def cancel_import(self, repository: str, branch: str, import_id: str) -> None:
        """Stop an import: nothing of it becomes visible."""
        segments = (*_branch(repository, branch), "import")
        self._transport.call("DELETE", segments, {"id": import_id})

    # Refs as a whole

    def start_dump(self, repository: str) -> str:
        """Start to write refs into the storage namespace; return the task's name."""
        return self._send("POST", ("repositories", repository, "dump"), {}, {}, TaskStarted).id

    def dump_status(self, repository: str, task: str) -> TaskStatus:
        """Return how a dump is."""
        return self._get(("repositories", repository, "dump"), {"task_id": task}, TaskStatus)

    def start_restore(self, repository: str, dump: RefsDump, *, is_forced: bool = False) -> str:
        """Start to restore a dump into a bare repository; return the task's name."""
        body = {**msgspec.to_builtins(dump), "force": is_forced}
        segments = ("repositories", repository, "restore")
        return self._send("POST", segments, {}, body, TaskStarted).id

    def restore_status(self, repository: str, task: str) -> TaskStatus:
        """Return how a restore is."""
        return self._get(("repositories", repository, "restore"), {"task_id": task}, TaskStatus)

    def create_symlinks(self, repository: str, ref: str, folder: str = "") -> str:
        """Write files that name the addresses of objects, by folder; return where they lie."""
        segments = _ref(repository, ref, "symlink")
        return self._send("POST", segments, {"location": folder}, {}, StorageUri).location

    # Objects

    def objects(
        self,
        repository: str,
        ref: str,
        *,
        prefix: str,
        delimiter: str,
        amount: int = limits.PAGE_MAX,
    ) -> Iterator[list[ObjectStats]]:
        """Yield the objects under a prefix in byte order, rolled up at the delimiter."""
        query = {"prefix": prefix, "delimiter": delimiter}
        segments = _ref(repository, ref, "objects", "ls")
        return self._pages(segments, query, Page[ObjectStats], amount=amount)

    def stat(self, repository: str, ref: str, path: str) -> ObjectStats:
        """Return what is known of an object."""
        return self._get(_ref(repository, ref, "objects", "stat"), {"path": path}, ObjectStats)

    def find(self, repository: str, ref: str, path: str) -> ObjectStats | None:
        """Return what is known of an object, None when there is none."""
        try:
            return self.stat(repository, ref, path)
        except NotFound as error:
            if error.kind is not Kind.OBJECT_NOT_FOUND:
                raise
            return None

    def read(
        self,
        repository: str,
        ref: str,
        path: str,
        *,
        offset: int = 0,
        last: int | None = None,
        checksum: str = "",
    ) -> AbstractContextManager[Download]:
        """Give an object's bytes from `offset` to `last`, included, while the block lasts.

        With a `checksum` those of that object alone: PreconditionFailed when the path has another.
        """
        headers = {"if-match": f'"{checksum}"'} if checksum else {}
        if offset or last is not None:
            headers["range"] = f"bytes={offset}-{'' if last is None else last}"
        return self._transport.download(_ref(repository, ref, "objects"), {"path": path}, headers)

    def write(self, repository: str, branch: str, path: str, upload: Upload) -> ObjectStats:
        """Write an object."""
        segments = (*_branch(repository, branch), "objects")
        data = self._transport.upload(segments, {"path": path}, upload)
        return self._decode("POST", segments, data, ObjectStats)

    def copy(
        self, repository: str, branch: str, path: str, *, source_ref: str, source_path: str
    ) -> ObjectStats:
        """Give an object of the same repository a second path; no bytes move."""
        segments = (*_branch(repository, branch), "objects", "copy")
        body = {"src_path": source_path, "src_ref": source_ref}
        return self._send("POST", segments, {"dest_path": path}, body, ObjectStats)

    def read_whole(self, repository: str, ref: str, path: str) -> bytes:
        """Return an object's bytes, held whole, over the kept connection."""
        return self._transport.call("GET", _ref(repository, ref, "objects"), {"path": path})[1]

    def read_range(
        self, repository: str, ref: str, path: str, offset: int, size_bytes: int, checksum: str
    ) -> bytes:
        """Return a part of an object, held whole, over the kept connection; as `read` besides."""
        segments = _ref(repository, ref, "objects")
        headers = {
            "if-match": f'"{checksum}"',
            "range": f"bytes={offset}-{offset + size_bytes - 1}",
        }
        return self._transport.call("GET", segments, {"path": path}, headers=headers)[1]

    def set_metadata(
        self, repository: str, branch: str, path: str, metadata: Mapping[str, str]
    ) -> None:
        """Replace an object's metadata."""
        segments = (*_branch(repository, branch), "objects", "stat", "user_metadata")
        body = msgspec.json.encode({"set": dict(metadata)})
        self._transport.call("PUT", segments, {"path": path}, body)

    def delete_object(self, repository: str, branch: str, path: str) -> None:
        """Delete one path, there or not."""
        self._transport.call("DELETE", (*_branch(repository, branch), "objects"), {"path": path})

    def delete_objects(self, repository: str, branch: str, paths: list[str]) -> list[ObjectError]:
        """Delete up to a page of paths; return those that stayed."""
        segments = (*_branch(repository, branch), "objects", "delete")
        return self._send("POST", segments, {}, {"paths": paths}, ObjectErrors).errors

    def _get(self, segments: tuple[str, ...], query: Query, kind: type[T]) -> T:
        _, data = self._transport.call("GET", segments, query)
        return self._decode("GET", segments, data, kind)

    def _send(
        self, method: str, segments: tuple[str, ...], query: Query, body: object, kind: type[T]
    ) -> T:
        _, data = self._transport.call(method, segments, query, msgspec.json.encode(body))
        return self._decode(method, segments, data, kind)

    def _pages(
        self,
        segments: tuple[str, ...],
        query: Query,
        kind: type[Page[T]],
        *,
        amount: int = limits.PAGE_MAX,
    ) -> Iterator[list[T]]:
        after = ""
        while True:
            page = self._get(segments, {**query, "after": after, "amount": amount}, kind)
            yield page.results
            if not page.pagination.has_more:
                return
            after = page.pagination.next_offset

    def _decode(self, method: str, segments: tuple[str, ...], data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError:
            raise self._transport.foreign(method, segments) from None


def _branch(repository: str, branch: str) -> tuple[str, ...]:
    return ("repositories", repository, "branches", branch)


def _ref(repository: str, ref: str, *rest: str) -> tuple[str, ...]:
    return ("repositories", repository, "refs", ref, *rest)
