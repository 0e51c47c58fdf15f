"""What every test may use: five fixtures at most."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.support.groups import GroupTimes

ROOT = Path(__file__).resolve().parents[1]

# A failure prints what replays it; a shared machine makes any deadline a coin toss.
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True, max_examples=50)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, max_examples=200)
hypothesis.settings.load_profile("dev")


def pytest_configure(config: pytest.Config) -> None:
    """Print at the end how long each group of tests took; let Ctrl-C reach what tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts us in the background hands this down to every process of ours.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(GroupTimes())


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of seeds and data that stands beside the repository, or skip."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the seeds and data in ../shared, which a clone does not have")
    return folder


@pytest.fixture(autouse=True)
def logs_end_with_their_test() -> Iterator[None]:
    """Take back what a test set up for logs: its streams are closed by the time of the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
