"""A lake that dies at any step, or whose answers get lost: nothing acknowledged goes.

The history runs once in peace, then once for every step at which it may be struck.
"""

from pathlib import Path as FilePath

import pytest

from anabranch.kernel.errors import Unavailable
from anabranch.storage.kv.memory import MemoryKV
from tests.faults.history import HISTORY, Seen, check_afterwards, look, open_directory
from tests.support.fakes import FakeClock
from tests.support.faults import Crashed, Faults, FaultyDisk, FaultyKV, Loss

pytestmark = pytest.mark.filterwarnings(
    # A crash ends whatever thread it meets.
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


def run(directory: FilePath, kv: MemoryKV, faults: Faults, clock: FakeClock) -> int:
    """Run the history until the end or the crash; return how many operations were answered."""
    done = 0
    try:
        with open_directory(
            directory,
            kv,
            wrap=lambda inner: FaultyKV(inner, faults),
            disk=FaultyDisk(faults, loses_unsynced=True),
            clock=clock,
        ) as opened:
            for operation in HISTORY:
                operation(opened)
                done += 1
    except Crashed:
        pass
    except Unavailable:
        assert faults.has_crashed, "only a crash may fail this history"
    return done


def in_peace(directory: FilePath) -> tuple[list[Seen], Faults]:
    """Return what one sees before and after each operation, and the steps there are."""
    kv = MemoryKV()
    clock = FakeClock(step_ns=1_000)
    faults = Faults()
    seen: list[Seen] = [{"repositories": []}]
    with open_directory(
        directory,
        kv,
        wrap=lambda inner: FaultyKV(inner, faults),
        disk=FaultyDisk(faults, loses_unsynced=True),
        clock=clock,
    ) as opened:
        for operation in HISTORY:
            operation(opened)
            seen.append(look(opened))
    return seen, faults


def crash_at(tmp_path: FilePath, number: int, seen: list[Seen]) -> None:
    """Crash at a step, then look at what a new process finds."""
    directory = tmp_path / f"at-{number}"
    kv = MemoryKV()
    clock = FakeClock(step_ns=1_000)
    faults = Faults(crash_at=number)
    done = run(directory, kv, faults, clock)
    assert faults.has_crashed
    with open_directory(directory, kv, name="later", clock=clock) as opened:
        found = look(opened)
        following = seen[done + 1] if done + 1 < len(seen) else seen[done]
        if found not in (seen[done], following):
            _explain(found, seen[done], following)
        check_afterwards(opened)


def _explain(found: Seen, before: Seen, after: Seen) -> None:
    # Several steps may lie between the two; each part must be of one or the other.
    for name in {*found, *before, *after}:
        assert found.get(name) in (before.get(name), after.get(name)), name


def test_the_history_ends_as_it_should(tmp_path: FilePath) -> None:
    seen, faults = in_peace(tmp_path)
    last = seen[-1]
    assert last["branch main"] == last["tag v1"]
    before = seen[-2]["branch main"]
    assert isinstance(before, dict)
    assert sorted(before) == [
        "a",
        "copy",
        "imported/object",
        "linked",
        "parts",
        *(f"sealed/{number}" for number in range(6)),
    ]
    assert seen[-2]["log main"] == [
        "import",
        "third",
        *(text for text in seen[-3]["log main"][2:]),  # type: ignore[index]  # a list
    ]
    assert faults.count() > 200


@pytest.mark.parametrize("start", range(7))
@pytest.mark.slow
def test_a_crash_at_any_step_loses_nothing_acknowledged(tmp_path: FilePath, start: int) -> None:
    seen, faults = in_peace(tmp_path / "whole")
    for number in range(1 + start, faults.count() + 1, 7):
        crash_at(tmp_path, number, seen)


def test_a_crash_at_some_steps_loses_nothing_acknowledged(tmp_path: FilePath) -> None:
    seen, faults = in_peace(tmp_path / "whole")
    for number in range(5, faults.count() + 1, 41):
        crash_at(tmp_path, number, seen)


def lose(directory: FilePath, losses: dict[int, Loss]) -> tuple[Seen, int]:
    """Run the history with lost answers; return what one sees, and how many applies there were."""
    kv = MemoryKV()
    clock = FakeClock(step_ns=1_000)
    stores: list[FaultyKV] = []

    def wrap(inner: object) -> FaultyKV:
        stores.append(FaultyKV(kv, losses=losses))
        return stores[-1]

    with open_directory(directory, kv, wrap=wrap, clock=clock) as opened:
        for operation in HISTORY:
            operation(opened)
        return look(opened), len(stores[-1].batches)


@pytest.mark.slow
@pytest.mark.parametrize("loss", Loss)
def test_an_answer_lost_at_any_apply_changes_nothing(tmp_path: FilePath, loss: Loss) -> None:
    expected, applies = lose(tmp_path / "whole", {})
    for number in range(1, applies + 1):
        assert lose(tmp_path / f"at-{number}", {number: loss})[0] == expected, number


@pytest.mark.parametrize("loss", Loss)
def test_an_answer_lost_now_and_then_changes_nothing(tmp_path: FilePath, loss: Loss) -> None:
    expected, applies = lose(tmp_path / "whole", {})
    losses = dict.fromkeys(range(3, applies, 5), loss)
    assert lose(tmp_path / "lossy", losses)[0] == expected
