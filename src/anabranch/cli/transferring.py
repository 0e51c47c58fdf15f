"""`fs upload` and `fs download`: files and folders in parallel, gone on with where they ended."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text

from anabranch.cli.bars import drawn
from anabranch.cli.completing import complete_object
from anabranch.cli.exits import Interrupted, errors, print_json
from anabranch.cli.places import ObjectPlace, parse_object_place
from anabranch.cli.session import Pairs, Session, parse_pairs
from anabranch.cli.texts import count_text, shown, size_text
from anabranch.client.answers import ObjectStats
from anabranch.client.downloads import Downloads, WantedObject, measure_objects
from anabranch.client.transfers import Silent, Transferred, Watcher
from anabranch.client.uploads import (
    LocalFile,
    UploadOptions,
    Uploads,
    measure,
    one_file,
    walk_files,
)
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, NotFound
from anabranch.kernel.ids import parse_branch_id

Threads = Annotated[
    int,
    typer.Option(
        "--parallel", "-p", min=1, max=limits.TRANSFERS_MAX, help="So many files at a time."
    ),
]
Lake = Annotated[
    str,
    typer.Argument(
        metavar="REPOSITORY/REF/PATH",
        help="Where in the lake; lake:// may stand before.",
        autocompletion=complete_object,
    ),
]

_LEFT_OUT_NAMED = 3


class Tally:
    """Counts what a transfer did, and prints it as it comes where programs read it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.counts: Counter[str] = Counter()
        self.moved_bytes = 0
        self.unverified = 0

    def take(self, done: Iterator[Transferred]) -> None:
        """Count all that is done."""
        for one in done:
            self.counts[one.action] += 1
            self.unverified += not one.is_verified
            if one.action != "skipped":
                self.moved_bytes += one.size_bytes
            if self._session.is_json:
                print_json(
                    {
                        "action": one.action,
                        "path": one.path,
                        "file": one.file,
                        "size_bytes": one.size_bytes,
                        "checksum": one.checksum,
                        "is_verified": one.is_verified,
                    }
                )

    def said(self, verb: str, place: str) -> Text:
        """Return the line that ends a transfer."""
        moved = self.counts.total() - self.counts["skipped"]
        parts = [f"{verb} {count_text(moved, 'file')} ({size_text(self.moved_bytes)}) to {place}"]
        if self.counts["resumed"]:
            parts.append(f"{self.counts['resumed']:,} resumed")
        if self.counts["skipped"]:
            parts.append(f"{self.counts['skipped']:,} unchanged")
        if self.unverified:
            parts.append(f"{self.unverified:,} checked by size alone")
        return Text(", ".join(parts))


def upload(
    session: Session,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file; a folder with --recursive.")
    ],
    dest: Lake,
    is_recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All files of a folder, under the path.")
    ] = False,
    threads: Threads = limits.TRANSFERS_DEFAULT,
    content_type: Annotated[
        str, typer.Option("--content-type", help="Of all objects; by the names if not given.")
    ] = "",
    pairs: Pairs = None,
) -> None:
    """Upload a file, or all files of a folder: run again it goes on where it ended.

    Files that are there with the same bytes are left out; large ones are sent in parts.
    """
    place = parse_object_place(dest)
    parse_branch_id(place.ref)
    options = UploadOptions(content_type, parse_pairs(pairs), threads)
    if source.is_dir():
        if not is_recursive:
            raise InvalidInput(
                Kind.PATH, f"{str(source)!r} is a folder", hint="--recursive uploads all in it"
            )
        place = _folder_of(place)
        left_out = _LeftOut(source)
        count, total = measure(walk_files(source, place.path, left_out.take))
        left_out.tell()
        files: Iterator[LocalFile] = walk_files(source, place.path)
    else:
        name = source.name if not place.path or place.path.endswith("/") else ""
        place = ObjectPlace(place.repository, place.ref, place.path + name)
        one = one_file(source, place.path)
        files, count, total = iter([one]), 1, one.size_bytes
    tally = Tally(session)
    with _watched(session, f"Uploading {count_text(count, 'file')}", total) as watcher:
        uploads = Uploads(
            session.server, place.repository, place.ref, options=options, watcher=watcher
        )
        with _told_to_stop(uploads, tally):
            tally.take(uploads.run(files, prefix=place.path))
    _end(session, tally, "Uploaded", str(place))


