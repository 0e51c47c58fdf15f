"""`anabranch commit`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_branch
from anabranch.cli.places import parse_branch_place
from anabranch.cli.session import Pairs, Session, parse_pairs
from anabranch.cli.texts import first_line, short, shown


def commit(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/BRANCH", help="The branch.", autocompletion=complete_branch
        ),
    ],
    message: Annotated[str, typer.Option("--message", "-m", help="What the commit is for.")],
    pairs: Pairs = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Also when nothing differs.")
    ] = False,
) -> None:
    """Commit what is uncommitted on a branch."""
    wanted = parse_branch_place(place)
    made = session.client.commit(
        wanted.repository, wanted.ref, message, parse_pairs(pairs), allow_empty=allow_empty
    )
    said = Text.assemble(
        "Committed ", (short(made.id), "yellow"), f" to {wanted}: ", shown(first_line(made.message))
    )
    session.show(made, said)
