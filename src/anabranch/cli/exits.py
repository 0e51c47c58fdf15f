"""Exit codes, and how errors are told. docs/commands.md has the table."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import typer
from rich.console import Console
from rich.markup import escape

from anabranch.cli.texts import shown
from anabranch.client.checksums import local_error
from anabranch.kernel.errors import (
    AlreadyExists,
    AnabranchError,
    Conflict,
    Corrupted,
    Forbidden,
    Gone,
    InvalidInput,
    Kind,
    LimitExceeded,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)

PROBLEMS = 1
INTERRUPTED = 130
_TOLD = {"asked": "asked", "hint": "try"}
"""What of an error's details is told, and under which label."""
CODES: dict[type[AnabranchError], int] = {
    InvalidInput: 2,
    LimitExceeded: 2,
    Unauthenticated: 3,
    Forbidden: 3,
    NotFound: 4,
    Gone: 4,
    AlreadyExists: 5,
    Conflict: 5,
    PreconditionFailed: 5,
    Unavailable: 6,
    NotSupported: 7,
    Corrupted: 8,
}
"""2 wrong input, 3 not allowed, 4 not found, 5 conflict, 6 not reachable, 7 not offered, 8 damage.

1 is for problems found by `doctor` and for what has no other code, 130 for Ctrl-C.
"""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a command that can say what is done, and how to go on."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


out = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def exit_code(error: AnabranchError) -> int:
    """Return the exit code of an error."""
    for base in type(error).__mro__:
        if base in CODES:
            return CODES[base]
    return PROBLEMS


@contextmanager
def told(*, is_json: bool) -> Iterator[None]:
    """Turn errors into a line on stderr and an exit code; as JSON when the command speaks JSON."""
    try:
        yield
    except AnabranchError as error:
        raise _failed(error, is_json=is_json) from None
    except BrokenPipeError:
        # Nobody reads any more, which the framework of commands ends quietly.
        raise
    except OSError as error:
        if error.filename is not None:
            raise _failed(local_error(error.filename, error), is_json=is_json) from None
        # What was printed could not be written, and would be tried again at the end of the process.
        _forget_output()
        failed = AnabranchError(Kind.STORE_FAILED, error.strerror or str(error))
        raise _failed(failed, is_json=is_json) from None
    except KeyboardInterrupt as stop:
        message, more = "stopped by Ctrl-C", {}
        if isinstance(stop, Interrupted):
            message, more = stop.message, {"hint": stop.hint}
        _tell("", message, Kind.INTERRUPTED, more, is_json=is_json)
        raise typer.Exit(INTERRUPTED) from None


def _failed(error: AnabranchError, *, is_json: bool) -> typer.Exit:
    more = {name: str(error.details[name]) for name in _TOLD if name in error.details}
    _tell("[bold red]error:[/] ", error.message, error.kind, more, is_json=is_json)
    return typer.Exit(exit_code(error))


def _forget_output() -> None:
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _tell(before: str, message: str, kind: Kind, more: dict[str, str], *, is_json: bool) -> None:
    if is_json:
        tell_json(message, kind, more)
        return
    errors.print(f"{before}{escape(shown(message))}")
    for name, text in more.items():
        errors.print(f"  [dim]{_TOLD[name]}:[/] {escape(shown(text))}")


def tell_json(message: str, kind: Kind, more: Mapping[str, str] | None = None) -> None:
    """Print an error as one line of JSON on stderr."""
    typer.echo(json.dumps({"error": message, "kind": kind, **(more or {})}), err=True)


def print_json(value: object) -> None:
    """Print one value as one line of JSON."""
    typer.echo(json.dumps(value))
