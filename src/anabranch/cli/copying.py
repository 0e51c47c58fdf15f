"""`fs cp`: one object between local files, standard streams and the lake, window by window."""

import hashlib
import mimetypes
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from msgspec import UnsetType

from anabranch.cli.places import ObjectPlace, is_lake, parse_object_place, parse_one_object
from anabranch.client.answers import ObjectStats
from anabranch.client.rest import Client
from anabranch.client.transport import Upload
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Corrupted, InvalidInput, Kind, NotFound

STREAM = "-"
_MD5_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied; `stats` is the object made, None outside of the lake."""

    source: str
    dest: str
    size_bytes: int
    stats: ObjectStats | None


class Copying:
    """Copies of single objects; content type and metadata are those of uploads."""

    def __init__(self, client: Client, content_type: str, metadata: Mapping[str, str]) -> None:
        self._client = client
        self._content_type = content_type
        self._metadata = metadata

    def copy(self, source: str, dest: str) -> Copied:
        """Copy one object; raise what both sides do, and InvalidInput when neither is the lake."""
        if is_lake(source):
            if self._content_type or self._metadata:
                raise InvalidInput(
                    Kind.VALUE, "--content-type and --meta are for uploads: a copy keeps its own"
                )
            origin = parse_one_object(source)
            if is_lake(dest):
                return self._between(origin, _named(parse_object_place(dest), origin.path))
            return self._out(origin, dest)
        if not is_lake(dest):
            raise InvalidInput(
                Kind.VALUE,
                "neither side is in the lake",
                hint="write one as lake://REPOSITORY/REF/PATH",
            )
        return self._into(source, parse_object_place(dest))

    def _into(self, source: str, place: ObjectPlace) -> Copied:
        if source == STREAM:
            if not place.path or place.path.endswith("/"):
                raise InvalidInput(Kind.PATH, f"{place} has no name for what comes from stdin")
            return self._upload(sys.stdin.buffer, source, None, place)
        with _local(source), Path(source).open("rb") as file:
            status = os.fstat(file.fileno())
            size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
            return self._upload(file, source, size_bytes, _named(place, Path(source).name))

    def _upload(
        self, file: BinaryIO, source: str, size_bytes: int | None, place: ObjectPlace
    ) -> Copied:
        if size_bytes is None or size_bytes > limits.WINDOW_BYTES:
            # A refusal after many bytes may be lost with the connection: ask before them.
            self._client.branch(place.repository, place.ref)
        reading = _Reading(file, source, size_bytes)
        upload = Upload(
            reading.windows(),
            size_bytes,
            self._content_type or mimetypes.guess_type(place.path)[0] or "",
            self._metadata,
        )
        made = self._client.write(place.repository, place.ref, place.path, upload)
        reading.check(made)
        return Copied(source, str(place), reading.size_bytes, made)

    def _out(self, origin: ObjectPlace, dest: str) -> Copied:
        with self._client.read(origin.repository, origin.ref, origin.path) as download:
            if dest == STREAM:
                size_bytes = _pour(download.data, sys.stdout.buffer)
                sys.stdout.buffer.flush()
                return Copied(str(origin), dest, size_bytes, None)
            name = origin.path.rstrip("/").rpartition("/")[2]
            target = Path(dest)
            if dest.endswith("/") or target.is_dir():
                if name in ("", ".", ".."):
                    raise InvalidInput(Kind.PATH, f"{origin} has no name for a file")
                target = target / name
            with _local(str(target)):
                size_bytes = _write_file(download.data, target)
            return Copied(str(origin), str(target), size_bytes, None)

    def _between(self, origin: ObjectPlace, place: ObjectPlace) -> Copied:
        client = self._client
        if origin.repository == place.repository:
            made = client.copy(
                place.repository,
                place.ref,
                place.path,
                source_ref=origin.ref,
                source_path=origin.path,
            )
            size_bytes = 0 if isinstance(made.size_bytes, UnsetType) else made.size_bytes
            return Copied(str(origin), str(place), size_bytes, made)
        found = client.stat(origin.repository, origin.ref, origin.path)
        with client.read(origin.repository, origin.ref, origin.path) as download:
            metadata = {} if isinstance(found.metadata, UnsetType) else found.metadata
            upload = Upload(download.data, download.size_bytes, download.content_type, metadata)
            made = client.write(place.repository, place.ref, place.path, upload)
        size_bytes = 0 if isinstance(made.size_bytes, UnsetType) else made.size_bytes
        return Copied(str(origin), str(place), size_bytes, made)


class _Reading:
    """Reads a file once, in windows, and knows afterwards what it read."""

    def __init__(self, file: BinaryIO, source: str, wanted_bytes: int | None) -> None:
        self._file = file
        self._source = source
        self._wanted_bytes = wanted_bytes
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    def windows(self) -> Iterator[bytes]:
        """Yield the bytes; raise InvalidInput when the file became shorter than it was."""
        wanted = self._wanted_bytes
        while wanted is None or self.size_bytes < wanted:
            count = limits.WINDOW_BYTES
            if wanted is not None:
                count = min(count, wanted - self.size_bytes)
            # Here, not around the request, whose failures are the connection's.
            with _local(self._source):
                data = self._file.read(count)
            if not data:
                break
            self._md5.update(data)
            self.size_bytes += len(data)
            yield data
        if wanted is not None and self.size_bytes < wanted:
            raise InvalidInput(Kind.TRUNCATED, f"{self._source} became shorter while it was read")

    def check(self, made: ObjectStats) -> None:
        """Raise Corrupted when the server stored other bytes than were read."""
        checksum = made.checksum
        if isinstance(checksum, UnsetType) or len(checksum) != _MD5_DIGITS:
            return
        if checksum != self._md5.hexdigest():
            raise Corrupted(
                Kind.CHECKSUM, f"{self._source} arrived with another checksum: {checksum}"
            )


def _named(place: ObjectPlace, path: str) -> ObjectPlace:
    """Return the place of a copy: what ends with a slash gets the source's name."""
    if place.path and not place.path.endswith("/"):
        return place
    name = path.rstrip("/").rpartition("/")[2]
    return ObjectPlace(place.repository, place.ref, place.path + name)


def _pour(data: Iterator[bytes], file: BinaryIO) -> int:
    size_bytes = 0
    for window in data:
        file.write(window)
        size_bytes += len(window)
    return size_bytes


def _write_file(data: Iterator[bytes], target: Path) -> int:
    """Write a file that appears whole or not at all, unless it is a device or a pipe."""
    # What a link names is written, not the link.
    target = target.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            return _pour(data, file)
    if not target.parent.exists():
        raise NotFound(Kind.PATH, f"no folder {str(target.parent)!r} on this machine")
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("xb") as file:
            size_bytes = _pour(data, file)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return size_bytes


@contextmanager
def _local(name: str) -> Iterator[None]:
    """Turn failures of local files into our errors."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound(Kind.PATH, f"no file or folder {name!r} on this machine") from None
    except IsADirectoryError:
        raise InvalidInput(
            Kind.PATH, f"{name!r} is a folder", hint="name one file: folders are not copied"
        ) from None
    except OSError as error:
        raise AnabranchError(Kind.STORE_FAILED, f"{name}: {error.strerror}") from None
