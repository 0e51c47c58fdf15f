"""Files of the server's own disk that may be imported: only under configured roots.

A URI is `local:///<absolute path>`, with no authority, which tells it from the addresses of the
block store. Nothing below a root is reached through a symbolic link, neither when files are listed
nor when they are read, so that no link leads out of it. The server's own directory, which may lie
below a root, is never entered.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from anabranch.kernel import limits
from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE
from anabranch.kernel.errors import (
    Corrupted,
    Forbidden,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from anabranch.kernel.ids import parse_path
from anabranch.native.files import Files
from anabranch.native.ranges import Entries
from anabranch.storage.blocks.base import Block, BlockStore, Extent

SCHEME = "local:///"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking, so that a FIFO put in a file's place is refused instead of waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_RUN_FILES_MAX = 5_000  # of one directory at a time
_NAME_BYTES_MAX = 255  # of any file system

Inode = tuple[int, int]
"""Device and number of a file."""


@dataclass(frozen=True, slots=True)
class FileRun:
    """Regular files of one directory, in byte order of their names: from `start` to `stop`.

    `directory` is relative to where the walk began, empty or with a slash at its end; `base` is the
    directory's URI with a slash. `is_single`: the walk began at this one file.
    """

    directory: str
    base: str
    files: Files
    start: int
    stop: int
    is_single: bool = False

    def rows(self, prefix: str) -> Entries:
        """Return their entries at `prefix`, the directory and the name.

        Raises InvalidInput when that is too long for a path.
        """
        head = prefix + self.directory
        if len(head.encode()) + _NAME_BYTES_MAX > limits.PATH_BYTES_MAX:
            for index in range(self.start, self.stop):
                parse_path(head + self.files.name(index))
        return self.files.rows(self.start, self.stop, head, self.base, DEFAULT_CONTENT_TYPE)


def checksum_of(uri: str, size_bytes: int, mtime_us: int) -> str:
    """Return the checksum of an imported file, which says nothing about its bytes.

    32 hex digits of name, size and mtime: it is not read (docs/protocol.md 3.6). `Files.rows` of
    the native library makes the same for many.
    """
    text = f"{uri}\n{size_bytes}\n{mtime_us}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class LocalFiles:
    """The files under `roots`, which are URIs like `local:///srv/data`.

    `own` is the server's directory: keys and the data of all repositories are in it.
    """

    def __init__(self, roots: Sequence[str], *, own: FilePath | None = None) -> None:
        parts = (_parts_of(root) for root in roots if root.startswith(SCHEME))
        self._roots = tuple(root for root in parts if not _is_inside(root, own))
        self._own = None if own is None else _inode_of(own.stat())

    def walk(self, uri: str) -> Iterator[FileRun]:
        """Yield the files below a directory in byte order of their paths, or the one at `uri`.

        Raises Forbidden outside the roots and at symbolic links, NotFound, InvalidInput for names
        that are not UTF-8.
        """
        root, parts = self._allowed(uri)
        base = SCHEME + "/".join(parts)
        if not uri.endswith("/"):
            descriptor = _open(root, parts, _FILE, self._own)
            try:
                found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if stat.S_ISREG(found.st_mode):
                name = parts[-1]
                mtime_us = found.st_mtime_ns // 1_000
                place = base[: -len(name)]
                one = Files([name], [found.st_size], [mtime_us])
                yield FileRun("", place, one, 0, 1, is_single=True)
                return
        yield from _walk(root, parts, base, "", self._own)

    def names(self, uri: str) -> list[tuple[str, bool]]:
        """Return (name, is directory) of what lies in a directory; empty when there is none.

        Links and special files are left out, and names that are not UTF-8. Raises Forbidden
        outside the roots, LimitExceeded for more than DIRECTORY_NAMES_MAX names.
        """
        root, parts = self._allowed(uri)
        try:
            descriptor = _open(root, parts, _DIRECTORY, self._own)
        except NotFound:
            return []
        found: list[tuple[str, bool]] = []
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if not is_directory and not entry.is_file(follow_symlinks=False):
                        continue
                    if _is_utf8(entry.name):
                        found.append((entry.name, is_directory))
                    if len(found) > limits.DIRECTORY_NAMES_MAX:
                        raise LimitExceeded(
                            Kind.TOO_MANY, f"too many names in the directory {uri!r}"
                        )
        except OSError as error:
            raise _unreadable(uri, error) from error
        finally:
            os.close(descriptor)
        return found

    def find(self, uri: str) -> Block | None:
        """Return a file as a block, None when there is none; raise Forbidden outside the roots."""
        root, parts = self._allowed(uri)
        try:
            descriptor = _open(root, parts, _FILE, self._own)
        except NotFound:
            return None
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        mtime_us = found.st_mtime_ns // 1_000
        etag = checksum_of(uri, found.st_size, mtime_us)
        extents = (Extent(uri, 0, found.st_size),)
        return Block(uri, found.st_size, etag, mtime_us, extents)

    def read(self, block: Block, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes; raise Corrupted when the file is not what it was."""
        root, parts = self._allowed(block.address)
        descriptor = _open(root, parts, _FILE, self._own)
        try:
            found = os.fstat(descriptor)
            mtime_us = found.st_mtime_ns // 1_000
            pieces = []
            wanted = length
            while wanted and (data := os.pread(descriptor, wanted, offset)):
                pieces.append(data)
                offset += len(data)
                wanted -= len(data)
        except OSError as error:
            raise _unreadable(block.address, error) from error
        finally:
            os.close(descriptor)
        if wanted or checksum_of(block.address, found.st_size, mtime_us) != block.etag:
            raise Corrupted(
                Kind.BLOCK_DAMAGED, f"the imported file {block.address!r} has changed since"
            )
        return b"".join(pieces)

    def path(self, block: Block) -> FilePath:
        """Return where the file is, for engines that read by path."""
        _, parts = self._allowed(block.address)
        return FilePath("/", *parts)

    def check(self, uri: str) -> None:
        """Raise Forbidden(IMPORT_SOURCE) unless a URI lies under a root."""
        self._allowed(uri)

    def _allowed(self, uri: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        parts = _parts_of(uri)
        for root in self._roots:
            if parts[: len(root)] == root:
                return root, parts
        raise Forbidden(
            Kind.IMPORT_SOURCE, f"{uri!r} lies under none of the places imports may read"
        )


class WithFiles:
    """A block store that also reads imported local files where they are."""

    def __init__(self, inner: BlockStore, files: LocalFiles) -> None:
        self._inner = inner
        self._files = files
        self.put = inner.put
        self.join = inner.join
        self.open_writer = inner.open_writer
        self.list = inner.list
        self.removal = inner.removal
        self.buckets = inner.buckets
        self.has_bucket = inner.has_bucket
        self.bucket_creation = inner.bucket_creation
        self.flush = inner.flush
        self.close = inner.close

    @property
    def is_local(self) -> bool:
        """Tell whether reads may be answered from the page cache."""
        return self._inner.is_local

    def find(self, address: str) -> Block | None:
        """Return the object or file at `address`, None when there is none."""
        return self._files.find(address) if is_file(address) else self._inner.find(address)

    def get(self, address: str) -> Block:
        """Return the object or file at `address`; raise NotFound(BLOCK_NOT_FOUND)."""
        block = self.find(address)
        if block is None:
            raise NotFound(Kind.BLOCK_NOT_FOUND, f"no object at {address!r}")
        return block

    def read(self, block: Block, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`; may block."""
        reader = self._files if is_file(block.address) else self._inner
        return reader.read(block, offset, length)

    def read_now(self, block: Block, offset: int, length: int) -> bytes | None:
        """Return the same when it need not wait; a file outside the store always may."""
        return None if is_file(block.address) else self._inner.read_now(block, offset, length)

    def local_path(self, block: Block) -> FilePath:
        """Return a file that holds exactly the object's bytes."""
        if is_file(block.address):
            return self._files.path(block)
        return self._inner.local_path(block)


def is_file(uri: str) -> bool:
    """Tell whether a URI names a local file and not an object of the block store."""
    return uri.startswith(SCHEME)


def _parts_of(uri: str) -> tuple[str, ...]:
    parts = uri[len(SCHEME) :].rstrip("/").split("/")
    if not uri.startswith(SCHEME) or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InvalidInput(Kind.IMPORT_SOURCE, f"not the URI of a local file: {uri!r}")
    return tuple(parts)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_inside(root: Sequence[str], own: FilePath | None) -> bool:
    """Tell whether a root is the server's directory or lies in it."""
    return own is not None and FilePath("/", *root).resolve().is_relative_to(own.resolve())


def _inode_of(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino


def _open(root: Sequence[str], parts: Sequence[str], flags: int, own: Inode | None) -> int:
    """Open what `parts` name; links are followed in the root's own name alone.

    Raises Forbidden at the directory `own`, by whatever name it was reached.
    """

    def checked(descriptor: int) -> int:
        if _inode_of(os.fstat(descriptor)) == own:
            os.close(descriptor)
            raise Forbidden(
                Kind.IMPORT_SOURCE, f"{'/' + '/'.join(parts)!r} leads to the server's own data"
            )
        return descriptor

    below = parts[len(root) :]
    path = "/" + "/".join(root)
    try:
        if not below:
            return os.open(path, flags & ~os.O_NOFOLLOW)
        directory = os.open(path, _DIRECTORY & ~os.O_NOFOLLOW)
        for part in below[:-1]:
            directory = checked(_step(directory, part, _DIRECTORY))
        return checked(_step(directory, below[-1], flags))
    except FileNotFoundError as error:
        raise NotFound(Kind.BLOCK_NOT_FOUND, f"no file {'/' + '/'.join(parts)!r}") from error
    except OSError as error:
        raise Forbidden(
            Kind.IMPORT_SOURCE,
            f"{'/' + '/'.join(parts)!r} cannot be read, or is behind a link: {error.strerror}",
        ) from error


def _unreadable(uri: str, error: OSError) -> Unavailable:
    return Unavailable(Kind.STORE_FAILED, f"{uri!r} could not be read: {error.strerror}")


def _step(directory: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=directory)
    finally:
        os.close(directory)


def _walk(
    root: Sequence[str], parts: Sequence[str], base: str, relative: str, own: Inode | None
) -> Iterator[FileRun]:
    """Yield regular files of a directory and those below, in byte order of whole paths."""
    if len(relative.encode(errors="surrogateescape")) > limits.PATH_BYTES_MAX:
        raise InvalidInput(Kind.IMPORT_SOURCE, f"a directory lies too deep: {relative[:80]!r}...")
    descriptor = _open(root, parts, _DIRECTORY, own)
    try:
        found = Files.in_directory(descriptor)
    except OSError as error:
        raise _unreadable(base, error) from error
    finally:
        os.close(descriptor)
    if found.misnamed is not None:
        raise InvalidInput(Kind.IMPORT_SOURCE, f"a file name is not UTF-8: {found.misnamed!r}")
    if found.link is not None:
        raise Forbidden(
            Kind.IMPORT_SOURCE,
            f"{relative + found.link!r} is a symbolic link; imports do not follow links",
        )
    start = 0
    while start < len(found):
        end = found.next_directory(start)
        for first in range(start, end, _RUN_FILES_MAX):
            yield FileRun(relative, f"{base}/", found, first, min(first + _RUN_FILES_MAX, end))
        if end < len(found):
            name = found.name(end).removesuffix("/")
            yield from _walk(root, [*parts, name], f"{base}/{name}", f"{relative}{name}/", own)
        start = end + 1
