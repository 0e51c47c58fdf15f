"""The headers of a stream load: what it is called, how long it may take, and how its rows come."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field

from anabranch.edge.http import Request
from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris, not_supported
from anabranch.warehouse.loading.options import LoadOptions, of_headers
from anabranch.warehouse.sql.loads import parse_label

_REFUSED = (
    "temporary_partitions",
    "hidden_columns",
    "unique_key_update_mode",
    "partial_update_new_key_behavior",
)
_GROUP_COMMITS = {"async_mode": True, "sync_mode": True, "off_mode": False}
_DIGITS = re.compile(r"[0-9]{1,9}")
_OFFSET = re.compile(r"[+-](0?[0-9]|1[0-4]):[0-5][0-9]")


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What the headers of one stream load say; `rows` is how its rows are read and judged."""

    rows: LoadOptions = field(default_factory=LoadOptions)
    label: str | None = None
    is_two_phase: bool = False
    is_group_commit: bool = False
    comment: str = ""
    timeout_s: int = limits.STREAM_LOAD_TIMEOUT_S


def parse_headers(request: Request) -> StreamOptions:
    """Return what a request's headers ask for; raise SqlError for values that make no sense."""
    found: dict[str, str] = {}
    for raw, _ in request.headers:
        name = raw.decode("latin-1")
        found[name] = request.header(name) or ""
    return parse_options(found)


def parse_options(given: Mapping[str, str]) -> StreamOptions:
    """Return what headers, by lower-case names, ask for; raise SqlError.

    Others are passed over: those of HTTP, and those that tune Doris's memory and threads.
    """
    headers = {name: value.strip() for name, value in given.items() if value.strip()}
    for name in _REFUSED:
        if name in headers:
            raise not_supported(f"the header {name}")
    label = parse_label(headers["label"]) if "label" in headers else None
    is_two_phase = _is_two_phase(headers)
    is_group_commit = _is_group_commit(headers)
    if is_group_commit and label is not None:
        raise doris("label and group_commit can't be set at the same time")
    if is_group_commit and is_two_phase:
        raise doris("two_phase_commit and group_commit can't be set at the same time")
    if "timezone" in headers:
        _check_zone(headers["timezone"])
    comment = headers.get("comment", "")
    if len(comment) > limits.COMMENT_LENGTH_MAX:
        raise doris(f"a comment has at most {limits.COMMENT_LENGTH_MAX} characters")
    return StreamOptions(
        of_headers(headers), label, is_two_phase, is_group_commit, comment, _timeout_s(headers)
    )


def _is_two_phase(headers: Mapping[str, str]) -> bool:
    text = headers.get("two_phase_commit", "false").lower()
    if text not in ("true", "false"):
        raise doris(f"Invalid two_phase_commit format. Must be bool type: {text[:40]!r}")
    return text == "true"


def _is_group_commit(headers: Mapping[str, str]) -> bool:
    text = headers.get("group_commit", "off_mode").lower()
    if text not in _GROUP_COMMITS:
        raise doris("group_commit can only be [async_mode, sync_mode, off_mode]")
    return _GROUP_COMMITS[text]


def _timeout_s(headers: Mapping[str, str]) -> int:
    text = headers.get("timeout", str(limits.STREAM_LOAD_TIMEOUT_S))
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= limits.STREAM_LOAD_TIMEOUT_S_MAX:
        most = limits.STREAM_LOAD_TIMEOUT_S_MAX
        raise doris(f"Invalid timeout format, 1 to {most} seconds: {text[:40]!r}")
    return int(text)


def _check_zone(text: str) -> None:
    """Raise SqlError for what is neither a region nor an offset as `+08:00`."""
    if _OFFSET.fullmatch(text):
        return
    try:
        zoneinfo.ZoneInfo(text)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        raise SqlError(1298, "HY000", f"Unknown or incorrect time zone: '{text[:100]}'") from None
