"""Apache Doris's bitmaps in plain Python: a set of numbers, and its stored bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

ARRAY_MAX = 4_096
PLAIN, RUNS = 12_346, 12_347


def runs_of(numbers: list[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as (first, how many follow)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and sum(runs[-1]) + 1 == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 0))
    return runs


def roaring(numbers: Iterable[int]) -> bytes:
    """Return numbers of 32 bits in the portable format of Roaring bitmaps, runs where smaller."""
    parts: dict[int, list[int]] = {}
    for number in sorted(numbers):
        parts.setdefault(number >> 16, []).append(number & 0xFFFF)
    bodies: list[tuple[bool, bytes]] = []
    for low in parts.values():
        runs = runs_of(low)
        plain = 2 + 2 * len(low) if len(low) <= ARRAY_MAX else 8_192
        if 2 + 4 * len(runs) < plain:
            pairs = b"".join(struct.pack("<HH", *run) for run in runs)
            bodies.append((True, struct.pack("<H", len(runs)) + pairs))
        elif len(low) <= ARRAY_MAX:
            bodies.append((False, struct.pack(f"<{len(low)}H", *low)))
        else:
            bits = sum(1 << each for each in low)
            bodies.append((False, bits.to_bytes(8_192, "little")))
    has_runs = any(is_runs for is_runs, _ in bodies)
    if has_runs:
        flags = sum(1 << place for place, (is_runs, _) in enumerate(bodies) if is_runs)
        head = struct.pack("<I", RUNS | len(bodies) - 1 << 16)
        head += flags.to_bytes((len(bodies) + 7) // 8, "little")
    else:
        head = struct.pack("<II", PLAIN, len(bodies))
    for key, low in parts.items():
        head += struct.pack("<HH", key, len(low) - 1)
    if not has_runs or len(bodies) >= 4:
        offset = len(head) + 4 * len(bodies)
        for _, body in bodies:
            head += struct.pack("<I", offset)
            offset += len(body)
    return head + b"".join(body for _, body in bodies)


def high_parts(numbers: Iterable[int]) -> dict[int, list[int]]:
    """Return the low 32 bits by the high ones, both ascending."""
    parts: dict[int, list[int]] = {}
    for number in sorted(numbers):
        parts.setdefault(number >> 32, []).append(number & 0xFFFF_FFFF)
    return parts


def vint(count: int) -> bytes:
    """Return a count in seven bits a byte, the low ones first."""
    out = bytearray()
    while count >= 128:
        out.append(count & 127 | 128)
        count >>= 7
    return bytes([*out, count])


def encode(numbers: Iterable[int]) -> bytes:
    """Return the stored form that Doris writes by default."""
    known = sorted(set(numbers))
    if not known:
        return b"\0"
    if len(known) == 1:
        is_small = known[0] < 1 << 32
        return struct.pack("<BI", 1, known[0]) if is_small else struct.pack("<BQ", 3, known[0])
    if known[-1] < 1 << 32:
        return b"\2" + roaring(known)
    parts = high_parts(known)
    body = b"".join(struct.pack("<I", high) + roaring(low) for high, low in parts.items())
    return b"\4" + vint(len(parts)) + body


def encode_set(numbers: Iterable[int], form: int) -> bytes:
    """Return the stored form 5 or 10: the numbers themselves, here in the order given."""
    known = list(numbers)
    head = struct.pack("<BB", 5, len(known)) if form == 5 else struct.pack("<BI", 10, len(known))
    return head + struct.pack(f"<{len(known)}Q", *known)


def native(numbers: list[int], *, is_list: bool) -> bytes:
    """Return numbers of 32 bits as CRoaring writes them for itself."""
    if is_list:
        return struct.pack(f"<BI{len(numbers)}I", 1, len(numbers), *numbers)
    return b"\2" + roaring(numbers)


def encode_v2(numbers: Iterable[int], *, is_list: bool) -> bytes:
    """Return the stored form 12 or 13 of more than one number."""
    parts = high_parts(numbers)
    if list(parts) == [0]:
        return b"\x0c" + native(parts[0], is_list=is_list)
    bodies = (struct.pack("<I", high) + native(low, is_list=is_list) for high, low in parts.items())
    return b"\x0d" + vint(len(parts)) + b"".join(bodies)


@dataclass
class Reader:
    """Bytes that are taken from the front; ValueError when there are too few."""

    rest: bytes
    taken: int = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > len(self.rest):
            raise ValueError("too short")
        found, self.rest = self.rest[:count], self.rest[count:]
        self.taken += count
        return found

    def number(self, count: int) -> int:
        """Return the next bytes as one number."""
        return int.from_bytes(self.take(count), "little")

    def vint(self) -> int:
        """Return the next count, of at most ten bytes."""
        found = 0
        for shift in range(0, 70, 7):
            byte = self.number(1)
            found |= (byte & 127) << shift
            if byte < 128:
                return found & (1 << 64) - 1
        raise ValueError("count")


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError("not a bitmap")


def read_roaring(reader: Reader) -> set[int]:
    """Return the numbers of a Roaring bitmap in the portable format."""
    start = reader.taken
    cookie = reader.number(4)
    has_runs = cookie & 0xFFFF == RUNS
    _require(has_runs or cookie == PLAIN)
    count = (cookie >> 16) + 1 if has_runs else reader.number(4)
    _require(count <= 65_536)
    flags = int.from_bytes(reader.take((count + 7) // 8), "little") if has_runs else 0
    heads = [(reader.number(2), reader.number(2) + 1) for _ in range(count)]
    keys = [key for key, _ in heads]
    _require(keys == sorted(set(keys)))
    has_offsets = not has_runs or count >= 4
    offsets = [reader.number(4) for _ in range(count)] if has_offsets else []
    found: set[int] = set()
    for place, (key, size) in enumerate(heads):
        _require(not offsets or offsets[place] == reader.taken - start)
        found.update(key << 16 | low for low in read_part(reader, size, flags >> place & 1))
    return found


def read_part(reader: Reader, size: int, is_runs: int) -> list[int]:
    """Return the low 16 bits of a container's numbers."""
    if is_runs:
        low: list[int] = []
        for _ in range(reader.number(2)):
            first, more = reader.number(2), reader.number(2)
            _require((not low or first > low[-1]) and first + more <= 0xFFFF)
            low.extend(range(first, first + more + 1))
        _require(len(low) == size)
        return low
    if size <= ARRAY_MAX:
        low = list(struct.unpack(f"<{size}H", reader.take(2 * size)))
        _require(low == sorted(set(low)))
        return low
    bits = reader.number(8_192)
    _require(bits.bit_count() == size)
    return [each for each in range(65_536) if bits >> each & 1]


