"""Large objects through the S3 gateway: rates at 64 MiB, and memory at 2 GiB eight at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.bare import LARGE_BYTES, large_rate
from bench.generating import Load, Pool, Step, drive
from bench.lake_rows import LakeRow
from bench.memory import Peak, resident_mb, watched
from bench.samples import load_average
from bench.servers import Server
from bench.signing import UNSIGNED, Signer

_CHECKED_EVERY = 7
_PARALLEL = 8


@dataclass(slots=True)
class Large:
    """The rows of one server; each client count gets `count` requests after a warm-up."""

    server: Server
    count: int
    machine: dict[str, float] = field(default_factory=dict)
    repository: str = "large"

    def prepare(self) -> None:
        """Make the repository."""
        with self.server.rest() as rest:
            body = {
                "name": self.repository,
                "storage_namespace": f"local://bench/{self.repository}",
                "default_branch": "main",
            }
            rest.call("POST", ("repositories",), None, json.dumps(body).encode())

    def _steps(self, method: str, names: list[str], size_bytes: int) -> list[Step]:
        signer, span = Signer.now(self.server.address), (0, size_bytes)
        paths = [f"/{self.repository}/main/{name}" for name in names]
        if method == "GET":
            return [Step(signer.head("GET", path), expected=span) for path in paths]
        return [
            Step(signer.head("PUT", path, length=size_bytes, payload=UNSIGNED), span)
            for path in paths
        ]

    def measure(
        self, method: str, clients: int, pool: Pool, lakefs: float, wanted: float
    ) -> LakeRow:
        """Measure one method with so many clients; bodies that were put are read back."""
        case = f"{method} 64 MiB{' unsigned' * (method == 'PUT')}, {clients} client"
        case += "s" * (clients > 1)
        address, busy = self.server.address, load_average()
        # The names are put again and again: a plan of fresh ones would fill the disk.
        names = [f"large-{at % 8}.bin" for at in range(self.count)]
        self._warm_up(method, names, clients, pool)
        used = self.server.processor_s()
        load = Load(clients, check_every=_CHECKED_EVERY)
        steps = self._steps(method, names, LARGE_BYTES)
        outcome = drive(address, steps, pool, load, case)
        used = self.server.processor_s() - used
        if method == "PUT":
            drive(address, self._steps("GET", names[:2], LARGE_BYTES), pool, Load(1), case)
        return LakeRow(
            method.lower() + "64", case, "MiB/s", large_rate(outcome, clients), wanted,
            lakefs=lakefs, machine=self.machine.get(f"bare_{method.lower()}_{clients}"),
            machine_name="bare", is_of_machine=True, load=busy, samples=outcome.raw,
            processor_us=used * 1e6 / outcome.answered,
        )  # fmt: skip

    def _warm_up(self, method: str, names: list[str], clients: int, pool: Pool) -> None:
        steps = self._steps("PUT", names[:8], LARGE_BYTES)
        if method == "GET":
            drive(self.server.address, steps, pool, Load(1), "objects to get")
            steps = self._steps("GET", names[: 2 * clients], LARGE_BYTES)
        drive(self.server.address, steps[: 2 * clients], pool, Load(clients), "warm-up")

    def flat(self, size_bytes: int) -> list[LakeRow]:
        """Measure by how much eight large bodies at a time raise the RSS, up and down."""
        pool = Pool(0)
        pool.data = bytearray(Pool(LARGE_BYTES, seed=3).data * (size_bytes // LARGE_BYTES))
        names = [f"huge-{at}.bin" for at in range(_PARALLEL)]
        found = []
        for method, word in (("PUT", "uploads"), ("GET", "downloads")):
            busy = load_average()
            with self._rise() as peak:
                steps = self._steps(method, names, size_bytes)
                case = f"{_PARALLEL} {word} of {size_bytes >> 20} MiB"
                drive(self.server.address, steps, pool, Load(_PARALLEL), case)
            found.append(
                LakeRow(
                    "flat",
                    f"{case}, RSS raised by",
                    "MB",
                    peak.rss_mb,
                    200,
                    at_least=False,
                    load=busy,
                    samples=peak.seen,
                )
            )
        return found

    @contextmanager
    def _rise(self) -> Iterator[Peak]:
        """Yield a peak that says, once the block is over, by how much the RSS rose."""
        before = resident_mb(self.server)
        with watched(self.server, Peak()) as peak:
            yield peak
        peak.rss_mb = max(0.0, peak.rss_mb - before)
