"""What commands that speak to a server have in common: options, the client, two ways to print."""

import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from rich.console import RenderableType
from rich.text import Text

from anabranch.cli.converting import PlainCommand, PlainGroup
from anabranch.cli.exits import out, print_json, told
from anabranch.cli.paging import paged
from anabranch.client.answers import to_builtins
from anabranch.client.finding import server_of
from anabranch.client.rest import Client
from anabranch.client.transport import Server, Transport
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.settings import (
    find_pager,
    load_client,
)

P = ParamSpec("P")
Confirmed = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")]
Pairs = Annotated[list[str] | None, typer.Option("--meta", help="key=value; may be repeated.")]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command: the server it speaks to and how it prints."""

    client: Client
    is_json: bool
    server: Server

    def show(self, value: object, *lines: RenderableType) -> None:
        """Print one value as JSON, or the lines that tell it to people."""
        if self.is_json:
            print_json(to_builtins(value))
        else:
            for line in lines:
                out.print(line)

    def show_page(self, values: Iterable[object], lines: Iterable[Text]) -> None:
        """Print a page of a list: a line of JSON for each value, or lines for people."""
        if self.is_json:
            for value in values:
                print_json(to_builtins(value))
        elif page := list(lines):
            out.print(Text("\n").join(page))

    def confirm(self, question: str, *, is_confirmed: bool) -> None:
        """Go on when the user means it; raise InvalidInput when nobody can be asked."""
        if is_confirmed:
            return
        if self.is_json or not sys.stdin.isatty():
            raise InvalidInput(
                Kind.VALUE, f"{question} Nobody is there to be asked.", hint="say so by --yes"
            )
        typer.confirm(question, abort=True)


def _shared(name: str, kind: object, default: object, flag: str, help: str) -> inspect.Parameter:
    option = typer.Option(flag, help=help, rich_help_panel="Server and output", show_default=False)
    hint = Annotated[kind, option]  # type: ignore[valid-type]  # a type at run time, for typer
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


_SHARED = (
    _shared("endpoint", str, "", "--endpoint", "URL of the server."),
    _shared("data", Path | None, None, "--data", "Directory of a server on this machine."),
    _shared("access_key", str, "", "--access-key", "Access key id."),
    _shared("secret_key", str, "", "--secret-key", "Its secret."),
    _shared("ca_cert", Path | None, None, "--ca-cert", "PEM file to trust for https."),
    _shared("is_json", bool, False, "--json", "Print JSON."),
)
_SERVER = tuple(one.name for one in _SHARED if one.name != "is_json")


def group(name: str, help: str) -> typer.Typer:
    """Return a group to add commands to."""
    return typer.Typer(name=name, cls=PlainGroup, help=help, no_args_is_help=True)


Command = Callable[Concatenate[Session, P], None]


def command(
    app: typer.Typer, name: str, *, is_paged: bool = False
) -> Callable[[Command[P]], Command[P]]:
    """Add a command to an app: the function gets a session, and the options to make one.

    What a paged command prints goes through the pager where people read it.
    """

    def add(function: Command[P]) -> Command[P]:
        def run(is_json: bool, **given: Any) -> None:
            options = {name: given.pop(name) for name in _SERVER}
            with told(is_json=is_json):
                _check_texts(given)
                settings, sources = load_client(options)
                transport = Transport(server_of(settings, sources))
                pager = find_pager(settings) if is_paged and not is_json else ("", {})
                try:
                    with paged(*pager):
                        function(Session(Client(transport), is_json, transport.server), **given)  # type: ignore[call-arg]  # typer gives what the signature says
                finally:
                    transport.close()

        _, *own = inspect.signature(function).parameters.values()
        # typer reads options off a signature: the function's own, then those of every command.
        keywords = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *_SHARED)]
        run.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]  # inspect looks for it
        run.__annotations__ = {one.name: one.annotation for one in keywords}
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        app.command(name, cls=PlainCommand)(run)
        return function

    return add


def _check_texts(given: dict[str, Any]) -> None:
    for value in given.values():
        for text in value if isinstance(value, list) else [value]:
            # Bytes of a command line that are not UTF-8 arrive as lone surrogates.
            if isinstance(text, str) and any("\ud800" <= char <= "\udfff" for char in text):
                raise InvalidInput(Kind.VALUE, f"not UTF-8: {text!r}")


def parse_pairs(texts: list[str] | None) -> dict[str, str]:
    """Return the pairs of key=value texts."""
    pairs: dict[str, str] = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise InvalidInput(Kind.METADATA, f"--meta: not key=value: {text!r}")
        pairs[key] = value
    return pairs
