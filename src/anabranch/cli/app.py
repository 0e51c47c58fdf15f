"""The command line as a whole: one module for each family of commands."""

from typing import Annotated

import typer

from anabranch import __version__
from anabranch.cli import branch, commit, diff, doctor, fs, log, merge, repo, serve, setup, tag
from anabranch.cli.exits import out
from anabranch.cli.session import command

app = typer.Typer(
    name="anabranch",
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


app.command("serve", rich_help_panel="Server")(serve.serve)
app.command("setup", rich_help_panel="Server")(setup.setup)
app.command("doctor", rich_help_panel="Server")(doctor.doctor)
app.add_typer(repo.app, name="repo")
app.add_typer(branch.app, name="branch")
app.add_typer(tag.app, name="tag")
command(app, "commit")(commit.commit)
command(app, "log")(log.log)
command(app, "diff")(diff.diff)
command(app, "merge")(merge.merge)
app.add_typer(fs.app, name="fs")


def main() -> None:
    """Run the command line."""
    app()
