"""The command line as a whole: one module for each family of commands, loaded when it is asked for.

What `serve` needs takes longer to load than most commands to run.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command, get_group

from anabranch import __version__
from anabranch.cli.converting import PlainCommand, PlainGroup
from anabranch.cli.exits import out, tell_json, told
from anabranch.cli.session import command
from anabranch.kernel.errors import Kind


@dataclass(frozen=True, slots=True)
class Family:
    """Where a command is: a module whose `app` is a group of commands, or has one function.

    `help` is the first paragraph of its own, to be told without loading it. `has_session` says that
    the function speaks to a server, `is_paged` that it prints lists.
    """

    help: str
    module: str
    function: str = ""
    has_session: bool = True
    is_paged: bool = False


_SERVER = "Server"
"""The heading of commands that are no client's."""

FAMILIES: Mapping[str, Family] = {
    "serve": Family(
        "Run a server on one directory until Ctrl-C or SIGTERM.",
        "anabranch.cli.serve",
        "serve",
        has_session=False,
    ),
    "setup": Family(
        "Make the first user of a server and show its keys, and those of the raw store.",
        "anabranch.cli.setup",
        "setup",
        has_session=False,
    ),
    "doctor": Family(
        "Check a server and its directory; ends with code 1 when something is wrong.",
        "anabranch.cli.doctor",
        "doctor",
        has_session=False,
    ),
    "repo": Family("Make, list and delete repositories.", "anabranch.cli.repo"),
    "branch": Family("Make, list, reset and delete branches.", "anabranch.cli.branch"),
    "tag": Family("Make, list and delete tags.", "anabranch.cli.tag"),
    "commit": Family("Commit what is uncommitted on a branch.", "anabranch.cli.commit", "commit"),
    "log": Family(
        "Show the commits behind a ref, newest first.", "anabranch.cli.log", "log", is_paged=True
    ),
    "diff": Family(
        "Show what is uncommitted on a branch, or what a second ref changed since both parted.",
        "anabranch.cli.diff",
        "diff",
        is_paged=True,
    ),
    "merge": Family(
        "Merge a ref into a branch, all of it or nothing: conflicts are listed.",
        "anabranch.cli.merge",
        "merge",
    ),
    "revert": Family(
        "Undo what a commit changed, by a new commit on a branch.", "anabranch.cli.revert", "revert"
    ),
    "cherry-pick": Family(
        "Repeat what a commit changed on a branch; its message and metadata stay.",
        "anabranch.cli.cherry_pick",
        "cherry_pick",
    ),
    "reset": Family(
        "Forget what is uncommitted on a branch, or move it to another commit.",
        "anabranch.cli.branch",
        "reset",
    ),
    "import": Family(
        "Adopt existing objects as one commit on a branch; no bytes are copied.",
        "anabranch.cli.importing",
        "import_objects",
    ),
    "fs": Family("List, read, copy and remove objects.", "anabranch.cli.fs"),
    "refs": Family("Dump and restore refs, write symlink files.", "anabranch.cli.refs"),
}
"""All commands, in the order help shows them."""


class Families(PlainGroup):
    """The commands of `FAMILIES`, each built when it is first asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._is_listing = False

    @contextmanager
    def _listing(self) -> Iterator[None]:
        """Let commands that are not built yet tell their names and help alone."""
        self._is_listing = True
        try:
            yield
        finally:
            self._is_listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print all commands, without loading them."""
        with self._listing():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the commands that a word may become, without loading them."""
        with self._listing():
            return super().shell_complete(ctx, incomplete)

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
            if self._is_listing:
                panel = None if family.has_session else _SERVER
                return PlainCommand(cmd_name, help=family.help, rich_help_panel=panel)
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
        alone.command(name, cls=PlainCommand, rich_help_panel=_SERVER)(function)
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
    try:
        # Help is printed outside of any command.
        with told(is_json="--json" in sys.argv):
            app()
    except typer.Exit as end:
        sys.exit(end.exit_code)
