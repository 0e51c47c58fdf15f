"""Anabranch: git for a data lake, with a SQL warehouse inside.

`anabranch.connect(url, access_key, secret_key)` is the way in for Python programs. It and the
names beside it are loaded when they are first used; `__init__.pyi` tells their types.
"""

from importlib import import_module

__version__ = "0.1.0"

_PLACES = {
    "AnabranchError": "anabranch.kernel.errors",
    "Branch": "anabranch.client.branches",
    "Commit": "anabranch.client.refs",
    "Lake": "anabranch.client.lake",
    "Merge": "anabranch.client.merged",
    "MergeConflicted": "anabranch.client.merged",
    "Ref": "anabranch.client.refs",
    "Repository": "anabranch.client.repositories",
    "Tag": "anabranch.client.refs",
    "Transaction": "anabranch.client.branches",
    "connect": "anabranch.client.lake",
}


def __getattr__(name: str) -> object:
    # A server's processes read the version alone: what a client needs is none of theirs.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
