"""What a server's processes cost: time to start, and memory once everything was used."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from statistics import median

from bench.generating import Load, Pool, Step, drive
from bench.lake_rows import LakeRow
from bench.memory import pss_bytes, total_mb
from bench.progress import steps_of
from bench.samples import WrongAnswer, load_average
from bench.servers import Server, open_lake
from bench.signing import UNSIGNED, Signer

_OPTIONS = ("--workers", "2")
_CONNECTIONS = 24
_JOBS_S = 30.0
_SETTLED_S = 2.0


def measure(folder: Path, rounds: int) -> list[LakeRow]:
    """Return the rows of memory and start: two workers, no SQL."""
    times, busy = [], load_average()
    for number in steps_of(rounds + 1, "starts"):
        started = time.perf_counter()
        with open_lake(folder / "start", *_OPTIONS, has_sql=False) as server:
            with server.rest() as rest:
                rest.call("GET", ("config",))
            if number:
                times.append(time.perf_counter() - started)
    start = LakeRow(
        "start", "start to first answer, 2 workers, no SQL", "s", median(times), 1.5,
        at_least=False, lakefs=0.8, load=busy, samples=times,
    )  # fmt: skip
    busy = load_average()
    with open_lake(folder / "memory", *_OPTIONS, has_sql=False) as server:
        _wait_for_jobs(server)
        fresh = total_mb(server)
        for number in range(_CONNECTIONS):
            _use(server, number)
        memory = LakeRow(
            "memory", "PSS after one of each, 2 workers, no SQL", "MB", total_mb(server), 220,
            at_least=False, lakefs=141, load=busy,
            samples={str(pid): pss_bytes(pid) for pid in sorted(server.running.processes())},
            notes={"fresh_mb": fresh},
        )  # fmt: skip
    return [memory, start]


def _wait_for_jobs(server: Server) -> None:
    """Wait until housekeeping, which starts some seconds after the rest, has all of its memory."""
    deadline_s = time.monotonic() + _JOBS_S
    while not any(b"anabranch.jobs" in _command(pid) for pid in server.running.processes()):
        if time.monotonic() > deadline_s:
            raise WrongAnswer(f"no process for jobs after {_JOBS_S} s")
        time.sleep(0.1)
    time.sleep(_SETTLED_S)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _use(server: Server, number: int) -> None:
    """Put, get, list, commit and diff on connections of their own, which reach either worker."""
    pool, signer = Pool(8_192, seed=number), Signer.now(server.address)
    with server.rest() as rest:
        if number == 0:
            body = {"name": "used", "storage_namespace": "local://bench/used"}
            rest.call("POST", ("repositories",), None, json.dumps(body).encode())
    path = f"/used/main/object-{number}"
    steps = [
        Step(signer.head("PUT", path, length=4_096, payload=UNSIGNED), (0, 4_096)),
        Step(signer.head("GET", path), expected=(0, 4_096)),
        Step(signer.head("GET", "/used", {"list-type": "2", "prefix": "main/"})),
    ]
    drive(server.address, steps, pool, Load(1), "one of each")
    with server.rest() as rest:
        segments = ("repositories", "used", "branches", "main", "commits")
        rest.call("POST", segments, None, b'{"message": "a change"}')
    with server.rest() as rest:
        rest.call("GET", ("repositories", "used", "refs", "main~1", "diff", "main"))
