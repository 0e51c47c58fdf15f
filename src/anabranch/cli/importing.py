"""`anabranch import`: adopt objects that are there, without copying their bytes."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from threading import Event
from typing import Annotated

import typer
from msgspec import UnsetType
from rich.text import Text

from anabranch.cli.bars import counted
from anabranch.cli.completing import complete_object
from anabranch.cli.exits import Interrupted, errors
from anabranch.cli.places import ObjectPlace, parse_object_place
from anabranch.cli.session import Pairs, Session, parse_pairs
from anabranch.cli.texts import count_text, short, shown
from anabranch.client.answers import Commit
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Conflict, InvalidInput, Kind
from anabranch.kernel.ids import parse_branch_id


def import_objects(
    session: Session,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="URIs as s3://BUCKET/KEY or local:///PATH; with / at the end all under it.",
        ),
    ],
    dest: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/BRANCH/[PATH]",
            help="Where they go.",
            autocompletion=complete_object,
        ),
    ],
    message: Annotated[
        str, typer.Option("--message", "-m", help="Of the commit it makes.")
    ] = "Import",
    pairs: Pairs = None,
) -> None:
    """Adopt existing objects as one commit on a branch; no bytes are copied.

    What lies under the destination of a prefix is replaced. Ctrl-C cancels it.
    """
    place = parse_object_place(dest)
    branch = parse_branch_id(place.ref)
    wanted = [_source(source, place) for source in sources]
    _check_clean(session, place.repository, branch)
    import_id = session.client.start_import(
        place.repository, branch, wanted, message, parse_pairs(pairs)
    )
    try:
        is_seen = errors.is_terminal and not session.is_json
        with counted(errors, "Importing") if is_seen else nullcontext() as counter:
            show = counter.show if counter is not None else None
            count, commit = _wait(session, place, import_id, show)
    except KeyboardInterrupt:
        # It may be over by now, which is as good.
        with suppress(AnabranchError):
            session.client.cancel_import(place.repository, branch, import_id)
        raise Interrupted(
            "stopped by Ctrl-C; the import is cancelled and nothing of it is visible",
            "run the same command again to import from the beginning",
        ) from None
    said = Text.assemble(
        f"Imported {count_text(count, 'object')} to {shown(str(place))}: ",
        (short(commit.id), "yellow"),
    )
    session.show({"id": import_id, "ingested_objects": count, "commit": commit}, said)


def _check_clean(session: Session, repository: str, branch: str) -> None:
    """Raise Conflict where the import would fail after all its work, for what is uncommitted."""
    if next(iter(session.client.uncommitted(repository, branch, amount=1)), None):
        raise Conflict(
            Kind.DIRTY_BRANCH,
            f"{repository}/{branch} has uncommitted changes: nothing can be imported into it",
            hint="`anabranch commit` or `anabranch reset` the branch first",
        )


def _source(uri: str, place: ObjectPlace) -> dict[str, str]:
    if "://" not in uri:
        raise InvalidInput(
            Kind.IMPORT_SOURCE,
            f"{uri!r} is no URI",
            hint="write s3://BUCKET/PREFIX/ or local:///FOLDER/; `fs upload` copies files",
        )
    if uri.endswith("/"):
        return {"type": "common_prefix", "path": uri, "destination": place.path}
    name = uri.rpartition("/")[2] if not place.path or place.path.endswith("/") else ""
    return {"type": "object", "path": uri, "destination": place.path + name}


def _wait(
    session: Session, place: ObjectPlace, import_id: str, show: Callable[[int], None] | None
) -> tuple[int, Commit]:
    """Ask until the import is over; return how many objects it has, and its commit."""
    pause = Event()
    while True:
        status = session.client.import_status(place.repository, place.ref, import_id)
        if show is not None:
            show(status.ingested_objects)
        if not isinstance(status.error, UnsetType):
            raise AnabranchError(Kind.IMPORT_SOURCE, f"the import failed: {status.error.message}")
        if status.completed and not isinstance(status.commit, UnsetType):
            return status.ingested_objects, status.commit
        pause.wait(limits.IMPORT_POLL_S)
