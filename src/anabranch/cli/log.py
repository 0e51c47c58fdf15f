"""`anabranch log`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.places import parse_ref_place
from anabranch.cli.session import Session
from anabranch.cli.texts import commit_block, commit_line


def log(
    session: Session,
    place: Annotated[str, typer.Argument(metavar="REPOSITORY/REF", help="Where to begin.")],
    number: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="At most so many commits.")
    ] = None,
    is_short: Annotated[bool, typer.Option("--oneline", help="One line a commit.")] = False,
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="Leave out what merges brought.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", help="Leave out older ones: a time as 2026-01-31T12:00:00Z.")
    ] = "",
    paths: Annotated[
        list[str] | None, typer.Option("--path", help="Only those that changed it; repeatable.")
    ] = None,
    prefixes: Annotated[
        list[str] | None,
        typer.Option("--prefix", help="Only those that changed something under it; repeatable."),
    ] = None,
) -> None:
    """Show the commits behind a ref, newest first."""
    wanted = parse_ref_place(place)
    pages = session.client.log(
        wanted.repository,
        wanted.ref,
        first_parent=first_parent,
        since=since,
        objects=paths or (),
        prefixes=prefixes or (),
        count=number,
    )
    shown_count = 0
    for page in pages:
        if number is not None:
            page = page[: number - shown_count]
        if is_short:
            lines = [commit_line(one) for one in page]
        else:
            # One empty line between commits, and between pages too.
            lines = [
                Text.assemble("" if shown_count + at == 0 else "\n", commit_block(one))
                for at, one in enumerate(page)
            ]
        session.show_page(page, lines)
        shown_count += len(page)
        if shown_count == number:
            return
