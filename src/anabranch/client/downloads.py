"""Downloads of objects: in parallel, checked by their MD5, and gone on with after an end.

Bytes go to a `.part` file beside the target, whose name has the object's checksum in it: a later
run goes on where it ended, and only with the same object. What a run finds there is believed when
the checksum proves it, else all is fetched anew. The file then appears whole, by a rename.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import UnsetType

from anabranch.client.answers import ObjectStats
from anabranch.client.checksums import Stopped, is_comparable, is_same, local_error
from anabranch.client.rest import Client
from anabranch.client.transfers import Crew, Meter, Silent, Transferred, Watcher
from anabranch.client.transport import Server
from anabranch.kernel import limits
from anabranch.kernel.errors import (
    Conflict,
    Corrupted,
    InvalidInput,
    Kind,
    PreconditionFailed,
)

_MARK = 16
_MD5_DIGITS = 32
_NAME_MAX = 200


@dataclass(frozen=True, slots=True)
class WantedObject:
    """An object to download, and where to. Its size and checksum are those of `stats`."""

    stats: ObjectStats
    file: Path

    @property
    def size_bytes(self) -> int:
        """Return the object's size."""
        return 0 if isinstance(self.stats.size_bytes, UnsetType) else self.stats.size_bytes

    @property
    def checksum(self) -> str:
        """Return the object's checksum, empty when it has none."""
        return "" if isinstance(self.stats.checksum, UnsetType) else self.stats.checksum

    @property
    def part(self) -> Path:
        """Return the file that takes the bytes until all are there."""
        text = f"{self.file.name}\0{self.size_bytes}\0{self.checksum}"
        mark = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_MARK]
        return self.file.with_name(f".{self.file.name[: _NAME_MAX // 4]}.{mark}.part")


def local_path(folder: Path, relative: str) -> Path:
    """Return the file of an object under a folder.

    Raises InvalidInput for a path that is no file name here, or that would leave the folder.
    """
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InvalidInput(
            Kind.PATH,
            f"the object {relative!r} cannot be a file under {str(folder)!r}",
            hint="`anabranch fs cp` copies one object to a file of another name",
        )
    return folder.joinpath(*parts)


def measure_objects(
    client: Client, repository: str, ref: str, prefix: str
) -> tuple[int, int] | None:
    """Return how many objects lie under a prefix and their bytes, None when they are many."""
    count = size_bytes = 0
    pages = client.objects(repository, ref, prefix=prefix, delimiter="")
    for number, page in enumerate(pages):
        if number == limits.TRANSFER_COUNT_PAGES:
            return None
        for one in page:
            count += 1
            size_bytes += 0 if isinstance(one.size_bytes, UnsetType) else one.size_bytes
    return count, size_bytes


