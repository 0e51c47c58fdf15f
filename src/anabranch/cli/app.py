"""The command line as a whole: one module for each family of commands, loaded when it is asked for.

What `serve` needs takes longer to load than most commands to run.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command, get_group

from anabranch import __version__
from anabranch.cli.exits import out, tell_json
from anabranch.cli.session import command
from anabranch.kernel.errors import Kind


@dataclass(frozen=True, slots=True)
class Family:
    """Where a command is: a module whose `app` is a group of commands, or has one function.

    `has_session` says that the function speaks to a server, `is_paged` that it prints lists.
    """

    module: str
    function: str = ""
    has_session: bool = True
    is_paged: bool = False


FAMILIES: Mapping[str, Family] = {
    "serve": Family("anabranch.cli.serve", "serve", has_session=False),
    "setup": Family("anabranch.cli.setup", "setup", has_session=False),
    "doctor": Family("anabranch.cli.doctor", "doctor", has_session=False),
    "repo": Family("anabranch.cli.repo"),
    "branch": Family("anabranch.cli.branch"),
    "tag": Family("anabranch.cli.tag"),
    "commit": Family("anabranch.cli.commit", "commit"),
    "log": Family("anabranch.cli.log", "log", is_paged=True),
    "diff": Family("anabranch.cli.diff", "diff", is_paged=True),
    "merge": Family("anabranch.cli.merge", "merge"),
    "revert": Family("anabranch.cli.revert", "revert"),
    "cherry-pick": Family("anabranch.cli.cherry_pick", "cherry_pick"),
    "reset": Family("anabranch.cli.branch", "reset"),
    "import": Family("anabranch.cli.importing", "import_objects"),
    "fs": Family("anabranch.cli.fs"),
    "refs": Family("anabranch.cli.refs"),
}
"""All commands, in the order help shows them."""


class Families(TyperGroup):
    """The commands of `FAMILIES`, each built when it is first asked for."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; what is wrong with it is told as JSON when it has --json."""
        words = list(sys.argv[1:] if args is None else args)
        if not standalone_mode or "--json" not in words:
            return super().main(words, prog_name, complete_var, standalone_mode, **extra)
        try:
            code = super().main(words, prog_name, complete_var, False, **extra)
        except TyperException as error:
            tell_json(error.format_message(), Kind.VALUE)
            code = error.exit_code
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer's own context
        """Return the names of all commands."""
        return list(FAMILIES)

    def get_command(self, ctx: typer.Context | None, cmd_name: str) -> Any:  # type: ignore[override]  # typer's own context
        """Return a command, None for a name that is none."""
        family = FAMILIES.get(cmd_name)
        if family is None:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _build(cmd_name, family)
        return self.commands[cmd_name]


def _build(name: str, family: Family) -> Any:
    module = import_module(family.module)
    if not family.function:
        return get_group(module.app)
    alone = typer.Typer(add_completion=False)
    function = getattr(module, family.function)
    if family.has_session:
        command(alone, name, is_paged=family.is_paged)(function)
    else:
        alone.command(name, rich_help_panel="Server")(function)
    return get_command(alone)


app = typer.Typer(
    name="anabranch",
    cls=Families,
    help="Git for a data lake: branches, commits, diffs and merges over objects.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"anabranch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Git for a data lake: branches, commits, diffs and merges over objects."""


def main() -> None:
    """Run the command line."""
    app()
