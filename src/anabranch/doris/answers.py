"""Answers in Doris's forms: JSON of the frontend's endpoints, and texts."""

import json
from typing import Any

from anabranch.edge.http import Headers, Response, header_value

_JSON = [(b"content-type", b"application/json;charset=UTF-8")]


def json_response(body: object, *, status: int = 200, headers: Headers | None = None) -> Response:
    """Return JSON, laid out in lines as Doris's backends do."""
    data = json.dumps(body, ensure_ascii=False, indent=4).encode("utf-8", "replace")
    return Response(status, [*_JSON, *(headers or [])], data)


def success(data: object) -> Response:
    """Return what a frontend's endpoint found."""
    return json_response({"msg": "success", "code": 0, "data": data, "count": 0})


def failure(message: str, *, status: int = 200, code: int = 1) -> Response:
    """Return why a frontend's endpoint found nothing."""
    body: dict[str, Any] = {"msg": "Error", "code": code, "data": message, "count": 0}
    return json_response(body, status=status)


def unauthorized(message: str) -> Response:
    """Return the refusal of somebody whose name or password is wrong, or missing."""
    body = {"msg": "Unauthorized", "code": 401, "data": message, "count": 0}
    return json_response(
        body, status=401, headers=[(b"www-authenticate", header_value('Basic realm=""'))]
    )


def text_response(text: str, *, status: int = 200) -> Response:
    """Return plain text."""
    return Response(status, [(b"content-type", b"text/plain; charset=utf-8")], text.encode())
