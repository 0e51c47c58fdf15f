"""`anabranch repo`."""

from typing import Annotated

import typer
from rich.text import Text

from anabranch.cli.completing import complete_repository
from anabranch.cli.places import parse_repository
from anabranch.cli.session import Confirmed, Session, command, group
from anabranch.cli.texts import aligned, labelled, shown, time_text
from anabranch.client.answers import Repository

app = group("repo", "Make, list and delete repositories.")
Name = Annotated[
    str,
    typer.Argument(
        metavar="REPOSITORY",
        help="Name of the repository.",
        autocompletion=complete_repository,
    ),
]


@command(app, "list", is_paged=True)
def list_all(
    session: Session,
    prefix: Annotated[str, typer.Option("--prefix", help="Only names that begin so.")] = "",
) -> None:
    """List repositories: name, default branch, namespace."""
    for page in session.client.repositories(prefix=prefix):
        session.show_page(page, aligned(map(_row, page)))


def _row(repository: Repository) -> tuple[str, ...]:
    mark = "  (read-only)" if repository.read_only else ""
    return repository.id, repository.default_branch, repository.storage_namespace + mark


@command(app, "create")
def create(
    session: Session,
    name: Name,
    namespace: Annotated[
        str,
        typer.Argument(help="Where its bytes go: s3://... or local://...; NAME's own by default."),
    ] = "",
    default_branch: Annotated[
        str, typer.Option("--default-branch", help="Name of the first branch.")
    ] = "main",
    is_read_only: Annotated[bool, typer.Option("--read-only", help="Refuse writes to it.")] = False,
    is_bare: Annotated[
        bool, typer.Option("--bare", help="Without branch and commit, to restore refs into.")
    ] = False,
) -> None:
    """Make a repository."""
    repository = parse_repository(name)
    made = session.client.create_repository(
        repository,
        namespace or _default_namespace(session, repository),
        default_branch=default_branch,
        is_read_only=is_read_only,
        is_bare=is_bare,
    )
    kind = "without refs" if is_bare else f"with branch {made.default_branch}"
    said = f"Created repository {made.id} {kind} on "
    session.show(made, Text(said + shown(made.storage_namespace)))


def _default_namespace(session: Session, repository: str) -> str:
    storage = session.client.config().storage_config
    prefix = storage.default_namespace_prefix.rstrip("/")
    if not prefix:
        prefix = storage.blockstore_namespace_example.partition("://")[0] + ":/"
    return f"{prefix}/{repository}"


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show one repository."""
    found = session.client.repository(parse_repository(name))
    rows = [
        ("Repository", found.id),
        ("Namespace", found.storage_namespace),
        ("Default branch", found.default_branch),
        ("Created", f"{time_text(found.creation_date)} UTC"),
    ]
    if found.read_only:
        rows.append(("Read-only", "yes"))
    session.show(found, labelled(rows))


@command(app, "delete")
def delete(
    session: Session,
    name: Name,
    is_forced: Annotated[bool, typer.Option("--force", help="Also when it is read-only.")] = False,
    is_confirmed: Confirmed = False,
) -> None:
    """Delete a repository with all of its branches, tags and commits."""
    repository = parse_repository(name)
    session.confirm(
        f"Delete repository {repository} with its whole history?", is_confirmed=is_confirmed
    )
    session.client.delete_repository(repository, is_forced=is_forced)
    session.show({"deleted": repository}, Text(f"Deleted repository {repository}"))
