"""Uploads of files and folders: in parallel, checked by their MD5, and gone on with after an end.

A file that is there with the same checksum is skipped. A large one is sent in parts by multipart;
the parts that an earlier run sent, and that are the same still, are not sent again. An object
appears whole or not at all.
"""

import hashlib
import mimetypes
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msgspec import UnsetType

from anabranch.client.answers import ObjectStats
from anabranch.client.checksums import (
    is_same,
    join_md5s,
    local_error,
    md5_of,
    part_bytes,
    stamp,
    windows,
)
from anabranch.client.multipart import Multipart, SentPart
from anabranch.client.rest import Client
from anabranch.client.transfers import Crew, Meter, Silent, Transferred, Watcher
from anabranch.client.transport import Server, Upload
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Corrupted, InvalidInput, Kind
from anabranch.kernel.ids import parse_path

_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload, and where to."""

    file: Path
    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """How objects are made; an empty content type is guessed by the name."""

    content_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    threads: int = limits.TRANSFERS_DEFAULT


def walk_files(
    folder: Path, prefix: str, leave_out: Callable[[Path], None] | None = None
) -> Iterator[LocalFile]:
    """Yield the regular files under a folder in the byte order of their paths in the lake.

    Links to files are followed. `leave_out` is told of what is no file: links to folders or to
    nothing, pipes, sockets, devices. Raises InvalidInput for a name that is not UTF-8 and what
    reading a folder raises.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=_order)
    except OSError as error:
        raise local_error(folder, error) from None
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from walk_files(Path(entry.path), f"{prefix}{entry.name}/", leave_out)
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:
            status = None  # a link to nothing, or deleted meanwhile
        if status is not None and stat.S_ISREG(status.st_mode):
            yield LocalFile(Path(entry.path), _path_of(entry.path, prefix), status.st_size)
        elif leave_out is not None:
            leave_out(Path(entry.path))


def _path_of(file: str, prefix: str) -> str:
    try:
        return parse_path(prefix + os.path.basename(file))
    except AnabranchError as error:
        raise InvalidInput(error.kind, f"{file} cannot be an object: {error.message}") from None


def _order(entry: "os.DirEntry[str]") -> str:
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


