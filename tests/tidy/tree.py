"""The files of a tree, as the rules see them."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

UNTRACKED = {".git", ".venv", ".cache", ".hypothesis", "target", "__pycache__", "anabranch-data"}


@dataclass(frozen=True)
class Source:
    """One text file: where it is, seen from the root, and what it says."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax of a Python file."""
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of a Python file's syntax."""
        return list(ast.walk(self.tree))

    @cached_property
    def remarks(self) -> list[tuple[int, str]]:
        """Comments and docstrings with the line where each starts; Rust has comments alone."""
        if self.path.endswith(".rs"):
            return [
                (number, line.partition("//")[2])
                for number, line in enumerate(self.lines, 1)
                if "//" in line
            ]
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        comments = [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]
        return sorted(comments + [(line, text) for line, text in docstrings(self.nodes)])

    @property
    def module(self) -> str:
        """The dotted name of a module below `src/`: `src/a/b/__init__.py` is `a.b`."""
        return (
            self.path.removeprefix("src/")
            .removesuffix(".py")
            .removesuffix("/__init__")
            .replace("/", ".")
        )


class Tree:
    """All text files that are, or would be, committed below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = sorted(tracked(root))
        self._sources = {
            source.path: source for source in map(self._read, self.paths) if source is not None
        }

    def _read(self, path: str) -> Source | None:
        try:
            return Source(path, (self.root / path).read_text(encoding="utf-8"))
        except (UnicodeDecodeError, FileNotFoundError):
            return None  # not text, or deleted and not yet committed so

    def find(self, path: str) -> Source | None:
        """Return the text file at `path`, or None."""
        return self._sources.get(path)

    def files(self, *prefixes: str, suffix: str = "") -> list[Source]:
        """Return the text files under any of `prefixes` (all, without one) that end in `suffix`."""
        return [
            source
            for path, source in self._sources.items()
            if path.endswith(suffix) and (not prefixes or path.startswith(prefixes))
        ]


def tracked(root: Path) -> Iterator[str]:
    """Yield paths that git tracks or would; in a tree without git, all but what builds leave."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
        yield from filter(None, listed.stdout.split("\0"))
        return
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and not UNTRACKED.intersection(parts) and path.suffix != ".so":
            yield "/".join(parts)


def docstrings(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring."""
    for node in nodes:
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node, clean=False)
        if text is not None:
            yield node.body[0].lineno, text
