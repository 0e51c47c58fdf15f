"""The OpenAPI 3.1 document of what this server offers, made from the table of operations."""

import re
from functools import cache
from typing import Any

import msgspec

from anabranch import __version__
from anabranch.api.bodies import Error
from anabranch.api.operations import (
    BYTES,
    FORM,
    HTML,
    JSON,
    Answer,
    Operation,
    Parameter,
    ValueKind,
)
from anabranch.api.table import OPERATIONS

BASE_PATH = "/api/v1"

_REASONS = {
    400: "the request is wrong: the message names the field",
    401: "no valid credentials",
    403: "not allowed",
    404: "no such thing",
    408: "the body came too slowly",
    409: "the state refuses it, or the thing exists",
    410: "its data has expired",
    412: "a condition does not hold",
    413: "too large",
    416: "no byte is in the range",
    423: "too many attempts, try again later",
    500: "damaged data, or a write whose outcome could not be found out",
    501: "known and not offered",
    503: "busy, try again later",
}
_TYPES: dict[ValueKind, dict[str, Any]] = {
    ValueKind.TEXT: {"type": "string"},
    ValueKind.FLAG: {"type": "boolean"},
    ValueKind.NUMBER: {"type": "integer"},
    ValueKind.TIME: {"type": "string", "format": "date-time"},
    ValueKind.TEXTS: {"type": "array", "items": {"type": "string"}},
}


@cache
def document_bytes() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    """Return the document."""
    shapes: dict[Any, None] = {Error: None}
    for operation in OPERATIONS:
        for body in (operation.body, *(answer.body for answer in operation.answers.values())):
            for shape in body if isinstance(body, tuple) else (body,):
                if shape not in (None, bytes, str):
                    shapes[shape] = None
    schemas, components = msgspec.json.schema_components(
        list(shapes), ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(shapes, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(f"{_path_of(operation)}", {})
        item[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Anabranch",
            "version": __version__,
            "summary": "The REST API of Anabranch, compatible with lakeFS's.",
        },
        "servers": [{"url": BASE_PATH}],
        "security": [{"basic": []}, {"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "internal_auth_session"},
            },
        },
    }


def _path_of(operation: Operation) -> str:
    """Return the path with one spelling of each parameter, so that equal paths are one item."""
    return re.sub(r"/refs/\{branch\}/symlink", "/refs/{ref}/symlink", operation.path)


def _operation(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", _path_of(operation))
    found: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary or "not offered: answered 501",
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in names
            ),
            *(_parameter(one) for one in operation.parameters),
        ],
        "responses": _responses(operation, schema_of),
    }
    if operation.is_open:
        found["security"] = []
    if operation.body is not None:
        content = {JSON: {"schema": schema_of[operation.body]}}
        found["requestBody"] = {"required": not operation.is_body_optional, "content": content}
    elif operation.is_streamed:
        binary = {"type": "string", "format": "binary"}
        form = {"type": "object", "required": ["content"], "properties": {"content": binary}}
        found["requestBody"] = {"content": {BYTES: {"schema": binary}, FORM: {"schema": form}}}
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(_TYPES[parameter.kind])
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.at_least is not None:
        schema["minimum"] = parameter.at_least
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.is_required:
        schema["minLength"] = 1
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.where.value,
        "required": parameter.is_required,
        "schema": schema,
        "description": parameter.text,
    }
    if parameter.kind is ValueKind.TEXTS:
        found |= {"style": "form", "explode": True}
    return found


def statuses_of_errors(operation: Operation) -> tuple[int, ...]:
    """Return the statuses of errors that an operation may answer."""
    found = {400, 500, 503, *operation.errors}
    if not operation.is_open:
        found.add(401)
        found.add(403)
    if operation.body is not None:
        found |= {408, 413}
    if operation.handler is None:
        found = {400, 501} | ({401, 403} if not operation.is_open else set())
    return tuple(sorted(found - set(operation.answers)))


def _responses(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, answer in sorted(operation.answers.items()):
        found[str(status)] = _answer(answer, operation, schema_of)
    for status in statuses_of_errors(operation):
        error = Answer(Error, text=_REASONS[status])
        found[str(status)] = _answer(error, operation, schema_of)
    return found


def _answer(answer: Answer, operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.text or "done"}
    if answer.body is None or operation.method == "HEAD":
        return found
    if answer.body is bytes:
        # The object's own content type, whatever that is.
        found["content"] = {"*/*": {"schema": {}}}
    elif answer.content_type == HTML:
        found["content"] = {HTML: {"schema": {"type": "string"}}}
    else:
        shapes = answer.body if isinstance(answer.body, tuple) else (answer.body,)
        schemas = [schema_of[shape] for shape in shapes]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        found["content"] = {answer.content_type: {"schema": schema}}
    return found
