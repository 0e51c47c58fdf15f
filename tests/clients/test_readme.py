"""The sessions of the README do what they show, line by line, on a real server."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import read_blocks
from tests.support.server import RunningServer, start_server

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server(tmp_path_factory.mktemp("readme") / "data", has_sql=True) as started:
        yield started


def blocks(language: str, word: str) -> list[str]:
    """Return the README's blocks of a language that hold a word."""
    return [block.code for block in read_blocks(README, language) if word in block.code]


def run_python(server: RunningServer, text: str) -> str:
    """Run a block as a user would, the server's ports in place of the usual ones."""
    text = text.replace("http://127.0.0.1:8000", server.api_url)
    text = text.replace("port=9030", f"port={server.sql_port}")
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_boto3(server: RunningServer) -> None:
    (block,) = blocks("python", "boto3")
    assert run_python(server, block) == "b'written on a branch'\n"


def test_pymysql_and_the_command_line(server: RunningServer) -> None:
    (block,) = blocks("python", "pymysql")
    assert run_python(server, block) == "((datetime.date(2026, 1, 1), 3, 2),)\n"
    (block,) = blocks("sh", "mariadb")
    command = shutil.which("mariadb") or shutil.which("mysql")
    if command is None:
        pytest.skip("no mariadb command here")
    for line in block.splitlines():
        words = [
            command,
            "--no-defaults",
            *shlex.split(line.replace("9030", str(server.sql_port)))[1:],
        ]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["main\tdev", "1\t0"]
