"""What the tours of object stores share; runs inside the environments of client programs.

A tour is a program: it works on a branch of its own through one library, says which objects the
branch must then hold, and prints that as one line of JSON; the tests look from outside.
ANABRANCH_PLACE is a JSON object with the fields of `Place`.
"""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True)
class Place:
    """A branch to write to, a tag to be refused at, and how to get there.

    `examples` are those of docs/clients.md by library, with the server's address for theirs.
    """

    secret_key: str
    repository: str
    branch: str
    tag: str
    examples: dict[str, str]

    @property
    def root(self) -> str:
        """Return bucket and first part of the key of everything on the branch."""
        return f"{self.repository}/{self.branch}"

    def run_example(self, library: str, **changed: str) -> dict[str, Any]:
        """Run what the documentation shows of a library; return the names that it binds.

        The values of fields of this place that are `changed` are changed in the text.
        """
        text = self.examples[library]
        for name, value in changed.items():
            text = text.replace(json.dumps(getattr(self, name)), json.dumps(value))
        names: dict[str, Any] = {}
        exec(text, names)  # it is our own
        return names


@dataclass
class Tour:
    """Gathers what a branch must hold: size and MD5 by path, and what refusals said."""

    place: Place
    objects: dict[str, tuple[int, str]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    def holds(self, path: str, data: bytes) -> None:
        """The branch holds `data` at `path` from now on."""
        self.objects[path] = (len(data), hashlib.md5(data).hexdigest())

    def lost(self, *paths: str) -> None:
        """The branch holds nothing more at these paths."""
        for path in paths:
            del self.objects[path]

    @contextmanager
    def refused(self, name: str, kind: type[Exception]) -> Iterator[None]:
        """Want the block to raise `kind`, and keep what a user then reads under `name`."""
        try:
            yield
        except kind as error:
            self.refusals[name] = f"{type(error).__name__}: {error}"
        else:
            raise AssertionError(f"{name}: not refused")

    def end(self, *packages: str) -> None:
        """Print what was gathered, and the versions of the packages that did it."""
        versions = {package: version(package) for package in packages}
        told = {"objects": self.objects, "refusals": self.refusals, "versions": versions}
        print(json.dumps(told))


def begin() -> Tour:
    """Return the tour of the place that the environment names."""
    return Tour(Place(**json.loads(os.environ["ANABRANCH_PLACE"])))


def body(size_bytes: int, seed: int = 0) -> bytes:
    """Return bytes that no compression shortens, the same in every run."""
    return random.Random(seed).randbytes(size_bytes)
