"""docs/tutorials/lake.md and docs/python.md, followed from top to bottom against real servers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environments import environment
from tests.support.pages import DOCS, Block, Reader, masked, read_blocks
from tests.support.server import RunningServer, start_server

URL = "http://127.0.0.1:8000"
PYTHON = DOCS / "python.md"
PREAMBLE = """
import anabranch
lake = anabranch.connect()
repo = lake.repository("example3")
main, dev = repo.branch("main"), repo.branch("dev")
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with what a quickstart has; each page has a repository of its own."""
    with start_server(tmp_path_factory.mktemp("pages") / "lake-data", "--workers", "1") as server:
        yield server


def reader(page: Path, server: RunningServer, folder: Path) -> Reader:
    """Return somebody who reads a page beside a server."""
    folder.mkdir()
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return Reader(page, folder, {URL: server.api_url}, variables)


@pytest.mark.slow
def test_the_tutorial_of_the_lake(fresh: RunningServer, tmp_path: Path) -> None:
    page = DOCS / "tutorials" / "lake.md"
    blocks = read_blocks(page)
    first = [one for one in blocks if "server" in one.words]
    assert [one.code for one in first] == ["anabranch serve --quickstart --data lake-data\n"]
    follower = reader(page, fresh, tmp_path / "folder")
    for block in blocks:
        if block not in first:
            follower.follow(block)


@pytest.mark.slow
def test_the_page_of_the_python_client(fresh: RunningServer, tmp_path: Path) -> None:
    follower = reader(PYTHON, fresh, tmp_path / "folder")
    follower.environment |= {
        "ANABRANCH_ENDPOINT": fresh.api_url,
        "ANABRANCH_ACCESS_KEY": fresh.access_key,
        "ANABRANCH_SECRET_KEY": fresh.secret_key,
    }
    follower.preamble = PREAMBLE
    follower.interpreters = {
        "pandas": environment("s3fs").python,
        "polars": environment("clients").python,
    }
    for block in read_blocks(PYTHON):
        follower.follow(block)


def test_blocks_know_their_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n```sh exit=5\n# no heading\nfalse\n```\n## B\n\n```python\n1\n```\n")
    assert read_blocks(page) == [
        Block("sh", ("exit=5",), "# no heading\nfalse\n", "A", 3),
        Block("python", (), "1\n", "B", 9),
    ]
    assert [one.status for one in read_blocks(page)] == [5, 0]
    assert [one.section for one in read_blocks(page, "python")] == ["B"]


def test_a_page_that_is_wrong_is_told_by_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n```text\n2\n```\n```python\n\n1 / 0\n```\n")
    follower = Reader(page, tmp_path, {}, dict(os.environ))
    printed, compared, fails = read_blocks(page)
    follower.follow(printed)
    with pytest.raises(AssertionError, match=r"page\.md:5"):
        follower.follow(compared)
    with pytest.raises(AssertionError, match="line 9"):
        follower.follow(fails)
    page.write_text("```sh\nexit 3\n```\n")
    (fails,) = read_blocks(page)
    with pytest.raises(AssertionError, match=r"page\.md:2: 3"):
        follower.follow(fails)


def test_ids_and_times_are_compared_by_their_order() -> None:
    long, other = "0123456789ab" + "c" * 52, "f" * 12
    text = f"{long} {other}\n{long[:12]} at 2026-01-31 12:00:00  \n"
    assert masked(text) == "<id 1> <id 2>\n<id 1> at <time>"
