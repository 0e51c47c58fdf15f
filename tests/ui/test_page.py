"""The page: served whole, with a strict policy, filled from the request, never with its markup."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from anabranch import ui
from anabranch.edge.http import Request, Response
from anabranch.ui.app import Page


def get(path: bytes, method: str = "GET", host: bytes = b"lake.example.org:8000") -> Response:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {
        "method": method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
        "headers": [(b"host", host)],
        "scheme": "http",
    }
    return asyncio.run(Page(9123)(Request(scope, receive)))


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


def test_the_index_names_the_endpoints_of_this_server() -> None:
    found = get(b"/")
    assert found.status == 200
    assert "http://lake.example.org:8000/api/v1" in text(found)
    assert "http://lake.example.org:9123" in text(found)
    assert "{{" not in text(found)


def test_a_host_header_is_text() -> None:
    assert "<script" not in text(get(b"/", host=b'"><script>alert(1)</script>'))


@pytest.mark.parametrize("path", [b"/", b"/ui/style.css", b"/ui/mark.svg", b"/ui/none"])
def test_every_answer_has_the_policy(path: bytes) -> None:
    headers = dict(get(path).headers)
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert b"unsafe" not in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("path", [b"/ui/../app.py", b"/ui/%2e%2e/app.py", b"/x", b"/ui/"])
def test_only_files_of_the_page_are_served(path: bytes) -> None:
    assert get(path).status == 404


def test_other_methods_are_refused() -> None:
    assert get(b"/", method="POST").status == 405


def test_the_page_asks_nobody_else() -> None:
    for path in (Path(ui.__file__).parent / "static").iterdir():
        outside = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", path.read_text())
        assert not outside, path.name
        assert "style=" not in path.read_text()
        assert "<script" not in path.read_text()
