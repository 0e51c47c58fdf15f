"""Native kernels written again in plain Python: slow, obvious, and compared by random tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import xxhash
from blake3 import blake3

from anabranch.kernel.ranges import (
    KIND_ADDED,
    KIND_CHANGED,
    KIND_REMOVED,
    KIND_UNCHANGED,
    CutRule,
)

_HEADER = struct.Struct("<B20sqqHHHHI")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a range as plain values, without its path."""

    identity: bytes
    address: str = ""
    checksum: str = ""
    size_bytes: int = 0
    mtime_us: int = 0
    content_type: str = ""
    metadata: str = ""
    checksum2: str = ""


Rows = dict[str, Row]
Changes = dict[str, Row | None]
"""Rows by path; None is a tombstone."""


def by_path(path: str) -> bytes:
    """Return the key that sorts paths as ranges do."""
    return path.encode()


def identity(size_bytes: int, checksum: str, content_type: str, metadata: str) -> bytes:
    """Return an entry's identity."""
    hasher = blake3(struct.pack("<Q", size_bytes))
    for text in (checksum, content_type, metadata):
        data = text.encode()
        hasher.update(struct.pack("<I", len(data)) + data)
    return hasher.digest()[:20]


def _texts(texts: Sequence[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    lengths = b"".join(struct.pack("<I", len(data)) for data in encoded)
    return lengths + b"".join(encoded)


def _numbers(numbers: Sequence[int]) -> bytes:
    return b"".join(struct.pack("<q", number) for number in numbers)


def range_id(rows: Rows) -> bytes:
    """Return the id of a range."""
    paths = sorted(rows, key=by_path)
    values = [rows[path] for path in paths]
    parts = [
        struct.pack("<BBHQ", 1, 0, 9, len(paths)),
        _texts(paths),
        b"".join(row.identity for row in values),
        _texts([row.address for row in values]),
        _texts([row.checksum for row in values]),
        _numbers([row.size_bytes for row in values]),
        _numbers([row.mtime_us for row in values]),
        _texts([row.content_type for row in values]),
        _texts([row.metadata for row in values]),
        _texts([row.checksum2 for row in values]),
    ]
    return blake3(b"".join(parts)).digest()


def node_id(level: int, children: Sequence[tuple[bytes, str, str, int, int]]) -> bytes:
    """Return the id of a node; children are (id, first, last, count, size_bytes)."""
    parts = [
        struct.pack("<BBHQ", 1, level, 5, len(children)),
        b"".join(child[0] for child in children),
        _texts([child[1] for child in children]),
        _texts([child[2] for child in children]),
        _numbers([child[3] for child in children]),
        _numbers([child[4] for child in children]),
    ]
    return blake3(b"".join(parts)).digest()


def weight(path: str, row: Row) -> int:
    """Return what an entry counts towards the size of its range."""
    return 1 + (len(path.encode()) + len(row.metadata.encode())) // 1024


def cuts(rows: Rows, rule: CutRule) -> list[tuple[int, bool]]:
    """Return (number of rows, whether it ended by fallback) of each range."""
    paths = sorted(rows, key=by_path)
    found: list[tuple[int, bool]] = []
    start = 0
    while start < len(paths):
        count, is_fallback = _first_cut(paths[start:], rows, rule)
        found.append((count, is_fallback))
        start += count
    return found


def _first_cut(paths: list[str], rows: Rows, rule: CutRule) -> tuple[int, bool]:
    total = 0
    window: list[tuple[int, int]] = []
    for at, path in enumerate(paths):
        total += weight(path, rows[path])
        if total > rule.weight_max:
            return (min(window)[1] + 1, True) if window else (at + 1, False)
        hashed = xxhash.xxh3_64_intdigest(path.encode(), seed=0)
        if total >= rule.weight_min:
            if hashed < min(2**64 - 1, rule.slope * (total - rule.weight_min + 1)):
                return at + 1, False
            window.append((hashed, at))
    return len(paths), False


def metarange_id(rows: Rows, rule: CutRule) -> str:
    """Return the id of the metarange of some rows, in hex; empty for none."""
    paths = sorted(rows, key=by_path)
    children: list[tuple[bytes, str, str, int, int]] = []
    for count, _ in cuts(rows, rule):
        part = {path: rows[path] for path in paths[:count]}
        size_bytes = sum(row.size_bytes for row in part.values())
        children.append((range_id(part), paths[0], paths[count - 1], count, size_bytes))
        paths = paths[count:]
    return node_id(1, children).hex() if children else ""


def is_same(left: Row | None, right: Row | None) -> bool:
    """Tell whether two rows, or absences, are equal by content."""
    if left is None or right is None:
        return left is right
    if left.identity != right.identity:
        return False
    ours, theirs = left.checksum2, right.checksum2
    if not ours or not theirs or ours.split(":")[0] != theirs.split(":")[0]:
        return True
    return ours == theirs


def kind(before: Row | None, after: Row | None) -> int:
    """Return the kind of change by presence."""
    if before is None:
        return KIND_UNCHANGED if after is None else KIND_ADDED
    return KIND_REMOVED if after is None else KIND_CHANGED


def merge(base: Rows, changes: Changes) -> tuple[Rows, tuple[int, int, int, int]]:
    """Return the rows after changes, and how many were added, changed, removed, unchanged."""
    merged = dict(base)
    added = changed = removed = unchanged = 0
    for path, row in changes.items():
        before = base.get(path)
        if row is None:
            removed += before is not None
            merged.pop(path, None)
            continue
        merged[path] = row
        if before is None:
            added += 1
        elif is_same(before, row):
            unchanged += 1
        else:
            changed += 1
    return merged, (added, changed, removed, unchanged)


def diff(left: Rows, right: Rows) -> list[tuple[int, str, Row]]:
    """Return (kind, path, row) of each difference by content, in order of path."""
    found: list[tuple[int, str, Row]] = []
    for path in sorted({*left, *right}, key=by_path):
        before, after = left.get(path), right.get(path)
        if not is_same(before, after):
            row = before if after is None else after
            assert row is not None
            found.append((kind(before, after), path, row))
    return found


def three_way(
    base: Rows, source: Rows, dest: Rows, strategy: str | None
) -> tuple[Rows, list[tuple[str, int, int]]]:
    """Return the merge (dest's rows at conflicts), and conflicts as (path, source, dest kind)."""
    merged: Rows = {}
    conflicts: list[tuple[str, int, int]] = []
    for path in sorted({*base, *source, *dest}, key=by_path):
        of_base, of_source, of_dest = base.get(path), source.get(path), dest.get(path)
        if of_source == of_base:
            row = of_dest
        elif of_dest == of_base:
            row = of_source
        elif is_same(of_source, of_dest):
            row = of_dest
        elif is_same(of_dest, of_base):
            row = of_source
        elif is_same(of_source, of_base):
            row = of_dest
        elif strategy == "source-wins":
            row = of_source
        else:
            row = of_dest
            if strategy is None:
                conflicts.append((path, kind(of_base, of_source), kind(of_base, of_dest)))
        if row is not None:
            merged[path] = row
    return merged, conflicts


def staging_row(row: Row | None) -> bytes:
    """Return the bytes of a staging row."""
    if row is None:
        return b"\x00"
    texts = [
        text.encode()
        for text in (row.address, row.checksum, row.content_type, row.checksum2, row.metadata)
    ]
    header = _HEADER.pack(1, row.identity, row.size_bytes, row.mtime_us, *map(len, texts))
    return header + b"".join(texts)
