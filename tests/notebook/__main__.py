"""`python -m tests.notebook [--spark 33|43|both] [--keep]`: run the notebook and judge its output.

Ends with 0 when every cell printed what it should, 1 when one did not, and 0 with a message when
the notebook is not there (it is no part of this repository).
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.notebook.comparison import NOT_RUN, CellOutput, Difference, compare
from tests.notebook.expectation import AFTER, SPARKS, expected_outputs
from tests.notebook.layout import DATA, SEED, read_cells
from tests.notebook.runner import KernelFailed, Target, run_cells
from tests.support.environments import environment, jars
from tests.support.server import start_server
from tests.support.spark import S3aEndpoint


def run(spark: str, work: Path) -> tuple[list[CellOutput], list[Difference]]:
    """Run the notebook on a fresh server in the folder `work`; return outputs, differences."""
    cells = read_cells()
    python, found = environment(f"spark{spark}").python, jars(f"spark{spark}")
    with start_server(work / "data") as server:
        api = S3aEndpoint(server.api_url, server.access_key, server.secret_key)
        outputs = run_cells(
            (*cells, AFTER),
            Target(api, server.raw_url, python, found, DATA, work / "notebook"),
        )
    return outputs, list(compare(expected_outputs(cells, spark), outputs))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebook", description=__doc__)
    parser.add_argument("--spark", choices=[*SPARKS, "both"], default="both")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    options = parser.parse_args(arguments)
    missing = next((path for path in (SEED, DATA) if not path.exists()), None)
    if missing:
        print(f"notebook: skipped, no ../{missing.relative_to(SEED.parents[2])}")
        return 0
    chosen = SPARKS if options.spark == "both" else (options.spark,)
    return 1 if [spark for spark in chosen if not _judged(spark, keep=options.keep)] else 0


def _judged(spark: str, *, keep: bool) -> bool:
    work = Path(tempfile.mkdtemp(prefix=f"notebook-{spark}-"))
    started = time.monotonic()
    try:
        outputs, differences = run(spark, work)
    except KernelFailed as problem:
        print(f"notebook on Spark {spark}: the kernel {problem}")
        return False
    finally:
        if keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work)
    absent = [each.label for each in differences if each.found == NOT_RUN]
    for difference in differences:
        if difference.found != NOT_RUN:
            print(difference)
    if absent:
        print(f"not run: {', '.join(absent)}")
    slowest = max(outputs, key=lambda output: output.seconds)
    print(
        f"notebook on Spark {spark}: {len(outputs)} cells ran, {len(differences)} differ, "
        f"{time.monotonic() - started:.0f} s (In [{slowest.label}] {slowest.seconds:.0f} s)"
    )
    return not differences


if __name__ == "__main__":
    sys.exit(main())
