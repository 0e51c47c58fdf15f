"""A child that has not come to serving yet ends with its supervisor all the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kills.trial import GONE_S, is_alive
from tests.support.server import Patience

pytestmark = pytest.mark.slow

# The supervisor's part of a start: one child, whose imports never end.
_PARENT = """
import sys
from pathlib import Path
from anabranch.processes import Child, Plan
from anabranch.settings import Settings
child = Child(sys.argv[1], Plan(Settings(data=Path(sys.argv[2])), "test"))
print(child.pid, flush=True)
sys.stdin.read()
"""
_ENDLESS = "import os\nopen(os.environ['IMPORTING'], 'w').close()\nopen(os.environ['STALL'])\n"


@pytest.mark.parametrize("module", ["anabranch.worker", "anabranch.jobs", "anabranch.maintenance"])
def test_a_child_that_still_imports_ends_with_its_parent(tmp_path: Path, module: str) -> None:
    (tmp_path / "stalling").mkdir()
    (tmp_path / "stalling" / "pyarrow.py").write_text(_ENDLESS)
    os.mkfifo(tmp_path / "stall")
    path = [str(tmp_path / "stalling"), *filter(None, [os.environ.get("PYTHONPATH")])]
    added = {"IMPORTING": str(tmp_path / "importing"), "STALL": str(tmp_path / "stall")}
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, module, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | added | {"PYTHONPATH": os.pathsep.join(path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        _wait_for(tmp_path / "importing")
        parent.kill()
        parent.wait()
        has_ended = _ends(pid)
        if not has_ended:
            os.kill(pid, signal.SIGKILL)
        assert has_ended, f"child {pid} outlived its parent by {GONE_S} s"


def _wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline_s
        os.sched_yield()


def _ends(pid: int) -> bool:
    patience = Patience(GONE_S)
    while is_alive(pid):
        if patience.is_over():
            return False
        os.sched_yield()
    return True
