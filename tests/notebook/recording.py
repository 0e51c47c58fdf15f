"""Outputs of runs that never were: right ones, made from what is expected, and wrong ones of those.

`recorded` gives the outputs that another right run could have printed: every random name is another
one, every date too. `mutants` spoils them, one thing at a time; the comparison has to see each.
"""

import hashlib
import pprint
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.notebook.comparison import CellOutput
from tests.notebook.expectation import Expected
from tests.notebook.layout import Kind
from tests.notebook.normal import EMPTY_MD5, METADATA_KEY, OBJECT_KEY, blocks_of, parse_value

_RANDOM = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4,12}){4})"
)
_SECONDS = re.compile(r"(?<=': )16\d{8}\b")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A run with one thing wrong in the output of the cell `label`."""

    label: str
    what: str
    outputs: tuple[CellOutput, ...]


def recorded(expected: Sequence[Expected], salt: str) -> list[CellOutput]:
    """Return what a right run prints whose random names derive from the old ones and `salt`."""
    return [CellOutput(each.label, _renamed(each, salt)) for each in expected]


def mutants(expected: Sequence[Expected], outputs: Sequence[CellOutput]) -> Iterator[Mutant]:
    """Yield spoiled copies of right `outputs`, several for each cell."""
    pool = "\n".join(output.text for output in outputs)
    for index, each in enumerate(expected):
        right = outputs[index]
        for what, text in _spoiled(each.kind, right.text, pool):
            if text != right.text:  # swapping equals spoils nothing
                yield _mutant(outputs, index, what, replace(right, text=text))
        yield _mutant(outputs, index, "raises", replace(right, error="ValueError: no"))
        others = (*outputs[:index], *outputs[index + 1 :])
        yield Mutant(each.label, "does not run", others)


def _mutant(outputs: Sequence[CellOutput], index: int, what: str, spoiled: CellOutput) -> Mutant:
    return Mutant(spoiled.label, what, (*outputs[:index], spoiled, *outputs[index + 1 :]))


def _renamed(each: Expected, salt: str) -> str:
    def fresh(found: re.Match[str]) -> str:
        old = found[0]
        if old == EMPTY_MD5:
            return old
        digest = hashlib.sha256((salt + old).encode()).hexdigest()
        if "-" in old:
            return "-".join([digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]])
        return digest[: len(old)]

    later = len(salt)
    text = _SECONDS.sub(lambda found: str(int(found[0]) + later), _RANDOM.sub(fresh, each.text))
    if each.kind is Kind.LISTING:
        return "\n".join(sorted(text.splitlines(), key=lambda line: line.split()[-2]))
    if each.kind is Kind.VALUES:
        return _printed(_in_order([_in_order(value) for value in _values(text)]))
    return text


def _in_order(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, dict) and "path" in item for item in value):
        return sorted(value, key=lambda item: str(item["path"]))
    return value


def _spoiled(kind: Kind, text: str, pool: str) -> Iterator[tuple[str, str]]:
    yield "prints one more line", f"{text}\nnews" if text else "news"
    if not text:
        return
    yield "prints nothing", ""
    if kind in (Kind.TEXT, Kind.REQUIREMENTS):
        yield from _spoiled_lines(text)
    elif kind is Kind.LISTING:
        yield from _spoiled_listing(text)
    elif kind is Kind.VALUES:
        yield from _spoiled_values(text, pool)


def _spoiled_lines(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        rest = (*lines[:number], *lines[number + 1 :])
        yield f"drops line {number}", "\n".join(rest)
        yield f"repeats line {number}", "\n".join((*lines[: number + 1], *lines[number:]))
        other = re.sub(r"\w(?=\W*$)", lambda found: "0" if found[0] != "0" else "1", line)
        if other != line:
            yield (
                f"changes line {number}",
                "\n".join((*lines[:number], other, *lines[number + 1 :])),
            )
    for number in range(len(lines) - 1):
        if lines[number] != lines[number + 1]:
            swapped = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
            yield f"swaps lines {number} and {number + 1}", "\n".join(swapped)


def _spoiled_listing(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()

    def with_line(number: int, line: str) -> str:
        return "\n".join((*lines[:number], line, *lines[number + 1 :]))

    for number, line in enumerate(lines):
        date, key, size = line.rsplit(" ", 2)
        yield f"drops object {number}", "\n".join((*lines[:number], *lines[number + 1 :]))
        yield f"repeats object {number}", "\n".join((*lines[: number + 1], *lines[number:]))
        yield f"date of object {number} is none", with_line(number, f"None {key} {size}")
        yield (
            f"date of object {number} is no date",
            with_line(number, f"2024-13{date[7:]} {key} {size}"),
        )
        yield f"key {number} is of no kind", with_line(number, f"{date} {key[:-1]} {size}")
        if METADATA_KEY.fullmatch(key):
            yield f"metadata {number} is empty", with_line(number, f"{date} {key} 0")
        else:
            yield f"object {number} is larger", with_line(number, f"{date} {key} {int(size) + 1}")
        if number:
            swapped = [*lines[: number - 1], line, lines[number - 1], *lines[number + 1 :]]
            yield f"objects {number - 1} and {number} out of order", "\n".join(swapped)
        for later in range(number + 1, len(lines)):
            other_date, other_key, other_size = lines[later].rsplit(" ", 2)
            if size != other_size and OBJECT_KEY.fullmatch(key) and OBJECT_KEY.fullmatch(other_key):
                spoiled = list(lines)
                spoiled[number] = f"{date} {key} {other_size}"
                spoiled[later] = f"{other_date} {other_key} {size}"
                yield f"swaps the sizes of {number} and {later}", "\n".join(spoiled)


Spoil = Callable[[Any], Any]


def _spoiled_values(text: str, pool: str) -> Iterator[tuple[str, str]]:
    values = _values(text)
    yield "is printed in another form", text.replace("'", '"', 2)
    for path, found in _leaves(values):
        where = "/".join(map(str, path))
        for what, spoil in _spoilers(path, found, pool):
            yield f"{what} {where}", _printed(_changed(values, path, spoil))
    for path, found in _containers(values):
        where = "/".join(map(str, path)) or "top"
        for what, spoil in _container_spoilers(found):
            yield f"{what} in {where}", _printed(_changed(values, path, spoil))
    addresses = [path for path, _ in _leaves(values) if path[-1] == "physical_address"]
    for number, first in enumerate(addresses):
        for second in addresses[number + 1 :]:
            one, two = _at(values, first), _at(values, second)
            spoiled = _changed(_changed(values, first, _always(two)), second, _always(one))
            yield f"swaps addresses {first[:-1]} and {second[:-1]}", _printed(spoiled)


def _spoilers(path: tuple[Any, ...], value: Any, pool: str) -> Iterator[tuple[str, Spoil]]:
    if isinstance(value, int):
        yield "text instead of a number in", str
        if path[-1] in ("mtime", "creation_date"):
            yield "no date in", lambda _: 0
            yield "a fraction in", lambda _: value + 0.5
        else:
            yield "one more in", lambda _: value + 1
            yield "a negative number in", lambda _: -1 - value
    else:
        yield "a number instead of text in", lambda _: 7
        yield "other text in", lambda _: "removed" if value != "removed" else "added"
        for other in _others(value, pool):
            yield "another one's name in", _always(other)
    yield "None in", lambda _: None


def _others(value: str, pool: str) -> list[str]:
    """Return a random name of another thing of the same sort, if the notebook has one."""
    for size in (64, 32):
        found = re.search(rf"(?<![0-9a-f])[0-9a-f]{{{size}}}(?![0-9a-f])", value)
        if found:
            names = re.findall(rf"(?<![0-9a-f])[0-9a-f]{{{size}}}(?![0-9a-f])", pool)
            others = [name for name in names if name not in (found[0], EMPTY_MD5)]
            return [value.replace(found[0], others[0])] if others else []
    return []


def _container_spoilers(container: Any) -> Iterator[tuple[str, Spoil]]:
    yield "one more", _with_more
    if isinstance(container, dict):
        for key in container:
            yield f"no {key}", _always({k: v for k, v in container.items() if k != key})
        return
    for number, item in enumerate(container):
        before, after = container[:number], container[number + 1 :]
        yield f"no item {number}", _always([*before, *after])
        yield f"item {number} twice", _always([*before, item, item, *after])
        if after:
            swapped = [*before, after[0], item, *after[1:]]
            yield f"items {number}, {number + 1} swapped", _always(swapped)


def _always(value: Any) -> Spoil:
    return lambda _: value


def _with_more(container: Any) -> Any:
    return container | {"zzz": "news"} if isinstance(container, dict) else [*container, "news"]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _containers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        yield path, value
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _containers(item, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(value: Any, path: tuple[Any, ...], spoil: Spoil) -> Any:
    if not path:
        return spoil(value)
    changed = _changed(value[path[0]], path[1:], spoil)
    if isinstance(value, dict):
        return value | {path[0]: changed}
    return [*value[: path[0]], changed, *value[path[0] + 1 :]]


def _values(text: str) -> list[Any]:
    return [parse_value(block) for block in blocks_of(text)]


def _printed(values: list[Any]) -> str:
    return "\n\n".join(pprint.pformat(value) for value in values)
