"""The S3 surface over memory stores, and requests to it signed by botocore."""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from anabranch.edge.http import Request, Response
from anabranch.kernel.commits import Commit
from anabranch.kernel.ids import BranchId, Namespace, Path, Ref, RepositoryId, TagId
from anabranch.lake import Lake
from anabranch.s3.app import Gateway
from anabranch.s3.bucket import BucketSource
from anabranch.s3.lake_bucket import LakeBuckets
from anabranch.s3.raw_bucket import RawBuckets
from anabranch.storage.kv.base import Request as KVRequest
from tests.support.builders import REPO, LakeKit

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "127.0.0.1:8000"
EMPTY_SHA256 = hashlib.sha256().hexdigest()
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class SystemClock:
    """The time botocore signs with, moved by `skew_s`."""

    def __init__(self) -> None:
        self.skew_s = 0

    def now_ns(self) -> int:
        """Return nanoseconds since 1970."""
        return time.time_ns() + self.skew_s * 1_000_000_000


@dataclass(frozen=True)
class Credential:
    """An access key."""

    secret: str
    user: str = "docker"


@dataclass
class Sent:
    """A request as it goes over the wire; change what you like before it is sent."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    piece_bytes: int = 1 << 20
    is_cut: bool = False
    """The client goes away before the body's end."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def root(self) -> ElementTree.Element:
        """Return the document without its namespace."""
        return ElementTree.fromstring(self.body.replace(b' xmlns="http', b' x="http'))

    def texts(self, path: str) -> list[str]:
        """Return the texts of all elements at a path."""
        return [one.text or "" for one in self.root.findall(path)]

    def text(self, path: str) -> str:
        """Return the text of one element."""
        (found,) = self.texts(path)
        return found

    @property
    def code(self) -> str:
        """Return the error's code."""
        return self.text("Code")


class Signer(S3SigV4Auth):
    """Signs the payload hash that the request names, whatever it is."""

    def payload(self, request: Any) -> str:
        """Return what `x-amz-content-sha256` will say."""
        named = request.context.get("payload_hash")
        return str(named if named is not None else super().payload(request))


def sign(
    sent: Sent, *, kind: type[Any] = Signer, region: str = "us-east-1", **options: Any
) -> Sent:
    """Sign a request as botocore does: the kind is one of its signers."""
    credentials = Credentials(options.pop("key_id", KEY_ID), options.pop("secret", SECRET))
    url = f"http://{options.pop('host', HOST)}{sent.path}" + (
        f"?{sent.query}" if sent.query else ""
    )
    request = AWSRequest(sent.method, url, headers=dict(sent.headers), data=sent.body)
    if kind in (HmacV1Auth, HmacV1QueryAuth):
        kind(credentials, **options).add_auth(request)
    else:
        request.context["payload_signing_enabled"] = True
        request.context["payload_hash"] = sent.headers.get("x-amz-content-sha256")
        kind(credentials, "s3", region, **options).add_auth(request)
    prepared = request.prepare()
    asked = {name.lower() for name in sent.headers}
    rest = prepared.url.split("://", 1)[1]
    sent.path, _, sent.query = rest[rest.index("/") :].partition("?")
    sent.headers = {name.lower(): value for name, value in _texts(prepared.headers).items()}
    if "content-length" not in asked:
        sent.headers.pop("content-length", None)  # it follows from the body that is sent
    sent.headers.setdefault("host", rest[: rest.index("/")])
    return sent


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in headers.items()
    }