def download(
    session: Session,
    source: Lake,
    dest: Annotated[
        str, typer.Argument(metavar="DEST", help="A file; a folder when / ends it or it is one.")
    ],
    is_recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All objects under the path.")
    ] = False,
    threads: Threads = limits.TRANSFERS_DEFAULT,
) -> None:
    """Download an object, or all under a path: run again it goes on where it ended.

    Files that are there with the same bytes are left out. A file appears whole or not at all.
    """
    place = parse_object_place(source)
    tally = Tally(session)
    if is_recursive:
        place = _folder_of(place)
        measured = measure_objects(session.client, place.repository, place.ref, place.path)
        if measured == (0, 0):
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object lies under {place}")
        title = f"Downloading {count_text(measured[0], 'file')}" if measured else "Downloading"
        total = measured[1] if measured else None
    else:
        if not place.path or place.path.endswith("/"):
            raise InvalidInput(
                Kind.PATH, f"{place} names no object", hint="--recursive downloads all under it"
            )
        stats = session.client.stat(place.repository, place.ref, place.path)
        title, total = "Downloading 1 file", WantedObject(stats, Path(dest)).size_bytes
    with _watched(session, title, total) as watcher:
        downloads = Downloads(
            session.server, place.repository, place.ref, threads=threads, watcher=watcher
        )
        wanted = (
            downloads.walk(place.path, Path(dest)) if is_recursive else iter([_one(stats, dest)])
        )
        with _told_to_stop(downloads, tally):
            tally.take(downloads.run(wanted))
    _end(session, tally, "Downloaded", dest)


def _one(stats: ObjectStats, dest: str) -> WantedObject:
    file = Path(dest)
    if dest.endswith("/") or file.is_dir():
        file = file / stats.path.rpartition("/")[2]
    # What a link names is written, not the link.
    return WantedObject(stats, file.resolve() if file.is_symlink() else file)


class _LeftOut:
    """What in a folder is no file, and so is not uploaded: told before the transfer begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._named: list[str] = []

    def take(self, path: Path) -> None:
        """Count one; the first few are named."""
        self._count += 1
        if len(self._named) < _LEFT_OUT_NAMED:
            self._named.append(shown(str(path.relative_to(self._folder))))

    def tell(self) -> None:
        """Say what was counted, on stderr."""
        if self._count:
            more = ", ..." if self._count > len(self._named) else ""
            errors.print(
                f"{self._count:,} left out, as links to folders or to nothing and special files "
                f"are: {escape(', '.join(self._named))}{more}"
            )


def _folder_of(place: ObjectPlace) -> ObjectPlace:
    """Return a place as a folder: all of the ref, or with a slash at its end."""
    if not place.path or place.path.endswith("/"):
        return place
    return ObjectPlace(place.repository, place.ref, f"{place.path}/")


@contextmanager
def _watched(session: Session, title: str, total_bytes: int | None) -> Iterator[Watcher]:
    """Give what is told how a transfer goes on: bars, where somebody looks at them."""
    is_seen = errors.is_terminal and not session.is_json
    with drawn(errors, title, total_bytes) if is_seen else nullcontext(Silent()) as watcher:
        yield watcher


@contextmanager
def _told_to_stop(transfer: Uploads | Downloads, tally: Tally) -> Iterator[None]:
    """Stop a transfer at Ctrl-C, and say what it left."""
    try:
        yield
    except KeyboardInterrupt:
        transfer.end()
        raise Interrupted(
            f"stopped by Ctrl-C; {count_text(tally.counts.total(), 'file')} done",
            "run the same command again: it goes on from here",
        ) from None


def _end(session: Session, tally: Tally, verb: str, place: str) -> None:
    if not session.is_json:
        session.show(None, tally.said(verb, shown(place)))
