"""The load generator (bench/generator, Rust): plans of ready-made requests, and what came of them.

It is compiled at first use into `.cache/bench-generator`. A plan names its bodies by where they
are in a pool; `Pool` holds random bytes of which bodies are slices.
"""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bench.samples import ROOT, WrongAnswer

_CRATE = ROOT / "bench" / "generator"
_TARGET = ROOT / ".cache" / "bench-generator"
_MAGIC = b"ABPLAN1\n"
_ANYTHING = (1 << 64) - 1
_HEAD = struct.Struct("<IQQQQ")
INTERVALS_MIN = 30
"""A rate is the median of at least so many intervals."""

Span = tuple[int, int]
"""Offset and length in the pool."""


class Pool:
    """Bytes that bodies are slices of: random ones first, then what was appended."""

    def __init__(self, size_bytes: int, *, seed: int = 1) -> None:
        self.data = bytearray(random.Random(seed).randbytes(size_bytes))
        self._random_bytes = size_bytes

    def span(self, number: int, size_bytes: int) -> Span:
        """Return the body of this number: another one for each of about as many as bytes."""
        room = self._random_bytes - size_bytes
        return (number * 4_093) % room if room else 0, size_bytes

    def append(self, data: bytes) -> Span:
        """Add an expected answer."""
        found = (len(self.data), len(data))
        self.data += data
        return found

    def get(self, span: Span) -> bytes:
        """Return the bytes of a span."""
        return bytes(self.data[span[0] : span[0] + span[1]])


@dataclass(frozen=True, slots=True)
class Step:
    """One request: its head with the empty line, its body, and the body that must be answered."""

    head: bytes
    body: Span = (0, 0)
    expected: Span | None = None

    def encode(self) -> bytes:
        """Return it as the plan holds it."""
        expected = (0, _ANYTHING) if self.expected is None else self.expected
        return _HEAD.pack(len(self.head), *self.body, *expected) + self.head


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the generator saw. Latencies are pairs of microseconds and how often, in order."""

    answered: int
    issued: int
    measured: int
    measured_us: int
    processor_us: int
    body_bytes: int
    interval_us: int
    intervals: list[int]
    latencies: list[list[int]]
    is_exhausted: bool
    raw: dict[str, Any] = field(repr=False)

    @property
    def rate(self) -> float:
        """Return answers a second: the median of the intervals, or the mean where they are few."""
        if len(self.intervals) >= INTERVALS_MIN // 3:
            return float(_middle(self.intervals)) * 1e6 / self.interval_us
        return self.measured * 1e6 / max(1, self.measured_us)

    def quantile_us(self, part: float) -> int:
        """Return the latency that `part` of the requests did not pass."""
        left = part * sum(count for _, count in self.latencies)
        for latency, count in self.latencies:
            left -= count
            if left <= 0:
                return latency
        return 0


def _middle(numbers: list[int]) -> float:
    ordered = sorted(numbers)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@cache
def generator() -> Path:
    """Return the compiled generator; compile it when its sources changed."""
    command = ["cargo", "build", "--release", "--quiet", "--locked"]
    subprocess.run(
        command, cwd=_CRATE, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(_TARGET)}
    )
    return _TARGET / "release" / "generator"


@dataclass(frozen=True, slots=True)
class Load:
    """How a plan is sent. Without `measured_s` it is sent once, to its end."""

    connections: int = 1
    measured_s: float | None = None
    warm_up_s: float = 0.0
    interval_s: float = 0.2
    check_every: int = 1
    is_cycle: bool = False
    threads: int = 1


def drive(address: str, steps: list[Step], pool: Pool, load: Load, what: str) -> Outcome:
    """Send a plan; raise WrongAnswer for an answer that is not 2xx, or not the one expected."""
    with tempfile.TemporaryDirectory(prefix="anabranch-plan-") as folder:
        plan_path, pool_path = Path(folder) / "plan", Path(folder) / "pool"
        with plan_path.open("wb") as file:
            file.write(_MAGIC + struct.pack("<I", len(steps)))
            file.writelines(step.encode() for step in steps)
        pool_path.write_bytes(pool.data)
        command = [
            str(generator()), "--address", address, "--plan", str(plan_path),
            "--pool", str(pool_path), "--connections", str(load.connections),
            "--threads", str(load.threads), "--warm-up-ms", str(round(load.warm_up_s * 1e3)),
            "--interval-ms", str(round(load.interval_s * 1e3)),
            "--check-every", str(load.check_every),
        ]  # fmt: skip
        if load.measured_s is not None:
            command += ["--measured-ms", str(round(load.measured_s * 1e3))]
        if load.is_cycle:
            command += ["--cycle"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise WrongAnswer(f"{what}: {found.stderr.strip()}")
    raw: dict[str, Any] = json.loads(found.stdout)
    if raw["refused"]:
        raise WrongAnswer(f"{what}: {raw['statuses']}: {raw['shown']}")
    if raw["different"]:
        raise WrongAnswer(f"{what}: {raw['different']} of {raw['compared']} bodies differ")
    names = [name for name in Outcome.__dataclass_fields__ if name != "raw"]
    return Outcome(**{name: raw[name] for name in names}, raw=raw)