class Uploads:
    """Uploads to one branch. Make one for each transfer: it can be stopped once."""

    def __init__(
        self,
        server: Server,
        repository: str,
        branch: str,
        *,
        options: UploadOptions | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._repository = repository
        self._branch = branch
        self._options = options or UploadOptions()
        self._watcher: Watcher = watcher or Silent()
        self._crew = Crew(server, threads=self._options.threads)
        self._server = server

    def run(self, files: Iterator[LocalFile], *, prefix: str) -> Iterator[Transferred]:
        """Upload files, which come in the order of their paths, all under a prefix.

        Yields each when it is done. Raises the first error: of files, of the server, and Corrupted
        when the server stored other bytes than were read. What is done stays done.
        """
        crew = self._crew
        try:
            # A refusal after many bytes may be lost with the connection: ask before them.
            crew.client.branch(self._repository, self._branch)
            present = _Present(crew.client, self._repository, self._branch, prefix)
            pairs = ((one, present.find(one.path)) for one in files)
            yield from crew.run(pairs, self._upload)
        finally:
            crew.close()

    def end(self) -> None:
        """Stop: `run` raises what its threads raise."""
        self._crew.end()

    def _upload(self, pair: tuple[LocalFile, ObjectStats | None]) -> Transferred:
        wanted, found = pair
        self._watcher.began(wanted.path, wanted.size_bytes)
        try:
            before = stamp(wanted.file)
            if before[0] != wanted.size_bytes:
                wanted = LocalFile(wanted.file, wanted.path, before[0])
            if found is not None and self._is_there(wanted, found):
                self._watcher.advanced(wanted.path, wanted.size_bytes)
                return _told("skipped", wanted, str(found.checksum))
            is_large = wanted.size_bytes >= limits.TRANSFER_MULTIPART_BYTES
            # A key of the gateway begins with the branch, where only one without a slash is plain.
            if is_large and "/" not in self._branch:
                done = self._send_large(wanted)
            else:
                done = self._crew.attempt(lambda: self._send_whole(wanted))
            if stamp(wanted.file) != before:
                raise InvalidInput(
                    Kind.TRUNCATED,
                    f"{wanted.file} was written while it was read",
                    hint="run the command again when nothing writes to it",
                )
            return done
        finally:
            self._watcher.ended(wanted.path)

    def _is_there(self, wanted: LocalFile, found: ObjectStats) -> bool:
        if found.size_bytes != wanted.size_bytes or isinstance(found.checksum, UnsetType):
            return False
        options = self._options
        if options.content_type and found.content_type != options.content_type:
            return False
        if options.metadata and _metadata_of(found) != dict(options.metadata):
            return False
        crew = self._crew
        return bool(is_same(wanted.file, wanted.size_bytes, found.checksum, crew.stop))

    def _type_of(self, path: str) -> str:
        return self._options.content_type or mimetypes.guess_type(path)[0] or ""

    def _send_whole(self, wanted: LocalFile) -> Transferred:
        meter = Meter(self._watcher, wanted.path)
        md5 = hashlib.md5(usedforsecurity=False)

        def body() -> Iterator[bytes]:
            for data in windows(wanted.file, 0, wanted.size_bytes, self._crew.stop):
                md5.update(data)
                yield data
                meter.advance(len(data))

        upload = Upload(
            body(), wanted.size_bytes, self._type_of(wanted.path), self._options.metadata
        )
        client = self._crew.client
        with meter.attempt():
            made = client.write(self._repository, self._branch, wanted.path, upload)
            _check(wanted, str(made.checksum), md5.hexdigest())
        return _told("sent", wanted, md5.hexdigest())

    def _send_large(self, wanted: LocalFile) -> Transferred:
        """Send a file in parts, those that an earlier run left first.

        An upload's content type and metadata cannot be asked for before it is an object: where
        they are others than wanted, as after a run with other options, all is sent once more.
        """
        crew = self._crew
        multipart = self._multipart(wanted)
        for upload_id in crew.attempt(multipart.find):
            done = self._send_parts(wanted, upload_id, multipart.parts(upload_id))
            made = crew.client.stat(self._repository, self._branch, wanted.path)
            wanted_type = self._type_of(wanted.path) or _DEFAULT_TYPE
            is_typed = made.content_type == wanted_type
            if is_typed and _metadata_of(made) == dict(self._options.metadata):
                return done
            self._watcher.advanced(wanted.path, -wanted.size_bytes)
            break
        made_id = multipart.create(self._type_of(wanted.path), self._options.metadata)
        return self._send_parts(wanted, made_id, {})

    def _send_parts(
        self, wanted: LocalFile, upload_id: str, sent: Mapping[int, SentPart]
    ) -> Transferred:
        step = part_bytes(wanted.size_bytes)
        parts = [
            _Part(number, offset, min(step, wanted.size_bytes - offset))
            for number, offset in enumerate(range(0, wanted.size_bytes, step), 1)
        ]
        reused: list[int] = []

        def send(part: _Part) -> tuple[int, bytes]:
            there = sent.get(part.number)
            if there is not None and there.size_bytes == part.size_bytes:
                md5 = md5_of(wanted.file, part.offset, part.size_bytes, self._crew.stop)
                if md5.hex() == there.md5:
                    reused.append(part.number)
                    self._watcher.advanced(wanted.path, part.size_bytes)
                    return part.number, md5
            return part.number, self._crew.attempt(lambda: self._send_part(wanted, upload_id, part))

        helpers = Crew(self._server, threads=limits.TRANSFER_PARTS_AT_ONCE, halt=self._crew.halt)
        md5s = dict(helpers.run(parts, send))
        ordered = [md5s[part.number] for part in parts]
        multipart = self._multipart(wanted)
        checksum = self._crew.attempt(
            lambda: multipart.complete(upload_id, [one.hex() for one in ordered])
        )
        _check(wanted, checksum, join_md5s(ordered))
        return _told("resumed" if reused else "sent", wanted, checksum)

    def _multipart(self, wanted: LocalFile) -> Multipart:
        return Multipart(self._crew.transport, self._repository, self._branch, wanted.path)

    def _send_part(self, wanted: LocalFile, upload_id: str, part: "_Part") -> bytes:
        meter = Meter(self._watcher, wanted.path)
        md5 = hashlib.md5(usedforsecurity=False)

        def body() -> Iterator[bytes]:
            for data in windows(wanted.file, part.offset, part.size_bytes, self._crew.stop):
                md5.update(data)
                yield data
                meter.advance(len(data))

        with meter.attempt():
            self._multipart(wanted).send_part(upload_id, part.number, body(), part.size_bytes)
        return md5.digest()


@dataclass(frozen=True, slots=True)
class _Part:
    number: int
    offset: int
    size_bytes: int


class _Present:
    """Finds the objects that are there, for paths asked in order, page by page.

    Where pages bring nothing that was asked for, as beside a few files among millions of objects,
    each path is asked for alone.
    """

    def __init__(self, client: Client, repository: str, branch: str, prefix: str) -> None:
        self._client = client
        self._repository = repository
        self._branch = branch
        self._pages = client.objects(repository, branch, prefix=prefix, delimiter="")
        self._page: dict[str, ObjectStats] = {}
        self._last = ""
        self._idle = 0
        self._is_over = False

    def find(self, path: str) -> ObjectStats | None:
        """Return the object at a path, None when there is none."""
        while path > self._last and not self._is_over:
            if self._idle >= limits.TRANSFER_LOOKAHEAD_PAGES:
                return self._client.find(self._repository, self._branch, path)
            page = next(self._pages, None)
            self._is_over = page is None
            self._idle += 1
            if page:
                self._page = {one.path: one for one in page}
                self._last = page[-1].path
        found = self._page.get(path)
        if found is not None:
            self._idle = 0
        return found


def _told(action: Literal["sent", "resumed", "skipped"], of: LocalFile, md5: str) -> Transferred:
    return Transferred(action, str(of.file), of.path, of.size_bytes, md5)


def _metadata_of(stats: ObjectStats) -> dict[str, str]:
    return {} if isinstance(stats.metadata, UnsetType) else stats.metadata


def _check(wanted: LocalFile, stored: str, sent: str) -> None:
    if stored != sent:
        raise Corrupted(
            Kind.CHECKSUM, f"{wanted.file} arrived with another checksum: {stored} for {sent}"
        )


def measure(files: Iterator[LocalFile]) -> tuple[int, int]:
    """Return how many files there are and their bytes together."""
    count = size_bytes = 0
    for one in files:
        count += 1
        size_bytes += one.size_bytes
    return count, size_bytes


def one_file(file: Path, path: str) -> LocalFile:
    """Return one file to upload; raise InvalidInput for what is none."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise local_error(file, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(Kind.PATH, f"{str(file)!r} is not a file")
    return LocalFile(file, parse_path(path), status.st_size)
