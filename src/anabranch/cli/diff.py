"""`anabranch diff`."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_ref, complete_ref_of
from anabranch.cli.exits import PROBLEMS, out
from anabranch.cli.folders import Folders
from anabranch.cli.places import parse_branch_place, parse_ref_of, parse_ref_place
from anabranch.cli.session import Session
from anabranch.cli.texts import change_line, change_summary
from anabranch.client.answers import Change
from anabranch.kernel.errors import InvalidInput, Kind


def diff(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/REF",
            help="A branch, or the older side.",
            autocompletion=complete_ref,
        ),
    ],
    other: Annotated[
        str,
        typer.Argument(
            metavar="[REF]",
            help="The newer side; without it, what is uncommitted on the branch.",
            autocompletion=complete_ref_of,
        ),
    ] = "",
    is_two_dot: Annotated[
        bool,
        typer.Option("--two-dot", help="Compare both as they are, not since their merge base."),
    ] = False,
    prefix: Annotated[str, typer.Option("--prefix", help="Only paths that begin so.")] = "",
    is_stat: Annotated[
        bool, typer.Option("--stat", help="Count changes by folder, with bars.")
    ] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", min=0, help="Of --stat: so many levels of folders.")
    ] = None,
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
    if depth is not None and not is_stat:
        raise InvalidInput(Kind.VALUE, "--depth belongs to --stat")
    if is_stat:
        counts = _show_folders(session, pages, depth)
    else:
        counts = _show_paths(session, pages)
    if not counts and not session.is_json:
        out.print(Text("No differences" if other else "Nothing uncommitted"))
    if counts and has_exit_code:
        raise typer.Exit(PROBLEMS)


def _show_folders(
    session: Session, pages: Iterable[list[Change]], depth: int | None
) -> Counter[str]:
    folders = Folders(depth=depth)
    for page in pages:
        folders.add(page)
    session.show_page(folders.values(), folders.lines(out.width))
    return folders.total()[0]


def _show_paths(session: Session, pages: Iterable[list[Change]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update(one.type for one in page)
        session.show_page(page, [change_line(one) for one in page])
    if counts and not session.is_json:
        summary = change_summary(counts["added"], counts["removed"], counts["changed"])
        out.print(Text.assemble("\n", summary))
    return counts
