"""Bytes of objects that say themselves what they are, so that a reader knows half of one."""

import hashlib

from tests.kills.journal import State


def make_body(path: str, number: int, size_bytes: int) -> bytes:
    """Return the bytes of write `number` of a path: its own name over and over."""
    line = f"{path}#{number}\n".encode()
    return (line * (size_bytes // len(line) + 1))[:size_bytes]


def find_number(path: str, body: bytes) -> int | None:
    """Return which write some bytes are, None when they are none of this path, or not whole."""
    name, _, number = body.partition(b"\n")[0].decode(errors="replace").rpartition("#")
    if name != path or not number.isdigit():
        return None
    return int(number) if body == make_body(path, int(number), len(body)) else None


def state_of(body: bytes, etag: str = "") -> tuple[str, str, int]:
    """Return the state of a key with these bytes; the ETag is their MD5 unless given."""
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return (etag or digest, digest, len(body))


def multipart_etag(parts: list[bytes]) -> str:
    """Return the ETag of an object made of parts."""
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def describe(state: State) -> str:
    """Return a state for people."""
    return "absent" if state is None else f"{state[2]} bytes, ETag {state[0]}, MD5 {state[1]}"
