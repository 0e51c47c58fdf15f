"""`anabranch fs metadata`: an object's user metadata, replaced without touching its bytes."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_object
from anabranch.cli.places import parse_one_object
from anabranch.cli.session import Pairs, Session, parse_pairs
from anabranch.cli.texts import count_text, shown


def metadata(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/BRANCH/PATH", help="The object.", autocompletion=complete_object
        ),
    ],
    pairs: Pairs = None,
) -> None:
    """Replace an object's metadata by the pairs given, or remove it; its bytes stay."""
    wanted, given = parse_one_object(place), parse_pairs(pairs)
    session.client.set_metadata(wanted.repository, wanted.ref, wanted.path, given)
    found = session.client.stat(wanted.repository, wanted.ref, wanted.path)
    said = f"{shown(str(wanted))} has {count_text(len(given), 'pair')} of metadata"
    session.show(found, Text(said))
