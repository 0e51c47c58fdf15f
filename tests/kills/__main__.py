"""`python -m tests.kills`: kill a server under load and print what became of it."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.kills.trial import Trial, report


def main() -> int:
    """Run one trial; return 1 when something was wrong, and keep its directory then."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often (default: 200)")
    parser.add_argument("--seed", type=int, help="replays the choices of a trial")
    parser.add_argument("--directory", type=Path, help="where (default: a temporary one)")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if given.seed is None else given.seed
    directory = given.directory or Path(tempfile.mkdtemp(prefix="kills-"))
    print(f"seed {seed}, directory {directory}", flush=True)
    trial = Trial(directory, seed=seed, kills=given.kills, say=lambda text: print(text, flush=True))
    outcome = trial.run()
    print("\n".join(report(outcome)))
    if outcome.wrong:
        return 1
    if given.directory is None:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
