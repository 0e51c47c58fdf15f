"""Children: their plan, their lifeline, what they say."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anabranch import processes
from anabranch.directory import Directory
from anabranch.kernel.errors import Unavailable
from anabranch.processes import UNUSED, Child, Plan, is_ready, run
from anabranch.settings import Settings, encode_settings
from anabranch.stores import SystemIds

pytestmark = pytest.mark.slow


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    Directory(tmp_path / "data").prepare()
    return Plan(Settings(data=tmp_path / "data"), "test")


def test_a_child_ends_with_its_lifeline(plan: Plan, tmp_path: Path) -> None:
    child = Child("anabranch.jobs", plan, metrics=tmp_path)
    assert is_ready(child.read())
    child.close()
    assert child.wait(5) == 3


def test_a_child_ends_at_sigterm_and_not_at_sigint(plan: Plan, tmp_path: Path) -> None:
    child = Child("anabranch.jobs", plan, metrics=tmp_path)
    assert is_ready(child.read())
    child.send(signal.SIGINT)
    child.send(signal.SIGTERM)
    assert child.wait(5) == 0
    child.close()


def test_a_child_holds_the_lock_it_was_given(plan: Plan, tmp_path: Path) -> None:
    directory = Directory(plan.settings.data)
    lock = directory.acquire_lock()
    child = Child("anabranch.jobs", plan, lock=lock, metrics=tmp_path)
    assert is_ready(child.read())
    os.close(lock)
    assert directory.is_locked()
    child.send(signal.SIGKILL)
    child.wait()
    child.close()
    assert not directory.is_locked()


def test_a_one_off_process_hands_over_what_it_says(plan: Plan) -> None:
    made = Plan(plan.settings, "setup", arguments={"action": "setup", "user": "ann"})
    (keys, raw) = run("anabranch.maintenance", made)
    assert keys["user"] == "ann"
    assert set(raw) == {"raw_key_id", "raw_secret"}
    (refused,) = run("anabranch.maintenance", made)
    assert refused["kind"] == "setup_done"


def test_a_one_off_process_that_dies_silently_is_told(plan: Plan) -> None:
    with pytest.raises(Unavailable):
        list(run("anabranch.no_such_module", plan))


@pytest.mark.parametrize("module", UNUSED)
def test_what_a_child_never_uses_is_not_asked_for(module: str) -> None:
    hide = "".join(f"sys.modules[{name!r}] = None; " for name in UNUSED[module])
    subprocess.run(  # our own interpreter
        [sys.executable, "-c", f"import sys; {hide}import {module}"], check=True, timeout=60
    )


def test_random_ids_never_repeat() -> None:
    ids = SystemIds()
    found = {ids.hex32() for _ in range(1_000)}
    assert len(found) == 1_000
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in found)


def test_a_child_that_dies_before_its_plan_is_read_can_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode_once_it_died(settings: Settings) -> dict[str, Any]:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        return encode_settings(settings)

    monkeypatch.setattr(processes, "interpreter", lambda: ("false",))
    monkeypatch.setattr(processes, "encode_settings", encode_once_it_died)
    child = Child("anabranch.jobs", Plan(Settings(data=tmp_path), "jobs"), metrics=tmp_path)
    assert child.read() == b""
    assert child.wait(5.0) == 1
    child.close()
