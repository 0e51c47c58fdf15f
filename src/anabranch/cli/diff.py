"""`anabranch diff`."""

from collections import Counter
from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.exits import PROBLEMS, out
from anabranch.cli.places import parse_branch_place, parse_ref_of, parse_ref_place
from anabranch.cli.session import Session
from anabranch.cli.texts import change_line, change_summary


def diff(
    session: Session,
    place: Annotated[
        str, typer.Argument(metavar="REPOSITORY/REF", help="A branch, or the older side.")
    ],
    other: Annotated[
        str,
        typer.Argument(
            metavar="[REF]", help="The newer side; without it, what is uncommitted on the branch."
        ),
    ] = "",
    is_two_dot: Annotated[
        bool,
        typer.Option("--two-dot", help="Compare both as they are, not since their merge base."),
    ] = False,
    prefix: Annotated[str, typer.Option("--prefix", help="Only paths that begin so.")] = "",
    has_exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with code 1 when something differs.")
    ] = False,
) -> None:
    """Show what is uncommitted on a branch, or what a second ref changed since both parted."""
    if other:
        left = parse_ref_place(place)
        right = parse_ref_of(other, left.repository)
        pages = session.client.diff(
            left.repository, left.ref, right, is_two_dot=is_two_dot, prefix=prefix
        )
    else:
        branch = parse_branch_place(place)
        pages = session.client.uncommitted(branch.repository, branch.ref, prefix=prefix)
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update(one.type for one in page)
        session.show_page(page, [change_line(one) for one in page])
    if not session.is_json:
        summary = change_summary(counts["added"], counts["removed"], counts["changed"])
        nothing = Text("No differences" if other else "Nothing uncommitted")
        out.print(Text.assemble("\n", summary) if counts else nothing)
    if counts and has_exit_code:
        raise typer.Exit(PROBLEMS)
