"""Whole folders to and from the lake, in parallel; run again, they go on where they ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anabranch.client.downloads import Downloads
from anabranch.client.transfers import Transferred, Watcher
from anabranch.client.transport import Server
from anabranch.client.uploads import UploadOptions, Uploads, walk_files
from anabranch.kernel.errors import InvalidInput, Kind


@dataclass(frozen=True, slots=True)
class Copied:
    """What an upload or a download did.

    `moved` files were sent or received, `resumed` of them in part by an earlier run; `unchanged`
    ones had the same bytes on both sides. `size_bytes` are those of the moved files.
    """

    moved: int = 0
    resumed: int = 0
    unchanged: int = 0
    size_bytes: int = 0


def upload(
    server: Server,
    repository: str,
    branch: str,
    folder: Path,
    prefix: str,
    options: UploadOptions,
    watcher: Watcher | None,
) -> Copied:
    """Upload all files of a folder; `prefix` is empty or a folder of the lake."""
    if not folder.is_dir():
        raise InvalidInput(Kind.PATH, f"not a folder: {str(folder)!r}")
    under = _folder(prefix)
    uploads = Uploads(server, repository, branch, options=options, watcher=watcher)
    return _count(uploads.run(walk_files(folder, under), prefix=under))


def download(
    server: Server,
    repository: str,
    ref: str,
    prefix: str,
    folder: Path,
    threads: int,
    watcher: Watcher | None,
) -> Copied:
    """Download all objects under a prefix, which is empty or a folder of the lake."""
    downloads = Downloads(server, repository, ref, threads=threads, watcher=watcher)
    return _count(downloads.run(downloads.walk(_folder(prefix), folder)))


def _folder(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def _count(done: Iterable[Transferred]) -> Copied:
    moved = resumed = unchanged = size_bytes = 0
    for one in done:
        if one.action == "skipped":
            unchanged += 1
        else:
            moved += 1
            resumed += one.action == "resumed"
            size_bytes += one.size_bytes
    return Copied(moved, resumed, unchanged, size_bytes)
