"""One server for all modules, and the Python client of it."""

from collections.abc import Iterator

import pytest

import anabranch
from tests.support.server import RunningServer, start_server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A quickstart server: tests keep to repositories of their own."""
    folder = tmp_path_factory.mktemp("client")
    with start_server(folder / "data", "--workers", "1") as server:
        yield server


@pytest.fixture(scope="session")
def lake(running: RunningServer) -> Iterator[anabranch.Lake]:
    """The server's lake."""
    with anabranch.connect(running.api_url, running.access_key, running.secret_key) as lake:
        yield lake


@pytest.fixture
def repo(lake: anabranch.Lake, request: pytest.FixtureRequest) -> Iterator[anabranch.Repository]:
    """A repository of the test's own."""
    name = "".join(char if char.isalnum() else "-" for char in request.node.name.lower())[:60]
    repo = lake.repository(f"r-{name.strip('-')}").create()
    yield repo
    repo.delete()
