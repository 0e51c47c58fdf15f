"""Reads of a million objects: pages of 1,000, and single stats; and entries staged by REST."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from bench.generating import Load, Outcome, Step, drive
from bench.lake_rows import LakeRow
from bench.million import Objects
from bench.samples import WrongAnswer, load_average
from bench.servers import Server, expect
from bench.signing import Signer, rest_head

PAGE = 1_000
_PAGES = 60
_STATS = 5_000
_STATS_CHECKED_EVERY = 50
_STAGED_PER_S = 14_000


@dataclass(slots=True)
class Reads:
    """The rows of one repository on one server."""

    server: Server
    objects: Objects
    seconds: float
    machine: dict[str, float] = field(default_factory=dict)

    def _load(self, clients: int, *, is_cycle: bool = True) -> Load:
        return Load(
            clients, measured_s=self.seconds, warm_up_s=min(1.0, self.seconds / 3),
            interval_s=self.seconds / 30, is_cycle=is_cycle,
        )  # fmt: skip

    def _drive(self, steps: list[Step], load: Load, what: str) -> tuple[Outcome, dict[str, Any]]:
        """Send a plan; return what came of it and the fields of a row that follow from it."""
        used, busy = self.server.processor_s(), load_average()
        outcome = drive(self.server.address, steps, self.objects.pool, load, what)
        used = self.server.processor_s() - used
        return outcome, {
            "processor_us": used * 1e6 / outcome.answered, "load": busy, "samples": outcome.raw,
            "more": {"p99 ms": (outcome.quantile_us(0.99) / 1e3, None)},
            "machine": self.machine.get(f"empty_{load.connections}"),
            "machine_name": "answers/s",
        }  # fmt: skip

    def list_pages(self, surface: str, clients: int, **judged: Any) -> LakeRow:
        """Measure pages of 1,000 that begin anywhere; each page is compared with one looked at."""
        names = self.objects.names_in_order()
        distance = (len(names) - PAGE - 1) // _PAGES
        steps = []
        for number in range(_PAGES):
            at = (number * 37 % _PAGES) * distance
            head = self._page_head(surface, names[at])
            body = fetch(self.server, head)
            expect(page_paths(surface, body), names[at + 1 : at + 1 + PAGE], f"{surface} page")
            steps.append(Step(head, expected=self.objects.pool.append(body)))
        case = f"{surface} page of 1,000, {self.objects.kind} names, {_clients(clients)}"
        outcome, found = self._drive(steps, self._load(clients), case)
        return LakeRow("list", case, "/s", outcome.rate, **judged, **found)

    def _page_head(self, surface: str, after: str) -> bytes:
        repository = self.objects.repository
        if surface == "S3":
            query = {"list-type": "2", "max-keys": str(PAGE), "prefix": "main/"}
            query["start-after"] = f"main/{after}"
            return Signer.now(self.server.address).head("GET", f"/{repository}", query)
        target = f"/repositories/{repository}/refs/main/objects/ls"
        asked = f"?amount={PAGE}&after={quote(after, safe='')}"
        return rest_head(self.server.address, "GET", target + asked)

    def stat(self, clients: int, **judged: Any) -> LakeRow:
        """Measure stats of random paths; some are compared with an answer that was looked at."""
        steps = []
        for number in range(_STATS):
            path = self.objects.name(number * 7_919 * 13 % self.objects.count)
            target = f"/repositories/{self.objects.repository}/refs/main/objects/stat"
            asked = f"{target}?path={quote(path, safe='')}"
            head = rest_head(self.server.address, "GET", asked)
            step = Step(head)
            if number % _STATS_CHECKED_EVERY == 0:
                body = fetch(self.server, head)
                expect(json.loads(body)["path"], path, "a stat")
                step = Step(head, expected=self.objects.pool.append(body))
            steps.append(step)
        case = f"stat, {self.objects.kind} names, {_clients(clients)}"
        outcome, found = self._drive(steps, self._load(clients), case)
        return LakeRow("stat", case, "/s", outcome.rate, **judged, **found)

    def stage(self, rest: Any, clients: int, **judged: Any) -> LakeRow:
        """Measure uploads of empty objects by REST; one of a hundred is looked at."""
        branch = self.objects.branch(rest, f"staged-{clients}")
        load = self._load(clients, is_cycle=False)
        count = int(_STAGED_PER_S * (load.warm_up_s + self.seconds))
        paths = [f"staged/d{at % 1000:03}/f{at:06}.bin" for at in range(count)]
        repository = f"/repositories/{self.objects.repository}"
        target = f"{repository}/branches/{branch}/objects?path="
        steps = [
            Step(
                rest_head(self.server.address, "POST", target + quote(path, safe=""), length=0),
            )
            for path in paths
        ]
        case = f"staging by REST, {_clients(clients)}"
        outcome, found = self._drive(steps, load, case)
        found["machine"] = self.machine.get("empty_16" if clients == 16 else "empty_64")
        asked = f"{repository}/refs/{branch}/objects?path="
        back = [
            Step(
                rest_head(self.server.address, "GET", asked + quote(path, safe="")),
                expected=(0, 0),
            )
            for path in paths[: outcome.issued : 100]
        ]
        drive(self.server.address, back, self.objects.pool, Load(4), "what was staged, read back")
        return LakeRow("stage", case, "/s", outcome.rate, **judged, **found)


def _clients(count: int) -> str:
    return f"{count} client{'s' * (count > 1)}"


def fetch(server: Server, head: bytes) -> bytes:
    """Return the body of the answer to a ready-made head."""
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    if answer.status != http.client.OK:
        raise WrongAnswer(f"{head[:200]!r}: {answer.status} {body[:200]!r}")
    return body


def page_paths(surface: str, body: bytes) -> list[str]:
    """Return the paths of a page."""
    if surface == "REST":
        return [one["path"] for one in json.loads(body)["results"]]
    root = ElementTree.fromstring(body.replace(b' xmlns="http', b' x="http'))
    return [(one.text or "").removeprefix("main/") for one in root.findall("Contents/Key")]
