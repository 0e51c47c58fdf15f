"""A trial of SQL: loads of every kind while the SQL process, workers and supervisor are killed.

`python -m tests.kills.sql_trial --kills 200` runs a long one; `--seed N` replays its choices.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.sql_checking import SPARE, SqlChecker
from tests.kills.sql_clients import BROKER, KINDS, URLS
from tests.kills.sql_ledger import DATABASE, TABLES, Ledger
from tests.kills.sql_wire import Session, Where
from tests.kills.trial import Say, free_port
from tests.support.server import RunningServer, ServerFailed, launch_server, pause

KILLS_A_ROUND = 25
TARGETS = {"sql": 62, "worker": 12, "jobs": 8, "supervisor": 9, "all": 9}
_AIMED_AT = frozenset(("commit", "stream", "prepare", "submit", "insert", "abort", "cancel"))
_MODULES = {"sql": b"anabranch.sql", "worker": b"anabranch.worker", "jobs": b"anabranch.jobs"}
_ALIVE_S = 60.0
_TABLE = (
    "CREATE TABLE {} (load_id BIGINT, part INT, n BIGINT SUM DEFAULT '0') "
    "AGGREGATE KEY(load_id, part) DISTRIBUTED BY HASH(load_id) BUCKETS 1"
)


@dataclass
class Outcome:
    """What happened in a trial; `wrong` is empty when all was well."""

    seed: int
    rounds: int = 0
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    there: int = 0
    reads: int = 0
    wrong: list[str] = field(default_factory=list)


class SqlTrial:
    """One trial in a directory of its own; everything random follows from the seed but the time."""

    def __init__(self, directory: Path, *, seed: int, kills: int, say: Say) -> None:
        self.outcome = Outcome(seed)
        self._data = directory / "data"
        self._files = directory / "files"
        self._directory = directory
        self._random = random.Random(seed)
        self._kills = kills
        self._say = say
        self._ledger = Ledger()
        self._ports = tuple(free_port(self._random) for _ in range(4))
        self._where = Where(self._ports[2], self._ports[3])
        self._server: RunningServer | None = None

    def run(self) -> Outcome:
        """Run to the end, or to the first round with something wrong."""
        self._files.mkdir(parents=True)
        began_s = time.monotonic()
        try:
            self._start()
            self._prepare()
            while self._kills and not self.outcome.wrong:
                self.outcome.rounds += 1
                self._round(min(self._kills, KILLS_A_ROUND))
            self._server_now().stop()
            self._verify()
        except (AssertionError, OSError) as error:
            self.outcome.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            if self._server is not None:
                self._server.kill_all()
        self.outcome.seconds = time.monotonic() - began_s
        self._count()
        return self.outcome

    def _count(self) -> None:
        loads = self._ledger.loads.values()
        self.outcome.ends = self._ledger.ends
        self.outcome.reads = self._ledger.reads
        self.outcome.loads = Counter(load.kind for load in loads)
        self.outcome.there = sum(load.may_be == {True} for load in loads)
        if self.outcome.wrong:
            self._ledger.write(self._directory / "ledger.jsonl")

    # A round

    def _round(self, kills: int) -> None:
        checked = max(self._ledger.loads, default=0)
        stopping = threading.Event()
        clients = [
            kind(
                self._where, self._ledger, stopping,
                f"{self.outcome.seed}/{self.outcome.rounds}/{index}", self._files,
            )
            for index, kind in enumerate(KINDS)
        ]  # fmt: skip
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        try:
            for left in range(kills, 0, -1):
                self._kill(is_last=left == 1)
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
        self.outcome.wrong += self._ledger.wrong
        with contextlib.closing(SqlChecker(self._where, self._ledger, checked)) as checker:
            self.outcome.wrong += checker.check()
        self._say(
            f"round {self.outcome.rounds}: {self.outcome.kills.total()} kills, "
            f"{len(self._ledger.loads)} loads, {len(self.outcome.wrong)} wrong"
        )

    def _kill(self, *, is_last: bool) -> None:
        target = self._random.choices(list(TARGETS), list(TARGETS.values()))[0]
        if is_last:
            target = "all"
        # Mostly something was answered since the last kill; now and then the next comes at once.
        if self._random.random() < 0.8:
            self._ledger.wait_for_answers(self._random.randrange(1, 10), _ALIVE_S)
        if self._random.random() < 0.6:
            self._ledger.wait_for_send(frozenset((self._random.choice(sorted(_AIMED_AT)),)), 0.5)
            pause(self._random.uniform(0.0, 0.03))
        else:
            pause(self._random.uniform(0.0, 0.2))
        self._kills -= 1
        self.outcome.kills[target] += 1
        if target in _MODULES:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(self._wait_alive(target)), signal.SIGKILL)
            return
        server = self._server_now()
        if target == "all":
            server.kill_all()
        else:
            server.kill()
        server.wait_gone()
        self._server = None
        self._start()

    def _wait_alive(self, target: str) -> list[int]:
        deadline_s = time.monotonic() + _ALIVE_S
        while time.monotonic() < deadline_s:
            found = [
                pid
                for pid in sorted(self._server_now().processes())
                if _MODULES[target] in _command_line(pid)
            ]
            if found:
                return found
            pause()
        raise ServerFailed(f"no {target} in {_ALIVE_S} s\n{self._server_now().read_log()}")

    # The server

    def _start(self) -> None:
        port, raw_port, sql_port, doris_port = map(str, self._ports)
        self._server = launch_server(
            self._data, "--port", port, "--raw-port", raw_port, "--sql-port", sql_port,
            "--doris-port", doris_port, "--workers", "1",
            "--import-from", f"local://{self._files}",
            "--broker", f"{BROKER}={URLS}=local://{self._files}",
            has_sql=True, timeout_s=_ALIVE_S,
        )  # fmt: skip

    def _server_now(self) -> RunningServer:
        assert self._server is not None
        return self._server

    def _prepare(self) -> None:
        session = Session(self._where)
        with contextlib.closing(session):
            session.create(DATABASE)
            for table in (*TABLES, SPARE):
                session.run(_TABLE.format(table))

    def _verify(self) -> None:
        command = [sys.executable, "-m", "anabranch", "doctor", "--data", str(self._data)]
        command += ["--verify", "--checksums", "--json"]
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            self.outcome.wrong.append(f"doctor --verify ended with {done.returncode}: {said}")


def report(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of a table for people."""
    yield (
        f"seed {outcome.seed}, {outcome.rounds} rounds, {outcome.kills.total()} kills, "
        f"{outcome.seconds:.0f} s"
    )
    for name, count in outcome.kills.most_common():
        yield f"  {name:<22}{count:>8}"
    yield f"{'step':<24}{'done':>8}{'lost':>8}{'other':>8}"
    for step in sorted({step for step, _ in outcome.ends}):
        ends = {end: count for (of, end), count in outcome.ends.items() if of == step}
        done, lost = ends.pop("done", 0), ends.pop("lost", 0)
        yield f"  {step:<22}{done:>8}{lost:>8}{sum(ends.values()):>8}"
    shown = ", ".join(f"{count} {kind}" for kind, count in outcome.loads.most_common())
    yield f"loads: {shown}; {outcome.there} are there; {outcome.reads} reads"
    yield from (f"WRONG {text}" for text in outcome.wrong)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def main() -> int:
    """Run one trial; return 1 when something was wrong, and keep its directory then."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills.sql_trial", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often (default: 200)")
    parser.add_argument("--seed", type=int, help="replays the choices of a trial")
    parser.add_argument("--directory", type=Path, help="where (default: a temporary one)")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if given.seed is None else given.seed
    directory = given.directory or Path(tempfile.mkdtemp(prefix="sql-kills-"))
    print(f"seed {seed}, directory {directory}", flush=True)
    trial = SqlTrial(
        directory, seed=seed, kills=given.kills, say=lambda text: print(text, flush=True)
    )
    outcome = trial.run()
    print("\n".join(report(outcome)))
    if outcome.wrong:
        return 1
    if given.directory is None:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
