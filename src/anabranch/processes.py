"""How the processes of one server belong together.

A child gets its plan as one line of JSON on stdin; the rest of stdin is its lifeline, whose end
means that the supervisor is gone. It says "ready" on stdout; logs go to stderr.
"""

import contextlib
import ctypes
import faulthandler
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from anabranch.kernel.errors import Kind, Unavailable
from anabranch.settings import (
    Settings,
    child_environment,
    decode_settings,
    encode_settings,
    interpreter,
)

_PR_SET_PDEATHSIG = 1
UNUSED = {
    "anabranch.worker": ("numpy", "rich"),
    "anabranch.jobs": ("numpy", "rich"),
}
"""What other libraries import when it is there, and a child never uses: some 9 MB in each."""
# glibc's heap: each further one of a thread keeps what a merge of a million objects left in it.
_ALLOCATION = {"MALLOC_ARENA_MAX": "2"}
SWITCH_S = 0.0005
"""How long a thread may compute while others wait: a short write or statement passes through up to
four of them, and waits at each for whoever computes. Python's own 5 ms are the time of ten such."""
_READY = b"ready\n"
_ORPHANED = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a child is to do; `settings` hold the ports in use, never 0.

    `index` is 0 for the worker that installs the quickstart keys. `arguments` are for one-off
    processes.
    """

    settings: Settings
    process: str
    index: int = 0
    parent: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)


class Child:
    """A started process as its parent sees it."""

    def __init__(
        self, module: str, plan: Plan, *, lock: int | None = None, metrics: Path | None = None
    ) -> None:
        added = dict(_ALLOCATION) if module == "anabranch.worker" else {}
        if metrics is not None:
            added["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        self.plan = plan
        self._process = subprocess.Popen(
            # By way of this module: the rest of a child takes its time to import.
            [*interpreter(), "-m", "anabranch.processes", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(added),
            pass_fds=() if lock is None else (lock,),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._lifeline: IO[bytes] = self._process.stdin
        self.output: IO[bytes] = self._process.stdout
        line = {
            "settings": encode_settings(plan.settings),
            "process": plan.process,
            "index": plan.index,
            "parent": os.getpid(),
            "arguments": plan.arguments,
        }
        try:
            self._lifeline.write(json.dumps(line).encode() + b"\n")
            self._lifeline.flush()
        except BrokenPipeError:
            # It died at once: whoever reads its output learns so.
            return

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def read(self) -> bytes:
        """Return what it says next, empty when its stdout has ended; may block."""
        return os.read(self.output.fileno(), 4096)

    def is_alive(self) -> bool:
        """Tell whether it runs; reaps it when it does not."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; harmless when it has ended."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return its exit code, negative for a signal; None when it runs on past the time-out."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Close both pipes; a child that still runs takes that for the supervisor's end."""
        # A child that died at once leaves its plan in the buffer: closing writes it again.
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()
        self.output.close()


def is_ready(said: bytes) -> bool:
    """Tell whether a child said that it serves."""
    return _READY in said


def begin() -> Plan:
    """Return this child's plan, and make sure that it ends when its parent does.

    Twice over: by the kernel where it can, and by the end of the lifeline, which also sees a parent
    that died before the kernel was asked.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(_ORPHANED)
    stored = json.loads(line)
    plan = Plan(
        settings=decode_settings(stored["settings"]),
        process=stored["process"],
        index=stored["index"],
        parent=stored["parent"],
        arguments=stored["arguments"],
    )
    if os.getppid() != plan.parent:
        os._exit(_ORPHANED)
    threading.Thread(target=_watch_lifeline, name="lifeline", daemon=True).start()
    return plan


def _watch_lifeline() -> None:
    while os.read(0, 4096):
        pass
    os._exit(_ORPHANED)


def start(module: str, parent: int) -> None:
    """Run a child's module, which the kernel kills with its parent from before the first import.

    What is in UNUSED for it can't be imported by it. When it crashes, or gets SIGABRT, it says
    in the log what each of its threads was doing.
    """
    faulthandler.enable(sys.stderr)
    sys.setswitchinterval(SWITCH_S)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_ORPHANED)
    # Ctrl-C reaches the whole group; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in UNUSED.get(module, ()):
        sys.modules[name] = None  # type: ignore[assignment]  # how Python says: not to be found
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def say_ready() -> None:
    """Tell the supervisor that this child serves."""
    os.write(1, _READY)


def say(value: Any) -> None:
    """Hand a result of a one-off process to its parent: one line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def run(module: str, plan: Plan, *, lock: int | None = None) -> Iterator[dict[str, Any]]:
    """Run a one-off process to its end and yield what it says.

    Raises Unavailable when it ends without having said why it failed.
    """
    child = Child(module, plan, lock=lock)
    has_said_why = False
    try:
        for line in child.output:
            said = json.loads(line)
            has_said_why = has_said_why or "error" in said
            yield said
        if child.wait() != 0 and not has_said_why:
            raise Unavailable(Kind.STORE_FAILED, f"{plan.process} failed; the log says why")
    finally:
        if child.is_alive():
            child.send(signal.SIGKILL)
            child.wait()
        child.close()


if __name__ == "__main__":
    start(sys.argv[1], int(sys.argv[2]))
