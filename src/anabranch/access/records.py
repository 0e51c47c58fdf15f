"""Stored values of access: JSON, each with the version of its format."""

import json
from typing import Any

from anabranch.kernel.errors import Corrupted, Kind

FORMAT_VERSION = 1


def encode(fields: dict[str, Any]) -> bytes:
    """Return the bytes of a record."""
    return json.dumps({"v": FORMAT_VERSION, **fields}, separators=(",", ":")).encode()


def decode(data: bytes, what: str) -> dict[str, Any]:
    """Return the fields of a record; raise Corrupted when they cannot be understood."""
    try:
        fields = json.loads(data)
    except ValueError:
        raise Corrupted(Kind.RECORD_FORMAT, f"{what} cannot be understood") from None
    if not isinstance(fields, dict) or fields.get("v") != FORMAT_VERSION:
        raise Corrupted(Kind.RECORD_FORMAT, f"{what} has an unknown format")
    return fields
