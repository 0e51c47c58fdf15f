"""The kernel runs cells as a notebook does, and its start-up file leads names where they should go.

Cells of our own, in a real Spark environment but without Spark, which takes longer to start.
"""

from pathlib import Path

import pytest

from tests.notebook.comparison import CellOutput
from tests.notebook.layout import Cell, Kind
from tests.notebook.runner import Target, run_cells, serve_files
from tests.support.environments import environment
from tests.support.spark import S3aEndpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first use builds the environment


def run(tmp_path: Path, *sources: str) -> list[CellOutput]:
    """Run cells with a server of files behind both names; it has the file `here`."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "here").write_text("found")
    cells = [Cell(str(number), source, Kind.TEXT, "") for number, source in enumerate(sources)]
    python = environment("spark33").python
    with serve_files(files) as url:
        api = S3aEndpoint(url, "key", "secret")
        return run_cells(cells, Target(api, url, python, [], files, tmp_path / "work"))


def test_output_is_recorded_cell_by_cell_in_the_order_of_printing(tmp_path: Path) -> None:
    outputs = run(
        tmp_path,
        "x = 1",
        "print('a'); display({'k': x}); print('b')\n'last'",
        "import sys\nprint('to the log', file=sys.stderr)\nx;",
        "for n in 'xy':\n    display(n)\n[n] * 2",
    )
    assert [output.text for output in outputs] == [
        "",
        "a\n\n\n{'k': 1}\n\nb\n\n\n'last'",
        "",
        "'x'\n\n'y'\n\n['y', 'y']",
    ]
    assert not any(output.error for output in outputs)
    assert "to the log" in (tmp_path / "work" / "kernel.log").read_text()


def test_the_first_exception_ends_the_run(tmp_path: Path) -> None:
    outputs = run(tmp_path, "print('before')", "print('shown')\n1 / 0", "print('never')")
    assert [output.label for output in outputs] == ["0", "1"]
    assert outputs[1].text == "shown\n"
    assert "ZeroDivisionError" in outputs[1].error
    assert not outputs[0].error


def test_the_names_of_the_notebook_lead_to_the_servers_under_test(tmp_path: Path) -> None:
    read = "print(urllib.request.urlopen('http://{}/here').read().decode())"
    outputs = run(
        tmp_path,
        "import urllib.request",
        read.format("lakefs:8000"),
        read.format("minio:9000"),
        "import socket\nsocket.getaddrinfo('lakefs', 8001)",
    )
    assert [output.text for output in outputs[1:3]] == ["found\n", "found\n"]
    assert "gaierror" in outputs[3].error


def test_pip_finds_what_is_present_and_never_looks_elsewhere(tmp_path: Path) -> None:
    install = "import sys\n!{sys.executable} -m pip install "
    present, absent = run(tmp_path, f"{install} boto3", f"{install} no-such-package-of-ours")
    assert present.text.startswith("Requirement already satisfied: boto3")
    assert "No matching distribution" in absent.text
