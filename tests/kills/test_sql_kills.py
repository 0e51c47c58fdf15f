"""Processes are killed under loads of every kind, and each load is there once or not at all.

A failing trial prints its seed: `python -m tests.kills.sql_trial --seed N` replays its choices.
"""

import random
import shutil
from pathlib import Path

import pytest

from tests.kills.sql_trial import SqlTrial, report

KILLS = 16  # in under a minute on two cores; `sql_trial --kills 200` is the long one


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_loads_survive_kills(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 31)
    outcome = SqlTrial(tmp_path, seed=seed, kills=KILLS, say=print).run()
    print("\n".join(report(outcome)))
    assert not outcome.wrong, "\n".join(outcome.wrong)
    assert outcome.kills.total() == KILLS
    # A trial that loaded nothing proves nothing.
    assert outcome.there > KILLS
    shutil.rmtree(tmp_path)
