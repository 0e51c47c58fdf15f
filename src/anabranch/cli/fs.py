"""`anabranch fs`: objects at a ref."""

import sys
from itertools import chain
from typing import Annotated

import typer
from msgspec import UnsetType
from rich.text import Text

from anabranch.cli import metadata, transferring
from anabranch.cli.completing import complete_object
from anabranch.cli.copying import STREAM, Copied, Copying
from anabranch.cli.places import ObjectPlace, parse_object_place, parse_one_object
from anabranch.cli.session import Confirmed, Pairs, Session, command, group, parse_pairs
from anabranch.cli.texts import count_text, labelled, object_line, shown, size_text, time_text
from anabranch.client.answers import ObjectStats
from anabranch.kernel.errors import AnabranchError, Kind, NotFound

app = group("fs", "List, read, copy and remove objects.")
ObjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="REPOSITORY/REF/PATH",
        help="The object; lake:// may stand before.",
        autocompletion=complete_object,
    ),
]


@command(app, "ls", is_paged=True)
def list_objects(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/REF/[PREFIX]",
            help="What the paths begin with.",
            autocompletion=complete_object,
        ),
    ],
    is_recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All objects, not rolled up at /.")
    ] = False,
    is_exact: Annotated[bool, typer.Option("--bytes", help="Sizes in bytes.")] = False,
) -> None:
    """List objects: time (UTC), size, path; what has a slash after the prefix is rolled up."""
    wanted = parse_object_place(place)
    pages = session.client.objects(
        wanted.repository,
        wanted.ref,
        prefix=wanted.path,
        delimiter="" if is_recursive else "/",
    )
    for page in pages:
        if session.is_json:
            page = [_plain(one) for one in page]
        session.show_page(page, (object_line(one, is_exact=is_exact) for one in page))


def _plain(stats: ObjectStats) -> ObjectStats:
    """Return a common prefix without the fields that mean nothing for one."""
    if stats.path_type == "object":
        return stats
    return ObjectStats(stats.path, stats.path_type)


@command(app, "stat")
def stat(session: Session, place: ObjectArgument) -> None:
    """Show what is known of an object."""
    wanted = parse_one_object(place)
    found = session.client.stat(wanted.repository, wanted.ref, wanted.path)
    rows: list[tuple[str, str]] = [("Path", found.path)]
    if not isinstance(found.size_bytes, UnsetType):
        exact = f" ({found.size_bytes:,} bytes)" if found.size_bytes >= 1024 else ""
        rows.append(("Size", size_text(found.size_bytes) + exact))
    for label, value in (("Type", found.content_type), ("Checksum", found.checksum)):
        if not isinstance(value, UnsetType):
            rows.append((label, value))
    if not isinstance(found.mtime, UnsetType):
        rows.append(("Modified", f"{time_text(found.mtime)} UTC"))
    if not isinstance(found.physical_address, UnsetType):
        rows.append(("Address", found.physical_address))
    if not isinstance(found.metadata, UnsetType):
        rows += [("Metadata", f"{key} = {text}") for key, text in sorted(found.metadata.items())]
    session.show(found, labelled(rows))


@command(app, "cat")
def cat(session: Session, place: ObjectArgument) -> None:
    """Write an object's bytes to stdout."""
    wanted = parse_one_object(place)
    with session.client.read(wanted.repository, wanted.ref, wanted.path) as download:
        for data in download.data:
            sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@command(app, "cp")
def copy(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="File, lake://..., - for stdin.")],
    dest: Annotated[str, typer.Argument(metavar="DEST", help="File, lake://..., - for stdout.")],
    content_type: Annotated[
        str, typer.Option("--content-type", help="Of an upload; by the name if not given.")
    ] = "",
    pairs: Pairs = None,
) -> None:
    """Copy one object: into the lake, out of it, or inside it.

    Inside one repository no bytes are copied. A destination ending with / gets the source's name.
    """
    copied = Copying(session.client, content_type, parse_pairs(pairs)).copy(source, dest)
    if dest == STREAM:
        return
    session.show(
        copied.stats or {"path": copied.dest, "size_bytes": copied.size_bytes}, _said(copied)
    )


def _said(copied: Copied) -> Text:
    source = "stdin" if copied.source == STREAM else shown(copied.source)
    return Text(f"Copied {source} to {shown(copied.dest)} ({size_text(copied.size_bytes)})")


command(app, "metadata")(metadata.metadata)
command(app, "upload")(transferring.upload)
command(app, "download")(transferring.download)


@command(app, "rm")
def remove(
    session: Session,
    place: ObjectArgument,
    is_recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="It and all objects under it.")
    ] = False,
    is_confirmed: Confirmed = False,
) -> None:
    """Remove an object, or all objects under a path; it is uncommitted until the next commit."""
    if is_recursive:
        wanted = parse_object_place(place)
        if not wanted.path:
            session.confirm(f"Remove every object of {wanted}?", is_confirmed=is_confirmed)
        count = _remove_tree(session, wanted)
        said = f"Removed {count_text(count, 'object')} of {shown(str(wanted))}"
    else:
        wanted, count = parse_one_object(place), 1
        # Deleting what is not there succeeds, so a path mistyped would go unnoticed.
        session.client.stat(wanted.repository, wanted.ref, wanted.path)
        session.client.delete_object(wanted.repository, wanted.ref, wanted.path)
        said = f"Removed {shown(str(wanted))}"
    session.show({"deleted": str(wanted), "count": count}, Text(said))


def _remove_tree(session: Session, wanted: ObjectPlace) -> int:
    """Delete what a path names and all under it, page by page; return how many there were."""
    client, repository, ref = session.client, wanted.repository, wanted.ref
    tree = wanted.path if not wanted.path or wanted.path.endswith("/") else f"{wanted.path}/"
    pages = client.objects(repository, ref, prefix=tree, delimiter="")
    if tree != wanted.path:
        # Not `data-2` when `data` is asked for: the object of that very name, and what is under it.
        same = client.objects(repository, ref, prefix=wanted.path, delimiter="/")
        first = [one for one in next(same) if one.path == wanted.path][:1]
        pages = chain((first,), pages)
    count = 0
    for page in pages:
        if not page:
            continue
        failed = client.delete_objects(repository, ref, [one.path for one in page])
        if failed:
            raise AnabranchError(
                Kind.STORE_FAILED, f"{failed[0].path!r} was not removed: {failed[0].message}"
            )
        count += len(page)
    if not count:
        raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object lies under {wanted}")
    return count
