"""Apache Doris's HyperLogLog in plain Python and numpy: slow and obvious.

A `Sketch` is a set of hashes, or registers once a 161st distinct hash came. The sum of the
estimator is `np.add.accumulate`, which adds float32 numbers one after the other; `np.sum` adds in
pairs, and the logarithm of float32 numbers of numpy is another than the C library's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

WORD = (1 << 64) - 1
FACTOR = 0xC6A4A7935BD1E995
SEED = 0xADC83B19
REGISTERS = 16_384
Registers = npt.NDArray[np.uint8]


def hash_value(data: bytes) -> int:
    """Return MurmurHash64A of `data`."""
    result = SEED ^ (len(data) * FACTOR & WORD)
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        word = int.from_bytes(data[start : start + 8], "little") * FACTOR & WORD
        word = (word ^ word >> 47) * FACTOR & WORD
        result = (result ^ word) * FACTOR & WORD
    if tail := data[whole:]:
        result = (result ^ int.from_bytes(tail, "little")) * FACTOR & WORD
    result = (result ^ result >> 47) * FACTOR & WORD
    return result ^ result >> 47


@dataclass
class Sketch:
    """Hashes up to 160, then registers."""

    hashes: set[int] = field(default_factory=set)
    registers: Registers | None = None

    def update(self, value: int) -> None:
        """Add one hash."""
        if self.registers is not None:
            place, rank = value % REGISTERS, 1
            rest = value >> 14 | 1 << 50
            while not rest & 1:
                rest, rank = rest >> 1, rank + 1
            self.registers[place] = max(int(self.registers[place]), rank)
            return
        self.hashes.add(value)
        if len(self.hashes) > 160:
            self.open()

    def open(self) -> Registers:
        """Go over to registers."""
        if self.registers is None:
            self.registers = np.zeros(REGISTERS, np.uint8)
            for value in self.hashes:
                self.update(value)
            self.hashes = set()
        return self.registers

    def merge(self, other: Sketch) -> None:
        """Add all of another."""
        if other.registers is not None:
            np.maximum(self.open(), other.registers, out=self.open())
        for value in other.hashes:
            self.update(value)

    def estimate(self) -> int:
        """Return the number of distinct hashes."""
        if self.registers is None:
            return len(self.hashes)
        alpha = np.float32(0.7213) / (np.float32(1) + np.float32(1.079) / np.float32(REGISTERS))
        powers = np.exp2(-self.registers.astype(np.float32))
        total = np.add.accumulate(powers, dtype=np.float32)[-1]
        scale = alpha * np.float32(REGISTERS) * np.float32(REGISTERS)
        estimate = float(scale * (np.float32(1) / total))
        zeros = int(np.count_nonzero(self.registers == 0))
        if estimate <= 40_960 and zeros:
            quotient = np.float32(REGISTERS) / np.float32(zeros)
            logarithm = np.float32(math.log(float(quotient)))
            estimate = float(np.float32(REGISTERS) * logarithm)
        elif estimate < 72_000:
            bias = (
                5.9119 * 1.0e-18 * estimate**4
                - 1.4253 * 1.0e-12 * estimate**3
                + 1.2940 * 1.0e-7 * estimate**2
                - 5.2921 * 1.0e-3 * estimate
                + 83.3216
            )
            estimate -= estimate * (bias / 100)
        return int(estimate + 0.5)

    def encode(self) -> bytes:
        """Return the stored form, hashes and registers ascending."""
        if self.registers is None:
            if not self.hashes:
                return b"\0"
            hashes = b"".join(value.to_bytes(8, "little") for value in sorted(self.hashes))
            return bytes([1, len(self.hashes)]) + hashes
        used = np.flatnonzero(self.registers)
        if len(used) > 4_096:
            return b"\3" + self.registers.tobytes()
        pairs = (int(at).to_bytes(2, "little") + bytes([self.registers[at]]) for at in used)
        return b"\2" + len(used).to_bytes(4, "little") + b"".join(pairs)


def of_values(values: Iterable[bytes]) -> Sketch:
    """Return the sketch of values, hashed by their bytes."""
    sketch = Sketch()
    for value in values:
        sketch.update(hash_value(value))
    return sketch


def decode(data: bytes) -> Sketch:
    """Read a stored form; ValueError for anything that no writer makes."""
    form, rest = data[:1], data[1:]
    if form == b"\0" and not rest:
        return Sketch()
    if form == b"\1" and rest and rest[0] <= 160 and len(rest) == 1 + 8 * rest[0]:
        words = (rest[start : start + 8] for start in range(1, len(rest), 8))
        return Sketch({int.from_bytes(word, "little") for word in words})
    if form == b"\2" and len(rest) >= 4:
        return _sparse(int.from_bytes(rest[:4], "little"), rest[4:])
    if form == b"\3" and len(rest) == REGISTERS and max(rest) <= 51:
        return Sketch(set(), np.frombuffer(rest, np.uint8).copy())
    raise ValueError("not a sketch")


def _sparse(count: int, data: bytes) -> Sketch:
    if count > 4_096 or len(data) != 3 * count:
        raise ValueError("not a sketch")
    registers = np.zeros(REGISTERS, np.uint8)
    last = -1
    for start in range(0, len(data), 3):
        place, value = int.from_bytes(data[start : start + 2], "little"), data[start + 2]
        if not last < place < REGISTERS or not 1 <= value <= 51:
            raise ValueError("not a sketch")
        registers[place], last = value, place
    return Sketch(set(), registers)
