"""What all clients of a trial share: changes written down, and what became of lost ones."""

import json
import random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from tests.kills.bodies import make_body, state_of
from tests.kills.journal import Journal, State
from tests.kills.wire import S3, Answer, Key, Lost, Rest, Stopped

REPOSITORY = "example3"
RAW_BUCKET = "plain"

End = Literal["done", "lost", "refused"]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """What a client is to do; `round` keeps the paths of two rounds apart."""

    kind: str
    name: str
    round: int
    seed: str
    journal: str
    api: Key
    raw: Key

    def encode(self) -> bytes:
        """Return the line for a client's stdin."""
        return json.dumps(asdict(self)).encode() + b"\n"


def decode_plan(line: bytes) -> ClientPlan:
    """Return the plan of a line."""
    stored = json.loads(line)
    return ClientPlan(**stored | {"api": Key(**stored["api"]), "raw": Key(**stored["raw"])})


class Client:
    """What all kinds share. `step` does one thing; `pause_s` bounds the pause after it."""

    pause_s = 0.02

    def __init__(self, plan: ClientPlan, journal: Journal, stopping: threading.Event) -> None:
        self.plan = plan
        self.journal = journal
        self.stopping = stopping
        self.random = random.Random(plan.seed)
        self.lake = S3(plan.api, REPOSITORY, stopping)
        self.raw = S3(plan.raw, RAW_BUCKET, stopping)
        self.rest = Rest(plan.api, stopping)
        self.number = plan.round * 1_000_000
        self.states: dict[str, State] = {}
        self.reads = 0

    def run(self) -> None:
        """Go on until told to stop."""
        try:
            while not self.stopping.wait(self.random.uniform(0, self.pause_s)):
                self.step()
        except Stopped:
            pass
        self.journal.note("reads", count=self.reads)

    def step(self) -> None:
        """Do one thing."""
        raise NotImplementedError

    def change(self, do: str, s3: S3, path: str, becomes: State, send: Callable[[], Answer]) -> End:
        """Send a change of a key, write it down, and tell how it ended; what was lost is read."""
        key = f"{s3.bucket}/{path}"
        before = self.states.get(key)
        number = self.journal.intend(do, key, becomes)
        try:
            answer = send()
        except Lost:
            self.journal.end(number, "lost")
            found = self.look(s3, path)
            self.journal.saw(key, found)
            self.states[key] = found
            if found not in (before, becomes):
                self.journal.wrong(f"{do} {key}: {found} after {before} or {becomes}")
            return "lost"
        if answer.status in (200, 204) and b"<Error>" not in answer.body:
            self.journal.end(number, "done")
            self.states[key] = becomes
            return "done"
        self.journal.end(number, "refused")
        self.journal.wrong(f"{do} {key} answered {answer}")
        return "refused"

    def look(self, s3: S3, path: str) -> State:
        """Read a key until there is an answer, and return its state."""
        while True:
            try:
                answer = s3.send("GET", path)
            except Lost:
                continue
            if answer.status == 200:
                return state_of(answer.body, answer.etag)
            if answer.status != 404:
                self.journal.wrong(f"GET {s3.bucket}/{path} answered {answer}")
            return None

    def put(self, s3: S3, path: str, size_bytes: int, do: str = "put") -> End:
        """Put an object; its ETag must be the MD5 of its bytes."""
        self.number += 1
        body = make_body(path, self.number, size_bytes)
        becomes = state_of(body)

        def send() -> Answer:
            answer = s3.send("PUT", path, body=body)
            if answer.status == 200 and answer.etag != becomes[0]:
                self.journal.wrong(f"PUT {path}: ETag {answer.etag}, not {becomes[0]}")
            return answer

        return self.change(do, s3, path, becomes, send)

    def delete(self, s3: S3, path: str) -> End:
        """Delete an object."""
        return self.change("delete", s3, path, None, lambda: s3.send("DELETE", path))

    def again(self, send: Callable[[], Answer]) -> Answer:
        """Send what may be sent twice until there is an answer."""
        while True:
            try:
                return send()
            except Lost:
                continue
