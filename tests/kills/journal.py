"""What clients wrote down before and after each request, and what follows from it.

One append-only file of JSON lines a client. A key has one writer, which never has two requests for
it under way, so that the state of a key is one of few:

    {"n": 7, "do": "put", "key": K, "becomes": STATE}    before the request
    {"n": 7, "end": "done" | "lost" | "refused"}         after it
    {"key": K, "saw": STATE}                             read after a lost answer
    {"wrong": TEXT}                                      an answer that no history explains
    {"note": "step", "do": "merge", "end": "done"}       something else than a key was changed
    {"note": NAME, ...}                                  what the checks need besides

A STATE is [etag, md5 of the bytes, size], or null for a key that is absent.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

State = tuple[str, str, int] | None


class Journal:
    """One client's file. Lines reach the kernel before a request is sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._number = 0

    def intend(self, do: str, key: str, becomes: State) -> int:
        """Write down what is about to be sent; return its number."""
        self._number += 1
        self._write({"n": self._number, "do": do, "key": key, "becomes": becomes})
        return self._number

    def end(self, number: int, how: str) -> None:
        """Write down how a request ended: done, lost or refused."""
        self._write({"n": number, "end": how})

    def saw(self, key: str, state: State) -> None:
        """Write down what a key is, read after a lost answer."""
        self._write({"key": key, "saw": state})

    def wrong(self, text: str) -> None:
        """Write down an answer that must not be."""
        self._write({"wrong": text})

    def note(self, about: str, /, **values: object) -> None:
        """Write down something else."""
        self._write({"note": about, **values})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")


@dataclass
class History:
    """What the journals of a trial say. Feed each journal once, when its client has ended."""

    possible: dict[str, set[State]] = field(default_factory=dict)
    """Key -> every state it may be in."""
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(what was done, how it ended) -> how often."""
    wrong: list[str] = field(default_factory=list)
    notes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def feed(self, path: Path) -> set[str]:
        """Take a journal in; return the keys that it may have changed."""
        under_way: dict[int, tuple[str, str, State, set[State]]] = {}
        changed: set[str] = set()
        for line in _lines(path):
            if "becomes" in line:
                key, becomes = line["key"], _state(line["becomes"])
                before = self.possible.get(key, {None})
                under_way[line["n"]] = line["do"], key, becomes, before
                self.possible[key] = before | {becomes}
                changed.add(key)
            elif "n" in line:
                do, key, becomes, before = under_way.pop(line["n"])
                self.ends[do, line["end"]] += 1
                if line["end"] == "done":
                    self.possible[key] = {becomes}
                elif line["end"] == "refused":
                    self.possible[key] = before
            elif "saw" in line:
                self._saw(path.stem, line["key"], _state(line["saw"]))
            elif "wrong" in line:
                self.wrong.append(f"{path.stem}: {line['wrong']}")
            elif line["note"] == "step":
                self.ends[line["do"], line["end"]] += 1
            else:
                self.notes.setdefault(line["note"], []).append(line)
        for do, *_ in under_way.values():
            self.ends[do, "lost"] += 1
        return changed

    def _saw(self, who: str, key: str, state: State) -> None:
        possible = self.possible.setdefault(key, {None})
        if state not in possible:
            self.wrong.append(f"{who}: {key} is {state}, not one of {possible}")
        self.possible[key] = {state}


def read_intents(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield what the intents among some lines are about to do."""
    for line in lines:
        found = json.loads(line)
        if "becomes" in found:
            yield cast(str, found["do"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().splitlines(keepends=True):
        # A client that was ended by force may leave half a line.
        if line.endswith(b"\n"):
            yield json.loads(line)


def _state(value: list[Any] | None) -> State:
    return None if value is None else (value[0], value[1], value[2])
