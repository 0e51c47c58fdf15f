"""Runs inside a Spark environment: an IPython shell that executes cells and records their output.

`python kernel.py REQUEST ANSWER`: REQUEST is a JSON file {"startup": PATH, "cells": [SOURCE, ..]},
ANSWER gets one JSON line per cell, {"items": [[KIND, TEXT], ..], "error": TEXT, "seconds": N}, KIND
being stdout, display or result, in the order of printing. An exception ends the run, as "Run all"
does. Standard error is not recorded: it is this process's own, with all that Spark says there.
"""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type

ITEMS: list[tuple[str, str]] = []  # of the running cell; IPython builds the hooks that fill it


def record(kind: str, text: str) -> None:
    """Add to the running cell's output; what one stream prints piece by piece is one item."""
    if ITEMS and ITEMS[-1][0] == kind == "stdout":
        text = ITEMS.pop()[1] + text
    ITEMS.append((kind, text))


class Stdout(io.TextIOBase):
    """Standard output of the cells."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            record("stdout", text)
        return len(text)


class RecordingHook(DisplayHook):
    """Records the value of a cell's last expression, in IPython's own format."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        record("result", format_dict["text/plain"])

    def finish_displayhook(self) -> None:
        pass


class RecordingPublisher(DisplayPublisher):
    """Records what `display` shows."""

    def publish(self, data: dict[str, Any], *args: object, **options: object) -> None:
        record("display", data["text/plain"])


class Shell(InteractiveShell):
    """IPython's shell as a notebook's kernel has it: no prompt, no terminal."""

    displayhook_class = Type(RecordingHook)
    display_pub_class = Type(RecordingPublisher)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        record("error", self.InteractiveTB.stb2text(stb))


def main(request_path: Path, answer_path: Path) -> None:
    """Run the cells of the request in order, up to the first that raises."""
    request = json.loads(request_path.read_bytes())
    shell = Shell.instance(colors="NoColor")
    sys.stdout = Stdout()
    shell.safe_execfile(request["startup"], shell.user_ns, raise_exceptions=True)
    with answer_path.open("w") as answer:
        for source in request["cells"]:
            ITEMS.clear()
            started = time.monotonic()
            result = shell.run_cell(source, store_history=True)
            errors = [text for kind, text in ITEMS if kind == "error"]
            items = [item for item in ITEMS if item[0] != "error"]
            line = {
                "items": items,
                "error": "" if result.success else "\n".join(errors) or "raised",
                "seconds": time.monotonic() - started,
            }
            answer.write(json.dumps(line) + "\n")
            answer.flush()
            if not result.success:
                return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
