"""The examples of docs/sql/{select,tables,shows,loads}.md run, and give what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.joined import open_joined

PAGES = Path(__file__).parents[2] / "docs" / "sql"


def examples(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield statements with the lines that are expected of them."""
    for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL):
        lines: list[str] = []
        expected: list[str] = []
        for line in block.splitlines():
            if line.startswith("-- "):
                expected.append(line[3:])
                continue
            if lines and lines[-1].endswith(";"):
                yield "\n".join(lines), expected
                lines, expected = [], []
            lines.append(line)
        yield "\n".join(lines), expected


def files(page: str) -> Iterator[tuple[str, str]]:
    """Yield the files that a page's loads read: name and text."""
    yield from re.findall(r"```csv (\S+)\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize(
    ("name", "count"), [("select", 47), ("tables", 52), ("shows", 50), ("loads", 21)]
)
def test_the_examples_are_true(tmp_path: Path, name: str, count: int) -> None:
    page = (PAGES / f"{name}.md").read_text()
    folder = tmp_path / "files"
    local = {}
    for path, text in files(page):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        local[path] = text.encode()
    root = f"local://{folder}"
    settings = {"import_from": (root,), "broker": (f"hdfs=hdfs://cluster={root}",)}
    done = 0
    with open_joined(tmp_path / "own", **settings) as joined:
        joined.files.update(local)
        for text, expected in examples(page):
            done += 1
            if expected and expected[0].startswith("error: "):
                assert expected[0][7:] in joined.refused(text).message, text
                continue
            (result,) = joined.run(text)
            if expected == ["(...)"]:
                assert isinstance(result, list), text
                assert len(result) == 1, text
            elif expected:
                assert isinstance(result, list), text
                assert [str(row) for row in result] == expected, text
            elif text.startswith("LOAD LABEL"):
                joined.wait()
    assert done == count
