"""A trial: a server of two workers under load, killed at random moments, checked round by round."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.bodies import make_body, state_of
from tests.kills.checking import Checker
from tests.kills.client import RAW_BUCKET, REPOSITORY, ClientPlan
from tests.kills.journal import History, read_intents
from tests.kills.objects import PINNED, PINNED_BYTES, pinned_path
from tests.kills.wire import S3, Key, Rest
from tests.support.server import Patience, RunningServer, ServerFailed, launch_server

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
GONE_S = 1.0
"""How long a child may outlive its supervisor."""
_BUSY = 4
"""How much longer it may take with the cores and the disk as busy as a trial keeps them: a process
that is killed in a sync ends with the sync."""
KILLS_A_ROUND = 20
LOAD = (
    "writer", "writer", "raw_writer", "pinner", "reader", "reader",
    "uploader", "committer", "resetter", "founder",
)  # fmt: skip
TARGETS = {"worker": 58, "workers": 16, "jobs": 10, "supervisor": 9, "start": 2, "all": 5}
"""What is killed, by weight: `start` is a supervisor that has just been started, `all` at once."""
_AIMED_AT = frozenset(("complete", "large put", "copy", "delete", "mark", "put"))
_PAUSE_S = (0.05, 0.9)
_AIM_S = 1.5
_ALIVE_S = 60.0
_POLL_S = 0.01
_COMMANDS = {"worker": b"anabranch.worker", "jobs": b"anabranch.jobs"}

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What happened in a trial; `wrong` is empty when all was well."""

    seed: int
    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    reads: int = 0
    wrong: list[str] = field(default_factory=list)
    gone_s: list[float] = field(default_factory=list)
    """From each supervisor's death to the end of the last of its children."""
    restart_s: list[float] = field(default_factory=list)
    verified: str = ""
    """What the last verification counted."""


