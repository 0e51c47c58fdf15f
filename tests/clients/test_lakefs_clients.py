"""The published lakeFS clients against a real server: their whole tours, failures included."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.support.environments import BUILD_TIMEOUT_S, environment
from tests.support.server import RunningServer, start_server

PROGRAMS = Path(__file__).with_name("lakefs")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_TIMEOUT_S)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files that may be imported."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "one.txt").write_bytes(b"one")
    (folder / "two.txt").write_bytes(b"two")
    return folder


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[RunningServer]:
    """One server for all tours: each has a repository of its own."""
    data = tmp_path_factory.mktemp("server") / "data"
    with start_server(data, "--import-from", f"local://{folder}/") as running:
        yield running


def run(lake: RunningServer, program: str, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run a client program and want it to succeed."""
    arguments = [lake.api_url, lake.access_key, lake.secret_key, *more]
    result = environment("lakefs").run(PROGRAMS / program, *arguments)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}\n{lake.read_log()}"
    return result


@pytest.mark.parametrize(
    "program", ["client_1_44.py", "sdk.py", "high_level.py", "spec.py", "refs.py"]
)
def test_tour_of_a_published_client(lake: RunningServer, folder: Path, program: str) -> None:
    assert run(lake, program, f"local://{folder}/").stdout.endswith("done\n")


def test_bytes_written_to_an_issued_address_are_linked(lake: RunningServer) -> None:
    address = run(lake, "sdk.py", "issue").stdout.strip()
    bucket, _, key = address.partition("://")[2].partition("/")
    raw = boto3.client(
        "s3",
        endpoint_url=lake.raw_url,
        aws_access_key_id=lake.raw_access_key,
        aws_secret_access_key=lake.raw_secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    data = b"written to the store"
    raw.put_object(Bucket=bucket, Key=key, Body=data)
    checksum = hashlib.md5(data).hexdigest()
    linked = run(lake, "sdk.py", "link", address, checksum, str(len(data)))
    assert linked.stdout.encode() == data
