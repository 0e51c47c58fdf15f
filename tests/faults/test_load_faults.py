"""Loads that die at any step, or whose answers get lost: there once and whole, or not at all.

The history runs once in peace, then once for every step at which it may be struck.
"""

import contextlib
from pathlib import Path as FilePath

import pytest

from anabranch.storage.kv.memory import MemoryKV
from tests.faults.load_history import (
    HISTORY,
    KEPT,
    ROWSETS,
    TABLES,
    THERE,
    create,
    expected,
    label_of,
    open_loads,
    run,
)
from tests.support.fakes import FakeClock
from tests.support.faults import Crashed, Faults, FaultyDisk, FaultyKV, Loss

pytestmark = pytest.mark.filterwarnings(
    # A crash ends whatever thread it meets.
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)
LABELS = tuple(dict.fromkeys(map(label_of, HISTORY)))
Found = dict[str, str]


def look(directory: FilePath, kv: MemoryKV, clock: FakeClock) -> Found:
    """Return what each label is to a new process, once it took over; then end what waits."""
    with open_loads(directory, kv, clock, name="later") as loads:
        loads.streams.resume()
        loads.jobs.resume()
        assert loads.jobs.wait(30)
        rowsets = loads.rowsets()
        found = {label: loads.state_of(label, rowsets) for label in LABELS}
        assert sum(rowsets.values()) == len(TABLES) * ROWSETS * list(found.values()).count(THERE)
        for label, state in found.items():
            assert loads.is_used(label) == (state in (KEPT, THERE)), label
            if state == KEPT:
                loads.commit(label)
        committed = loads.rowsets()
        for label, state in found.items():
            if state == KEPT:
                assert loads.state_of(label, committed) == THERE
        return found


def strike(directory: FilePath, faults: Faults) -> tuple[int, Found]:
    """Run the history with faults; return how many steps were answered, and what there is."""
    kv = MemoryKV()
    clock = FakeClock(step_ns=1_000)
    create(directory, kv, clock)
    done = 0
    # A process may die while it starts, too.
    with (
        contextlib.suppress(Crashed),
        open_loads(
            directory,
            kv,
            clock,
            name="struck",
            wrap=lambda inner: FaultyKV(inner, faults),
            disk=FaultyDisk(faults, loses_unsynced=True),
        ) as loads,
    ):
        done = run(loads, lambda: faults.has_crashed)
    return done, look(directory, kv, clock)


def crash_at(directory: FilePath, number: int) -> None:
    faults = Faults(crash_at=number)
    done, found = strike(directory, faults)
    assert faults.has_crashed
    allowed = expected(done)
    wrong = {label: state for label, state in found.items() if state not in allowed[label]}
    assert not wrong, (number, faults.steps[-1], done, allowed)


def steps_in_peace(directory: FilePath) -> int:
    faults = Faults()
    done, found = strike(directory, faults)
    assert done == len(HISTORY)
    assert {label: {state} for label, state in found.items()} == expected(done)
    return faults.count()


def test_the_history_ends_as_it_should(tmp_path: FilePath) -> None:
    assert steps_in_peace(tmp_path) > 50


@pytest.mark.slow
@pytest.mark.parametrize("start", range(4))
def test_a_crash_at_any_step_of_a_load(tmp_path: FilePath, start: int) -> None:
    for number in range(1 + start, steps_in_peace(tmp_path / "whole") + 1, 4):
        crash_at(tmp_path / f"at-{number}", number)


def test_a_crash_at_some_steps_of_a_load(tmp_path: FilePath) -> None:
    for number in range(3, steps_in_peace(tmp_path / "whole") + 1, 23):
        crash_at(tmp_path / f"at-{number}", number)


def lose(directory: FilePath, losses: dict[int, Loss]) -> tuple[Found, int]:
    """Run the history with lost answers; return what there is, and how many applies there were."""
    kv = MemoryKV()
    clock = FakeClock(step_ns=1_000)
    create(directory, kv, clock)
    stores: list[FaultyKV] = []

    def wrap(_inner: object) -> FaultyKV:
        stores.append(FaultyKV(kv, losses=losses))
        return stores[-1]

    with open_loads(directory, kv, clock, name="lossy", wrap=wrap) as loads:
        assert run(loads, lambda: False) == len(HISTORY)
    return look(directory, kv, clock), len(stores[-1].batches)


@pytest.mark.slow
@pytest.mark.parametrize("loss", Loss)
def test_an_answer_lost_at_any_apply_of_a_load(tmp_path: FilePath, loss: Loss) -> None:
    peace, applies = lose(tmp_path / "whole", {})
    for number in range(1, applies + 1):
        assert lose(tmp_path / f"at-{number}", {number: loss})[0] == peace, number


@pytest.mark.parametrize("loss", Loss)
def test_an_answer_lost_now_and_then(tmp_path: FilePath, loss: Loss) -> None:
    peace, applies = lose(tmp_path / "whole", {})
    losses = dict.fromkeys(range(3, applies, 5), loss)
    assert lose(tmp_path / "lossy", losses)[0] == peace
