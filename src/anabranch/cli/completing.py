"""What a shell completes: names from the server, where that is cheap, and nothing when it is not.

Only the first names are asked for, and only for a moment.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import typer

from anabranch.cli.places import is_lake
from anabranch.client.finding import find_server
from anabranch.client.rest import Client
from anabranch.client.transport import Transport
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError

_COUNT = limits.COMPLETION_NAMES_MAX
_SERVER = ("endpoint", "data", "access_key", "secret_key", "ca_cert")


def complete_repository(context: typer.Context, incomplete: str) -> list[str]:
    """Return the repositories that a word may become."""
    return _ask(context, incomplete, _repositories)


def complete_branch(context: typer.Context, incomplete: str) -> list[str]:
    """Return the branches that a word may become, each with its repository."""
    return _ask(context, incomplete, _branches)


def complete_ref(context: typer.Context, incomplete: str) -> list[str]:
    """Return the branches and tags that a word may become, each with its repository."""

    def find(client: Client, word: str) -> Iterable[str]:
        return (*_branches(client, word), *_tags(client, word))

    return _ask(context, incomplete, find)


def complete_tag(context: typer.Context, incomplete: str) -> list[str]:
    """Return the tags that a word may become, each with its repository."""
    return _ask(context, incomplete, _tags)


def complete_ref_of(context: typer.Context, incomplete: str) -> list[str]:
    """Return the branches and tags of the repository that the word before names."""
    before = str(context.params.get("place") or "")
    repository = before.removeprefix("lake://").removeprefix("lakefs://").partition("/")[0]

    def find(client: Client, word: str) -> Iterable[str]:
        pages = (
            client.branches(repository, prefix=word, amount=_COUNT),
            client.tags(repository, prefix=word, amount=_COUNT),
        )
        return (one.id for page in pages for one in next(page))

    return _ask(context, incomplete, find) if repository else []


def complete_object(context: typer.Context, incomplete: str) -> list[str]:
    """Return the objects and folders that a word may become."""

    def find(client: Client, word: str) -> Iterable[str]:
        repository, _, rest = word.partition("/")
        ref, slash, path = rest.partition("/")
        if not slash:
            return (f"{one}/" for one in _branches(client, word))
        pages = client.objects(repository, ref, prefix=path, delimiter="/", amount=_COUNT)
        return (f"{repository}/{ref}/{one.path}" for one in next(pages))

    return _ask(context, incomplete, find)


def _repositories(client: Client, word: str) -> list[str]:
    return [one.id for one in next(client.repositories(prefix=word, amount=_COUNT))]


def _branches(client: Client, word: str) -> list[str]:
    repository, slash, prefix = word.partition("/")
    if not slash:
        found = _repositories(client, word)
        if len(found) != 1:
            return [f"{one}/" for one in found]
        # A word that can only be one repository is more useful with what may follow.
        repository, prefix = found[0], ""
    page = next(client.branches(repository, prefix=prefix, amount=_COUNT))
    return [f"{repository}/{one.id}" for one in page]


def _tags(client: Client, word: str) -> list[str]:
    repository, slash, prefix = word.partition("/")
    if not slash:
        return []
    page = next(client.tags(repository, prefix=prefix, amount=_COUNT))
    return [f"{repository}/{one.id}" for one in page]


def _ask(
    context: typer.Context, incomplete: str, find: Callable[[Client, str], Iterable[str]]
) -> list[str]:
    scheme, word = "", incomplete
    if is_lake(incomplete):
        name, separator, word = incomplete.partition("://")
        scheme = name + separator
    try:
        server = find_server({name: context.params.get(name) for name in _SERVER})
        transport = Transport(server, timeout_s=limits.COMPLETION_S)
        try:
            return [scheme + one for one in islice(find(Client(transport), word), _COUNT)]
        finally:
            transport.close()
    except AnabranchError:
        return []  # nobody reads an error while typing
