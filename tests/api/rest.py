"""The REST surface over memory stores, called as a server would call it."""

import asyncio
import base64
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from anabranch.access import Access
from anabranch.api.app import Api
from anabranch.api.operations import ServerView
from anabranch.edge.http import Request, send_response
from anabranch.kernel.pages import Page
from anabranch.lake import Lake
from anabranch.storage.blocks.base import Block
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.base import Prepared
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from tests.support.fakes import FakeClock, FakeIds

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
USER = "docker"
REPOSITORY = "example"
NAMESPACE = "s3://example"

Pairs = Sequence[tuple[str, str]] | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, which the content type must say."""
        assert self.header("content-type") == "application/json"
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The message of an error."""
        assert set(self.json) == {"message"}
        return str(self.json["message"])

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key == name), None)


def basic(key_id: str = KEY_ID, secret: str = SECRET) -> tuple[str, str]:
    """Return the header of an access key."""
    return "authorization", "Basic " + base64.b64encode(f"{key_id}:{secret}".encode()).decode()


class HeldBlocks(MemoryBlocks):
    """Blocks whose listings wait while a test holds them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.is_listing_free = threading.Event()
        self.is_listing_free.set()

    def list(self, bucket: str, *, prefix: str, after: str, amount: int) -> Page[Block]:
        """Return a page when the test lets it."""
        assert self.is_listing_free.wait(timeout=30)
        return super().list(bucket, prefix=prefix, after=after, amount=amount)


class Rest:
    """One server in memory with one user; `at` makes paths of a repository."""

    def __init__(self, *, is_set_up: bool = True) -> None:
        self.clock = FakeClock(step_ns=1_000_000)
        self.ids = ids = FakeIds()
        self.kv = kv = MemoryKV(self.clock)
        self.blocks = HeldBlocks(kv, self.clock, ids)
        self.writer = GroupWriter(kv, self.blocks.flush)
        self.lake = Lake(kv, self.blocks, self.writer, clock=self.clock, ids=ids)
        self.access = Access(kv, self.writer, self.clock, ids, b"k" * 32)
        self.api = Api(self.lake, self.access, self.clock, ServerView(version="1.2.3"))
        self._runner = asyncio.Runner()
        if is_set_up:
            self.access.setup(USER, key_id=KEY_ID, secret=SECRET)

    def forget_bytes(self, address: str) -> None:
        """Let a block no longer exist, as when it is lost."""
        conditions, writes = self.blocks.removal(self.blocks.get(address))
        self.writer.submit(lambda: Prepared(conditions, writes, lambda _verdict: None))

    def reopen(self) -> None:
        """Forget what is cached, as a server that is started again has."""
        self.lake.close()
        self.lake = Lake(self.kv, self.blocks, self.writer, clock=self.clock, ids=self.ids)
        self.api = Api(self.lake, self.access, self.clock, ServerView(version="1.2.3"))

    def close(self) -> None:
        """Stop all threads."""
        self.lake.imports.close()
        self.lake.refs_tasks.close()
        self.writer.close()
        self._runner.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Pairs = (),
        body: Any = None,
        headers: Pairs = (),
        is_anonymous: bool = False,
        chunks: Sequence[bytes] | None = None,
        base: str = "/api/v1",
    ) -> Reply:
        """Send one request: a dict or list as JSON, bytes as they are, `chunks` streamed."""
        sent = dict(headers)
        if not is_anonymous:
            sent.setdefault(*basic())
        data = b""
        if isinstance(body, bytes):
            data = body
        elif body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        pieces = [data] if chunks is None else list(chunks)
        if chunks is None:
            sent.setdefault("content-length", str(len(data)))
        else:
            sent.setdefault("transfer-encoding", "chunked")
        return self._runner.run(self._send(method, base + path, query, sent, pieces))

    async def _send(
        self, method: str, path: str, query: Pairs, headers: dict[str, str], pieces: list[bytes]
    ) -> Reply:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlencode(query).encode(),
            "headers": [(key.lower().encode(), text.encode()) for key, text in headers.items()],
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        messages = [
            {"type": "http.request", "body": piece, "more_body": at + 1 < len(pieces)}
            for at, piece in enumerate(pieces)
        ]
        answers: list[Any] = []

        async def receive() -> Any:
            if not messages:
                # The client stays until it has its answer.
                await asyncio.Event().wait()
            return messages.pop(0)

        async def send(message: Any) -> None:
            answers.append(message)

        request = Request(scope, receive)
        await send_response(await self.api(request), send, request)
        start = answers[0]
        return Reply(
            start["status"],
            tuple((key.decode(), value.decode()) for key, value in start["headers"]),
            b"".join(one.get("body", b"") for one in answers[1:]),
        )

    def get(self, path: str, /, **query: Any) -> Reply:
        """GET with query parameters."""
        return self.call("GET", path, query={key: str(value) for key, value in query.items()})

    def post(self, path: str, body: Any = None, /, **query: Any) -> Reply:
        """POST JSON."""
        return self.call("POST", path, body=body, query={k: str(v) for k, v in query.items()})

    def put(self, path: str, body: Any = None, /, **query: Any) -> Reply:
        """PUT JSON."""
        return self.call("PUT", path, body=body, query={k: str(v) for k, v in query.items()})

    def delete(self, path: str, body: Any = None, /, **query: Any) -> Reply:
        """DELETE, with JSON if there is a body."""
        return self.call("DELETE", path, body=body, query={k: str(v) for k, v in query.items()})

    def create(self, name: str = REPOSITORY, namespace: str = NAMESPACE, **more: Any) -> Reply:
        """Create a repository."""
        reply = self.post("/repositories", {"name": name, "storage_namespace": namespace, **more})
        assert reply.status == 201, reply
        return reply

    def upload(
        self, path: str, data: bytes = b"data", *, branch: str = "main", headers: Pairs = ()
    ) -> Reply:
        """Upload an object with a raw body."""
        return self.call(
            "POST", at(f"branches/{quote(branch, safe='')}/objects"), query={"path": path},
            body=data, headers=headers,
        )  # fmt: skip

    def commit(self, message: str = "a commit", *, branch: str = "main", **more: Any) -> str:
        """Commit a branch and return the commit id."""
        body = {"message": message, **more}
        reply = self.post(at(f"branches/{quote(branch, safe='')}/commits"), body)
        assert reply.status == 201, reply
        return str(reply.json["id"])

    def branch(self, name: str, source: str = "main") -> str:
        """Create a branch and return its head."""
        reply = self.post(at("branches"), {"name": name, "source": source})
        assert reply.status == 201, reply
        return reply.body.decode()

    def paths(self, ref: str = "main", **query: Any) -> list[str]:
        """Return the paths of one listing."""
        reply = self.get(at(f"refs/{quote(ref, safe='')}/objects/ls"), **query)
        assert reply.status == 200, reply
        return [one["path"] for one in reply.json["results"]]


def at(rest: str, repository: str = REPOSITORY) -> str:
    """Return the path of something in a repository."""
    return f"/repositories/{repository}/{rest}"
