"""`anabranch tag`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_ref_of, complete_repository, complete_tag
from anabranch.cli.places import parse_ref_of, parse_repository, parse_tag_place
from anabranch.cli.session import Session, command, group
from anabranch.cli.texts import ref_line, short

app = group("tag", "Make, list and delete tags.")
Place = Annotated[
    str,
    typer.Argument(metavar="REPOSITORY/TAG", help="The tag.", autocompletion=complete_tag),
]


@command(app, "list", is_paged=True)
def list_all(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY", help="Whose tags.", autocompletion=complete_repository
        ),
    ],
    prefix: Annotated[str, typer.Option("--prefix", help="Only names that begin so.")] = "",
) -> None:
    """List tags: commit, name."""
    for page in session.client.tags(parse_repository(name), prefix=prefix):
        session.show_page(page, [ref_line(one.id, one.commit_id) for one in page])


@command(app, "create")
def create(
    session: Session,
    place: Place,
    ref: Annotated[
        str,
        typer.Argument(metavar="REF", help="What it names.", autocompletion=complete_ref_of),
    ],
) -> None:
    """Give a commit a fixed name."""
    wanted = parse_tag_place(place)
    source = parse_ref_of(ref, wanted.repository)
    made = session.client.create_tag(wanted.repository, wanted.ref, source)
    session.show(made, Text(f"Created tag {wanted} at {short(made.commit_id)}"))


@command(app, "delete")
def delete(session: Session, place: Place) -> None:
    """Remove a tag; its commit stays."""
    wanted = parse_tag_place(place)
    session.client.delete_tag(wanted.repository, wanted.ref)
    session.show({"deleted": str(wanted)}, Text(f"Deleted tag {wanted}"))
