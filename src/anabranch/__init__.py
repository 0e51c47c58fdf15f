"""Anabranch: git for a data lake, with a SQL warehouse inside."""

__version__ = "0.1.0"
