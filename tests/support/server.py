"""A real server as a process of its own, for tests that speak to it over loopback.

`start_server` starts `python -m anabranch serve` on free ports and waits until it says in
`endpoints.json` that everything answers. Nothing a test does may leave a process behind: stopping
asserts it, and leaving the context kills whatever is left before it complains.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.stolen import stolen_ticks

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
RAW_ACCESS_KEY = "minioadmin"
RAW_SECRET_KEY = "minioadmin"

STOP_TIMEOUT_S = 5.0  # the promise of `serve`: SIGTERM drains and stops in under this
_POLL_S = 0.02
_LOG_BYTES_SHOWN = 20_000


class ServerFailed(AssertionError):
    """The server did not start, did not stop in time, or left a process; the text holds its log."""


class Patience:
    """Time that something may take, not counting what other machines took from our processors.

    A virtual machine on a busy host stands still for seconds: nobody in it can keep a promise then.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began_s = time.monotonic()
        self._stolen_s = _stolen_s()

    def taken_s(self) -> float:
        """Return the seconds since the beginning that were ours."""
        return time.monotonic() - self._began_s - (_stolen_s() - self._stolen_s)

    def is_over(self) -> bool:
        """Tell whether it took longer than it may."""
        return self.taken_s() > self._seconds


def wait_code(process: "subprocess.Popen[bytes]", timeout_s: float) -> int | None:
    """Return a process's exit code, None when it runs on past the time-out."""
    patience = Patience(timeout_s)
    while (code := process.poll()) is None and not patience.is_over():
        pause()
    return code


def _stolen_s() -> float:
    return stolen_ticks()[0] / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class RunningServer:
    """A started server. `pid` is the supervisor's; `log` holds its stdout and stderr together.

    The access key is the quickstart user's, the raw key that of the raw store.
    """

    api_url: str
    raw_url: str
    pid: int
    data: Path
    log: Path
    endpoints: Mapping[str, Any]
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    raw_access_key: str = RAW_ACCESS_KEY
    raw_secret_key: str = RAW_SECRET_KEY
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process that `start_server` started."""
        assert self._process is not None
        return self._process

    @property
    def sql_port(self) -> int:
        """The port of MySQL's protocol; the server must have been started with SQL."""
        return int(self.endpoints["sql"]["port"])

    @property
    def doris_port(self) -> int:
        """The port of Doris's HTTP; the server must have been started with SQL."""
        return int(self.endpoints["doris"]["port"])

    @property
    def doris_url(self) -> str:
        """The URL of Doris's HTTP."""
        return _url(self.endpoints["doris"], tls="tls" in self.endpoints["doris"])

    def is_running(self) -> bool:
        """Tell whether the supervisor lives."""
        return self.process.poll() is None

    def processes(self) -> frozenset[int]:
        """Return the pids of the server's living processes, the supervisor among them."""
        return _session_pids(self.process.pid) | _descendants(self.process.pid)

    def read_log(self) -> str:
        """Return the end of the server's output."""
        return _tail(self.log)

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Send SIGTERM, want the end of every process within `timeout_s`, return the exit code.

        Stopping a stopped server does nothing.
        """
        if not self.is_running():
            return self.process.returncode
        family = self.processes()
        self.process.send_signal(signal.SIGTERM)
        code = wait_code(self.process, timeout_s)
        if code is None:
            described = _described(_living(family | self.processes()))
            self._ask_stacks(family)
            self._end_rest(family)
            message = f"still running {timeout_s} s after SIGTERM: {described}"
            raise ServerFailed(f"{message}\n{self.read_log()}")
        left = _living(family | self.processes())
        if left:
            described = _described(left)
            self._end_rest(left)
            raise ServerFailed(f"left processes behind: {described}\n{self.read_log()}")
        return code

    def kill(self) -> None:
        """SIGKILL the supervisor alone, as a crash would, and reap it; its workers have to notice.

        `wait_gone` then waits for them.
        """
        if self.is_running():
            self.process.kill()
            self.process.wait()

    def kill_all(self) -> None:
        """SIGKILL every process of the server at once, as a power cut would."""
        self._end_rest(self.processes())

    def wait_gone(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Wait until no process of the server is left; raise ServerFailed when one stays."""
        patience = Patience(timeout_s)
        while not patience.is_over():
            if not _living(self.processes()):
                return
            pause()
        left = self.processes()
        self._end_rest(left)
        raise ServerFailed(f"processes left after {timeout_s} s: {sorted(left)}\n{self.read_log()}")

    def _ask_stacks(self, pids: frozenset[int]) -> None:
        """Have every process write what its threads are doing to the log; each ends by that."""
        for pid in sorted(pids, reverse=True):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)
            pause(0.2)  # they write to one file
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=2.0)

    def _end_rest(self, pids: frozenset[int]) -> None:
        for pid in pids:
            # Gone meanwhile is what is wanted.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def start_server(
    data: Path, *args: str, quickstart: bool = True, has_sql: bool = False, timeout_s: float = 30
) -> Iterator[RunningServer]:
    """Run `anabranch serve` on `data` with free ports until the block ends; then stop it.

    `args` go to `serve` after the defaults, so that a repeated option wins. Without `has_sql` there
    is no SQL process, which takes memory and a second to start. The log lies beside `data`, as
    `<name>.log`, and is appended to by a second start.
    """
    running = launch_server(
        data, *args, quickstart=quickstart, has_sql=has_sql, timeout_s=timeout_s
    )
    try:
        yield running
        if running.is_running():
            running.stop()
        else:
            running.wait_gone()
    finally:
        running.kill_all()


