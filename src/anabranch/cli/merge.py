"""`anabranch merge`."""

from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from anabranch.cli.completing import complete_ref, complete_ref_of
from anabranch.cli.exits import out
from anabranch.cli.places import RefPlace, parse_ref_of, parse_ref_place
from anabranch.cli.session import Pairs, Session, parse_pairs
from anabranch.cli.texts import change_line, change_summary, count_text, short, shown
from anabranch.client.answers import MergeResult
from anabranch.kernel import limits
from anabranch.kernel.errors import Conflict, Kind
from anabranch.kernel.ids import parse_branch_id


class Strategy(StrEnum):
    """Whose side is taken where both changed a path."""

    SOURCE_WINS = "source-wins"
    DEST_WINS = "dest-wins"


_SAID = {
    "both_changed": "changed on both sides",
    "both_added": "added on both sides",
    "source_removed": "removed by the source, changed by the destination",
    "dest_removed": "changed by the source, removed by the destination",
}


def merge(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/SOURCE",
            help="What is merged: any ref.",
            autocompletion=complete_ref,
        ),
    ],
    dest: Annotated[
        str,
        typer.Argument(
            metavar="BRANCH", help="The branch it goes into.", autocompletion=complete_ref_of
        ),
    ],
    message: Annotated[str, typer.Option("--message", "-m", help="Of the merge commit.")] = "",
    pairs: Pairs = None,
    strategy: Annotated[
        Strategy | None, typer.Option("--strategy", help="Who wins where both sides changed.")
    ] = None,
    is_squash: Annotated[
        bool, typer.Option("--squash", help="One commit, without the source's history.")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Also when nothing differs.")
    ] = False,
) -> None:
    """Merge a ref into a branch, all of it or nothing: conflicts are listed."""
    source = parse_ref_place(place)
    branch = parse_branch_id(parse_ref_of(dest, source.repository))
    wanted: dict[str, Any] = {
        "message": message,
        "metadata": parse_pairs(pairs),
        "strategy": strategy or "",
        "squash_merge": is_squash,
        "allow_empty": allow_empty,
    }
    result = session.client.merge(source.repository, source.ref, branch, wanted)
    if not isinstance(result, MergeResult):
        raise _conflicts(session, source, branch)
    said = Text.assemble(f"Merged {source} into {branch}: ", (short(result.reference), "yellow"))
    session.show(result, said)
    if not session.is_json:
        _show_changes(session, source.repository, result)


def _show_changes(session: Session, repository: str, result: MergeResult) -> None:
    summary = result.summary
    total = summary.added + summary.removed + summary.changed
    if total:
        count = limits.MERGE_CHANGES_SHOWN_MAX
        before = f"{result.reference}^1"
        pages = session.client.diff(
            repository, before, result.reference, is_two_dot=True, amount=count
        )
        for change in islice((change for page in pages for change in page), count):
            out.print(change_line(change))
        if total > count:
            more = f"{repository}/{short(result.reference)}~1 {short(result.reference)}"
            out.print(Text(f"... {total - count:,} more: anabranch diff {more}", "dim"))
    out.print(Text.assemble("\n", change_summary(summary.added, summary.removed, summary.changed)))


def _conflicts(session: Session, source: RefPlace, branch: str) -> Conflict:
    """Print all conflicts; return the error that ends the command."""
    count = 0
    for page in session.client.conflicts(source.repository, source.ref, branch):
        count += len(page)
        lines = [
            Text.assemble(
                ("! ", "red"), shown(one.path), (f"  {_SAID.get(one.type, one.type)}", "dim")
            )
            for one in page
        ]
        session.show_page(page, lines)
    return Conflict(
        Kind.MERGE_CONFLICT,
        f"{source} conflicts with {branch} at {count_text(count, 'path')}; nothing was merged",
        hint="change one side, or let one win: --strategy source-wins or dest-wins",
    )
