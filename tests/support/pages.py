"""Pages of documentation as programs: their blocks of code are run as a reader would run them.

A fence's first word is the language, those after it tell the runner: `exit=5` is the status that
a shell block ends with. A `text` block is what the block before it prints, ids and times aside.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anabranch
from tests.support.environments import client_env

DOCS = Path(__file__).parents[2] / "docs"
RUN_TIMEOUT_S = 60
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code; `section` is the heading above it, `line` where its code begins."""

    language: str
    words: tuple[str, ...]
    code: str
    section: str
    line: int

    @property
    def status(self) -> int:
        """Return the exit status that a shell block is to have."""
        return next((int(one[5:]) for one in self.words if one.startswith("exit=")), 0)


def read_blocks(page: Path, language: str = "") -> list[Block]:
    """Return the blocks of a page in their order, of one language or of all."""
    text = page.read_text(encoding="utf-8")
    found = []
    for one in _BLOCK.finditer(text):
        before = text[: one.start()]
        headings = re.findall(r"^#+ (.*)$", re.sub(_BLOCK, "", before), re.MULTILINE)
        line = before.count("\n") + 2
        name, words, code = one.groups()
        if language in ("", name):
            section = headings[-1] if headings else ""
            found.append(Block(name, tuple(words.split()), code, section, line))
    return found


def read_statements(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the SQL statements of a page, each with what the lines of comment below it expect.

    A statement ends with a line that ends in `;`, or with its block.
    """
    for block in read_blocks(page, "sql"):
        if block.words:
            continue
        lines: list[str] = []
        expected: list[str] = []
        for line in block.code.splitlines():
            if line.startswith("-- "):
                expected.append(line[3:])
                continue
            if lines and lines[-1].endswith(";"):
                yield "\n".join(lines), expected
                lines, expected = [], []
            lines.append(line)
        yield "\n".join(lines), expected


def masked(text: str) -> str:
    """Return a text with ids numbered by first appearance, long and short ones alike, and times."""
    seen: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return seen.setdefault(found.group()[:12], f"<id {len(seen) + 1}>")

    lines = _TIME.sub("<time>", _ID.sub(name, text)).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


@dataclass(slots=True)
class Reader:
    """Somebody who follows a page: one folder, one shell's variables, one Python session.

    `replaced` stands for what differs between the page and the test, as ports. A Python block with
    a word of `interpreters` runs in that one, as a program of its own after `preamble`.
    """

    page: Path
    folder: Path
    replaced: Mapping[str, str]
    environment: dict[str, str]
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    preamble: str = ""
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""

    def follow(self, block: Block) -> None:
        """Run a block, or compare it with what the block before it printed."""
        if block.language == "sh":
            self.printed = self._shell(block)
        elif block.language == "python":
            other = [self.interpreters[one] for one in block.words]
            self.printed = self._other(block, other[0]) if other else self._python(block)
        elif block.language == "text":
            wanted, found = masked(self._real(block.code)), masked(self.printed)
            assert found == wanted, f"{self._place(block)}: printed\n{found}"
        else:
            raise AssertionError(f"{self._place(block)}: nothing runs {block.language!r}")

    def _shell(self, block: Block) -> str:
        kept = self.folder / ".environment"
        script = f"set -euo pipefail\ntrap 'env -0 > {kept}' EXIT\n{self._real(block.code)}"
        path = f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self.environment, "PATH": path},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == block.status, f"{self._place(block)}: {done.returncode}\n{said}"
        for pair in kept.read_text().split("\0"):
            name, _, value = pair.partition("=")
            if name.startswith("ANABRANCH_"):
                self.environment[name] = value
        return said

    def _python(self, block: Block) -> str:
        printed = io.StringIO()
        # Lines of a traceback are those of the page.
        code = "\n" * (block.line - 1) + self._real(block.code)
        with contextlib.chdir(self.folder), self._variables(), contextlib.redirect_stdout(printed):
            try:
                exec(compile(code, str(self.page), "exec"), self.names)
            except Exception:  # noqa: BLE001  # whatever the page's code raises is told with its line
                raise AssertionError(f"{self._place(block)}:\n{traceback.format_exc()}") from None
        return printed.getvalue()

    def _other(self, block: Block, python: Path) -> str:
        # Libraries of this interpreter come last: the other's own are what the page is about.
        ours = [path for path in sys.path if path.endswith("site-packages")]
        source = str(Path(anabranch.__file__).parents[1])
        begin = f"import sys\nsys.path += {[source, *ours]!r}\n{self.preamble}\n"
        done = subprocess.run(
            [str(python), "-c", begin + self._real(block.code)],
            cwd=self.folder,
            env=client_env(python, self.environment),
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{self._place(block)}:\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def _variables(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _real(self, text: str) -> str:
        for name, value in self.replaced.items():
            text = text.replace(name, value)
        return text

    def _place(self, block: Block) -> str:
        return f"{self.page.name}:{block.line}"
