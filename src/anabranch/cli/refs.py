"""`anabranch refs`: dump and restore of refs, symlink files."""

import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Annotated

import msgspec
import typer
from msgspec import UnsetType
from rich.text import Text

from anabranch.cli.completing import complete_object, complete_repository
from anabranch.cli.copying import STREAM
from anabranch.cli.places import parse_object_place, parse_repository
from anabranch.cli.session import Session, command, group
from anabranch.cli.texts import labelled, shown
from anabranch.client.answers import RefsDump, TaskStatus
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind, NotFound

app = group("refs", "Dump and restore refs, write symlink files.")
Name = Annotated[
    str,
    typer.Argument(
        metavar="REPOSITORY", help="The repository.", autocompletion=complete_repository
    ),
]
_FILE_BYTES_MAX = 64 * limits.KIB  # three ids; whatever is longer was meant for something else


@command(app, "dump")
def dump(
    session: Session,
    name: Name,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the dump's ids, as JSON.")
    ] = "",
) -> None:
    """Write commits, tags and branches into the storage namespace; show the dump's ids.

    What is uncommitted is not in it. The ids are what a restore needs.
    """
    client, repository = session.client, parse_repository(name)
    task = client.start_dump(repository)
    status = _wait(lambda: client.dump_status(repository, task), "dump")
    assert isinstance(status.refs, RefsDump)
    if output:
        Path(output).write_bytes(msgspec.json.encode(status.refs) + b"\n")
    rows = [
        ("Commits", status.refs.commits_meta_range_id),
        ("Tags", status.refs.tags_meta_range_id),
        ("Branches", status.refs.branches_meta_range_id),
    ]
    session.show(status.refs, labelled(rows))


@command(app, "restore")
def restore(
    session: Session,
    name: Name,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The ids that `refs dump` gave; - for stdin.")
    ],
    is_forced: Annotated[
        bool, typer.Option("--force", help="Also into a read-only repository.")
    ] = False,
) -> None:
    """Restore a dump into a bare repository on the same storage namespace."""
    client, repository, wanted = session.client, parse_repository(name), _read(file)
    task = client.start_restore(repository, wanted, is_forced=is_forced)
    _wait(lambda: client.restore_status(repository, task), "restore")
    found = client.repository(repository)
    session.show(found, Text(f"Restored {found.id} from {shown(found.storage_namespace)}"))


@command(app, "symlinks")
def symlinks(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/REF/[FOLDER]",
            help="The objects to name.",
            autocompletion=complete_object,
        ),
    ],
) -> None:
    """Write files that name the addresses of objects, one in each folder, for Hive and the like."""
    wanted = parse_object_place(place)
    location = session.client.create_symlinks(wanted.repository, wanted.ref, wanted.path)
    below = f"{location}/{wanted.repository}/{wanted.ref}/{wanted.path}"
    session.show({"location": location}, Text(f"Wrote symlink files below {shown(below)}"))


def _read(file: str) -> RefsDump:
    try:
        if file == STREAM:
            data = sys.stdin.buffer.read(_FILE_BYTES_MAX)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise NotFound(Kind.DUMP_NOT_FOUND, f"{file}: {error.strerror}") from None
    try:
        return msgspec.json.decode(data, type=RefsDump)
    except msgspec.MsgspecError as error:
        raise InvalidInput(
            Kind.DUMP,
            f"{file} does not hold the ids of a dump: {error}",
            hint="`anabranch refs dump REPOSITORY --output FILE` writes such a file",
        ) from None


def _wait(ask: Callable[[], TaskStatus], what: str) -> TaskStatus:
    """Ask until a task is over; raise what it failed for."""
    pause = Event()
    while True:
        status = ask()
        if status.done:
            if not isinstance(status.error, UnsetType):
                raise AnabranchError(Kind.DUMP, f"the {what} failed: {status.error}")
            return status
        pause.wait(limits.IMPORT_POLL_S)
