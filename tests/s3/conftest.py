"""Gateways for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.s3 import S3Kit


@pytest.fixture
def kit() -> Iterator[S3Kit]:
    """A gateway over a lake with the repository `example`."""
    made = S3Kit()
    yield made
    made.lake.close()


@pytest.fixture
def raw() -> Iterator[S3Kit]:
    """The raw store of such a lake; the bucket `example` holds the repository's data."""
    made = S3Kit(is_raw=True)
    yield made
    made.lake.close()