class S3Kit:
    """A gateway over memory stores; the lake's `example` repository exists."""

    def __init__(self, *, is_raw: bool = False, domains: tuple[str, ...] = ()) -> None:
        self.lake = LakeKit()
        self.lake.repository()
        self.clock = SystemClock()
        self.credentials = {KEY_ID: Credential(SECRET)}
        source: BucketSource = (
            RawBuckets(self.lake.lake, self.clock) if is_raw else LakeBuckets(self.lake.lake)
        )
        self.gateway = Gateway(source, self.credentials.get, self.clock, domains)
        self.last: Request | None = None

    def tag(self, name: str, ref: str = "main") -> None:
        """Tag a ref of `example`."""
        self.lake.lake.tags.create(REPO, TagId(name), Ref(ref))

    def read_only_repository(self, name: str) -> None:
        """Make a repository that takes no writes."""
        self.lake.lake.repositories.create(
            RepositoryId(name), Namespace(f"s3://{name}"), is_read_only=True, committer="tester"
        )

    def use(self, source: BucketSource) -> None:
        """Answer over another source of buckets."""
        self.gateway = Gateway(source, self.credentials.get, self.clock, ())

    def physical_address(self, repository: str, ref: str, path: str) -> str:
        """Return where an object's bytes are."""
        lake = self.lake.lake
        resolved = lake.resolve.resolve(RepositoryId(repository), Ref(ref))
        return lake.objects.stat(resolved, Path(path)).physical_address

    def issue_address(self, repository: str, branch: str, path: str) -> str:
        """Issue an address that a later link may use."""
        lake = self.lake.lake
        target = lake.objects.writable(RepositoryId(repository), BranchId(branch))
        return self.lake.writer.submit(lake.addresses.making_issue(target, Path(path)))

    def blocks(self, bucket: str) -> Sequence[str]:
        """Return the addresses of all objects in a bucket of the block store."""
        page = self.lake.blocks.list(bucket, prefix="", after="", amount=1_000)
        return [block.address for block in page.items]

    def commits(self, repository: str, ref: str) -> Sequence[Commit]:
        """Return the newest commits of a ref."""
        page = self.lake.lake.commits.log(RepositoryId(repository), Ref(ref), amount=100)
        return page.items

    def forget_bytes(self, address: str) -> None:
        """Let a block no longer exist, as when it is lost or its data has expired."""
        conditions, writes = self.lake.blocks.removal(self.lake.blocks.get(address))
        (verdict,) = self.lake.kv.apply([KVRequest(conditions, writes)])
        assert verdict.is_accepted

    def reopen(self) -> None:
        """Forget what is cached, as a server that is started again has."""
        kit = self.lake
        kit.lake.close()
        kit.lake = Lake(kit.kv, kit.blocks, kit.writer, clock=kit.clock, ids=kit.ids)
        self.use(LakeBuckets(kit.lake))

    @contextmanager
    def another_process(self) -> Iterator[Lake]:
        """Give the lake as a process sees it whose caches this one's gateway does not share."""
        kit = self.lake
        lake = Lake(kit.kv, kit.blocks, kit.writer, clock=kit.clock, ids=kit.ids)
        yield lake
        lake.close()

    def send(self, sent: Sent) -> Answer:
        """Send a request as it is."""
        return asyncio.run(self._send(sent))

    def send_without_length(self, sent: Sent) -> Answer:
        """Send a request that says nothing about its body."""
        return asyncio.run(self._send(sent, is_length_said=False))

    async def _send(self, sent: Sent, *, is_length_said: bool = True) -> Answer:
        headers = [(name.lower().encode(), value.encode()) for name, value in sent.headers.items()]
        names = [name for name, _ in headers]
        has_length = b"content-length" in names or b"transfer-encoding" in names
        if is_length_said and not has_length and (sent.body or sent.method in ("PUT", "POST")):
            headers.append((b"content-length", str(len(sent.body)).encode()))
        scope = {
            "type": "http",
            "method": sent.method,
            "raw_path": sent.path.encode(),
            "path": sent.path,
            "query_string": sent.query.encode(),
            "headers": headers,
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        pieces = [
            sent.body[at : at + sent.piece_bytes]
            for at in range(0, len(sent.body), sent.piece_bytes)
        ] or [b""]
        messages: list[dict[str, Any]] = [
            {
                "type": "http.request",
                "body": piece,
                "more_body": sent.is_cut or at + 1 < len(pieces),
            }
            for at, piece in enumerate(pieces)
        ]

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        request = Request(scope, receive, request_id="R1")
        self.last = request
        response = await self.gateway(request)
        return await _answer(response)

    def call(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Sign a request by SigV4 headers and send it."""
        return self.send(sign(Sent(method, path, query, dict(headers or {}), body), **options))

    def put(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Put an object and insist that it worked."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.call("PUT", path, body=body, headers=named)
        assert answer.status == 200, answer.body
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """Get a path."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("GET", path, headers=named)

    def keys(self, bucket: str, query: str = "list-type=2") -> Sequence[str]:
        """Return the keys of one listing."""
        return self.call("GET", f"/{bucket}", query).texts("Contents/Key")


async def _answer(response: Response) -> Answer:
    body = response.body
    data = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
    headers: dict[str, str] = {}
    for name, value in response.headers:
        assert name.decode() not in headers, f"{name!r} twice"
        headers[name.decode()] = value.decode()
    return Answer(response.status, headers, data)
