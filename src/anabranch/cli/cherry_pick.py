"""`anabranch cherry-pick`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_branch, complete_ref_of
from anabranch.cli.places import parse_branch_place, parse_ref_of
from anabranch.cli.revert import Parent
from anabranch.cli.session import Session
from anabranch.cli.texts import first_line, short, shown


def cherry_pick(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/BRANCH", help="The branch.", autocompletion=complete_branch
        ),
    ],
    ref: Annotated[
        str,
        typer.Argument(metavar="REF", help="The commit to repeat.", autocompletion=complete_ref_of),
    ],
    parent: Parent = 0,
) -> None:
    """Repeat what a commit changed on a branch; its message and metadata stay."""
    wanted = parse_branch_place(place)
    picked = parse_ref_of(ref, wanted.repository)
    made = session.client.cherry_pick(wanted.repository, wanted.ref, picked, parent_number=parent)
    said = Text.assemble(
        f"Picked {shown(picked)} onto {wanted}: ",
        (short(made.id), "yellow"),
        f" {shown(first_line(made.message))}",
    )
    session.show(made, said)
