"""`python -m tests.seed [--generated] [--keep]`: the HLL load test against a fresh server.

Ends with 0 when all nine cases answered what they must, one after the other and in parallel. The
rows are those of ../shared where they are, else our own of the same shape.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.seed.cases import (
    BROKER,
    CASE_LIST,
    URLS,
    Expected,
    Wrong,
    build_comparison,
    expect_case,
    expect_totals,
    run_case,
)
from tests.seed.generator import write_files
from tests.seed.reference import Rows
from tests.support.server import start_server

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "doris"


def make_files(folder: Path, *, generated: bool) -> tuple[Path, Path]:
    """Write the small and the large file into `folder`."""
    small, large = folder / "baseall.txt", folder / "xaaa"
    if generated or not SHARED.exists():
        write_files(small, large)
    else:
        shutil.copy(SHARED / small.name, small)
        command = [sys.executable, str(SHARED / "make_xaaa.py"), str(large)]
        subprocess.run(command, check=True, timeout=120)
    return small, large


def run(work: Path, *, generated: bool) -> list[str]:
    """Run everything in the folder `work`; return lines that tell how long each part took."""
    folder = work / "files" / "qe"
    folder.mkdir(parents=True)
    files = make_files(folder, generated=generated)
    rows = Rows.read(files)
    started = time.monotonic()
    totals = expect_totals(rows)
    expected: dict[str, Expected] = {case.key: expect_case(rows, case.key) for case in CASE_LIST}
    lines = [f"reference of {rows.count} rows: {time.monotonic() - started:.1f} s"]
    root = folder.parent.as_uri().replace("file://", "local://")
    options = ["--import-from", root, "--broker", f"{BROKER}={URLS}={root}"]
    with start_server(work / "data", *options, has_sql=True) as server:
        sql, doris = server.endpoints["sql"], server.endpoints["doris"]
        host, port = sql["host"], sql["port"]
        started = time.monotonic()
        build_comparison(host, port, f"http://{doris['host']}:{doris['port']}", files)
        lines.append(f"stream loads: {time.monotonic() - started:.1f} s")
        for case in CASE_LIST:
            started = time.monotonic()
            run_case(host, port, case, expected[case.key], totals)
            lines.append(f"case {case.key}: {time.monotonic() - started:.1f} s")
        started = time.monotonic()
        with ThreadPoolExecutor(len(CASE_LIST)) as pool:
            running = [
                pool.submit(run_case, host, port, case, expected[case.key], totals)
                for case in CASE_LIST
            ]
            for each in running:
                each.result()
        lines.append(f"all {len(CASE_LIST)} in parallel: {time.monotonic() - started:.1f} s")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.seed", description=__doc__)
    parser.add_argument("--generated", action="store_true", help="our own rows in any case")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="seed-"))
    try:
        print("\n".join(run(work, generated=options.generated)))
    except Wrong as problem:
        print(f"wrong: {problem}")
        return 1
    finally:
        if options.keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
