"""Which surface a request speaks to, and what the front answers itself."""

import asyncio
import base64
import json
from typing import Any

import pytest

from anabranch.edge.http import Request, Response
from anabranch.edge.middleware import Edge
from anabranch.front import Front, RawFront
from anabranch.kernel.errors import Kind, Unauthenticated, Unavailable
from anabranch.telemetry import Metrics


async def surface(request: Request) -> Response:
    return Response(200, [], request.surface.encode())


def authenticate(key_id: str, secret: str) -> str:
    if (key_id, secret) != ("id", "secret"):
        raise Unauthenticated(Kind.CREDENTIALS, "no")
    return key_id


def make_front(check: Any = lambda: None) -> Front:
    return Front(
        api=surface,
        s3=surface,
        page=surface,
        check=check,
        authenticate=authenticate,
        metrics=Metrics(),
        domains=("s3.example.org",),
    )


def request(
    path: bytes, method: str = "GET", query: bytes = b"", client: str = "127.0.0.1", **headers: str
) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {
        "method": method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "scheme": "http",
        "client": (client, 1),
        "server": ("127.0.0.1", 8000),
    }
    return Request(scope, receive, request_id="R1")


def ask(found: Request, front: Front | None = None) -> Response:
    return asyncio.run((front or make_front())(found))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (request(b"/api/v1/repositories"), b"api"),
        (request(b"/openapi.json"), b"api"),
        (request(b"/api/v1/x", authorization="Basic eDp5"), b"api"),
        (request(b"/api/v1/x", authorization="AWS4-HMAC-SHA256 Credential=.."), b"s3"),
        (request(b"/api/v1/x", authorization="AWS id:signature"), b"s3"),
        (request(b"/api/v1/x", query=b"X-Amz-Signature=00"), b"s3"),
        (request(b"/api/v1/x", query=b"AWSAccessKeyId=a&Signature=b&Expires=1"), b"s3"),
        (request(b"/api/v1/x", host="bucket.s3.example.org:8000"), b"s3"),
        (request(b"/api/v1/x", host="s3.example.org"), b"api"),
        (request(b"/api"), b"s3"),
        (request(b"/"), b"s3"),
        (request(b"/", accept="text/html,*/*"), b"page"),
        (request(b"/", method="POST", accept="text/html"), b"s3"),
        (request(b"/ui/style.css"), b"page"),
        (request(b"/example3/main/a"), b"s3"),
    ],
)
def test_requests_reach_their_surface(found: Request, expected: bytes) -> None:
    assert ask(found).body == expected


def test_all_of_the_raw_port_is_the_raw_store() -> None:
    answer = asyncio.run(RawFront(surface)(request(b"/api/v1/x", accept="text/html")))
    assert answer.body == b"raw"


def test_health_asks_the_stores() -> None:
    assert ask(request(b"/_health")).status == 200

    def broken() -> None:
        raise Unavailable(Kind.STORE_FAILED, "disk")

    assert ask(request(b"/_health"), make_front(broken)).status == 503
    assert ask(request(b"/_health", method="POST")).status == 405


@pytest.mark.parametrize(
    ("client", "authorization", "status"),
    [
        ("127.0.0.1", None, 200),
        ("::1", None, 200),
        ("::ffff:127.0.0.1", None, 200),
        ("192.0.2.1", None, 401),
        ("192.0.2.1", "id:secret", 200),
        ("192.0.2.1", "id:wrong", 401),
        ("192.0.2.1", "", 401),
        ("", None, 401),
    ],
)
def test_metrics_are_for_this_machine_or_with_a_key(
    client: str, authorization: str | None, status: int
) -> None:
    found = request(b"/metrics", client=client)
    if authorization is not None:
        encoded = base64.b64encode(authorization.encode())
        found = request(b"/metrics", client=client, authorization=f"Basic {encoded.decode()}")
    assert ask(found).status == status


def test_metrics_want_basic_authorization() -> None:
    for value in ("Bearer x", "Basic ???"):
        assert ask(request(b"/metrics", authorization=value)).status == 403


def test_failures_speak_the_surfaces_language() -> None:
    front = make_front()
    api = front.failure(request(b"/api/v1/x"), 431, "too long")
    assert (api.status, api.body) == (431, b'{"message":"too long"}')
    s3 = front.failure(request(b"/b/k"), 431, "too <long>")
    assert s3.status == 400
    assert isinstance(s3.body, bytes)
    assert b"<Code>RequestHeaderSectionTooLarge</Code><Message>too &lt;long&gt;" in s3.body
    assert b"<RequestId>R1</RequestId>" in s3.body
    assert RawFront(surface).failure(request(b"/api/v1"), 500, "x").status == 500


def test_an_address_and_headers_of_rest_have_limits() -> None:
    too_long = request(b"/api/v1/repositories", query=b"after=" + b"x" * 20_000)
    assert through_edge(too_long) == (414, "message")
    too_wide = request(b"/api/v1/repositories")
    too_wide.headers.append((b"x-long", b"x" * 40_000))
    assert through_edge(too_wide) == (431, "message")


def through_edge(found: Request) -> tuple[int, str]:
    """Return the status and the name of the one field of an answer."""
    front = make_front()
    served = Edge(
        front, failure=front.failure, metrics=Metrics(), id_prefix="P", has_access_log=False
    )
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": found.method,
        "raw_path": found.raw_path,
        "query_string": found.query_string,
        "headers": found.headers,
        "scheme": found.scheme,
    }
    asyncio.run(served(scope, receive, send))
    (name,) = json.loads(sent[1]["body"])
    return sent[0]["status"], name