class Downloads:
    """Downloads from one ref. Make one for each transfer: it can be stopped once."""

    def __init__(
        self,
        server: Server,
        repository: str,
        ref: str,
        *,
        threads: int = limits.TRANSFERS_DEFAULT,
        watcher: Watcher | None = None,
    ) -> None:
        self._repository = repository
        self._ref = ref
        self._watcher: Watcher = watcher or Silent()
        self._crew = Crew(server, threads=threads)
        self._own: set[Path] = set()
        """Parts of which this run fetched every byte."""

    def walk(self, prefix: str, folder: Path) -> Iterator[WantedObject]:
        """Yield all objects under a prefix, with files under a folder; it holds one page.

        Objects whose path ends with a slash mark folders and are left out.
        """
        client = self._crew.client
        pages = client.objects(self._repository, self._ref, prefix=prefix, delimiter="")
        for page in pages:
            for one in page:
                if not one.path.endswith("/"):
                    yield WantedObject(one, local_path(folder, one.path.removeprefix(prefix)))

    def run(self, objects: Iterator[WantedObject]) -> Iterator[Transferred]:
        """Download objects; yield each when its file is there.

        Raises the first error: of files, of the server, and Corrupted for bytes that arrived
        damaged. What is done stays done, and parts of files stay for the next run.
        """
        try:
            yield from self._crew.run(objects, self._download)
        finally:
            self._crew.close()

    def end(self) -> None:
        """Stop: `run` raises what its threads raise."""
        self._crew.end()

    def _download(self, wanted: WantedObject) -> Transferred:
        name = wanted.stats.path
        self._watcher.began(name, wanted.size_bytes)
        try:
            if self._is_there(wanted):
                self._watcher.advanced(name, wanted.size_bytes)
                return _told("skipped", wanted, is_verified=True)
            with _files(wanted.file):
                wanted.file.parent.mkdir(parents=True, exist_ok=True)
                return self._crew.attempt(lambda: self._receive(wanted))
        except PreconditionFailed:
            raise Conflict(
                Kind.CONFLICT,
                f"{name!r} was written while it was read",
                hint="run the command again; a commit instead of a branch cannot change",
            ) from None
        finally:
            self._watcher.ended(name)

    def _is_there(self, wanted: WantedObject) -> bool:
        try:
            status = os.stat(wanted.file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise local_error(wanted.file, error) from None
        if stat.S_ISDIR(status.st_mode):
            raise _clash(wanted.file)
        if status.st_size != wanted.size_bytes or not wanted.checksum:
            return False
        return bool(is_same(wanted.file, wanted.size_bytes, wanted.checksum, self._crew.stop))

    def _receive(self, wanted: WantedObject) -> Transferred:
        meter = Meter(self._watcher, wanted.stats.path)
        with _locked(wanted.part) as part, meter.attempt():
            offset = min(os.fstat(part.fileno()).st_size, wanted.size_bytes)
            is_own = wanted.part in self._own
            if not is_own and not is_comparable(wanted.size_bytes, wanted.checksum):
                offset = 0
            is_whole = self._complete(wanted, part, offset, meter)
            if offset and not is_whole and not is_own:
                # An earlier run's bytes may be damaged, or of a disk that lost some.
                offset = 0
                meter.advance(-meter.size_bytes)
                is_whole = self._complete(wanted, part, offset, meter)
            if is_whole is False:
                wanted.part.unlink(missing_ok=True)
                raise Corrupted(
                    Kind.CHECKSUM,
                    f"{wanted.stats.path!r} arrived with another checksum than {wanted.checksum}",
                )
            _put(wanted.part, wanted.file)
        is_verified = is_whole is not None
        return _told("resumed" if offset else "received", wanted, is_verified=is_verified)

    def _complete(
        self, wanted: WantedObject, part: BinaryIO, offset: int, meter: Meter
    ) -> bool | None:
        """Fetch what is missing of a part after `offset`; tell whether it is the object now.

        None when nobody can compute the object's checksum.
        """
        if not offset:
            self._own.add(wanted.part)
        md5 = hashlib.md5(usedforsecurity=False)
        part.seek(0)
        left = offset
        while left:
            data = part.read(min(limits.WINDOW_BYTES, left))
            md5.update(data)
            left -= len(data)
        meter.advance(offset)
        part.truncate(offset)
        if offset < wanted.size_bytes:
            self._fetch(wanted, part, offset, md5, meter)
        if len(wanted.checksum) == _MD5_DIGITS:
            return md5.hexdigest() == wanted.checksum
        return is_same(wanted.part, wanted.size_bytes, wanted.checksum, self._crew.stop)

    def _fetch(
        self, wanted: WantedObject, part: BinaryIO, offset: int, md5: "hashlib._Hash", meter: Meter
    ) -> None:
        reading = self._crew.client.read(
            self._repository,
            self._ref,
            wanted.stats.path,
            offset=offset,
            checksum=wanted.checksum,
        )
        with reading as download:
            for data in download.data:
                if self._crew.stop.is_set():
                    raise Stopped
                part.write(data)
                md5.update(data)
                meter.advance(len(data))


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file for one process alone; raise Conflict when another one writes it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock a moment ago may have given the file its final name.
            is_ours = os.path.samestat(os.fstat(descriptor), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise Conflict(
                Kind.CONFLICT, f"another command is downloading {str(path.parent)!r} right now"
            )
        try:
            yield file
        except BaseException:
            if not os.fstat(descriptor).st_size:
                path.unlink(missing_ok=True)
            raise


def _put(part: Path, file: Path) -> None:
    """Give a part its final name; it is no use where a folder has taken that name meanwhile."""
    try:
        os.replace(part, file)
    except IsADirectoryError:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _files(path: Path) -> Iterator[None]:
    """Turn failures of local files into our errors."""
    try:
        yield
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise _clash(path) from None
    except OSError as error:
        raise local_error(path, error) from None


def _clash(path: Path) -> InvalidInput:
    return InvalidInput(
        Kind.PATH,
        f"{path} cannot be written: something else has a name that it needs",
        hint="download to an empty folder; where the lake itself has an object and others below "
        "it, `anabranch fs cp` copies one to another name",
    )


def _told(
    action: Literal["received", "resumed", "skipped"], of: WantedObject, *, is_verified: bool
) -> Transferred:
    return Transferred(action, str(of.file), of.stats.path, of.size_bytes, of.checksum, is_verified)
