"""What the seed's queries must answer, from the files alone and the plain-Python HLL."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from tests.seed.layout import COLUMNS, FILE_COLUMNS
from tests.support.reference_sketch import REGISTERS, Sketch, hash_value

EXACT_MAX = 160
_INTEGERS = {"k1": "<b", "k2": "<h", "k3": "<i", "k4": "<q"}
Value = int | float | str | date | datetime
Answer = list[tuple[int, ...]]


def typed(column: str, text: str) -> Value:
    """Return a text as the value of its column; equal values are one in SQL."""
    if column in _INTEGERS:
        return int(text)
    match column:
        case "k5":
            return round(float(text) * 1000)
        case "k8":
            return float(text)
        case "k9":
            return float(np.float32(text))
        case "k10":
            return date.fromisoformat(text)
        case "k11":
            return datetime.fromisoformat(text)
    return text


def stored(column: str, text: str) -> bytes:
    """Return the bytes of a value that ndv hashes: those of the engine's own type."""
    if column in _INTEGERS:
        return struct.pack(_INTEGERS[column], int(text))
    value = typed(column, text)
    match value:
        case datetime():
            packed = (value.year << 9 | value.month << 5 | value.day) << 37
            packed |= value.hour << 32 | value.minute << 26 | value.second << 20
            return struct.pack("<Q", packed)
        case date():
            return struct.pack("<I", value.year << 9 | value.month << 5 | value.day)
        case int():
            return struct.pack("<i", value)
        case float():
            return struct.pack("<f" if column == "k9" else "<d", value)
    assert isinstance(value, str)
    return value.encode()


def estimate(hashes: Iterable[int]) -> int:
    """Return Doris's estimate of the number of distinct hashes."""
    distinct = np.unique(np.fromiter(hashes, np.uint64))
    if len(distinct) <= EXACT_MAX:
        return len(distinct)
    registers = np.zeros(REGISTERS, np.uint8)
    rest = distinct >> np.uint64(14) | np.uint64(1 << 50)
    lowest = rest & (~rest + np.uint64(1))
    ranks = (np.log2(lowest.astype(np.float64)) + 1).astype(np.uint8)
    np.maximum.at(registers, (distinct % np.uint64(REGISTERS)).astype(np.int64), ranks)
    return Sketch(registers=registers).estimate()


@dataclass
class Rows:
    """The rows of both files, by column."""

    texts: dict[str, list[str]]

    @classmethod
    def read(cls, paths: Sequence[Path]) -> "Rows":
        """Read tab-separated files."""
        lines = [line.split("\t") for path in paths for line in path.read_text().splitlines()]
        columns = zip(*lines, strict=True)
        return cls(dict(zip(FILE_COLUMNS, map(list, columns), strict=True)))

    @property
    def count(self) -> int:
        """Return how many rows there are."""
        return len(self.texts["k1"])

    def groups(self, key: str) -> list[list[int]]:
        """Return the row numbers of each key, in the order of the keys."""
        found: dict[Value, list[int]] = {}
        for number, text in enumerate(self.texts[key]):
            found.setdefault(typed(key, text), []).append(number)
        return [found[value] for value in sorted(found)]

    @cached_property
    def text_hashes(self) -> dict[str, list[int]]:
        """Return the hashes of the texts, as hll_hash in a load sees them."""
        return {name: self._hashes(name, str.encode) for name in COLUMNS}

    @cached_property
    def value_hashes(self) -> dict[str, list[int]]:
        """Return the hashes of the values, as ndv sees them."""
        return {name: self._hashes(name, partial(stored, name)) for name in COLUMNS}

    def _hashes(self, name: str, spell: Callable[[str], bytes]) -> list[int]:
        known: dict[str, int] = {}
        for text in self.texts[name]:
            if text not in known:
                known[text] = hash_value(spell(text))
        return [known[text] for text in self.texts[name]]

    def distinct(self, columns: Sequence[str], groups: Sequence[Sequence[int]]) -> Answer:
        """Return count(distinct) of columns per group of rows."""
        values = {name: [typed(name, text) for text in self.texts[name]] for name in columns}
        return [
            tuple(len({values[name][row] for row in rows}) for name in columns) for rows in groups
        ]

    def distinct_texts(self, columns: Sequence[str], groups: Sequence[Sequence[int]]) -> Answer:
        """Return the number of different texts of columns per group of rows."""
        return [
            tuple(len({self.texts[name][row] for row in rows}) for name in columns)
            for rows in groups
        ]

    def estimates(
        self,
        hashes: dict[str, list[int]],
        columns: Sequence[str],
        groups: Sequence[Sequence[int]],
    ) -> Answer:
        """Return the estimates of columns per group of rows."""
        return [tuple(_estimate_rows(hashes[name], rows) for name in columns) for rows in groups]


def _estimate_rows(hashes: list[int], rows: Sequence[int]) -> int:
    if len(rows) <= EXACT_MAX:
        return len({hashes[row] for row in rows})
    return estimate(hashes[row] for row in rows)
