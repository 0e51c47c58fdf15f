"""`anabranch revert`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_branch, complete_ref_of
from anabranch.cli.places import parse_branch_place, parse_ref_of
from anabranch.cli.session import Pairs, Session, parse_pairs
from anabranch.cli.texts import first_line, short, shown

Parent = Annotated[
    int, typer.Option("--parent", min=0, help="Of a merge: 1 the branch it went into, 2 the other.")
]


def revert(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/BRANCH", help="The branch.", autocompletion=complete_branch
        ),
    ],
    ref: Annotated[
        str,
        typer.Argument(metavar="REF", help="The commit to undo.", autocompletion=complete_ref_of),
    ],
    parent: Parent = 0,
    message: Annotated[
        str, typer.Option("--message", "-m", help="Of the new commit; Revert ID if not given.")
    ] = "",
    pairs: Pairs = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Also when nothing differs.")
    ] = False,
) -> None:
    """Undo what a commit changed, by a new commit on a branch."""
    wanted = parse_branch_place(place)
    undone = parse_ref_of(ref, wanted.repository)
    session.client.revert(
        wanted.repository,
        wanted.ref,
        undone,
        parent_number=parent,
        message=message,
        metadata=parse_pairs(pairs),
        allow_empty=allow_empty,
    )
    made = session.client.get_commit(wanted.repository, wanted.ref)
    said = Text.assemble(
        f"Reverted {shown(undone)} on {wanted}: ",
        (short(made.id), "yellow"),
        f" {shown(first_line(made.message))}",
    )
    session.show(made, said)
