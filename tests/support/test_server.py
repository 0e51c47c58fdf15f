"""The helper that starts servers notices what goes wrong, and leaves nothing running."""

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.support.server import ServerFailed, launch_server, start_server

pytestmark = pytest.mark.slow


def status(url: str) -> int:
    """Return the status of a GET."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def test_a_server_answers_while_the_block_runs_and_is_gone_after_it(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        assert status(f"{server.api_url}/api/v1/healthcheck") in (200, 204)
        assert server.endpoints["pid"] == server.pid
        processes = server.processes()
        assert server.pid in processes
    assert not server.is_running()
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert server.stop() == 0  # once more does nothing


def test_the_same_directory_starts_again_after_a_crash_of_everything(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        server.kill_all()
    with start_server(tmp_path / "data") as again:
        assert again.pid != server.pid
        assert status(f"{again.api_url}/api/v1/healthcheck") in (200, 204)


def test_workers_notice_that_the_supervisor_was_killed(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        server.kill()
        server.wait_gone()


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="--no-such-option"):
        launch_server(tmp_path / "data", "--no-such-option")


def test_a_server_that_does_not_stop_in_time_is_killed_and_reported(tmp_path: Path) -> None:
    server = launch_server(tmp_path / "data")
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(ServerFailed, match="still running"):
        server.stop(timeout_s=0.2)
    assert not server.is_running()