class Trial:
    """One trial in a directory of its own; everything random follows from the seed but the time."""

    def __init__(self, directory: Path, *, seed: int, kills: int, say: Say) -> None:
        self.outcome = Outcome(seed)
        self._directory = directory
        self._data = directory / "data"
        self._random = random.Random(seed)
        self._kills = kills
        self._say = say
        self._history = History()
        self._ports = (free_port(self._random), free_port(self._random))
        self._server: RunningServer | None = None
        self._clients: list[subprocess.Popen[bytes]] = []
        self._tails: dict[Path, int] = {}

    def run(self) -> Outcome:
        """Run to the end, or to the first round with something wrong."""
        directory = self._directory / "journals"
        directory.mkdir(parents=True)
        try:
            self._start()
            self._prepare()
            while self._kills and not self.outcome.wrong:
                self.outcome.rounds += 1
                self._round(directory, min(self._kills, KILLS_A_ROUND))
            self._server_now().stop()
        except (AssertionError, OSError) as error:
            self.outcome.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self._end_clients(is_urgent=True)
            if self._server is not None:
                self._server.kill_all()
        return self.outcome

    # A round

    def _round(self, directory: Path, kills: int) -> None:
        journals = self._start_clients(directory)
        for left in range(kills, 0, -1):
            # The last kill of a round is the server's end: verification reads what it left.
            self._kill(is_last=left == 1)
        self._end_clients()
        changed: set[str] = set()
        for journal in journals:
            changed |= self._history.feed(journal)
        self.outcome.ends = self._history.ends
        self.outcome.reads += sum(n["count"] for n in self._history.notes.pop("reads", []))
        self._verify()
        self._start()
        api, raw = self._keys()
        self.outcome.wrong += self._history.wrong
        with contextlib.closing(Checker(api, raw)) as checker:
            self.outcome.wrong += checker.check(self._history, changed)
        self._say(
            f"round {self.outcome.rounds}: {self.outcome.kills.total()} kills, "
            f"{sum(self.outcome.ends.values())} changes, {len(self.outcome.wrong)} wrong"
        )

    def _start_clients(self, directory: Path) -> list[Path]:
        api, raw = self._keys()
        journals: list[Path] = []
        number = self.outcome.rounds
        for index, kind in enumerate(LOAD):
            name = f"{kind.replace('_', '-')}-{number}-{index}"
            journals.append(directory / f"{name}.jsonl")
            seed = f"{self.outcome.seed}/{number}/{index}"
            plan = ClientPlan(kind, name, number, seed, str(journals[-1]), api, raw)
            with (self._directory / "clients.log").open("ab") as log:
                client = subprocess.Popen(
                    [sys.executable, "-m", "tests.kills.clients"],
                    stdin=subprocess.PIPE, stderr=log, cwd=ROOT,
                )  # fmt: skip
            assert client.stdin is not None
            client.stdin.write(plan.encode())
            client.stdin.flush()
            self._clients.append(client)
        self._tails = dict.fromkeys(journals, 0)
        return journals

    def _end_clients(self, *, is_urgent: bool = False) -> None:
        for client in self._clients:
            assert client.stdin is not None
            client.stdin.close()
        for client in self._clients:
            if is_urgent:
                client.kill()
            if client.wait(timeout=120) and not is_urgent:
                log = (self._directory / "clients.log").read_text()
                self.outcome.wrong.append(f"a client ended with {client.returncode}: {log}")
        self._clients.clear()

    def _verify(self) -> None:
        command = [sys.executable, "-m", "anabranch", "doctor", "--data", str(self._data)]
        command += ["--verify", "--checksums", "--json"]
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            self.outcome.wrong.append(f"doctor --verify ended with {done.returncode}: {said}")
            return
        (found,) = [
            one["detail"]
            for one in json.loads(done.stdout)
            if one["check"] == f"repository {REPOSITORY}"
        ]
        self.outcome.verified = found

    # Killing

    def _kill(self, *, is_last: bool) -> None:
        names, weights = list(TARGETS), list(TARGETS.values())
        target = self._random.choices(names, weights)[0]
        if is_last:
            target = self._random.choice(("supervisor", "all"))
        if self._random.random() < 0.4:
            self._wait_for_intent(self._random.choice(sorted(_AIMED_AT)))
        else:
            _pause(self._random.uniform(*_PAUSE_S))
        self._kills -= 1
        self.outcome.kills[target] += 1
        if target in ("worker", "workers", "jobs"):
            pids = self._wait_alive("jobs" if target == "jobs" else "worker")
            for pid in pids if target == "workers" else [self._random.choice(pids)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        self._kill_server(is_all=target == "all")
        if target == "start":
            self._start_and_kill()
        if not is_last:
            self._start()

    def _kill_server(self, *, is_all: bool) -> None:
        server = self._server_now()
        family = server.processes()
        if is_all:
            server.kill_all()
        else:
            server.kill()
        patience = Patience(2 * _BUSY * GONE_S)
        while any(is_alive(pid) for pid in family) and not patience.is_over():
            _pause(_POLL_S)
        took_s = patience.taken_s()
        self.outcome.gone_s.append(took_s)
        if took_s > _BUSY * GONE_S:
            self.outcome.wrong.append(f"children lived {took_s:.2f} s after their supervisor")
        server.wait_gone()
        self._server = None

    def _start_and_kill(self) -> None:
        """Start a server and kill it while it starts; a later start must not suffer."""
        with (self._directory / "data.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "anabranch", "serve", "--data", str(self._data)]
                + self._options() + ["--quickstart"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _pause(self._random.uniform(0.0, 3.0))
        process.kill()
        process.wait()

    def _wait_alive(self, kind: str) -> list[int]:
        """Return the pids of the living processes of a kind; wait when there is none."""
        deadline_s = time.monotonic() + _ALIVE_S
        while time.monotonic() < deadline_s:
            found = [
                pid
                for pid in sorted(self._server_now().processes())
                if _COMMANDS[kind] in _command_line(pid)
            ]
            if found:
                return found
            _pause(0.05)
        raise ServerFailed(f"no {kind} in {_ALIVE_S} s\n{self._server_now().read_log()}")

    def _wait_for_intent(self, do: str) -> None:
        """Return a moment after some client began to do something; at worst after a while."""
        deadline_s = time.monotonic() + _AIM_S
        for path in self._tails:
            self._tails[path] = path.stat().st_size if path.exists() else 0
        while time.monotonic() < deadline_s:
            if do in self._new_intents():
                _pause(self._random.uniform(0.0, 0.02))
                return
            _pause(0.002)

    def _new_intents(self) -> set[str]:
        found: set[str] = set()
        for path, offset in self._tails.items():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(offset)
                data = file.read()
                data = data[: data.rfind(b"\n") + 1]
                self._tails[path] = offset + len(data)
                found.update(read_intents(data.splitlines()))
        return found

    # The server

    def _start(self) -> None:
        began_s = time.monotonic()
        self._server = launch_server(self._data, *self._options(), timeout_s=_ALIVE_S)
        self.outcome.restart_s.append(time.monotonic() - began_s)

    def _options(self) -> list[str]:
        port, raw_port = map(str, self._ports)
        return ["--port", port, "--raw-port", raw_port, "--workers", str(WORKERS), "--no-sql"]

    def _server_now(self) -> RunningServer:
        assert self._server is not None
        return self._server

    def _keys(self) -> tuple[Key, Key]:
        server = self._server_now()
        port, raw_port = self._ports
        return (
            Key("127.0.0.1", port, server.access_key, server.secret_key),
            Key("127.0.0.1", raw_port, server.raw_access_key, server.raw_secret_key),
        )

    def _prepare(self) -> None:
        """Make the branch, the raw bucket, and the objects that are never absent from here on."""
        api, raw = self._keys()
        stopping = threading.Event()
        lake, rest = S3(api, REPOSITORY, stopping), Rest(api, stopping)
        here = f"repositories/{REPOSITORY}"
        plain = S3(raw, RAW_BUCKET, stopping)
        answers = [plain.send("PUT", "")]
        for number in range(PINNED):
            path = pinned_path(number)
            body = make_body(path, 0, PINNED_BYTES)
            answers.append(lake.send("PUT", f"main/{path}", body=body))
            self._history.possible[f"{REPOSITORY}/dev/{path}"] = {state_of(body)}
        answers.append(rest.send("POST", f"{here}/branches/main/commits", {"message": "pinned"}))
        answers.append(rest.send("POST", f"{here}/branches", {"name": "dev", "source": "main"}))
        for connection in (plain, lake, rest):
            connection.close()
        assert all(answer.status in (200, 201) for answer in answers), list(map(str, answers))


def free_port(randomness: random.Random) -> int:
    """Return a free port below those that connections take for their own ends.

    A server that comes back would not get one of those again, and a client that knocks while
    nobody listens could be connected to itself.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        number = randomness.randrange(max(1_024, lowest // 2), lowest)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number


def report(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of a table for people."""
    yield f"seed {outcome.seed}, {outcome.rounds} rounds, {outcome.kills.total()} kills"
    for name, count in outcome.kills.most_common():
        yield f"  {name:<22}{count:>8}"
    yield f"{'change':<24}{'done':>8}{'lost':>8}{'refused':>9}"
    for do in sorted({do for do, _ in outcome.ends}):
        done, lost, refused = (outcome.ends[do, end] for end in ("done", "lost", "refused"))
        yield f"  {do:<22}{done:>8}{lost:>8}{refused:>9}"
    yield f"  {'read':<22}{outcome.reads:>8}"
    for name, seconds in (("children gone", outcome.gone_s), ("start", outcome.restart_s)):
        if seconds:
            yield f"{name}: {len(seconds)} times, at most {max(seconds):.2f} s"
    yield f"verified: {outcome.verified}"
    yield from (f"WRONG {text}" for text in outcome.wrong)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that is only to be reaped does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _pause(seconds: float) -> None:
    # The load has to go on meanwhile: this is the only thing that time is spent on.
    signal.sigtimedwait([], seconds)
