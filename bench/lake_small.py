"""Small objects: durable puts and gets of 4 KiB through the S3 gateway."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from bench.generating import Load, Outcome, Pool, Span, Step, drive
from bench.lake_rows import LakeRow
from bench.samples import load_average
from bench.servers import Server
from bench.signing import UNSIGNED, Signer

SIZE_BYTES = 4_096
_READ_BACK = 100
_PLANNED_PER_S = {1: 3_000, 16: 10_000, 64: 14_000}
"""More puts than a server can take in a second: a plan must not end before its time."""
_GETS = 4_000


@dataclass(slots=True)
class Small:
    """The rows of one server; `seconds` are measured for each, after a warm-up."""

    server: Server
    seconds: float
    machine: dict[str, float] = field(default_factory=dict)
    repository: str = "small"
    pool: Pool = field(default_factory=lambda: Pool(1 << 20))
    _rounds: int = 0

    def prepare(self) -> None:
        """Make the repository."""
        with self.server.rest() as rest:
            body = {
                "name": self.repository,
                "storage_namespace": f"local://bench/{self.repository}",
                "default_branch": "main",
            }
            rest.call("POST", ("repositories",), None, json.dumps(body).encode())

    def _load(self, clients: int) -> Load:
        return Load(
            clients,
            measured_s=self.seconds,
            warm_up_s=min(1.0, self.seconds / 3),
            interval_s=self.seconds / 30,
        )

    def put(
        self, clients: int, lakefs: float | None, wanted: float | None,
        *, p99_ms: float | None = None, is_signed: bool = False,
    ) -> LakeRow:  # fmt: skip
        """Measure puts of fresh paths; read one of a hundred back."""
        self._rounds += 1
        signer = Signer.now(self.server.address)
        load = self._load(clients)
        count = int(_PLANNED_PER_S[clients] * (load.warm_up_s + self.seconds))
        paths = [f"/{self.repository}/main/put/{self._rounds}/{at:06}.bin" for at in range(count)]
        spans = [self.pool.span(at, SIZE_BYTES) for at in range(count)]
        steps = [
            Step(
                signer.head(
                    "PUT", path, length=SIZE_BYTES,
                    payload=hashlib.sha256(self.pool.get(span)).hexdigest() if is_signed
                    else UNSIGNED,
                ),
                span,
            )
            for path, span in zip(paths, spans, strict=True)
        ]  # fmt: skip
        case = f"PUT 4 KiB, {clients} client{'s' * (clients > 1)}"
        case += ", body signed" if is_signed else ""
        used, busy = self.server.processor_s(), load_average()
        outcome = drive(self.server.address, steps, self.pool, load, case)
        used = self.server.processor_s() - used
        self._read_back(paths[: outcome.issued : _READ_BACK], spans[: outcome.issued : _READ_BACK])
        name = "answers/s" if clients > 1 else "1/fdatasync"
        key = "empty_16" if clients > 1 else "fdatasync_per_s"
        return LakeRow(
            "put", case, "/s", outcome.rate, wanted, lakefs=lakefs,
            machine=self.machine.get(key), machine_name=name,
            processor_us=used * 1e6 / outcome.answered,
            more={"p99 ms": (outcome.quantile_us(0.99) / 1e3, p99_ms)},
            load=busy, samples=outcome.raw,
        )  # fmt: skip

    def _read_back(self, paths: list[str], spans: list[Span]) -> None:
        signer = Signer.now(self.server.address)
        steps = [
            Step(signer.head("GET", path), expected=span)
            for path, span in zip(paths, spans, strict=True)
        ]
        drive(self.server.address, steps, self.pool, Load(4), "what was put, read back")

    def prepare_gets(self) -> None:
        """Put and commit the objects that are read."""
        signer = Signer.now(self.server.address)
        steps = [
            Step(
                signer.head("PUT", self._get_path(at), length=SIZE_BYTES, payload=UNSIGNED),
                self.pool.span(at, SIZE_BYTES),
            )
            for at in range(_GETS)
        ]
        drive(self.server.address, steps, self.pool, Load(16), "objects to get")
        with self.server.rest() as rest:
            segments = ("repositories", self.repository, "branches", "main", "commits")
            rest.call("POST", segments, None, b'{"message": "objects to get"}')

    def _get_path(self, at: int) -> str:
        return f"/{self.repository}/main/get/{at % 40:02}/{at:05}.bin"

    def get(self, clients: int, lakefs: float | None, wanted: float | None) -> LakeRow:
        """Measure gets of committed objects; every hundredth is compared."""
        signer = Signer.now(self.server.address)
        order = [(at * 2_719) % _GETS for at in range(_GETS)]
        steps = [
            Step(signer.head("GET", self._get_path(at)), expected=self.pool.span(at, SIZE_BYTES))
            for at in order
        ]
        case = f"GET 4 KiB, {clients} client{'s' * (clients > 1)}"
        load = self._load(clients)
        load = Load(
            clients, measured_s=load.measured_s, warm_up_s=load.warm_up_s,
            interval_s=load.interval_s, check_every=_READ_BACK - 1, is_cycle=True,
        )  # fmt: skip
        used, busy = self.server.processor_s(), load_average()
        outcome: Outcome = drive(self.server.address, steps, self.pool, load, case)
        used = self.server.processor_s() - used
        return LakeRow(
            "get", case, "/s", outcome.rate, wanted, lakefs=lakefs,
            machine=self.machine.get(f"empty_{clients}"), machine_name="answers/s",
            processor_us=used * 1e6 / outcome.answered,
            more={"p99 ms": (outcome.quantile_us(0.99) / 1e3, None)},
            load=busy, samples=outcome.raw,
        )  # fmt: skip
