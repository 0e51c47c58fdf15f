"""What surrounds every request: limits, ids, the last resort, the access log."""

import asyncio
import json
from typing import Any

import pytest

from anabranch.edge.http import Request, Response
from anabranch.edge.middleware import Edge
from anabranch.kernel import limits
from anabranch.telemetry import Metrics, configure_logs


def failure(request: Request, status: int, message: str) -> Response:
    return Response(status, [], f"{status} {message}".encode())


async def fine(request: Request) -> Response:
    request.surface = "api"
    return Response(200, [], b"fine")


def serve(edge: Edge, **changed: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(edge({**scope, **changed}, receive, send))
    return sent


def edge(
    handler: Any = fine, *, has_access_log: bool = False, metrics: Metrics | None = None
) -> Edge:
    return Edge(
        handler,
        failure=failure,
        metrics=metrics or Metrics(),
        id_prefix="P",
        has_access_log=has_access_log,
    )


def test_answers_carry_ids_that_differ() -> None:
    served = edge()
    ids = [dict(serve(served)[0]["headers"])[b"x-request-id"] for _ in range(2)]
    assert ids == [b"P00000001", b"P00000002"]


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 414)])
def test_a_url_may_be_as_long_as_the_limit(extra: int, status: int) -> None:
    path = b"/" + b"a" * (limits.URL_BYTES_MAX - 1 + extra)
    assert serve(edge(), raw_path=path)[0]["status"] == status


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 431)])
def test_headers_may_be_as_long_as_the_limit(extra: int, status: int) -> None:
    headers = [(b"x-a", b"v" * (limits.HEADER_BYTES_MAX - 3 + extra))]
    assert serve(edge(), headers=headers)[0]["status"] == status


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 431)])
def test_there_may_be_as_many_headers_as_the_limit(extra: int, status: int) -> None:
    headers = [(b"x-a", b"v")] * (limits.HEADERS_MAX + extra)
    assert serve(edge(), headers=headers)[0]["status"] == status


def test_a_defect_is_an_answer_and_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(request: Request) -> Response:
        raise ZeroDivisionError

    configure_logs(level="info", format="json", process="test")
    sent = serve(edge(broken))
    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b"500 internal error"
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_access_log_hides_signatures(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format="json", process="test")
    serve(edge(has_access_log=True), query_string=b"X-Amz-Signature=abc&x=1&Signature=de")
    line = json.loads(capsys.readouterr().err)
    assert line["query"] == "X-Amz-Signature=***&x=1&Signature=***"
    assert (line["status"], line["surface"], line["path"]) == (200, "api", "/a")


def test_requests_are_counted() -> None:
    metrics = Metrics()
    serve(edge(metrics=metrics))
    serve(edge(metrics=metrics), method="BREW")
    text = metrics.text().decode()
    assert 'requests_total{method="GET",status="200",surface="api"} 1.0' in text
    assert 'requests_total{method="other",status="200",surface="api"} 1.0' in text
