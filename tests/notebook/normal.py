"""The normal form of a notebook's outputs: what two right runs have in common, as lines.

Commit ids, physical addresses, part names and checksums are random or depend on time; each is named
by the order of its first appearance across the whole notebook, so that equal stays equal and
different stays different. Dates become their type. Everything else stays as it is printed.

Part names decide where an entry stands in a listing, and they are random: entries are put in the
order of their normal names, after the order that was printed has been checked.
"""

import ast
import functools
import pprint
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeGuard

from tests.notebook.layout import Kind

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"  # the checksum of no bytes is the same everywhere

PART_NAME = re.compile(
    r"part-(?P<number>\d{5})-"
    r"(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-c000"
)
COMMIT_ID = re.compile(r"[0-9a-f]{64}")
ADDRESS = re.compile(r"(?P<namespace>s3://[a-z0-9-]+/)(?P<key>[0-9a-f]{32})")
CHECKSUM = re.compile(r"[0-9a-f]{32}")
LISTING_LINE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{6})?\+00:00) (?P<key>\S+) (?P<size>\d+)"
)
OBJECT_KEY = re.compile(r"[0-9a-f]{32}")
METADATA_KEY = re.compile(r"_lakefs/[0-9a-f]{64}")

DATE_FIELDS = frozenset({"mtime", "creation_date"})
_SATISFIED = re.compile(r"Requirement already satisfied: (?P<name>\S+)(?P<rest>.*)")
_SECONDS_MIN, _SECONDS_MAX = 1_600_000_000, 10_000_000_000  # of a date in whole seconds


class Normaliser:
    """Bring the outputs of one run to normal form; feed them in the notebook's order.

    It remembers the names given so far, so that one is good for one run.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], int] = {}
        self._listed: dict[str, str] = {}  # raw key -> the cell that listed it first

    def normalise(self, label: str, kind: Kind, text: str) -> list[str]:
        """Return the normal lines of the output that cell `label` printed.

        Output that does not have its kind's form gives lines that no right output gives.
        """
        match kind:
            case Kind.VALUES:
                return self._values(text)
            case Kind.LISTING:
                return self._listing(label, text)
            case Kind.REQUIREMENTS:
                return _requirements(text)
            case Kind.TEXT | Kind.NONE:
                return lines_of(text)

    def _values(self, text: str) -> list[str]:
        values = []
        for block in blocks_of(text):
            value = _printed_value(block)
            if value is None:
                return ["not as Python prints a value:", *lines_of(text)]
            values.append(value)
        parts: list[object] = []
        for value in values:
            parts.append(self._entries(value) if _is_entries(value) else value)
        if _is_entries(parts):
            parts = self._entries(parts)
        return [line for part in parts for line in _shown(self._value(part))]

    def _entries(self, entries: list[Any]) -> list[Any]:
        """Put entries in the order of their normal paths; a wrong printed order leaves a mark."""
        paths = [entry["path"] for entry in entries if isinstance(entry, dict)]
        if any(not isinstance(path, str) for path in paths):
            return ["paths that are not text", *entries]
        named = [
            (self._part_names(path), entry) for path, entry in zip(paths, entries, strict=True)
        ]
        marked = [] if paths == sorted(set(paths)) else ["not in order, or listed twice"]
        return [*marked, *(entry for _, entry in sorted(named, key=lambda each: each[0]))]

    def _value(self, value: object, field: str = "") -> object:
        match value:
            case dict():
                return {key: self._value(item, str(key)) for key, item in value.items()}
            case list():
                return [self._value(item, field) for item in value]
            case str():
                return self._string(value, field)
            case int() if field in DATE_FIELDS and not isinstance(value, bool):
                return "<seconds>" if _SECONDS_MIN <= value < _SECONDS_MAX else value
            case _:
                return value

    def _string(self, text: str, field: str) -> str:
        if field == "checksum" and CHECKSUM.fullmatch(text) and text != EMPTY_MD5:
            return self._name("checksum", text)
        if COMMIT_ID.fullmatch(text):
            return self._name("commit", text)
        address = ADDRESS.fullmatch(text)
        if address:
            return address["namespace"] + self._name("address", address["key"])
        return self._part_names(text)

    def _part_names(self, text: str) -> str:
        return PART_NAME.sub(
            lambda found: f"part-{found['number']}-{self._name('part', found['uuid'])}-c000", text
        )

    def _listing(self, label: str, text: str) -> list[str]:
        keys, normal = [], []
        for line in lines_of(text):
            found = LISTING_LINE.fullmatch(line)
            if not found or not _is_date(found["date"]):
                return ["not a line of a listing:", line, *lines_of(text)]
            keys.append(found["key"])
            normal.append(self._listed_object(label, found["key"], int(found["size"])))
        marked = [] if keys == sorted(set(keys)) else ["not in order, or listed twice"]
        return [*marked, *sorted(normal)]

    def _listed_object(self, label: str, key: str, size_bytes: int) -> str:
        # A key shown before as an address is known by it; another one by the cell that listed it
        # first, so that later listings must hold the same objects.
        first = self._listed.setdefault(key, label)
        if METADATA_KEY.fullmatch(key):
            return f"metadata, {'some' if size_bytes else 'no'} bytes, first listed in {first}"
        if not OBJECT_KEY.fullmatch(key):
            return f"{key}, {size_bytes} bytes"
        known = ("address", key) in self._names
        which = self._name("address", key) if known else f"first listed in {first}"
        return f"object, {size_bytes} bytes, {which}"

    def _name(self, kind: str, text: str) -> str:
        count = sum(1 for each, _ in self._names if each == kind)
        return f"<{kind} {self._names.setdefault((kind, text), count + 1)}>"


def lines_of(text: str) -> list[str]:
    """Return the lines that are not blank, without the blanks at their ends."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def blocks_of(text: str) -> list[str]:
    """Return the runs of lines between blank lines."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            blocks[-1].append(line.rstrip())
        elif blocks[-1]:
            blocks.append([])
    return ["\n".join(block) for block in blocks if block]


def parse_value(block: str) -> object | None:
    """Return the Python literal that `block` is, or None."""
    try:
        value: object = ast.literal_eval(block)
    except (ValueError, SyntaxError):
        return None
    return value


@functools.lru_cache(maxsize=1024)
def _printed_value(block: str) -> object | None:
    value = parse_value(block)
    return value if pprint.pformat(value) == block else None


def _is_entries(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and bool(value) and all(_has_path(item) for item in value)


def _shown(value: object) -> Iterator[str]:
    """Yield one line for each field of each entry: `pprint` would take most of the time."""
    match value:
        case list():
            yield "["
            for item in value:
                yield from _shown(item)
            yield "]"
        case dict():
            yield "{"
            yield from (f"  {key!r}: {item!r}" for key, item in value.items())
            yield "}"
        case _:
            yield repr(value)


def _has_path(item: object) -> bool:
    return isinstance(item, dict) and "path" in item


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _requirements(text: str) -> list[str]:
    lines = []
    for line in lines_of(text):
        found = _SATISFIED.fullmatch(line)
        if not found:
            lines.append(line)
        elif "(from" not in found["rest"]:  # what a requirement needs in its turn is pip's affair
            lines.append(f"satisfied: {found['name']}")
    return lines