def read_native(reader: Reader) -> set[int]:
    """Return the numbers of a Roaring bitmap as CRoaring writes it for itself."""
    match reader.number(1):
        case 1:
            count = reader.number(4)
            _require(4 * count <= len(reader.rest))
            return {reader.number(4) for _ in range(count)}
        case 2:
            return read_roaring(reader)
    raise ValueError("form")


def decode(data: bytes) -> set[int]:
    """Return the numbers of stored bytes; raise ValueError if they are no bitmap."""
    reader = Reader(data)
    form = reader.number(1)
    found: set[int] = set()
    match form:
        case 0:
            pass
        case 1:
            found = {reader.number(4)}
        case 3:
            found = {reader.number(8)}
        case 2:
            found = read_roaring(reader)
        case 12:
            found = read_native(reader)
        case 4 | 13:
            after = 0
            for _ in range(reader.vint()):
                high = reader.number(4)
                _require(high >= after)
                after = high + 1
                part = read_roaring(reader) if form == 4 else read_native(reader)
                found.update(high << 32 | low for low in part)
        case 5 | 10:
            count = reader.number(1 if form == 5 else 4)
            _require(8 * count <= len(reader.rest))
            found = {reader.number(8) for _ in range(count)}
            _require(form == 10 or len(found) == count <= 32)
        case _:
            raise ValueError("form")
    _require(not reader.rest)
    return found
