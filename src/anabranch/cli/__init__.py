"""The `anabranch` command."""

import sys
from importlib import import_module


def main() -> None:
    """Run the command line."""
    try:
        # Loading takes a moment, in which Ctrl-C is no error either.
        app = import_module("anabranch.cli.app")
    except KeyboardInterrupt:
        sys.exit(130)
    app.main()


__all__ = ["main"]
