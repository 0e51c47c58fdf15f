"""The examples of docs/sql/changes.md give what they say."""

from pathlib import Path

from tests.support.pages import DOCS, read_statements
from tests.support.sql_clients import open_client


def test_the_examples_are_true(tmp_path: Path) -> None:
    count = 0
    with open_client(tmp_path) as client:
        for text, expected in read_statements(DOCS / "sql" / "changes.md"):
            count += 1
            if expected and expected[0].startswith("error: "):
                assert expected[0][7:] in client.refused(text).message, text
            elif expected or text.startswith("SELECT"):
                assert [str(row) for row in client.rows(text)] == expected, text
            else:
                client.do(text)
    assert count > 30
