"""The examples of docs/sql/changes.md give what they say."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.sql_clients import open_client

PAGE = Path(__file__).parents[2] / "docs/sql/changes.md"


def examples() -> Iterator[tuple[str, list[str]]]:
    """Yield statements with the lines that are expected of them."""
    for block in re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.S):
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


def test_the_examples_are_true(tmp_path: Path) -> None:
    count = 0
    with open_client(tmp_path) as client:
        for text, expected in examples():
            count += 1
            if expected and expected[0].startswith("error: "):
                assert expected[0][7:] in client.refused(text).message, text
            elif expected or text.startswith("SELECT"):
                assert [str(row) for row in client.rows(text)] == expected, text
            else:
                client.do(text)
    assert count > 30
