"""The process group of `anabranch serve`: starts, watches, restarts and stops its children.

The supervisor touches no data: it holds the directory's lock and the ports, and says in
endpoints.json where the server answers once it does.
"""

import contextlib
import dataclasses
import http.client
import os
import selectors
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from anabranch.directory import Directory
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.ports import HeldPort, resolve_host
from anabranch.processes import Child, Plan, is_ready
from anabranch.settings import Settings, default_sql_threads, default_workers
from anabranch.telemetry import logger

STOP_S = 4.3
"""From SIGTERM until children that still run are killed; workers give up a little earlier."""
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 5.0
JOBS_AFTER_S = 3.0
"""From the first answer until housekeeping starts: half a second of one processor."""
STEADY_S = 30.0
"""A child that lived so long starts again without delay."""
_PROBE_TIMEOUT_S = 10.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to reach them, not a bind

Endpoints = dict[str, Any]


@dataclass(slots=True)
class _Slot:
    """One child that ought to run."""

    module: str
    plan: Plan
    child: Child | None = None
    is_ready: bool = False
    started_s: float = 0.0
    restart_s: float = 0.0
    failures: int = field(default=0)


class Supervisor:
    """One server on one directory. `announce` is called once, when everything answers."""

    def __init__(self, settings: Settings, announce: Callable[[Endpoints], None]) -> None:
        self._settings = settings
        self._announce = announce
        self._directory = Directory(settings.data.absolute())
        self._ports: list[HeldPort] = []
        self._slots: list[_Slot] = []
        self._jobs = _Slot("anabranch.jobs", Plan(settings, "jobs"))
        self._selector = selectors.DefaultSelector()
        self._lock: int | None = None
        self._is_announced = False
        self._is_stopping = False
        self._is_urgent = False
        self._exit_code = 0
        self._log = logger("supervisor")

    def run(self) -> int:
        """Serve until a signal; return the exit code: 0 after a signal, 1 when it never answered.

        Raises Unavailable when the directory or a port is taken, and what Directory.prepare does.
        """
        self._lock = self._directory.acquire_lock()
        try:
            self._directory.prepare()
            self._directory.remove_endpoints()
            self._plan_children(self._hold_ports())
            with self._signals() as woken:
                self._selector.register(woken, selectors.EVENT_READ)
                for slot in self._slots:
                    self._start(slot)
                self._watch()
        finally:
            self._stop_children()
            self._release()
        return self._exit_code

    # Starting

    def _hold_ports(self) -> Settings:
        host = resolve_host(self._settings.host)
        names = ["port", "raw_port"]
        if not self._settings.no_sql:
            names += ["sql_port", "doris_port"]
        numbers: dict[str, int] = {}
        for name in names:
            held = HeldPort(host, getattr(self._settings, name))
            self._ports.append(held)
            numbers[name] = held.number
        found = dataclasses.replace(
            self._settings,
            data=self._directory.path,
            host=host,
            workers=self._settings.workers or default_workers(),
            sql_threads=self._settings.sql_threads or default_sql_threads(),
        )
        return dataclasses.replace(found, **numbers)  # type: ignore[arg-type]  # ports alone

    def _plan_children(self, settings: Settings) -> None:
        self._settings = settings
        shutil.rmtree(self._directory.run, ignore_errors=True)
        self._directory.run.mkdir()
        for index in range(settings.workers):
            plan = Plan(settings, f"worker-{index}", index)
            self._slots.append(_Slot("anabranch.worker", plan))
        if not settings.no_sql:
            self._slots.append(_Slot("anabranch.sql", Plan(settings, "sql")))
        self._jobs = _Slot("anabranch.jobs", Plan(settings, "jobs"))

    def _start(self, slot: _Slot) -> None:
        slot.child = Child(slot.module, slot.plan, lock=self._lock, metrics=self._directory.run)
        slot.is_ready = False
        slot.started_s = time.monotonic()
        self._selector.register(slot.child.output, selectors.EVENT_READ, slot)

    @contextlib.contextmanager
    def _signals(self) -> Any:
        """Take signals: each wakes the loop through a pipe, so none is missed."""
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        os.set_blocking(read_end, False)
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        woken_before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        try:
            yield read_end
        finally:
            signal.set_wakeup_fd(woken_before)
            self._selector.unregister(read_end)
            os.close(read_end)
            os.close(write_end)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._is_urgent = self._is_stopping and number == signal.SIGINT
        self._is_stopping = True

    def _must_stop(self) -> bool:
        return self._is_stopping

    # Watching

    def _watch(self) -> None:
        while not self._must_stop():
            self._select(self._next_restart())
            if self._must_stop():
                break
            now_s = time.monotonic()
            for slot in self._slots:
                if slot.child is None and slot.restart_s <= now_s:
                    self._start(slot)
            if not self._is_announced and all(slot.is_ready for slot in self._slots):
                self._say_where()
        self._directory.remove_endpoints()
        for slot in self._slots:
            if slot.child is not None:
                slot.child.send(signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_S
        while any(slot.child is not None for slot in self._slots):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._is_urgent:
                return
            self._select(left_s)

    def _next_restart(self) -> float | None:
        waiting = [slot.restart_s for slot in self._slots if slot.child is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _select(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            slot = key.data
            if slot is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 64)
                continue
            said = slot.child.read()
            if not said:
                self._on_end(slot)
            elif is_ready(said):
                slot.is_ready = True

    def _on_end(self, slot: _Slot) -> None:
        child = slot.child
        assert child is not None
        self._selector.unregister(child.output)
        code = child.wait(1.0)
        if code is None:
            child.send(signal.SIGKILL)
            code = child.wait()
        child.close()
        slot.child = None
        if self._is_stopping:
            return
        if not self._is_announced:
            self._log.error("did not start", child=slot.plan.process, code=code)
            self._exit_code = 1
            self._is_stopping = True
            return
        if time.monotonic() - slot.started_s > STEADY_S:
            slot.failures = 0
        delay_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2**slot.failures)
        slot.failures += 1
        slot.restart_s = time.monotonic() + delay_s
        self._log.warning("died", child=slot.plan.process, code=code, restart_in_s=delay_s)

    def _say_where(self) -> None:
        settings = self._settings
        shown = _WILDCARDS.get(settings.host, settings.host)
        ports = {"api": settings.port, "raw": settings.raw_port}
        if not settings.no_sql:
            ports |= {"sql": settings.sql_port, "doris": settings.doris_port}
        endpoints: Endpoints = {}
        for name, number in ports.items():
            if name == "sql":
                _probe_greeting(shown, number)
            else:
                _probe(shown, number, is_tls=settings.has_tls)
            endpoints[name] = {"host": shown, "port": number}
            if settings.has_tls:
                endpoints[name]["tls"] = True
        endpoints["pid"] = os.getpid()
        self._directory.write_endpoints(endpoints)
        self._is_announced = True
        self._announce(endpoints)
        # Nobody waits for jobs: they leave the machine to the workers while these start, and to
        # the first requests, which read what later ones find in memory.
        self._jobs.restart_s = time.monotonic() + JOBS_AFTER_S
        self._slots.append(self._jobs)

    # Ending

    def _stop_children(self) -> None:
        for slot in self._slots:
            if slot.child is not None:
                if slot.child.is_alive():
                    self._log.warning("killed", child=slot.plan.process)
                    slot.child.send(signal.SIGKILL)
                slot.child.wait()
                slot.child.close()
                slot.child = None

    def _release(self) -> None:
        self._selector.close()
        for held in self._ports:
            held.close()
        shutil.rmtree(self._directory.run, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def _probe_greeting(host: str, number: int) -> None:
    """Wait for the first byte of a server that speaks first; raise Unavailable without one."""
    try:
        with socket.create_connection((host, number), timeout=_PROBE_TIMEOUT_S) as connection:
            said = connection.recv(1)
    except OSError as error:
        raise Unavailable(Kind.BUSY, f"port {number} does not answer: {error}") from None
    if not said:
        raise Unavailable(Kind.BUSY, f"port {number} does not answer")


def _probe(host: str, number: int, *, is_tls: bool) -> None:
    """Ask a port for anything; raise Unavailable when it does not answer."""
    connection: http.client.HTTPConnection
    if is_tls:
        # It is our own port on our own machine: whose name the certificate has does not matter.
        context = ssl._create_unverified_context()  # noqa: S323  # loopback, by address
        connection = http.client.HTTPSConnection(
            host, number, timeout=_PROBE_TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, number, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/_health")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(Kind.BUSY, f"port {number} does not answer: {error}") from None
    finally:
        connection.close()
