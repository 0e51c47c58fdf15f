"""`anabranch branch`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_branch, complete_ref_of, complete_repository
from anabranch.cli.places import parse_branch_place, parse_ref_of, parse_repository
from anabranch.cli.session import Confirmed, Session, command, group
from anabranch.cli.texts import first_line, labelled, ref_line, short, shown, time_text
from anabranch.kernel.errors import InvalidInput, Kind

app = group("branch", "Make, list, reset and delete branches.")
Place = Annotated[
    str,
    typer.Argument(metavar="REPOSITORY/BRANCH", help="The branch.", autocompletion=complete_branch),
]


@command(app, "list", is_paged=True)
def list_all(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY", help="Whose branches.", autocompletion=complete_repository
        ),
    ],
    prefix: Annotated[str, typer.Option("--prefix", help="Only names that begin so.")] = "",
    with_hidden: Annotated[bool, typer.Option("--hidden", help="Hidden ones too.")] = False,
) -> None:
    """List branches: commit, name."""
    repository = parse_repository(name)
    for page in session.client.branches(repository, prefix=prefix, with_hidden=with_hidden):
        session.show_page(page, [ref_line(one.id, one.commit_id) for one in page])


@command(app, "create")
def create(
    session: Session,
    place: Place,
    source: Annotated[
        str,
        typer.Option(
            "--source",
            "-s",
            help="Ref it starts at; the default branch if not given.",
            autocompletion=complete_ref_of,
        ),
    ] = "",
) -> None:
    """Make a branch; nothing is copied."""
    wanted = parse_branch_place(place)
    if source:
        source = parse_ref_of(source, wanted.repository)
    else:
        source = session.client.repository(wanted.repository).default_branch
    made = session.client.create_branch(wanted.repository, wanted.ref, source)
    session.show(made, Text(f"Created branch {wanted} at {short(made.commit_id)} of {source}"))


@command(app, "show")
def show(session: Session, place: Place) -> None:
    """Show a branch: its head, and whether anything is uncommitted."""
    wanted = parse_branch_place(place)
    found = session.client.branch(wanted.repository, wanted.ref)
    head = session.client.get_commit(wanted.repository, found.commit_id)
    first = next(session.client.uncommitted(wanted.repository, wanted.ref, amount=1))
    value = {"id": found.id, "commit_id": found.commit_id, "is_dirty": bool(first)}
    rows = (
        ("Branch", str(wanted)),
        ("Commit", found.commit_id),
        ("Made", f"{time_text(head.creation_date)} UTC by {head.committer}"),
        ("Message", first_line(head.message)),
        ("Uncommitted", "yes" if first else "nothing"),
    )
    session.show(value, labelled(rows))


@command(app, "delete")
def delete(session: Session, place: Place, is_confirmed: Confirmed = False) -> None:
    """Delete a branch with what is uncommitted on it."""
    wanted = parse_branch_place(place)
    session.confirm(
        f"Delete branch {wanted} with what is uncommitted on it?", is_confirmed=is_confirmed
    )
    session.client.delete_branch(wanted.repository, wanted.ref)
    session.show({"deleted": str(wanted)}, Text(f"Deleted branch {wanted}"))


@command(app, "reset")
def reset(
    session: Session,
    place: Place,
    path: Annotated[str, typer.Option("--path", help="Only this object.")] = "",
    prefix: Annotated[str, typer.Option("--prefix", help="Only what lies under it.")] = "",
    hard: Annotated[
        str,
        typer.Option(
            "--hard",
            metavar="REF",
            help="Move the branch to this commit.",
            autocompletion=complete_ref_of,
        ),
    ] = "",
    is_confirmed: Confirmed = False,
) -> None:
    """Forget what is uncommitted on a branch, or move it to another commit."""
    wanted = parse_branch_place(place)
    if sum(map(bool, (path, prefix, hard))) > 1:
        raise InvalidInput(Kind.VALUE, "give one of --path, --prefix and --hard")
    repository, branch = wanted.repository, wanted.ref
    if hard:
        ref = parse_ref_of(hard, repository)
        question, said = f"Move {wanted} to {ref}?", f"Moved {wanted} to {shown(ref)}"
    else:
        what = shown(path or (f"all under {prefix}" if prefix else "everything uncommitted"))
        question, said = f"Forget {what} on {wanted}?", f"Reset {what} on {wanted}"
    session.confirm(question, is_confirmed=is_confirmed)
    if hard:
        session.client.hard_reset_branch(repository, branch, ref)
    elif path:
        session.client.reset_branch(repository, branch, "object", path)
    elif prefix:
        session.client.reset_branch(repository, branch, "common_prefix", prefix)
    else:
        session.client.reset_branch(repository, branch, "reset")
    session.show({"reset": str(wanted)}, Text(said))
