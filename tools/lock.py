"""`make lock`: compiles each `requirements/NAME.in` to `NAME.txt`, every package with its hashes.

The locks hold no address of a registry, so that each machine may use its own. `uv` resolves them;
it is installed for this alone, under `.cache/`.
"""

from __future__ import annotations

import sys
import venv

from tools.steps import ROOT, must

# One after the other: a later one may name an earlier one as a constraint.
LOCKS = (
    ["build", "run", "dev"]
    + ["clients", "lakefs", "mysql", "s3fs", "duckdb-httpfs"]
    + ["spark33", "spark43", "bench"]
)
UV = "uv>=0.13,<0.14"
OPTIONS = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
PLAIN = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]


def main(more: list[str]) -> None:
    """Compile all locks; `more` goes to uv."""
    home = ROOT / ".cache" / "lock"
    uv = home / "bin" / "uv"
    if not uv.exists():
        venv.create(home, with_pip=True)
        must("uv", [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", UV])
    for name in LOCKS:
        # Paths are relative to the root, where the command runs: a lock names no machine.
        files = [f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        must(name, [str(uv), "pip", "compile", *OPTIONS, *PLAIN, *more, *files])


if __name__ == "__main__":
    main(sys.argv[1:])
