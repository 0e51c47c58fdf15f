"""`anabranch log`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_ref
from anabranch.cli.exits import out
from anabranch.cli.graph import Graph
from anabranch.cli.places import RefPlace, parse_ref_place
from anabranch.cli.session import Session
from anabranch.cli.texts import commit_block, commit_line, shown
from anabranch.client.answers import Commit
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind

_Names = Mapping[str, list[tuple[str, str]]]
_BRANCH, _TAG = "bold green", "bold magenta"


def log(
    session: Session,
    place: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY/REF", help="Where to begin.", autocompletion=complete_ref
        ),
    ],
    number: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="At most so many commits.")
    ] = None,
    is_short: Annotated[bool, typer.Option("--oneline", help="One line a commit.")] = False,
    is_graph: Annotated[
        bool, typer.Option("--graph", help="Draw how histories part and meet.")
    ] = False,
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
    if is_graph and (paths or prefixes):
        raise InvalidInput(Kind.VALUE, "--graph draws whole histories: no --path and no --prefix")
    # A branch may move between two pages; its commit does not.
    ref = session.client.get_commit(wanted.repository, wanted.ref).id if is_graph else wanted.ref
    pages = session.client.log(
        wanted.repository,
        ref,
        first_parent=first_parent,
        since=since,
        objects=paths or (),
        prefixes=prefixes or (),
        count=number,
    )
    is_drawn = is_graph and not session.is_json
    picture = Picture(session, wanted, first_parent=first_parent) if is_drawn else None
    for page, before in _cut(pages, number):
        if picture is not None:
            lines = picture.lines(page, is_short=is_short)
        elif is_short:
            lines = [commit_line(one) for one in page]
        else:
            # One empty line between commits, and between pages too.
            lines = [
                Text.assemble("" if before + at == 0 else "\n", commit_block(one))
                for at, one in enumerate(page)
            ]
        session.show_page(page, lines)


def _cut(pages: Iterable[list[Commit]], number: int | None) -> Iterator[tuple[list[Commit], int]]:
    """Yield pages until so many commits were seen, each with the count of those before it."""
    before = 0
    for page in pages:
        kept = page if number is None else page[: number - before]
        yield kept, before
        before += len(kept)
        if before == number:
            return


class Picture:
    """Draws commits with their graph, and the branches and tags that are at them."""

    def __init__(self, session: Session, place: RefPlace, *, first_parent: bool) -> None:
        self._graph = Graph(is_ascii=not out.encoding.lower().startswith("utf"))
        self._names = _names(session, place.repository)
        self._first_parent = first_parent

    def lines(self, commits: Iterable[Commit], *, is_short: bool) -> list[Text]:
        """Return the lines of commits that follow those drawn before."""
        found: list[Text] = []
        for one in commits:
            parents = one.parents[:1] if self._first_parent else one.parents
            drawn = self._graph.add(one.id, parents)
            names = names_text(self._names.get(one.id, ()))
            if is_short:
                texts = [commit_line(one, names)]
            else:
                # The graph shows what the line of the parents says; an empty line parts commits.
                texts = [*commit_block(one, names, with_parents=False).split("\n"), Text()]
            found += drawn.lines(texts)
        return found


def _names(session: Session, repository: str) -> _Names:
    """Return the branches and tags at each commit: of the first page of both."""
    count = limits.GRAPH_REFS_MAX
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for branch in next(session.client.branches(repository, amount=count)):
        found[branch.commit_id].append((branch.id, _BRANCH))
    for tag in next(session.client.tags(repository, amount=count)):
        found[tag.commit_id].append((f"tag {tag.id}", _TAG))
    return found


def names_text(names: Iterable[tuple[str, str]]) -> Text:
    """Return the names at a commit in brackets; nothing for none."""
    parts = [Text(shown(name), style) for name, style in names]
    return Text.assemble("(", Text(", ").join(parts), ")") if parts else Text()