def launch_server(
    data: Path,
    *args: str,
    quickstart: bool = True,
    has_sql: bool = False,
    timeout_s: float = 30,
    environment: Mapping[str, str] | None = None,
) -> RunningServer:
    """Start a server as `start_server` does; the caller stops it. `environment` adds variables."""
    data.parent.mkdir(parents=True, exist_ok=True)
    log = data.with_name(f"{data.name}.log")
    command = [sys.executable, "-m", "anabranch", "serve", "--data", str(data)]
    command += ["--quickstart"] if quickstart else []
    command += ["--sql-port", "0", "--doris-port", "0"] if has_sql else ["--no-sql"]
    command += ["--port", "0", "--raw-port", "0", *args]
    seen = _stamp(data / "endpoints.json")
    with log.open("ab") as output:
        # A session of its own: a Ctrl-C at pytest reaches us first, and its members can be listed.
        process = subprocess.Popen(  # our own interpreter and arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(environment or {}),
            start_new_session=True,
        )
    try:
        endpoints = _wait_endpoints(process, data / "endpoints.json", seen, timeout_s)
    except BaseException as problem:
        for pid in _session_pids(process.pid) | {process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if isinstance(problem, ServerFailed):
            raise ServerFailed(f"{problem}\n{_tail(log)}") from None
        raise
    return RunningServer(
        api_url=_url(endpoints["api"], tls="--tls-cert" in args),
        raw_url=_url(endpoints["raw"], tls="--tls-cert" in args) if "raw" in endpoints else "",
        pid=process.pid,
        data=data,
        log=log,
        endpoints=endpoints,
        _process=process,
    )


@pytest.fixture
def sql_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A fresh server with its SQL process for one test."""
    with start_server(tmp_path / "data", has_sql=True) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A fresh quickstart server of its own for one test."""
    with start_server(tmp_path / "data") as running:
        yield running


def _wait_endpoints(
    process: "subprocess.Popen[bytes]", path: Path, seen: tuple[int, int] | None, timeout_s: float
) -> dict[str, Any]:
    for _ in range(max(1, int(timeout_s / _POLL_S))):
        # A file that an earlier, killed server left has the stamp seen before the start.
        if _stamp(path) not in (None, seen):
            endpoints: dict[str, Any] = json.loads(path.read_bytes())
            return endpoints
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=_POLL_S)
            raise ServerFailed(f"the server ended with code {code} before it answered")
    raise ServerFailed(f"no endpoints.json after {timeout_s} s")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _url(endpoint: Mapping[str, Any], *, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{endpoint['host']}:{endpoint['port']}"


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    # The developer's own settings must not reach a server under test.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANABRANCH_", "AWS_"))}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(added)


def _tail(log: Path) -> str:
    data = log.read_bytes() if log.exists() else b""
    return f"--- {log.name} ---\n{data[-_LOG_BYTES_SHOWN:].decode(errors='replace')}"


def pause(seconds: float = _POLL_S) -> None:
    """Wait between two looks at what can only be polled: a process not our child, a job."""
    threading.Event().wait(seconds)


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, or None when there is no such one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command stands in brackets and may hold spaces and brackets itself.
    return text[text.rindex(")") + 1 :].split()


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _living(pids: frozenset[int]) -> frozenset[int]:
    fields = {pid: _stat_fields(pid) for pid in pids}
    return frozenset(pid for pid, found in fields.items() if found and found[0] not in "ZX")


def _session_pids(session: int) -> frozenset[int]:
    fields = {pid: _stat_fields(pid) for pid in _all_pids()}
    members = (pid for pid, found in fields.items() if found and int(found[3]) == session)
    return _living(frozenset(members))


def _descendants(pid: int) -> frozenset[int]:
    children: dict[int, list[int]] = {}
    for each in _all_pids():
        found = _stat_fields(each)
        if found:
            children.setdefault(int(found[1]), []).append(each)
    reached, queue = set[int](), [pid]
    while queue:
        following = children.get(queue.pop(), [])
        reached.update(following)
        queue.extend(following)
    return _living(frozenset(reached))


def _described(pids: frozenset[int]) -> str:
    return ", ".join(f"{pid} ({_command(pid)})" for pid in sorted(pids))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
