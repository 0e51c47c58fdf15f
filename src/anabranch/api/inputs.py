"""Checks what a request sends against what its operation declares; every error names the field."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from anabranch.api.operations import Operation, Parameter, ValueKind, Where, wrong_field
from anabranch.edge.http import Request
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,11}")


def check_text(name: str, value: str) -> str:
    """Return a text that can be a name or part of one; raise InvalidInput otherwise."""
    if "\x00" in value or (not value.isprintable() and _is_broken(value)):
        raise wrong_field(name, "must be valid UTF-8 without NUL")
    return value


def _is_broken(value: str) -> bool:
    # Bytes that were not UTF-8 arrive as lone surrogates.
    return any("\ud800" <= char <= "\udfff" for char in value)


def parse_parameters(operation: Operation, request: Request) -> dict[str, Any]:
    """Return the declared parameters of a request; others are ignored."""
    sent: dict[str, list[str]] = {}
    for name, value in request.query_plain:
        sent.setdefault(name, []).append(value)
    found: dict[str, Any] = {}
    for parameter in operation.parameters:
        if parameter.where is Where.HEADER:
            header = request.header(parameter.name)
            values = [] if header is None else [header]
        else:
            values = sent.get(parameter.name, [])
        if values:
            found[parameter.name] = _parse(parameter, values)
        elif parameter.is_required:
            raise wrong_field(parameter.name, "the parameter is required")
        elif parameter.default is not None:
            found[parameter.name] = parameter.default
    return found


def _parse(parameter: Parameter, values: list[str]) -> Any:
    name, text = parameter.name, values[0]
    if parameter.kind is ValueKind.TEXTS:
        return tuple(check_text(name, value) for value in values)
    if parameter.kind is ValueKind.FLAG:
        return _parse_flag(name, text)
    if parameter.kind is ValueKind.NUMBER:
        return _parse_number(parameter, text)
    if parameter.kind is ValueKind.TIME:
        return _parse_time(name, text)
    if parameter.choices and text not in parameter.choices:
        raise wrong_field(name, f"must be one of {', '.join(parameter.choices)}")
    if parameter.is_required and not text:
        raise wrong_field(name, "must not be empty")
    return check_text(name, text)


def _parse_flag(name: str, text: str) -> bool:
    value = {"true": True, "false": False, "1": True, "0": False, "": False}.get(text.lower())
    if value is None:
        raise wrong_field(name, "must be true or false")
    return value


def _parse_number(parameter: Parameter, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise wrong_field(parameter.name, "must be a whole number")
    value = int(text)
    if parameter.at_least is not None and value < parameter.at_least:
        raise wrong_field(parameter.name, f"must be {parameter.at_least} or more")
    return value


def _parse_time(name: str, text: str) -> int:
    """Return microseconds since 1970 of an RFC 3339 time or of whole seconds."""
    if _SECONDS.fullmatch(text):
        return int(text) * 1_000_000
    # A plus that a client did not code arrives as a space.
    head, _, zone = text.rpartition(" ")
    if head and re.fullmatch(r"[0-9]{2}:?[0-9]{2}", zone):
        text = f"{head}+{zone}"
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return int(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise wrong_field(name, "must be a time as in 2026-01-31T12:00:00Z") from None


async def read_body(operation: Operation, request: Request) -> Any:
    """Return the decoded JSON body, None when it is optional and absent."""
    is_open = operation.is_open
    data = await request.body(limits.OPEN_BODY_BYTES_MAX if is_open else limits.JSON_BODY_BYTES_MAX)
    if not data.strip():
        if operation.is_body_optional:
            return operation.body()
        raise InvalidInput(Kind.BODY, "the request needs a JSON body")
    try:
        return msgspec.json.decode(data, type=operation.body)
    except msgspec.ValidationError as error:
        raise InvalidInput(Kind.BODY, f"the body does not fit: {error}") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(Kind.BODY, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise InvalidInput(Kind.BODY, "the body is nested too deeply") from None


def check_path(values: Mapping[str, str]) -> None:
    """Raise InvalidInput for a path parameter that cannot be a name."""
    for name, value in values.items():
        check_text(name, value)
