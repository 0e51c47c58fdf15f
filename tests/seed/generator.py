"""Rows of our own in the seed's shape: 15 awkward ones, and 60,000 drawn by a fixed seed.

Both files together have exactly the distinct counts of `layout.DISTINCT`.
"""

import random
import string
from datetime import date, timedelta
from pathlib import Path

from tests.seed.layout import DISTINCT, FILE_COLUMNS
from tests.seed.reference import typed

ROWS = 60_000
_MOMENTS = (
    "2021-02-28 23:59:59", "1900-01-01 00:00:00", "9998-12-31 12:00:00", "2000-02-29 06:30:15",
    "1969-12-31 23:59:59", "2038-01-19 03:14:08", "1583-10-10 10:10:10", "2015-06-30 08:00:00",
)  # fmt: skip
_MOST = "2020-05-05 05:05:05"
_AWKWARD = {
    "k3": ("2147483647", "-2147483647"),
    "k4": ("9223372036854775807", "-9223372036854775807"),
    "k5": ("-0.000", "0.00", "999999.999", "-999999.999", "7"),
    "k7": ("", " ", "tab-less text"),
    "k8": ("-0.000", "0.0", "0.000", "-987654.321"),
    "k9": ("3.141592654", "3.141592653", "-1"),
    "k10": ("9999-12-31", "3124-10-10", "0001-01-01"),
    "k11": _MOMENTS,
}


def _fresh(column: str, numbers: random.Random) -> str:
    match column:
        case "k1":
            return str(numbers.randrange(-128, 128))
        case "k2":
            return str(numbers.randrange(-(2**15), 2**15))
        case "k3":
            return str(numbers.randrange(-(2**31), 2**31))
        case "k4":
            return str(numbers.randrange(-(2**63), 2**63))
        case "k5":
            return f"{numbers.randrange(-9_000, 9_000) / 10:.1f}"
        case "k8" | "k9":
            return f"{numbers.uniform(-1, 1):.11f}"
        case "k10":
            return (date(1880, 1, 1) + timedelta(days=numbers.randrange(50_000))).isoformat()
    length = 5 if column == "k6" else 18
    return "".join(numbers.choices(string.ascii_letters + string.digits + "+-_#", k=length))


def _column(column: str, base: list[str]) -> list[str]:
    if column == "k11":
        return [_MOST] * ROWS
    numbers = random.Random(f"rows of {column}")  # the same rows on every run
    seen = {typed(column, text) for text in base}
    drawn: list[str] = []
    while len(seen) < DISTINCT[column]:
        text = _fresh(column, numbers)
        if (value := typed(column, text)) not in seen:
            seen.add(value)
            drawn.append(text)
    drawn += numbers.choices(drawn, k=ROWS - len(drawn))
    numbers.shuffle(drawn)
    return drawn


def write_files(small: Path, large: Path) -> None:
    """Write both files."""
    columns = {}
    base = {}
    for name in FILE_COLUMNS:
        numbers = random.Random(f"awkward {name}")
        given = _AWKWARD.get(name, ())
        base[name] = [
            given[at % len(given)] if given and (at < len(given) or name == "k11")
            else _fresh(name, numbers)
            for at in range(15)
        ]  # fmt: skip
        columns[name] = _column(name, base[name])
    for path, rows in ((small, base), (large, columns)):
        lines = zip(*(rows[name] for name in FILE_COLUMNS), strict=True)
        path.write_text("".join("\t".join(line) + "\n" for line in lines))
