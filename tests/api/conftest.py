"""The REST surface over memory stores."""

from collections.abc import Iterator

import pytest

from tests.api.rest import Rest


@pytest.fixture
def rest() -> Iterator[Rest]:
    """A server in memory with one user and the repository `example`."""
    server = Rest()
    server.create()
    yield server
    server.close()


@pytest.fixture
def fresh() -> Iterator[Rest]:
    """A server in memory that was not set up."""
    server = Rest(is_set_up=False)
    yield server
    server.close()
