"""The objects of a page of ListObjects in plain Python: one format string a key."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from anabranch.s3.xml import escape

Row = tuple[str, str, int, int, str]
"""Path, ETag, size in bytes, time in microseconds, second checksum as entries keep it."""


def contents(rows: Sequence[Row], head: str, owner: str, *, is_coded: bool) -> str:
    """Return one Contents for each row."""
    return "".join(
        f"<Contents><Key>{_key(head + path, is_coded=is_coded)}</Key>"
        f"<LastModified>{_time(time_us)}</LastModified><ETag>&quot;{escape(etag)}&quot;</ETag>"
        f"{_checksum(checksum2)}<Size>{size_bytes}</Size>{owner}"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for path, etag, size_bytes, time_us, checksum2 in rows
    )


def _key(text: str, *, is_coded: bool) -> str:
    return quote(text, safe="/-._~*") if is_coded else escape(text)


def _time(time_us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _checksum(stored: str) -> str:
    algorithm, _, value = stored.partition(":")
    if algorithm not in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"):
        return ""
    encoded, _, parts = value.partition("-")
    base64.b64decode(encoded, validate=True)
    kind = "COMPOSITE" if parts and int(parts) else "FULL_OBJECT"
    return (
        f"<ChecksumAlgorithm>{algorithm.upper()}</ChecksumAlgorithm>"
        f"<ChecksumType>{kind}</ChecksumType>"
    )
