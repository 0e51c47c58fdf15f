"""Run the notebook's cells in the kernel of a Spark environment against a running server."""

import contextlib
import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.notebook.comparison import CellOutput
from tests.notebook.layout import Cell
from tests.support.environments import client_env
from tests.support.spark import S3aEndpoint, write_configuration

HERE = Path(__file__).parent

# The hosts that the notebook's text names: the lake, and the store behind it.
LAKE = "lakefs:8000"
STORE = "minio:9000"

# A data file that the text tells Spark to fetch, by the name that it gets.
_DATA_URL = re.compile(r"https://[^'\"\s]+/(?P<name>[a-z0-9]+\.parquet)\?raw=true")

RUN_TIMEOUT_S = 900.0  # one to two minutes are usual; a shared machine may take five times that


class KernelFailed(Exception):
    """The kernel ended or hung before the last cell, not by an exception of a cell."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the cells talk to, and the interpreter and jars they run with.

    `work` is an empty folder that the run may fill and that outlives it; it holds `kernel.log`.
    """

    api: S3aEndpoint
    raw_url: str
    python: Path
    jars: Sequence[Path]
    data: Path
    work: Path


def run_cells(cells: Sequence[Cell], target: Target) -> list[CellOutput]:
    """Run the cells in order and return what each printed; the last one has the error, if any.

    Raises KernelFailed when the kernel dies or takes longer than RUN_TIMEOUT_S.
    """
    target.work.mkdir(parents=True, exist_ok=True)
    sources = [cell.source for cell in cells]
    request, answer = target.work / "request.json", target.work / "answer.jsonl"
    request.write_text(json.dumps({"startup": str(HERE / "startup.py"), "cells": sources}))
    with serve_files(target.data) as files_url:
        urls = {
            found[0]: f"{files_url}/{found['name']}?raw=true"
            for source in sources
            for found in _DATA_URL.finditer(source)
        }
        code = _run_kernel(target, request, answer, _variables(target, urls))
    outputs = _read_outputs(cells, answer)
    if len(outputs) < len(cells) and not (outputs and outputs[-1].error):
        log = (target.work / "kernel.log").read_text(errors="replace")
        raise KernelFailed(f"ended with {code} after {len(outputs)} cells:\n{log[-10_000:]}")
    return outputs


@contextlib.contextmanager
def serve_files(folder: Path) -> Iterator[str]:
    """Serve a folder's files over HTTP on loopback; yield the URL without a slash at its end."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def _variables(target: Target, urls: Mapping[str, str]) -> dict[str, str]:
    names = {LAKE: _address(target.api.url), STORE: _address(target.raw_url)}
    configuration = write_configuration(
        target.work / "conf", target.api, target.jars, scratch=target.work / "scratch"
    )
    return {
        **configuration,
        "NOTEBOOK_NAMES": json.dumps(names),
        "NOTEBOOK_URLS": json.dumps(urls),
        "IPYTHONDIR": str(target.work / "ipython"),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYSPARK_PYTHON": str(target.python),
    }


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _run_kernel(target: Target, request: Path, answer: Path, variables: dict[str, str]) -> int:
    command = [str(target.python), str(HERE / "kernel.py"), str(request), str(answer)]
    with (target.work / "kernel.log").open("wb") as log:
        # A session of its own, because Spark's JVM is a child that has to go with it.
        process = subprocess.Popen(
            command,
            cwd=target.work,
            env=client_env(target.python, variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            print(f"the kernel hung for {RUN_TIMEOUT_S:.0f} s", file=sys.stderr)
            return -signal.SIGKILL
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read_outputs(cells: Sequence[Cell], answer: Path) -> list[CellOutput]:
    if not answer.exists():
        return []
    lines = [json.loads(line) for line in answer.read_text().splitlines()]
    return [
        CellOutput(
            cell.label,
            "\n\n".join(text for _, text in line["items"]),
            error=line["error"],
            seconds=line["seconds"],
        )
        for cell, line in zip(cells, lines, strict=False)
    ]
