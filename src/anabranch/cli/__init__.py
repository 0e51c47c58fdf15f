"""The `anabranch` command."""

from anabranch.cli.app import main

__all__ = ["main"]
