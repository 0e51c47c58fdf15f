"""Long lists go through a pager, as git's do: on a terminal alone, and as they arrive."""

import io
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO

from anabranch.cli.exits import out

_NONE = "cat"


class _Pipe(io.TextIOWrapper):
    """What a pager reads: it shows it on a terminal, so colours may stay."""

    def isatty(self) -> bool:
        return True


@contextmanager
def paged(command: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Send what is printed through a pager while the block lasts, when a terminal shows it.

    A reader who leaves ends the block without an error.
    """
    words = shlex.split(command)
    is_shown = sys.stdout.isatty() and out.is_terminal and not out.is_dumb_terminal
    if not is_shown or not words or words == [_NONE] or shutil.which(words[0]) is None:
        yield
        return
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=dict(environment)) as process:
        assert process.stdin is not None
        before: IO[str] = sys.stdout
        pipe = _Pipe(process.stdin, encoding="utf-8", errors="backslashreplace")
        out.file = pipe
        try:
            yield
        except SystemExit:
            # rich turns quiet and ends the program when nobody reads any more.
            if not out.quiet:
                raise
        finally:
            with suppress(BrokenPipeError):
                pipe.close()
            out.file = before
            _wait(process)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the reader leaves the pager; Ctrl-C there is the pager's."""
    while True:
        with suppress(KeyboardInterrupt):
            process.wait()
            return
