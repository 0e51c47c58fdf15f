"""Processes of a server are killed under load, and nothing acknowledged is lost.

A failing trial prints its seed: `python -m tests.kills --seed N` replays its choices.
"""

import random
import shutil
from pathlib import Path

import pytest

from tests.kills.trial import Trial, report


def _try(directory: Path, kills: int) -> None:
    seed = random.SystemRandom().randrange(1 << 31)
    outcome = Trial(directory, seed=seed, kills=kills, say=print).run()
    print("\n".join(report(outcome)))
    assert not outcome.wrong, "\n".join(outcome.wrong)
    assert outcome.kills.total() == kills
    # A trial that changed nothing proves nothing.
    assert sum(count for (_, end), count in outcome.ends.items() if end == "done") > kills
    shutil.rmtree(directory)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    _try(tmp_path, 6)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    _try(tmp_path, 200)
