"""The examples of docs/sql/{select,tables,shows,loads}.md run, and give what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.joined import open_joined
from tests.support.pages import DOCS, read_blocks, read_statements


@pytest.mark.parametrize(
    ("name", "count"), [("select", 47), ("tables", 52), ("shows", 50), ("loads", 21)]
)
def test_the_examples_are_true(tmp_path: Path, name: str, count: int) -> None:
    page = DOCS / "sql" / f"{name}.md"
    folder = tmp_path / "files"
    local = {}
    for file in read_blocks(page, "csv"):
        (path,) = file.words
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(file.code)
        local[path] = file.code.encode()
    root = f"local://{folder}"
    settings = {"import_from": (root,), "broker": (f"hdfs=hdfs://cluster={root}",)}
    done = 0
    with open_joined(tmp_path / "own", **settings) as joined:
        joined.files.update(local)
        for text, expected in read_statements(page):
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
